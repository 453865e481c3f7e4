//! `UNICODE_STRING`: making, copying, joining, comparing.

use std::borrow::Cow;
use std::cmp::Ordering;

use export_macro::export;
use nt_abi::{
    NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER, STATUS_NAME_TOO_LONG, STATUS_NO_MEMORY,
    STATUS_SUCCESS, UNICODE_STRING, UNICODE_STRING_MAX_BYTES,
};

use super::case::{downcase, upcase};
use super::memory::{allocate, release};

/// The characters of a counted string; null is empty. A copy where the driver put them at an odd address.
///
/// # Safety
/// `string` must be null, or a counted string whose buffer has as many bytes as it says.
pub(crate) unsafe fn units<'a>(string: *const UNICODE_STRING) -> Cow<'a, [u16]> {
    if string.is_null() {
        return Cow::Borrowed(&[]);
    }
    // SAFETY: by this function's contract.
    let string = unsafe { string.read_unaligned() };
    // SAFETY: by this function's contract.
    unsafe { units_at(string.Buffer, usize::from(string.Length) / 2) }
}

/// `count` characters at `buffer`; none when that is null.
///
/// # Safety
/// They must be readable.
pub(crate) unsafe fn units_at<'a>(buffer: *const u16, count: usize) -> Cow<'a, [u16]> {
    if buffer.is_null() || count == 0 {
        Cow::Borrowed(&[])
    } else if buffer.is_aligned() {
        // SAFETY: readable by this function's contract, and aligned.
        Cow::Borrowed(unsafe { std::slice::from_raw_parts(buffer, count) })
    } else {
        // SAFETY: readable by this function's contract.
        Cow::Owned((0..count).map(|i| unsafe { buffer.add(i).read_unaligned() }).collect())
    }
}

/// How many characters stand before the NUL.
///
/// # Safety
/// All of them must be readable, and the NUL.
pub(crate) unsafe fn length_of(text: *const u16) -> usize {
    let mut length = 0;
    // SAFETY: by this function's contract.
    while unsafe { text.add(length).read_unaligned() } != 0 {
        length += 1;
    }
    length
}

/// Copies characters to a driver's buffer, which may be at an odd address and may overlap them.
///
/// # Safety
/// `to` must have room for them.
pub(crate) unsafe fn put(to: *mut u16, units: &[u16]) {
    // SAFETY: by this function's contract.
    unsafe { std::ptr::copy(units.as_ptr().cast::<u8>(), to.cast::<u8>(), units.len() * 2) };
}

/// A number of bytes as a string holds it; more than it can hold is the most.
pub(crate) fn short(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

/// A counted string of characters, in fresh pool memory that ends with a NUL. `None` when there is none, or the
/// string is too long.
pub(crate) fn allocated(text: &[u16]) -> Result<UNICODE_STRING, NTSTATUS> {
    let bytes = text.len() * 2;
    if bytes > usize::from(UNICODE_STRING_MAX_BYTES) - 2 {
        return Err(STATUS_NAME_TOO_LONG);
    }
    let buffer: *mut u16 = allocate(bytes + 2).ok_or(STATUS_NO_MEMORY)?.as_ptr().cast();
    // SAFETY: just allocated with that size.
    unsafe {
        put(buffer, text);
        buffer.add(text.len()).write(0);
    }
    Ok(UNICODE_STRING { Length: short(bytes), MaximumLength: short(bytes + 2), Buffer: buffer })
}

fn initialize(string: *mut UNICODE_STRING, text: *mut u16, bytes: usize) {
    let filled = UNICODE_STRING { Length: short(bytes), MaximumLength: short(bytes + 2), Buffer: text };
    let empty = UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: text };
    // SAFETY: the driver's string, to be written.
    unsafe { string.write_unaligned(if text.is_null() { empty } else { filled }) };
}

