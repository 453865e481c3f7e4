//! How the registry's answers get into a driver's buffer.

use nt_abi::{NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_SUCCESS};

/// Where a driver wants an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer {
    pub(super) start: *mut u8,
    /// Bytes.
    pub(super) length: u32,
    /// Where the size of the whole answer goes.
    pub(super) result: *mut u32,
}

impl Buffer {
    /// Writes an answer, of which `fixed` bytes are there always.
    ///
    /// STATUS_BUFFER_TOO_SMALL where not even they fit: nothing is written then. STATUS_BUFFER_OVERFLOW where not all
    /// fits: as much as does is written. The size of the whole is told in every case. Source: DDI, ZwQueryValueKey.
    ///
    /// # Safety
    /// The pointers are a driver's, valid as the documentation of its routine asks; bad ones fault as on Windows.
    pub(super) unsafe fn write(self, answer: &[u8], fixed: usize) -> NTSTATUS {
        if !self.result.is_null() {
            // SAFETY: by this function's contract.
            unsafe { self.result.write_unaligned(u32::try_from(answer.len()).unwrap_or(u32::MAX)) };
        }
        let length = self.length as usize;
        if length < fixed {
            return STATUS_BUFFER_TOO_SMALL;
        }
        let fits = answer.len().min(length);
        // SAFETY: as above: the buffer has `length` bytes.
        unsafe { self.start.copy_from_nonoverlapping(answer.as_ptr(), fits) };
        if fits < answer.len() { STATUS_BUFFER_OVERFLOW } else { STATUS_SUCCESS }
    }
}

/// Puts a structure together.
#[derive(Debug, Default)]
pub(super) struct Answer(Vec<u8>);

impl Answer {
    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A number of bytes or of things, which fits 32 bits.
    pub(super) fn size(self, value: usize) -> Self {
        self.u32(u32::try_from(value).unwrap_or(u32::MAX))
    }

    pub(super) fn i64(mut self, value: i64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn units(mut self, value: &[u16]) -> Self {
        self.0.extend(value.iter().flat_map(|unit| unit.to_le_bytes()));
        self
    }

    pub(super) fn bytes(mut self, value: &[u8]) -> Self {
        self.0.extend(value);
        self
    }

    /// Zeros up to an offset.
    pub(super) fn to(mut self, offset: usize) -> Self {
        self.0.resize(offset.max(self.0.len()), 0);
        self
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}
