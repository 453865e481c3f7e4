//! From file to image, step by step: reserve, copy, relocate, bind, cookie, seal.

use crate::bind::{MissingImport, Resolution, Resolver};
use crate::error::MapError;
use crate::file::PeFile;
use crate::mapped::MappedImage;
use crate::memory::{Draft, Run};
use crate::note::Note;
use crate::section::{PAGE, Protection};
use std::ops::Range;

/// Where an image goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Placement {
    /// Anywhere; an image without relocations at its preferred base if that is free.
    #[default]
    Anywhere,
    /// Here or not at all. A multiple of the page size; guard pages need room on both sides.
    At(usize),
}

/// How an image is mapped.
#[derive(Debug, Clone, Copy, Default)]
pub struct MapOptions {
    /// Where it goes.
    pub placement: Placement,
    /// Replaces the default security cookie; the value is cut to the 48 bits that a cookie has.
    /// `None` leaves the default, with which a driver built by Microsoft's tools stops at once.
    pub security_cookie: Option<u64>,
}

/// The cookie that Microsoft's linker stores, to be replaced by the loader.
pub const DEFAULT_SECURITY_COOKIE: u64 = 0x0000_2B99_2DDF_A232;
/// Bits of a cookie: the upper 16 are zero, so that string functions do not copy over it.
const COOKIE_BITS: u64 = 0x0000_FFFF_FFFF_FFFF;

impl PeFile<'_> {
    /// Maps the file: every import is asked of `resolver`, in the order of the file.
    ///
    /// Nothing of the image runs. Pages have their final protection on return: writable and
    /// executable only where a section asks for both. Discardable sections stay mapped.
    ///
    /// # Errors
    /// [`MapError`] if the address is taken or the kernel refuses memory or a protection.
    pub fn map(&self, options: &MapOptions, resolver: &mut dyn Resolver) -> Result<MappedImage, MapError> {
        let mut draft = self.reserve(options.placement)?;
        let base = draft.base();
        let bytes = draft.bytes_mut();
        self.copy(bytes)?;
        let mut notes = self.notes.clone();
        notes.extend(self.relocate(bytes, base)?);
        let missing = self.bind(bytes, resolver)?;
        self.set_cookie(bytes, options.security_cookie)?;
        let region = draft.seal(self.protections())?;
        Ok(MappedImage::new(self, region, missing, notes))
    }

    /// Reserves the range, writable for now.
    fn reserve(&self, placement: Placement) -> Result<Draft, MapError> {
        let size = self.mapped_size() as usize;
        match placement {
            Placement::At(address) => Draft::reserve(Some(address), size),
            Placement::Anywhere if self.relocations_stripped() => {
                let preferred = usize::try_from(self.image_base).ok();
                Draft::reserve(preferred, size).or_else(|_| Draft::reserve(None, size))
            }
            Placement::Anywhere => Draft::reserve(None, size),
        }
    }

    /// Copies headers and sections; what the file does not fill stays zero.
    fn copy(&self, bytes: &mut [u8]) -> Result<(), MapError> {
        for (rva, run) in self.layout().runs() {
            place(bytes, rva, run.len(), "a section")?.copy_from_slice(run);
        }
        Ok(())
    }

    /// Adds the distance between preferred and actual base to every absolute address.
    fn relocate(&self, bytes: &mut [u8], base: usize) -> Result<Option<Note>, MapError> {
        let delta = (base as u64).wrapping_sub(self.image_base);
        if delta == 0 {
            return Ok(None);
        }
        for relocation in self.relocations.iter() {
            let size = relocation.kind.size() as usize;
            relocation.kind.apply(place(bytes, relocation.rva, size, "a relocation")?, delta);
        }
        let stuck = self.relocations_stripped() && self.relocations.is_empty();
        Ok(stuck.then_some(Note::NotRelocatable { preferred: self.image_base, actual: base as u64 }))
    }

    /// Fills the import address tables.
    fn bind(&self, bytes: &mut [u8], resolver: &mut dyn Resolver) -> Result<Vec<MissingImport>, MapError> {
        let mut missing = Vec::new();
        for module in &self.imports {
            for import in &module.imports {
                let address = match resolver.resolve(&module.module, (&import.name).into()) {
                    Resolution::Address(address) => address,
                    Resolution::Missing(stub) => {
                        let (module, name) = (module.module.clone(), import.name.clone());
                        missing.push(MissingImport { module, name, iat_rva: import.iat_rva });
                        stub
                    }
                };
                let slot = place(bytes, import.iat_rva, 8, "an import slot")?;
                slot.copy_from_slice(&(address as u64).to_le_bytes());
            }
        }
        Ok(missing)
    }

    /// Replaces the default cookie, as the loader does before the entry point runs. A cookie that is
    /// not the default has been chosen by the image itself and stays.
    fn set_cookie(&self, bytes: &mut [u8], cookie: Option<u64>) -> Result<(), MapError> {
        let (Some(rva), Some(cookie)) = (self.load_config.security_cookie, cookie) else { return Ok(()) };
        let slot = place(bytes, rva, 8, "the security cookie")?;
        if slot == DEFAULT_SECURITY_COOKIE.to_le_bytes() {
            let cut = cookie & COOKIE_BITS;
            // Neither 0 nor the default would be taken for initialised.
            let usable = if cut == 0 || cut == DEFAULT_SECURITY_COOKIE { cut ^ 1 } else { cut };
            slot.copy_from_slice(&usable.to_le_bytes());
        }
        Ok(())
    }

    /// What every page allows in the end: what its section says; where sections share a page, what
    /// any of them says; the headers can be read.
    fn protections(&self) -> Vec<Run> {
        let layout = self.layout();
        let mut runs: Vec<Run> = Vec::new();
        let headers = if layout.flat { layout.size } else { layout.headers };
        add(&mut runs, pages(0, headers.into()), Protection::READ);
        for section in self.sections().iter().filter(|section| section.virtual_size != 0) {
            let pages = pages(section.rva.into(), section.end());
            if layout.flat {
                unite(&mut runs, &pages, section.protection());
            } else {
                add(&mut runs, pages, section.protection());
            }
        }
        runs
    }
}

