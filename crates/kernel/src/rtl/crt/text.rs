//! C strings of both widths.

use super::{EINVAL, ERANGE, STRUNCATE, TRUNCATE};

/// A character of a C string.
pub(crate) trait Char: Copy + Eq + Ord + Into<u32> {
    /// The end of a string.
    const NUL: Self;
    /// The low bits of a number.
    fn low(value: u32) -> Self;
    /// In lower case, in the C locale: of `A` to `Z` only.
    fn lower(self) -> Self {
        let code: u32 = self.into();
        if (0x41..=0x5A).contains(&code) { Self::low(code + 0x20) } else { self }
    }
    /// In upper case, in the C locale.
    fn upper(self) -> Self {
        let code: u32 = self.into();
        if (0x61..=0x7A).contains(&code) { Self::low(code - 0x20) } else { self }
    }
}

impl Char for u8 {
    const NUL: Self = 0;
    fn low(value: u32) -> Self {
        value.to_le_bytes()[0]
    }
}

impl Char for u16 {
    const NUL: Self = 0;
    fn low(value: u32) -> Self {
        let [low, high, ..] = value.to_le_bytes();
        Self::from_le_bytes([low, high])
    }
}

/// The character at an index, wherever the driver put the string.
///
/// # Safety
/// It must be readable.
pub(crate) unsafe fn at<C: Char>(text: *const C, index: usize) -> C {
    // SAFETY: by this function's contract.
    unsafe { text.add(index).read_unaligned() }
}

/// Writes the character at an index.
///
/// # Safety
/// It must be writable.
pub(crate) unsafe fn set<C: Char>(text: *mut C, index: usize, value: C) {
    // SAFETY: by this function's contract.
    unsafe { text.add(index).write_unaligned(value) }
}

/// Characters before the NUL, or `most`.
///
/// # Safety
/// All of them must be readable.
pub(crate) unsafe fn length<C: Char>(text: *const C, most: usize) -> usize {
    let mut length = 0;
    // SAFETY: by this function's contract.
    while length < most && unsafe { at(text, length) } != C::NUL {
        length += 1;
    }
    length
}

/// `strcmp` of at most `most` characters: -1, 0 or 1.
///
/// # Safety
/// Both must be readable up to the first difference.
pub(crate) unsafe fn compare<C: Char>(
    left: *const C,
    right: *const C,
    most: usize,
    ignore_case: bool,
) -> i32 {
    let fold = |c: C| if ignore_case { c.lower() } else { c };
    for index in 0..most {
        // SAFETY: by this function's contract.
        let (left, right) = unsafe { (fold(at(left, index)), fold(at(right, index))) };
        if left != right {
            return if left < right { -1 } else { 1 };
        }
        if left == C::NUL {
            break;
        }
    }
    0
}

/// `strncpy`: copies up to the NUL, and fills up with NULs.
///
/// # Safety
/// `to` must have room for `count`.
pub(crate) unsafe fn copy_filled<C: Char>(to: *mut C, from: *const C, count: usize) {
    // SAFETY: by this function's contract.
    unsafe {
        let length = length(from, count);
        (0..length).for_each(|index| set(to, index, at(from, index)));
        (length..count).for_each(|index| set(to, index, C::NUL));
    }
}

/// Copies at most `most` characters and a NUL.
///
/// # Safety
/// `to` must have room for them.
pub(crate) unsafe fn copy<C: Char>(to: *mut C, from: *const C, most: usize) {
    // SAFETY: by this function's contract.
    unsafe {
        let mut index = 0;
        while index < most && at(from, index) != C::NUL {
            set(to, index, at(from, index));
            index += 1;
        }
        set(to, index, C::NUL);
    }
}

/// Where a character occurs first, the NUL included; null where it does not.
///
/// # Safety
/// A C string.
pub(crate) unsafe fn find<C: Char>(text: *const C, wanted: C) -> *const C {
    let mut index = 0;
    loop {
        // SAFETY: by this function's contract.
        let c = unsafe { at(text, index) };
        if c == wanted {
            return text.wrapping_add(index);
        }
        if c == C::NUL {
            return std::ptr::null();
        }
        index += 1;
    }
}

