//! `STRING`, also called `ANSI_STRING` and `OEM_STRING`, and its translation to and from `UNICODE_STRING`.

use export_macro::export;
use nt_abi::{
    NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER_2,
    STATUS_NAME_TOO_LONG, STATUS_NO_MEMORY, STATUS_SUCCESS, STRING, UNICODE_STRING,
};

use super::encode::{bytes_at, fitting, size, to_bytes, to_units};
use super::memory::{allocate, release};
use super::unicode::{allocated, put, short, units};

/// The bytes of a counted string; null is empty.
///
/// # Safety
/// `string` must be null, or a counted string whose buffer has as many bytes as it says.
pub(crate) unsafe fn bytes<'a>(string: *const STRING) -> &'a [u8] {
    if string.is_null() {
        return &[];
    }
    // SAFETY: by this function's contract.
    unsafe {
        let string = string.read_unaligned();
        bytes_at(string.Buffer, string.Length.into())
    }
}

/// Makes a counted string of a terminated one.
///
/// # Safety
/// `string` must be writable; `text` null or terminated.
unsafe fn initialize(string: *mut STRING, text: *mut u8, refuse_long: bool) -> NTSTATUS {
    /// The most that leaves room for the NUL.
    const MOST: usize = 0xFFFE;
    // SAFETY: by this function's contract.
    unsafe {
        if text.is_null() {
            string.write_unaligned(STRING::default());
            return STATUS_SUCCESS;
        }
        let length = std::ffi::CStr::from_ptr(text.cast()).count_bytes();
        if length > MOST && refuse_long {
            return STATUS_NAME_TOO_LONG;
        }
        let length = short(length.min(MOST));
        string.write_unaligned(STRING { Length: length, MaximumLength: length + 1, Buffer: text });
    }
    STATUS_SUCCESS
}

/// Makes a counted string of a terminated one, without copying it. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlInitAnsiString(string: *mut STRING, text: *mut u8) {
    // SAFETY: the driver's string and text.
    unsafe { initialize(string, text, false) };
}

/// Makes a counted string of a terminated one, without copying it. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlInitString(string: *mut STRING, text: *mut u8) {
    // SAFETY: the driver's string and text.
    unsafe { initialize(string, text, false) };
}

/// Makes a counted string of a terminated one, unless it is too long. Source: public headers.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn RtlInitAnsiStringEx(string: *mut STRING, text: *mut u8) -> NTSTATUS {
    // SAFETY: the driver's string and text.
    unsafe { initialize(string, text, true) }
}

/// Makes a counted string of a terminated one, unless it is too long. Source: DDI.
#[export(irql any, since = Vista)]
pub unsafe extern "win64" fn RtlInitStringEx(string: *mut STRING, text: *mut u8) -> NTSTATUS {
    // SAFETY: the driver's string and text.
    unsafe { initialize(string, text, true) }
}

/// Frees a string whose buffer another routine has allocated. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlFreeAnsiString(string: *mut STRING) {
    // SAFETY: the driver's string.
    unsafe {
        let old = string.read_unaligned();
        if !old.Buffer.is_null() {
            release(old.Buffer);
            string.write_unaligned(STRING::default());
        }
    }
}

/// Copies as much of a string as there is room for. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlCopyString(to: *mut STRING, from: *const STRING) {
    // SAFETY: the driver's strings.
    unsafe {
        let (mut target, source) = (to.read_unaligned(), bytes(from));
        let count = source.len().min(target.MaximumLength.into());
        target.Buffer.copy_from(source.as_ptr(), count);
        target.Length = short(count);
        to.write_unaligned(target);
    }
}

/// Appends a counted string, if there is room. Source: public headers.
#[export(irql any)]
pub unsafe extern "win64" fn RtlAppendStringToString(to: *mut STRING, from: *const STRING) -> NTSTATUS {
    // SAFETY: the driver's strings.
    unsafe {
        let (mut target, source) = (to.read_unaligned(), bytes(from));
        let length = usize::from(target.Length) + source.len();
        if length > target.MaximumLength.into() {
            return STATUS_BUFFER_TOO_SMALL;
        }
        target.Buffer.add(target.Length.into()).copy_from(source.as_ptr(), source.len());
        target.Length = short(length);
        to.write_unaligned(target);
    }
    STATUS_SUCCESS
}

fn compare(left: &[u8], right: &[u8], ignore_case: bool) -> i32 {
    let fold = |byte: u8| if ignore_case { byte.to_ascii_uppercase() } else { byte };
    let order = left.iter().map(|&byte| fold(byte)).cmp(right.iter().map(|&byte| fold(byte)));
    order as i32
}

