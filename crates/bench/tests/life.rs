//! Processes, threads and images as drivers are told of them.

use bench::{
    Architecture, Bench, Body, Choices, EventKind, Family, NTSTATUS, Profile, STATUS_ACCESS_DENIED,
    STATUS_SUCCESS, Value,
};

const SENSOR: &[u8] = include_bytes!("../../../drivers/bin/sensor.sys");

fn bench_that_denies(pattern: &str) -> Bench {
    let mut bench = Bench::new(Profile::Win11_24H2).expect("a host starts");
    bench.set_value("sensor", "Deny", Value::String(pattern.into())).expect("a value is written");
    bench.load_bytes("sensor", SENSOR).expect("the sensor loads");
    bench
}

/// The events that reached the kernel, in short.
fn events(bench: &Bench) -> Vec<String> {
    let event = |record: &bench::Record<'_>| match &record.body {
        Body::Event(event) => Some(match &event.kind {
            EventKind::ProcessPresent(_) => "present".to_owned(),
            EventKind::ProcessClone(_) => "clone".to_owned(),
            EventKind::ProcessCreate(_) => "create".to_owned(),
            EventKind::ProcessExit(_) => "exit".to_owned(),
            EventKind::ThreadCreate(_) => "thread".to_owned(),
            EventKind::ThreadExit(_) => "thread exit".to_owned(),
            EventKind::ImageLoad(image) => {
                image.name.as_ref().map_or("?".into(), |name| name.file_name().to_owned())
            }
        }),
        _ => None,
    };
    bench.records().iter().filter_map(event).collect()
}

#[test]
fn r_ord_01_a_process_is_told_in_nt_s_order() {
    let mut bench = bench_that_denies("*evil.exe");
    let shell = bench.shell().unwrap();
    let child = bench.process(r"C:\Windows\System32\cmd.exe").parent(shell).create().unwrap();
    bench.create_thread(&child, child).unwrap();
    bench.exit_process(&child, STATUS_SUCCESS).unwrap();
    assert_eq!(
        events(&bench),
        [
            "present",
            "create",
            "thread",
            "cmd.exe",
            "ntdll.dll",
            "thread",
            "thread exit",
            "thread exit",
            "exit"
        ]
    );
    let families: Vec<_> = bench.notices().iter().map(|notice| notice.family).collect();
    assert_eq!(families.first(), Some(&Family::Process));
    assert_eq!(families.last(), Some(&Family::Process));
    bench.finish().unwrap();
}

#[test]
fn r_veto_02_the_creator_gets_the_driver_s_status_and_r_veto_07_the_exit_is_told() {
    let mut bench = bench_that_denies("*evil.exe");
    let error = bench.process(r"C:\Temp\evil.exe").create().unwrap_err();
    let refused = error.refused().unwrap();
    assert_eq!((refused.status, refused.service.as_deref()), (STATUS_ACCESS_DENIED, Some("sensor")));
    assert_eq!(events(&bench), ["present", "create", "exit"]);
    assert_eq!(bench.verdicts().len(), 1);
}

#[test]
fn r_veto_02_on_the_two_step_path_inserting_the_first_thread_is_refused() {
    let mut bench = bench_that_denies("*evil.exe");
    let other = bench.process(r"C:\Windows\System32\svchost.exe").existing().create().unwrap();
    let hollow = bench.process(r"C:\Temp\evil.exe").from_section().create().unwrap();
    assert_eq!(events(&bench), ["present", "present", "present"], "nobody is told before the first thread");
    let error = bench.create_thread(&hollow, other).unwrap_err();
    assert_eq!(error.status(), Some(STATUS_ACCESS_DENIED));
    assert_eq!(events(&bench)[3..], ["create", "exit"]);
}

#[test]
fn r_ord_02_a_suspended_process_maps_nothing_before_it_is_resumed() {
    let mut bench = bench_that_denies("*evil.exe");
    let child = bench.process(r"C:\x.exe").suspended().create().unwrap();
    assert_eq!(events(&bench), ["present", "create", "thread"]);
    bench.resume(&child).unwrap();
    bench.resume(&child).unwrap();
    assert_eq!(events(&bench)[3..], ["x.exe", "ntdll.dll"]);
}

