//! Signing levels of files: nothing of a bench was ever verified, so none is cached.

use export_macro::export;
use nt_abi::{FILE_OBJECT, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_NOT_FOUND};

/// Gets the signing level that was cached for a file: STATUS_NOT_FOUND. Source: public symbol lists.
#[export(irql == PASSIVE, since = Win81)]
pub unsafe extern "win64" fn SeGetCachedSigningLevel(
    file: *const FILE_OBJECT,
    flags: *mut u32,
    level: *mut u8,
    _thumbprint: *mut u8,
    thumbprint_bytes: *mut u32,
    _algorithm: *mut u32,
) -> NTSTATUS {
    if file.is_null() || flags.is_null() || level.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the driver's pointers, of which the last may be null.
    unsafe {
        flags.write(0);
        level.write(0);
        if !thumbprint_bytes.is_null() {
            thumbprint_bytes.write(0);
        }
    }
    STATUS_NOT_FOUND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_has_a_cached_level() {
        let (file, mut flags, mut level, null) = (FILE_OBJECT::default(), 7, 7, std::ptr::null_mut());
        // SAFETY: pointers to what the routine documents.
        let status =
            unsafe { SeGetCachedSigningLevel(&file, &mut flags, &mut level, null, null.cast(), null.cast()) };
        assert_eq!((status, flags, level), (STATUS_NOT_FOUND, 0, 0));
    }
}
