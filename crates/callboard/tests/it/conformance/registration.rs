//! Registration and removal, as a driver finds them on every profile.

use callboard::Profile;
use callboard::bench::LowPool;
use kernel::choices::DuplicateProcessRoutine;

use super::suite::{Said, Suite};

fn run(name: &str, profile: Profile, accept_duplicates: bool) -> Said {
    let mut suite = Suite::load(name, profile, |config| {
        if accept_duplicates {
            config.choices.duplicate_process_routine = DuplicateProcessRoutine::Accept;
        }
    });
    suite.phase(1);
    suite.bench.set_low_pool(LowPool::ALL).unwrap();
    suite.phase(2);
    suite.bench.set_low_pool(LowPool::PLENTY).unwrap();
    suite.end()
}

/// What the driver found out about the tables, exactly: on a bench nobody else has registered.
fn has_the_slots_of(said: &Said, profile: Profile) {
    assert_eq!(said.note("image-slots"), profile.image_routine_limit(), "{profile}");
    assert_eq!(said.note("thread-slots"), profile.thread_routine_limit(), "{profile}");
    assert_eq!(said.note("process-slots"), profile.process_routine_limit(), "{profile}");
}

#[test]
fn r_reg_05_r_reg_11_registration_conforms_on_every_profile() {
    for profile in Profile::ALL {
        let said = run("registration", profile, false);
        said.passes(83).covers(&[
            "S-IMGEX-6",
            "R-REG-01",
            "R-REG-05",
            "R-REG-06",
            "R-REG-07",
            "R-REG-08",
            "R-REG-09",
            "R-REG-11",
            "R-REG-14",
            "R-REG-16",
            "R-INT-02",
            "R-RACE-01",
            "R-RACE-05",
            "R-RM-01",
        ]);
        assert_eq!(said.note("build"), profile.build() as usize);
        has_the_slots_of(&said, profile);
        if profile >= Profile::Win10_1507 {
            said.covers(&["R-INT-01"]);
        }
        if profile >= Profile::Win10_1709 {
            said.passes(119).covers(&["R-REG-02", "R-REG-15", "R-EXIT-07"]);
        }
    }
}

#[test]
fn r_int_01_r_reg_12_registration_conforms_without_force_integrity() {
    for profile in Profile::ALL {
        let said = run("registration-nointegrity", profile, false);
        said.passes(80).covers(&["S-IMGEX-6", "R-INT-01", "R-INT-02", "R-INT-03", "R-REG-12", "R-REG-13"]);
        assert_eq!(said.note("integrity"), 0);
        has_the_slots_of(&said, profile);
    }
}

#[test]
fn a_program_reads_the_same_of_a_suite_as_is_printed() {
    let mut suite = Suite::load("registration", Profile::Win11_24H2, |_| {});
    // The suite ends, and says so, before it is unloaded.
    suite.phase(0);
    let ([checks, failures, todos, skips], log) = (suite.counters(), suite.log());
    let said = suite.end();
    assert_eq!(log.lines().collect::<Vec<_>>(), said.lines);
    let done = format!(
        "conformance: done registration checks={checks} failures={failures} todo={todos} skips={skips}"
    );
    assert_eq!(said.lines.last(), Some(&done));
    assert!(checks > 90 && failures == 0);
}

#[test]
fn r_reg_07_r_reg_14_both_answers_to_c1_conform() {
    const REFUSED: &str = "C1: a process routine that is registered already";
    const ACCEPTED: &str =
        "C1: a process routine that is registered already is accepted, as observed (holds)";
    let documented = run("registration", Profile::Win11_24H2, false);
    assert!(documented.has("ok", REFUSED) && !documented.has("todo", ACCEPTED));
    let observed = run("registration", Profile::Win11_24H2, true);
    observed.passes(119);
    assert!(observed.has("todo", ACCEPTED) && !observed.has("ok", REFUSED));
}
