//! A parsed driver file.

use crate::debug_info::{self, CodeView};
use crate::error::PeError;
use crate::exports::{self, ExportTable};
use crate::header::Headers;
use crate::imports::{self, ImportModule};
use crate::layout::Layout;
use crate::load_config::{self, LoadConfig};
use crate::note::Note;
use crate::relocations::Relocations;
use crate::section::{PAGE, Section};
use crate::unwind::FunctionTable;
use crate::version::{self, VersionInfo};
use object::LittleEndian as LE;
use object::pe;

/// A file whose headers and directories make sense, ready to be mapped.
#[derive(Debug, Clone)]
pub struct PeFile<'a> {
    /// `Machine`; always 0x8664.
    pub machine: u16,
    /// `Subsystem`; 1 for a driver.
    pub subsystem: u16,
    /// `Characteristics` of the file header (`IMAGE_FILE_*`).
    pub characteristics: u16,
    /// `DllCharacteristics` (`IMAGE_DLLCHARACTERISTICS_*`).
    pub dll_characteristics: u16,
    /// `TimeDateStamp`: seconds since 1970, or a hash for reproducible builds.
    pub timestamp: u32,
    /// RVA of the entry point; `None` for images that have none (export drivers).
    pub entry: Option<u32>,
    /// The base the file is linked for.
    pub image_base: u64,
    /// `SizeOfImage` as in the header. [`PeFile::mapped_size`] is what is mapped.
    pub size_of_image: u32,
    /// `SizeOfHeaders`.
    pub size_of_headers: u32,
    /// `SectionAlignment`.
    pub section_alignment: u32,
    /// `FileAlignment`.
    pub file_alignment: u32,
    /// What is imported, by module in the order of the file.
    pub imports: Vec<ImportModule>,
    /// What is imported on first use. Not bound by [`PeFile::map`].
    pub delay_imports: Vec<ImportModule>,
    /// What is exported.
    pub exports: ExportTable,
    /// The places that depend on the base.
    pub relocations: Relocations<'a>,
    /// The function table.
    pub functions: FunctionTable,
    /// Cookie and guard.
    pub load_config: LoadConfig,
    /// The PDB that belongs to the file.
    pub code_view: Option<CodeView>,
    /// The version resource.
    pub version: Option<VersionInfo>,
    /// Where the certificates (embedded signature) are: file offset and size.
    pub certificates: Option<(u32, u32)>,
    /// The checksum in the header; 0 if the linker wrote none.
    pub checksum: u32,
    /// The checksum of the bytes.
    pub computed_checksum: u32,
    /// What is unusual.
    pub notes: Vec<Note>,
    layout: Layout<'a>,
    subsystem_offset: u64,
    entry_offset: u64,
    checksum_offset: u64,
    certificates_offset: u64,
    /// End of the COFF symbols and their strings in the file.
    symbols_end: u64,
}

/// Reads `bytes`, the whole of a file.
///
/// # Errors
/// [`PeError`] says what the file is instead of an x64 image, or where it is broken.
/// A user-mode program is no error: see [`PeFile::require_driver`].
pub fn parse(bytes: &[u8]) -> Result<PeFile<'_>, PeError> {
    let headers = Headers::read(bytes)?;
    let optional = headers.optional;
    let mut notes = Vec::new();
    let image_base = optional.image_base.get(LE);
    let (functions, function_note) = FunctionTable::read(&headers)?;
    let field = usize::try_from(headers.checksum_offset()).unwrap_or(usize::MAX);
    let mut file = PeFile {
        machine: headers.file.machine.get(LE).0,
        subsystem: optional.subsystem.get(LE).0,
        characteristics: headers.file.characteristics.get(LE).0,
        dll_characteristics: optional.dll_characteristics.get(LE).0,
        timestamp: headers.file.time_date_stamp.get(LE),
        entry: entry(&headers)?,
        image_base,
        size_of_image: optional.size_of_image.get(LE),
        size_of_headers: optional.size_of_headers.get(LE),
        section_alignment: optional.section_alignment.get(LE),
        file_alignment: optional.file_alignment.get(LE),
        imports: imports::read(&headers)?,
        delay_imports: or_note(&mut notes, "the delay imports", imports::read_delayed(&headers)),
        exports: exports::read(&headers)?,
        relocations: Relocations::read(&headers)?,
        functions,
        load_config: load_config::read(&headers, image_base)?,
        code_view: or_note(&mut notes, "the debug directory", debug_info::read(&headers)),
        version: or_note(&mut notes, "the version resource", version::read(&headers)),
        certificates: or_note(&mut notes, "the certificates", certificates(&headers)),
        checksum: optional.check_sum.get(LE),
        computed_checksum: crate::checksum::compute(bytes, field),
        notes: Vec::new(),
        subsystem_offset: headers.subsystem_offset(),
        entry_offset: headers.entry_offset(),
        checksum_offset: headers.checksum_offset(),
        certificates_offset: headers.directory_offset(pe::IMAGE_DIRECTORY_ENTRY_SECURITY),
        symbols_end: headers.symbols_end(),
        layout: headers.layout,
    };
    notes.extend(function_note);
    notes.extend(file.remarks());
    file.notes = notes;
    Ok(file)
}

