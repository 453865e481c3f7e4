//! What a call of code that is no longer there ends in (R-UNL).

use machine::images::LoadedImage;
use machine::supervisor::Access;
use machine::{Irql, Supervisor as _};
use nt_abi::Profile;

use super::stop::KernelSupervisor;
use crate::testing::with_kernel;
use crate::{Choices, Config};

const BASE: usize = 0x5100_0000_0000;

/// The bug check of a call into a driver that was unloaded.
fn called(config: Config, access: Access) -> (u32, [u64; 4]) {
    with_kernel(config, |_, _| {
        let image = LoadedImage {
            name: "gone.sys".into(),
            base: BASE,
            size: 0x1000,
            function_table: 0,
            function_count: 0,
            driver: 1,
        };
        // SAFETY: without a function table nothing is read from the range.
        unsafe { machine::images::register(image) }.unwrap();
        assert!(machine::images::unregister(BASE));
        let at = BASE as u64 + 0x400;
        let check = KernelSupervisor.page_fault(at, access, at, Irql::PASSIVE).unwrap();
        (check.code, check.parameters)
    })
}

#[test]
fn r_unl_02_r_unl_03_code_of_an_unloaded_driver_is_0xce_with_the_access() {
    let at = BASE as u64 + 0x400;
    assert_eq!(called(Config::default(), Access::Execute), (0xCE, [at, 0x10, at, 0]));
    let mut choices = Choices::default();
    choices.set("unloaded-code-access", "documented").unwrap();
    let documented = Config { choices, ..Config::default() };
    assert_eq!(called(documented, Access::Execute), (0xCE, [at, 0, at, 0]));
    assert_eq!(called(documented, Access::Write), (0xCE, [at, 1, at, 0]));
    // Before Windows 10 an access has no other codes.
    let old = || Config { profile: Profile::Win81, ..Config::default() };
    assert_eq!(called(old(), Access::Execute), (0xCE, [at, 0, at, 0]));
    assert_eq!(called(old(), Access::Write), (0xCE, [at, 1, at, 0]));
}
