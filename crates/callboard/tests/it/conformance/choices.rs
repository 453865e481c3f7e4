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
    Answer("machine-type-mismatch", "zero", "structures", NEW,
        "FAIL", "C12: such an image has MachineTypeMismatch (got 0x0, expected 0x1)"),
    Answer("image-names", "short", "structures", NEW,
        "FAIL", "a DLL has a device path since Windows 10 (got false, expected true)"),
    Answer("thread-create-context", "new-thread", "context", NEW,
        "FAIL", "C9: thread creation is told in the creator's thread, not the new one (got false, expected true)"),
    Answer("thread-routine-irql", "apc", "context", NEW,
        "FAIL", "C10: usually at PASSIVE_LEVEL (got 0x1, expected 0x0)"),
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
