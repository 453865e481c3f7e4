//! The routines that the kit imports: of `ntoskrnl.exe` on Windows, of a small simulated kernel
//! elsewhere. Every one of them exists on all Windows 10 and 11.

#[cfg(windows)]
mod ntoskrnl;
#[cfg(windows)]
pub(crate) use ntoskrnl::*;

#[cfg(not(windows))]
pub(crate) mod simulated;
#[cfg(not(windows))]
pub(crate) use simulated::*;
