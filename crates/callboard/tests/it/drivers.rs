//! Statuses, refusals and leftovers, as real drivers see them.

use crate::support::{can_trace, driver, run_with};

fn no_failures(lines: &[&str], prefix: &str) {
    assert!(lines.iter().any(|line| line.starts_with(&format!("{prefix}: done"))), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("FAIL")), "{lines:#?}");
}

#[test]
fn r_reg_05_r_reg_06_r_reg_11_every_status_of_registration() {
    if !can_trace() {
        return;
    }
    let run = run_with("statuses", &[], &["true"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let lines = run.lines();
    no_failures(&lines, "statuses");
    // The 65th image routine, a bad flag, the 65th process routine: each was tried, not skipped.
    for got in ["0xC000009A", "0xC00000F0", "0xC000000D", "0xC000007A"] {
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("statuses: ok") && line.ends_with(&format!("got={got}"))),
            "{got}: {lines:#?}"
        );
    }
}

#[test]
fn r_int_01_without_force_integrity_the_ex_forms_are_denied() {
    if !can_trace() {
        return;
    }
    let run = run_with("statuses-nointegrity", &[], &["true"]);
    let lines = run.lines();
    no_failures(&lines, "statuses");
    assert!(lines.contains(&"statuses: integrity=0"));
    assert!(
        lines.iter().any(|line| line.starts_with("statuses: ok") && line.ends_with("got=0xC0000022")),
        "{lines:#?}"
    );
}

