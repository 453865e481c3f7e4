//! What the keys of an event mean, by where they stand, in the shapes that events have in the field.
//!
//! | shape | where things are |
//! |---|---|
//! | winlogbeat, ECS | `winlog.{provider_name,event_id,computer_name,event_data.*}`, `process.*`, `host.name` |
//! | NXLog, Mordor | all at the top: `SourceName`, `EventID`, `Hostname`, `UtcTime`, … |
//! | Splunk | as NXLog, within `result`; `EventCode`; or the whole event as XML in `_raw` |
//! | Sentinel | rows: `Source`, `EventID`, `Computer`, `TimeGenerated`; `EventData` as one string |
//! | a dumped EVTX | `Event.System.*`, `Event.EventData.*` |
//! | PowerShell's `Get-WinEvent` | `Id`, `ProviderName`, `MachineName`, `TimeCreated`; the fields in `Properties`, by their places |
//! | `Get-EventLog` | `EventID`, `Source`, `MachineName`; the fields in `ReplacementStrings`, by their places |
//! | Azure's diagnostics | as Sentinel, within `properties` |
//!
//! A name is taken as it is written, then without regard to case and to `_`, `-` and blanks; the first is the better.

use memchr::memchr;

use crate::fields::Field;

/// Where in an event a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the top, or in what wraps the event.
    Top,
    /// `winlog`.
    Winlog,
    /// `event` of ECS and `Event` of a dump: they have no key in common.
    Event,
    /// `Event.System`.
    System,
    /// `Event.System.Provider`, `.TimeCreated` and `.EventID`, with or without `#attributes`.
    Provider,
    TimeCreated,
    EventId,
    /// The event's own fields by their names.
    Data,
    /// One of the event's own fields, as an object of its name and its value.
    Item,
    /// `process` and `process.parent` of ECS.
    Process,
    Parent,
    /// `host` of ECS.
    Host,
    /// `dll` and `file` of ECS.
    Dll,
    /// The event's own fields by their places; as an object it wraps the event.
    Places,
}

/// The rank of an event's id where only PowerShell puts it.
pub(crate) const OF_POWERSHELL: u8 = 4;
/// The rank of a record's number where only `Get-EventLog` puts it.
pub(crate) const OF_EVENT_LOG: u8 = 4;

/// What is done with what stands at a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// A text or number is this field, at this rank.
    pub(crate) field: Option<(Field, u8)>,
    /// An object is gone into.
    pub(crate) into: Option<Place>,
    /// A text holds, in a form of its own, what would stand at this place.
    pub(crate) packed: Option<Place>,
    /// A text is the message that people are shown, which has the fields in it too.
    pub(crate) message: bool,
}

impl Meaning {
    pub(crate) const NONE: Self = Self { field: None, into: None, packed: None, message: false };

    const fn field(field: Field, rank: u8) -> Self {
        Self { field: Some((field, rank)), ..Self::NONE }
    }

    const fn into(place: Place) -> Self {
        Self { into: Some(place), ..Self::NONE }
    }

    const fn or_into(self, place: Place) -> Self {
        Self { into: Some(place), ..self }
    }

    const fn or_packed(self, place: Place) -> Self {
        Self { packed: Some(place), ..self }
    }

    pub(crate) const fn is_none(self) -> bool {
        self.field.is_none() && self.into.is_none() && self.packed.is_none() && !self.message
    }
}

/// A name without what writers differ in: at most so many bytes, as long as any name that means something.
struct Folded([u8; 24], usize);

impl Folded {
    fn of(key: &str) -> Option<Self> {
        let mut folded = Self([0; 24], 0);
        for byte in key.bytes().filter(|byte| !matches!(byte, b'_' | b'-' | b' ' | b'@' | b'#')) {
            *folded.0.get_mut(folded.1)? = byte.to_ascii_lowercase();
            folded.1 += 1;
        }
        Some(folded)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0[..self.1]).unwrap_or_default()
    }
}

/// What a key means at a place. One with dots is the way to what some write as objects in objects.
pub(crate) fn meaning(place: Place, key: &str) -> Meaning {
    let mut place = place;
    let mut rest = key;
    while let Some(dot) = memchr(b'.', rest.as_bytes()) {
        match single(place, &rest[..dot]).into {
            Some(next) => (place, rest) = (next, &rest[dot + 1..]),
            None => return Meaning::NONE,
        }
    }
    single(place, rest)
}

