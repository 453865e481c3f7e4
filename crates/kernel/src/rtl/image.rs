//! Looking into mapped images: headers, directories, exports, resources.
//!
//! Images are a driver's memory, so nothing is believed: every read stays within the size that the headers give.

use std::ffi::CStr;

use export_macro::export;
use nt_abi::{
    NTSTATUS, STATUS_INVALID_IMAGE_FORMAT, STATUS_INVALID_PARAMETER, STATUS_RESOURCE_DATA_NOT_FOUND,
    STATUS_RESOURCE_LANG_NOT_FOUND, STATUS_RESOURCE_NAME_NOT_FOUND, STATUS_RESOURCE_TYPE_NOT_FOUND,
    STATUS_SUCCESS,
};

/// `MZ`.
const DOS_SIGNATURE: u16 = 0x5A4D;
/// `PE`, and two NULs.
const NT_SIGNATURE: u32 = 0x4550;
const PE32_PLUS: u16 = 0x20B;
/// Where the NT headers may be at most.
const FARTHEST: u32 = 256 << 20;
/// RTL_IMAGE_NT_HEADER_EX_FLAG_NO_RANGE_CHECK.
const NO_RANGE_CHECK: u32 = 1;
/// Bytes of the NT headers up to the directories, and those.
const HEADERS: usize = 0x108;
/// Data directories.
const EXPORTS: u16 = 0;
const RESOURCES: u16 = 2;
/// In a resource directory: another directory, or a name that is text.
const HIGH: u32 = 0x8000_0000;

/// An image in memory.
#[derive(Clone, Copy)]
struct Image {
    base: *const u8,
    headers: usize,
    size: usize,
    /// Whether it is laid out as sections, and not as its file.
    mapped: bool,
}

impl Image {
    /// Finds the headers of an image.
    ///
    /// # Safety
    /// At `base` is an image, or memory that can be read, or what faults as on Windows.
    unsafe fn at(base: *const u8) -> Option<Self> {
        // The low bits of a mapping say that it is one of a data file.
        let flat = base.addr() & 3 != 0;
        let base = base.map_addr(|address| address & !3);
        if base.is_null() {
            return None;
        }
        // SAFETY: by this function's contract.
        unsafe {
            let first = base.cast::<u16>().read_unaligned();
            let offset = base.add(0x3C).cast::<u32>().read_unaligned();
            if first != DOS_SIGNATURE || offset >= FARTHEST {
                return None;
            }
            let headers = offset as usize;
            let signature = base.add(headers).cast::<u32>().read_unaligned();
            let magic = base.add(headers + 0x18).cast::<u16>().read_unaligned();
            if signature != NT_SIGNATURE || magic != PE32_PLUS {
                return None;
            }
            let size = base.add(headers + 0x50).cast::<u32>().read_unaligned() as usize;
            let fits = headers + HEADERS <= size;
            fits.then_some(Self { base, headers, size, mapped: !flat })
        }
    }

    /// Reads a value at an offset of the mapped image.
    fn read<T: Copy>(&self, at: usize) -> Option<T> {
        let end = at.checked_add(size_of::<T>())?;
        // SAFETY: within the image, whose pages are mapped up to its size; integers only are read.
        (end <= self.size).then(|| unsafe { self.base.add(at).cast::<T>().read_unaligned() })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.read(at)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.read(at)
    }

    /// Where a data directory is, and how long; `None` where it is empty.
    fn directory(&self, index: u16) -> Option<(usize, usize)> {
        let count = self.u32(self.headers + 0x84)?;
        if u32::from(index) >= count.min(16) {
            return None;
        }
        let entry = self.headers + 0x88 + usize::from(index) * 8;
        let (at, bytes) = (self.u32(entry)? as usize, self.u32(entry + 4)? as usize);
        (at != 0 && at.checked_add(bytes)? <= self.size).then_some((at, bytes))
    }

