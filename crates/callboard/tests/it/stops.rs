//! Bug checks, hangs and dead hosts: the command is let go, and what was recorded is kept.

use serde_json::Value;

use crate::support::{Run, can_trace, run_with};

/// Runs the driver that stops in a given way; the command goes on whatever the driver does.
fn stop(mode: &str) -> Run {
    let setting = format!("Mode={mode}");
    run_with("bsod", &["--set", &setting, "--watchdog", "1"], &["sh", "-c", "/bin/true; echo went on"])
}

/// It stopped with this code, after everything before was recorded, and the command went on.
fn stopped_with(mode: &str, code: &str) -> Value {
    let run = stop(mode);
    assert_eq!(run.code, 120, "{mode}: {}", run.stderr);
    assert_eq!(run.stdout, "went on\n", "{mode}");
    assert!(!run.of("driver_start").is_empty(), "{mode}: nothing from before the stop was kept");
    let stop = run.one("stop").clone();
    assert_eq!(stop["bug_check"], code, "{mode}: {stop:#}");
    assert!(run.stderr.contains("STOP"), "{mode}: a stop is shown on the terminal too: {}", run.stderr);
    stop
}

#[test]
fn a_null_read_in_a_callback_is_0x3b_with_the_drivers_stack() {
    if !can_trace() {
        return;
    }
    let stop = stopped_with("null-read-at-create", "0x0000003B");
    assert_eq!(stop["parameters"][0], "0xc0000005", "{stop:#}");
    assert!(
        stop["stack"][0]["symbol"].as_str().is_some_and(|symbol| symbol.contains("OnProcess")),
        "{stop:#}"
    );
    assert!(stop["stack"][0]["module"] == "bsod.sys", "{stop:#}");
}

#[test]
fn other_faults_in_a_callback() {
    if !can_trace() {
        return;
    }
    assert_eq!(stopped_with("divide-by-zero-at-create", "0x0000003B")["parameters"][0], "0xc0000094");
    assert_eq!(stopped_with("breakpoint-at-create", "0x0000003B")["parameters"][0], "0x80000003");
    // Code at an address of the kernel's half, where nothing is: no handler could catch that.
    stopped_with("jump-to-garbage-at-create", "0x00000050");
    stopped_with("stack-overflow-at-create", "0x0000007F");
    stopped_with("double-free-at-create", "0x000000C2");
}

#[test]
fn a_drivers_own_bug_check_has_its_parameters() {
    if !can_trace() {
        return;
    }
    stopped_with("bug-check-at-create", "0x000000E2");
}

#[test]
fn a_fault_in_driver_entry_is_0x7e_and_the_command_does_not_start() {
    if !can_trace() {
        return;
    }
    let run = stop("null-write-at-entry");
    assert_eq!((run.code, run.stdout.as_str()), (120, ""), "{}", run.stderr);
    assert_eq!(run.one("stop")["bug_check"], "0x0000007E");
}

#[test]
fn a_routine_that_is_not_there_is_named() {
    if !can_trace() {
        return;
    }
    let run = stop("unimplemented-import-at-entry");
    assert_eq!(run.code, 120);
    let stop = run.one("stop");
    assert!(stop["message"].as_str().is_some_and(|message| message.contains("HeadlessDispatch")), "{stop:#}");
    assert!(run.of("driver_load")[0]["missing_imports"].to_string().contains("HeadlessDispatch"));
}

#[test]
fn a_hang_is_ended_by_the_watchdog_which_names_the_routine() {
    if !can_trace() {
        return;
    }
    let run = stop("hang-at-create");
    assert_eq!((run.code, run.stdout.as_str()), (120, "went on\n"), "{}", run.stderr);
    let stop = run.one("stop");
    assert_eq!(stop["kind"], "hang");
    assert!(stop["message"].as_str().is_some_and(|message| message.contains("bsod.sys+0x")), "{stop:#}");
}

#[test]
fn r_rm_05_a_routine_that_removes_itself_is_a_deadlock() {
    if !can_trace() {
        return;
    }
    let run = stop("remove-itself-at-create");
    assert_eq!((run.code, run.stdout.as_str()), (120, "went on\n"), "{}", run.stderr);
    let stop = run.one("stop");
    assert_eq!(stop["kind"], "hang");
    assert!(stop["message"].as_str().is_some_and(|message| message.contains("L-08")), "{stop:#}");
}

#[test]
fn l_13_an_irql_that_is_not_lowered_is_a_finding() {
    if !can_trace() {
        return;
    }
    let run = stop("raised-irql-at-create");
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.of("finding").iter().any(|finding| finding["rule"] == "L-13"), "{:#?}", run.records);
}

#[test]
fn l_17_pool_that_is_not_freed_is_a_leak() {
    if !can_trace() {
        return;
    }
    let run = stop("pool-leak-at-unload");
    assert_eq!(run.code, 0, "{}", run.stderr);
    let leak = run.one("leak");
    assert!(leak.to_string().contains("Bsod"), "{leak}");
}

#[test]
fn driver_entry_that_fails_is_122() {
    if !can_trace() {
        return;
    }
    let run = stop("fail-at-entry");
    assert_eq!((run.code, run.stdout.as_str()), (122, ""), "{}", run.stderr);
    assert!(run.stderr.contains("DriverEntry"), "{}", run.stderr);
}

#[test]
fn a_killed_host_loses_nothing_that_was_recorded() {
    if !can_trace() {
        return;
    }
    // The command itself kills the host: it is a child of callboard by the name of callboard-host.
    let script = "for p in /proc/[0-9]*; do \
                    if [ \"$(cat $p/comm 2>/dev/null)\" = callboard-host ] \
                       && [ \"$(awk '/^PPid/{print $2}' $p/status)\" = $PPID ]; then kill -9 ${p#/proc/}; fi; \
                  done; sleep 0.1; /bin/true; echo went on";
    let run = run_with("minimal", &[], &["sh", "-c", script]);
    assert_eq!((run.code, run.stdout.as_str()), (120, "went on\n"), "{}", run.stderr);
    let stop = run.one("stop");
    assert_eq!(stop["kind"], "host_died", "{stop:#}");
    assert!(
        run.of("process_create").iter().any(|record| record.to_string().contains("awk")),
        "{:#?}",
        run.records
    );
}
