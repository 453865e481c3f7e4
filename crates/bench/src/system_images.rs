//! The images of the system that a process begins with (SEMANTICS C.2, C.3).

use event::Architecture;
use host::Config;
use nt_abi::Profile;

/// An image of the system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemImage {
    pub(crate) path: &'static str,
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) architecture: Architecture,
}

const fn native(path: &'static str, base: u64, size: u64) -> SystemImage {
    SystemImage { path, base, size, architecture: Architecture::X64 }
}

/// `ntdll.dll`, which the kernel maps into every process. Windows 7 puts it below 2^43, as all user addresses.
const fn ntdll(profile: Profile) -> SystemImage {
    match profile {
        Profile::Win7Sp1 | Profile::Win7Sp1Kb2922790 => {
            native(r"\SystemRoot\System32\ntdll.dll", 0x7711_0000, 0x1A_A000)
        }
        _ => native(r"\SystemRoot\System32\ntdll.dll", 0x7FF8_5FC0_0000, 0x21_7000),
    }
}

/// The `ntdll.dll` of 32-bit code.
const NTDLL32: SystemImage = SystemImage {
    path: r"\SystemRoot\SysWOW64\ntdll.dll",
    base: 0x7730_0000,
    size: 0x1B_2000,
    architecture: Architecture::X86,
};

/// What lets 32-bit code run, in the order in which it is mapped (R-WOW-01).
const WOW64: [SystemImage; 3] = [
    native(r"\SystemRoot\System32\wow64.dll", 0x74E0_0000, 0x5_8000),
    native(r"\SystemRoot\System32\wow64win.dll", 0x74E7_0000, 0x8_3000),
    native(r"\SystemRoot\System32\wow64cpu.dll", 0x77C5_0000, 0xA000),
];

/// What the first thread of a process maps behind the main image, in order. Where among it the 32-bit `ntdll.dll` comes
/// is contested point C5.
pub(crate) fn at_start(config: &Config, architecture: Architecture) -> Vec<SystemImage> {
    let mut images = vec![ntdll(config.profile)];
    if architecture == Architecture::X86 {
        images.extend(WOW64);
        let place = if config.choices.wow64_ntdll_is_late() { images.len() } else { 1 };
        images.insert(place, NTDLL32);
    }
    images
}