/// Compares two strings. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlCompareString(
    left: *const STRING,
    right: *const STRING,
    ignore_case: u8,
) -> i32 {
    // SAFETY: the driver's strings.
    unsafe { compare(bytes(left), bytes(right), ignore_case != 0) }
}

/// Says whether two strings are equal. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlEqualString(
    left: *const STRING,
    right: *const STRING,
    ignore_case: u8,
) -> u8 {
    // SAFETY: the driver's strings.
    u8::from(unsafe { compare(bytes(left), bytes(right), ignore_case != 0) } == 0)
}

/// Says whether a string begins with another. Source: public headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlPrefixString(
    prefix: *const STRING,
    string: *const STRING,
    ignore_case: u8,
) -> u8 {
    // SAFETY: the driver's strings.
    let (prefix, string) = unsafe { (bytes(prefix), bytes(string)) };
    u8::from(string.get(..prefix.len()).is_some_and(|start| compare(start, prefix, ignore_case != 0) == 0))
}

/// Writes a copy in upper case. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlUpperString(to: *mut STRING, from: *const STRING) {
    // SAFETY: the driver's strings.
    unsafe {
        RtlCopyString(to, from);
        let target = to.read_unaligned();
        for index in 0..usize::from(target.Length) {
            *target.Buffer.add(index) = (*target.Buffer.add(index)).to_ascii_uppercase();
        }
    }
}

/// Translates a UTF-16 string into bytes: into the target's buffer, or into one from the pool.
///
/// # Safety
/// Both must be counted strings.
unsafe fn narrow(to: *mut STRING, from: *const UNICODE_STRING, allocate_it: u8) -> NTSTATUS {
    // SAFETY: by this function's contract.
    unsafe {
        let (text, _) = to_bytes(&units(from));
        // A NUL is put behind it, and must have room.
        let needed = text.len() + 1;
        if needed > usize::from(u16::MAX) {
            return STATUS_INVALID_PARAMETER_2;
        }
        if allocate_it != 0 {
            let Some(buffer) = allocate(needed) else { return STATUS_NO_MEMORY };
            buffer.as_ptr().copy_from(text.as_ptr(), text.len());
            to.write_unaligned(STRING {
                Length: short(text.len()),
                MaximumLength: short(needed),
                Buffer: buffer.as_ptr(),
            });
            return STATUS_SUCCESS;
        }
        let mut target = to.read_unaligned();
        let room = usize::from(target.MaximumLength);
        let Some(for_text) = room.checked_sub(1) else { return STATUS_BUFFER_OVERFLOW };
        let put = fitting(&text, for_text);
        target.Buffer.copy_from(put.as_ptr(), put.len());
        target.Buffer.add(put.len()).write(0);
        target.Length = short(put.len());
        to.write_unaligned(target);
        if put.len() < text.len() { STATUS_BUFFER_OVERFLOW } else { STATUS_SUCCESS }
    }
}

/// Translates bytes into a UTF-16 string: into the target's buffer, or into one from the pool.
///
/// # Safety
/// Both must be counted strings.
unsafe fn widen(to: *mut UNICODE_STRING, from: *const STRING, allocate_it: u8) -> NTSTATUS {
    // SAFETY: by this function's contract.
    unsafe {
        let (text, _) = to_units(bytes(from));
        if allocate_it != 0 {
            return match allocated(&text) {
                Ok(string) => {
                    to.write_unaligned(string);
                    STATUS_SUCCESS
                }
                Err(STATUS_NAME_TOO_LONG) => STATUS_INVALID_PARAMETER_2,
                Err(status) => status,
            };
        }
        let mut target = to.read_unaligned();
        // A NUL is put behind it, and must have room.
        if (text.len() + 1) * 2 > usize::from(target.MaximumLength) {
            return STATUS_BUFFER_OVERFLOW;
        }
        put(target.Buffer, &text);
        target.Buffer.add(text.len()).write_unaligned(0);
        target.Length = short(text.len() * 2);
        to.write_unaligned(target);
    }
    STATUS_SUCCESS
}

macro_rules! both_code_pages {
    ($( #[doc = $about:literal] $ansi:ident $oem:ident ($to:ty, $from:ty) = $act:path; )*) => { $(
        #[doc = $about]
        #[export(irql == PASSIVE)]
        pub unsafe extern "win64" fn $ansi(to: *mut $to, from: *const $from, allocate: u8) -> NTSTATUS {
            // SAFETY: the driver's strings.
            unsafe { $act(to, from, allocate) }
        }

        #[doc = $about]
        #[export(irql == PASSIVE)]
        pub unsafe extern "win64" fn $oem(to: *mut $to, from: *const $from, allocate: u8) -> NTSTATUS {
            // SAFETY: the driver's strings.
            unsafe { $act(to, from, allocate) }
        }
    )* };
}

