//! Single requirements that take a driver with a defect, or somebody who interferes, to be seen.

use bench::{Bench, Conditions, Error, Profile, STATUS_SUCCESS, Severity, StopKind};

use crate::support::{Run, can_trace, driver, run_with};

/// A bench with one of the drivers of rules and defects.
fn bench_with(name: &str, profile: Profile) -> Bench {
    let mut bench = Bench::new(profile).unwrap();
    bench.load("subject", driver(name)).unwrap();
    bench
}

/// What a process that maps a DLL comes to, with a driver that allocates memory of it in the image routine.
fn allocates(profile: Profile) -> (Bench, Result<(), Error>) {
    let mut bench = bench_with("rules/l-06-bad", profile);
    let process = bench.process(r"C:\Windows\System32\cmd.exe").create().unwrap();
    let outcome = bench.map_image(&process, r"C:\Windows\System32\cmdext.dll").map(drop);
    bench.collect();
    (bench, outcome)
}

#[test]
fn r_lock_01_r_lock_02_s_imgcb_13_user_memory_in_an_image_routine_is_a_hang_up_to_windows_7_and_a_warning_since()
 {
    for profile in Profile::ALL {
        let (bench, outcome) = allocates(profile);
        let findings: Vec<_> = bench.findings().iter().map(|it| (it.rule.to_string(), it.severity)).collect();
        if profile < Profile::Win81 {
            // It was done under no lock twice, as the process began, which is an error there.
            assert_eq!(findings, [("L-06".to_owned(), Severity::Error)], "{profile}");
            let error = outcome.unwrap_err();
            let stop = error.stop().unwrap();
            assert_eq!(stop.kind, StopKind::Hang, "{profile}: {stop:#?}");
            assert!(stop.message.starts_with("L-06: ZwAllocateVirtualMemory"), "{}", stop.message);
        } else {
            outcome.unwrap();
            assert_eq!(findings, [("L-06".to_owned(), Severity::Warning)], "{profile}");
        }
    }
}

#[test]
fn r_ctx_03_a_thread_routine_that_wants_passive_level_is_found_at_apc_level() {
    let run = |conditions| {
        let mut bench = bench_with("bugs/bug-10", Profile::Win81);
        bench.set_conditions(conditions);
        let process = bench.process(r"C:\Windows\System32\cmd.exe").create().unwrap();
        bench.exit_process(&process, STATUS_SUCCESS).unwrap();
        bench.finish().unwrap();
        bench.findings().iter().map(|finding| finding.rule.to_string()).collect::<Vec<_>>()
    };
    assert!(run(Conditions::default()).is_empty());
    assert_eq!(run(Conditions { apc_level: true, ..Conditions::default() }), ["L-10"]);
}

#[test]
fn r_pci_04_r_fn_01_a_driver_that_does_not_look_for_null_faults() {
    let faults = |outcome: Result<(), Error>, what: &str| {
        let error = outcome.unwrap_err();
        let stop = error.stop().unwrap();
        assert_eq!((stop.code, stop.parameters[0]), (0x3B, 0xC000_0005), "{what}: {stop:#?}");
        assert!(stop.message.contains("a null pointer or a field of one"), "{what}: {}", stop.message);
        assert_eq!(stop.stack[0].module.as_deref(), Some("bug-09.sys"), "{what}");
    };
    let mut bench = bench_with("bugs/bug-09", Profile::Win11_24H2);
    let process = bench.process(r"C:\Windows\System32\cmd.exe").create().unwrap();
    faults(bench.image(&process, r"C:\a.dll").without_name().map().map(drop), "FullImageName");
    let mut bench = bench_with("bugs/bug-09", Profile::Win11_24H2);
    let quiet = bench.process(r"C:\Windows\System32\cmd.exe").without_command_line().create();
    faults(quiet.map(drop), "CommandLine");
}

/// The symbols of a stack, innermost first.
fn symbols(record: &serde_json::Value) -> Vec<&str> {
    let frames = record["stack"].as_array().unwrap();
    frames.iter().filter_map(|frame| frame["symbol"].as_str()).collect()
}

