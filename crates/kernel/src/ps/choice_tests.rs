//! The other answer of each contested point of registration: the default is tested where the point is.

use nt_abi::*;

use super::set::*;
use crate::testing::with_kernel;
use crate::{Choices, Config};

/// A configuration with one switch thrown.
pub(super) fn choosing(profile: Profile, name: &str, value: &str) -> Config {
    let mut choices = Choices::default();
    choices.set(name, value).unwrap();
    Config { profile, choices, ..Config::default() }
}

unsafe extern "win64" fn nothing(_: usize, _: usize, _: usize) {}

fn nothing_at() -> usize {
    (nothing as *const ()).expose_provenance()
}

/// The status of a second registration of the same process routine.
fn twice(config: Config) -> NTSTATUS {
    with_kernel(config, |_, _| {
        // SAFETY: kernel routines called as a driver would.
        unsafe {
            assert_eq!(PsSetCreateProcessNotifyRoutine(nothing_at(), 0), STATUS_SUCCESS);
            PsSetCreateProcessNotifyRoutine(nothing_at(), 0)
        }
    })
}

#[test]
fn c1_duplicates_are_refused_or_accepted() {
    // On Windows 7 no module is asked for, so that a routine of this test will do.
    let default = Config { profile: Profile::Win7Sp1, ..Config::default() };
    assert_eq!(twice(default), STATUS_INVALID_PARAMETER);
    assert_eq!(twice(choosing(Profile::Win7Sp1, "duplicate-process-routine", "accept")), STATUS_SUCCESS);
}

#[test]
fn c2_r_reg_11_the_removal_of_what_is_not_there_has_two_answers() {
    let remove = |config| {
        // SAFETY: as above.
        with_kernel(config, |_, _| unsafe {
            // The other families' answer is documented.
            assert_eq!(PsRemoveLoadImageNotifyRoutine(nothing_at()), STATUS_PROCEDURE_NOT_FOUND);
            assert_eq!(PsRemoveCreateThreadNotifyRoutine(nothing_at()), STATUS_PROCEDURE_NOT_FOUND);
            PsSetCreateProcessNotifyRoutine(nothing_at(), 1)
        })
    };
    assert_eq!(remove(Config::default()), STATUS_PROCEDURE_NOT_FOUND);
    let other = choosing(Profile::default(), "unregistered-process-routine", "invalid-parameter");
    assert_eq!(remove(other), STATUS_INVALID_PARAMETER);
}

#[test]
fn c3_the_plain_process_form_asks_for_a_module_since_windows_10() {
    let register = |config| {
        // SAFETY: as above.
        with_kernel(config, |_, _| unsafe { PsSetCreateProcessNotifyRoutine(nothing_at(), 0) })
    };
    let name = "process-routine-module";
    for profile in Profile::ALL {
        let by_profile = register(Config { profile, ..Config::default() });
        let expected = if profile < Profile::Win10_1507 { STATUS_SUCCESS } else { STATUS_ACCESS_DENIED };
        assert_eq!(by_profile, expected, "{profile}");
    }
    assert_eq!(register(choosing(Profile::Win11_24H2, name, "unchecked")), STATUS_SUCCESS);
    assert_eq!(register(choosing(Profile::Win7Sp1, name, "required")), STATUS_ACCESS_DENIED);
}

#[test]
fn c4_the_thread_form_asks_for_force_integrity_and_a_type_that_is_known() {
    let register = |config, kind| {
        // SAFETY: as above.
        with_kernel(config, |_, _| unsafe { PsSetCreateThreadNotifyRoutineEx(kind, nothing_at()) })
    };
    assert_eq!(register(Config::default(), 0), STATUS_ACCESS_DENIED);
    let other = choosing(Profile::default(), "thread-routine-integrity", "unchecked");
    assert_eq!(register(other, 0), STATUS_SUCCESS);
    // What an unknown type is answered with.
    assert_eq!(register(Config::default(), 2), STATUS_INVALID_PARAMETER);
    let other = choosing(Profile::default(), "unknown-thread-type", "insufficient-resources");
    assert_eq!(register(other, 2), STATUS_INSUFFICIENT_RESOURCES);
}

/// How many image and thread routines there can be, and what the next one is answered.
fn room(config: Config) -> [usize; 2] {
    with_kernel(config, |_, _| {
        let count = |register: &dyn Fn(usize) -> NTSTATUS| {
            // Addresses that are never called: nothing happens on this kernel.
            let refused = (1..100).find_map(|index| {
                let status = register(0x1000 * index);
                (status != STATUS_SUCCESS).then_some((index - 1, status))
            });
            let (slots, status) = refused.unwrap();
            assert_eq!(status, STATUS_INSUFFICIENT_RESOURCES, "R-REG-06");
            slots
        };
        // SAFETY: as above.
        [
            count(&|routine| unsafe { PsSetLoadImageNotifyRoutine(routine) }),
            // SAFETY: as above.
            count(&|routine| unsafe { PsSetCreateThreadNotifyRoutine(routine) }),
        ]
    })
}

#[test]
fn r_reg_05_c11_limits_of_image_and_thread_routines() {
    let images = [8, 64, 8, 64, 64, 64, 64, 64, 64, 64];
    for (profile, images) in Profile::ALL.into_iter().zip(images) {
        assert_eq!(room(Config { profile, ..Config::default() }), [images, 64], "{profile}");
    }
    assert_eq!(room(choosing(Profile::Win11_24H2, "image-routine-limit", "8")), [8, 64]);
    assert_eq!(room(choosing(Profile::Win7Sp1, "image-routine-limit", "64")), [64, 64]);
    assert_eq!(room(choosing(Profile::Win81U1, "thread-routine-limit", "by-profile")), [64, 8]);
    assert_eq!(room(choosing(Profile::Win10_1507, "thread-routine-limit", "by-profile")), [64, 64]);
}

#[test]
fn a_null_routine_is_taken_as_any_other_or_refused() {
    let register = |config| {
        // SAFETY: as above.
        with_kernel(config, |_, _| unsafe {
            [
                PsSetCreateProcessNotifyRoutine(0, 0),
                PsSetLoadImageNotifyRoutine(0),
                PsSetCreateThreadNotifyRoutine(0),
            ]
        })
    };
    // The module check of the process family comes first from Windows 10 on.
    assert_eq!(register(Config::default()), [STATUS_ACCESS_DENIED, STATUS_SUCCESS, STATUS_SUCCESS]);
    let refused = choosing(Profile::default(), "null-routine", "invalid-parameter");
    assert_eq!(register(refused), [STATUS_INVALID_PARAMETER; 3]);
}
