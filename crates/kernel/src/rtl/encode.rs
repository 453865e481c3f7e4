//! Between UTF-16 and bytes. The ANSI and OEM code pages of the system are UTF-8, as Windows lets them be.

use export_macro::export;
use nt_abi::{
    NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER, STATUS_INVALID_PARAMETER_4,
    STATUS_SOME_NOT_MAPPED, STATUS_SUCCESS,
};

use super::unicode::{put, units_at};

/// UTF-16 as UTF-8, and whether all of it was well formed; what was not is U+FFFD.
pub(crate) fn to_bytes(text: &[u16]) -> (Vec<u8>, bool) {
    let (mut bytes, mut whole, mut buffer) = (Vec::with_capacity(text.len()), true, [0; 4]);
    for c in char::decode_utf16(text.iter().copied()) {
        whole &= c.is_ok();
        let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
        bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    }
    (bytes, whole)
}

/// UTF-8 as UTF-16, and whether all of it was well formed; what was not is U+FFFD.
pub(crate) fn to_units(bytes: &[u8]) -> (Vec<u16>, bool) {
    let (mut units, mut whole) = (Vec::with_capacity(bytes.len()), true);
    for chunk in bytes.utf8_chunks() {
        units.extend(chunk.valid().encode_utf16());
        if !chunk.invalid().is_empty() {
            whole = false;
            units.push(0xFFFD);
        }
    }
    (units, whole)
}

/// As many bytes as there is room for, without a part of a character.
pub(crate) fn fitting(bytes: &[u8], room: usize) -> &[u8] {
    let mut end = room.min(bytes.len());
    // A continuation byte that follows the end belongs to a character that began before it.
    while end > 0 && bytes.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        end -= 1;
    }
    &bytes[..end]
}

/// `count` bytes of a driver's.
///
/// # Safety
/// They must be readable.
pub(crate) unsafe fn bytes_at<'a>(text: *const u8, count: usize) -> &'a [u8] {
    // SAFETY: by this function's contract; bytes are always aligned.
    if text.is_null() || count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(text, count) } }
}

/// A size as routines report it.
pub(crate) fn size(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Reports a size to whoever wants to know it.
///
/// # Safety
/// `to` must be null or writable.
unsafe fn report(to: *mut u32, count: usize) {
    if !to.is_null() {
        // SAFETY: by this function's contract.
        unsafe { to.write_unaligned(size(count)) };
    }
}

/// Translates bytes into UTF-16, as much as there is room for. Source: DDI of the file system headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlMultiByteToUnicodeN(
    to: *mut u16,
    room: u32,
    written: *mut u32,
    from: *const u8,
    count: u32,
) -> NTSTATUS {
    // SAFETY: the driver's buffers.
    unsafe {
        let (units, _) = to_units(bytes_at(from, count as usize));
        let units = &units[..units.len().min(room as usize / 2)];
        put(to, units);
        report(written, units.len() * 2);
    }
    STATUS_SUCCESS
}

/// Translates UTF-16 into bytes, as much as there is room for. Source: DDI of the file system headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlUnicodeToMultiByteN(
    to: *mut u8,
    room: u32,
    written: *mut u32,
    from: *const u16,
    bytes: u32,
) -> NTSTATUS {
    // SAFETY: the driver's buffers.
    unsafe {
        let (text, _) = to_bytes(&units_at(from, bytes as usize / 2));
        let text = fitting(&text, room as usize);
        to.copy_from(text.as_ptr(), text.len());
        report(written, text.len());
    }
    STATUS_SUCCESS
}

/// Returns how many bytes a text of UTF-16 becomes. Source: DDI of the file system headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlUnicodeToMultiByteSize(
    needed: *mut u32,
    from: *const u16,
    bytes: u32,
) -> NTSTATUS {
    // SAFETY: the driver's text.
    unsafe { report(needed, to_bytes(&units_at(from, bytes as usize / 2)).0.len()) };
    STATUS_SUCCESS
}

/// Returns how many bytes of UTF-16 a text of bytes becomes. Source: DDI of the file system headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlMultiByteToUnicodeSize(
    needed: *mut u32,
    from: *const u8,
    count: u32,
) -> NTSTATUS {
    // SAFETY: the driver's text.
    unsafe { report(needed, to_units(bytes_at(from, count as usize)).0.len() * 2) };
    STATUS_SUCCESS
}

/// Translates UTF-8 into UTF-16; a null buffer asks for the size only. Source: DDI.
#[export(irql == PASSIVE, since = Win7)]
pub unsafe extern "win64" fn RtlUTF8ToUnicodeN(
    to: *mut u16,
    room: u32,
    written: *mut u32,
    from: *const u8,
    count: u32,
) -> NTSTATUS {
    if from.is_null() {
        return STATUS_INVALID_PARAMETER_4;
    }
    if to.is_null() && written.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the driver's buffers.
    unsafe {
        let (units, whole) = to_units(bytes_at(from, count as usize));
        let fits = if to.is_null() { units.len() } else { units.len().min(room as usize / 2) };
        if !to.is_null() {
            put(to, &units[..fits]);
        }
        report(written, fits * 2);
        outcome(fits == units.len(), whole)
    }
}

