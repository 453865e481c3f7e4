//! Registration, removal and events at once, on every profile.

use callboard::Profile;

use super::suite::{EXIT_STATUS, Suite};

const PROCESSES: usize = 50;

#[test]
fn r_reg_10_r_rm_01_r_race_01_races_conform_on_every_profile() {
    for profile in Profile::ALL {
        let mut suite = Suite::load("races", profile, |_| {});
        // While a thread of the driver registers and removes all the time.
        for _ in 0..PROCESSES {
            let process = suite.bench.process(r"C:\Conformance\conformance-race.exe").create().unwrap();
            suite.bench.exit_process(&process, EXIT_STATUS).unwrap();
        }
        let said = suite.end();
        assert_eq!(said.note("processes"), PROCESSES);
        said.passes(37).covers(&[
            "S-PROCEX-4",
            "R-REG-10",
            "R-RM-01",
            "R-RM-02",
            "R-RM-03",
            "R-RM-04",
            "R-RACE-01",
            "R-RACE-04",
            "R-RACE-05",
            "R-RACE-06",
            "R-RACE-08",
            "R-RACE-09",
            "R-UNL-06",
        ]);
    }
}
