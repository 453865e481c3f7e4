//! `--set [SERVICE:]NAME[:TYPE]=VALUE`: a registry value of a driver's service.

use std::str::FromStr;

use callboard::Value;

/// One value for the Parameters key of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Whose; `None` for the last driver's.
    pub(crate) service: Option<String>,
    pub(crate) name: String,
    pub(crate) value: Value<'static>,
    /// Whether its type was written.
    typed: bool,
}

/// The types that a value can have.
pub(crate) const TYPES: [&str; 6] = ["sz", "expand", "multi", "dword", "qword", "binary"];

impl Setting {
    /// The name, where it may have been meant as the type: in `Deny:strnig=x`.
    pub(crate) fn name_or_type(&self) -> Option<&str> {
        (self.service.is_some() && !self.typed).then_some(&self.name)
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (left, value) = text.split_once('=').ok_or("there is no `=`: write NAME=VALUE")?;
        let parts: Vec<&str> = left.split(':').collect();
        let (service, name, kind) = match *parts {
            [name] => (None, name, None),
            // Two parts may be either; what is no type is a service.
            [name, kind] if TYPES.contains(&kind) => (None, name, Some(kind)),
            [service, name] => (Some(service), name, None),
            [service, name, kind] => (Some(service), name, Some(kind)),
            _ => return Err("too many `:`: write [SERVICE:]NAME[:TYPE]=VALUE".into()),
        };
        if name.is_empty() {
            return Err("the value has no name".into());
        }
        let value = typed(kind.unwrap_or("sz"), value)?;
        Ok(Self { service: service.map(Into::into), name: name.into(), value, typed: kind.is_some() })
    }
}

fn typed(kind: &str, text: &str) -> Result<Value<'static>, String> {
    Ok(match kind {
        "sz" => Value::String(text.to_owned().into()),
        "expand" => Value::ExpandString(text.to_owned().into()),
        "multi" => Value::MultiString(
            text.split(';').filter(|item| !item.is_empty()).map(|item| item.to_owned().into()).collect(),
        ),
        "dword" => Value::Dword(u32::try_from(number(text)?).map_err(|_| "a dword has 32 bits".to_owned())?),
        "qword" => Value::Qword(number(text)?),
        "binary" => Value::Binary(bytes(text)?.into()),
        other => return Err(format!("`{other}` is no type: sz, expand, multi, dword, qword or binary")),
    })
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("`{text}` is no number, in decimal or with 0x"))
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u32> =
        text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>().ok_or("not hex digits")?;
    if !digits.len().is_multiple_of(2) {
        return Err("an odd number of hex digits".into());
    }
    Ok(digits.chunks(2).filter_map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Setting {
        text.parse().unwrap()
    }

    #[test]
    fn parts_and_types() {
        let text = |text: &str| Value::String(text.to_owned().into());
        let setting = |service: Option<&str>, name: &str, value, typed| Setting {
            service: service.map(Into::into),
            name: name.into(),
            value,
            typed,
        };
        assert_eq!(read("Deny=*/a"), setting(None, "Deny", text("*/a"), false));
        assert_eq!(read("edr:Deny=a=b:c"), setting(Some("edr"), "Deny", text("a=b:c"), false));
        assert_eq!(read("Deny:bogus=x").name_or_type(), Some("bogus"));
        assert_eq!(read("Mode:dword=0x10").value, Value::Dword(16));
        assert_eq!(read("b:Mode:qword=7"), setting(Some("b"), "Mode", Value::Qword(7), true));
        assert_eq!(read("L:multi=a;b;").value, Value::MultiString(vec!["a".into(), "b".into()]));
        assert_eq!(read("B:binary=00ff").value, Value::Binary(vec![0, 255].into()));
    }

    #[test]
    fn nonsense_is_told_what_to_write() {
        for (text, says) in [
            ("Deny", "no `=`"),
            ("=x", "no name"),
            ("a:b:c:d=1", "too many"),
            ("a:b:float=1", "is no type"),
            ("a:dword=x", "is no number"),
            ("a:dword=4294967296", "32 bits"),
            ("a:binary=0", "odd"),
        ] {
            let error = text.parse::<Setting>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
