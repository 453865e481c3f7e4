//! From the first byte to the section table, and what kind of file this is if it is no x64 image.

use crate::bytes::{pod, slice};
use crate::error::PeError;
use crate::layout::Layout;
use crate::limits::MAX_IMAGE_SIZE;
use crate::section::{self, Frame, PAGE};
use object::LittleEndian as LE;
use object::pe;
use object::read::coff::SectionTable;

/// The headers as the format defines them, and the layout that follows from them.
#[derive(Debug, Clone)]
pub(crate) struct Headers<'a> {
    /// File offset of the PE signature.
    pub(crate) pe_offset: u64,
    pub(crate) file: &'a pe::ImageFileHeader,
    pub(crate) optional: &'a pe::ImageOptionalHeader64,
    pub(crate) directories: &'a [u8],
    pub(crate) layout: Layout<'a>,
}

/// A data directory: where a table is and how many bytes it says it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directory {
    pub(crate) rva: u32,
    pub(crate) size: u32,
    /// File offset of the directory entry.
    pub(crate) at: u64,
}

/// Offsets of fields from the PE signature, for errors.
const MACHINE: u64 = 4;
const OPTIONAL: u64 = 24;
const ENTRY: u64 = OPTIONAL + 16;
const SECTION_ALIGNMENT: u64 = OPTIONAL + 32;
const FILE_ALIGNMENT: u64 = OPTIONAL + 36;
const SIZE_OF_IMAGE: u64 = OPTIONAL + 56;
const SIZE_OF_HEADERS: u64 = OPTIONAL + 60;
const CHECKSUM: u64 = OPTIONAL + 64;
const SUBSYSTEM: u64 = OPTIONAL + 68;
const DIRECTORIES: u64 = OPTIONAL + 112;

impl<'a> Headers<'a> {
    pub(crate) fn read(data: &'a [u8]) -> Result<Self, PeError> {
        let pe_offset = signature(data)?;
        let file: &pe::ImageFileHeader = pod(data, pe_offset + MACHINE, "the file header")?;
        check_machine(file.machine.get(LE).0, pe_offset + MACHINE)?;
        let optional_at = pe_offset + OPTIONAL;
        let magic = slice(data, optional_at, 2, "the optional header")?;
        let magic = u16::from_le_bytes([magic[0], magic[1]]);
        if magic != pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC {
            return Err(PeError::NotPe32Plus { magic, offset: optional_at });
        }
        let optional: &pe::ImageOptionalHeader64 = pod(data, optional_at, "the optional header")?;
        let directories = directories(data, pe_offset, file, optional)?;
        let layout = layout(data, pe_offset, file, optional)?;
        Ok(Self { pe_offset, file, optional, directories, layout })
    }

    /// The directory `index` (`IMAGE_DIRECTORY_ENTRY_*`), if the file has it and it is not empty.
    pub(crate) fn directory(&self, index: usize) -> Option<Directory> {
        let entry: &pe::ImageDataDirectory = crate::bytes::cast(self.directories.get(index * 8..)?)?;
        let (rva, size) = (entry.virtual_address.get(LE), entry.size.get(LE));
        let at = self.directory_offset(index);
        (rva != 0 && size != 0).then_some(Directory { rva, size, at })
    }

    /// Where the COFF symbol table and the strings behind it end in the file; 0 if there are none.
    pub(crate) fn symbols_end(&self) -> u64 {
        let start = u64::from(self.file.pointer_to_symbol_table.get(LE));
        if start == 0 {
            return 0;
        }
        let strings = start + u64::from(self.file.number_of_symbols.get(LE)) * 18;
        let size = slice(self.layout.data, strings, 4, "the string table");
        let size = size
            .ok()
            .and_then(|bytes| bytes.first_chunk::<4>())
            .map_or(0, |bytes| u32::from_le_bytes(*bytes));
        strings + u64::from(size)
    }

    /// File offset of the entry of a directory, whether the file has it or not.
    pub(crate) fn directory_offset(&self, index: usize) -> u64 {
        self.pe_offset + DIRECTORIES + index as u64 * 8
    }

    pub(crate) fn entry_offset(&self) -> u64 {
        self.pe_offset + ENTRY
    }

    pub(crate) fn subsystem_offset(&self) -> u64 {
        self.pe_offset + SUBSYSTEM
    }

    pub(crate) fn checksum_offset(&self) -> u64 {
        self.pe_offset + CHECKSUM
    }
}

/// Where the PE header is; says what the file is if it is none.
fn signature(data: &[u8]) -> Result<u64, PeError> {
    if !data.starts_with(b"MZ") {
        return Err(PeError::NotPe { found: describe(data) });
    }
    let dos: &pe::ImageDosHeader = pod(data, 0, "the DOS header")?;
    let offset = u64::from(dos.e_lfanew.get(LE));
    let rest = data.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or(&[]);
    let found = &rest[..rest.len().min(4)];
    // A PE header cut off in the signature is a truncated file; anything else there is a DOS program.
    if offset != 0 && found.len() < 4 && b"PE\0\0".starts_with(found) {
        return Err(PeError::Truncated {
            what: "the PE signature",
            offset,
            needs: 4,
            has: found.len() as u64,
        });
    }
    if found != b"PE\0\0" {
        return Err(PeError::DosExecutable { offset, found: found.to_vec() });
    }
    Ok(offset)
}

