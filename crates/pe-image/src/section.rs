//! Sections: where they lie in the file and in the image, and what their pages allow.

use crate::bytes::{align_up, printable};
use crate::error::PeError;
use object::LittleEndian as LE;
use object::pe;
use object::read::coff::SectionTable;
use std::fmt;

/// Bytes of a page.
pub const PAGE: u32 = 0x1000;

/// What a page allows. Every mapped page of an image can be read, as in the NT kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Protection {
    /// The page can be written.
    pub write: bool,
    /// The page can be executed.
    pub execute: bool,
}

impl Protection {
    /// Read only.
    pub const READ: Self = Self { write: false, execute: false };
    /// Read and write.
    pub const READ_WRITE: Self = Self { write: true, execute: false };
    /// Read and execute.
    pub const READ_EXECUTE: Self = Self { write: false, execute: true };

    /// What a page allows that belongs to two sections.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { write: self.write || other.write, execute: self.execute || other.execute }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}{}", if self.write { 'w' } else { '-' }, if self.execute { 'x' } else { '-' })
    }
}

/// One section of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Name; long names of MinGW images come from the COFF string table. What is no text is replaced.
    pub name: String,
    /// Where it begins in the image.
    pub rva: u32,
    /// Bytes in the image; the raw size if the header says 0, as NT does.
    pub virtual_size: u32,
    /// Where its bytes begin in the file.
    pub raw_offset: u32,
    /// Bytes in the file. More than the image has room for are not mapped.
    pub raw_size: u32,
    /// `Characteristics` (`IMAGE_SCN_*`).
    pub characteristics: u32,
    /// File offset of the section's header.
    pub header_offset: u64,
}

impl Section {
    /// What its pages allow. Reading is always allowed.
    #[must_use]
    pub fn protection(&self) -> Protection {
        Protection {
            write: self.characteristics & pe::IMAGE_SCN_MEM_WRITE.0 != 0,
            execute: self.characteristics & pe::IMAGE_SCN_MEM_EXECUTE.0 != 0,
        }
    }

    /// Whether NT may discard it after `DriverEntry` (INIT sections). It stays mapped here.
    #[must_use]
    pub fn discardable(&self) -> bool {
        self.characteristics & pe::IMAGE_SCN_MEM_DISCARDABLE.0 != 0
    }

    /// Whether it is writable and executable.
    #[must_use]
    pub fn writable_executable(&self) -> bool {
        let protection = self.protection();
        protection.write && protection.execute
    }

    /// One past its last RVA.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from(self.rva) + u64::from(self.virtual_size)
    }

    /// Whether `rva` is one of its bytes.
    #[must_use]
    pub fn contains(&self, rva: u32) -> bool {
        rva >= self.rva && u64::from(rva) < self.end()
    }

    /// Bytes of the file that are mapped: whole pages of the image, as the NT loader maps them.
    pub(crate) fn mapped_raw(&self) -> u32 {
        let room = align_up(self.virtual_size.into(), PAGE.into());
        u32::try_from(room).unwrap_or(u32::MAX).min(self.raw_size)
    }
}

/// What the checks of a section table compare with.
pub(crate) struct Frame {
    pub(crate) file_len: u64,
    pub(crate) size_of_headers: u32,
    pub(crate) size_of_image: u32,
    pub(crate) section_alignment: u32,
    /// File offset of the first section header.
    pub(crate) table_offset: u64,
}

/// The sections in ascending order, checked against the file, the image and each other.
pub(crate) fn read(
    data: &[u8],
    table: &SectionTable<'_>,
    file_header: &pe::ImageFileHeader,
    frame: &Frame,
) -> Result<Vec<Section>, PeError> {
    // No string table, or a broken one: then long names stay as they are ("/4").
    let strings = object::read::coff::SymbolTable::<&[u8]>::parse(file_header, data)
        .ok()
        .map(|symbols| symbols.strings());
    let mut sections: Vec<Section> = Vec::with_capacity(table.len());
    let header_size = size_of::<pe::ImageSectionHeader>() as u64;
    for (header, index) in table.iter().zip(0u64..) {
        let long_name = strings.and_then(|strings| header.name(strings).ok());
        let raw_size = header.size_of_raw_data.get(LE);
        let virtual_size = match header.virtual_size.get(LE) {
            0 => raw_size,
            size => size,
        };
        let raw_offset = if raw_size == 0 { 0 } else { header.pointer_to_raw_data.get(LE) };
        let section = Section {
            name: printable(long_name.unwrap_or_else(|| header.raw_name())),
            rva: header.virtual_address.get(LE),
            virtual_size,
            raw_offset,
            // No offset means no bytes: only zeros (uninitialised data).
            raw_size: if raw_offset == 0 { 0 } else { raw_size },
            characteristics: header.characteristics.get(LE).0,
            header_offset: frame.table_offset + index * header_size,
        };
        check(&section, sections.last(), frame)?;
        sections.push(section);
    }
    Ok(sections)
}

fn check(section: &Section, previous: Option<&Section>, frame: &Frame) -> Result<(), PeError> {
    let (name, offset) = (|| section.name.clone(), section.header_offset);
    let low = frame.section_alignment < PAGE;
    if !section.rva.is_multiple_of(frame.section_alignment) {
        return Err(PeError::BadAlignment {
            what: "VirtualAddress of a section",
            offset: offset + 12,
            value: section.rva.into(),
            expected: "a multiple of SectionAlignment",
        });
    }
    let raw_end = u64::from(section.raw_offset) + u64::from(section.raw_size);
    if raw_end > frame.file_len {
        let start = section.raw_offset.into();
        return Err(PeError::SectionBeyondFile {
            section: name(),
            offset,
            start,
            end: raw_end,
            file_len: frame.file_len,
        });
    }
    if low && section.raw_size != 0 && section.raw_offset != section.rva {
        return Err(PeError::LowAlignment {
            section: name(),
            offset,
            rva: section.rva,
            raw: section.raw_offset,
        });
    }
    let (first, end) = match previous {
        // Two sections may share a page only if the image says so by its alignment.
        Some(previous) if low => (previous.name.clone(), previous.end()),
        Some(previous) => (previous.name.clone(), align_up(previous.end(), PAGE.into())),
        None => ("the headers".into(), frame.size_of_headers.into()),
    };
    if u64::from(section.rva) < end {
        return Err(PeError::SectionsOverlap { first, second: name(), offset, rva: section.rva.into(), end });
    }
    if section.end() > align_up(frame.size_of_image.into(), PAGE.into()) {
        let end = section.end();
        return Err(PeError::SectionOutsideImage {
            section: name(),
            offset,
            end,
            size_of_image: frame.size_of_image,
        });
    }
    Ok(())
}
