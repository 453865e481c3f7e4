//! What tells a process from others with the same id.

use std::fmt;

/// What tells a process from others with the same id: Sysmon's ProcessGuid, in lower case and without braces; Procmon's
/// index of the process. Two are the same where their texts are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Unique(Form);

/// A GUID is in nearly every record: it is kept without its text.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Form {
    Guid(u64, u64),
    Text(Box<str>),
}

/// How long a GUID is, and where its dashes are.
const LENGTH: usize = 36;
const DASHES: [usize; 4] = [8, 13, 18, 23];
/// What stands for no digit of one.
const NONE: u8 = 0xFF;

const DIGITS: [u8; 256] = {
    let (mut digits, mut value) = ([NONE; 256], 0);
    while value < 16 {
        let digit = b"0123456789abcdef"[value as usize];
        digits[digit as usize] = value;
        digits[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    digits
};

impl Unique {
    /// A GUID as logs write it, in either case, with or without braces. One of zeroes stands for none.
    pub(crate) fn guid(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('{').trim_end_matches('}');
        if let Some((high, low)) = digits(text) {
            return ((high, low) != (0, 0)).then_some(Self(Form::Guid(high, low)));
        }
        let is_some = text.bytes().any(|byte| !matches!(byte, b'0' | b'-'));
        is_some.then(|| Self(Form::Text(text.to_ascii_lowercase().into())))
    }
}

/// The two halves of a GUID.
fn digits(text: &str) -> Option<(u64, u64)> {
    let text: &[u8; LENGTH] = text.as_bytes().try_into().ok()?;
    let mut none = if DASHES.iter().all(|at| text[*at] == b'-') { 0 } else { NONE };
    let mut number = |parts: &[&[u8]]| {
        parts.iter().copied().flatten().fold(0, |number, byte| {
            let digit = DIGITS[usize::from(*byte)];
            none |= digit;
            number << 4 | u64::from(digit & 0xF)
        })
    };
    let high = number(&[&text[..8], &text[9..13], &text[14..18]]);
    let low = number(&[&text[19..23], &text[24..]]);
    (none < 0x10).then_some((high, low))
}

impl From<&str> for Unique {
    fn from(text: &str) -> Self {
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        Self(match digits(text).filter(|_| lower) {
            Some((high, low)) => Form::Guid(high, low),
            None => Form::Text(text.into()),
        })
    }
}

impl fmt::Display for Unique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Guid(high, low) => write!(
                f,
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                high >> 32,
                high >> 16 & 0xFFFF,
                high & 0xFFFF,
                low >> 48,
                low & 0xFFFF_FFFF_FFFF
            ),
            Form::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Unique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_guid_has_one_form_and_zeroes_are_none() {
        let guid = "19de6d3b-1972-64dc-0f0c-000000000c00";
        let read = Unique::guid("{19DE6D3B-1972-64DC-0F0C-000000000C00}").unwrap();
        assert_eq!((read.to_string().as_str(), &read), (guid, &Unique::from(guid)));
        assert_eq!(Unique::guid(guid), Some(read));
        assert_eq!(Unique::guid("{AB}").unwrap().to_string(), "ab");
        for none in ["", "{}", "0-0", "{00000000-0000-0000-0000-000000000000}"] {
            assert_eq!(Unique::guid(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn two_are_the_same_where_their_texts_are(
            one in "[0aF]{8}-[0a]{4}-[0a]{4}-[0a]{4}-[0a]{12}|[0a-]{34,37}|.{0,4}",
            by in 0_usize..36,
        ) {
            let mut other = one.clone();
            other.pop();
            other.insert(other.char_indices().nth(by).map_or(0, |(at, _)| at), 'a');
            for text in [&one, &other] {
                prop_assert_eq!(&Unique::from(text.as_str()).to_string(), text);
            }
            prop_assert_eq!(Unique::from(one.as_str()) == Unique::from(other.as_str()), one == other);
        }
    }
}
