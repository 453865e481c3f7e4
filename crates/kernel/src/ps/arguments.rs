//! What routines are given, and what becomes of it: it dies with the call (R-PCI-01, R-II-05).
//!
//! Each processor has one set of buffers, made at its first notification and used again ever after, so
//! that a notification allocates nothing. After a walk they are poisoned: a driver that kept a
//! pointer reads [`POISON`] and not the next event's data.

use nt_abi::UNICODE_STRING;

/// What every 16-bit unit of a buffer is after the call. As a pointer it is not canonical, so that
/// following one faults at once.
pub(crate) const POISON: u16 = 0xDEAD;

/// The most 16-bit units a counted string can have, with its NUL.
const MOST: usize = 0x7FFF;

/// A counted string for drivers.
#[derive(Debug, Default)]
pub(crate) struct NameBuffer {
    units: Vec<u16>,
    string: UNICODE_STRING,
}

impl NameBuffer {
    /// Puts the parts together and returns the string, NUL-terminated (R-FN-08). What exceeds the length that
    /// a counted string can have is cut off.
    pub(crate) fn fill(&mut self, parts: &[&str]) -> *mut UNICODE_STRING {
        self.units.clear();
        if self.units.capacity() == 0 {
            self.units.reserve_exact(512);
        }
        self.units.extend(parts.iter().flat_map(|part| part.encode_utf16()).take(MOST - 1));
        self.units.push(0);
        let bytes = u16::try_from(self.units.len() * 2).unwrap_or(u16::MAX - 1);
        self.string =
            UNICODE_STRING { Length: bytes - 2, MaximumLength: bytes, Buffer: self.units.as_mut_ptr() };
        &raw mut self.string
    }

    /// Makes what was given unusable.
    pub(crate) fn poison(&mut self) {
        self.units.fill(POISON);
        self.string.Length = POISON;
        self.string.MaximumLength = POISON;
        self.string.Buffer = poisoned_pointer();
    }
}

/// A pointer that faults when followed and says why to whoever sees it in a debugger.
pub(crate) fn poisoned_pointer<T>() -> *mut T {
    std::ptr::without_provenance_mut(0xDEAD_DEAD_DEAD_DEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_fn_08_names_are_counted_and_terminated() {
        let mut buffer = NameBuffer::default();
        let string = buffer.fill(&[r"\??\C:", r"\é"]);
        // SAFETY: just filled.
        let (length, maximum, last) = unsafe {
            let string = &*string;
            (string.Length, string.MaximumLength, *string.Buffer.add(usize::from(string.Length) / 2))
        };
        assert_eq!((length, maximum, last), (16, 18, 0));
    }

    #[test]
    fn a_name_longer_than_a_string_can_be_is_cut() {
        let mut buffer = NameBuffer::default();
        let string = buffer.fill(&["x".repeat(40_000).as_str()]);
        // SAFETY: just filled.
        assert_eq!(unsafe { (*string).Length }, 0xFFFC);
    }

    #[test]
    fn r_pci_01_nothing_is_left_after_the_call() {
        let mut buffer = NameBuffer::default();
        let string = buffer.fill(&["secret"]);
        buffer.poison();
        assert!(buffer.units.iter().all(|&unit| unit == POISON));
        // SAFETY: the buffer is alive.
        assert_eq!(unsafe { (*string).Buffer }.addr(), 0xDEAD_DEAD_DEAD_DEAD);
    }
}
