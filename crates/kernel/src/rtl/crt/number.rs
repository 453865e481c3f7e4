//! From digits to numbers and back.

use export_macro::export;

use super::text::{self, Char};
use super::{EINVAL, ERANGE};

/// A number as it was read, before it is fitted into a type.
struct Read {
    negative: bool,
    /// Saturated.
    magnitude: u64,
    overflow: bool,
    /// Characters that were read; 0 when there was no number.
    used: usize,
}

/// Reads white space, a sign, a prefix and digits, as `strtoul` does.
///
/// # Safety
/// A C string.
unsafe fn read<C: Char>(text: *const C, base: u32) -> Read {
    let at = |index: usize| {
        // SAFETY: by this function's contract; nothing is read beyond the NUL.
        let code: u32 = unsafe { text::at(text, index) }.into();
        char::from_u32(code).unwrap_or('\0')
    };
    let mut index = 0;
    while matches!(at(index), ' ' | '\t'..='\r') {
        index += 1;
    }
    let negative = at(index) == '-';
    if matches!(at(index), '-' | '+') {
        index += 1;
    }
    let prefixed =
        at(index) == '0' && matches!(at(index + 1), 'x' | 'X') && at(index + 2).is_ascii_hexdigit();
    let base = match base {
        0 if prefixed => 16,
        0 if at(index) == '0' => 8,
        0 => 10,
        base => base,
    };
    if base == 16 && prefixed {
        index += 2;
    }
    let (start, mut magnitude, mut overflow) = (index, 0u64, false);
    while let Some(digit) = at(index).to_digit(base) {
        let next = magnitude.checked_mul(base.into()).and_then(|value| value.checked_add(digit.into()));
        overflow |= next.is_none();
        magnitude = next.unwrap_or(u64::MAX);
        index += 1;
    }
    Read { negative, magnitude, overflow, used: if index == start { 0 } else { index } }
}

impl Read {
    /// As a signed number between bounds, the nearest of which it becomes where it does not fit.
    fn signed(&self, least: i64, most: i64) -> i64 {
        let value = if self.negative { -i128::from(self.magnitude) } else { i128::from(self.magnitude) };
        let value = value.clamp(least.into(), most.into());
        i64::try_from(value).unwrap_or(0)
    }

    /// As an unsigned number; the most where it does not fit. A sign negates it within its type.
    fn unsigned(&self, most: u64) -> u64 {
        if self.overflow || self.magnitude > most {
            return most;
        }
        if self.negative { self.magnitude.wrapping_neg() & most } else { self.magnitude }
    }

    /// As `atoi` does: the low bits of the value.
    fn wrapped(&self) -> i64 {
        let value = self.magnitude.cast_signed();
        if self.negative { value.wrapping_neg() } else { value }
    }
}