#[test]
fn r_wow_01_a_32_bit_process_maps_both_ntdlls_first() {
    let mut bench = bench_that_denies("*evil.exe");
    bench.process(r"C:\x.exe").architecture(Architecture::X86).create().unwrap();
    assert_eq!(
        events(&bench)[3..],
        ["x.exe", "ntdll.dll", "ntdll.dll", "wow64.dll", "wow64win.dll", "wow64cpu.dll"]
    );
}

#[test]
fn r_exit_06_an_id_is_had_again_only_after_the_exit_and_only_when_asked_for() {
    let mut bench = bench_that_denies("*evil.exe");
    let child = bench.process(r"C:\x.exe").create().unwrap();
    let taken = bench.process(r"C:\y.exe").id(child.id().0).create().unwrap_err();
    assert_eq!(taken.status(), Some(NTSTATUS::from_u32(0xC000_000D)), "it lives");
    bench.exit_process(&child, STATUS_SUCCESS).unwrap();
    let other = bench.process(r"C:\y.exe").create().unwrap();
    assert_ne!(other.id(), child.id(), "the bench gives no id twice by itself");
    let again = bench.process(r"C:\z.exe").id(child.id().0).create().unwrap();
    assert_eq!(again.id(), child.id());
}

#[test]
fn r_wow_01_c5_the_32_bit_ntdll_can_come_late() {
    let mut choices = Choices::default();
    choices.set("wow64-ntdll", "late").unwrap();
    let mut bench = Bench::builder().choices(choices).start().unwrap();
    bench.process(r"C:\x.exe").architecture(Architecture::X86).create().unwrap();
    assert_eq!(
        events(&bench)[3..],
        ["x.exe", "ntdll.dll", "wow64.dll", "wow64win.dll", "wow64cpu.dll", "ntdll.dll"]
    );
}

#[test]
fn r_veto_07_r_veto_08_r_veto_09_what_is_told_of_a_refused_process_is_the_kernel_s_choice() {
    let told = |switches: &[(&str, &str)]| {
        let mut choices = Choices::default();
        for (name, value) in switches {
            choices.set(name, value).unwrap();
        }
        let mut bench = Bench::builder().choices(choices).start().unwrap();
        bench.set_value("sensor", "Deny", Value::String("*evil.exe".into())).unwrap();
        bench.load_bytes("sensor", SENSOR).unwrap();
        let error = bench.process(r"C:\Temp\evil.exe").create().unwrap_err();
        assert_eq!(error.status(), Some(STATUS_ACCESS_DENIED));
        let notices = bench.notices().iter().map(|notice| notice.family).collect::<Vec<_>>();
        (events(&bench)[1..].to_vec(), notices)
    };
    use Family::{Image, Process, Thread};
    assert_eq!(told(&[]), (vec!["create".to_owned(), "exit".into()], vec![Process, Process]));
    let all = told(&[("refused-thread", "told"), ("refused-images", "told")]);
    assert_eq!(all.0, ["create", "thread", "evil.exe", "ntdll.dll", "thread exit", "exit"]);
    assert_eq!(all.1, [Process, Thread, Image, Image, Thread, Process]);
    assert_eq!(told(&[("refused-exit", "silent")]).1, [Process]);
}

#[test]
fn what_has_exited_does_nothing_any_more() {
    let mut bench = bench_that_denies("*evil.exe");
    let child = bench.process(r"C:\x.exe").create().unwrap();
    let view = bench.map_image(&child, r"C:\x.dll").unwrap();
    bench.unmap_image(&view).unwrap();
    let status = |status: u32| Some(NTSTATUS::from_u32(status));
    assert_eq!(bench.unmap_image(&view).unwrap_err().status(), status(0xC000_0019));
    assert_eq!(bench.map_image(&child, r"C:\x.dll").unwrap(), view, "at the same address again");
    assert_eq!(
        bench.image(&child, r"C:\y.dll").base(view.base()).map().unwrap_err().status(),
        status(0xC000_0018)
    );
    bench.exit_process(&child, STATUS_SUCCESS).unwrap();
    assert_eq!(bench.exit_process(&child, STATUS_SUCCESS).unwrap_err().status(), status(0xC000_010A));
    assert_eq!(bench.create_thread(&child, child).unwrap_err().status(), status(0xC000_010A));
    assert_eq!(bench.process(r"C:\y.exe").parent(child).create().unwrap_err().status(), status(0xC000_004B));
}
