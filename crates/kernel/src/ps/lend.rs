//! Arguments that are lent for one walk, under special pool: pages of their own, which nobody can touch afterwards (L-15).
//!
//! Changing what may be done with pages takes microseconds, so the fast pool poisons instead and recognises the poison.

use nt_abi::UNICODE_STRING;

use crate::Kernel;
use crate::ex::pool_special::Lent;

/// What is lent for one walk; taken back when dropped.
pub(super) struct Lender<'a> {
    kernel: &'a Kernel,
    process: u32,
    lent: Vec<usize>,
}

impl<'a> Lender<'a> {
    /// Lends for an event of a process.
    pub(super) fn new(kernel: &'a Kernel, process: u32) -> Self {
        Self { kernel, process, lent: Vec::new() }
    }

    /// What drivers get instead of `original`: a copy on pages of its own, or the original itself.
    pub(super) fn lend<T: Copy>(&mut self, original: *mut T, what: &'static str) -> *mut T {
        // SAFETY: callers hand over a structure of their own, alive and readable.
        let bytes = unsafe { std::slice::from_raw_parts(original.cast::<u8>(), size_of::<T>()) };
        self.lend_bytes(bytes, what).map_or(original, |at| std::ptr::with_exposed_provenance_mut(at))
    }

    /// The same for a counted string with its units, and the NUL behind them where there is one; NULL stays NULL.
    pub(super) fn lend_string(
        &mut self,
        original: *mut UNICODE_STRING,
        what: &'static str,
    ) -> *mut UNICODE_STRING {
        if original.is_null() || !self.kernel.ex.pool.is_special() {
            return original;
        }
        // SAFETY: a string that was filled for this walk, with as many bytes as it says it may have.
        let mut string = unsafe { original.read() };
        // SAFETY: as above.
        let units = unsafe {
            std::slice::from_raw_parts(string.Buffer.cast::<u8>(), usize::from(string.MaximumLength))
        };
        let Some(at) = self.lend_bytes(units, what) else { return original };
        string.Buffer = std::ptr::with_exposed_provenance_mut(at);
        let lent = self.lend(&raw mut string, what);
        // Where there was no room for the structure, the original one serves, with its own units.
        if std::ptr::eq(lent, &raw mut string) { original } else { lent }
    }

    fn lend_bytes(&mut self, bytes: &[u8], what: &'static str) -> Option<usize> {
        let special = self.kernel.ex.pool.special()?;
        let memory = special.lend(bytes.len(), Lent { what, process: self.process })?;
        // SAFETY: as many bytes were just allocated, and nobody else has them.
        unsafe { memory.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        let at = memory.as_ptr().expose_provenance();
        self.lent.push(at);
        Some(at)
    }
}

impl Drop for Lender<'_> {
    fn drop(&mut self) {
        let Some(special) = self.kernel.ex.pool.special() else { return };
        for at in self.lent.drain(..) {
            special.free(at, crate::ex::pool_site::Site::default());
        }
    }
}
