//! `str…`: strings of bytes. One export each over the generic routines of `text.rs`.

use export_macro::export;

use super::text::{self, Char};

/// A character.
type C = u8;
/// A count that no string reaches, and that does not ask for cutting off.
const WHOLE: usize = usize::MAX - 1;

/// Returns how many characters stand before the NUL.
#[export(irql any)]
pub unsafe extern "win64" fn strlen(text: *const C) -> usize {
    // SAFETY: the driver's strings.
    unsafe { text::length(text, usize::MAX) }
}

/// Returns how many characters stand before the NUL, at most a number.
#[export(irql any)]
pub unsafe extern "win64" fn strnlen(text: *const C, most: usize) -> usize {
    // SAFETY: the driver's strings.
    unsafe { text::length(text, most) }
}

/// Copies a string.
#[export(irql any)]
pub unsafe extern "win64" fn strcpy(to: *mut C, from: *const C) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        text::copy(to, from, usize::MAX);
        to
    }
}

/// Copies a number of characters, filled up with NULs.
#[export(irql any)]
pub unsafe extern "win64" fn strncpy(to: *mut C, from: *const C, count: usize) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        text::copy_filled(to, from, count);
        to
    }
}

/// Appends a string.
#[export(irql any)]
pub unsafe extern "win64" fn strcat(to: *mut C, from: *const C) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        text::copy(to.add(text::length(to, usize::MAX)), from, usize::MAX);
        to
    }
}

/// Appends at most a number of characters.
#[export(irql any)]
pub unsafe extern "win64" fn strncat(to: *mut C, from: *const C, count: usize) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        text::copy(to.add(text::length(to, usize::MAX)), from, count);
        to
    }
}

/// Compares two strings.
#[export(irql any)]
pub unsafe extern "win64" fn strcmp(left: *const C, right: *const C) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::compare(left, right, usize::MAX, false) }
}

/// Compares at most a number of characters.
#[export(irql any)]
pub unsafe extern "win64" fn strncmp(left: *const C, right: *const C, count: usize) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::compare(left, right, count, false) }
}

/// Compares two strings without case.
#[export(irql any)]
pub unsafe extern "win64" fn _stricmp(left: *const C, right: *const C) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::compare(left, right, usize::MAX, true) }
}

/// Compares at most a number of characters without case.
#[export(irql any)]
pub unsafe extern "win64" fn _strnicmp(left: *const C, right: *const C, count: usize) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::compare(left, right, count, true) }
}

/// Returns where a character occurs first, or null.
#[export(irql any)]
pub unsafe extern "win64" fn strchr(text: *const C, character: u32) -> *const C {
    // SAFETY: the driver's strings.
    unsafe { text::find(text, C::low(character)) }
}

/// Returns where a character occurs last, or null.
#[export(irql any)]
pub unsafe extern "win64" fn strrchr(text: *const C, character: u32) -> *const C {
    // SAFETY: the driver's strings.
    unsafe { text::find_last(text, C::low(character)) }
}

/// Returns where a string occurs first in another, or null.
#[export(irql any)]
pub unsafe extern "win64" fn strstr(text: *const C, part: *const C) -> *const C {
    // SAFETY: the driver's strings.
    unsafe { text::find_text(text, part) }
}

/// Returns how many characters from the start are in a set.
#[export(irql any)]
pub unsafe extern "win64" fn strspn(text: *const C, set: *const C) -> usize {
    // SAFETY: the driver's strings.
    unsafe { text::span(text, set, true) }
}

/// Returns how many characters from the start are not in a set.
#[export(irql any)]
pub unsafe extern "win64" fn strcspn(text: *const C, set: *const C) -> usize {
    // SAFETY: the driver's strings.
    unsafe { text::span(text, set, false) }
}

/// Returns the first character that is in a set, or null.
#[export(irql any)]
pub unsafe extern "win64" fn strpbrk(text: *const C, set: *const C) -> *const C {
    // SAFETY: the driver's strings.
    unsafe {
        let found = text.add(text::span(text, set, false));
        if text::at(found, 0) == 0 { std::ptr::null() } else { found }
    }
}

