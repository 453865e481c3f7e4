//! The other answers to contested points: a driver notices each of them.
//!
//! The checks expect the default answers, so another one turns checks red, or a `todo` to its other outcome. Which also
//! shows that these checks can fail.

use callboard::Profile;

use super::context::act as context;
use super::structures::act as structures;
use super::suite::Suite;

/// A switch, its other value, the suite and the profile, and the line that says so.
struct Answer(&'static str, &'static str, &'static str, Profile, &'static str, &'static str);

const NEW: Profile = Profile::Win11_24H2;

#[rustfmt::skip]
const ANSWERS: &[Answer] = &[
    Answer("unregistered-process-routine", "invalid-parameter", "registration", NEW,
        "FAIL", "C2: removing a process routine that is not registered (got 0xc000000d, expected 0xc000007a)"),
    Answer("process-routine-module", "unchecked", "registration", NEW,
        "FAIL", "C3: a plain process routine that lies in no module (got 0x0, expected 0xc0000022)"),
    Answer("thread-routine-integrity", "unchecked", "registration-nointegrity", NEW,
        "FAIL", "the Ex thread form is denied to an image without FORCE_INTEGRITY (got 0x0, expected 0xc0000022)"),
    Answer("image-routine-limit", "8", "registration", NEW,
        "FAIL", "64 slots for image routines since Windows 10 (got false, expected true)"),
    Answer("thread-routine-limit", "by-profile", "registration", Profile::Win7Sp1,
        "todo", "64 slots for thread routines before Windows 10 (does not hold)"),
    Answer("newest-routines", "server", "registration", Profile::Win10_1703,
        "FAIL", "PsSetLoadImageNotifyRoutineEx since 1709 (got 0x1, expected 0x0)"),
    Answer("newest-routines", "server", "registration", Profile::Win10_1607,
        "FAIL", "PsSetCreateProcessNotifyRoutineEx2 since 1703 (got 0x1, expected 0x0)"),
    Answer("unknown-thread-type", "insufficient-resources", "registration", NEW,
        "FAIL", "an unknown type of thread routine (got 0xc000009a, expected 0xc000000d)"),
    Answer("parent-without-inheritance", "null", "structures", NEW,
        "FAIL", "C6: ParentProcessId is set (got false, expected true)"),
    Answer("refused-thread", "told", "structures", NEW,
        "todo", "C13: the first thread of a refused process is announced (holds)"),
    Answer("refused-images", "told", "structures", NEW,
        "FAIL", "a refused process maps no image for itself (got 0x2, expected 0x0)"),
    Answer("refused-exit", "silent", "structures", NEW,
        "FAIL", "one call for the exit, of each routine (got 0x0, expected 0x1)"),
    Answer("machine-type-mismatch", "zero", "structures", NEW,
        "FAIL", "C12: such an image has MachineTypeMismatch (got 0x0, expected 0x1)"),
    Answer("image-names", "short", "structures", NEW,
        "FAIL", "a DLL has a device path since Windows 10 (got false, expected true)"),
    Answer("thread-create-context", "new-thread", "context", NEW,
        "FAIL", "C9: thread creation is told in the creator's thread, not the new one (got false, expected true)"),
    Answer("thread-routine-irql", "apc", "context", NEW,
        "FAIL", "C10: usually at PASSIVE_LEVEL (got 0x1, expected 0x0)"),
    Answer("wow64-ntdll", "late", "context", NEW,
        "FAIL", "C5: the 32-bit ntdll comes before wow64.dll (got 0x1, expected 0x0)"),
    Answer("lock-at-process-start", "held", "context", Profile::Win7Sp1,
        "FAIL", "executable and both ntdll: without the lock of Windows 7 (got false, expected true)"),
    Answer("non-system-exit", "told", "context", NEW,
        "FAIL", "type NonSystem is told of starts only (got false, expected true)"),
    Answer("non-system-kernel-threads", "told", "registration", NEW,
        "FAIL", "of a system thread type Subsystems is told and type NonSystem is not (got false, expected true)"),
    Answer("clones", "told", "context", NEW,
        "FAIL", "C14: a clone's creation is told to nobody (got 0x2, expected 0x1)"),
];

#[test]
fn the_other_answers_to_contested_points_are_noticed() {
    for Answer(switch, value, name, profile, kind, line) in ANSWERS {
        let mut suite = Suite::load(name, *profile, |config| config.choices.set(switch, value).unwrap());
        match *name {
            "structures" => structures(&mut suite, *profile),
            "context" => context(&mut suite),
            _ => {}
        }
        let said = suite.end_otherwise();
        let lines: Vec<_> = said.of(kind).collect();
        assert!(said.has(kind, line), "{switch} = {value} was not noticed: {lines:#?}");
    }
}
