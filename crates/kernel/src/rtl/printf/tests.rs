//! Formats and what they give.

use super::*;

fn narrow(text: &str, arguments: &[u64]) -> String {
    let mut output: Vec<u8> = Vec::new();
    // SAFETY: the tests give as many arguments as their formats ask for.
    unsafe { format(&mut output, Width::Narrow, text.as_bytes(), Arguments::new(arguments.as_ptr())) };
    String::from_utf8(output).unwrap()
}

fn wide(text: &str, arguments: &[u64]) -> String {
    let mut output: Vec<u16> = Vec::new();
    let text: Vec<u16> = text.encode_utf16().collect();
    // SAFETY: as above.
    unsafe { format(&mut output, Width::Wide, &text, Arguments::new(arguments.as_ptr())) };
    String::from_utf16(&output).unwrap()
}

fn pointer<T>(to: *const T) -> u64 {
    to.expose_provenance() as u64
}

#[test]
fn integers_in_every_size() {
    assert_eq!(narrow("%d %u %i", &[u64::MAX, u64::MAX, 7]), "-1 4294967295 7");
    assert_eq!(narrow("%hd %hhu", &[0x1_8000, 0x1FF]), "-32768 255");
    assert_eq!(narrow("%I64x %llX %I64d", &[u64::MAX, 0xABC, u64::MAX]), "ffffffffffffffff ABC -1");
    assert_eq!(narrow("%Ix %I32u %zu", &[1 << 40, 1 << 40 | 5, 1 << 33]), "10000000000 5 8589934592");
    assert_eq!(narrow("%lu %ld", &[0xFFFF_FFFF, 0xFFFF_FFFE]), "4294967295 -2");
}

#[test]
fn flags_width_and_precision() {
    assert_eq!(narrow("[%5d|%-5d|%05d|%+d|% d]", &[42, 42, 42, 42, 42]), "[   42|42   |00042|+42| 42]");
    assert_eq!(narrow("[%.3d|%8.3x|%#x|%#X|%#o]", &[7, 0xAB, 0xAB, 0xAB, 8]), "[007|     0ab|0xab|0XAB|010]");
    assert_eq!(narrow("[%*d|%-*d|%.*d]", &[4, 1, 4, 1, 2, 1]), "[   1|1   |01]");
    assert_eq!(narrow("[%.0d][%08X]", &[0, 0xC000_0022]), "[][C0000022]");
}

#[test]
fn a_pointer_is_sixteen_digits() {
    assert_eq!(narrow("%p", &[0xFFFF_8000_1234_ABCD]), "FFFF80001234ABCD");
    assert_eq!(narrow("%p", &[0x10]), "0000000000000010");
}

#[test]
fn narrow_and_wide_strings() {
    let bytes = c"bytes".as_ptr();
    let units: Vec<u16> = "wíde\0".encode_utf16().collect();
    let (bytes, units) = (pointer(bytes), pointer(units.as_ptr()));
    assert_eq!(
        narrow("%s %ws %S %ls %hs", &[bytes, units, units, units, bytes]),
        "bytes wíde wíde wíde bytes"
    );
    assert_eq!(wide("%s %S %hs %ws", &[units, bytes, bytes, units]), "wíde bytes bytes wíde");
    assert_eq!(narrow("[%8s|%-8s|%.2s]", &[bytes, bytes, bytes]), "[   bytes|bytes   |by]");
    assert_eq!(narrow("%s %ws", &[0, 0]), "(null) (null)");
    assert_eq!(narrow("%c%C%wc", &[u64::from(b'a'), 0xE9, 0xE9]), "aéé");
}

#[test]
fn counted_strings_need_no_nul() {
    let units: Vec<u16> = "abcdef".encode_utf16().collect();
    let string = UNICODE_STRING { Length: 6, MaximumLength: 6, Buffer: units.as_ptr().cast_mut() };
    let ansi = STRING { Length: 2, MaximumLength: 2, Buffer: b"xyz".as_ptr().cast_mut().cast() };
    let (string, ansi) = (pointer(&raw const string), pointer(&raw const ansi));
    assert_eq!(narrow("%wZ|%Z|%5wZ", &[string, ansi, string]), "abc|xy|  abc");
    assert_eq!(wide("%wZ|%Z|%hZ", &[string, string, ansi]), "abc|abc|xy");
    let empty = UNICODE_STRING::default();
    assert_eq!(narrow("%wZ %wZ", &[0, pointer(&raw const empty)]), "(null) (null)");
}

#[test]
fn strings_may_lie_at_odd_addresses() {
    // Of two copies of the text, one byte apart, one is at an odd address.
    let text: Vec<u8> = "odd\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let memory = [&text[..], &[0], &text[..]].concat();
    let first = memory.as_ptr();
    let odd = if first.addr() % 2 == 1 { first } else { first.wrapping_add(text.len() + 1) };
    let string = UNICODE_STRING { Length: 6, MaximumLength: 8, Buffer: odd.cast_mut().cast() };
    assert_eq!(narrow("%ws %wZ", &[pointer(odd), pointer(&raw const string)]), "odd odd");
}

#[test]
fn a_precision_without_sense_is_no_panic() {
    assert!(narrow("%.99999f", &[1f64.to_bits()]).starts_with("1.000"));
    assert!(narrow("%.4294967295e", &[1f64.to_bits()]).starts_with("1.000"));
}

#[test]
fn what_is_no_conversion_stays() {
    assert_eq!(narrow("100%% %y %", &[]), "100% y ");
}
