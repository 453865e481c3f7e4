//! Upper and lower case as NT has them: one UTF-16 unit to one, by a table without locale.
//!
//! The table is the simple case mapping of Unicode where it goes there and back again; so `ı`, `ſ`, `µ` and
//! `K` (the unit of temperature) stay what they are, as in NT's own table.

use export_macro::export;

/// The unit that a character's mapping gives, where that is exactly one unit.
fn one(mut mapped: impl Iterator<Item = char>) -> Option<u16> {
    let first = mapped.next()?;
    mapped.next().is_none().then(|| u16::try_from(u32::from(first)).ok()).flatten()
}

fn upper_of(unit: u16) -> Option<u16> {
    one(char::from_u32(unit.into())?.to_uppercase())
}

fn lower_of(unit: u16) -> Option<u16> {
    one(char::from_u32(unit.into())?.to_lowercase())
}

/// A unit in upper case.
pub(crate) fn upcase(unit: u16) -> u16 {
    /// The final sigma, whose capital has another small letter.
    const FINAL_SIGMA: u16 = 0x3C2;
    match unit {
        0x61..=0x7A => unit - 0x20,
        0..=0x7F => unit,
        FINAL_SIGMA => 0x3A3,
        _ => upper_of(unit).filter(|&upper| lower_of(upper) == Some(unit)).unwrap_or(unit),
    }
}

/// A unit in lower case.
pub(crate) fn downcase(unit: u16) -> u16 {
    match unit {
        0x41..=0x5A => unit + 0x20,
        0..=0x7F => unit,
        _ => lower_of(unit).filter(|&lower| upper_of(lower) == Some(unit)).unwrap_or(unit),
    }
}

/// Returns a character in upper case. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlUpcaseUnicodeChar(character: u16) -> u16 {
    upcase(character)
}

/// Returns a character in lower case. Source: DDI.
#[export(irql == PASSIVE, since = Xp)]
pub unsafe extern "win64" fn RtlDowncaseUnicodeChar(character: u16) -> u16 {
    downcase(character)
}

/// Returns a byte in upper case: only `a` to `z` have one. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn RtlUpperChar(character: u8) -> u8 {
    character.to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(c: char) -> (u16, u16) {
        let unit = u16::try_from(u32::from(c)).unwrap();
        (upcase(unit), downcase(unit))
    }

    #[test]
    fn one_unit_becomes_one_unit() {
        for (c, upper, lower) in [
            ('a', 'A', 'a'),
            ('Z', 'Z', 'z'),
            ('[', '[', '['),
            ('é', 'É', 'é'),
            ('ÿ', 'Ÿ', 'ÿ'),
            ('ß', 'ß', 'ß'),
            ('я', 'Я', 'я'),
            ('ς', 'Σ', 'ς'),
            ('ı', 'ı', 'ı'),
            ('µ', 'µ', 'µ'),
            ('\u{212A}', '\u{212A}', '\u{212A}'),
        ] {
            assert_eq!(both(c), (both(upper).0, both(lower).1), "{c}");
            assert_eq!(u32::from(both(c).0), u32::from(upper), "{c}");
            assert_eq!(u32::from(both(c).1), u32::from(lower), "{c}");
        }
        assert_eq!(upcase(0xD801), 0xD801);
    }
}
