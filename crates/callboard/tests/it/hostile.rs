//! A driver that issues raw Linux system calls fails at each.

use crate::support::{can_trace, run_with};

#[test]
fn a_hostile_driver_gets_out_nowhere() {
    if !can_trace() {
        return;
    }
    let run = run_with("hostile", &[], &["true"]);
    let lines = run.lines();
    assert!(!lines.iter().any(|line| line.contains("ESCAPED")), "{lines:#?}");
    for call in ["open", "socket", "execve", "kill", "ptrace", "fork"] {
        assert!(
            lines.iter().any(|line| line.contains(&format!(" {call}"))),
            "{call} was not tried: {lines:#?}"
        );
    }
    let done =
        lines.iter().find(|line| line.starts_with("hostile: done")).expect("the driver went on to its end");
    assert!(done.ends_with("escaped=0"), "{done}");
}
