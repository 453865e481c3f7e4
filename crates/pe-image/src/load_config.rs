//! The load configuration: security cookie and control-flow guard.

use crate::error::PeError;
use crate::header::Headers;
use object::pe;

/// What the load configuration says. Fields that the file's (possibly old, short) structure does
/// not hold are `None` or 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadConfig {
    /// RVA of `__security_cookie`.
    pub security_cookie: Option<u32>,
    /// RVA of the pointer through which guarded calls are checked.
    pub guard_check: Option<u32>,
    /// RVA of the pointer through which guarded calls are dispatched.
    pub guard_dispatch: Option<u32>,
    /// `GuardFlags` (`IMAGE_GUARD_*`).
    pub guard_flags: u32,
}

/// Offsets in `IMAGE_LOAD_CONFIG_DIRECTORY64`.
const SECURITY_COOKIE: u32 = 0x58;
const GUARD_CHECK: u32 = 0x70;
const GUARD_DISPATCH: u32 = 0x78;
const GUARD_FLAGS: u32 = 0x90;

/// The load configuration directory. Its addresses are absolute, for the preferred base.
pub(crate) fn read(headers: &Headers<'_>, image_base: u64) -> Result<LoadConfig, PeError> {
    let Some(directory) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG) else {
        return Ok(LoadConfig::default());
    };
    let layout = &headers.layout;
    let what = "the load configuration";
    let outside = |size| PeError::OutOfRange { what, offset: directory.at, rva: directory.rva, size };
    // The structure carries its own size, and that is the one that counts.
    let size = layout.array::<4>(directory.rva).map(u32::from_le_bytes).ok_or_else(|| outside(4))?;
    let field = |offset: u32, bytes: u32| -> Result<u64, PeError> {
        let Some(rva) = directory.rva.checked_add(offset).filter(|_| offset + bytes <= size) else {
            return Ok(0);
        };
        let wide = match bytes {
            4 => layout.array::<4>(rva).map(|value| u32::from_le_bytes(value).into()),
            _ => layout.array::<8>(rva).map(u64::from_le_bytes),
        };
        wide.ok_or_else(|| outside(size.into()))
    };
    let place = |offset: u32, what: &'static str| -> Result<Option<u32>, PeError> {
        let va = field(offset, 8)?;
        if va == 0 {
            return Ok(None);
        }
        let rva = va.checked_sub(image_base).and_then(|rva| u32::try_from(rva).ok());
        rva.filter(|&rva| layout.is_mapped(rva, 8)).map(Some).ok_or(PeError::BadValue {
            what,
            offset: layout.offset(directory.rva) + u64::from(offset),
            found: va,
            expected: "an address in the image",
        })
    };
    Ok(LoadConfig {
        security_cookie: place(SECURITY_COOKIE, "the address of the security cookie")?,
        guard_check: place(GUARD_CHECK, "the address of the guard check pointer")?,
        guard_dispatch: place(GUARD_DISPATCH, "the address of the guard dispatch pointer")?,
        guard_flags: u32::try_from(field(GUARD_FLAGS, 4)?).unwrap_or(0),
    })
}