/// An optional directory: what is wrong with it is remembered, and the file is used without it.
fn or_note<T: Default>(notes: &mut Vec<Note>, what: &'static str, result: Result<T, PeError>) -> T {
    result.unwrap_or_else(|error| {
        notes.push(Note::Unreadable { what, why: error.to_string() });
        T::default()
    })
}

/// File offset and size of the certificates: this directory's "RVA" is an offset.
fn certificates(headers: &Headers<'_>) -> Result<Option<(u32, u32)>, PeError> {
    let Some(directory) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_SECURITY) else { return Ok(None) };
    let (offset, size) = (directory.rva, directory.size);
    crate::bytes::slice(headers.layout.data, offset.into(), size.into(), "the certificate table")?;
    Ok(Some((offset, size)))
}

fn entry(headers: &Headers<'_>) -> Result<Option<u32>, PeError> {
    let (entry, offset) = (headers.optional.address_of_entry_point.get(LE), headers.entry_offset());
    if entry == 0 {
        return Ok(None);
    }
    let section = headers.layout.section(entry).ok_or(PeError::EntryOutsideImage { entry, offset })?;
    if !section.protection().execute {
        return Err(PeError::EntryNotExecutable { entry, offset, section: section.name.clone() });
    }
    Ok(Some(entry))
}

impl<'a> PeFile<'a> {
    /// Fails unless the file is a driver: native subsystem and an entry point.
    ///
    /// # Errors
    /// [`PeError::NotNative`] or [`PeError::NoEntry`].
    pub fn require_driver(&self) -> Result<(), PeError> {
        if self.subsystem != 1 {
            let (subsystem, name) = (self.subsystem, crate::header::subsystem_name(self.subsystem));
            return Err(PeError::NotNative { subsystem, name, offset: self.subsystem_offset });
        }
        if self.entry.is_none() {
            return Err(PeError::NoEntry { offset: self.entry_offset });
        }
        Ok(())
    }

    /// The whole file.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.layout.data
    }

    /// RVA → bytes of the file.
    #[must_use]
    pub fn layout(&self) -> &Layout<'a> {
        &self.layout
    }

    /// The sections in ascending order of their RVAs.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.layout.sections
    }

    /// `SizeOfImage` rounded up to whole pages: what is reserved when the file is mapped.
    #[must_use]
    pub fn mapped_size(&self) -> u32 {
        self.layout.size
    }

    /// Whether the image must be signed to be loaded (linker option `/INTEGRITYCHECK`). Windows lets
    /// only such images register `Ex` process routines (R-INT-01).
    #[must_use]
    pub fn force_integrity(&self) -> bool {
        self.dll_characteristics & pe::IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY.0 != 0
    }

    /// Whether the image may lie anywhere (`DYNAMIC_BASE`).
    #[must_use]
    pub fn dynamic_base(&self) -> bool {
        self.dll_characteristics & pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE.0 != 0
    }

    /// Whether the image copes with memory that cannot be executed (`NX_COMPAT`).
    #[must_use]
    pub fn nx_compatible(&self) -> bool {
        self.dll_characteristics & pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT.0 != 0
    }

    /// Whether the linker dropped the relocations, so that NT loads the image at its base or not at all.
    #[must_use]
    pub fn relocations_stripped(&self) -> bool {
        self.characteristics & pe::IMAGE_FILE_RELOCS_STRIPPED.0 != 0
    }

    /// Whether the stored checksum is the file's, or the file stores none.
    #[must_use]
    pub fn checksum_ok(&self) -> bool {
        self.checksum == 0 || self.checksum == self.computed_checksum
    }

    /// Sections that are writable and executable.
    pub fn wx_sections(&self) -> impl Iterator<Item = &Section> {
        self.sections().iter().filter(|section| section.writable_executable())
    }

    /// How many functions have exception or termination handlers (`__try`).
    #[must_use]
    pub fn functions_with_handlers(&self) -> usize {
        self.functions.with_handlers(&self.layout)
    }

    /// File offsets of the fields that signing a file changes: its checksum, and the directory of its certificates.
    pub(crate) fn unsigned_fields(&self) -> (usize, usize) {
        let offset = |offset| usize::try_from(offset).unwrap_or(usize::MAX / 2);
        (offset(self.checksum_offset), offset(self.certificates_offset))
    }

    /// What is unusual, from what has been read.
    fn remarks(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        if self.subsystem != 1 {
            notes.push(Note::NotNative { subsystem: self.subsystem });
        }
        if !self.checksum_ok() {
            notes.push(Note::Checksum { stored: self.checksum, computed: self.computed_checksum });
        }
        if self.section_alignment < PAGE {
            notes.push(Note::LowAlignment { alignment: self.section_alignment });
        }
        notes.extend(self.wx_sections().map(|s| Note::WritableExecutable { section: s.name.clone() }));
        let sections = self.sections().iter().map(|s| u64::from(s.raw_offset) + u64::from(s.raw_size));
        let certificates = self.certificates.map(|(offset, size)| u64::from(offset) + u64::from(size));
        let known = sections.chain(certificates).chain([self.size_of_headers.into(), self.symbols_end]);
        let used = known.max().unwrap_or(0);
        let len = self.data().len() as u64;
        if len > used {
            notes.push(Note::Overlay { offset: used, len: len - used });
        }
        notes
    }
}