both_code_pages! {
    #[doc = "Translates a UTF-16 string into bytes, in memory from the pool if asked to. Source: DDI."]
    RtlUnicodeStringToAnsiString RtlUnicodeStringToOemString (STRING, UNICODE_STRING) = narrow;
    #[doc = "Translates bytes into a UTF-16 string, in memory from the pool if asked to. Source: DDI."]
    RtlAnsiStringToUnicodeString RtlOemStringToUnicodeString (UNICODE_STRING, STRING) = widen;
}

/// Returns how many bytes a UTF-16 string becomes, with a NUL. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlxUnicodeStringToAnsiSize(string: *const UNICODE_STRING) -> u32 {
    // SAFETY: the driver's string.
    size(to_bytes(&unsafe { units(string) }).0.len() + 1)
}

/// Returns how many bytes a UTF-16 string becomes, with a NUL. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlUnicodeStringToAnsiSize(string: *const UNICODE_STRING) -> u32 {
    // SAFETY: passed on.
    unsafe { RtlxUnicodeStringToAnsiSize(string) }
}

/// Returns how many bytes of UTF-16 a string becomes, with a NUL. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlxAnsiStringToUnicodeSize(string: *const STRING) -> u32 {
    // SAFETY: the driver's string.
    size((to_units(unsafe { bytes(string) }).0.len() + 1) * 2)
}

/// Returns how many bytes of UTF-16 a string becomes, with a NUL. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlAnsiStringToUnicodeSize(string: *const STRING) -> u32 {
    // SAFETY: passed on.
    unsafe { RtlxAnsiStringToUnicodeSize(string) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    fn of(text: &std::ffi::CStr) -> STRING {
        let mut string = STRING::default();
        // SAFETY: a C string that outlives its counted one.
        unsafe { RtlInitAnsiString(&raw mut string, text.as_ptr().cast_mut().cast()) };
        string
    }

    #[test]
    fn strings_of_bytes() {
        let (a, b) = (of(c"Alpha"), of(c"aLPHAbet"));
        assert_eq!((a.Length, a.MaximumLength), (5, 6));
        let mut buffer = [0u8; 8];
        let mut to = STRING { Length: 0, MaximumLength: 8, Buffer: buffer.as_mut_ptr() };
        // SAFETY: strings of the test.
        unsafe {
            assert_eq!(
                (
                    RtlEqualString(&raw const a, &raw const b, 1),
                    RtlPrefixString(&raw const a, &raw const b, 1)
                ),
                (0, 1)
            );
            assert_eq!(RtlCompareString(&raw const a, &raw const b, 0), -1);
            RtlCopyString(&raw mut to, &raw const a);
            assert_eq!(RtlAppendStringToString(&raw mut to, &raw const a), STATUS_BUFFER_TOO_SMALL);
            RtlUpperString(&raw mut to, &raw const b);
            assert_eq!(bytes(&raw const to), b"ALPHABET");
        }
    }

    #[test]
    fn translated_there_and_back() {
        with_kernel(Config::default(), |kernel, _| {
            let from = of(c"na\xC3\xAFve");
            let (mut wide, mut narrow) = (UNICODE_STRING::default(), STRING::default());
            // SAFETY: strings of the test.
            unsafe {
                assert_eq!(RtlAnsiStringToUnicodeString(&raw mut wide, &raw const from, 1), STATUS_SUCCESS);
                assert_eq!((wide.Length, wide.MaximumLength), (10, 12));
                assert_eq!(RtlUnicodeStringToAnsiSize(&raw const wide), 7);
                assert_eq!(RtlxAnsiStringToUnicodeSize(&raw const from), 12);
                assert_eq!(RtlUnicodeStringToAnsiString(&raw mut narrow, &raw const wide, 1), STATUS_SUCCESS);
                assert_eq!(bytes(&raw const narrow), bytes(&raw const from));
                narrow.MaximumLength = 4;
                assert_eq!(
                    RtlUnicodeStringToAnsiString(&raw mut narrow, &raw const wide, 0),
                    STATUS_BUFFER_OVERFLOW
                );
                assert_eq!(bytes(&raw const narrow), b"na");
                wide.MaximumLength = 10;
                assert_eq!(
                    RtlAnsiStringToUnicodeString(&raw mut wide, &raw const from, 0),
                    STATUS_BUFFER_OVERFLOW
                );
                let addresses = [wide.Buffer.addr(), narrow.Buffer.addr()];
                super::super::unicode::RtlFreeUnicodeString(&raw mut wide);
                RtlFreeAnsiString(&raw mut narrow);
                assert!(addresses.iter().all(|&address| kernel.ex.pool.find(address).is_none()));
            }
        });
    }
}