fn single(place: Place, key: &str) -> Meaning {
    let Some(folded) = Folded::of(key) else { return Meaning::NONE };
    let folded = folded.as_str();
    match place {
        Place::Top | Place::Places => top(key, folded),
        Place::Winlog => winlog(folded),
        Place::Event => event(folded),
        Place::System => system(folded),
        Place::Provider => inner(folded, "name", Place::Provider, Field::Provider),
        Place::TimeCreated => inner(folded, "systemtime", Place::TimeCreated, Field::Time),
        Place::EventId => inner(folded, "text", Place::EventId, Field::EventId),
        Place::Data => match folded {
            "eventdata" => Meaning::into(Place::Data),
            "data" => Meaning::into(Place::Item),
            _ => data(key, folded, 0),
        },
        // Its keys are not names of fields: `event` reads it as a whole.
        Place::Item => Meaning::NONE,
        Place::Process => process(folded),
        Place::Parent => parent(folded),
        Place::Host => match folded {
            "name" => Meaning::field(Field::Computer, 5),
            "hostname" => Meaning::field(Field::Computer, 6),
            _ => Meaning::NONE,
        },
        Place::Dll if folded == "path" => Meaning::field(Field::ImageLoaded, 5),
        Place::Dll => Meaning::NONE,
    }
}

/// An element that some write with its attributes as an object.
fn inner(folded: &str, name: &str, place: Place, field: Field) -> Meaning {
    match folded {
        "attributes" => Meaning::into(place),
        "value" => Meaning::field(field, 1),
        _ if folded == name => Meaning::field(field, 0),
        _ => Meaning::NONE,
    }
}

fn top(key: &str, folded: &str) -> Meaning {
    match folded {
        "winlog" => Meaning::into(Place::Winlog),
        "event" => Meaning::into(Place::Event),
        "process" => Meaning::into(Place::Process),
        "dll" | "file" => Meaning::into(Place::Dll),
        "host" => Meaning::field(Field::Computer, 7).or_into(Place::Host),
        // What wraps an event: Splunk, Elasticsearch's hits, log shippers.
        "result" | "fields" => Meaning::into(Place::Top),
        "source" if key != "Source" => Meaning::field(Field::Channel, 4).or_into(Place::Top),
        "system" => Meaning::into(Place::System),
        "eventdata" | "userdata" | "payload" => Meaning::into(Place::Data).or_packed(Place::Data),
        "raw" => Meaning::NONE.or_packed(Place::Top),
        "message" | "renderdescription" | "rendereddescription" => Meaning { message: true, ..Meaning::NONE },
        "provider" => Meaning::field(Field::Provider, 1).or_into(Place::Provider),
        "providername" => Meaning::field(Field::Provider, 0),
        "sourcename" | "eventsourcename" => Meaning::field(Field::Provider, 0),
        "source" => Meaning::field(Field::Provider, 3),
        "channel" | "logname" | "eventlog" => Meaning::field(Field::Channel, 1),
        "eventid" => Meaning::field(Field::EventId, 1).or_into(Place::EventId),
        "eventcode" => Meaning::field(Field::EventId, 2),
        "id" if key == "Id" => Meaning::field(Field::EventId, OF_POWERSHELL),
        "properties" | "replacementstrings" => Meaning::into(Place::Places),
        "eventrecordid" => Meaning::field(Field::RecordId, 1),
        "recordid" => Meaning::field(Field::RecordId, 2),
        "recordnumber" => Meaning::field(Field::RecordId, 3),
        "index" if key == "Index" => Meaning::field(Field::RecordId, OF_EVENT_LOG),
        "computer" => Meaning::field(Field::Computer, 1),
        "computername" => Meaning::field(Field::Computer, 2),
        "hostname" => Meaning::field(Field::Computer, 3),
        "machinename" => Meaning::field(Field::Computer, 4),
        "timecreated" | "systemtime" => Meaning::field(Field::Time, 1).or_into(Place::TimeCreated),
        "timestamp" => Meaning::field(Field::Time, 2),
        "timegenerated" => Meaning::field(Field::Time, 3),
        "eventtime" => Meaning::field(Field::Time, 4),
        "time" => Meaning::field(Field::Time, 5),
        // NXLog and Splunk name so the process that wrote the log: an event that has nothing else has no process id.
        "processid" if key == "ProcessID" => Meaning::NONE,
        _ => data(key, folded, 1),
    }
}

fn winlog(folded: &str) -> Meaning {
    match folded {
        "eventdata" | "userdata" => Meaning::into(Place::Data).or_packed(Place::Data),
        "providername" => Meaning::field(Field::Provider, 0),
        "channel" => Meaning::field(Field::Channel, 0),
        "eventid" => Meaning::field(Field::EventId, 0),
        "computername" => Meaning::field(Field::Computer, 0),
        "recordid" => Meaning::field(Field::RecordId, 0),
        "timecreated" => Meaning::field(Field::Time, 0),
        _ => Meaning::NONE,
    }
}

