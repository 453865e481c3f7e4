//! `wcs…`: strings of UTF-16 units. One export each over the generic routines of `text.rs`.

use export_macro::export;

use super::text::{self, Char};

/// A character.
type C = u16;
/// A count that no string reaches, and that does not ask for cutting off.
const WHOLE: usize = usize::MAX - 1;

/// Returns how many characters stand before the NUL.
#[export(irql any)]
pub unsafe extern "win64" fn wcslen(text: *const C) -> usize {
    // SAFETY: the driver's strings.
    unsafe { text::length(text, usize::MAX) }
}

/// Returns how many characters stand before the NUL, at most a number.
#[export(irql any)]
pub unsafe extern "win64" fn wcsnlen(text: *const C, most: usize) -> usize {
    // SAFETY: the driver's strings.
    unsafe { text::length(text, most) }
}

/// Copies a string.
#[export(irql any)]
pub unsafe extern "win64" fn wcscpy(to: *mut C, from: *const C) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        text::copy(to, from, usize::MAX);
        to
    }
}

/// Copies a number of characters, filled up with NULs.
#[export(irql any)]
pub unsafe extern "win64" fn wcsncpy(to: *mut C, from: *const C, count: usize) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        text::copy_filled(to, from, count);
        to
    }
}

/// Appends a string.
#[export(irql any)]
pub unsafe extern "win64" fn wcscat(to: *mut C, from: *const C) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        text::copy(to.add(text::length(to, usize::MAX)), from, usize::MAX);
        to
    }
}

/// Appends at most a number of characters.
#[export(irql any)]
pub unsafe extern "win64" fn wcsncat(to: *mut C, from: *const C, count: usize) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        text::copy(to.add(text::length(to, usize::MAX)), from, count);
        to
    }
}

/// Compares two strings.
#[export(irql any)]
pub unsafe extern "win64" fn wcscmp(left: *const C, right: *const C) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::compare(left, right, usize::MAX, false) }
}

/// Compares at most a number of characters.
#[export(irql any)]
pub unsafe extern "win64" fn wcsncmp(left: *const C, right: *const C, count: usize) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::compare(left, right, count, false) }
}

/// Compares two strings without case.
#[export(irql any)]
pub unsafe extern "win64" fn _wcsicmp(left: *const C, right: *const C) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::compare(left, right, usize::MAX, true) }
}

/// Compares at most a number of characters without case.
#[export(irql any)]
pub unsafe extern "win64" fn _wcsnicmp(left: *const C, right: *const C, count: usize) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::compare(left, right, count, true) }
}

/// Returns where a character occurs first, or null.
#[export(irql any)]
pub unsafe extern "win64" fn wcschr(text: *const C, character: u32) -> *const C {
    // SAFETY: the driver's strings.
    unsafe { text::find(text, C::low(character)) }
}

/// Returns where a character occurs last, or null.
#[export(irql any)]
pub unsafe extern "win64" fn wcsrchr(text: *const C, character: u32) -> *const C {
    // SAFETY: the driver's strings.
    unsafe { text::find_last(text, C::low(character)) }
}

/// Returns where a string occurs first in another, or null.
#[export(irql any)]
pub unsafe extern "win64" fn wcsstr(text: *const C, part: *const C) -> *const C {
    // SAFETY: the driver's strings.
    unsafe { text::find_text(text, part) }
}

/// Returns how many characters from the start are in a set.
#[export(irql any)]
pub unsafe extern "win64" fn wcsspn(text: *const C, set: *const C) -> usize {
    // SAFETY: the driver's strings.
    unsafe { text::span(text, set, true) }
}

/// Returns how many characters from the start are not in a set.
#[export(irql any)]
pub unsafe extern "win64" fn wcscspn(text: *const C, set: *const C) -> usize {
    // SAFETY: the driver's strings.
    unsafe { text::span(text, set, false) }
}

/// Returns the first character that is in a set, or null.
#[export(irql any)]
pub unsafe extern "win64" fn wcspbrk(text: *const C, set: *const C) -> *const C {
    // SAFETY: the driver's strings.
    unsafe {
        let found = text.add(text::span(text, set, false));
        if text::at(found, 0) == 0 { std::ptr::null() } else { found }
    }
}

/// Makes a string lower case.
#[export(irql any)]
pub unsafe extern "win64" fn _wcslwr(text: *mut C) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe { text::map(text, C::lower) }
}

/// Makes a string upper case.
#[export(irql any)]
pub unsafe extern "win64" fn _wcsupr(text: *mut C) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe { text::map(text, C::upper) }
}

/// Turns a string around.
#[export(irql any)]
pub unsafe extern "win64" fn _wcsrev(text: *mut C) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        let length = text::length(text, usize::MAX);
        for index in 0..length / 2 {
            let (first, last) = (text::at(text, index), text::at(text, length - 1 - index));
            text::set(text, index, last);
            text::set(text, length - 1 - index, first);
        }
        text
    }
}

/// Sets every character of a string.
#[export(irql any)]
pub unsafe extern "win64" fn _wcsset(text: *mut C, character: u32) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        (0..text::length(text, usize::MAX)).for_each(|index| text::set(text, index, C::low(character)));
        text
    }
}

/// Sets at most a number of characters of a string.
#[export(irql any)]
pub unsafe extern "win64" fn _wcsnset(text: *mut C, character: u32, count: usize) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        (0..text::length(text, count)).for_each(|index| text::set(text, index, C::low(character)));
        text
    }
}

/// Copies a string into a buffer of a size.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn wcscpy_s(to: *mut C, room: usize, from: *const C) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::copy_secure(to, room, from, WHOLE) }
}

/// Copies at most a number of characters into a buffer of a size.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn wcsncpy_s(to: *mut C, room: usize, from: *const C, count: usize) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::copy_secure(to, room, from, count) }
}

/// Appends a string in a buffer of a size.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn wcscat_s(to: *mut C, room: usize, from: *const C) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::append_secure(to, room, from, WHOLE) }
}

/// Appends at most a number of characters in a buffer of a size.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn wcsncat_s(to: *mut C, room: usize, from: *const C, count: usize) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::append_secure(to, room, from, count) }
}

/// Returns the next piece between delimiters, or null.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn wcstok_s(text: *mut C, delimiters: *const C, rest: *mut *mut C) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe { text::token(text, delimiters, rest) }
}
