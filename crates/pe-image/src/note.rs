//! What is unusual about an image but does not stop it from being loaded.

use std::fmt;

/// Something worth telling the driver's author.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A user-mode program or library, not a driver.
    NotNative {
        /// `Subsystem` of the optional header.
        subsystem: u16,
    },
    /// The stored checksum is not the file's. Windows refuses such a driver.
    Checksum {
        /// In the optional header.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// A section asks to be writable and executable; it gets what it asks for.
    WritableExecutable {
        /// Its name.
        section: String,
    },
    /// The file's relocations are stripped and it was mapped away from its preferred base, which NT
    /// refuses. Code that only addresses itself relative to RIP works nevertheless.
    NotRelocatable {
        /// The base that it was linked for.
        preferred: u64,
        /// Where it is.
        actual: u64,
    },
    /// Sections aligned to less than a page: pages that sections share have the union of their rights.
    LowAlignment {
        /// `SectionAlignment`.
        alignment: u32,
    },
    /// The file goes on behind sections, symbols and certificates: something was appended.
    Overlay {
        /// Where it begins.
        offset: u64,
        /// Its length.
        len: u64,
    },
    /// The function table was not sorted, or entries of it made no sense and were left out.
    FunctionTable {
        /// Entries left out.
        dropped: usize,
        /// Whether the table was in ascending order.
        sorted: bool,
    },
    /// An optional directory (debug, load configuration, version) could not be read and was left out.
    Unreadable {
        /// The directory.
        what: &'static str,
        /// Why.
        why: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNative { subsystem } => {
                write!(
                    f,
                    "not a driver: subsystem {subsystem} ({})",
                    crate::header::subsystem_name(*subsystem)
                )
            }
            Self::Checksum { stored, computed } => {
                write!(
                    f,
                    "checksum {stored:#010x} does not fit the file ({computed:#010x}): Windows would refuse it"
                )
            }
            Self::WritableExecutable { section } => write!(f, "section {section} is writable and executable"),
            Self::NotRelocatable { preferred, actual } => {
                write!(f, "relocations stripped: linked for {preferred:#x}, mapped at {actual:#x}")
            }
            Self::LowAlignment { alignment } => {
                write!(
                    f,
                    "section alignment {alignment:#x} is below a page: sections share pages and their rights"
                )
            }
            Self::Overlay { offset, len } => {
                write!(f, "{len} bytes were appended to the file, from offset {offset:#x}")
            }
            Self::FunctionTable { dropped, sorted } => write!(
                f,
                "function table: {dropped} entries make no sense{}",
                if *sorted { "" } else { ", and it is not in ascending order" }
            ),
            Self::Unreadable { what, why } => write!(f, "{what} left out: {why}"),
        }
    }
}
