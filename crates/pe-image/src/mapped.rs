//! An image in memory, and what is left of it after it is unloaded.

use crate::bind::MissingImport;
use crate::error::MapError;
use crate::exports::{Export, ExportTable};
use crate::file::PeFile;
use crate::memory::{Region, Run};
use crate::note::Note;
use crate::section::{Protection, Section};
use crate::unwind::{FunctionTable, RuntimeFunction};

/// A mapped image. Dropping it unmaps it: whoever runs its code or holds pointers into it keeps it
/// alive, [leaks](Self::leak) it, or [retires](Self::retire) it.
///
/// Everything but [`Self::constant_bytes`] and [`Self::copy`] was read from the file, so what the
/// driver does to its own memory does not change it.
#[derive(Debug)]
pub struct MappedImage {
    region: Region,
    entry: Option<u32>,
    dll_characteristics: u16,
    sections: Vec<Section>,
    functions: FunctionTable,
    exports: ExportTable,
    missing: Vec<MissingImport>,
    notes: Vec<Note>,
}

impl MappedImage {
    pub(crate) fn new(
        file: &PeFile<'_>,
        region: Region,
        missing: Vec<MissingImport>,
        notes: Vec<Note>,
    ) -> Self {
        Self {
            region,
            entry: file.entry,
            dll_characteristics: file.dll_characteristics,
            sections: file.sections().to_vec(),
            functions: file.functions.clone(),
            exports: file.exports.clone(),
            missing,
            notes,
        }
    }

    /// Address of RVA 0.
    #[must_use]
    pub fn base(&self) -> usize {
        self.region.base()
    }

    /// Bytes from the base on that belong to the image, a multiple of the page size.
    #[must_use]
    pub fn size(&self) -> usize {
        self.region.size()
    }

    /// Whether `address` is in the image.
    #[must_use]
    pub fn contains(&self, address: usize) -> bool {
        self.rva(address).is_some()
    }

    /// The RVA of `address`; `None` if it is not in the image.
    #[must_use]
    pub fn rva(&self, address: usize) -> Option<u32> {
        let offset = address.checked_sub(self.base()).filter(|&offset| offset < self.size())?;
        u32::try_from(offset).ok()
    }

    /// The address of `rva`; `None` if it is behind the image.
    #[must_use]
    pub fn address(&self, rva: u32) -> Option<usize> {
        ((rva as usize) < self.size()).then(|| self.base() + rva as usize)
    }

    /// Address of the entry point (`DriverEntry` or what runs before it).
    #[must_use]
    pub fn entry(&self) -> Option<usize> {
        self.entry.and_then(|rva| self.address(rva))
    }

    /// Whether the image has `FORCE_INTEGRITY` set (R-INT-01).
    #[must_use]
    pub fn force_integrity(&self) -> bool {
        self.dll_characteristics & object::pe::IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY.0 != 0
    }

    /// The sections in ascending order.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The section that `rva` is in.
    #[must_use]
    pub fn section(&self, rva: u32) -> Option<&Section> {
        let after = self.sections.partition_point(|section| section.rva <= rva);
        self.sections.get(after.checked_sub(1)?).filter(|section| section.contains(rva))
    }

    /// What the page of `rva` allows; `None` where nothing is allowed.
    #[must_use]
    pub fn protection(&self, rva: u32) -> Option<Protection> {
        let rva = rva as usize;
        self.region.runs().iter().find(|run| run.pages.contains(&rva)).and_then(|run| run.protection)
    }

    /// Runs of pages that are writable and executable at once: RVA of the first byte and of the end.
    pub fn writable_executable(&self) -> impl Iterator<Item = (usize, usize)> {
        let both = |run: &&Run| run.protection.is_some_and(|p| p.write && p.execute);
        self.region.runs().iter().filter(both).map(|run| (run.pages.start, run.pages.end))
    }

    /// The function table.
    #[must_use]
    pub fn functions(&self) -> &FunctionTable {
        &self.functions
    }

    /// The function that `address` is in, if it has unwind data.
    #[must_use]
    pub fn function(&self, address: usize) -> Option<&RuntimeFunction> {
        self.functions.lookup(self.rva(address)?)
    }

    /// The exports.
    #[must_use]
    pub fn exports(&self) -> &ExportTable {
        &self.exports
    }

    /// The export called `name`; a forwarder has no address here (see [`crate::resolve`]).
    #[must_use]
    pub fn export(&self, name: &str) -> Option<&Export> {
        self.exports.by_name(name)
    }

    /// Imports that nobody implements.
    #[must_use]
    pub fn missing(&self) -> &[MissingImport] {
        &self.missing
    }

    /// What is unusual about the image.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The bytes from `rva` on, as far as they are in pages that cannot be written (code, constants,
    /// unwind data). `None` for writable ones: those belong to the driver; see [`Self::copy`].
    ///
    /// This relies on nobody making those pages writable or unmapping them behind the image's back.
    #[must_use]
    pub fn constant_bytes(&self, rva: u32) -> Option<&[u8]> {
        self.region.constant_tail(rva as usize)
    }

    /// Copies the bytes at `rva`, wherever they are in the image; false if not all of them can be
    /// read. Needs no lock and no memory, so a fault handler may use it.
    #[must_use]
    pub fn copy(&self, rva: u32, into: &mut [u8]) -> bool {
        self.region.copy(rva as usize, into)
    }

    /// Keeps the image mapped for the rest of the process's life.
    #[must_use]
    pub fn leak(self) -> &'static Self {
        Box::leak(Box::new(self))
    }

    /// Unloads the image but keeps its range: a later jump or access into it faults instead of
    /// meeting whatever would be mapped there next (bug check 0xCE, R-UNL-02).
    ///
    /// # Errors
    /// [`MapError::Protect`] if the kernel refuses; the image is unmapped then.
    pub fn retire(self) -> Result<RetiredImage, MapError> {
        // SAFETY: `self` is owned here, so nothing that it lent is alive and no other thread reads it.
        unsafe { self.region.revoke() }?;
        Ok(RetiredImage { image: self })
    }

    /// As [`Self::retire`], for an image that is shared or leaked. What was read from the file stays
    /// available; memory does not.
    ///
    /// # Safety
    /// No thread runs code of the image or is in [`Self::copy`], and no slice that
    /// [`Self::constant_bytes`] lent is used any more.
    ///
    /// # Errors
    /// [`MapError::Protect`] if the kernel refuses.
    pub unsafe fn retire_shared(&self) -> Result<(), MapError> {
        // SAFETY: the caller keeps to the same conditions.
        unsafe { self.region.revoke() }
    }
}

/// The range of an unloaded image: reserved, without access, until this is dropped.
#[derive(Debug)]
pub struct RetiredImage {
    image: MappedImage,
}

impl RetiredImage {
    /// Where the image began.
    #[must_use]
    pub fn base(&self) -> usize {
        self.image.base()
    }

    /// How long it was.
    #[must_use]
    pub fn size(&self) -> usize {
        self.image.size()
    }

    /// Whether `address` was in it.
    #[must_use]
    pub fn contains(&self, address: usize) -> bool {
        self.image.contains(address)
    }

    /// The RVA that `address` was.
    #[must_use]
    pub fn rva(&self, address: usize) -> Option<u32> {
        self.image.rva(address)
    }

    /// Keeps the range reserved for the rest of the process's life.
    #[must_use]
    pub fn leak(self) -> &'static Self {
        Box::leak(Box::new(self))
    }
}
