//! Which Windows this is, and what state it is in.

use std::cell::UnsafeCell;

use export_macro::export;
use nt_abi::{
    NTSTATUS, OSVERSIONINFOEXW, OSVERSIONINFOW, STATUS_INVALID_PARAMETER, STATUS_REVISION_MISMATCH,
    STATUS_SUCCESS, UNICODE_STRING,
};

use crate::kernel;

/// A variable that drivers import and may write to.
#[repr(transparent)]
#[derive(Debug)]
pub struct Variable<T>(UnsafeCell<T>);

// SAFETY: the kernel writes it before any driver runs, and never reads it; what drivers do to it concerns them only.
unsafe impl<T> Sync for Variable<T> {}

impl<T> Variable<T> {
    /// A variable with a value.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Gives it another value; for use before drivers run.
    pub(crate) fn set(&self, value: T) {
        // SAFETY: no driver runs yet, and only the thread that boots calls this.
        unsafe { self.0.get().write(value) };
    }

    /// Its value.
    pub(crate) fn get(&self) -> T
    where
        T: Copy,
    {
        // SAFETY: a plain value; a driver that writes to it at the same time races as on Windows.
        unsafe { self.0.get().read_volatile() }
    }
}

/// The build number of the system, with 0xF0000000 for a free build. Source: public headers.
#[export(data)]
pub static NtBuildNumber: Variable<u32> = Variable::new(0xF000_0000);
/// Whether the system runs in safe mode: 0 is no. Source: DDI.
#[export(data)]
pub static InitSafeBootMode: Variable<u32> = Variable::new(0);
/// Whether a kernel debugger is enabled: no. Source: DDI.
#[export(data)]
pub static KdDebuggerEnabled: Variable<u8> = Variable::new(0);
/// Whether no kernel debugger is attached: true. Source: DDI.
#[export(data)]
pub static KdDebuggerNotPresent: Variable<u8> = Variable::new(1);
/// The debugging flags of the system: none. Source: public symbol lists.
#[export(data)]
pub static NtGlobalFlag: Variable<u32> = Variable::new(0);

/// Gives the variables the values of a profile, before any driver runs.
pub(crate) fn start(profile: nt_abi::Profile) {
    NtBuildNumber.set(nt_build_number(profile));
}

/// What `NtBuildNumber` holds under a profile: the build, and the bits of a free build.
pub const fn nt_build_number(profile: nt_abi::Profile) -> u32 {
    0xF000_0000 | profile.build()
}

/// The text of a service pack, empty where there is none.
fn service_pack_text(profile: nt_abi::Profile) -> [u16; 128] {
    let mut text = [0; 128];
    if profile.service_pack() != 0 {
        let name = format!("Service Pack {}", profile.service_pack());
        text.iter_mut().zip(name.encode_utf16()).for_each(|(to, unit)| *to = unit);
    }
    text
}

/// VER_PLATFORM_WIN32_NT
const PLATFORM_NT: u32 = 2;
/// VER_NT_WORKSTATION
const WORKSTATION: u8 = 1;
/// VER_SUITE_SINGLEUSERTS
const SUITE: u16 = 0x100;

/// What `RtlGetVersion` fills in under a profile: a workstation with one user.
pub fn version_of(profile: nt_abi::Profile) -> OSVERSIONINFOEXW {
    OSVERSIONINFOEXW {
        dwMajorVersion: profile.major(),
        dwMinorVersion: profile.minor(),
        dwBuildNumber: profile.build(),
        dwPlatformId: PLATFORM_NT,
        szCSDVersion: service_pack_text(profile),
        wServicePackMajor: profile.service_pack(),
        wSuiteMask: SUITE,
        wProductType: WORKSTATION,
        ..OSVERSIONINFOEXW::default()
    }
}

/// Returns the version of the system, as much of it as the structure's size has room for. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlGetVersion(information: *mut OSVERSIONINFOW) -> NTSTATUS {
    let now = version_of(kernel().config.profile);
    // SAFETY: the driver's structure, which begins with its size.
    unsafe {
        let size = (&raw const (*information).dwOSVersionInfoSize).read_unaligned();
        let take = if size == u32::try_from(size_of::<OSVERSIONINFOEXW>()).unwrap_or(0) {
            size_of::<OSVERSIONINFOEXW>()
        } else {
            size_of::<OSVERSIONINFOW>()
        };
        // The size stays what the driver wrote.
        let (from, to) = ((&raw const now).cast::<u8>(), information.cast::<u8>());
        to.add(4).copy_from(from.add(4), take - 4);
    }
    STATUS_SUCCESS
}

