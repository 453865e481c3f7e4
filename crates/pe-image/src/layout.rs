//! RVA → bytes of the file: the image as it would lie in memory, without copying it.

use crate::bytes::cast;
use crate::error::PeError;
use crate::limits::MAX_NAME;
use crate::section::{PAGE, Section};
use object::pod::Pod;

/// Headers and sections of a file, addressed by RVA.
#[derive(Debug, Clone)]
pub struct Layout<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) sections: Vec<Section>,
    /// Bytes of the headers that are mapped at RVA 0.
    pub(crate) headers: u32,
    /// The image's size, a multiple of the page size.
    pub(crate) size: u32,
    /// Section alignment below a page: the file is mapped as it is, RVA and file offset are one.
    pub(crate) flat: bool,
}

impl<'a> Layout<'a> {
    /// The section that `rva` is in.
    #[must_use]
    pub fn section(&self, rva: u32) -> Option<&Section> {
        let after = self.sections.partition_point(|section| section.rva <= rva);
        let section = self.sections.get(after.checked_sub(1)?)?;
        section.contains(rva).then_some(section)
    }

    /// The runs of file bytes that make up the image: RVA and bytes. What lies between is zero.
    pub(crate) fn runs(&self) -> Vec<(u32, &'a [u8])> {
        let take = |offset: u32, len: u32| {
            let start = (offset as usize).min(self.data.len());
            let end = (offset as usize).saturating_add(len as usize).min(self.data.len());
            &self.data[start..end]
        };
        if self.flat {
            return vec![(0, take(0, self.size))];
        }
        let sections = self.sections.iter().map(|s| (s.rva, take(s.raw_offset, s.mapped_raw())));
        std::iter::once((0, take(0, self.headers))).chain(sections).collect()
    }

    /// The file's bytes from `rva` to the end of its section (or of the headers). Empty where the
    /// image is zero-filled; `None` outside the image.
    #[must_use]
    pub fn tail(&self, rva: u32) -> Option<&'a [u8]> {
        let (start, offset, len, end) = if self.flat {
            (0, 0, self.size, u64::from(self.size))
        } else if rva < self.headers {
            (0, 0, self.headers, u64::from(self.headers))
        } else {
            let after = self.sections.partition_point(|section| section.rva <= rva);
            let section = self.sections.get(after.checked_sub(1)?)?;
            // The last page's bytes behind the section are mapped too.
            let end = section.end().max(u64::from(section.rva) + u64::from(section.mapped_raw()));
            (section.rva, section.raw_offset, section.mapped_raw(), end)
        };
        if u64::from(rva) >= end {
            return None;
        }
        let skip = (rva - start) as usize;
        let from = (offset as usize).saturating_add(skip);
        let to = (offset as usize).saturating_add(len as usize).min(self.data.len());
        Some(self.data.get(from..to).unwrap_or(&[]))
    }

    /// File offset of `rva`; 0 if the file does not hold it.
    #[must_use]
    pub fn offset(&self, rva: u32) -> u64 {
        let tail = self.tail(rva).filter(|tail| !tail.is_empty());
        tail.map_or(0, |tail| (tail.as_ptr() as usize - self.data.as_ptr() as usize) as u64)
    }

    /// `len` bytes of the file at `rva`.
    pub(crate) fn slice(&self, rva: u32, len: u64, what: &'static str, at: u64) -> Result<&'a [u8], PeError> {
        let tail = self.tail(rva).unwrap_or(&[]);
        let bytes = usize::try_from(len).ok().and_then(|len| tail.get(..len));
        bytes.ok_or(PeError::OutOfRange { what, offset: at, rva, size: len })
    }

    /// `N` bytes of the image at `rva`, zeros where the file does not fill its section.
    pub(crate) fn array<const N: usize>(&self, rva: u32) -> Option<[u8; N]> {
        let tail = self.tail(rva)?;
        let here = &tail[..tail.len().min(N)];
        let fits = here.len() == N || self.zeros_follow(rva, N);
        let mut bytes = [0; N];
        bytes[..here.len()].copy_from_slice(here);
        fits.then_some(bytes)
    }

    fn zeros_follow(&self, rva: u32, len: usize) -> bool {
        let end = u64::from(rva) + len as u64;
        // The last page of a section is zero-filled to its end.
        self.section(rva).is_some_and(|s| end <= crate::bytes::align_up(s.end(), PAGE.into()))
    }

    /// A structure at `rva`, zeros where the file does not fill its section.
    pub(crate) fn pod<T: Pod, const N: usize>(
        &self,
        rva: u32,
        what: &'static str,
        at: u64,
    ) -> Result<T, PeError> {
        let range = || PeError::OutOfRange { what, offset: at, rva, size: N as u64 };
        let bytes = self.array::<N>(rva).ok_or_else(range)?;
        cast::<T>(&bytes).copied().ok_or_else(range)
    }

    /// The little-endian 64 bits at `rva`.
    pub(crate) fn u64(&self, rva: u32, what: &'static str, at: u64) -> Result<u64, PeError> {
        let bytes = self.array::<8>(rva).ok_or(PeError::OutOfRange { what, offset: at, rva, size: 8 })?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The NUL-terminated name at `rva`.
    pub(crate) fn name(&self, rva: u32, what: &'static str, at: u64) -> Result<&'a str, PeError> {
        let tail = self.tail(rva).ok_or(PeError::OutOfRange { what, offset: at, rva, size: 1 })?;
        let bad = |why| PeError::BadName { what, offset: self.offset(rva), why };
        let window = &tail[..tail.len().min(MAX_NAME)];
        let Some(len) = window.iter().position(|&byte| byte == 0) else {
            return Err(bad(if tail.len() > MAX_NAME {
                "longer than 4096 bytes"
            } else {
                "no terminating NUL"
            }));
        };
        if len == 0 {
            return Err(bad("empty"));
        }
        let text = std::str::from_utf8(&window[..len]).ok().filter(|text| !text.contains(char::is_control));
        text.ok_or_else(|| bad("not text"))
    }

    /// Whether `len` bytes from `rva` on are all inside sections or headers, so that they are mapped.
    #[must_use]
    pub fn is_mapped(&self, rva: u32, len: u32) -> bool {
        let end = u64::from(rva) + u64::from(len);
        if self.flat {
            return end <= self.size.into();
        }
        let round = |end: u64| crate::bytes::align_up(end, PAGE.into());
        end <= round(self.headers.into())
            || self.sections.iter().any(|s| u64::from(rva) >= s.rva.into() && end <= round(s.end()))
    }
}
