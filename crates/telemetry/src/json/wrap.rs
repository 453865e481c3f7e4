//! Objects that hold an array of events, as stores export them: `{"hits":{"hits":[…]}}`, `{"records":[…]}`, `{"value":[…]}`.

/// So much of an object is looked at to see whether it is such a one.
pub(super) const LOOK: usize = 64 << 10;

/// What an object is, by its beginning.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// More of it must be seen.
    More,
    Record,
    /// One that holds events: so much of it stands before the first, in so many objects.
    Wrapper {
        length: usize,
        depth: u32,
    },
}

/// Whether a key in such an object is of its array of events.
pub(super) fn is_array(key: &[u8]) -> bool {
    ["hits", "records", "value", "events", "results", "result"].iter().any(|name| is(key, name))
}

/// Whether it is of an object that has the array in it.
pub(super) fn is_object(key: &[u8]) -> bool {
    ["hits", "rawResponse", "response", "body"].iter().any(|name| is(key, name))
}

/// Whether only events have it.
fn is_of_event(key: &[u8]) -> bool {
    ["EventID", "event_id", "EventCode", "winlog", "@timestamp", "TimeCreated", "System", "EventData"]
        .iter()
        .any(|name| is(key, name))
}

fn is(key: &[u8], name: &str) -> bool {
    key.eq_ignore_ascii_case(name.as_bytes())
}

/// Looks at the beginning of an object.
pub(super) fn look(text: &[u8]) -> Look {
    walk(text).unwrap_or(Look::More)
}

/// `None` where the text ends too early.
fn walk(text: &[u8]) -> Option<Look> {
    let mut at = 1;
    let mut depth = 1;
    loop {
        at = blanks(text, at);
        match *text.get(at)? {
            b',' => at += 1,
            b'}' if depth > 1 => (at, depth) = (at + 1, depth - 1),
            b'"' => {
                let end = string(text, at)?;
                let key = &text[at + 1..end - 1];
                at = blanks(text, end);
                if *text.get(at)? != b':' || is_of_event(key) {
                    return Some(Look::Record);
                }
                at = blanks(text, at + 1);
                match *text.get(at)? {
                    b'[' if is_array(key) && matches!(text.get(blanks(text, at + 1))?, b'{' | b']') => {
                        return Some(Look::Wrapper { length: at + 1, depth });
                    }
                    b'{' if is_object(key) => (at, depth) = (at + 1, depth + 1),
                    _ => at = value(text, at)?,
                }
            }
            _ => return Some(Look::Record),
        }
    }
}

fn blanks(text: &[u8], at: usize) -> usize {
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    at + text.get(at..).unwrap_or_default().iter().take_while(blank).count()
}

/// Where a string ends that begins here.
fn string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Where a value ends that begins here.
fn value(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    let mut open = 0_u32;
    loop {
        match *text.get(at)? {
            b'"' => at = string(text, at)?,
            b'{' | b'[' => (at, open) = (at + 1, open + 1),
            // What ends the object around it.
            b'}' | b']' if open == 0 => return Some(at),
            b'}' | b']' => (at, open) = (at + 1, open - 1),
            b',' if open == 0 => return Some(at),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_events_is_told_from_events() {
        let wrappers = [
            ("{\"hits\":[", "{}]}", 1),
            ("{ \"took\": 3, \"_shards\":{\"total\":[1,{}]}, \"hits\" : {\"max\":null,\"hits\":[", " {", 2),
            ("{\"rawResponse\":{\"a\":\"\\\"]\",\"hits\":{\"hits\":[", "]", 3),
            ("{\"@odata.context\":\"https://x\",\"value\":[", "\r\n{", 1),
            ("{\"Events\":[", "{", 1),
            ("{\"preview\":false,\"messages\":[{\"a\":1}],\"results\":[", "{", 1),
        ];
        for (before, after, depth) in wrappers {
            let text = format!("{before}{after}");
            assert_eq!(look(text.as_bytes()), Look::Wrapper { length: before.len(), depth }, "{text}");
            for end in 1..before.len() {
                assert_eq!(look(&text.as_bytes()[..end]), Look::More, "{end} of {text}");
            }
        }
        for record in [
            "{}",
            "{\"EventID\":1,\"value\":[{",
            "{\"a\":1}",
            "{\"value\":[1]}",
            "{\"hits\":{\"a\":1}}",
            "{\"result\":{\"EventCode\":1}}",
            "{\"a\" 1",
            "{1",
        ] {
            assert_eq!(look(record.as_bytes()), Look::Record, "{record}");
        }
    }
}
