//! What routines are given, and what becomes of it: it dies with the call (R-PCI-01, R-II-05).
//!
//! Each processor has one set of buffers, made at its first notification and used again ever after, so
//! that a notification allocates nothing. After a walk they are poisoned: a driver that kept a
//! pointer reads [`POISON`] and not the next event's data, and what it writes changes nothing (R-VETO-10).

use std::cell::RefCell;
use std::ptr::NonNull;

use event::DriverId;
use machine::platform::Protection;
use nt_abi::{IMAGE_INFO_EX, NTSTATUS, PS_CREATE_NOTIFY_INFO, UNICODE_STRING};

use crate::Kernel;
use crate::io::file::ImageFile;

/// What every 16-bit unit of a buffer is after the call. As a pointer it is not canonical, so that
/// following one faults at once.
pub(crate) const POISON: u16 = 0xDEAD;

/// A page, in bytes.
const PAGE: usize = 4096;
/// The most 16-bit units a counted string can have, with its NUL.
const MOST: usize = 0x7FFF;

/// One processor's arguments, used again for each event.
pub(super) struct Arguments {
    pub(super) image: NameBuffer,
    pub(super) command_line: NameBuffer,
    pub(super) file: Option<crate::ob::Ref<ImageFile>>,
    pub(super) creation: PS_CREATE_NOTIFY_INFO,
    pub(super) mapping: IMAGE_INFO_EX,
}

impl Default for Arguments {
    fn default() -> Self {
        let mut arguments = Self {
            image: NameBuffer::default(),
            command_line: NameBuffer::default(),
            file: None,
            creation: PS_CREATE_NOTIFY_INFO::default(),
            mapping: IMAGE_INFO_EX::default(),
        };
        arguments.poison();
        arguments
    }
}

thread_local! {
    /// Those that nobody uses now. A nested event takes others than the outer one, which still uses its own; they are
    /// kept, as drivers may have their addresses.
    #[expect(clippy::vec_box, reason = "drivers hold addresses of what is in them")]
    static ARGUMENTS: RefCell<Vec<Box<Arguments>>> = const { RefCell::new(Vec::new()) };
}

/// Lends a set of the processor's arguments out, and makes what was in it unusable.
pub(super) fn with_arguments<T>(use_them: impl FnOnce(&mut Arguments) -> T) -> T {
    let mut arguments = ARGUMENTS.with_borrow_mut(Vec::pop).unwrap_or_default();
    let result = use_them(&mut arguments);
    arguments.poison();
    ARGUMENTS.with_borrow_mut(|all| all.push(arguments));
    result
}

/// Reports that a structure was written to which a notify routine was given and whose call is over (R-VETO-10, L-15):
/// by the routine that has just returned, or by whatever ran before.
pub(super) fn report_late_writes(kernel: &Kernel, routine: Option<(DriverId, u64)>) {
    let late = ARGUMENTS.with_borrow_mut(|all| all.iter_mut().find_map(|arguments| arguments.late_write()));
    let Some(what) = late else { return };
    let message = format!(
        "{what} was written to after the routines that it was for have returned: it changes nothing, and the memory may be \
         somebody else's by then; decide during the call"
    );
    let stack = routine.map(|(_, address)| crate::ke::stop::frame_at(address)).into_iter().collect();
    kernel.finding_at(routine.map(|(driver, _)| driver), &crate::rule::L_15, &message, None, stack);
}

impl Arguments {
    /// Makes what drivers had unusable.
    fn poison(&mut self) {
        self.image.poison();
        self.command_line.poison();
        poison_all(&mut self.creation);
        poison_all(&mut self.mapping);
    }

    /// What of the structures is not poison any more, in words; it is poison again afterwards.
    fn late_write(&mut self) -> Option<String> {
        let creation = first_change(&raw const self.creation);
        let mapping = first_change(&raw const self.mapping);
        let late = match (creation, mapping) {
            (None, None) => return None,
            (Some(offset), _) if offset == std::mem::offset_of!(PS_CREATE_NOTIFY_INFO, CreationStatus) => {
                // SAFETY: a field of ours, which drivers write to.
                let status: NTSTATUS = unsafe { (&raw const self.creation.CreationStatus).read_volatile() };
                format!("{status} as the CreationStatus of a PS_CREATE_NOTIFY_INFO")
            }
            (Some(offset), _) => format!("byte {offset} of a PS_CREATE_NOTIFY_INFO"),
            (None, Some(offset)) => format!("byte {offset} of an IMAGE_INFO_EX"),
        };
        self.poison();
        Some(late)
    }
}

