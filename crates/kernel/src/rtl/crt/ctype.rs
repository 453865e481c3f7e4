//! Kinds of characters, in the C locale.

use export_macro::export;

use crate::rtl::case;

/// The character as a byte, where it is one.
fn ascii(character: i32) -> Option<u8> {
    u8::try_from(character).ok().filter(u8::is_ascii)
}

macro_rules! kinds {
    ($( $(#[$meta:meta])* $narrow:ident $wide:ident = $is:expr; )*) => { $(
        $(#[$meta])*
        #[export(irql any)]
        pub unsafe extern "win64" fn $narrow(character: i32) -> i32 {
            let is: fn(&u8) -> bool = $is;
            i32::from(ascii(character).is_some_and(|character| is(&character)))
        }

        $(#[$meta])*
        #[export(irql any)]
        pub unsafe extern "win64" fn $wide(character: u16) -> i32 {
            let is: fn(&u8) -> bool = $is;
            i32::from(ascii(character.into()).is_some_and(|character| is(&character)))
        }
    )* };
}

kinds! {
    /// Says whether a character is a digit.
    isdigit iswdigit = u8::is_ascii_digit;
    /// Says whether a character is a letter.
    isalpha iswalpha = u8::is_ascii_alphabetic;
    /// Says whether a character is a letter or a digit.
    isalnum iswalnum = u8::is_ascii_alphanumeric;
    /// Says whether a character is white space.
    isspace iswspace = |c| matches!(c, b' ' | b'\t'..=b'\r');
    /// Says whether a character is a capital.
    isupper iswupper = u8::is_ascii_uppercase;
    /// Says whether a character is a small letter.
    islower iswlower = u8::is_ascii_lowercase;
    /// Says whether a character is a hexadecimal digit.
    isxdigit iswxdigit = u8::is_ascii_hexdigit;
    /// Says whether a character can be printed.
    isprint iswprint = |c| matches!(c, b' '..=b'~');
    /// Says whether a character can be seen.
    isgraph iswgraph = u8::is_ascii_graphic;
    /// Says whether a character is punctuation.
    ispunct iswpunct = u8::is_ascii_punctuation;
    /// Says whether a character is a control character.
    iscntrl iswcntrl = u8::is_ascii_control;
}

/// Returns a byte's character in lower case.
#[export(irql any)]
pub unsafe extern "win64" fn tolower(character: i32) -> i32 {
    ascii(character).map_or(character, |c| c.to_ascii_lowercase().into())
}

/// Returns a byte's character in upper case.
#[export(irql any)]
pub unsafe extern "win64" fn toupper(character: i32) -> i32 {
    ascii(character).map_or(character, |c| c.to_ascii_uppercase().into())
}

/// Returns a UTF-16 unit in lower case.
#[export(irql any)]
pub unsafe extern "win64" fn towlower(character: u16) -> u16 {
    case::downcase(character)
}

/// Returns a UTF-16 unit in upper case.
#[export(irql any)]
pub unsafe extern "win64" fn towupper(character: u16) -> u16 {
    case::upcase(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_those_of_the_c_locale() {
        // SAFETY: numbers only.
        unsafe {
            assert_eq!((isdigit(0x35), isdigit(0x61), isdigit(-1), isdigit(0x135)), (1, 0, 0, 0));
            assert_eq!((isspace(0x0B), isspace(0x20), isspace(0xA0)), (1, 1, 0));
            assert_eq!(
                (iswalpha(u16::from(b'Z')), iswalpha(0xE9), isxdigit(0x66), ispunct(0x2E)),
                (1, 0, 1, 1)
            );
            assert_eq!((tolower(0x41), toupper(0x7A), tolower(-1)), (0x61, 0x5A, -1));
            assert_eq!((towlower(0xC9), towupper(0xE9)), (0xE9, 0xC9));
        }
    }
}
