//! A refused process runs no instruction of its image (R-VETO).

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use source::live::Ending;

use crate::recorder::{REFUSED, Recorder, may_trace, record, script, skipped};

/// A static program: one page, no libraries, `exit_group(42)`.
pub(crate) fn static_program(path: &Path, wide: bool) {
    let code: &[u8] = if wide {
        // mov edi, 42; mov eax, 231; syscall
        &[0xbf, 42, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05]
    } else {
        // mov ebx, 42; mov eax, 252; int 0x80
        &[0xbb, 42, 0, 0, 0, 0xb8, 252, 0, 0, 0, 0xcd, 0x80]
    };
    let header: u32 = if wide { 64 + 56 } else { 52 + 32 };
    let base = 0x40_0000_u32;
    let size = header + u32::try_from(code.len()).unwrap();
    let mut file = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let word = |file: &mut Vec<u8>, value: u32| {
        file.extend_from_slice(&value.to_le_bytes());
        if wide {
            file.extend_from_slice(&[0; 4]);
        }
    };
    file.extend_from_slice(&[2, 0, if wide { 62 } else { 3 }, 0, 1, 0, 0, 0]);
    word(&mut file, base + header);
    word(&mut file, if wide { 64 } else { 52 });
    word(&mut file, 0);
    let (this, program): (u8, u8) = if wide { (64, 56) } else { (52, 32) };
    file.extend_from_slice(&[0, 0, 0, 0, this, 0, program, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    file.extend_from_slice(&1_u32.to_le_bytes());
    if wide {
        file.extend_from_slice(&5_u32.to_le_bytes());
    }
    for value in [0, base, base, size, size] {
        word(&mut file, value);
    }
    if !wide {
        file.extend_from_slice(&5_u32.to_le_bytes());
    }
    word(&mut file, 0x1000);
    file.extend_from_slice(code);
    assert_eq!(file.len(), size as usize);
    executable(path, &file);
}

/// Writes a file that can be executed at once. Another process does: the children that other tests fork
/// would keep a descriptor of this one open for writing, and so keep the file from being executed.
pub(crate) fn executable(path: &Path, bytes: &[u8]) {
    let source = path.with_extension("source");
    fs::write(&source, bytes).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(std::process::Command::new("cp").arg("-p").args([&source, path]).status().unwrap().success());
}

/// Whether the kernel runs 32-bit programs; said where it does not.
fn runs(path: &Path) -> bool {
    match std::process::Command::new(path).status() {
        Ok(status) => status.code() == Some(42),
        Err(error) => {
            skipped(&format!("{}: {error}", path.display()));
            false
        }
    }
}

#[test]
fn r_veto_06_a_refused_command_ends_with_126_and_its_parent_goes_on() {
    if !may_trace() {
        return;
    }
    for late in [false, true] {
        let mut recorder = Recorder { refuse: Some("true"), late, ..Recorder::default() };
        assert_eq!(script(&mut recorder, "/bin/true; [ $? = 126 ] && exit 5"), 5, "{:?}", recorder.lines);
        let status = REFUSED.0;
        let lines = recorder.without_libraries();
        assert_eq!(
            lines[4..],
            [
                "[1.0] create 2 of 1 by 1.0 true `/bin/true`".to_owned(),
                format!("[2.0] thread exit 2.0 {status:#x}"),
                format!("[2.0] exit 2 {status:#x}"),
                "[1.0] thread exit 1.0 0x5".into(),
                "[1.0] exit 1 0x5".into(),
            ],
            "R-VETO-07: the exit is announced, with the status of the refusal; R-VETO-08: no image is"
        );
    }
}

#[test]
fn r_veto_06_no_kind_of_program_escapes() {
    if !may_trace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for wide in [true, false] {
        let path = folder.path().join("static");
        static_program(&path, wide);
        if !runs(&path) {
            assert!(!wide, "a program of this machine does not run");
            continue;
        }
        let mut recorder = Recorder::default();
        assert_eq!(record(&mut recorder, &path, &[""; 0]).unwrap().ending, Ending::Code(42));
        assert_eq!(recorder.lines.len(), 6, "no interpreter, no library: {:?}", recorder.lines);
        let mut recorder = Recorder { refuse: Some("static"), ..Recorder::default() };
        let outcome = record(&mut recorder, &path, &[""; 0]).unwrap();
        assert_eq!(outcome.ending, Ending::Code(126), "wide: {wide}");
        assert_eq!(outcome.counts.refused, 1);
    }
}

#[test]
fn r_veto_06_signals_do_not_come_between() {
    if !may_trace() {
        return;
    }
    // The signal is pending, blocked by nobody, when the image is refused.
    let mut recorder = Recorder {
        refuse: Some("true"),
        look: Some(Box::new(|event| {
            if let event::EventKind::ProcessCreate(process) = &event.kind
                && process.image.as_ref().is_some_and(|image| image.file_name() == "true")
            {
                let pid = i32::try_from(process.process.to_linux().unwrap()).unwrap();
                for signal in [nix::sys::signal::Signal::SIGTERM, nix::sys::signal::Signal::SIGTSTP] {
                    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
                }
            }
        })),
        ..Recorder::default()
    };
    assert_eq!(script(&mut recorder, "/bin/true; [ $? = 126 ] && exit 5"), 5);
}

#[test]
fn r_veto_07_a_second_image_can_be_refused_too() {
    if !may_trace() {
        return;
    }
    let mut recorder = Recorder { refuse: Some("true"), ..Recorder::default() };
    assert_eq!(script(&mut recorder, "exec /bin/true"), 126);
    assert_eq!(recorder.with("exit 1").len(), 4, "{:?}", recorder.lines);
}

#[test]
fn r_veto_06_a_refusal_holds_though_nobody_listens_afterwards() {
    if !may_trace() {
        return;
    }
    let batches_before = {
        let mut recorder = Recorder { refuse: Some("true"), ..Recorder::default() };
        script(&mut recorder, ":");
        recorder.batches - 1
    };
    let mut recorder =
        Recorder { refuse: Some("true"), gone_after: Some(batches_before + 1), ..Recorder::default() };
    assert_eq!(script(&mut recorder, "/bin/true; [ $? = 126 ] && exit 5"), 5);
    assert_eq!(recorder.with("create").len(), 2, "{:?}", recorder.lines);
    assert!(recorder.with("exit 2").is_empty(), "{:?}", recorder.lines);
}