/// What a file that is no PE begins with, for people.
fn describe(data: &[u8]) -> String {
    let head = &data[..data.len().min(16)];
    let text = |bytes: &[u8]| bytes.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
    match head {
        [] => "nothing (the file is empty)".into(),
        [0x7F, b'E', b'L', b'F', ..] => "an ELF header".into(),
        [b'P', b'K', 3, 4, ..] => "a ZIP archive".into(),
        [b'M', b'S', b'C', b'F', ..] => "a cabinet archive".into(),
        [0xEF, 0xBB, 0xBF, ..] | [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => "text (a byte order mark)".into(),
        head if text(head) => format!("text ({:?})", String::from_utf8_lossy(head)),
        head => format!("the bytes {:02x?}", &head[..head.len().min(4)]),
    }
}

fn check_machine(machine: u16, offset: u64) -> Result<(), PeError> {
    let name = match machine {
        0x8664 => return Ok(()),
        0x014C => "32-bit (x86)",
        0xAA64 => "ARM64",
        0xA641 => "ARM64EC",
        0x01C0 | 0x01C2 | 0x01C4 => "32-bit ARM",
        0x0200 => "Itanium",
        0x0EBC => "EFI byte code",
        _ => "unknown",
    };
    Err(PeError::WrongMachine { machine, name, offset })
}

/// What a subsystem number means.
pub(crate) fn subsystem_name(subsystem: u16) -> &'static str {
    match subsystem {
        0 => "unknown",
        1 => "native",
        2 => "Windows program",
        3 => "Windows console program",
        5 => "OS/2 program",
        7 => "POSIX program",
        9 => "Windows CE program",
        10..=13 => "EFI image",
        14 => "Xbox image",
        16 => "Windows boot program",
        _ => "not a subsystem that exists",
    }
}

fn directories<'a>(
    data: &'a [u8],
    pe_offset: u64,
    file: &pe::ImageFileHeader,
    optional: &pe::ImageOptionalHeader64,
) -> Result<&'a [u8], PeError> {
    let at = pe_offset + DIRECTORIES;
    let size = u64::from(file.size_of_optional_header.get(LE));
    let fixed = size_of::<pe::ImageOptionalHeader64>() as u64;
    let Some(room) = size.checked_sub(fixed) else {
        let expected = "at least 112 (PE32+)";
        return Err(PeError::BadValue {
            what: "SizeOfOptionalHeader",
            offset: pe_offset + 20,
            found: size,
            expected,
        });
    };
    // NT reads 16 at most, whatever the header says.
    let count = u64::from(optional.number_of_rva_and_sizes.get(LE)).min(16);
    let bytes = count * 8;
    if bytes > room {
        let expected = "no more data directories than SizeOfOptionalHeader has room for";
        return Err(PeError::BadValue {
            what: "NumberOfRvaAndSizes",
            offset: at - 4,
            found: count,
            expected,
        });
    }
    slice(data, at, bytes, "the data directories")
}

fn layout<'a>(
    data: &'a [u8],
    pe_offset: u64,
    file: &pe::ImageFileHeader,
    optional: &pe::ImageOptionalHeader64,
) -> Result<Layout<'a>, PeError> {
    let (section_alignment, flat) = alignment(pe_offset, optional)?;
    let size_of_image = optional.size_of_image.get(LE);
    if size_of_image == 0 || size_of_image > MAX_IMAGE_SIZE {
        let offset = pe_offset + SIZE_OF_IMAGE;
        return Err(PeError::ImageSize { size: size_of_image, offset, limit: MAX_IMAGE_SIZE });
    }
    let size = size_of_image.next_multiple_of(PAGE);
    let table_offset = pe_offset + OPTIONAL + u64::from(file.size_of_optional_header.get(LE));
    let count = u64::from(file.number_of_sections.get(LE));
    let table_size = count * size_of::<pe::ImageSectionHeader>() as u64;
    slice(data, table_offset, table_size, "the section table")?;
    let size_of_headers = optional.size_of_headers.get(LE);
    let bad_headers = |expected| PeError::BadValue {
        what: "SizeOfHeaders",
        offset: pe_offset + SIZE_OF_HEADERS,
        found: size_of_headers.into(),
        expected,
    };
    if u64::from(size_of_headers) < table_offset + table_size {
        return Err(bad_headers("the headers up to the end of the section table"));
    }
    if size_of_headers > size {
        return Err(bad_headers("no more than SizeOfImage"));
    }
    slice(data, 0, size_of_headers.into(), "the headers (SizeOfHeaders)")?;
    let table = SectionTable::parse(file, data, table_offset).map_err(|_| PeError::Truncated {
        what: "the section table",
        offset: table_offset,
        needs: table_size,
        has: (data.len() as u64).saturating_sub(table_offset),
    })?;
    let frame = Frame {
        file_len: data.len() as u64,
        size_of_headers,
        size_of_image,
        section_alignment,
        table_offset,
    };
    let sections = section::read(data, &table, file, &frame)?;
    Ok(Layout { data, sections, headers: size_of_headers, size, flat })
}

/// The section alignment, and whether it is below a page so that the file is mapped flat.
fn alignment(pe_offset: u64, optional: &pe::ImageOptionalHeader64) -> Result<(u32, bool), PeError> {
    let section = optional.section_alignment.get(LE);
    let file = optional.file_alignment.get(LE);
    let bad = |what, offset, value: u32, expected| {
        Err(PeError::BadAlignment { what, offset: pe_offset + offset, value: value.into(), expected })
    };
    if !section.is_power_of_two() {
        return bad("SectionAlignment", SECTION_ALIGNMENT, section, "a power of two");
    }
    if !file.is_power_of_two() {
        return bad("FileAlignment", FILE_ALIGNMENT, file, "a power of two");
    }
    if file > section {
        return bad("FileAlignment", FILE_ALIGNMENT, file, "no more than SectionAlignment");
    }
    if section < PAGE && file != section {
        return bad("FileAlignment", FILE_ALIGNMENT, file, "SectionAlignment, since that is below a page");
    }
    Ok((section, section < PAGE))
}