/// A counted string for drivers.
#[derive(Debug, Default)]
pub(crate) struct NameBuffer {
    units: Vec<u16>,
    /// Where units are that must end where nothing follows.
    edge: Option<Edge>,
    string: UNICODE_STRING,
}

impl NameBuffer {
    /// Puts the parts together and returns the string. What exceeds the length that a counted string can have is cut
    /// off. `terminated` says whether a NUL follows, which nothing promises (R-FN-08); without one the string ends
    /// at a page that cannot be read, so that whoever reads on faults.
    pub(crate) fn fill(&mut self, parts: &[&str], terminated: bool) -> *mut UNICODE_STRING {
        if !terminated && let Some(string) = self.fill_to_the_edge(parts) {
            self.string = string;
            return &raw mut self.string;
        }
        let length = units_of(parts);
        if self.units.capacity() == 0 {
            self.units.reserve_exact(512);
        }
        self.units.resize(length + 1, 0);
        encode(parts, &mut self.units[..length]);
        self.units[length] = 0;
        let bytes = u16::try_from(self.units.len() * 2).unwrap_or(u16::MAX - 1);
        self.string =
            UNICODE_STRING { Length: bytes - 2, MaximumLength: bytes, Buffer: self.units.as_mut_ptr() };
        &raw mut self.string
    }

    /// The string without a NUL; `None` where there is no memory for it.
    fn fill_to_the_edge(&mut self, parts: &[&str]) -> Option<UNICODE_STRING> {
        if self.edge.is_none() {
            self.edge = Edge::new();
        }
        let edge = self.edge.as_mut()?;
        let length = units_of(parts);
        let bytes = u16::try_from(length * 2).ok()?;
        encode(parts, edge.take(length));
        Some(UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: edge.end(length) })
    }

    /// Makes what was given unusable.
    pub(crate) fn poison(&mut self) {
        self.units.fill(POISON);
        if let Some(edge) = &mut self.edge {
            edge.poison();
        }
        self.string.Length = POISON;
        self.string.MaximumLength = POISON;
        self.string.Buffer = poisoned_pointer();
    }
}

/// Memory for the longest string, and behind it a page that nobody can read.
#[derive(Debug)]
struct Edge {
    start: NonNull<u8>,
    /// How much was written, in units.
    used: usize,
}

impl Edge {
    /// Bytes before the page: the longest string, in whole pages.
    const ROOM: usize = (MOST * 2).next_multiple_of(PAGE);
    const WHOLE: usize = Self::ROOM + PAGE;

    fn new() -> Option<Self> {
        let start = machine::platform().map_pages(Self::WHOLE).ok()?;
        let edge = Self { start, used: 0 };
        // SAFETY: the last page of what was just mapped, which nobody refers to.
        let guarded =
            unsafe { machine::platform().protect_pages(start.byte_add(Self::ROOM), PAGE, Protection::None) };
        guarded.is_ok().then_some(edge)
    }

    /// The last `units` units before the page.
    fn end(&self, units: usize) -> *mut u16 {
        // SAFETY: within the mapping; `units` is at most MOST.
        unsafe { self.start.as_ptr().add(Self::ROOM - units * 2).cast() }
    }

    /// The last `units` units before the page, to be written.
    fn take(&mut self, units: usize) -> &mut [u16] {
        self.used = units;
        // SAFETY: as many units as there are from there to the page. Drivers that have pointers to them do not run.
        unsafe { std::slice::from_raw_parts_mut(self.end(units), units) }
    }

    fn poison(&mut self) {
        self.take(self.used).fill(POISON);
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // SAFETY: what `new` has mapped; strings into it die with their call. That it cannot be unmapped harms nobody.
        let _ = unsafe { machine::platform().unmap_pages(self.start, Self::WHOLE) };
    }
}

