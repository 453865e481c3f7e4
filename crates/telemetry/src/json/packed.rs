//! Events and their fields that stand in a text: XML, JSON, or names and values.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event as Xml};

use super::event::read_packed;
use super::shape::{Meaning, Place, meaning, named};
use crate::fields::{Field, Fields, Value};

/// The rank of a field that was found in a text that is meant for people: behind any other.
const OF_MESSAGE: u8 = 8;

/// Reads a text that holds, in one form or the other, what would stand at a place.
pub(super) fn read(text: &str, place: Place, into: &mut Fields<'_>) {
    let text = text.trim();
    match text.as_bytes().first() {
        Some(b'<') => xml(text, into),
        Some(b'{' | b'[') => read_packed(text, place, into),
        _ if text.contains('\n') => lines(text, into),
        _ => pairs(text, into),
    }
}

/// An event, or only its data, as Windows writes it in XML. What follows after a mistake is not read.
fn xml(text: &str, into: &mut Fields<'_>) {
    let mut reader = Reader::from_str(text);
    let mut open: Option<(Field, u8)> = None;
    let mut value = String::new();
    while let Ok(event) = reader.read_event() {
        match event {
            Xml::Start(element) => {
                open = element_meaning(&element, into).field;
                value.clear();
            }
            Xml::Empty(element) => {
                element_meaning(&element, into);
            }
            Xml::Text(text) => value.push_str(&text.decode().unwrap_or_default()),
            Xml::CData(text) => value.push_str(&text.decode().unwrap_or_default()),
            Xml::GeneralRef(name) => match name.resolve_char_ref() {
                Ok(Some(character)) => value.push(character),
                _ => value.push_str(
                    name.decode()
                        .ok()
                        .and_then(|name| quick_xml::escape::resolve_predefined_entity(&name))
                        .unwrap_or_default(),
                ),
            },
            Xml::End(_) => {
                if let Some((field, rank)) = open.take() {
                    into.set(field, rank, Value::Text(Cow::Owned(std::mem::take(&mut value))));
                }
            }
            Xml::Eof => return,
            _ => {}
        }
    }
}

/// What the text of an element is; its attributes are taken at once.
fn element_meaning(element: &BytesStart<'_>, into: &mut Fields<'_>) -> Meaning {
    let local = element.local_name();
    let name = std::str::from_utf8(local.as_ref()).unwrap_or_default();
    let attribute = |wanted: &str| {
        let found =
            element.attributes().flatten().find(|attribute| attribute.key.as_ref() == wanted.as_bytes())?;
        let value = String::from_utf8_lossy(&found.value).into_owned();
        Some(quick_xml::escape::unescape(&value).map_or_else(|_| value.clone(), Cow::into_owned))
    };
    match name {
        "Data" => attribute("Name").map_or(Meaning::NONE, |name| named(&name, 0)),
        "Provider" | "TimeCreated" => {
            let (field, name) =
                if name == "Provider" { (Field::Provider, "Name") } else { (Field::Time, "SystemTime") };
            if let Some(value) = attribute(name) {
                into.set(field, 0, Value::Text(value.into()));
            }
            Meaning::NONE
        }
        "EventID" | "EventRecordID" | "Channel" | "Computer" => meaning(Place::System, name),
        _ => Meaning::NONE,
    }
}

/// `Name: value` or `Name=value`, one for each line, as Windows shows events to people. A value may have more lines.
pub(super) fn lines(text: &str, into: &mut Fields<'_>) {
    let mut last: Option<(Meaning, String)> = None;
    for line in text.lines().map(str::trim) {
        let pair = line.find([':', '=']).map(|at| (line[..at].trim(), line[at + 1..].trim()));
        match pair.filter(|(name, _)| is_name(name)) {
            Some((name, value)) => {
                store(last.take(), into);
                last = Some((named(name, OF_MESSAGE), value.to_owned()));
            }
            None => {
                if let Some((_, value)) = &mut last {
                    value.push('\n');
                    value.push_str(line);
                }
            }
        }
    }
    store(last, into);
}

fn store(pair: Option<(Meaning, String)>, into: &mut Fields<'_>) {
    if let Some((Meaning { field: Some((field, rank)), .. }, value)) = pair {
        into.set(field, rank, Value::Text(Cow::Owned(value.trim_end().to_owned())));
    }
}

/// `Name=value` one behind the other. A value may hold any character, also the one between the pairs: it ends where that
/// is followed by a name that events have.
fn pairs(text: &str, into: &mut Fields<'_>) {
    // Where each name begins, where its value does, and what stands before it.
    let mut found: Vec<(usize, usize, u8)> = Vec::new();
    for at in text.bytes().enumerate().filter_map(|(at, byte)| matches!(byte, b'=' | b':').then_some(at)) {
        let before = &text[..at];
        let start = before
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .map_or(0, |end| end + before[end..].chars().next().map_or(1, char::len_utf8));
        if !is_name(&text[start..at]) {
            continue;
        }
        let between = text[..start]
            .trim_end_matches(' ')
            .bytes()
            .last()
            .filter(|byte| matches!(byte, b';' | b',' | b'|' | b'\t'));
        found.push((start, at + 1, between.unwrap_or(b' ')));
    }
    // What stands before the second name is what stands between pairs.
    let Some(separator) = found.get(1).or(found.first()).map(|(_, _, between)| *between) else { return };
    let mut names = found
        .iter()
        .enumerate()
        .filter(|(index, (.., between))| *index == 0 || *between == separator)
        .map(|(_, name)| name)
        .peekable();
    while let Some((start, value, _)) = names.next() {
        let end = names.peek().map_or(text.len(), |(next, ..)| *next);
        let name = &text[*start..*value - 1];
        let value = text[*value..end].trim().trim_end_matches(char::from(separator)).trim();
        let Some((field, rank)) = named(name, 0).field else { continue };
        // A command line may be in quotes of its own.
        let bare = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .filter(|_| field != Field::CommandLine);
        into.set(field, rank, Value::Text(Cow::Owned(bare.unwrap_or(value).to_owned())));
    }
}

