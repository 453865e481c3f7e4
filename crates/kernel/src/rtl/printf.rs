//! The kernel's `printf`: one engine for DbgPrint and for the C routines that ntoskrnl exports.
//!
//! A format is `%[flags][width][.precision][size]type`. What differs from C: the sizes `w`, `I`, `I32` and
//! `I64`; the type `Z` for counted strings; `S` and `C` for the other width than the function's; `%p` is 16
//! upper-case digits without prefix. Sources: the documents of DbgPrint and of the C run-time's format
//! specification for Windows.

use nt_abi::{STRING, UNICODE_STRING};

/// The variable arguments of a call with the Microsoft x64 convention: 8 bytes each, in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments(*const u64);

impl Arguments {
    /// Arguments from `first` on.
    ///
    /// # Safety
    /// There must be as many as the format asks for, as everywhere with C formats.
    pub(crate) unsafe fn new(first: *const u64) -> Self {
        Self(first)
    }

    fn next(&mut self) -> u64 {
        // SAFETY: by the contract of `new`; a format that asks for more reads the stack behind, as in C.
        let value = unsafe { self.0.read_unaligned() };
        self.0 = self.0.wrapping_add(1);
        value
    }
}

/// Which kind of characters a function works on: decides what `%s`, `%c` and `%Z` mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// `char`.
    Narrow,
    /// `wchar_t`, 16 bits.
    Wide,
}

/// The characters of an argument, before they are put into the output.
#[derive(Debug)]
enum Text<'a> {
    Bytes(&'a [u8]),
    /// Copied, as a driver's may lie at any address.
    Units(Vec<u16>),
}

/// Where formatted characters go.
pub(crate) trait Output {
    /// Adds bytes.
    fn bytes(&mut self, bytes: &[u8]);
    /// Adds UTF-16 units.
    fn units(&mut self, units: &[u16]);
}

/// A narrow output; UTF-16 becomes UTF-8, as the system code page is that.
impl Output for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn units(&mut self, units: &[u16]) {
        let mut utf8 = [0; 4];
        for unit in char::decode_utf16(units.iter().copied()) {
            let c = unit.unwrap_or(char::REPLACEMENT_CHARACTER);
            self.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
        }
    }
}

/// A wide output; bytes are taken for UTF-8.
impl Output for Vec<u16> {
    fn bytes(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.extend(text.encode_utf16()),
            Err(_) => self.extend(bytes.iter().map(|&byte| u16::from(byte))),
        }
    }

    fn units(&mut self, units: &[u16]) {
        self.extend_from_slice(units);
    }
}

