//! What can be wrong with a file, and what can go wrong while it is mapped.

use thiserror::Error;

/// A file that is no loadable x64 driver image: where it is wrong and what was expected there.
/// Offsets are file offsets unless they are called an RVA.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeError {
    /// The file does not begin with a DOS header.
    #[error("not a PE file: it begins with {found}, expected \"MZ\" at offset 0")]
    NotPe {
        /// What stands there, described for people.
        found: String,
    },
    /// A DOS header without a PE header behind it.
    #[error("a DOS program: expected \"PE\\0\\0\" at offset {offset:#x}, found {found:02x?}")]
    DosExecutable {
        /// Where the PE signature should be (`e_lfanew`).
        offset: u64,
        /// The bytes there; fewer than four if the file ends.
        found: Vec<u8>,
    },
    /// An image for another processor.
    #[error(
        "for another processor: {name} (machine {machine:#06x} at offset {offset:#x}), expected x64 (0x8664)"
    )]
    WrongMachine {
        /// `Machine` of the file header.
        machine: u16,
        /// The processor's name.
        name: &'static str,
        /// Where the field is.
        offset: u64,
    },
    /// An optional header that is not PE32+.
    #[error("optional header magic {magic:#06x} at offset {offset:#x}, expected 0x020b (PE32+)")]
    NotPe32Plus {
        /// The value found.
        magic: u16,
        /// Where the field is.
        offset: u64,
    },
    /// The file ends inside a structure.
    #[error("truncated: {what} at offset {offset:#x} needs {needs} bytes, the file has {has} there")]
    Truncated {
        /// The structure.
        what: &'static str,
        /// Where it begins.
        offset: u64,
        /// Its size.
        needs: u64,
        /// Bytes that the file has from `offset` on.
        has: u64,
    },
    /// An alignment that the format forbids.
    #[error("{what} is {value:#x} (offset {offset:#x}), expected {expected}")]
    BadAlignment {
        /// The field.
        what: &'static str,
        /// Where it is.
        offset: u64,
        /// Its value.
        value: u64,
        /// The rule it breaks.
        expected: &'static str,
    },
    /// Raw data of a section behind the end of the file.
    #[error(
        "truncated: section {section} (header at offset {offset:#x}) holds the file's bytes {start:#x}..{end:#x}, \
         the file ends at {file_len:#x}"
    )]
    SectionBeyondFile {
        /// Name of the section.
        section: String,
        /// Where its header is.
        offset: u64,
        /// First byte of its raw data.
        start: u64,
        /// End of its raw data.
        end: u64,
        /// Length of the file.
        file_len: u64,
    },
    /// Two sections (or the headers and a section) share addresses.
    #[error(
        "section {second} (header at offset {offset:#x}) begins at RVA {rva:#x}, inside {first}, \
         which ends at {end:#x}"
    )]
    SectionsOverlap {
        /// The one before.
        first: String,
        /// The one that begins too early.
        second: String,
        /// Where the header of `second` is.
        offset: u64,
        /// Where `second` begins.
        rva: u64,
        /// Where `first` ends.
        end: u64,
    },
    /// A section behind the end of the image.
    #[error(
        "section {section} (header at offset {offset:#x}) ends at RVA {end:#x}, behind SizeOfImage {size_of_image:#x}"
    )]
    SectionOutsideImage {
        /// Name of the section.
        section: String,
        /// Where its header is.
        offset: u64,
        /// Where it ends.
        end: u64,
        /// The image's size.
        size_of_image: u32,
    },
    /// Sections aligned to less than a page whose RVAs differ from their file offsets.
    #[error(
        "section {section} (header at offset {offset:#x}) lies at RVA {rva:#x} but at file offset {raw:#x}; \
         with a section alignment below a page they must be equal"
    )]
    LowAlignment {
        /// Name of the section.
        section: String,
        /// Where its header is.
        offset: u64,
        /// Its RVA.
        rva: u32,
        /// Its raw data's offset.
        raw: u32,
    },
    /// A table or directory that points outside the image's data.
    #[error(
        "{what} (described at offset {offset:#x}) points to RVA {rva:#x}, {size} bytes: not in the image's data"
    )]
    OutOfRange {
        /// What points there.
        what: &'static str,
        /// File offset of the pointer, or of the table that holds it; 0 if that is not in the file.
        offset: u64,
        /// The RVA.
        rva: u32,
        /// Bytes needed there.
        size: u64,
    },
    /// A field whose value makes no sense.
    #[error("{what} is {found:#x} (offset {offset:#x}), expected {expected}")]
    BadValue {
        /// The field.
        what: &'static str,
        /// Where it is.
        offset: u64,
        /// Its value.
        found: u64,
        /// What it should have been.
        expected: &'static str,
    },
    /// More entries than any real file has (see [`crate::limits`]).
    #[error("{what} (offset {offset:#x}): more than {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// Where it begins.
        offset: u64,
        /// The limit.
        limit: u64,
    },
    /// `SizeOfImage` is absurd.
    #[error("SizeOfImage is {size:#x} (offset {offset:#x}), expected 1 to {limit:#x}")]
    ImageSize {
        /// The value.
        size: u32,
        /// Where it is.
        offset: u64,
        /// [`crate::limits::MAX_IMAGE_SIZE`].
        limit: u32,
    },
    /// The entry point is not in the image.
    #[error("entry point RVA {entry:#x} (offset {offset:#x}) is in no section of the image")]
    EntryOutsideImage {
        /// The RVA.
        entry: u32,
        /// Where the field is.
        offset: u64,
    },
    /// The entry point is in a section that may not be executed.
    #[error(
        "entry point RVA {entry:#x} (offset {offset:#x}) is in section {section}, which is not executable"
    )]
    EntryNotExecutable {
        /// The RVA.
        entry: u32,
        /// Where the field is.
        offset: u64,
        /// The section.
        section: String,
    },
    /// A name that is empty, too long, not ended or not text.
    #[error("{what} at offset {offset:#x} is no name: {why}")]
    BadName {
        /// Whose name.
        what: &'static str,
        /// Where it begins.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A user-mode program or library. [`crate::parse`] accepts it with a [`crate::Note`];
    /// [`crate::PeFile::require_driver`] does not.
    #[error("not a driver: subsystem {subsystem} ({name}) at offset {offset:#x}, expected 1 (native)")]
    NotNative {
        /// `Subsystem` of the optional header.
        subsystem: u16,
        /// Its name.
        name: &'static str,
        /// Where the field is.
        offset: u64,
    },
    /// A driver without an entry point: nothing could be called.
    #[error("no entry point (AddressOfEntryPoint at offset {offset:#x} is 0)")]
    NoEntry {
        /// Where the field is.
        offset: u64,
    },
}