/// The whole pages around `start..end`.
fn pages(start: u64, end: u64) -> Range<usize> {
    let page = u64::from(PAGE);
    let round = |address: u64| usize::try_from(address).unwrap_or(usize::MAX);
    round(start / page * page)..round(end.div_ceil(page) * page)
}

/// Appends pages behind all others; equal neighbours become one run.
fn add(runs: &mut Vec<Run>, pages: Range<usize>, protection: Protection) {
    match runs.last_mut() {
        Some(last) if last.pages.end == pages.start && last.protection == Some(protection) => {
            last.pages.end = pages.end
        }
        _ => runs.push(Run { pages, protection: Some(protection) }),
    }
}

/// Adds rights to pages that are in `runs` already.
fn unite(runs: &mut Vec<Run>, pages: &Range<usize>, protection: Protection) {
    let old = std::mem::take(runs);
    for run in old {
        let before = run.pages.start..run.pages.end.min(pages.start);
        let both = run.pages.start.max(pages.start)..run.pages.end.min(pages.end);
        let after = run.pages.start.max(pages.end)..run.pages.end;
        let had = run.protection.unwrap_or_default();
        for (part, protection) in [(before, had), (both, had.union(protection)), (after, had)] {
            if !part.is_empty() {
                add(runs, part, protection);
            }
        }
    }
}

/// `len` bytes of the draft at `rva`. [`crate::parse`] has checked every such place.
fn place<'b>(
    bytes: &'b mut [u8],
    rva: u32,
    len: usize,
    what: &'static str,
) -> Result<&'b mut [u8], MapError> {
    let start = rva as usize;
    let end = start.checked_add(len);
    end.and_then(|end| bytes.get_mut(start..end)).ok_or(MapError::Inconsistent { what, rva })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_pages_have_the_rights_of_all_their_sections() {
        let mut runs = Vec::new();
        add(&mut runs, 0..0x4000, Protection::READ);
        unite(&mut runs, &(0..0x2000), Protection::READ_EXECUTE);
        unite(&mut runs, &(0x1000..0x3000), Protection::READ_WRITE);
        let both = Protection { write: true, execute: true };
        let expected = [
            (0..0x1000, Protection::READ_EXECUTE),
            (0x1000..0x2000, both),
            (0x2000..0x3000, Protection::READ_WRITE),
            (0x3000..0x4000, Protection::READ),
        ];
        assert_eq!(runs, expected.map(|(pages, p)| Run { pages, protection: Some(p) }));
    }

    #[test]
    fn pages_round_outwards() {
        assert_eq!(pages(0x1001, 0x2001), 0x1000..0x3000);
        assert_eq!(pages(0x1000, 0x2000), 0x1000..0x2000);
    }
}
