//! Whose FORCE_INTEGRITY counts: that of the image that holds a routine (R-INT), and when it is looked at (R-REG-12,
//! R-REG-13).

use event::DriverId;
use nt_abi::*;

use super::set::*;
use crate::io::driver::{Driver, as_driver};
use crate::testing::with_kernel;
use crate::{Config, Kernel};

const MINIMAL: &[u8] = include_bytes!("../../../../drivers/bin/minimal.sys");

/// The bit of the loader's entry.
const CHECKED: u32 = 0x20;

/// Loads a driver twice: once as it is, with the bit in its header, and once without.
fn both(kernel: &'static Kernel) -> [&'static Driver; 2] {
    let mut without = MINIMAL.to_vec();
    let header = usize::from(u16::from_le_bytes([without[0x3C], without[0x3D]]));
    let characteristics = header + 24 + 70;
    assert_ne!(without[characteristics] & 0x80, 0, "the linker has set it");
    without[characteristics] &= !0x80;
    [("with", MINIMAL), ("without", without.as_slice())].map(|(name, bytes)| {
        let id = kernel.load_driver(name, &format!("{name}.sys"), bytes).unwrap();
        kernel.io.driver(id).unwrap()
    })
}

/// Somewhere in a driver's image, different for each number. Nothing is called there.
fn routine(of: &Driver, number: usize) -> usize {
    of.base + 0x1000 + number
}

fn by<T>(driver: DriverId, act: impl FnOnce() -> T) -> T {
    as_driver(Some(driver), 0, act)
}

/// The bit in the loader's entry of a driver.
fn set_checked(driver: &Driver, to: bool) {
    // SAFETY: the driver is loaded, so its object and its entry are alive; drivers write to it as well.
    unsafe {
        let entry = (*driver.object.as_ptr()).DriverSection.cast::<LDR_DATA_TABLE_ENTRY>();
        let flags = &raw mut (*entry).Flags;
        flags.write_volatile(if to { flags.read() | CHECKED } else { flags.read() & !CHECKED });
    }
}

#[test]
fn r_int_01_r_int_03_the_bit_of_who_holds_the_routine_counts_and_not_that_of_who_calls() {
    with_kernel(Config::default(), |kernel, _| {
        let [with, without] = both(kernel);
        for (caller, holder, expected) in [
            (without, with, STATUS_SUCCESS),
            (with, without, STATUS_ACCESS_DENIED),
            (with, with, STATUS_SUCCESS),
            (without, without, STATUS_ACCESS_DENIED),
        ] {
            let at = routine(holder, 0);
            // SAFETY: kernel routines called as a driver would; nothing is called.
            by(caller.id, || unsafe {
                assert_eq!(PsSetCreateProcessNotifyRoutineEx(at, 0), expected);
                assert_eq!(PsSetCreateProcessNotifyRoutineEx(at, 1).is_success(), expected.is_success());
                assert_eq!(PsSetCreateProcessNotifyRoutineEx2(0, at, 0), expected);
                assert_eq!(PsSetCreateProcessNotifyRoutineEx2(0, at, 1).is_success(), expected.is_success());
                assert_eq!(PsSetCreateThreadNotifyRoutineEx(1, at), expected);
                assert_eq!(PsRemoveCreateThreadNotifyRoutine(at).is_success(), expected.is_success());
                // The others ask for no bit.
                assert_eq!(PsSetCreateProcessNotifyRoutine(at, 0), STATUS_SUCCESS);
                assert_eq!(PsSetCreateProcessNotifyRoutine(at, 1), STATUS_SUCCESS);
                assert_eq!(PsSetCreateThreadNotifyRoutine(at), STATUS_SUCCESS);
                assert_eq!(PsRemoveCreateThreadNotifyRoutine(at), STATUS_SUCCESS);
                assert_eq!(PsSetLoadImageNotifyRoutineEx(at, 1), STATUS_SUCCESS);
                assert_eq!(PsRemoveLoadImageNotifyRoutine(at), STATUS_SUCCESS);
            });
        }
    });
}

#[test]
fn s_procex_5_success_says_that_the_routine_is_registered() {
    with_kernel(Config::default(), |kernel, _| {
        let [with, without] = both(kernel);
        let registered = || {
            let all = kernel.ps.tables.process.snapshot();
            all.iter().map(|found| found.routine).collect::<Vec<_>>()
        };
        // SAFETY: as above.
        by(with.id, || unsafe {
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(routine(with, 0), 0), STATUS_SUCCESS);
            assert_eq!(registered(), [routine(with, 0)]);
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(routine(without, 0), 0), STATUS_ACCESS_DENIED);
            assert_eq!(registered(), [routine(with, 0)]);
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(routine(with, 0), 1), STATUS_SUCCESS);
            assert_eq!(registered(), [0; 0]);
        });
    });
}

#[test]
fn r_reg_12_a_full_table_does_not_hide_that_the_bit_is_missing() {
    with_kernel(Config::default(), |kernel, _| {
        let [with, without] = both(kernel);
        // SAFETY: as above.
        by(with.id, || unsafe {
            for number in 0..64 {
                assert_eq!(PsSetCreateProcessNotifyRoutine(routine(with, number), 0), STATUS_SUCCESS);
            }
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(routine(with, 64), 0), STATUS_INVALID_PARAMETER);
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(routine(without, 64), 0), STATUS_ACCESS_DENIED);
            assert_eq!(PsSetCreateProcessNotifyRoutineEx2(0, routine(without, 64), 0), STATUS_ACCESS_DENIED);
            for number in 0..64 {
                assert_eq!(PsSetCreateProcessNotifyRoutine(routine(with, number), 1), STATUS_SUCCESS);
            }
        });
    });
}

#[test]
fn r_reg_13_what_is_registered_is_removed_though_the_bit_is_gone() {
    with_kernel(Config::default(), |kernel, _| {
        let [with, _] = both(kernel);
        let at = routine(with, 0);
        // SAFETY: as above.
        by(with.id, || unsafe {
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(at, 0), STATUS_SUCCESS);
            assert_eq!(PsSetCreateThreadNotifyRoutineEx(0, at), STATUS_SUCCESS);
            set_checked(with, false);
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(at + 1, 0), STATUS_ACCESS_DENIED);
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(at, 1), STATUS_SUCCESS);
            assert_eq!(PsRemoveCreateThreadNotifyRoutine(at), STATUS_SUCCESS);
            set_checked(with, true);
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(at, 0), STATUS_SUCCESS);
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(at, 1), STATUS_SUCCESS);
        });
    });
}