fn event(folded: &str) -> Meaning {
    match folded {
        "system" => Meaning::into(Place::System),
        "eventdata" | "userdata" => Meaning::into(Place::Data).or_packed(Place::Data),
        "provider" => Meaning::field(Field::Provider, 2),
        "code" => Meaning::field(Field::EventId, 3),
        "created" => Meaning::field(Field::Time, 6),
        _ => Meaning::NONE,
    }
}

fn system(folded: &str) -> Meaning {
    match folded {
        "provider" => Meaning::field(Field::Provider, 1).or_into(Place::Provider),
        "providerattributes" => Meaning::into(Place::Provider),
        "timecreated" => Meaning::field(Field::Time, 1).or_into(Place::TimeCreated),
        "timecreatedattributes" => Meaning::into(Place::TimeCreated),
        "eventid" => Meaning::field(Field::EventId, 0).or_into(Place::EventId),
        "channel" => Meaning::field(Field::Channel, 0),
        "computer" => Meaning::field(Field::Computer, 0),
        "eventrecordid" => Meaning::field(Field::RecordId, 0),
        _ => Meaning::NONE,
    }
}

/// What a name means that is given as a value: of an element of XML, of a line of text.
pub(crate) fn named(name: &str, rank: u8) -> Meaning {
    Folded::of(name).map_or(Meaning::NONE, |folded| data(name, folded.as_str(), rank))
}

/// The event's own fields, under Sysmon's and the security log's names.
fn data(key: &str, folded: &str, rank: u8) -> Meaning {
    let (field, exact) = match folded {
        "utctime" => (Field::UtcTime, "UtcTime"),
        "processguid" => (Field::ProcessGuid, "ProcessGuid"),
        "processid" => (Field::ProcessId, "ProcessId"),
        "image" => (Field::Image, "Image"),
        "commandline" => (Field::CommandLine, "CommandLine"),
        "parentprocessguid" => (Field::ParentProcessGuid, "ParentProcessGuid"),
        "parentprocessid" => (Field::ParentProcessId, "ParentProcessId"),
        "parentimage" => (Field::ParentImage, "ParentImage"),
        "imageloaded" => (Field::ImageLoaded, "ImageLoaded"),
        "newprocessid" => (Field::NewProcessId, "NewProcessId"),
        "newprocessname" => (Field::NewProcessName, "NewProcessName"),
        "parentprocessname" => (Field::ParentProcessName, "ParentProcessName"),
        "processname" => (Field::ProcessName, "ProcessName"),
        "status" => (Field::Status, "Status"),
        // What the security log's fields are called in its message, which Splunk takes them from.
        "creatorprocessid" => (Field::ProcessId, ""),
        "creatorprocessname" => (Field::ParentProcessName, ""),
        "processcommandline" => (Field::CommandLine, ""),
        "exitstatus" => (Field::Status, ""),
        _ => return Meaning::NONE,
    };
    Meaning::field(field, rank * 2 + u8::from(key != exact))
}

/// ECS: the same fields serve Sysmon's and the security log's events.
fn process(folded: &str) -> Meaning {
    match folded {
        "parent" => Meaning::into(Place::Parent),
        "pid" => Meaning::field(Field::ProcessId, 5),
        "entityid" => Meaning::field(Field::ProcessGuid, 5),
        "executable" => Meaning::field(Field::Image, 5),
        "commandline" => Meaning::field(Field::CommandLine, 5),
        _ => Meaning::NONE,
    }
}

fn parent(folded: &str) -> Meaning {
    match folded {
        "pid" => Meaning::field(Field::ParentProcessId, 5),
        "entityid" => Meaning::field(Field::ParentProcessGuid, 5),
        "executable" => Meaning::field(Field::ParentImage, 5),
        _ => Meaning::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_wrote_the_log_is_not_the_one_it_tells_of() {
        assert!(meaning(Place::Top, "ProcessID").is_none());
        assert_eq!(meaning(Place::Top, "ProcessId").field, Some((Field::ProcessId, 2)));
        assert_eq!(meaning(Place::Top, "process_id").field, Some((Field::ProcessId, 3)));
        assert!(meaning(Place::Winlog, "process").is_none());
        assert_eq!(meaning(Place::Data, "ProcessID").field, Some((Field::ProcessId, 1)));
    }

    #[test]
    fn names_that_are_long_or_strange_mean_nothing() {
        for key in ["", "_", "@@@", "ThisNameIsLongerThanAnyThatMeansSomething", "Ünïcode"] {
            assert!(meaning(Place::Top, key).is_none(), "{key}");
            assert!(meaning(Place::Data, key).is_none(), "{key}");
        }
    }
}
