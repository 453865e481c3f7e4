//! What happened, as a driver saw it, against what Linux says.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use callboard::host::{Bench, BenchOptions};
use callboard::report::{Fanout, Summary};
use callboard::{LiveBench, live};
use event::{Body, Event, EventKind, ProcessId};
use source::{Delivery, Recipient, Ticket};

use crate::support::{can_trace, driver, run_with};

/// The notices of one kind among the driver's lines.
fn notices<'a>(lines: &[&'a str], kind: &str) -> Vec<&'a str> {
    let prefix = format!("witness: {kind} ");
    lines.iter().filter_map(|line| line.strip_prefix(&prefix)).collect()
}

/// A field of a notice.
fn field<'a>(notice: &'a str, name: &str) -> &'a str {
    let start = format!("{name}=");
    let at = notice.find(&start).unwrap_or_else(|| panic!("{name} in {notice}")) + start.len();
    match notice[at..].strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap(),
        None => notice[at..].split(' ').next().unwrap(),
    }
}

#[test]
fn r_ord_01_r_ctx_01_a_driver_sees_exactly_what_happened_in_order_and_context() {
    if !can_trace() {
        return;
    }
    let run = run_with("witness", &[], &["sh", "-c", "/bin/true; ls / >/dev/null"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let lines = run.lines();
    // The driver's own checks of context, IRQL, APCs, lookups and order.
    let done = lines.iter().find(|line| line.starts_with("witness: done")).expect("the driver was unloaded");
    assert!(done.ends_with("failures=0") && !done.contains("checks=0 "), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("FAIL")), "{lines:#?}");
    let created = notices(&lines, "create");
    let names: Vec<_> =
        created.iter().map(|notice| field(notice, "image").rsplit('\\').next().unwrap()).collect();
    assert_eq!(names[1..], ["true", "ls"], "{lines:#?}");
    assert_eq!(notices(&lines, "exit").len(), 3);
    assert_eq!(notices(&lines, "thread").len(), 3);
    assert_eq!(notices(&lines, "thread-exit").len(), 3);
    // The shell made the other two: it is their parent and their creator (R-PCI-05).
    let shell = field(created[0], "pid");
    for child in &created[1..] {
        assert_eq!(field(child, "ppid"), shell);
        assert!(field(child, "creator").starts_with(&format!("{shell}.")));
    }
    assert_eq!(field(created[2], "cmd"), "ls /");
}

/// Delivers to a bench, and reads what Linux says of a process when it is about to end, with everything mapped
/// and laid out: a library's last segments are put in place after its first was announced.
struct Comparing<'a> {
    bench: LiveBench<'a>,
    /// Process and file of each image that was announced.
    announced: Vec<(u32, String)>,
    /// Process, file, base and size as in `/proc/PID/maps`.
    maps: BTreeSet<(u32, String, u64, u64)>,
}

impl Comparing<'_> {
    fn compare(&mut self, event: &Event<'_>) {
        match &event.kind {
            EventKind::ImageLoad(image) => {
                let name = image.name.as_ref().unwrap().for_people().to_owned();
                self.announced.push((image.process.0, name));
            }
            EventKind::ThreadExit(exit) => {
                let process = exit.thread.process;
                let maps = fs::read_to_string(format!("/proc/{}/maps", process.to_linux().unwrap())).unwrap();
                let of_process = self.announced.iter().filter(|(of, _)| *of == process.0);
                self.maps.extend(of_process.map(|(_, name)| {
                    let (base, end) = span(&maps, name);
                    (process.0, name.clone(), base, end - base)
                }));
            }
            _ => {}
        }
    }
}

/// From the first to the last address that a file is mapped at.
fn span(maps: &str, name: &str) -> (u64, u64) {
    let ranges = maps.lines().filter(|line| line.ends_with(name)).map(|line| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let hex = |text| u64::from_str_radix(text, 16).unwrap();
        (hex(start), hex(end))
    });
    ranges.reduce(|(start, end), (from, to)| (start.min(from), end.max(to))).unwrap()
}

impl Recipient for Comparing<'_> {
    fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
        for event in batch {
            self.compare(event);
        }
        self.bench.deliver(batch)
    }

    fn finished(&mut self, wait: Duration) -> Option<(Ticket, Delivery)> {
        self.bench.finished(wait)
    }
}

#[test]
fn r_img_01_images_are_where_and_as_large_as_linux_says() {
    if !can_trace() {
        return;
    }
    let mut lines = Vec::new();
    let mut bench = Bench::start(BenchOptions::new(callboard::Profile::Win11_24H2)).unwrap();
    bench.load_file("witness", &driver("witness")).unwrap();
    let (announced, maps) = {
        let mut sink = Lines(&mut lines);
        let mut comparing = Comparing {
            bench: LiveBench::new(&mut bench, &mut sink),
            announced: Vec::new(),
            maps: BTreeSet::new(),
        };
        let command = live::Command::new("sh", ["-c", "/bin/true; ls / >/dev/null"]);
        live::run(&command, &mut comparing, live::Options::default()).unwrap();
        comparing.bench.finish();
        (comparing.announced, comparing.maps)
    };
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let seen: Vec<(u32, String, u64, u64)> = notices(&lines, "image")
        .into_iter()
        .map(|notice| {
            let hex = |name| u64::from_str_radix(&field(notice, name)[2..], 16).unwrap();
            let name =
                field(notice, "name").strip_prefix(r"\Device\HarddiskVolume1").unwrap().replace('\\', "/");
            (field(notice, "pid").parse().unwrap(), name, hex("base"), hex("size"))
        })
        .collect();
    // In mapping order, and exactly where and as large as Linux says.
    let order: Vec<_> = seen.iter().map(|(process, name, ..)| (*process, name.clone())).collect();
    assert_eq!(order, announced);
    assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), maps);
    // The executable, then the interpreter, then libraries, in each of the three processes.
    let processes: BTreeSet<u32> = seen.iter().map(|(process, ..)| *process).collect();
    assert_eq!(processes.len(), 3, "{seen:#?}");
    for process in processes {
        let files: Vec<_> = seen.iter().filter(|(of, ..)| *of == process).map(|(_, file, ..)| file).collect();
        assert!(files.len() >= 3 && files[1].contains("ld-"), "{files:#?}");
        assert!(ProcessId(process).to_linux().is_some());
    }
}

/// Keeps what drivers print.
struct Lines<'a>(&'a mut Vec<String>);

impl callboard::report::Sink for Lines<'_> {
    fn record(&mut self, record: &event::Record<'_>) -> Result<(), callboard::report::SinkError> {
        if let Body::Debug { text, .. } = &record.body {
            self.0.push(text.clone().into_owned());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), callboard::report::SinkError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), callboard::report::SinkError> {
        Ok(())
    }
}

#[test]
fn a_summary_counts_what_a_library_user_ran() {
    if !can_trace() {
        return;
    }
    let mut summary = Summary::new();
    let mut bench = Bench::start(BenchOptions::new(callboard::Profile::Win10_22H2)).unwrap();
    bench.load("sensor", "sensor.sys", callboard::SENSOR).unwrap();
    let mut sink = Fanout::new().with(&mut summary);
    let mut live = LiveBench::new(&mut bench, &mut sink);
    let command = live::Command::new("true", [] as [&str; 0]);
    live::run(&command, &mut live, live::Options::default()).unwrap();
    live.finish();
    live.close().unwrap();
    drop(sink);
    assert_eq!((summary.processes_created, summary.processes_exited), (1, 1));
    assert!(summary.images >= 2 && summary.complete && !summary.stopped());
}
