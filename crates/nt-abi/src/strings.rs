//! Counted strings.

nt_struct! {
    /// A counted UTF-16 string, not necessarily terminated.
    struct UNICODE_STRING: 0x10 {
        /// Bytes in use, without a terminator.
        0x00 Length: u16,
        /// Bytes that `Buffer` has room for.
        0x02 MaximumLength: u16,
        0x08 Buffer: *mut u16,
    }
    /// A counted string of bytes (`ANSI_STRING`, `OEM_STRING`, `UTF8_STRING` are the same).
    struct STRING: 0x10 {
        /// Bytes in use, without a terminator.
        0x00 Length: u16,
        /// Bytes that `Buffer` has room for.
        0x02 MaximumLength: u16,
        0x08 Buffer: *mut u8,
    }
}

/// A counted string in the ANSI code page.
pub type ANSI_STRING = STRING;
/// A counted string in the OEM code page.
pub type OEM_STRING = STRING;
/// A counted string in UTF-8.
pub type UTF8_STRING = STRING;

/// The greatest `Length` in bytes that a [`UNICODE_STRING`] can have: 0xFFFE.
pub const UNICODE_STRING_MAX_BYTES: u16 = 0xFFFE;
/// The greatest number of characters that a [`UNICODE_STRING`] can have: 32767.
pub const UNICODE_STRING_MAX_CHARS: u16 = 0x7FFF;