#[test]
fn r_int_02_a_driver_sets_and_clears_the_bit_in_its_loader_entry() {
    if !can_trace() {
        return;
    }
    let run = run_with("loader-flag", &[], &["true"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let expected = [
        "loader-flag: as-loaded flag=0 status=0xC0000022",
        "loader-flag: set flag=1 status=0x00000000",
        "loader-flag: cleared flag=0 status=0xC0000022",
        "loader-flag: removed status=0x00000000",
    ];
    assert_eq!(run.lines(), expected);
    let forced = run_with("loader-flag", &["--force-integrity"], &["true"]);
    assert_eq!(forced.lines()[0], "loader-flag: as-loaded flag=1 status=0x00000000");
}

#[test]
fn r_int_04_an_unsigned_driver_fails_to_load_where_signatures_are_checked() {
    let choose = ["--choose", "code-integrity=embedded"];
    if !can_trace() {
        return;
    }
    let run = run_with("minimal", &choose, &["sh", "-c", "echo ran"]);
    assert_eq!((run.code, run.stdout.as_str()), (121, ""), "{}", run.stderr);
    assert!(run.of("driver_load").is_empty() && run.lines().is_empty(), "{:#?}", run.records);
    for part in ["/INTEGRITYCHECK", "code-integrity", "no embedded signature"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    let signed = concat!(env!("CARGO_MANIFEST_DIR"), "/../pe-image/tests/data/signed-minimal.sys");
    for profile in bench::Profile::ALL {
        let mut choices = bench::Choices::default();
        choices.set("code-integrity", "embedded").unwrap();
        let mut bench = bench::Bench::builder().profile(profile).choices(choices).start().unwrap();
        let refused = bench.load("minimal", driver("minimal")).unwrap_err();
        assert_eq!(refused.status(), Some(bench::NTSTATUS::from_u32(0xC000_0428)), "{profile}");
        let loaded = bench.load("signed", signed).unwrap();
        bench.unload(loaded).unwrap();
        bench.load("unchecked", driver("loader-flag")).unwrap();
    }
}

#[test]
fn r_veto_04_r_veto_05_the_chain_is_not_cut_and_the_last_writer_wins() {
    if !can_trace() {
        return;
    }
    let run = run_with("veto-chain", &[], &["sh", "-c", "/bin/true; echo $?"]);
    let lines = run.lines();
    no_failures(&lines, "veto-chain");
    assert_eq!(run.stdout, "126\n", "{lines:#?}");
    let denied = lines.iter().position(|line| line.starts_with("veto-chain: first denies")).unwrap();
    assert!(
        lines[denied + 1].starts_with("veto-chain: second pid=")
            && lines[denied + 1].ends_with("status=0xC0000022"),
        "{lines:#?}"
    );
}

#[test]
fn r_unl_02_a_routine_left_behind_is_a_predicted_0xce() {
    if !can_trace() {
        return;
    }
    let run = run_with("leaves-routine", &[], &["true"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let finding = run.one("finding").to_string();
    for part in ["L-18", "0x000000CE", "leaves-routine.sys+0x", "ForgottenRoutine", "with Remove TRUE"] {
        assert!(finding.contains(part), "{part}: {finding}");
    }
    assert!(run.one("leak").to_string().contains("process notify routine"));
    assert!(finding.contains("in DriverUnload, call"), "{finding}");
    let strict = run_with("leaves-routine", &["--fail-on-findings"], &["true"]);
    assert_eq!(strict.code, 124);
}

#[test]
fn r_unl_05_the_routine_of_a_driver_that_did_not_start_has_its_name() {
    if !can_trace() {
        return;
    }
    let run = run_with("rules/registration-bad", &["--set", "Mode=entry-fails"], &["true"]);
    assert_eq!(run.code, 122, "{}", run.stderr);
    let finding = run.one("finding").to_string();
    for part in ["L-18", "0x000000CE", "registration-bad.sys+0x", "OnProcess", "before DriverEntry returns"] {
        assert!(finding.contains(part), "{part}: {finding}");
    }
}

#[test]
fn r_img_02_r_exit_01_a_driver_reads_the_memory_of_the_process_it_is_told_of() {
    if !can_trace() {
        return;
    }
    let run = run_with("reads-image", &[], &["sh", "-c", "/bin/true; ls /dev/null"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let lines = run.lines();
    let of = |what: &str| lines.iter().filter(|line| line.contains(what)).copied().collect::<Vec<_>>();
    let images = run.of("image_load").len();
    assert!(images >= 6 && of("reads-image: ok").len() == images, "{lines:#?}");
    // "\x7fELF", read by an instruction of the driver and by a routine of the kernel.
    assert!(
        of("reads-image: ok").iter().all(|line| line.contains("magic=0x464C457F next=0x0")),
        "{lines:#?}"
    );
    assert_eq!(of("reads-image: exit").len(), 3);
    assert!(
        of("reads-image: exit").iter().all(|line| line.ends_with("magic=0x464C457F valid=1")),
        "{lines:#?}"
    );
    assert!(of("reads-image: null").iter().all(|line| line.ends_with("valid=0")));
}

/// Who registers: a driver without a device, and the two that stand above another's device, of which one is in the middle.
fn callers(profile: bench::Profile) -> Vec<String> {
    let mut bench = bench::Bench::builder().profile(profile).start().unwrap();
    bench.load("bottom", driver("device")).unwrap();
    bench.load("middle", driver("caller")).unwrap();
    bench.load("top", driver("caller")).unwrap();
    bench.set_value("alone", "Mode", bench::Value::String("alone".into())).unwrap();
    bench.load("alone", driver("caller")).unwrap();
    let file = bench.open(r"\\.\CallboardDevice").unwrap();
    // The lowest driver knows nothing of this code; those above it do.
    bench.ioctl(&file, 0x22_2100, &[], 0).unwrap();
    bench.close(file).unwrap();
    bench.process(r"C:\a.exe").create().unwrap();
    bench.finish().unwrap();
    assert!(bench.findings().is_empty() && bench.leaks().is_empty(), "{profile}");
    let lines = bench.records().iter().filter_map(|record| match &record.body {
        bench::Body::Debug { text, .. } => text.strip_prefix("caller: ").map(str::to_owned),
        _ => None,
    });
    lines.collect()
}

#[test]
fn s_imgex_7_s_procex_9_a_driver_may_register_from_wherever_it_stands() {
    for profile in bench::Profile::ALL {
        let registered = "process=0x00000000 image=0x00000000";
        let told = |what: &str| ["alone", "top", "middle"].map(|who| format!("{who} told {what}"));
        let registered = [
            format!("alone above=0 below=0 {registered}"),
            format!("top above=0 below=1 {registered}"),
            format!("middle above=1 below=1 {registered}"),
        ];
        // A process, its executable and ntdll.
        let expected = [registered, told("process"), told("image"), told("image")].concat();
        assert_eq!(callers(profile), expected, "{profile}");
    }
}
