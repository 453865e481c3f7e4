//! What registering and removing is answered with (S-IMGEX, S-PROCEX, R-REG).

use super::*;
use crate::cm::tests::text;
use crate::mm::lookup::MmGetSystemRoutineAddress;
use crate::ps::set::*;

/// An address that nothing is ever called at, different for each number.
fn somewhere(number: usize) -> usize {
    0x7000_0000 + number * 16
}

fn on_profile<T>(profile: Profile, test: impl FnOnce() -> T) -> T {
    crate::testing::with_kernel(Config { profile, ..Config::default() }, |_, _| test())
}

#[test]
fn s_imgex_8_s_imgex_9_s_procex_7_r_reg_06_a_full_table_has_a_status_for_each_family() {
    // On Windows 7 the plain process form asks for no module, so that any address will do.
    for (profile, images) in [(Profile::Win7Sp1, 8), (Profile::Win7Sp1Kb2922790, 64), (Profile::Win81, 8)] {
        // SAFETY: kernel routines called as a driver would; nothing is called.
        on_profile(profile, || unsafe {
            for number in 0..images {
                assert_eq!(PsSetLoadImageNotifyRoutine(somewhere(number)), STATUS_SUCCESS);
            }
            assert_eq!(PsSetLoadImageNotifyRoutine(somewhere(99)), STATUS_INSUFFICIENT_RESOURCES);
            for number in 0..64 {
                assert_eq!(PsSetCreateProcessNotifyRoutine(somewhere(number), 0), STATUS_SUCCESS);
                assert_eq!(PsSetCreateThreadNotifyRoutine(somewhere(number)), STATUS_SUCCESS);
            }
            assert_eq!(PsSetCreateProcessNotifyRoutine(somewhere(99), 0), STATUS_INVALID_PARAMETER);
            assert_eq!(PsSetCreateThreadNotifyRoutine(somewhere(99)), STATUS_INSUFFICIENT_RESOURCES);
            // What was refused is not there.
            assert_eq!(PsRemoveLoadImageNotifyRoutine(somewhere(99)), STATUS_PROCEDURE_NOT_FOUND);
            // One that goes makes room for one.
            assert_eq!(PsRemoveLoadImageNotifyRoutine(somewhere(3)), STATUS_SUCCESS);
            assert_eq!(PsSetLoadImageNotifyRoutine(somewhere(99)), STATUS_SUCCESS);
        });
    }
    // SAFETY: as above.
    on_profile(Profile::Win10_1709, || unsafe {
        for number in 0..64 {
            assert_eq!(PsSetLoadImageNotifyRoutineEx(somewhere(number), 0), STATUS_SUCCESS);
        }
        assert_eq!(PsSetLoadImageNotifyRoutineEx(somewhere(99), 0), STATUS_INSUFFICIENT_RESOURCES);
    });
}

#[test]
fn s_imgex_4_s_imgex_5_s_imgex_11_flags_and_statuses_of_the_image_form() {
    // SAFETY: as above.
    on_profile(Profile::Win10_1709, || unsafe {
        for flag in [2, 4, 0x8000_0000, 1 << 63, 3] {
            assert_eq!(PsSetLoadImageNotifyRoutineEx(somewhere(1), flag).0.cast_unsigned(), 0xC000_00F0);
        }
        assert_eq!(PsRemoveLoadImageNotifyRoutine(somewhere(1)).0.cast_unsigned(), 0xC000_007A);
        for flag in [0, 1] {
            assert_eq!(PsSetLoadImageNotifyRoutineEx(somewhere(1), flag), STATUS_SUCCESS);
            assert_eq!(PsRemoveLoadImageNotifyRoutine(somewhere(1)), STATUS_SUCCESS);
        }
    });
}

#[test]
fn s_procex_6_a_routine_that_is_registered_is_refused() {
    // SAFETY: as above.
    on_profile(Profile::Win7Sp1, || unsafe {
        assert_eq!(PsSetCreateProcessNotifyRoutine(somewhere(1), 0), STATUS_SUCCESS);
        assert_eq!(PsSetCreateProcessNotifyRoutine(somewhere(1), 0).0.cast_unsigned(), 0xC000_000D);
        assert_eq!(PsSetCreateProcessNotifyRoutine(somewhere(1), 1), STATUS_SUCCESS);
        assert_eq!(PsSetCreateProcessNotifyRoutine(somewhere(1), 0), STATUS_SUCCESS);
    });
}

#[test]
fn s_imgex_12_s_imgex_13_s_procex_15_the_routines_exist_since_their_windows() {
    for profile in Profile::ALL {
        let exports = |name| {
            // SAFETY: a kernel routine called as a driver would.
            on_profile(profile, || unsafe { !MmGetSystemRoutineAddress(text(name).at()).is_null() })
        };
        assert!(exports("PsSetCreateProcessNotifyRoutineEx"), "{profile}");
        assert!(exports("PsRemoveLoadImageNotifyRoutine"), "{profile}");
        let newest = exports("PsSetLoadImageNotifyRoutineEx");
        assert_eq!(newest, profile >= Profile::Win10_1709, "{profile}");
        let newer = exports("PsSetCreateProcessNotifyRoutineEx2");
        assert_eq!(newer, profile >= Profile::Win10_1703, "{profile}");
    }
}