/// Returns the version of the system in pieces; nonzero for a checked build. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn PsGetVersion(
    major: *mut u32,
    minor: *mut u32,
    build: *mut u32,
    service_pack: *mut UNICODE_STRING,
) -> u8 {
    let now = version_of(kernel().config.profile);
    let values = [(major, now.dwMajorVersion), (minor, now.dwMinorVersion), (build, now.dwBuildNumber)];
    for (to, value) in values {
        if !to.is_null() {
            // SAFETY: the driver's variable.
            unsafe { to.write_unaligned(value) };
        }
    }
    if !service_pack.is_null() {
        // SAFETY: the driver's structure; the text lives for ever, as what drivers are told of it has no end.
        unsafe { service_pack.write_unaligned(service_pack_string()) };
    }
    0
}

fn service_pack_string() -> UNICODE_STRING {
    static TEXT: std::sync::OnceLock<[u16; 128]> = std::sync::OnceLock::new();
    let text = TEXT.get_or_init(|| {
        let mut text = [0; 128];
        text.iter_mut().zip("Service Pack 1".encode_utf16()).for_each(|(to, unit)| *to = unit);
        text
    });
    if kernel().config.profile.service_pack() == 0 {
        return UNICODE_STRING::default();
    }
    UNICODE_STRING { Length: 28, MaximumLength: 30, Buffer: text.as_ptr().cast_mut() }
}

/// The parts of a version that can be compared, each a bit of a type mask, in the order they are compared in.
mod part {
    pub(super) const MINOR: u32 = 0x1;
    pub(super) const MAJOR: u32 = 0x2;
    pub(super) const BUILD: u32 = 0x4;
    pub(super) const PLATFORM: u32 = 0x8;
    pub(super) const PACK_MINOR: u32 = 0x10;
    pub(super) const PACK_MAJOR: u32 = 0x20;
    pub(super) const SUITE: u32 = 0x40;
    pub(super) const PRODUCT: u32 = 0x80;
}

/// Sets the condition, 3 bits, for a part of a version. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn VerSetConditionMask(mask: u64, part: u32, condition: u8) -> u64 {
    match part {
        0 => mask,
        // The highest part that is named counts.
        part => mask | u64::from(condition & 7) << (3 * part.ilog2().min(20)),
    }
}