/// A parsed file that could not be mapped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MapError {
    /// The requested address is not a multiple of the page size or too low for its guard pages.
    #[error("cannot map at {address:#x}: expected a multiple of 0x1000 with room for guard pages below")]
    BadAddress {
        /// The address.
        address: usize,
    },
    /// The address range could not be reserved.
    #[error("cannot reserve {size:#x} bytes at {}: {source}", address.map_or("any address".into(), |a| format!("{a:#x}")))]
    Reserve {
        /// The address asked for.
        address: Option<usize>,
        /// Size of the image and its guard pages.
        size: usize,
        /// Why; `EEXIST` if something is mapped there.
        source: std::io::Error,
    },
    /// The kernel refused a protection.
    #[error("cannot protect RVA {start:#x}..{end:#x} as {protection}: {source}")]
    Protect {
        /// First byte.
        start: usize,
        /// End.
        end: usize,
        /// What was asked for.
        protection: crate::Protection,
        /// Why.
        source: std::io::Error,
    },
    /// A place of the image that [`crate::parse`] has checked is not there. A defect of this crate.
    #[error("{what} at RVA {rva:#x} is outside the image although it was checked")]
    Inconsistent {
        /// What was to be written.
        what: &'static str,
        /// Where.
        rva: u32,
    },
}
