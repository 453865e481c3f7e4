//! Counted strings as drivers use them.

use super::*;
use crate::Config;
use crate::testing::with_kernel;

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

fn of(text: &[u16]) -> UNICODE_STRING {
    let mut string = UNICODE_STRING::default();
    // SAFETY: the tests' texts end with a NUL and outlive their strings.
    unsafe { RtlInitUnicodeString(&raw mut string, text.as_ptr().cast_mut()) };
    string
}

#[test]
fn a_string_is_counted_in_bytes() {
    let text = wide("abc");
    let string = of(&text);
    assert_eq!((string.Length, string.MaximumLength, string.Buffer), (6, 8, text.as_ptr().cast_mut()));
    // SAFETY: null is an empty string.
    unsafe {
        let mut string = string;
        RtlInitUnicodeString(&raw mut string, std::ptr::null_mut());
        assert_eq!((string.Length, string.MaximumLength), (0, 0));
        assert!(string.Buffer.is_null());
    }
    let mut long = vec![u16::from(b'x'); 40_000];
    long.push(0);
    let string = of(&long);
    assert_eq!((string.Length, string.MaximumLength), (0xFFFC, 0xFFFE));
    let mut string = string;
    // SAFETY: as above.
    let status = unsafe { RtlInitUnicodeStringEx(&raw mut string, long.as_ptr().cast_mut()) };
    assert_eq!(status, STATUS_NAME_TOO_LONG);
}

#[test]
fn copies_and_appends_keep_to_the_room() {
    let mut buffer = [0xAAAAu16; 6];
    let mut to = UNICODE_STRING { Length: 0, MaximumLength: 10, Buffer: buffer.as_mut_ptr() };
    let (hello, ab) = (wide("Hello!"), wide("ab"));
    // SAFETY: the buffer has 12 bytes.
    unsafe {
        RtlCopyUnicodeString(&raw mut to, &of(&hello));
        assert_eq!((to.Length, &*units(&raw const to)), (10, &hello[..5]));
        RtlCopyUnicodeString(&raw mut to, &of(&ab));
        assert_eq!(RtlAppendUnicodeToString(&raw mut to, ab.as_ptr()), STATUS_SUCCESS);
        assert_eq!(RtlAppendUnicodeStringToString(&raw mut to, &of(&ab)), STATUS_BUFFER_TOO_SMALL);
        assert_eq!(String::from_utf16_lossy(&units(&raw const to)), "abab");
    }
    assert_eq!(buffer[4..], [0, 0xAAAA]);
}

#[test]
fn comparisons_with_and_without_case() {
    let [a, b, c] = ["\\Device\\A", "\\DEVICE\\a", "\\device"].map(wide);
    let (a, b, c) = (of(&a), of(&b), of(&c));
    let (a, b, c) = (&raw const a, &raw const b, &raw const c);
    // SAFETY: strings of the test.
    unsafe {
        assert_eq!((RtlEqualUnicodeString(a, b, 1), RtlEqualUnicodeString(a, b, 0)), (1, 0));
        assert!(RtlCompareUnicodeString(a, b, 0) > 0);
        assert_eq!(RtlCompareUnicodeString(a, b, 1), 0);
        assert!(RtlCompareUnicodeString(c, a, 1) < 0);
        assert_eq!((RtlPrefixUnicodeString(c, a, 1), RtlPrefixUnicodeString(c, a, 0)), (1, 0));
        assert_eq!(RtlPrefixUnicodeString(a, c, 1), 0);
        let tail = wide("e\\a");
        let tail = of(&tail);
        assert_eq!(RtlSuffixUnicodeString(&raw const tail, a, 1), 1);
        assert_eq!(RtlSuffixUnicodeString(a, c, 1), 0);
        assert_eq!(RtlFindUnicodeSubstring(a, &raw const tail, 1), (*a).Buffer.add(6));
        assert!(RtlFindUnicodeSubstring(a, &raw const tail, 0).is_null());
    }
}

#[test]
fn the_hash_is_x65599() {
    let text = wide("aB");
    let string = of(&text);
    let mut hash = 0;
    // SAFETY: strings of the test.
    unsafe {
        assert_eq!(RtlHashUnicodeString(&raw const string, 0, 0, &raw mut hash), STATUS_SUCCESS);
        assert_eq!(hash, 97 * 65599 + 66);
        assert_eq!(RtlHashUnicodeString(&raw const string, 1, 1, &raw mut hash), STATUS_SUCCESS);
        assert_eq!(hash, 65 * 65599 + 66);
        assert_eq!(RtlHashUnicodeString(&raw const string, 1, 2, &raw mut hash), STATUS_INVALID_PARAMETER);
    }
}

#[test]
fn strings_from_the_pool_are_given_back() {
    with_kernel(Config::default(), |kernel, _| {
        let text = wide("Straße");
        let from = of(&text);
        let mut to = UNICODE_STRING::default();
        // SAFETY: strings of the test.
        unsafe {
            assert_eq!(RtlUpcaseUnicodeString(&raw mut to, &raw const from, 1), STATUS_SUCCESS);
            assert_eq!(String::from_utf16_lossy(&units(&raw const to)), "STRAßE");
            let address = to.Buffer.addr();
            assert!(kernel.ex.pool.find(address).is_some());
            RtlFreeUnicodeString(&raw mut to);
            assert!(kernel.ex.pool.find(address).is_none());
            assert!(to.Buffer.is_null());
            RtlFreeUnicodeString(&raw mut to);
            assert_eq!(
                RtlUpcaseUnicodeString(&raw mut to, &raw const from, 0),
                nt_abi::STATUS_BUFFER_OVERFLOW
            );
            assert_eq!(RtlDuplicateUnicodeString(1, &raw const from, &raw mut to), STATUS_SUCCESS);
            assert_eq!((to.Length, to.MaximumLength, to.Buffer.add(6).read()), (12, 14, 0));
            assert_eq!(RtlDowncaseUnicodeString(&raw mut to, &raw const to, 0), STATUS_SUCCESS);
            assert_eq!(String::from_utf16_lossy(&units(&raw const to)), "straße");
            RtlFreeUnicodeString(&raw mut to);
        }
    });
}

#[test]
fn malformed_strings_are_told_from_good_ones() {
    let text = wide("ab");
    let good = of(&text);
    let odd = UNICODE_STRING { Length: 3, ..good };
    let overlong = UNICODE_STRING { Length: 8, ..good };
    let none = UNICODE_STRING { Buffer: std::ptr::null_mut(), ..good };
    // SAFETY: strings of the test.
    unsafe {
        assert_eq!(RtlValidateUnicodeString(0, &raw const good), STATUS_SUCCESS);
        for bad in [odd, overlong, none] {
            assert_eq!(RtlValidateUnicodeString(0, &raw const bad), STATUS_INVALID_PARAMETER);
        }
    }
}

#[test]
fn a_buffer_at_an_odd_address_is_read() {
    let bytes = [0u8, b'a', 0, b'b', 0];
    let string = UNICODE_STRING {
        Length: 4,
        MaximumLength: 4,
        Buffer: bytes.as_ptr().wrapping_add(1).cast_mut().cast(),
    };
    // SAFETY: four bytes follow the first.
    assert_eq!(*unsafe { units(&raw const string) }, [u16::from(b'a'), u16::from(b'b')]);
}