/// Compares the system's version with what a driver asks for. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlVerifyVersionInfo(
    wanted: *const OSVERSIONINFOEXW,
    parts: u32,
    conditions: u64,
) -> NTSTATUS {
    if parts == 0 || conditions == 0 {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the driver's structure.
    let wanted = unsafe { wanted.read_unaligned() };
    match verify(&version_of(kernel().config.profile), &wanted, parts, conditions) {
        None => STATUS_INVALID_PARAMETER,
        Some(true) => STATUS_SUCCESS,
        Some(false) => STATUS_REVISION_MISMATCH,
    }
}

/// Whether a condition (1 =, 2 >, 3 >=, 4 <, 5 <=) holds; `None` for any other.
fn holds(condition: u64, ours: u64, wanted: u64) -> Option<bool> {
    Some(match condition {
        1 => ours == wanted,
        2 => ours > wanted,
        3 => ours >= wanted,
        4 => ours < wanted,
        5 => ours <= wanted,
        _ => return None,
    })
}

fn verify(ours: &OSVERSIONINFOEXW, wanted: &OSVERSIONINFOEXW, parts: u32, conditions: u64) -> Option<bool> {
    let condition = |part: u32| conditions >> (3 * part.ilog2()) & 7;
    if parts & part::SUITE != 0 {
        let (ours, wanted) = (ours.wSuiteMask, wanted.wSuiteMask);
        let fits = match condition(part::SUITE) {
            6 => ours & wanted == wanted,
            7 => wanted == 0 || ours & wanted != 0,
            _ => return None,
        };
        if !fits {
            return Some(false);
        }
    }
    // A version is compared as a whole: an inequality that the major number decides, the minor does not change.
    let hierarchy = [
        (part::MAJOR, ours.dwMajorVersion, wanted.dwMajorVersion),
        (part::MINOR, ours.dwMinorVersion, wanted.dwMinorVersion),
        (part::PACK_MAJOR, ours.wServicePackMajor.into(), wanted.wServicePackMajor.into()),
        (part::PACK_MINOR, ours.wServicePackMinor.into(), wanted.wServicePackMinor.into()),
    ];
    let chosen: Vec<_> = hierarchy.into_iter().filter(|&(part, ..)| parts & part != 0).collect();
    if let Some(&(first, ..)) = chosen.first() {
        let whole = |pick: fn(&(u32, u32, u32)) -> u32| chosen.iter().map(pick).collect::<Vec<_>>();
        let (ours, wanted) = (whole(|part| part.1), whole(|part| part.2));
        let as_one = match ours.cmp(&wanted) {
            std::cmp::Ordering::Less => (1, 2),
            std::cmp::Ordering::Equal => (1, 1),
            std::cmp::Ordering::Greater => (2, 1),
        };
        if !holds(condition(first), as_one.0, as_one.1)? {
            return Some(false);
        }
    }
    let single = [
        (part::BUILD, ours.dwBuildNumber, wanted.dwBuildNumber),
        (part::PLATFORM, ours.dwPlatformId, wanted.dwPlatformId),
        (part::PRODUCT, ours.wProductType.into(), wanted.wProductType.into()),
    ];
    for (part, ours, wanted) in single {
        if parts & part != 0 && !holds(condition(part), ours.into(), wanted.into())? {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use nt_abi::Profile;

    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn the_version_is_the_profiles() {
        for (profile, expected) in [(Profile::Win7Sp1, (6, 1, 7601)), (Profile::Win11_24H2, (10, 0, 26100))] {
            with_kernel(Config { profile, ..Config::default() }, |_, _| {
                let mut told = OSVERSIONINFOEXW { dwOSVersionInfoSize: 0x11C, ..OSVERSIONINFOEXW::default() };
                let (mut major, mut minor, mut build) = (0, 0, 0);
                let mut pack = UNICODE_STRING::default();
                // SAFETY: structures of the test.
                unsafe {
                    assert_eq!(RtlGetVersion((&raw mut told).cast()), STATUS_SUCCESS);
                    assert_eq!(
                        PsGetVersion(&raw mut major, &raw mut minor, &raw mut build, &raw mut pack),
                        0
                    );
                    let text = crate::rtl::text_of(&pack);
                    assert_eq!(text, if profile == Profile::Win7Sp1 { "Service Pack 1" } else { "" });
                }
                assert_eq!((major, minor, build), expected);
                assert_eq!((told.dwMajorVersion, told.dwMinorVersion, told.dwBuildNumber), expected);
                assert_eq!((told.dwOSVersionInfoSize, told.wProductType), (0x11C, 1));
                assert_eq!(NtBuildNumber.get(), 0xF000_0000 | build);
            });
        }
    }

    #[test]
    fn a_short_structure_is_not_overrun() {
        with_kernel(Config::default(), |_, _| {
            let mut told = OSVERSIONINFOEXW { dwOSVersionInfoSize: 0x114, ..OSVERSIONINFOEXW::default() };
            // SAFETY: the structure of the test.
            unsafe { RtlGetVersion((&raw mut told).cast()) };
            assert_eq!((told.dwMajorVersion, told.wProductType), (10, 0));
        });
    }

    #[test]
    fn versions_are_compared_as_a_whole() {
        with_kernel(Config { profile: Profile::Win81, ..Config::default() }, |_, _| {
            let ask = |major, minor, condition| {
                let wanted = OSVERSIONINFOEXW {
                    dwMajorVersion: major,
                    dwMinorVersion: minor,
                    ..OSVERSIONINFOEXW::default()
                };
                // SAFETY: the structure of the test.
                unsafe {
                    let mask = VerSetConditionMask(0, part::MAJOR, condition);
                    let mask = VerSetConditionMask(mask, part::MINOR, condition);
                    RtlVerifyVersionInfo(&raw const wanted, part::MAJOR | part::MINOR, mask)
                }
            };
            const GREATER_EQUAL: u8 = 3;
            assert_eq!(ask(6, 1, GREATER_EQUAL), STATUS_SUCCESS);
            assert_eq!(ask(5, 9, GREATER_EQUAL), STATUS_SUCCESS);
            assert_eq!(ask(10, 0, GREATER_EQUAL), STATUS_REVISION_MISMATCH);
            assert_eq!(ask(6, 3, 1), STATUS_SUCCESS);
            assert_eq!(ask(6, 3, 2), STATUS_REVISION_MISMATCH);
            assert_eq!(ask(6, 3, 6), STATUS_INVALID_PARAMETER);
        });
    }
}
