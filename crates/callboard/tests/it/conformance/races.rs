//! Registration, removal and events at once, on every profile.

use callboard::Profile;

use super::suite::Suite;

#[test]
fn r_reg_10_r_rm_01_r_race_01_races_conform_on_every_profile() {
    for profile in Profile::ALL {
        let said = Suite::load("races", profile, |_| {}).end();
        said.passes(31).covers(&[
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
