//! How a file lies in memory when it is mapped as an image: from ELF program headers or PE sections.

use event::Architecture;
use object::{
    Endianness, elf, pe,
    read::{
        elf::{FileHeader, ProgramHeader},
        pe::{ImageNtHeaders, ImageOptionalHeader},
    },
};

/// Pages of the machine, in bytes.
const PAGE: u64 = 4096;

/// How an image lies in memory, relative to where it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// What it is compiled for.
    pub(super) architecture: Architecture,
    /// How much of the address space the file takes, in whole pages.
    ///
    /// For ELF that is up to the last page that is backed by the file, which is how an image shows in
    /// `/proc/PID/maps` once it is laid out: memory without a file (`.bss`) follows it there under
    /// no name. For PE it is `SizeOfImage`.
    pub(super) size: u64,
    /// Where in the file its lowest page starts.
    pub(super) first: u64,
    segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    /// From the image's start.
    address: u64,
    offset: u64,
    size: u64,
}

/// How much of a file its layout is read from.
pub(super) const HEADER: usize = 4096;

impl Layout {
    /// Reads it from the first [`HEADER`] bytes of a file; `None` where they are not those of an image.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        match head {
            [0x7f, b'E', b'L', b'F', 1, ..] => Self::elf::<elf::FileHeader32<Endianness>>(head),
            [0x7f, b'E', b'L', b'F', 2, ..] => Self::elf::<elf::FileHeader64<Endianness>>(head),
            [b'M', b'Z', ..] => {
                Self::pe::<pe::ImageNtHeaders64>(head).or_else(|| Self::pe::<pe::ImageNtHeaders32>(head))
            }
            _ => None,
        }
    }

    fn elf<H: FileHeader<Endian = Endianness>>(head: &[u8]) -> Option<Self> {
        let header = H::parse(head).ok()?;
        let endian = header.endian().ok()?;
        if !matches!(header.e_type(endian), elf::ET_EXEC | elf::ET_DYN) {
            return None;
        }
        let loads: Vec<_> = header
            .program_headers(endian, head)
            .ok()?
            .iter()
            .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
            .map(|segment| {
                let (address, offset, size): (u64, u64, u64) = (
                    segment.p_vaddr(endian).into(),
                    segment.p_offset(endian).into(),
                    segment.p_filesz(endian).into(),
                );
                let lead = address % PAGE;
                Segment {
                    address: address - lead,
                    offset: offset.saturating_sub(lead),
                    size: size.saturating_add(lead),
                }
            })
            .filter(|segment| segment.size > 0)
            .collect();
        let architecture = match header.e_machine(endian) {
            elf::EM_X86_64 => Architecture::X64,
            elf::EM_386 => Architecture::X86,
            _ => Architecture::Other,
        };
        Self::of(architecture, None, loads)
    }

    fn pe<N: ImageNtHeaders>(head: &[u8]) -> Option<Self> {
        let mut offset = pe::ImageDosHeader::parse(head).ok()?.nt_headers_offset().into();
        let (headers, _) = N::parse(head, &mut offset).ok()?;
        let sections = headers.sections(head, offset).ok()?;
        let optional = headers.optional_header();
        let mut segments = vec![Segment { address: 0, offset: 0, size: optional.size_of_headers().into() }];
        segments.extend(sections.iter().filter_map(|section| {
            let (offset, size) = section.pe_file_range();
            (size > 0).then(|| Segment {
                address: section.virtual_address.get(object::LittleEndian).into(),
                offset: offset.into(),
                size: size.into(),
            })
        }));
        let machine = headers.file_header().machine.get(object::LittleEndian);
        let architecture = match machine {
            pe::IMAGE_FILE_MACHINE_AMD64 => Architecture::X64,
            pe::IMAGE_FILE_MACHINE_I386 => Architecture::X86,
            _ => Architecture::Other,
        };
        Self::of(architecture, Some(optional.size_of_image().into()), segments)
    }

    fn of(architecture: Architecture, size: Option<u64>, mut segments: Vec<Segment>) -> Option<Self> {
        let lowest = segments.iter().min_by_key(|segment| segment.address)?;
        let (low, first) = (lowest.address, lowest.offset);
        for segment in &mut segments {
            segment.address -= low;
        }
        let reach = segments.iter().map(|segment| segment.address.saturating_add(segment.size)).max()?;
        let size = size.unwrap_or(reach).checked_next_multiple_of(PAGE)?;
        Some(Self { architecture, size, first, segments })
    }

    /// Where the image starts, of which the bytes of the file from `offset` lie at `address`.
    /// More than one answer is possible where segments share a page of the file.
    pub(super) fn bases(&self, address: u64, offset: u64) -> impl Iterator<Item = u64> {
        self.segments
            .iter()
            .filter(move |segment| offset >= segment.offset && offset - segment.offset < segment.size.max(1))
            .filter_map(move |segment| address.checked_sub(segment.address + (offset - segment.offset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(path: &str) -> Vec<u8> {
        let mut bytes = std::fs::read(path).unwrap();
        bytes.truncate(HEADER);
        bytes
    }

    #[test]
    fn an_executable_has_a_layout() {
        let layout = Layout::parse(&head("/proc/self/exe")).unwrap();
        assert_eq!(layout.architecture, Architecture::X64);
        assert_eq!(layout.size % PAGE, 0);
        assert!(layout.size >= 2 * PAGE);
        assert_eq!(layout.bases(0x10_0000, 0).next(), Some(0x10_0000));
    }

    #[test]
    fn other_files_have_none() {
        assert_eq!(Layout::parse(b"#!/bin/sh\n"), None);
        assert_eq!(Layout::parse(b""), None);
        assert_eq!(Layout::parse(b"\x7fELF\x02"), None);
        assert_eq!(Layout::parse(b"MZ"), None);
    }

    #[test]
    fn damaged_headers_are_no_layout_and_no_panic() {
        let whole = head("/proc/self/exe");
        for length in 0..whole.len().min(1200) {
            let _ = Layout::parse(&whole[..length]);
        }
        for at in 0..1200 {
            let mut damaged = whole.clone();
            damaged[at] = 0xff;
            if let Some(layout) = Layout::parse(&damaged) {
                let _ = layout.bases(u64::MAX, u64::MAX).count();
                let _ = layout.bases(0, 0).count();
            }
        }
    }
}