/// Translates UTF-16 into UTF-8; a null buffer asks for the size only. Source: DDI.
#[export(irql == PASSIVE, since = Win7)]
pub unsafe extern "win64" fn RtlUnicodeToUTF8N(
    to: *mut u8,
    room: u32,
    written: *mut u32,
    from: *const u16,
    bytes: u32,
) -> NTSTATUS {
    if from.is_null() || !bytes.is_multiple_of(2) {
        return STATUS_INVALID_PARAMETER_4;
    }
    if to.is_null() && written.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the driver's buffers.
    unsafe {
        let (text, whole) = to_bytes(&units_at(from, bytes as usize / 2));
        let put = if to.is_null() { &text[..] } else { fitting(&text, room as usize) };
        if !to.is_null() {
            to.copy_from(put.as_ptr(), put.len());
        }
        report(written, put.len());
        outcome(put.len() == text.len(), whole)
    }
}

fn outcome(fits: bool, whole: bool) -> NTSTATUS {
    match (fits, whole) {
        (false, _) => STATUS_BUFFER_TOO_SMALL,
        (_, false) => STATUS_SOME_NOT_MAPPED,
        _ => STATUS_SUCCESS,
    }
}

/// Reads one character of the ANSI code page and moves on behind it. Source: DDI of the file system headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlAnsiCharToUnicodeChar(from: *mut *const u8) -> u16 {
    // SAFETY: the driver's text, which does not end within a character.
    unsafe {
        let text = from.read_unaligned();
        let length = match *text {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        from.write_unaligned(text.add(length));
        // What UTF-16 needs two units for does not fit the answer.
        to_units(bytes_at(text, length)).0.first().copied().unwrap_or(0xFFFD)
    }
}

/// Translates a UTF-16 string and its NUL into bytes; returns how many without the NUL. Source: C.
#[export(irql any)]
pub unsafe extern "win64" fn wcstombs(to: *mut u8, from: *const u16, room: usize) -> usize {
    // SAFETY: the driver's buffers.
    unsafe {
        let (text, whole) = to_bytes(&units_at(from, super::unicode::length_of(from)));
        if !whole {
            return usize::MAX;
        }
        if to.is_null() {
            return text.len();
        }
        let put = fitting(&text, room);
        to.copy_from(put.as_ptr(), put.len());
        if put.len() < room {
            to.add(put.len()).write(0);
        }
        put.len()
    }
}

/// Translates a string of bytes and its NUL into UTF-16; returns how many units without the NUL. Source: C.
#[export(irql any)]
pub unsafe extern "win64" fn mbstowcs(to: *mut u16, from: *const u8, room: usize) -> usize {
    // SAFETY: the driver's buffers.
    unsafe {
        let (units, whole) = to_units(std::ffi::CStr::from_ptr(from.cast()).to_bytes());
        if !whole {
            return usize::MAX;
        }
        if to.is_null() {
            return units.len();
        }
        let count = units.len().min(room);
        put(to, &units[..count]);
        if count < room {
            to.add(count).write_unaligned(0);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let text: Vec<u16> = "añ€😀".encode_utf16().collect();
        let (mut bytes, mut count) = ([0u8; 16], 0);
        // SAFETY: buffers of the test.
        unsafe {
            let status = RtlUnicodeToUTF8N(
                bytes.as_mut_ptr(),
                16,
                &raw mut count,
                text.as_ptr(),
                size(text.len() * 2),
            );
            assert_eq!((status, count), (STATUS_SUCCESS, 10));
            let mut back = [0u16; 8];
            let status = RtlUTF8ToUnicodeN(back.as_mut_ptr(), 16, &raw mut count, bytes.as_ptr(), 10);
            assert_eq!((status, count, &back[..5]), (STATUS_SUCCESS, 10, &text[..]));
            assert_eq!(
                RtlMultiByteToUnicodeN(back.as_mut_ptr(), 4, &raw mut count, bytes.as_ptr(), 10),
                STATUS_SUCCESS
            );
            assert_eq!(count, 4);
            let mut at = bytes.as_ptr().add(3);
            assert_eq!((RtlAnsiCharToUnicodeChar(&raw mut at), at), (0x20AC, bytes.as_ptr().add(6)));
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_between_characters() {
        let text: Vec<u16> = "a€€".encode_utf16().collect();
        let (mut bytes, mut count) = ([0u8; 16], 0);
        // SAFETY: buffers of the test.
        unsafe {
            let status = RtlUnicodeToUTF8N(bytes.as_mut_ptr(), 6, &raw mut count, text.as_ptr(), 6);
            assert_eq!((status, count), (STATUS_BUFFER_TOO_SMALL, 4));
            let status = RtlUnicodeToUTF8N(std::ptr::null_mut(), 0, &raw mut count, text.as_ptr(), 6);
            assert_eq!((status, count), (STATUS_SUCCESS, 7));
            assert_eq!(
                RtlUnicodeToMultiByteN(bytes.as_mut_ptr(), 3, &raw mut count, text.as_ptr(), 6),
                STATUS_SUCCESS
            );
            assert_eq!(count, 1);
        }
    }

    #[test]
    fn what_is_malformed_is_replaced_and_said() {
        let mut units = [0u16; 4];
        let mut count = 0;
        // SAFETY: buffers of the test.
        unsafe {
            let status = RtlUTF8ToUnicodeN(units.as_mut_ptr(), 8, &raw mut count, b"a\xFFb".as_ptr(), 3);
            assert_eq!((status, count, &units[..3]), (STATUS_SOME_NOT_MAPPED, 6, &[0x61, 0xFFFD, 0x62][..]));
        }
        assert_eq!(to_bytes(&[0xD800, 0x41]), (b"\xEF\xBF\xBDA".to_vec(), false));
    }
}