/// One `%…` of a format.
#[derive(Clone, Copy, Debug, Default)]
struct Conversion {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    size: Size,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Size {
    #[default]
    Plain,
    /// `hh`
    Byte,
    /// `h`
    Short,
    /// `l` (32 bits, or wide characters) and `w`
    Long,
    /// `ll`, `I64`, `j`
    Quad,
    /// `I`, `z`, `t`: as wide as a pointer
    Pointer,
    /// `I32`
    Double,
}

/// Formats into `output`. `width` says what kind of function is asked; `format` is without its NUL.
///
/// # Safety
/// Pointers among the arguments must be what the format says, as everywhere with C formats; one that cannot be
/// read faults, and becomes the stop that a bad pointer in a driver is.
pub(crate) unsafe fn format<C: Copy + Into<u32>>(
    output: &mut impl Output,
    width: Width,
    format: &[C],
    mut arguments: Arguments,
) {
    let mut rest = format.iter().map(|&c| c.into()).peekable();
    let literal = |output: &mut _, c: u32| put_char(output, width, c);
    while let Some(c) = rest.next() {
        if c != u32::from(b'%') {
            literal(output, c);
            continue;
        }
        let Some((conversion, kind)) = parse(&mut rest, &mut arguments) else { return };
        // SAFETY: passed on.
        unsafe { convert(output, width, conversion, kind, &mut arguments) };
    }
}

/// One character of the format itself, or of a `%c`.
fn put_char(output: &mut impl Output, width: Width, c: u32) {
    match width {
        Width::Narrow => output.bytes(&[low_byte(c)]),
        Width::Wide => output.units(&[low_unit(c)]),
    }
}

fn low_byte(value: u32) -> u8 {
    value.to_le_bytes()[0]
}

fn low_unit(value: u32) -> u16 {
    let [low, high, ..] = value.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// Reads flags, width, precision, size and type after a `%`; `None` at the end of the format.
fn parse(
    rest: &mut std::iter::Peekable<impl Iterator<Item = u32>>,
    arguments: &mut Arguments,
) -> Option<(Conversion, char)> {
    let mut conversion = Conversion::default();
    let peek = |rest: &mut std::iter::Peekable<_>| rest.peek().copied().and_then(char::from_u32);
    loop {
        match peek(rest)? {
            '-' => conversion.left = true,
            '+' => conversion.plus = true,
            ' ' => conversion.space = true,
            '#' => conversion.alternate = true,
            '0' => conversion.zero = true,
            _ => break,
        }
        rest.next();
    }
    if let Some(width) = number(rest, arguments) {
        // A negative width from the arguments is the flag `-` and its absolute value.
        conversion.left |= width < 0;
        conversion.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX).min(MOST_PADDING);
    }
    if peek(rest) == Some('.') {
        rest.next();
        let precision = number(rest, arguments).unwrap_or(0);
        conversion.precision = usize::try_from(precision).ok();
    }
    loop {
        conversion.size = match (peek(rest)?, conversion.size) {
            ('h', Size::Short) => Size::Byte,
            ('h', _) => Size::Short,
            ('l', Size::Long) | ('j', _) => Size::Quad,
            ('l' | 'w', _) => Size::Long,
            ('z' | 't', _) => Size::Pointer,
            ('I', _) => {
                rest.next();
                conversion.size = integer_size(rest);
                continue;
            }
            (kind, _) => {
                rest.next();
                return Some((conversion, kind));
            }
        };
        rest.next();
    }
}

/// More padding than this is a mistake, and would only fill memory.
const MOST_PADDING: usize = 64 * 1024;

/// What follows an `I`.
fn integer_size(rest: &mut std::iter::Peekable<impl Iterator<Item = u32>>) -> Size {
    let (digits, size) = match rest.peek().copied().and_then(char::from_u32) {
        Some('6') => (['6', '4'], Size::Quad),
        Some('3') => (['3', '2'], Size::Double),
        _ => return Size::Pointer,
    };
    for digit in digits {
        rest.next_if_eq(&u32::from(digit));
    }
    size
}

/// A number in the format, or `*` for one among the arguments.
fn number(
    rest: &mut std::iter::Peekable<impl Iterator<Item = u32>>,
    arguments: &mut Arguments,
) -> Option<i64> {
    if rest.next_if_eq(&u32::from(b'*')).is_some() {
        return Some(i64::from(low_half(arguments.next()).cast_signed()));
    }
    let mut value = None;
    while let Some(digit) = rest.peek().copied().and_then(char::from_u32).and_then(|c| c.to_digit(10)) {
        rest.next();
        value = Some((value.unwrap_or(0i64) * 10 + i64::from(digit)).min(i64::from(u32::MAX)));
    }
    value
}

fn low_half(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Formats one argument.
///
/// # Safety
/// As [`format`].
unsafe fn convert(
    output: &mut impl Output,
    width: Width,
    conversion: Conversion,
    kind: char,
    arguments: &mut Arguments,
) {
    // `h` and `l` (or `w`) say the width outright; without them it is the function's own for lower case
    // types and the other one for upper case.
    let other = if width == Width::Narrow { Width::Wide } else { Width::Narrow };
    let text_width = match conversion.size {
        Size::Short | Size::Byte => Width::Narrow,
        Size::Long => Width::Wide,
        _ if matches!(kind, 'S' | 'C') => other,
        _ => width,
    };
    match kind {
        'd' | 'i' => {
            let value = signed(conversion.size, arguments.next());
            let sign = match (value < 0, conversion.plus, conversion.space) {
                (true, ..) => "-",
                (_, true, _) => "+",
                (_, _, true) => " ",
                _ => "",
            };
            put_number(output, conversion, sign, &value.unsigned_abs().to_string());
        }
        'u' => put_number(output, conversion, "", &unsigned(conversion.size, arguments.next()).to_string()),
        'o' => {
            let digits = format!("{:o}", unsigned(conversion.size, arguments.next()));
            put_number(output, conversion, if conversion.alternate { "0" } else { "" }, &digits);
        }
        'x' | 'X' => {
            let value = unsigned(conversion.size, arguments.next());
            let digits = if kind == 'x' { format!("{value:x}") } else { format!("{value:X}") };
            let prefix = match (conversion.alternate && value != 0, kind) {
                (true, 'x') => "0x",
                (true, _) => "0X",
                _ => "",
            };
            put_number(output, conversion, prefix, &digits);
        }
        'p' | 'P' => {
            let conversion = Conversion { precision: Some(16), ..conversion };
            put_number(output, conversion, "", &format!("{:X}", arguments.next()));
        }
        'c' | 'C' => {
            let c = low_half(arguments.next());
            match text_width {
                Width::Narrow => put_text(output, conversion, Text::Bytes(&[low_byte(c)])),
                Width::Wide => put_text(output, conversion, Text::Units(vec![low_unit(c)])),
            }
        }
        's' | 'S' => {
            let pointer =
                std::ptr::with_exposed_provenance::<u8>(usize::try_from(arguments.next()).unwrap_or(0));
            let limit = conversion.precision.unwrap_or(usize::MAX);
            let text = match text_width {
                _ if pointer.is_null() => Text::Bytes(b"(null)"),
                // SAFETY: the driver's string; read up to its NUL or the precision.
                Width::Narrow => Text::Bytes(unsafe { bytes_until_nul(pointer, limit) }),
                // SAFETY: as above.
                Width::Wide => Text::Units(unsafe { units_until_nul(pointer.cast(), limit) }),
            };
            put_text(output, conversion, text);
        }
        'Z' => {
            let pointer =
                std::ptr::with_exposed_provenance::<()>(usize::try_from(arguments.next()).unwrap_or(0));
            // SAFETY: the driver's counted string.
            let text = unsafe { counted(pointer, text_width) };
            put_text(output, conversion, text);
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'a' | 'A' => {
            let value = f64::from_bits(arguments.next());
            // More digits than a number can have are a mistake; the formatter takes 16 bits of them.
            let precision = conversion.precision.unwrap_or(6).min(1100);
            let digits = match kind {
                'e' | 'E' => format!("{:.precision$e}", value.abs()),
                _ => format!("{:.precision$}", value.abs()),
            };
            let sign = if value.is_sign_negative() { "-" } else { "" };
            put_number(output, Conversion { precision: None, ..conversion }, sign, &digits);
        }
        // Writing through an argument is refused by every kernel of the last decades; the argument is skipped.
        'n' => {
            arguments.next();
        }
        other => put_char(output, width, u32::from(other)),
    }
}

fn signed(size: Size, value: u64) -> i64 {
    match size {
        Size::Plain | Size::Long | Size::Double => i64::from(low_half(value).cast_signed()),
        Size::Byte => i64::from(low_byte(low_half(value)).cast_signed()),
        Size::Short => i64::from(low_unit(low_half(value)).cast_signed()),
        Size::Quad | Size::Pointer => value.cast_signed(),
    }
}

fn unsigned(size: Size, value: u64) -> u64 {
    match size {
        Size::Plain | Size::Long | Size::Double => low_half(value).into(),
        Size::Byte => low_byte(low_half(value)).into(),
        Size::Short => low_unit(low_half(value)).into(),
        Size::Quad | Size::Pointer => value,
    }
}

/// A number: sign or prefix, zeroes up to the precision (or, with flag `0`, to the width), digits.
fn put_number(output: &mut impl Output, conversion: Conversion, prefix: &str, digits: &str) {
    let shown = if conversion.precision == Some(0) && digits == "0" { "" } else { digits };
    let mut zeroes = conversion.precision.unwrap_or(1).min(MOST_PADDING).saturating_sub(shown.len());
    let mut padding = conversion.width.saturating_sub(prefix.len() + zeroes + shown.len());
    if conversion.zero && !conversion.left && conversion.precision.is_none() {
        zeroes += padding;
        padding = 0;
    }
    if !conversion.left {
        pad(output, padding, b' ');
    }
    output.bytes(prefix.as_bytes());
    pad(output, zeroes, b'0');
    output.bytes(shown.as_bytes());
    if conversion.left {
        pad(output, padding, b' ');
    }
}

fn put_text(output: &mut impl Output, conversion: Conversion, text: Text<'_>) {
    let limit = conversion.precision.unwrap_or(usize::MAX);
    let length = match &text {
        Text::Bytes(bytes) => bytes.len(),
        Text::Units(units) => units.len(),
    }
    .min(limit);
    let padding = conversion.width.saturating_sub(length);
    if !conversion.left {
        pad(output, padding, if conversion.zero { b'0' } else { b' ' });
    }
    match text {
        Text::Bytes(bytes) => output.bytes(&bytes[..length]),
        Text::Units(units) => output.units(&units[..length]),
    }
    if conversion.left {
        pad(output, padding, b' ');
    }
}

fn pad(output: &mut impl Output, count: usize, with: u8) {
    for _ in 0..count {
        output.bytes(&[with]);
    }
}

/// The bytes at `text` up to a zero or `limit`.
///
/// # Safety
/// They must be readable up to there.
unsafe fn bytes_until_nul<'a>(text: *const u8, limit: usize) -> &'a [u8] {
    let mut length = 0;
    // SAFETY: by this function's contract.
    while length < limit && unsafe { text.add(length).read() } != 0 {
        length += 1;
    }
    // SAFETY: just read.
    unsafe { std::slice::from_raw_parts(text, length) }
}

/// The units at `text`, aligned or not, up to a zero or `limit`.
///
/// # Safety
/// They must be readable up to there.
unsafe fn units_until_nul(text: *const u16, limit: usize) -> Vec<u16> {
    // SAFETY: by this function's contract; read one after the other, never behind the zero.
    (0..limit).map(|at| unsafe { text.add(at).read_unaligned() }).take_while(|&unit| unit != 0).collect()
}

/// The characters of a counted string.
///
/// # Safety
/// `string` must be null, or a counted string of that width; both may be unaligned.
unsafe fn counted<'a>(string: *const (), width: Width) -> Text<'a> {
    const NULL: Text<'static> = Text::Bytes(b"(null)");
    if string.is_null() {
        return NULL;
    }
    match width {
        Width::Narrow => {
            // SAFETY: by this function's contract.
            let string = unsafe { string.cast::<STRING>().read_unaligned() };
            if string.Buffer.is_null() {
                return NULL;
            }
            // SAFETY: a counted string's buffer has as many bytes as it says.
            Text::Bytes(unsafe { std::slice::from_raw_parts(string.Buffer.cast(), string.Length.into()) })
        }
        Width::Wide => {
            // SAFETY: by this function's contract.
            let string = unsafe { string.cast::<UNICODE_STRING>().read_unaligned() };
            if string.Buffer.is_null() {
                return NULL;
            }
            let units = 0..usize::from(string.Length) / 2;
            // SAFETY: a counted string's buffer has as many bytes as it says.
            Text::Units(units.map(|at| unsafe { string.Buffer.add(at).read_unaligned() }).collect())
        }
    }
}

#[cfg(test)]
mod tests;
