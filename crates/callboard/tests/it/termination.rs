//! Processes that a driver terminates, in a bench and on this machine.

use bench::{Bench, Body, EventKind, NTSTATUS, Profile, Value};

use crate::support::{can_trace, driver, run_with};

/// STATUS_VIRUS_INFECTED, as the driver has it.
const DOOM: NTSTATUS = NTSTATUS::from_u32(0xC000_0906);

/// A bench with the driver, which terminates in that way.
fn bench(profile: Profile, mode: &str) -> Bench {
    let mut bench = Bench::builder().profile(profile).start().unwrap();
    bench.set_value("terminates", "Mode", Value::String(mode.into())).unwrap();
    bench.load("terminates", driver("terminates")).unwrap();
    bench
}

/// What happened to the second process of a bench on, in short.
fn story(bench: &Bench, process: bench::ProcessId) -> Vec<String> {
    let tell = |body: &Body<'_>| match body {
        Body::Termination { process: it, status, driver } if *it == process => {
            Some(format!("terminated {status:?} by a driver: {}", driver.is_some()))
        }
        Body::Event(event) if event.process() == process => Some(match &event.kind {
            EventKind::ProcessCreate(_) => "create".into(),
            EventKind::ThreadCreate(_) => "thread".into(),
            EventKind::ImageLoad(image) => image.name.as_ref().unwrap().file_name().to_owned(),
            EventKind::ThreadExit(exit) => format!("thread exit {:?}", exit.status),
            EventKind::ProcessExit(exit) => format!("exit {:?}", exit.status),
            other => panic!("{other:?}"),
        }),
        _ => None,
    };
    bench.records().iter().filter_map(|record| tell(&record.body)).collect()
}

#[test]
fn r_img_03_a_process_that_is_terminated_from_its_image_routine_exits_with_that_status() {
    for profile in Profile::ALL {
        let mut bench = bench(profile, "");
        let doomed = bench.process(r"C:\doomed.exe").create().unwrap();
        let expected = [
            "create".to_owned(),
            "thread".into(),
            "doomed.exe".into(),
            format!("terminated {DOOM:?} by a driver: true"),
            // Mapped by the kernel before the thread comes to user mode, where it ends.
            "ntdll.dll".into(),
            format!("thread exit {DOOM:?}"),
            format!("exit {DOOM:?}"),
        ];
        assert_eq!(story(&bench, doomed.id()), expected, "{profile}");
        let gone = bench.map_image(&doomed, r"C:\late.dll").unwrap_err();
        assert_eq!(gone.status(), Some(NTSTATUS::from_u32(0xC000_010A)), "{gone}");
        // Everybody else lives on.
        let other = bench.process(r"C:\other.exe").create().unwrap();
        bench.exit_process(&other, NTSTATUS(7)).unwrap();
        bench.finish().unwrap();
        let lines: Vec<_> = bench.records().iter().filter_map(printed).collect();
        assert!(lines[0].ends_with("status=0x00000000 again=0xC000010A"), "{lines:?}");
        assert!(
            lines[1].ends_with("status=0xC0000906") && lines[2].ends_with("status=0x00000007"),
            "{lines:?}"
        );
        assert!(bench.findings().is_empty() && bench.leaks().is_empty(), "{:?}", bench.findings());
    }
}

fn printed<'a>(record: &'a bench::Record<'_>) -> Option<&'a str> {
    match &record.body {
        Body::Debug { text, .. } => Some(text),
        _ => None,
    }
}

#[test]
fn r_img_03_a_process_that_a_thread_of_a_driver_terminates_exits_before_the_next_thing() {
    let mut bench = bench(Profile::Win11_24H2, "thread");
    let doomed = bench.process(r"C:\doomed.exe").create().unwrap();
    // The driver's thread sleeps on the virtual clock.
    bench.advance(std::time::Duration::from_secs(1)).unwrap();
    let story = story(&bench, doomed.id());
    assert_eq!(story.last(), Some(&format!("exit {DOOM:?}")), "{story:#?}");
    bench.finish().unwrap();
    assert!(bench.findings().is_empty(), "{:?}", bench.findings());
}

#[test]
fn r_img_03_the_shell_is_started_anew_when_a_driver_terminates_it() {
    let mut bench = bench(Profile::Win11_24H2, "");
    let first = bench.shell().unwrap();
    bench.map_image(&first, r"C:\doomed.exe").unwrap();
    assert_ne!(bench.shell().unwrap().id(), first.id());
    bench.process(r"C:\other.exe").create().unwrap();
}

/// A command in whose middle a program called `doomed` sleeps for a long time.
fn live(mode: &str) -> crate::support::Run {
    let directory = tempfile::tempdir().unwrap();
    let doomed = directory.path().join("doomed");
    std::fs::copy("/bin/sleep", &doomed).unwrap();
    let script = format!("{} 300; echo doomed ended with $?; /bin/true", doomed.display());
    run_with("terminates", &["--set", &format!("Mode={mode}")], &["sh", "-c", &script])
}

fn ends(run: &crate::support::Run) {
    assert_eq!((run.code, run.stdout.as_str()), (0, "doomed ended with 137\n"), "{}", run.stderr);
    let termination = run.one("termination");
    assert_eq!(termination["status"], "0xC0000906", "{termination:#}");
    let exits: Vec<_> =
        run.of("process_exit").into_iter().filter(|exit| exit["pid"] == termination["pid"]).collect();
    assert_eq!(exits.len(), 1, "{exits:#?}");
    assert_eq!(exits[0]["status"], "0xC0000906");
    let exit = run.lines().into_iter().find(|line| line.starts_with("terminates: exit")).unwrap().to_owned();
    assert!(exit.ends_with("status=0xC0000906"), "the driver is told the same: {exit}");
    assert!(run.of("finding").is_empty() && run.of("stop").is_empty());
}

#[test]
fn r_img_03_on_this_machine_a_terminated_process_never_runs() {
    if can_trace() {
        let run = live("");
        ends(&run);
        let pid = &run.one("termination")["pid"];
        let images = run.of("image_load").into_iter().filter(|image| image["pid"] == *pid).count();
        assert_eq!(images, 2, "its executable and its interpreter, and nothing that it mapped itself");
    }
}

#[test]
fn r_img_03_on_this_machine_a_process_is_terminated_while_nothing_else_happens() {
    if can_trace() {
        ends(&live("thread"));
    }
}
