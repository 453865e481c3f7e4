//! Which images are announced, and where they lie (SEMANTICS C.4).

use std::{cell::RefCell, fs, path::PathBuf};

use event::{Architecture, Event, EventKind};

use crate::recorder::{Recorder, TRACEE, file_name, may_trace, record, script};

/// An image as it was announced, and as the kernel had it at that moment.
#[derive(Debug)]
struct Seen {
    name: String,
    base: u64,
    size: u64,
    /// From the first to the last of the touching mappings of that file.
    mapped: Option<(u64, u64)>,
}

/// From the first to the last mapping of a file that touch, from `base` on.
fn extent(maps: &str, path: &str, base: u64) -> Option<(u64, u64)> {
    let mut found: Option<(u64, u64)> = None;
    for line in maps.lines().filter(|line| line.ends_with(path)) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        match &mut found {
            None if start == base => found = Some((start, end)),
            Some((_, last)) if *last == start => *last = end,
            _ => {}
        }
    }
    found
}

fn look(event: &Event<'_>) -> Option<Seen> {
    let EventKind::ImageLoad(image) = &event.kind else { return None };
    let pid = image.process.to_linux().unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let name = image.name.as_ref().unwrap();
    assert_eq!((image.architecture, image.partial, image.conflicting), (Architecture::X64, false, false));
    let mapped = extent(&maps, name.for_people(), image.base);
    Some(Seen { name: name.for_people().to_owned(), base: image.base, size: image.size, mapped })
}

/// The libraries of a program in the order in which the loader maps them.
fn libraries(program: &str) -> Vec<PathBuf> {
    let output = std::process::Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.split_once("=> ")?.1.split(' ').next()?.to_owned()))
        .map(|path| fs::canonicalize(path).unwrap())
        .collect()
}

#[test]
fn r_img_02_images_are_where_the_kernel_has_them_while_the_task_is_held() {
    if !may_trace() {
        return;
    }
    let seen = RefCell::new(Vec::new());
    let mut recorder = Recorder {
        look: Some(Box::new(|event| seen.borrow_mut().extend(look(event)))),
        ..Recorder::default()
    };
    script(&mut recorder, "/bin/true; ls / > /dev/null");
    drop(recorder);
    let seen = seen.into_inner();
    let ls: Vec<_> = seen.iter().skip_while(|image| !image.name.ends_with("/ls")).collect();
    let expected = libraries("/bin/ls");
    assert!(!expected.is_empty());
    assert_eq!(ls[0].name, fs::canonicalize("/bin/ls").unwrap().to_str().unwrap());
    assert!(ls[1].name.contains("/ld-"), "{}", ls[1].name);
    let names: Vec<_> = ls[2..].iter().map(|image| PathBuf::from(&image.name)).collect();
    assert_eq!(names, expected, "mapping order");
    for image in &seen {
        let (start, end) = image.mapped.unwrap_or_else(|| panic!("{image:?} is not in maps"));
        assert_eq!(image.base, start, "{image:?}");
        if image.name.contains("/lib") && !image.name.contains("/ld-") {
            // The loader first maps the file over memory that will be `.bss`, and cuts that off later.
            assert!(image.base + image.size <= end, "{image:?}");
        } else {
            assert_eq!(image.base + image.size, end, "{image:?}");
        }
    }
}

#[test]
fn r_ii_01_base_and_size_are_those_of_the_finished_process() {
    if !may_trace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("maps");
    let seen = RefCell::new(Vec::new());
    let mut recorder = Recorder {
        look: Some(Box::new(|event| seen.borrow_mut().extend(look(event)))),
        ..Recorder::default()
    };
    assert_eq!(script(&mut recorder, &format!("exec cat /proc/self/maps > {}", file.display())), 0);
    drop(recorder);
    let maps = fs::read_to_string(file).unwrap();
    let seen = seen.into_inner();
    let images: Vec<_> = seen.iter().skip_while(|image| !image.name.ends_with("/cat")).collect();
    assert!(images.len() >= 3);
    for image in images {
        assert_eq!(
            extent(&maps, &image.name, image.base),
            Some((image.base, image.base + image.size)),
            "{maps}"
        );
    }
}

#[test]
fn r_img_01_only_mappings_of_code_that_succeed_are_announced_each_time() {
    if !may_trace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image");
    crate::refusal::static_program(&file, true);
    let mut recorder = Recorder::default();
    let outcome = record(&mut recorder, TRACEE, &["map".as_ref(), file.as_os_str()]).unwrap();
    assert_eq!(outcome.ending.shell_code(), 0);
    assert_eq!(
        recorder.with("image image").len(),
        3,
        "first, mapped again, second view: {:?}",
        recorder.lines
    );
    assert!(recorder.with("passwd").is_empty());
}

#[test]
fn r_img_01_protecting_a_file_mapping_announces_it_and_memory_does_not() {
    if !may_trace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image");
    crate::refusal::static_program(&file, true);
    let mut recorder = Recorder::default();
    let before = {
        let mut recorder = Recorder::default();
        record(&mut recorder, TRACEE, &["threads", "0"]).unwrap();
        recorder.with("image").len()
    };
    record(&mut recorder, TRACEE, &["protect".as_ref(), file.as_os_str()]).unwrap();
    assert_eq!(recorder.with("image image").len(), 1);
    assert_eq!(recorder.with(" image").len(), before + 1, "{:?}", recorder.lines);
}

#[test]
fn r_img_01_an_image_mapped_by_a_clone_comes_after_the_clone() {
    if !may_trace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image");
    crate::refusal::static_program(&file, true);
    let mut recorder = Recorder::default();
    record(&mut recorder, TRACEE, &["clone-maps".as_ref(), file.as_os_str()]).unwrap();
    let at = recorder.lines.iter().position(|line| line == "[2.0] image image").unwrap();
    assert!(recorder.lines[at - 1].starts_with("[1.0] clone 2 of 1 by 1.0"), "{:?}", recorder.lines);
    assert_eq!(recorder.lines[at + 1], "[2.0] exit 2 0x0");
}

#[test]
fn r_fn_05_a_deleted_program_keeps_its_name() {
    if !may_trace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("static");
    crate::refusal::static_program(&file, true);
    let seen = RefCell::new(Vec::new());
    let mut recorder = Recorder {
        look: Some(Box::new(|event| {
            if let EventKind::ImageLoad(image) = &event.kind {
                seen.borrow_mut().push((file_name(image.name.as_ref()), image.base, image.size));
            }
        })),
        ..Recorder::default()
    };
    let text = format!("exec 9< {0}; rm {0}; exec /proc/self/fd/9", file.display());
    assert_eq!(script(&mut recorder, &text), 42);
    drop(recorder);
    let seen = seen.into_inner();
    assert_eq!(seen.last(), Some(&("static".to_owned(), 0x40_0000, 0x1000)));
}
