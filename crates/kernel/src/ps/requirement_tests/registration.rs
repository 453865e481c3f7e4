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

/// Runs a test as a driver whose image asks for integrity checks; what it is given are addresses in that image.
fn as_a_driver(test: impl FnOnce(&'static Kernel, &dyn Fn(usize) -> usize)) {
    const MINIMAL: &[u8] = include_bytes!("../../../../../drivers/bin/minimal.sys");
    crate::testing::with_kernel(Config::default(), |kernel, _| {
        let id = kernel.load_driver("minimal", "minimal.sys", MINIMAL).unwrap();
        let base = kernel.io.driver(id).unwrap().base;
        crate::io::driver::as_driver(Some(id), 0, || test(kernel, &|number| base + number));
    });
}

#[test]
fn s_imgex_6_where_pool_is_low_no_registration_succeeds_and_none_leaves_a_trace() {
    // SAFETY: kernel routines called as a driver would; nothing is called.
    as_a_driver(|kernel, at| unsafe {
        let register = || {
            [
                PsSetCreateProcessNotifyRoutine(at(1), 0),
                PsSetCreateProcessNotifyRoutineEx(at(2), 0),
                PsSetCreateProcessNotifyRoutineEx2(0, at(3), 0),
                PsSetLoadImageNotifyRoutine(at(1)),
                PsSetLoadImageNotifyRoutineEx(at(2), 1),
                PsSetCreateThreadNotifyRoutine(at(1)),
                PsSetCreateThreadNotifyRoutineEx(0, at(2)),
                PsSetCreateThreadNotifyRoutineEx(1, at(3)),
            ]
        };
        kernel.set_low_pool(crate::LowPool::ALL);
        assert_eq!(register(), [STATUS_INSUFFICIENT_RESOURCES; 8]);
        assert_eq!(PsSetLoadImageNotifyRoutineEx(at(2), 2), STATUS_INVALID_PARAMETER_2, "checked before");
        let tables = &kernel.ps.tables;
        assert!(tables.process.is_empty() && tables.image.is_empty() && tables.thread.is_empty());
        kernel.set_low_pool(crate::LowPool { after: 1, failures: 1 });
        let [first, second, rest @ ..] = register();
        assert_eq!((first, second), (STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES));
        assert_eq!(rest, [STATUS_SUCCESS; 6]);
    });
}

#[test]
fn s_imgex_6_each_registration_has_a_block_of_pool_until_it_is_removed() {
    use crate::ex::pool::Kind;
    // SAFETY: as above.
    as_a_driver(|kernel, at| unsafe {
        let blocks = || kernel.ps.blocks.all(&kernel.ex.pool);
        assert_eq!(PsSetCreateProcessNotifyRoutine(at(1), 0), STATUS_SUCCESS);
        assert_eq!(PsSetCreateProcessNotifyRoutine(at(1), 0), STATUS_INVALID_PARAMETER, "a duplicate");
        assert_eq!(PsSetLoadImageNotifyRoutine(at(1)), STATUS_SUCCESS);
        let block = Some((0x18, "Cbrb".to_owned(), Kind::NonPaged));
        assert_eq!(blocks(), [block.clone(), block.clone()]);
        assert_eq!(PsSetCreateProcessNotifyRoutine(at(2), 1), STATUS_PROCEDURE_NOT_FOUND);
        assert_eq!(PsRemoveLoadImageNotifyRoutine(at(1)), STATUS_SUCCESS);
        assert_eq!(blocks(), [block]);
        let owned = kernel.ex.pool.owned_by(crate::io::current_driver().unwrap());
        assert!(owned.is_empty(), "no leak of the driver's: {owned:?}");
        assert_eq!(PsSetCreateProcessNotifyRoutine(at(1), 1), STATUS_SUCCESS);
        assert_eq!(blocks(), []);
    });
}

#[test]
fn r_reg_12_low_pool_is_said_after_integrity_and_before_a_full_table() {
    // SAFETY: as above.
    as_a_driver(|kernel, at| unsafe {
        for number in 0..64 {
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(at(number), 0), STATUS_SUCCESS);
        }
        assert_eq!(PsSetCreateProcessNotifyRoutineEx(at(64), 0), STATUS_INVALID_PARAMETER, "full");
        kernel.set_low_pool(crate::LowPool::ALL);
        assert_eq!(PsSetCreateProcessNotifyRoutineEx(at(64), 0), STATUS_INSUFFICIENT_RESOURCES);
        assert_eq!(PsSetCreateProcessNotifyRoutineEx(somewhere(1), 0), STATUS_ACCESS_DENIED);
        assert_eq!(PsSetCreateProcessNotifyRoutine(somewhere(1), 0), STATUS_ACCESS_DENIED, "no module");
        for number in 0..64 {
            assert_eq!(PsSetCreateProcessNotifyRoutineEx(at(number), 1), STATUS_SUCCESS, "needs no pool");
        }
    });
}

#[test]
fn r_reg_02_types_and_flags_have_the_values_of_the_headers() {
    // SAFETY: kernel routines called as a driver would; nothing is called.
    as_a_driver(|kernel, at| unsafe {
        assert_eq!(PsSetCreateProcessNotifyRoutineEx2(0, at(1), 0), STATUS_SUCCESS);
        assert_eq!(PsSetCreateProcessNotifyRoutineEx2(1, at(2), 0), STATUS_INVALID_PARAMETER);
        for kind in [0, 1] {
            assert_eq!(PsSetCreateThreadNotifyRoutineEx(kind, at(3)), STATUS_SUCCESS);
        }
        assert_eq!(PsSetCreateThreadNotifyRoutineEx(2, at(4)), STATUS_INVALID_PARAMETER);
        assert_eq!(PsSetLoadImageNotifyRoutineEx(at(5), 1), STATUS_SUCCESS);
        let tables = &kernel.ps.tables;
        let (mut threads, mut images) = (Vec::new(), Vec::new());
        tables.as_walker(|walker| {
            tables.thread.walk(walker, |found| threads.push(found.flavour));
            tables.image.walk(walker, |found| images.push(found.flags));
        });
        assert_eq!(threads, [ThreadFlavour::NonSystem, ThreadFlavour::Subsystems]);
        assert_eq!(images, [1]);
    });
}