/// Makes a counted string of a terminated one, without copying it. Source: DDI.
///
/// One that is too long is cut off at 65532 bytes.
#[export(irql any)]
pub unsafe extern "win64" fn RtlInitUnicodeString(string: *mut UNICODE_STRING, text: *mut u16) {
    // SAFETY: the driver's text.
    let bytes = 2 * if text.is_null() { 0 } else { unsafe { length_of(text) } };
    initialize(string, text, bytes.min(usize::from(UNICODE_STRING_MAX_BYTES) - 2));
}

/// Makes a counted string of a terminated one, unless it is too long. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn RtlInitUnicodeStringEx(string: *mut UNICODE_STRING, text: *mut u16) -> NTSTATUS {
    // SAFETY: the driver's text.
    let bytes = 2 * if text.is_null() { 0 } else { unsafe { length_of(text) } };
    if bytes > usize::from(UNICODE_STRING_MAX_BYTES) - 2 {
        initialize(string, std::ptr::null_mut(), 0);
        return STATUS_NAME_TOO_LONG;
    }
    initialize(string, text, bytes);
    STATUS_SUCCESS
}

/// Makes a counted string in pool memory of a terminated one. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlCreateUnicodeString(string: *mut UNICODE_STRING, text: *const u16) -> u8 {
    // SAFETY: the driver's text and string.
    unsafe {
        match allocated(&units_at(text, length_of(text))) {
            Ok(made) => string.write_unaligned(made),
            Err(_) => return 0,
        }
    }
    1
}

/// Frees a string whose buffer another routine has allocated. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlFreeUnicodeString(string: *mut UNICODE_STRING) {
    // SAFETY: the driver's string.
    let old = unsafe { string.read_unaligned() };
    if !old.Buffer.is_null() {
        release(old.Buffer.cast());
        // SAFETY: as above.
        unsafe { string.write_unaligned(UNICODE_STRING::default()) };
    }
}

/// Copies as much of a string as there is room for. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlCopyUnicodeString(to: *mut UNICODE_STRING, from: *const UNICODE_STRING) {
    // SAFETY: the driver's strings.
    unsafe {
        let mut target = to.read_unaligned();
        let source = units(from);
        let count = source.len().min(usize::from(target.MaximumLength) / 2);
        put(target.Buffer, &source[..count]);
        target.Length = short(count * 2);
        if target.Length + 2 <= target.MaximumLength {
            target.Buffer.add(count).write_unaligned(0);
        }
        to.write_unaligned(target);
    }
}

/// Appends characters; nothing when there is not room for all.
///
/// # Safety
/// `to` must be a counted string.
unsafe fn append(to: *mut UNICODE_STRING, more: &[u16]) -> NTSTATUS {
    // SAFETY: the string's buffer has as many bytes as it says.
    unsafe {
        let mut target = to.read_unaligned();
        let length = usize::from(target.Length) / 2;
        let bytes = (length + more.len()) * 2;
        if bytes > usize::from(target.MaximumLength) {
            return STATUS_BUFFER_TOO_SMALL;
        }
        put(target.Buffer.add(length), more);
        target.Length = short(bytes);
        if bytes + 2 <= usize::from(target.MaximumLength) {
            target.Buffer.add(length + more.len()).write_unaligned(0);
        }
        to.write_unaligned(target);
    }
    STATUS_SUCCESS
}

/// Appends a counted string, if there is room. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlAppendUnicodeStringToString(
    to: *mut UNICODE_STRING,
    from: *const UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the driver's strings.
    unsafe { append(to, &units(from)) }
}

/// Appends a terminated string, if there is room. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlAppendUnicodeToString(to: *mut UNICODE_STRING, from: *const u16) -> NTSTATUS {
    if from.is_null() {
        return STATUS_SUCCESS;
    }
    // SAFETY: the driver's strings.
    unsafe { append(to, &units_at(from, length_of(from))) }
}

