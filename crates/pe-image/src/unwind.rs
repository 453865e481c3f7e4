//! The function table (`.pdata`): which function an address is in, and where its unwind data is.
//!
//! Unwinding itself belongs to the machine; the unwind data are decoded by `pe-unwind-info`.

use crate::error::PeError;
use crate::header::Headers;
use crate::layout::Layout;
use crate::limits::MAX_FUNCTIONS;
use crate::note::Note;
use object::pe;
use pe_unwind_info::x86_64::{UnwindInfo, UnwindInfoFlags};

/// One `RUNTIME_FUNCTION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct RuntimeFunction {
    /// RVA of its first byte.
    pub begin: u32,
    /// RVA behind its last byte.
    pub end: u32,
    /// RVA of its `UNWIND_INFO`.
    pub unwind: u32,
}

impl RuntimeFunction {
    /// Whether `rva` is in it.
    #[must_use]
    pub fn contains(&self, rva: u32) -> bool {
        (self.begin..self.end).contains(&rva)
    }
}

/// The function table of an image, in ascending order, as it was in the file: a driver that
/// scribbles over its `.pdata` does not change it.
#[derive(Debug, Clone, Default)]
pub struct FunctionTable {
    /// RVA of the table itself; 0 if there is none.
    pub rva: u32,
    entries: Vec<RuntimeFunction>,
}

impl FunctionTable {
    /// The function that `rva` is in. Leaf functions have no entry: for them the return address is
    /// at the stack pointer.
    #[must_use]
    pub fn lookup(&self, rva: u32) -> Option<&RuntimeFunction> {
        let after = self.entries.partition_point(|entry| entry.begin <= rva);
        self.entries.get(after.checked_sub(1)?).filter(|entry| entry.contains(rva))
    }

    /// The entries in ascending order of `begin`.
    #[must_use]
    pub fn entries(&self) -> &[RuntimeFunction] {
        &self.entries
    }

    pub(crate) fn read(headers: &Headers<'_>) -> Result<(Self, Option<Note>), PeError> {
        let Some(directory) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION) else {
            return Ok((Self::default(), None));
        };
        let layout = &headers.layout;
        let what = "the function table (exception directory)";
        let bytes = layout.slice(directory.rva, directory.size.into(), what, directory.at)?;
        if bytes.len() / 12 > MAX_FUNCTIONS {
            let offset = layout.offset(directory.rva);
            return Err(PeError::TooMany { what, offset, limit: MAX_FUNCTIONS as u64 });
        }
        let all = bytes.chunks_exact(12).map(entry);
        // Some linkers pad the table with zeros.
        let used: Vec<_> = all.filter(|e| (e.begin, e.end, e.unwind) != (0, 0, 0)).collect();
        let mut entries: Vec<_> = used.iter().filter_map(|entry| checked(layout, *entry)).collect();
        let dropped = used.len() - entries.len();
        let sorted = entries.is_sorted_by_key(|entry| entry.begin);
        if !sorted {
            entries.sort_by_key(|entry| (entry.begin, entry.end));
        }
        let note = (dropped != 0 || !sorted).then_some(Note::FunctionTable { dropped, sorted });
        Ok((Self { rva: directory.rva, entries }, note))
    }

    /// How many functions have an exception or termination handler (`__try`), reading `layout`.
    #[must_use]
    pub fn with_handlers(&self, layout: &Layout<'_>) -> usize {
        let handler = |entry: &&RuntimeFunction| {
            let trailer = layout.tail(entry.unwind).and_then(Trailer::read);
            matches!(trailer, Some(Trailer::Handler { .. }))
        };
        self.entries.iter().filter(handler).count()
    }
}

/// What follows the unwind codes of a function.
///
/// Read here and not by `pe-unwind-info`, which overlooks that an odd number of codes is padded by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trailer {
    /// Nothing.
    None,
    /// A language-specific handler.
    Handler {
        /// RVA of the handler, such as `__C_specific_handler`.
        handler: u32,
        /// Where its data begin, in bytes from the start of the `UNWIND_INFO`.
        data: u32,
        /// It wants to see exceptions (`UNW_FLAG_EHANDLER`).
        exceptions: bool,
        /// It wants to run on unwinding (`UNW_FLAG_UHANDLER`).
        unwinds: bool,
    },
    /// The function's frame is described further by another entry's unwind data.
    Chained(RuntimeFunction),
}

impl Trailer {
    /// Reads it from the bytes of an `UNWIND_INFO`; `None` if they are too few or of an unknown version.
    #[must_use]
    pub fn read(unwind_info: &[u8]) -> Option<Self> {
        let info = UnwindInfo::parse(unwind_info)?;
        let flags = info.flags();
        // Codes are two bytes each behind a header of four, and there is an even number of them.
        let at = 4 + usize::from(info.unwind_codes_len).next_multiple_of(2) * 2;
        let rest = unwind_info.get(at..)?;
        if flags.contains(UnwindInfoFlags::CHAININFO) {
            return Some(Self::Chained(entry(rest.first_chunk::<12>()?)));
        }
        let (exceptions, unwinds) =
            (flags.contains(UnwindInfoFlags::EHANDLER), flags.contains(UnwindInfoFlags::UHANDLER));
        if !exceptions && !unwinds {
            return Some(Self::None);
        }
        let handler = u32::from_le_bytes(*rest.first_chunk::<4>()?);
        Some(Self::Handler { handler, data: u32::try_from(at + 4).ok()?, exceptions, unwinds })
    }
}

fn entry(bytes: &[u8]) -> RuntimeFunction {
    let field = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    RuntimeFunction { begin: field(0), end: field(4), unwind: field(8) }
}

/// The entry if it can be true. An odd unwind address leads to another entry that has the real one
/// (an indirect entry); such a chain is one long.
fn checked(layout: &Layout<'_>, found: RuntimeFunction) -> Option<RuntimeFunction> {
    let unwind = if found.unwind & 1 == 0 {
        found.unwind
    } else {
        entry(&layout.array::<12>(found.unwind - 1)?).unwind
    };
    let code = found.begin < found.end && layout.is_mapped(found.begin, found.end - found.begin);
    let data = unwind & 1 == 0 && layout.tail(unwind).is_some_and(|tail| tail.len() >= 4);
    (code && data).then_some(RuntimeFunction { unwind, ..found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_number_of_codes_is_padded() {
        // Version 1, EHANDLER | UHANDLER; one code and its padding; handler; data.
        let odd = [0x19, 0, 1, 0, 0x04, 0x42, 0, 0, 0x78, 0x56, 0x34, 0x12, 9, 9];
        let handler = Trailer::Handler { handler: 0x1234_5678, data: 12, exceptions: true, unwinds: true };
        assert_eq!(Trailer::read(&odd), Some(handler));
        let even = [0x09, 0, 2, 0, 4, 0x42, 4, 0x42, 0x78, 0x56, 0x34, 0x12];
        let handler = Trailer::Handler { handler: 0x1234_5678, data: 12, exceptions: true, unwinds: false };
        assert_eq!(Trailer::read(&even), Some(handler));
        assert_eq!(Trailer::read(&even[..11]), None);
        assert_eq!(Trailer::read(&[1, 0, 0, 0]), Some(Trailer::None));
        assert_eq!(Trailer::read(&[7, 0, 0, 0]), None);
        let chained = [0x21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0];
        assert_eq!(
            Trailer::read(&chained),
            Some(Trailer::Chained(RuntimeFunction { begin: 1, end: 2, unwind: 3 }))
        );
    }
}