/// Whether a name is one of a field of the events that are read, also of one that no record is made of: where such a name
/// stands, the value before it has ended.
fn is_name(name: &str) -> bool {
    const OTHERS: [&str; 34] = [
        "Company",
        "CurrentDirectory",
        "Description",
        "FileVersion",
        "Hashes",
        "IntegrityLevel",
        "LogonGuid",
        "LogonId",
        "MandatoryLabel",
        "OriginalFileName",
        "ParentCommandLine",
        "ParentUser",
        "Product",
        "RuleName",
        "Signature",
        "SignatureStatus",
        "Signed",
        "SubjectDomainName",
        "SubjectLogonId",
        "SubjectUserName",
        "SubjectUserSid",
        "TargetDomainName",
        "TargetLogonId",
        "TargetUserName",
        "TargetUserSid",
        "TerminalSessionId",
        "TokenElevationType",
        "User",
        "Security ID",
        "Account Name",
        "Account Domain",
        "Logon ID",
        "Token Elevation Type",
        "Mandatory Label",
    ];
    !name.is_empty()
        && (!named(name, 0).is_none() || OTHERS.iter().any(|other| other.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Fields<'static> {
        let mut fields = Fields::default();
        read(text, Place::Data, &mut fields);
        fields
    }

    #[test]
    fn data_in_xml_has_its_entities_resolved() {
        let fields = of(
            "<DataItem type=\"System.XmlData\"><EventData xmlns=\"x\"><Data Name=\"ProcessId\">420</Data><Data Name=\"Image\">C:\\a&amp;b&#x2E;exe</Data>\
             <Data Name=\"CommandLine\">&quot;a&quot; &lt;b&gt;</Data><Data Name=\"RuleName\"/></EventData></DataItem>",
        );
        assert_eq!(fields.id(Field::ProcessId), Some(420));
        assert_eq!(fields.text(Field::Image).unwrap(), "C:\\a&b.exe");
        assert_eq!(fields.text(Field::CommandLine).unwrap(), "\"a\" <b>");
    }

    #[test]
    fn pairs_end_only_where_a_known_name_follows_the_separator() {
        for (separator, ends) in
            [(";", "; x=1; y"), (", ", ", x=1"), ("|", "|more"), ("\t", "\tz=1"), (" ", " a=b c")]
        {
            let line = format!("cmd.exe /c set{ends}");
            let text = [
                "ProcessId=420",
                "Image=C:\\a b\\c.exe",
                &format!("CommandLine={line}"),
                "User=x",
                "ParentProcessId=0x4",
            ]
            .join(separator);
            let fields = of(&text);
            assert_eq!(fields.id(Field::ProcessId), Some(420), "{text}");
            assert_eq!(fields.text(Field::Image).unwrap(), "C:\\a b\\c.exe", "{text}");
            assert_eq!(fields.text(Field::CommandLine).unwrap(), line, "{text}");
            assert_eq!(fields.id(Field::ParentProcessId), Some(4), "{text}");
        }
    }

    #[test]
    fn a_message_is_read_line_by_line() {
        let fields = of(
            "Process Create:\r\nRuleName: -\r\nProcessId: 6224\r\nImage: C:\\x.exe\r\nCommandLine: a\r\nb: c\r\nUser: u\r\n",
        );
        assert_eq!(fields.id(Field::ProcessId), Some(6_224));
        assert_eq!(fields.text(Field::Image).unwrap(), "C:\\x.exe");
        assert_eq!(fields.text(Field::CommandLine).unwrap(), "a\nb: c");
        let fields = of(
            "A new process.\r\n\r\nProcess Information:\r\n\tNew Process ID:\t\t0x32e8\r\n\tCreator Process ID:\t0x4\r\n",
        );
        assert_eq!(fields.id(Field::NewProcessId), Some(0x32E8));
        assert_eq!(fields.id(Field::ProcessId), Some(4));
    }

    #[test]
    fn data_in_json_is_read_too() {
        let fields = of(
            "{\"EventData\":{\"Data\":[{\"@Name\":\"ProcessId\",\"#text\":\"7\"},{\"@Name\":\"Image\",\"#text\":\"x\"}]}}",
        );
        assert_eq!(fields.id(Field::ProcessId), Some(7));
        assert_eq!(fields.text(Field::Image).unwrap(), "x");
    }
}