/// Orders two texts as NT does: unit by unit, then by length.
pub(crate) fn compare(left: &[u16], right: &[u16], ignore_case: bool) -> i32 {
    let fold = |unit: u16| if ignore_case { upcase(unit) } else { unit };
    for (&left, &right) in left.iter().zip(right) {
        let (left, right) = (fold(left), fold(right));
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    match left.len().cmp(&right.len()) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}

/// Compares two strings. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlCompareUnicodeString(
    left: *const UNICODE_STRING,
    right: *const UNICODE_STRING,
    ignore_case: u8,
) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { compare(&units(left), &units(right), ignore_case != 0) }
}

/// Compares two runs of characters. Source: DDI of the file system headers.
#[export(irql == PASSIVE, since = Vista)]
pub unsafe extern "win64" fn RtlCompareUnicodeStrings(
    left: *const u16,
    left_count: usize,
    right: *const u16,
    right_count: usize,
    ignore_case: u8,
) -> i32 {
    // SAFETY: the driver's characters.
    unsafe { compare(&units_at(left, left_count), &units_at(right, right_count), ignore_case != 0) }
}

/// Says whether two strings are equal. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlEqualUnicodeString(
    left: *const UNICODE_STRING,
    right: *const UNICODE_STRING,
    ignore_case: u8,
) -> u8 {
    // SAFETY: the driver's strings.
    let (left, right) = unsafe { (units(left), units(right)) };
    u8::from(left.len() == right.len() && compare(&left, &right, ignore_case != 0) == 0)
}

/// Says whether a string begins with another. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlPrefixUnicodeString(
    prefix: *const UNICODE_STRING,
    string: *const UNICODE_STRING,
    ignore_case: u8,
) -> u8 {
    // SAFETY: the driver's strings.
    let (prefix, string) = unsafe { (units(prefix), units(string)) };
    let start = string.get(..prefix.len());
    u8::from(start.is_some_and(|start| compare(start, &prefix, ignore_case != 0) == 0))
}

/// Says whether a string ends with another. Source: DDI.
#[export(irql == PASSIVE, since = Win10_1607)]
pub unsafe extern "win64" fn RtlSuffixUnicodeString(
    suffix: *const UNICODE_STRING,
    string: *const UNICODE_STRING,
    ignore_case: u8,
) -> u8 {
    // SAFETY: the driver's strings.
    let (suffix, string) = unsafe { (units(suffix), units(string)) };
    let end = string.len().checked_sub(suffix.len()).map(|at| &string[at..]);
    u8::from(end.is_some_and(|end| compare(end, &suffix, ignore_case != 0) == 0))
}

/// Returns where a string occurs first in another, null where it does not. Source: public headers.
#[export(irql == PASSIVE, since = Win10_1903)]
pub unsafe extern "win64" fn RtlFindUnicodeSubstring(
    string: *const UNICODE_STRING,
    part: *const UNICODE_STRING,
    ignore_case: u8,
) -> *mut u16 {
    // SAFETY: the driver's strings.
    let (text, part, start) = unsafe { (units(string), units(part), (*string).Buffer) };
    let last = text.len().checked_sub(part.len());
    let mut places = last.map_or(0..0, |last| 0..last + 1);
    let found = places.find(|&at| compare(&text[at..at + part.len()], &part, ignore_case != 0) == 0);
    found.map_or(std::ptr::null_mut(), |at| start.wrapping_add(at))
}

/// Writes a changed copy of a string: into the target's buffer, or into one from the pool.
///
/// # Safety
/// `to` must be a counted string; its buffer may be that of the source.
unsafe fn changed(
    to: *mut UNICODE_STRING,
    from: &[u16],
    allocate: u8,
    change: fn(u16) -> u16,
    short_of_room: NTSTATUS,
) -> NTSTATUS {
    let text: Vec<u16> = from.iter().map(|&unit| change(unit)).collect();
    // SAFETY: by this function's contract.
    unsafe {
        if allocate != 0 {
            match allocated(&text) {
                Ok(string) => to.write_unaligned(string),
                Err(status) => return status,
            }
            return STATUS_SUCCESS;
        }
        let mut target = to.read_unaligned();
        if text.len() * 2 > usize::from(target.MaximumLength) {
            return short_of_room;
        }
        put(target.Buffer, &text);
        target.Length = short(text.len() * 2);
        to.write_unaligned(target);
    }
    STATUS_SUCCESS
}