/// Makes a string lower case.
#[export(irql any)]
pub unsafe extern "win64" fn _strlwr(text: *mut C) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe { text::map(text, C::lower) }
}

/// Makes a string upper case.
#[export(irql any)]
pub unsafe extern "win64" fn _strupr(text: *mut C) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe { text::map(text, C::upper) }
}

/// Turns a string around.
#[export(irql any)]
pub unsafe extern "win64" fn _strrev(text: *mut C) -> *mut C {
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
pub unsafe extern "win64" fn _strset(text: *mut C, character: u32) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        (0..text::length(text, usize::MAX)).for_each(|index| text::set(text, index, C::low(character)));
        text
    }
}

/// Sets at most a number of characters of a string.
#[export(irql any)]
pub unsafe extern "win64" fn _strnset(text: *mut C, character: u32, count: usize) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe {
        (0..text::length(text, count)).for_each(|index| text::set(text, index, C::low(character)));
        text
    }
}

/// Copies a string into a buffer of a size.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn strcpy_s(to: *mut C, room: usize, from: *const C) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::copy_secure(to, room, from, WHOLE) }
}

/// Copies at most a number of characters into a buffer of a size.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn strncpy_s(to: *mut C, room: usize, from: *const C, count: usize) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::copy_secure(to, room, from, count) }
}

/// Appends a string in a buffer of a size.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn strcat_s(to: *mut C, room: usize, from: *const C) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::append_secure(to, room, from, WHOLE) }
}

/// Appends at most a number of characters in a buffer of a size.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn strncat_s(to: *mut C, room: usize, from: *const C, count: usize) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { text::append_secure(to, room, from, count) }
}

/// Returns the next piece between delimiters, or null.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn strtok_s(text: *mut C, delimiters: *const C, rest: *mut *mut C) -> *mut C {
    // SAFETY: the driver's strings.
    unsafe { text::token(text, delimiters, rest) }
}

