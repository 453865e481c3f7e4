//! What an event of a Windows log tells, by its named fields: the same for every format that holds such events.

use crate::fields::{Field, Fields};
use crate::names::Names;
use crate::{Reason, RecordId, Told, What, security, sysmon};

pub(crate) use crate::{Log, Refusal};

/// What an event tells, and which log it is of; or why it is not told.
pub(crate) type Outcome = Result<(Box<Told>, Log), Refusal>;

/// What an event tells; its number in its file is the reader's to say.
pub(crate) fn tell(fields: &Fields<'_>, number: u64, names: &mut Names) -> Outcome {
    let Some(id) = fields.number(Field::EventId) else {
        return Err((Reason::Malformed, "no event id: it is no event of a Windows log".into()));
    };
    let told = log(fields, id).and_then(|log| {
        let what = match log {
            Log::Sysmon => sysmon::tell(id, fields, names),
            Log::Security => security::tell(id, fields, names),
        };
        what.map(|what| (what, log))
    });
    let Some((what, log)) = told else { return Err(other(fields, id)) };
    let machine = fields.text(Field::Computer).map(|name| names.machine(&name));
    let time = fields.time(Field::UtcTime).or_else(|| fields.time(Field::Time));
    // An event that went to no log has 0.
    let record_id = fields
        .number(Field::RecordId)
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| *number > 0)
        .map(|number| RecordId { log, number });
    // On its way to those who put it in order it is moved often.
    let told = Box::new(Told { number, machine, time, record_id, what });
    match lacking(&told.what) {
        Some(field) => Err((Reason::NoProcess, format!("event {id} has no {field}"))),
        None => Ok((told, log)),
    }
}

fn other(fields: &Fields<'_>, id: i64) -> Refusal {
    let provider = fields.text(Field::Provider).or_else(|| fields.text(Field::Channel));
    (Reason::OtherKind, format!("event {id} of {}", provider.as_deref().unwrap_or("no provider")))
}

/// Why an event is not told whatever its own fields are: by those about it alone.
pub(crate) fn foreign(fields: &Fields<'_>) -> Option<Refusal> {
    let id = fields.number(Field::EventId)?;
    let tells = match named(fields)? {
        Some(Log::Sysmon) => sysmon::is_told(id),
        Some(Log::Security) => security::is_process_event(id),
        None => false,
    };
    (!tells).then(|| other(fields, id))
}

/// By the provider; by the channel where there is none; by what only one of the two has where neither says it.
pub(crate) fn log(fields: &Fields<'_>, id: i64) -> Option<Log> {
    named(fields).unwrap_or_else(|| {
        if security::is_process_event(id) {
            Some(Log::Security)
        } else {
            fields.has(Field::UtcTime).then_some(Log::Sysmon)
        }
    })
}

/// By the provider or the channel, where one of them says it: `Some(None)` is somebody else.
fn named(fields: &Fields<'_>) -> Option<Option<Log>> {
    let provider = fields.text(Field::Provider);
    let channel = fields.text(Field::Channel);
    provider.as_deref().map(by_provider).or_else(|| channel.as_deref().and_then(by_channel).map(Some))
}

fn by_provider(name: &str) -> Option<Log> {
    // What it is in nearly all logs, and the longer way would find as well.
    if name == "Microsoft-Windows-Sysmon" || has_word(name, "sysmon") {
        Some(Log::Sysmon)
    } else if has_word(name, "security-auditing") {
        Some(Log::Security)
    } else {
        None
    }
}

/// Splunk writes the kind of its input before the channel: `WinEventLog:Security`.
fn by_channel(name: &str) -> Option<Log> {
    let name = name.rsplit(':').next().unwrap_or(name);
    if has_word(name, "sysmon") {
        Some(Log::Sysmon)
    } else if name.eq_ignore_ascii_case("security") {
        Some(Log::Security)
    } else {
        None
    }
}

/// Whether a name has this word in it, at a boundary: `XmlWinEventLog:Microsoft-Windows-Sysmon/Operational` has `sysmon`.
fn has_word(name: &str, word: &str) -> bool {
    let (name, word) = (name.as_bytes(), word.as_bytes());
    let apart = |at: usize| name.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let first = word.first().copied();
    name.windows(word.len()).enumerate().any(|(at, part)| {
        let begins = part.first().map(u8::to_ascii_lowercase) == first;
        begins && part.eq_ignore_ascii_case(word) && (at == 0 || apart(at - 1)) && apart(at + word.len())
    })
}

/// What an event that tells of a process must have and has not.
fn lacking(what: &What) -> Option<&'static str> {
    let subject = match what {
        What::ProcessCreate(create) | What::ProcessPresent(create) => &create.subject,
        What::ProcessExit(exit) => &exit.subject,
        What::ThreadCreate(thread) | What::ThreadExit(thread) => &thread.subject,
        What::ImageLoad(load) => &load.subject,
        What::DriverLoad(_) => return None,
    };
    (subject.process.is_none() && subject.unique.is_none()).then_some("process id and no process GUID")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_at_its_boundaries_only() {
        for name in [
            "Microsoft-Windows-Sysmon",
            "XmlWinEventLog:Microsoft-Windows-Sysmon/Operational",
            "sysmon",
            "Linux-Sysmon",
        ] {
            assert!(has_word(name, "sysmon"), "{name}");
        }
        for name in ["", "sysmo", "SysmonDrv2", "MySysmon"] {
            assert!(!has_word(name, "sysmon"), "{name}");
        }
    }
}