/// Writes a copy in upper case, into memory from the pool if asked to. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlUpcaseUnicodeString(
    to: *mut UNICODE_STRING,
    from: *const UNICODE_STRING,
    allocate: u8,
) -> NTSTATUS {
    // SAFETY: the driver's strings.
    unsafe { changed(to, &units(from), allocate, upcase, nt_abi::STATUS_BUFFER_OVERFLOW) }
}

/// Writes a copy in lower case, into memory from the pool if asked to. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlDowncaseUnicodeString(
    to: *mut UNICODE_STRING,
    from: *const UNICODE_STRING,
    allocate: u8,
) -> NTSTATUS {
    // SAFETY: the driver's strings.
    unsafe { changed(to, &units(from), allocate, downcase, nt_abi::STATUS_BUFFER_OVERFLOW) }
}

/// Copies a string into pool memory. Source: DDI of the file system headers.
///
/// Flag 1 asks for a NUL at the end, flag 2 for a buffer even for an empty string.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn RtlDuplicateUnicodeString(
    flags: u32,
    from: *const UNICODE_STRING,
    to: *mut UNICODE_STRING,
) -> NTSTATUS {
    /// RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE
    const TERMINATE: u32 = 1;
    /// RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING
    const ALLOCATE_EMPTY: u32 = 2;
    if flags & !(TERMINATE | ALLOCATE_EMPTY) != 0
        || to.is_null()
        || flags & ALLOCATE_EMPTY != 0 && flags & TERMINATE == 0
    {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the driver's strings.
    unsafe {
        let text = units(from);
        if text.is_empty() && flags & ALLOCATE_EMPTY == 0 {
            to.write_unaligned(UNICODE_STRING::default());
            return STATUS_SUCCESS;
        }
        match allocated(&text) {
            Ok(mut made) => {
                if flags & TERMINATE == 0 {
                    made.MaximumLength = made.Length;
                }
                to.write_unaligned(made);
                STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }
}

/// Checks that a counted string is well formed. Source: DDI.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn RtlValidateUnicodeString(flags: u32, string: *const UNICODE_STRING) -> NTSTATUS {
    if flags != 0 {
        return STATUS_INVALID_PARAMETER;
    }
    if string.is_null() {
        return STATUS_SUCCESS;
    }
    // SAFETY: the driver's string.
    let string = unsafe { string.read_unaligned() };
    let odd = string.Length % 2 != 0 || string.MaximumLength % 2 != 0;
    let missing = string.Buffer.is_null() && (string.Length != 0 || string.MaximumLength != 0);
    if odd
        || missing
        || string.Length > string.MaximumLength
        || string.MaximumLength > UNICODE_STRING_MAX_BYTES
    {
        STATUS_INVALID_PARAMETER
    } else {
        STATUS_SUCCESS
    }
}

/// Computes a hash of a string: x65599, the default and only algorithm. Source: DDI.
#[export(irql == PASSIVE, since = Xp)]
pub unsafe extern "win64" fn RtlHashUnicodeString(
    string: *const UNICODE_STRING,
    ignore_case: u8,
    algorithm: u32,
    hash: *mut u32,
) -> NTSTATUS {
    if string.is_null() || hash.is_null() || algorithm > 1 {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the driver's string.
    let text = unsafe { units(string) };
    let value = text.iter().fold(0u32, |value, &unit| {
        let unit = if ignore_case != 0 { upcase(unit) } else { unit };
        value.wrapping_mul(65599).wrapping_add(unit.into())
    });
    // SAFETY: the driver's variable.
    unsafe { hash.write_unaligned(value) };
    STATUS_SUCCESS
}

#[cfg(test)]
#[path = "unicode_tests.rs"]
mod tests;