/// Where a character occurs last, the NUL included; null where it does not.
///
/// # Safety
/// A C string.
pub(crate) unsafe fn find_last<C: Char>(text: *const C, wanted: C) -> *const C {
    // SAFETY: by this function's contract.
    let found = unsafe { (0..=length(text, usize::MAX)).rev().find(|&index| at(text, index) == wanted) };
    found.map_or(std::ptr::null(), |index| text.wrapping_add(index))
}

/// Where a string occurs first in another; null where it does not.
///
/// # Safety
/// Two C strings.
pub(crate) unsafe fn find_text<C: Char>(text: *const C, part: *const C) -> *const C {
    // SAFETY: by this function's contract.
    unsafe {
        let (length, wanted) = (length(text, usize::MAX), length(part, usize::MAX));
        let Some(last) = length.checked_sub(wanted) else { return std::ptr::null() };
        let found = (0..=last).find(|&index| compare(text.wrapping_add(index), part, wanted, false) == 0);
        found.map_or(std::ptr::null(), |index| text.wrapping_add(index))
    }
}

/// How many characters from the start are (or are not) in a set.
///
/// # Safety
/// Two C strings.
pub(crate) unsafe fn span<C: Char>(text: *const C, set: *const C, inside: bool) -> usize {
    let mut index = 0;
    loop {
        // SAFETY: by this function's contract.
        let (c, found) = unsafe { (at(text, index), !find(set, at(text, index)).is_null()) };
        if c == C::NUL || found != inside {
            return index;
        }
        index += 1;
    }
}

/// Changes every character.
///
/// # Safety
/// A C string that can be written.
pub(crate) unsafe fn map<C: Char>(text: *mut C, change: fn(C) -> C) -> *mut C {
    // SAFETY: by this function's contract.
    unsafe { (0..length(text, usize::MAX)).for_each(|index| set(text, index, change(at(text, index)))) };
    text
}

/// The `_s` form of copying (`start` 0) and appending: at most `count` characters into `room`, behind `start` of them.
///
/// # Safety
/// `to` must have `room`.
unsafe fn put_secure<C: Char>(to: *mut C, room: usize, start: usize, from: *const C, count: usize) -> i32 {
    // SAFETY: by this function's contract; a string that does not fit leaves an empty one.
    unsafe {
        if from.is_null() {
            set(to, 0, C::NUL);
            return EINVAL;
        }
        let left = room - start;
        let length = length(from, count.min(left));
        if length < left {
            copy(to.add(start), from, length);
            return 0;
        }
        if count == TRUNCATE {
            copy(to.add(start), from, left - 1);
            return STRUNCATE;
        }
        set(to, 0, C::NUL);
        ERANGE
    }
}

/// `strncpy_s`; `count` is [`usize::MAX`] minus one for `strcpy_s`.
///
/// # Safety
/// `to` must have `room`.
pub(crate) unsafe fn copy_secure<C: Char>(to: *mut C, room: usize, from: *const C, count: usize) -> i32 {
    if to.is_null() || room == 0 {
        return EINVAL;
    }
    // SAFETY: by this function's contract.
    unsafe { put_secure(to, room, 0, from, count) }
}

/// `strncat_s`; `count` is [`usize::MAX`] minus one for `strcat_s`.
///
/// # Safety
/// `to` must have `room`.
pub(crate) unsafe fn append_secure<C: Char>(to: *mut C, room: usize, from: *const C, count: usize) -> i32 {
    if to.is_null() || room == 0 {
        return EINVAL;
    }
    // SAFETY: by this function's contract.
    unsafe {
        let start = length(to, room);
        if start == room {
            set(to, 0, C::NUL);
            return EINVAL;
        }
        put_secure(to, room, start, from, count)
    }
}

/// `strtok_s`: the next piece between delimiters.
///
/// # Safety
/// `text` is null or a C string that can be written; `rest` is what the last call left.
pub(crate) unsafe fn token<C: Char>(text: *mut C, delimiters: *const C, rest: *mut *mut C) -> *mut C {
    // SAFETY: by this function's contract.
    unsafe {
        let text = if text.is_null() { *rest } else { text };
        if text.is_null() {
            return text;
        }
        let start = text.add(span(text, delimiters, true));
        if at(start, 0) == C::NUL {
            *rest = start;
            return std::ptr::null_mut();
        }
        let end = start.add(span(start, delimiters, false));
        *rest = end;
        if at(end, 0) != C::NUL {
            set(end, 0, C::NUL);
            *rest = end.add(1);
        }
        start
    }
}