    /// The text at an offset, where it ends within the image.
    fn text(&self, at: usize) -> Option<&CStr> {
        let left = self.size.checked_sub(at)?;
        // SAFETY: within the image.
        let bytes = unsafe { std::slice::from_raw_parts(self.base.add(at), left) };
        CStr::from_bytes_until_nul(bytes).ok()
    }
}

/// Returns the NT headers of an image; NULL where it is none. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn RtlImageNtHeader(base: *const u8) -> *const u8 {
    // SAFETY: the driver's pointer.
    unsafe { Image::at(base) }.map_or(std::ptr::null(), |image| image.base.wrapping_add(image.headers))
}

/// Returns the NT headers of an image of a size, as flags ask. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn RtlImageNtHeaderEx(
    flags: u32,
    base: *const u8,
    size: u64,
    headers: *mut *const u8,
) -> NTSTATUS {
    if headers.is_null() || base.is_null() || flags & !NO_RANGE_CHECK != 0 {
        return STATUS_INVALID_PARAMETER;
    }
    let ranged = flags & NO_RANGE_CHECK == 0;
    // SAFETY: the driver's pointers; nothing behind the size it gives is read where it asks for that.
    unsafe {
        headers.write(std::ptr::null());
        if ranged && size < 0x40 {
            return STATUS_INVALID_IMAGE_FORMAT;
        }
        let offset = u64::from(base.add(0x3C).cast::<u32>().read_unaligned());
        if ranged && offset + HEADERS as u64 > size {
            return STATUS_INVALID_IMAGE_FORMAT;
        }
        let Some(image) = Image::at(base) else { return STATUS_INVALID_IMAGE_FORMAT };
        headers.write(image.base.add(image.headers));
    }
    STATUS_SUCCESS
}

/// Returns a data directory of an image, and how long it is; NULL where it is empty. Source: public symbol lists.
///
/// Only images that are laid out as sections are looked into.
#[export(irql any)]
pub unsafe extern "win64" fn RtlImageDirectoryEntryToData(
    base: *const u8,
    mapped: u8,
    index: u16,
    size: *mut u32,
) -> *const u8 {
    // SAFETY: the driver's pointers.
    unsafe {
        let found = Image::at(base)
            .filter(|image| image.mapped && mapped != 0)
            .and_then(|image| image.directory(index).map(|found| (image, found)));
        let Some((image, (at, bytes))) = found else {
            size.write(0);
            return std::ptr::null();
        };
        size.write(u32::try_from(bytes).unwrap_or(u32::MAX));
        image.base.add(at)
    }
}

/// Finds an export of an image by name; NULL where it has none. Source: public symbol lists.
#[export(irql any, since = Win10_1703)]
pub unsafe extern "win64" fn RtlFindExportedRoutineByName(base: *const u8, name: *const u8) -> *const u8 {
    // SAFETY: the driver's pointers: an image, and a string with a NUL.
    unsafe {
        let found = Image::at(base)
            .filter(|_| !name.is_null())
            .and_then(|image| export(&image, CStr::from_ptr(name.cast())).map(|at| image.base.add(at)));
        found.unwrap_or(std::ptr::null())
    }
}

/// Where an export is in its image. Forwarders are not followed.
fn export(image: &Image, wanted: &CStr) -> Option<usize> {
    let (directory, bytes) = image.directory(EXPORTS)?;
    let names = image.u32(directory + 0x18)?;
    let (routines_at, names_at, ordinals_at) =
        (image.u32(directory + 0x1C)?, image.u32(directory + 0x20)?, image.u32(directory + 0x24)?);
    let index = (0..names as usize).take(0x1_0000).find(|index| {
        let name = image.u32(names_at as usize + index * 4).and_then(|at| image.text(at as usize));
        name == Some(wanted)
    })?;
    let ordinal = usize::from(image.u16(ordinals_at as usize + index * 2)?);
    let at = image.u32(routines_at as usize + ordinal * 4)? as usize;
    let forwarded = (directory..directory + bytes).contains(&at);
    (at != 0 && at < image.size && !forwarded).then_some(at)
}

