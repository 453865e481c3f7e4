//! [`NtStatus`].

use core::fmt;

/// An `NTSTATUS`: how a kernel routine ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct NtStatus(i32);

impl NtStatus {
    /// 0x00000000
    pub const SUCCESS: Self = Self::from_bits(0);
    /// 0xC0000001
    pub const UNSUCCESSFUL: Self = Self::from_bits(0xC000_0001);
    /// 0xC000000D
    pub const INVALID_PARAMETER: Self = Self::from_bits(0xC000_000D);
    /// 0xC0000022
    pub const ACCESS_DENIED: Self = Self::from_bits(0xC000_0022);
    /// 0xC0000024
    pub const OBJECT_TYPE_MISMATCH: Self = Self::from_bits(0xC000_0024);
    /// 0xC0000034
    pub const OBJECT_NAME_NOT_FOUND: Self = Self::from_bits(0xC000_0034);
    /// 0xC000007A
    pub const PROCEDURE_NOT_FOUND: Self = Self::from_bits(0xC000_007A);
    /// 0xC000009A
    pub const INSUFFICIENT_RESOURCES: Self = Self::from_bits(0xC000_009A);
    /// 0x80000005
    pub const BUFFER_OVERFLOW: Self = Self::from_bits(0x8000_0005);
    /// 0xC0000023
    pub const BUFFER_TOO_SMALL: Self = Self::from_bits(0xC000_0023);

    /// The status with these 32 bits, as they are written in documents: `0xC0000022`.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits.cast_signed())
    }

    /// Its 32 bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0.cast_unsigned()
    }

    pub(crate) const fn from_raw(raw: i32) -> Self {
        Self(raw)
    }

    pub(crate) const fn raw(self) -> i32 {
        self.0
    }

    /// Success and informational values (`NT_SUCCESS`).
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >= 0
    }

    /// `Ok` when [`is_success`](Self::is_success), otherwise itself.
    ///
    /// # Errors
    /// Itself.
    pub const fn ok(self) -> Result<(), Self> {
        if self.is_success() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for NtStatus {
    /// `0x0`, `0xC0000022`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#X}", self.bits())
    }
}

impl fmt::Debug for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_and_errors_are_not_success() {
        assert!(NtStatus::SUCCESS.is_success());
        assert!(NtStatus::from_bits(0x0000_0103).is_success());
        assert!(NtStatus::from_bits(0x4000_0003).is_success());
        assert!(!NtStatus::BUFFER_OVERFLOW.is_success());
        assert_eq!(NtStatus::ACCESS_DENIED.ok(), Err(NtStatus::ACCESS_DENIED));
    }

    #[test]
    fn shown_as_documents_write_it() {
        assert_eq!(NtStatus::ACCESS_DENIED.to_string(), "0xC0000022");
        assert_eq!(NtStatus::SUCCESS.to_string(), "0x0");
    }
}
