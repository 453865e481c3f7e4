//! `MmGetSystemRoutineAddress`, and what drivers are told of the address space.

use std::ffi::c_void;

use export_macro::export;
use nt_abi::{MM_SYSTEM_RANGE_START, Profile, UNICODE_STRING};

use crate::export::{self, Lookup};
use crate::kernel;
use crate::rtl::version::Variable;

/// Returns the address of a routine or variable of the kernel or HAL; null where this Windows has none of that name.
///
/// Names are compared with case. Source: DDI; R-REG-01.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn MmGetSystemRoutineAddress(name: *const UNICODE_STRING) -> *const c_void {
    // SAFETY: the driver's string.
    let name = String::from_utf16_lossy(&unsafe { crate::rtl::unicode::units(name) });
    match export::lookup("ntoskrnl.exe", &name, &kernel().config) {
        Lookup::Found(export) => export.address.0.cast(),
        // Absent on this Windows, or known to nobody here: both are what drivers must be ready for.
        Lookup::NotInProfile(_) | Lookup::Unknown => std::ptr::null(),
    }
}

/// The highest address that user memory can have. Source: public headers.
#[export(data)]
pub static MmHighestUserAddress: Variable<usize> = Variable::new(nt_abi::MM_HIGHEST_USER_ADDRESS);
/// The first address above user memory, with a margin. Source: public headers.
#[export(data)]
pub static MmUserProbeAddress: Variable<usize> = Variable::new(nt_abi::MM_USER_PROBE_ADDRESS);
/// The first address of system space. Source: public headers.
#[export(data)]
pub static MmSystemRangeStart: Variable<usize> = Variable::new(MM_SYSTEM_RANGE_START);

/// Gives the variables the values of a profile, before any driver runs.
pub(crate) fn start(profile: Profile) {
    let probe = profile.user_probe_address();
    MmUserProbeAddress.set(probe);
    MmHighestUserAddress.set(probe - 1);
    let system =
        if probe == nt_abi::MM_USER_PROBE_ADDRESS { MM_SYSTEM_RANGE_START } else { 0xFFFF_0800_0000_0000 };
    MmSystemRangeStart.set(system);
    super::section::start(kernel());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    fn find(name: &str) -> *const c_void {
        let text: Vec<u16> = name.encode_utf16().collect();
        let bytes = u16::try_from(text.len() * 2).unwrap();
        let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: text.as_ptr().cast_mut() };
        // SAFETY: a string of the test.
        unsafe { MmGetSystemRoutineAddress(&raw const name) }
    }

    #[test]
    fn r_reg_01_routines_are_found_by_name_and_profile() {
        with_kernel(Config { profile: Profile::Win10_1703, ..Config::default() }, |_, _| {
            let myself = crate::export::address_of("ntoskrnl.exe", "MmGetSystemRoutineAddress");
            assert_eq!(find("MmGetSystemRoutineAddress"), myself.cast());
            assert_eq!(find("memcpy"), machine::crt::memcpy as *const c_void);
            assert!(find("PsSetLoadImageNotifyRoutineEx").is_null());
            assert!(find("mmgetsystemroutineaddress").is_null());
            assert!(find("").is_null());
        });
    }

    #[test]
    fn user_space_ends_where_the_profile_says() {
        with_kernel(Config { profile: Profile::Win7Sp1, ..Config::default() }, |_, _| {
            assert_eq!(
                (MmUserProbeAddress.get(), MmHighestUserAddress.get()),
                (0x7FF_FFFF_0000, 0x7FF_FFFE_FFFF)
            );
        });
        with_kernel(Config::default(), |_, _| {
            assert_eq!(
                (MmUserProbeAddress.get(), MmHighestUserAddress.get()),
                (0x7FFF_FFFF_0000, 0x7FFF_FFFE_FFFF)
            );
            assert_eq!(MmSystemRangeStart.get(), 0xFFFF_8000_0000_0000);
        });
    }
}
