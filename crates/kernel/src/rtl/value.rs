//! Numbers and GUIDs as counted strings.

use export_macro::export;
use nt_abi::{
    GUID, NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, UNICODE_STRING,
};

use super::crt::number::digits;
use super::unicode::{allocated, put, short, units};

/// The base as these routines say it: 0 is 10.
fn base(given: u32) -> Option<u32> {
    match given {
        0 => Some(10),
        2 | 8 | 10 | 16 => Some(given),
        _ => None,
    }
}

/// Writes digits and, if there is room, a NUL.
///
/// # Safety
/// `to` must be a counted string.
unsafe fn write(value: u64, given: u32, to: *mut UNICODE_STRING) -> NTSTATUS {
    let Some(base) = base(given) else { return STATUS_INVALID_PARAMETER };
    let text: Vec<u16> = digits(value, base).iter().map(|c| u16::from(c.to_ascii_uppercase())).collect();
    // SAFETY: by this function's contract.
    unsafe {
        let mut target = to.read_unaligned();
        if text.len() * 2 > usize::from(target.MaximumLength) {
            return STATUS_BUFFER_OVERFLOW;
        }
        put(target.Buffer, &text);
        if (text.len() + 1) * 2 <= usize::from(target.MaximumLength) {
            target.Buffer.add(text.len()).write_unaligned(0);
        }
        target.Length = short(text.len() * 2);
        to.write_unaligned(target);
    }
    STATUS_SUCCESS
}

/// Writes a 32-bit number in base 2, 8, 10 or 16. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlIntegerToUnicodeString(
    value: u32,
    base: u32,
    to: *mut UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the driver's string.
    unsafe { write(value.into(), base, to) }
}

/// Writes a 64-bit number in base 2, 8, 10 or 16. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlInt64ToUnicodeString(
    value: u64,
    base: u32,
    to: *mut UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the driver's string.
    unsafe { write(value, base, to) }
}

/// Reads a number: white space, a sign, a prefix `0b`, `0o` or `0x` where the base is 0, digits.
///
/// What follows the digits is ignored; none are the number 0.
fn read(text: impl Iterator<Item = u32>, given: u32) -> Option<u32> {
    let mut text = text.map(|unit| char::from_u32(unit).unwrap_or('\0')).skip_while(|&c| c <= ' ').peekable();
    let negative = text.next_if(|c| matches!(c, '+' | '-')) == Some('-');
    let mut rest = text.collect::<Vec<_>>();
    let base = match (given, &rest[..]) {
        (0, ['0', prefix @ ('b' | 'o' | 'x'), ..]) => {
            let base = match prefix {
                'b' => 2,
                'o' => 8,
                _ => 16,
            };
            rest.drain(..2);
            base
        }
        (given, _) => base(given)?,
    };
    let digits = rest.iter().map_while(|c| c.to_digit(base));
    let value = digits.fold(0u32, |value, digit| value.wrapping_mul(base).wrapping_add(digit));
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Reads a 32-bit number in base 2, 8, 10 or 16, or 0 for what its prefix says. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlUnicodeStringToInteger(
    string: *const UNICODE_STRING,
    base: u32,
    value: *mut u32,
) -> NTSTATUS {
    // SAFETY: the driver's string and variable.
    unsafe {
        let text = units(string);
        let Some(number) = read(text.iter().map(|&unit| unit.into()), base) else {
            return STATUS_INVALID_PARAMETER;
        };
        value.write_unaligned(number);
    }
    STATUS_SUCCESS
}

/// Reads a 32-bit number from a terminated string of bytes. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlCharToInteger(text: *const u8, base: u32, value: *mut u32) -> NTSTATUS {
    // SAFETY: the driver's string and variable.
    unsafe {
        let text = std::ffi::CStr::from_ptr(text.cast()).to_bytes();
        let Some(number) = read(text.iter().map(|&byte| byte.into()), base) else {
            return STATUS_INVALID_PARAMETER;
        };
        value.write_unaligned(number);
    }
    STATUS_SUCCESS
}

/// Writes a GUID as `{XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}`, in memory from the pool. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlStringFromGUID(guid: *const GUID, to: *mut UNICODE_STRING) -> NTSTATUS {
    // SAFETY: the driver's GUID and string.
    unsafe {
        let guid = guid.read_unaligned();
        let [a, b, tail @ ..] = guid.Data4;
        let tail: String = tail.iter().map(|byte| format!("{byte:02X}")).collect();
        let text =
            format!("{{{:08X}-{:04X}-{:04X}-{a:02X}{b:02X}-{tail}}}", guid.Data1, guid.Data2, guid.Data3);
        match allocated(&text.encode_utf16().collect::<Vec<_>>()) {
            Ok(string) => to.write_unaligned(string),
            Err(status) => return status,
        }
    }
    STATUS_SUCCESS
}