/// How many 16-bit units the parts have together, as far as a counted string can have them.
fn units_of(parts: &[&str]) -> usize {
    let units = |part: &&str| if part.is_ascii() { part.len() } else { part.encode_utf16().count() };
    parts.iter().map(units).sum::<usize>().min(MOST - 1)
}

/// Writes the units of the parts, as many as there is room for.
fn encode(parts: &[&str], mut room: &mut [u16]) {
    for part in parts {
        let mut written = 0;
        if part.is_ascii() {
            // Most names are, and this is many units at a time.
            written = part.len().min(room.len());
            room.iter_mut().zip(part.bytes()).for_each(|(unit, byte)| *unit = byte.into());
        } else {
            for (unit, encoded) in room.iter_mut().zip(part.encode_utf16()) {
                *unit = encoded;
                written += 1;
            }
        }
        room = &mut room[written..];
    }
}

/// Overwrites a structure that drivers had, as the buffers are.
fn poison_all<T: Copy>(structure: &mut T) {
    let units = size_of::<T>() / 2;
    let at = std::ptr::from_mut(structure).cast::<u16>();
    for unit in 0..units {
        // SAFETY: within the structure, which is only read again after it was written anew.
        unsafe { at.add(unit).write_unaligned(POISON) };
    }
    std::hint::black_box(structure);
}

/// The offset of the first eight bytes of a structure that are not poison.
fn first_change<T: Copy>(structure: *const T) -> Option<usize> {
    let poison = poisoned_pointer::<u8>().addr() as u64;
    let at = structure.cast::<u64>();
    // SAFETY: within the structure, which drivers may write to meanwhile.
    let changed = |word: usize| unsafe { at.add(word).read_unaligned() } != poison;
    (0..size_of::<T>() / 8).find(|&word| changed(word)).map(|word| word * 8)
}

/// Whether a register holds a pointer of the poison, or one a little beyond it: a driver followed it.
pub(crate) fn follows_poison(registers: &[u64; 16]) -> bool {
    let poison = poisoned_pointer::<u8>().addr() as u64;
    registers.iter().any(|&register| register.wrapping_sub(poison) < 0x1000)
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
        let string = buffer.fill(&[r"\??\C:", r"\é"], true);
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
        let string = buffer.fill(&["x".repeat(40_000).as_str()], true);
        // SAFETY: just filled.
        assert_eq!(unsafe { (*string).Length }, 0xFFFC);
        let string = buffer.fill(&["x".repeat(40_000).as_str()], false);
        // SAFETY: just filled.
        assert_eq!(unsafe { ((*string).Length, *(*string).Buffer) }, (0xFFFC, u16::from(b'x')));
    }

    #[test]
    fn r_fn_08_behind_a_name_without_nul_nothing_can_be_read() {
        let _processor = machine::Processor::attach().unwrap();
        let mut buffer = NameBuffer::default();
        for text in [r"\a\b", ""] {
            let string = buffer.fill(&[r"\x", text], false);
            // SAFETY: just filled.
            let (read, end) = unsafe {
                let string = &*string;
                assert_eq!(string.Length, string.MaximumLength);
                (crate::rtl::text_of(string), string.Buffer.byte_add(usize::from(string.Length)))
            };
            assert_eq!(read, format!(r"\x{text}"));
            assert!(machine::guarded::try_read::<u16>(end.addr() as u64 - 2).is_ok());
            assert!(machine::guarded::try_read::<u16>(end.addr() as u64).is_err());
        }
        buffer.poison();
        let edge = buffer.edge.as_ref().unwrap();
        // SAFETY: the last unit before the page.
        assert_eq!(unsafe { *edge.end(1) }, POISON);
    }

    #[test]
    fn r_pci_01_nothing_is_left_after_the_call() {
        let mut buffer = NameBuffer::default();
        let string = buffer.fill(&["secret"], true);
        buffer.poison();
        assert!(buffer.units.iter().all(|&unit| unit == POISON));
        // SAFETY: the buffer is alive.
        assert_eq!(unsafe { (*string).Buffer }.addr(), 0xDEAD_DEAD_DEAD_DEAD);
    }
}