#[cfg(test)]
mod tests {
    use super::super::wide;
    use super::super::{EINVAL, ERANGE, STRUNCATE, TRUNCATE};
    use super::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().chain([0]).collect()
    }

    #[test]
    fn searching() {
        let text = c"\\Device\\HarddiskVolume1";
        let start = text.as_ptr().cast::<u8>();
        // SAFETY: C strings.
        unsafe {
            assert_eq!(strlen(start), 23);
            assert_eq!(strnlen(start, 5), 5);
            assert_eq!(strchr(start, u32::from(b'\\')), start);
            assert_eq!(strrchr(start, u32::from(b'\\')), start.add(7));
            assert_eq!(strchr(start, 0), start.add(23));
            assert!(strchr(start, u32::from(b'x')).is_null());
            assert_eq!(strstr(start, c"disk".as_ptr().cast()), start.add(12));
            assert_eq!(strstr(start, c"".as_ptr().cast()), start);
            assert!(strstr(start, c"disks".as_ptr().cast()).is_null());
            assert_eq!(strpbrk(start, c"Vv".as_ptr().cast()), start.add(3));
            assert_eq!((strspn(start, c"\\D".as_ptr().cast()), strcspn(start, c"H".as_ptr().cast())), (2, 8));
            let wide_text = units("ab\\cd\\e");
            assert_eq!(wide::wcsrchr(wide_text.as_ptr(), 0x5C), wide_text.as_ptr().add(5));
            let part = units("d\\");
            assert_eq!(wide::wcsstr(wide_text.as_ptr(), part.as_ptr()), wide_text.as_ptr().add(4));
        }
    }

    #[test]
    fn comparing() {
        let compare = |left: &std::ffi::CStr, right: &std::ffi::CStr| {
            let (left, right) = (left.as_ptr().cast(), right.as_ptr().cast());
            // SAFETY: C strings.
            unsafe {
                (
                    strcmp(left, right),
                    _stricmp(left, right),
                    strncmp(left, right, 2),
                    _strnicmp(left, right, 2),
                )
            }
        };
        assert_eq!(compare(c"abc", c"abc"), (0, 0, 0, 0));
        assert_eq!(compare(c"abc", c"ABD"), (1, -1, 1, 0));
        assert_eq!(compare(c"ab", c"abc"), (-1, -1, 0, 0));
        assert_eq!(compare(c"\xFF", c"a"), (1, 1, 1, 1));
        let (left, right) = (units("Explorer.EXE"), units("explorer.exe"));
        // SAFETY: C strings.
        unsafe {
            assert_eq!(wide::_wcsicmp(left.as_ptr(), right.as_ptr()), 0);
            assert_eq!(wide::wcscmp(left.as_ptr(), right.as_ptr()), -1);
            assert_eq!(wide::_wcsnicmp(left.as_ptr(), right.as_ptr().add(1), 3), -1);
        }
    }

    #[test]
    fn copying() {
        let mut buffer = [0xAAu8; 12];
        let to = buffer.as_mut_ptr();
        // SAFETY: within the buffer.
        unsafe {
            strcpy(to, c"abc".as_ptr().cast());
            strcat(to, c"DE".as_ptr().cast());
            strncat(to, c"xyz".as_ptr().cast(), 1);
            assert_eq!(&buffer[..8], b"abcDEx\0\xAA");
            let to = buffer.as_mut_ptr();
            _strupr(to);
            _strrev(to);
            assert_eq!(&buffer[..7], b"XEDCBA\0");
            strncpy(buffer.as_mut_ptr(), c"q".as_ptr().cast(), 3);
            assert_eq!(&buffer[..5], b"q\0\0CB");
        }
    }

    #[test]
    fn secure_copies_fit_or_fail() {
        let mut buffer = [0xAAAAu16; 5];
        let (long, four) = (units("hello"), units("four"));
        let to = buffer.as_mut_ptr();
        // SAFETY: the buffer has five units.
        unsafe {
            assert_eq!(wide::wcscpy_s(to, 5, four.as_ptr()), 0);
            assert_eq!(buffer[..], four[..]);
            let to = buffer.as_mut_ptr();
            assert_eq!(wide::wcscpy_s(to, 5, long.as_ptr()), ERANGE);
            assert_eq!(buffer[0], 0);
            let to = buffer.as_mut_ptr();
            assert_eq!(wide::wcsncpy_s(to, 5, long.as_ptr(), TRUNCATE), STRUNCATE);
            assert_eq!(buffer[..], units("hell")[..]);
            let to = buffer.as_mut_ptr();
            assert_eq!(wide::wcsncpy_s(to, 5, long.as_ptr(), 2), 0);
            assert_eq!(wide::wcscat_s(to, 5, four.as_ptr()), ERANGE);
            assert_eq!(wide::wcsncpy_s(to, 5, long.as_ptr(), 2), 0);
            assert_eq!(wide::wcsncat_s(to, 5, four.as_ptr(), 2), 0);
            assert_eq!(buffer[..], units("hefo")[..]);
            let to = buffer.as_mut_ptr();
            assert_eq!(wide::wcscpy_s(to, 0, four.as_ptr()), EINVAL);
            assert_eq!(wide::wcscpy_s(to, 5, std::ptr::null()), EINVAL);
        }
        assert_eq!(buffer[0], 0);
    }

    #[test]
    fn tokens() {
        let mut text = *b"a,,b;\0";
        let mut rest = std::ptr::null_mut();
        let set = c",;".as_ptr().cast();
        // SAFETY: a C string of the test.
        unsafe {
            let start = text.as_mut_ptr();
            assert_eq!(strtok_s(start, set, &raw mut rest), start);
            assert_eq!(strtok_s(std::ptr::null_mut(), set, &raw mut rest), start.add(3));
            assert!(strtok_s(std::ptr::null_mut(), set, &raw mut rest).is_null());
        }
        assert_eq!(&text, b"a\0,b\0\0");
    }
}