/// Reads a GUID of the form `{XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}`. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlGUIDFromString(string: *const UNICODE_STRING, guid: *mut GUID) -> NTSTATUS {
    // SAFETY: the driver's string and GUID.
    unsafe {
        let Some(read) = guid_of(&String::from_utf16_lossy(&units(string))) else {
            return STATUS_INVALID_PARAMETER;
        };
        guid.write_unaligned(read);
    }
    STATUS_SUCCESS
}

fn guid_of(text: &str) -> Option<GUID> {
    let text = text.strip_prefix('{')?.strip_suffix('}')?;
    let parts: Vec<&str> = text.split('-').collect();
    let lengths = parts.iter().map(|part| part.len());
    if !lengths.eq([8, 4, 4, 4, 12]) || !parts.iter().all(|part| part.bytes().all(|c| c.is_ascii_hexdigit()))
    {
        return None;
    }
    let tail = u64::from_str_radix(&format!("{}{}", parts[3], parts[4]), 16).ok()?;
    Some(GUID {
        Data1: u32::from_str_radix(parts[0], 16).ok()?,
        Data2: u16::from_str_radix(parts[1], 16).ok()?,
        Data3: u16::from_str_radix(parts[2], 16).ok()?,
        Data4: tail.to_be_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::rtl::text_of;
    use crate::testing::with_kernel;

    fn number(text: &str, base: u32) -> Option<u32> {
        let units: Vec<u16> = text.encode_utf16().collect();
        let bytes = short(units.len() * 2);
        let string =
            UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_ptr().cast_mut() };
        let mut value = 0;
        // SAFETY: a string of the test.
        let status = unsafe { RtlUnicodeStringToInteger(&raw const string, base, &raw mut value) };
        status.is_success().then_some(value)
    }

    #[test]
    fn numbers_are_read_with_prefix_and_sign() {
        for (text, base, value) in [
            ("42", 0, Some(42)),
            ("  -1", 10, Some(u32::MAX)),
            ("0x1Fz", 0, Some(0x1F)),
            ("0b101", 0, Some(5)),
            ("0o17", 0, Some(15)),
            ("ff", 16, Some(255)),
            ("x", 0, Some(0)),
            ("7", 7, None),
        ] {
            assert_eq!(number(text, base), value, "{text}");
        }
    }

    #[test]
    fn numbers_are_written() {
        let mut buffer = [0xAAAAu16; 8];
        let mut to = UNICODE_STRING { Length: 0, MaximumLength: 10, Buffer: buffer.as_mut_ptr() };
        // SAFETY: strings of the test.
        unsafe {
            assert_eq!(RtlIntegerToUnicodeString(0xBEEF, 16, &raw mut to), STATUS_SUCCESS);
            assert_eq!(text_of(&to), "BEEF");
            assert_eq!(RtlInt64ToUnicodeString(54321, 0, &raw mut to), STATUS_SUCCESS);
            assert_eq!(text_of(&to), "54321");
            assert_eq!(RtlIntegerToUnicodeString(123_456, 10, &raw mut to), STATUS_BUFFER_OVERFLOW);
            assert_eq!(RtlIntegerToUnicodeString(1, 3, &raw mut to), STATUS_INVALID_PARAMETER);
        }
        assert_eq!(buffer[5], 0xAAAA);
    }

    #[test]
    fn guids_there_and_back() {
        with_kernel(Config::default(), |_, _| {
            let guid =
                GUID { Data1: 0x1122_3344, Data2: 0xA0B1, Data3: 0xC2D3, Data4: [1, 2, 3, 4, 5, 6, 7, 8] };
            let (mut text, mut back) = (UNICODE_STRING::default(), GUID::default());
            // SAFETY: values of the test.
            unsafe {
                assert_eq!(RtlStringFromGUID(&raw const guid, &raw mut text), STATUS_SUCCESS);
                assert_eq!(text_of(&text), "{11223344-A0B1-C2D3-0102-030405060708}");
                assert_eq!(RtlGUIDFromString(&raw const text, &raw mut back), STATUS_SUCCESS);
                assert_eq!((back.Data1, back.Data3, back.Data4), (guid.Data1, guid.Data3, guid.Data4));
                text.Length -= 2;
                assert_eq!(RtlGUIDFromString(&raw const text, &raw mut back), STATUS_INVALID_PARAMETER);
                crate::rtl::unicode::RtlFreeUnicodeString(&raw mut text);
            }
            assert!(guid_of("{1122334-+A0B1-C2D3-0102-030405060708}").is_none());
        });
    }
}