/// The low half of a number.
fn low(value: i64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// Reads a number for one of the routines that say where it ended.
///
/// # Safety
/// A C string; `end` is null or can be written.
unsafe fn read_to<C: Char>(text: *const C, end: *mut *const C, base: i32) -> Read {
    let base = u32::try_from(base).ok().filter(|&base| base <= 36 && base != 1);
    // SAFETY: by this function's contract.
    unsafe {
        let read = match base {
            Some(base) => read(text, base),
            None => Read { negative: false, magnitude: 0, overflow: false, used: 0 },
        };
        if !end.is_null() {
            end.write_unaligned(text.wrapping_add(read.used));
        }
        read
    }
}

macro_rules! simple {
    ($( $name:ident($kind:ty) -> $result:ty = $convert:expr; )*) => { $(
        /// Reads a decimal number; 0 where there is none.
        #[export(irql any)]
        pub unsafe extern "win64" fn $name(text: *const $kind) -> $result {
            // SAFETY: the driver's string.
            let value = unsafe { read(text, 10) }.wrapped();
            let convert: fn(i64) -> $result = $convert;
            convert(value)
        }
    )* };
}

simple! {
    atoi(u8) -> i32 = low;
    atol(u8) -> i32 = low;
    _atoi64(u8) -> i64 = |value| value;
    _wtoi(u16) -> i32 = low;
    _wtol(u16) -> i32 = low;
    _wtoi64(u16) -> i64 = |value| value;
}

macro_rules! full {
    ($( $name:ident($kind:ty) -> $result:ty = $convert:expr; )*) => { $(
        /// Reads a number in a base, 0 for what its prefix says, and says where it ended.
        #[export(irql any)]
        pub unsafe extern "win64" fn $name(text: *const $kind, end: *mut *const $kind, base: i32) -> $result {
            // SAFETY: the driver's string.
            let read = unsafe { read_to(text, end, base) };
            let convert: fn(&Read) -> $result = $convert;
            convert(&read)
        }
    )* };
}

full! {
    strtol(u8) -> i32 = |read| low(read.signed(i32::MIN.into(), i32::MAX.into()));
    strtoul(u8) -> u32 = |read| low(read.unsigned(u32::MAX.into()).cast_signed()).cast_unsigned();
    _strtoi64(u8) -> i64 = |read| read.signed(i64::MIN, i64::MAX);
    _strtoui64(u8) -> u64 = |read| read.unsigned(u64::MAX);
    wcstol(u16) -> i32 = |read| low(read.signed(i32::MIN.into(), i32::MAX.into()));
    wcstoul(u16) -> u32 = |read| low(read.unsigned(u32::MAX.into()).cast_signed()).cast_unsigned();
    _wcstoi64(u16) -> i64 = |read| read.signed(i64::MIN, i64::MAX);
    _wcstoui64(u16) -> u64 = |read| read.unsigned(u64::MAX);
}

/// The digits of a number, most significant first.
pub(crate) fn digits(mut value: u64, base: u32) -> Vec<u8> {
    let mut digits = Vec::with_capacity(64);
    loop {
        let digit = u32::try_from(value % u64::from(base)).unwrap_or(0);
        digits.push(char::from_digit(digit, base).map_or(b'?', |c| c.to_string().as_bytes()[0]));
        value /= u64::from(base);
        if value == 0 {
            break;
        }
    }
    digits.reverse();
    digits
}

/// Writes a number and a NUL; an error, and an empty string, where there is not room or the base is none.
///
/// # Safety
/// `to` must have `room`.
unsafe fn write<C: Char>(to: *mut C, room: usize, negative: bool, magnitude: u64, base: i32) -> i32 {
    if to.is_null() || room == 0 {
        return EINVAL;
    }
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
    let mut text = base.map(|base| digits(magnitude, base)).unwrap_or_default();
    if negative {
        text.insert(0, b'-');
    }
    let error = match base {
        None => EINVAL,
        Some(_) if text.len() >= room => ERANGE,
        Some(_) => 0,
    };
    let text = if error == 0 { &*text } else { &[] };
    // SAFETY: by this function's contract.
    unsafe {
        text.iter().enumerate().for_each(|(index, &digit)| text::set(to, index, C::low(digit.into())));
        text::set(to, text.len(), C::NUL);
    }
    error
}

macro_rules! writers {
    ($( $name:ident $secure:ident ($value:ty, $kind:ty) = $split:expr; )*) => { $(
        /// Writes a number in a base; the buffer must have room.
        #[export(irql any)]
        pub unsafe extern "win64" fn $name(value: $value, to: *mut $kind, base: i32) -> *mut $kind {
            let split: fn($value, i32) -> (bool, u64) = $split;
            let (negative, magnitude) = split(value, base);
            // SAFETY: the driver's buffer, which has room by the routine's contract.
            unsafe { write(to, usize::MAX, negative, magnitude, base) };
            to
        }

        /// Writes a number in a base into a buffer of a size.
        #[export(irql any, since = Vista)]
        pub unsafe extern "win64" fn $secure(value: $value, to: *mut $kind, room: usize, base: i32) -> i32 {
            let split: fn($value, i32) -> (bool, u64) = $split;
            let (negative, magnitude) = split(value, base);
            // SAFETY: the driver's buffer.
            unsafe { write(to, room, negative, magnitude, base) }
        }
    )* };
}

/// Sign and magnitude: only decimal numbers have a sign.
fn split_32(value: i32, base: i32) -> (bool, u64) {
    if base == 10 { (value < 0, value.unsigned_abs().into()) } else { (false, value.cast_unsigned().into()) }
}

fn split_64(value: i64, base: i32) -> (bool, u64) {
    if base == 10 { (value < 0, value.unsigned_abs()) } else { (false, value.cast_unsigned()) }
}

writers! {
    _itoa _itoa_s (i32, u8) = split_32;
    _ltoa _ltoa_s (i32, u8) = split_32;
    _ultoa _ultoa_s (u32, u8) = |value, _| (false, value.into());
    _i64toa _i64toa_s (i64, u8) = split_64;
    _ui64toa _ui64toa_s (u64, u8) = |value, _| (false, value);
    _itow _itow_s (i32, u16) = split_32;
    _ltow _ltow_s (i32, u16) = split_32;
    _ultow _ultow_s (u32, u16) = |value, _| (false, value.into());
    _i64tow _i64tow_s (i64, u16) = split_64;
    _ui64tow _ui64tow_s (u64, u16) = |value, _| (false, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &std::ffi::CStr) -> *const u8 {
        text.as_ptr().cast()
    }

    #[test]
    fn numbers_are_read_as_c_does() {
        // SAFETY: C strings.
        unsafe {
            assert_eq!((atoi(bytes(c"  -42x")), atoi(bytes(c"x")), atoi(bytes(c"+7"))), (-42, 0, 7));
            assert_eq!(_atoi64(bytes(c"-5000000000")), -5_000_000_000);
            let mut end = std::ptr::null();
            let text = bytes(c"0x1Fz");
            assert_eq!((strtoul(text, &raw mut end, 0), end), (0x1F, text.add(4)));
            assert_eq!((strtoul(text, &raw mut end, 10), end), (0, text.add(1)));
            let none = bytes(c"zz");
            assert_eq!((strtol(none, &raw mut end, 10), end), (0, none));
            assert_eq!(strtol(bytes(c"99999999999"), std::ptr::null_mut(), 10), i32::MAX);
            assert_eq!(strtol(bytes(c"-99999999999"), std::ptr::null_mut(), 10), i32::MIN);
            assert_eq!(strtoul(bytes(c"-1"), std::ptr::null_mut(), 10), u32::MAX);
            assert_eq!(strtoul(bytes(c"017"), std::ptr::null_mut(), 0), 15);
            assert_eq!(strtoul(bytes(c"0x"), std::ptr::null_mut(), 16), 0);
            let wide: Vec<u16> = "77\0".encode_utf16().collect();
            assert_eq!((_wtoi(wide.as_ptr()), wcstoul(wide.as_ptr(), std::ptr::null_mut(), 8)), (77, 63));
        }
    }

    #[test]
    fn numbers_are_written_as_c_does() {
        let write = |value, base| {
            let mut buffer = [0u8; 40];
            // SAFETY: room for any number.
            unsafe { _itoa(value, buffer.as_mut_ptr(), base) };
            std::ffi::CStr::from_bytes_until_nul(&buffer).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(
            [write(-42, 10), write(-1, 16), write(0, 2), write(35, 36)],
            ["-42", "ffffffff", "0", "z"]
        );
        let mut short = [0xAAu16; 3];
        // SAFETY: room as said.
        unsafe {
            assert_eq!(_ultow_s(99, short.as_mut_ptr(), 3, 10), 0);
            assert_eq!(short, [0x39, 0x39, 0]);
            assert_eq!(_ultow_s(100, short.as_mut_ptr(), 3, 10), ERANGE);
            assert_eq!(short[0], 0);
            assert_eq!(_ultow_s(1, short.as_mut_ptr(), 3, 1), EINVAL);
        }
    }
}