/// Where in a stack something is.
fn at(stack: &[&str], part: &str) -> usize {
    stack.iter().position(|symbol| symbol.contains(part)).unwrap_or_else(|| panic!("no {part} in {stack:?}"))
}

#[test]
fn r_rm_06_the_stop_of_a_removal_of_oneself_goes_from_the_removal_to_the_routine() {
    if !can_trace() {
        return;
    }
    let run = run_with("bsod", &["--set", "Mode=remove-itself-at-create"], &["true"]);
    assert_eq!(run.code, 120, "{}", run.stderr);
    let stack = symbols(run.one("stop"));
    assert!(at(&stack, "PsSetCreateProcessNotifyRoutineEx") < at(&stack, "OnProcess"), "{stack:?}");
}

#[test]
fn r_rm_06_r_rm_07_the_stop_of_a_circle_has_the_stack_of_each_thread_in_it() {
    if !can_trace() {
        return;
    }
    let run = run_with("circle", &[], &["true"]);
    assert_eq!(run.code, 120, "{}", run.stderr);
    assert!(run.lines().iter().all(|line| !line.contains("survived")), "{:#?}", run.lines());
    let stop = run.one("stop");
    assert_eq!(stop["kind"], "hang");
    assert!(stop["message"].as_str().unwrap().starts_with("R-RM-07: "), "{stop:#}");
    let other = run.of("finding").into_iter().find(|finding| finding["rule"] == "L-08").unwrap();
    let (mine, others) = (symbols(stop), symbols(other));
    // Which of the two comes second, and closes the circle, is for the processors to decide.
    let second = mine.iter().any(|symbol| symbol.contains("RemoveSecond"));
    let (first, second) = if second { (&mine, &others) } else { (&others, &mine) };
    assert!(at(first, "RemoveSecond") < at(first, "OnFirst"), "{first:?}");
    assert!(at(second, "RemoveFirst") < at(second, "OnSecond"), "{second:?}");
}

/// What is said of one process, in order: `create 0 called`, …
fn told(run: &Run, pid: u64) -> Vec<String> {
    let prefix = format!("slow: pid={pid} ");
    run.lines().iter().filter_map(|line| line.strip_prefix(prefix.as_str())).map(str::to_owned).collect()
}

#[test]
fn r_race_02_a_process_that_is_killed_while_its_creation_is_told_exits_after_it() {
    if !can_trace() {
        return;
    }
    // Victims leave a file if they come to run. The shell ends each a moment after it has its name and is held: its image
    // is mapped then, and its creation is told by three routines that take 200 ms each. It makes no process meanwhile.
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    std::fs::copy(std::fs::canonicalize("/usr/bin/touch").unwrap(), &victim).unwrap();
    let script = format!(
        "held() {{ while read key value; do \
           case \"$key $value\" in \"State: t\"*|\"State: Z\"*) return 0;; esac; \
         done < /proc/$1/status; return 1; }}; \
         cd {}; for i in 1 2 3; do ./victim ran$i & \
           until read name < /proc/$!/comm && [ $name = victim ] && held $!; do :; done; \
           moment=0; while [ $moment -lt 500 ]; do moment=$((moment + 1)); held $!; done; \
         kill -9 $!; wait $!; done 2> /dev/null; echo done",
        folder.path().display()
    );
    let run = run_with("slow", &[], &["sh", "-c", &script]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "done\n"), "{}", run.stderr);
    let victims: Vec<_> = run
        .of("process_create")
        .into_iter()
        .filter(|event| event["image"].as_str().is_some_and(|image| image.ends_with("/victim")))
        .filter_map(|event| event["pid"].as_u64())
        .collect();
    let in_order: Vec<_> = ["create", "exit"]
        .into_iter()
        .flat_map(|what| (0..3).map(move |slot| (what, slot)))
        .flat_map(|(what, slot)| ["called", "returns"].map(|did| format!("{what} {slot} {did}")))
        .collect();
    for &pid in &victims {
        assert_eq!(told(&run, pid), in_order, "{pid}");
    }
    let ran = std::fs::read_dir(folder.path()).unwrap().count() - 1;
    assert!(ran < victims.len(), "none was killed while its creation was told");
}
