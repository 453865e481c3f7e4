//! An event's own fields by their places, as PowerShell gives them: `Properties` of `Get-WinEvent`, `ReplacementStrings` of
//! `Get-EventLog`.
//!
//! Which field stands where depends on the version of the event, and that shows by how many there are. Sysmon's have
//! `RuleName` before all others since 8.0; a creation has four fields of the file's version behind the image since 7.0 (five
//! with the original name since 10.0), and `ParentUser` at its end since 13.30. 4688 has the command line since Windows
//! 8.1, and the target's account and the parent's name since Windows 10.

use std::borrow::Cow;

use crate::fields::{Field, Fields, Value};
use crate::logged::{self, Log};

/// More than any event has.
pub(super) const MOST: usize = 64;

/// Fields and their places.
type Places = Vec<(usize, Field)>;

/// Takes what stands at the places of an event. What does not look like its fields is not taken.
pub(super) fn read(values: &[Option<String>], into: &mut Fields<'_>) {
    let Some(id) = into.number(Field::EventId) else { return };
    let places = match logged::log(into, id) {
        Some(Log::Sysmon) => sysmon(id, values),
        Some(Log::Security) => security(id, values.len()),
        None => None,
    };
    for (place, field) in places.unwrap_or_default() {
        if let Some(Some(value)) = values.get(place) {
            into.set(field, 0, Value::Text(Cow::Owned(value.clone())));
        }
    }
}

fn sysmon(id: i64, values: &[Option<String>]) -> Option<Places> {
    let is_time = |place: usize| {
        let value = values.get(place)?.as_deref()?;
        (value.contains(':') && crate::time::parse(value).is_some()).then_some(place)
    };
    // A rule's name is no moment.
    let first = is_time(0).or_else(|| is_time(1))?;
    let count = values.len() - first;
    let mut places = vec![(first, Field::UtcTime)];
    if id == 6 {
        places.push((first + 1, Field::ImageLoaded));
        return (5..=6).contains(&count).then_some(places);
    }
    places.extend([
        (first + 1, Field::ProcessGuid),
        (first + 2, Field::ProcessId),
        (first + 3, Field::Image),
    ]);
    match (id, count) {
        (1, 16 | 20 | 21 | 22) => {
            let line = first
                + match count {
                    16 => 4,
                    20 => 8,
                    _ => 9,
                };
            places.extend([
                (line, Field::CommandLine),
                (line + 8, Field::ParentProcessGuid),
                (line + 9, Field::ParentProcessId),
                (line + 10, Field::ParentImage),
            ]);
        }
        (5, 4..=5) => {}
        (7, 8..=9 | 13..=15) => places.push((first + 4, Field::ImageLoaded)),
        _ => return None,
    }
    Some(places)
}

fn security(id: i64, count: usize) -> Option<Places> {
    match (id, count) {
        (4688, 8 | 9 | 15) => {
            let mut places =
                vec![(4, Field::NewProcessId), (5, Field::NewProcessName), (7, Field::ProcessId)];
            places.extend((count > 8).then_some((8, Field::CommandLine)));
            places.extend((count > 9).then_some((13, Field::ParentProcessName)));
            Some(places)
        }
        (4689, 7) => Some(vec![(4, Field::Status), (5, Field::ProcessId), (6, Field::ProcessName)]),
        _ => None,
    }
}