/// Finds a resource by type, name and language. Source: public symbol lists.
///
/// The path has three words, each a number or the address of UTF-16 text; `level` says how many are followed.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn LdrFindResource_U(
    base: *const u8,
    path: *const usize,
    level: u32,
    found: *mut *const u8,
) -> NTSTATUS {
    if path.is_null() || found.is_null() || level != 3 {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the driver's pointers: an image, and three words.
    unsafe {
        let Some((image, root)) =
            Image::at(base).and_then(|image| Some((image, image.directory(RESOURCES)?.0)))
        else {
            return STATUS_RESOURCE_DATA_NOT_FOUND;
        };
        let missing =
            [STATUS_RESOURCE_TYPE_NOT_FOUND, STATUS_RESOURCE_NAME_NOT_FOUND, STATUS_RESOURCE_LANG_NOT_FOUND];
        let mut at = root;
        for (index, missing) in missing.into_iter().enumerate() {
            let wanted = path.add(index).read_unaligned();
            // Language 0 is any: the first one.
            let entry = child(&image, root, at, wanted, index == 2 && wanted == 0);
            let Some(entry) = entry.filter(|entry| (entry & HIGH != 0) == (index < 2)) else {
                return missing;
            };
            at = root + (entry & !HIGH) as usize;
        }
        found.write(image.base.add(at));
    }
    STATUS_SUCCESS
}

/// The entry of a resource directory for a number or a text.
///
/// # Safety
/// `wanted` is a number, or the address of UTF-16 text with a NUL.
unsafe fn child(image: &Image, root: usize, at: usize, wanted: usize, any: bool) -> Option<u32> {
    let count = usize::from(image.u16(at + 12)?) + usize::from(image.u16(at + 14)?);
    for index in 0..count {
        let entry = at + 16 + index * 8;
        let name = image.u32(entry)?;
        let fits = if name & HIGH == 0 {
            name as usize == wanted
        } else {
            wanted > 0xFFFF && {
                let text = root + (name & !HIGH) as usize;
                let length = usize::from(image.u16(text)?);
                let units: Option<Vec<u16>> =
                    (0..length).map(|unit| image.u16(text + 2 + unit * 2)).collect();
                // SAFETY: by this function's contract.
                let asked = unsafe { text_at(wanted, length) };
                units.is_some_and(|units| crate::ob::name::fold(&units) == crate::ob::name::fold(&asked))
            }
        };
        if fits || any {
            return image.u32(entry + 4);
        }
    }
    None
}

/// The text at an address, as far as it can matter for one of `length` units.
///
/// # Safety
/// At the address is UTF-16 text with a NUL.
unsafe fn text_at(address: usize, length: usize) -> Vec<u16> {
    let text = std::ptr::with_exposed_provenance::<u16>(address);
    // SAFETY: by this function's contract, up to the NUL.
    (0..=length)
        .map(|unit| unsafe { text.add(unit).read_unaligned() })
        .take_while(|&unit| unit != 0)
        .collect()
}

/// Gets the bytes of a resource that `LdrFindResource_U` found. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn LdrAccessResource(
    base: *const u8,
    entry: *const u8,
    address: *mut *const u8,
    size: *mut u32,
) -> NTSTATUS {
    // SAFETY: the driver's pointers: an image and an entry in it; the answers may be null.
    unsafe {
        let Some(image) = Image::at(base) else { return STATUS_INVALID_IMAGE_FORMAT };
        let at = entry.addr().wrapping_sub(image.base.addr());
        let (Some(data), Some(bytes)) = (image.u32(at), at.checked_add(4).and_then(|at| image.u32(at)))
        else {
            return STATUS_RESOURCE_DATA_NOT_FOUND;
        };
        if u64::from(data) + u64::from(bytes) > image.size as u64 {
            return STATUS_RESOURCE_DATA_NOT_FOUND;
        }
        if !address.is_null() {
            address.write(image.base.add(data as usize));
        }
        if !size.is_null() {
            size.write(bytes);
        }
    }
    STATUS_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image with an export `Run` at 0x700 and a resource of type 16, name 1, language 0x409.
    fn image() -> Vec<u8> {
        let mut image = vec![0_u8; 0x1000];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        let mut words = |at: usize, words: &[u32]| {
            for (index, word) in words.iter().enumerate() {
                put(at + index * 4, &word.to_le_bytes());
            }
        };
        words(0x3C, &[0x80]);
        words(0x80, &[NT_SIGNATURE]);
        words(0x98, &[u32::from(PE32_PLUS)]);
        words(0x80 + 0x50, &[0x1000]);
        words(0x80 + 0x84, &[16, 0x300, 0x100, 0, 0, 0x400, 0x100]);
        words(0x300 + 0x14, &[1, 1, 0x340, 0x344, 0x348]);
        words(0x340, &[0x700, 0x350]);
        // Three directories with one entry each, then the data entry.
        words(0x400, &[0, 0, 0, 0x1_0000, 16, HIGH | 0x20]);
        words(0x420, &[0, 0, 0, 0x1_0000, 1, HIGH | 0x40]);
        words(0x440, &[0, 0, 0, 0x1_0000, 0x409, 0x60]);
        words(0x460, &[0x800, 4]);
        put(0, b"MZ");
        put(0x350, b"Run\0");
        put(0x800, b"data");
        image
    }

    #[test]
    fn headers_directories_and_exports_are_found() {
        let image = image();
        let base = image.as_ptr();
        let mut size = 7;
        // SAFETY: an image of the size that its headers give.
        unsafe {
            assert_eq!(RtlImageNtHeader(base).addr() - base.addr(), 0x80);
            assert!(RtlImageNtHeader([0_u8; 0x100].as_ptr()).is_null());
            assert!(RtlImageNtHeader(std::ptr::null()).is_null());
            let mut headers = std::ptr::null();
            assert_eq!(RtlImageNtHeaderEx(0, base, 0x1000, &mut headers), STATUS_SUCCESS);
            assert_eq!(RtlImageNtHeaderEx(0, base, 0x100, &mut headers), STATUS_INVALID_IMAGE_FORMAT);
            assert!(headers.is_null());
            assert_eq!(RtlImageDirectoryEntryToData(base, 1, 0, &mut size).addr() - base.addr(), 0x300);
            assert_eq!(size, 0x100);
            assert!(RtlImageDirectoryEntryToData(base, 1, 1, &mut size).is_null());
            assert_eq!(
                RtlFindExportedRoutineByName(base, c"Run".as_ptr().cast()).addr() - base.addr(),
                0x700
            );
            assert!(RtlFindExportedRoutineByName(base, c"Walk".as_ptr().cast()).is_null());
        }
    }

    #[test]
    fn a_resource_is_found_by_type_name_and_language() {
        let image = image();
        let base = image.as_ptr();
        let (mut entry, mut data, mut bytes) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: an image of the size that its headers give, and paths of three numbers.
        unsafe {
            assert_eq!(LdrFindResource_U(base, [16, 1, 0].as_ptr(), 3, &mut entry), STATUS_SUCCESS);
            assert_eq!(LdrAccessResource(base, entry, &mut data, &mut bytes), STATUS_SUCCESS);
            assert_eq!(std::slice::from_raw_parts(data, bytes as usize), b"data");
            let missing = [[17, 1, 0], [16, 2, 0], [16, 1, 0x407]];
            let answers = missing.map(|path| LdrFindResource_U(base, path.as_ptr(), 3, &mut entry));
            let expected = [
                STATUS_RESOURCE_TYPE_NOT_FOUND,
                STATUS_RESOURCE_NAME_NOT_FOUND,
                STATUS_RESOURCE_LANG_NOT_FOUND,
            ];
            assert_eq!(answers, expected);
        }
    }
}
