//! L-14: what a driver takes and does not give back, in every way that `l-14-bad` knows, and its twin.

use std::path::Path;

use bench::{Bench, Leak, LeakKind, Profile, STATUS_SUCCESS, Value};
use event::{Finding, Severity};

/// The lives of three processes under a driver, and its unload.
fn live(name: &str, mode: Option<&str>) -> Bench {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    if let Some(mode) = mode {
        bench.set_value("rule", "Mode", Value::String(mode.into())).unwrap();
    }
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../drivers/bin/rules"));
    bench.load("rule", folder.join(name)).unwrap();
    for _ in 0..3 {
        let process = bench.process(r"C:\Windows\System32\cmd.exe").create().unwrap();
        bench.exit_process(&process, STATUS_SUCCESS).unwrap();
    }
    bench.finish().unwrap();
    bench
}

/// The one finding of a mode, which is of the driver's own code, and its leak.
fn only(mode: &str) -> (Finding<'static>, Vec<Leak<'static>>) {
    let bench = live("l-14-bad.sys", Some(mode));
    let findings = bench.findings();
    let [finding] = findings[..] else { panic!("{mode}: {findings:#?}") };
    assert_eq!((&*finding.rule, finding.severity), ("L-14", Severity::Error), "{mode}: {finding:#?}");
    let own = finding.stack.iter().any(|frame| frame.module.as_deref() == Some("l-14-bad.sys"));
    assert!(own, "{mode}: {finding:#?}");
    (finding.clone(), bench.leaks().into_iter().cloned().collect())
}

/// Whether something is found in a mode that says all of `parts`, and what leaks is `count` of a kind.
fn leaks(mode: &str, parts: &[&str], kind: LeakKind, count: u64) {
    let (finding, leaks) = only(mode);
    for part in parts {
        assert!(finding.message.contains(part), "{mode}: {part}: {finding:#?}");
    }
    assert!(finding.message.contains("l-14-bad.sys+0x"), "{mode} says where: {finding:#?}");
    assert_eq!(finding.bug_check, None, "Windows says nothing");
    assert_eq!(
        leaks.iter().map(|leak| (leak.kind, leak.count)).collect::<Vec<_>>(),
        [(kind, count)],
        "{mode}"
    );
}

#[test]
fn l_14_a_process_that_was_looked_up_and_never_given_back_is_found_with_where() {
    let parts = [
        "3 reference(s) on 3 object(s) of type Process",
        "(3 of them exited, and cannot be freed)",
        "that PsLookupProcessByProcessId at",
        "call ObDereferenceObject once for each",
    ];
    leaks("process", &parts, LeakKind::Other, 3);
}

#[test]
fn l_14_threads_and_tokens_are_found_each_with_what_gives_it_back() {
    let parts = ["of type Thread", "that PsLookupThreadByThreadId at", "call ObDereferenceObject"];
    leaks("thread", &parts, LeakKind::Other, 3);
    let parts = ["of type Token", "that PsReferencePrimaryToken at", "call PsDereferencePrimaryToken"];
    leaks("token", &parts, LeakKind::Other, 3);
}

#[test]
fn l_14_handles_that_are_open_at_the_unload_are_found_with_where() {
    let parts = ["3 handle(s) to objects of type Event", "call ZwClose once for each"];
    leaks("handle", &parts, LeakKind::Handle, 3);
}

#[test]
fn l_14_names_of_files_and_images_are_found_each_with_what_gives_it_back() {
    let parts = ["FltGetFileNameInformationUnsafe at", "call FltReleaseFileNameInformation once for each"];
    let (finding, left) = only("name");
    for part in parts {
        assert!(finding.message.contains(part), "{part}: {finding:#?}");
    }
    assert!(matches!(&left[..], [leak] if leak.count >= 3), "{left:#?}");
    let parts = ["3 image name(s) of SeLocateProcessImageName not freed", "call ExFreePool once for each"];
    leaks("image-name", &parts, LeakKind::Pool, 3);
}

#[test]
fn l_14_a_handle_that_is_closed_twice_is_found_when_it_is() {
    let (finding, left) = only("twice");
    assert!(finding.message.contains("it was closed before") && left.is_empty(), "{finding:#?}");
}

#[test]
fn l_14_the_twin_takes_all_of_it_keeps_one_until_its_unload_and_gives_all_back() {
    let bench = live("l-14-good.sys", None);
    assert!(bench.findings().is_empty() && bench.leaks().is_empty(), "{:#?}", bench.records());
}

#[test]
fn l_14_a_reference_that_nobody_holds_is_found_where_it_is_given_up_and_stays() {
    for mode in ["given", "again"] {
        let (finding, leaks) = only(mode);
        assert!(finding.message.contains("on the Process object at"), "{mode}: {finding:#?}");
        let check = finding.bug_check.unwrap();
        assert_eq!(check.0, 0x18, "{mode}: {finding:#?}");
        assert!(leaks.is_empty(), "{mode}: {leaks:#?}");
    }
}
