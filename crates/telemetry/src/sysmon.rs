//! Sysmon's events: 1 process create, 5 process terminate, 6 driver load, 7 image load.

use crate::fields::{Field, Fields};
use crate::{DriverLoad, ImageLoad, ProcessCreate, ProcessExit, Subject, What};

/// Whether an id is that of an event that drivers are told of.
pub(crate) const fn is_told(id: i64) -> bool {
    matches!(id, 1 | 5 | 6 | 7)
}

/// What an event of Sysmon tells, if it is one that drivers are told of.
pub(crate) fn tell(id: i64, fields: &Fields<'_>) -> Option<What> {
    Some(match id {
        1 => What::ProcessCreate(ProcessCreate {
            subject: subject(fields),
            parent: Subject {
                process: fields.id(Field::ParentProcessId),
                unique: fields.guid(Field::ParentProcessGuid),
                image: fields.owned(Field::ParentImage),
            },
            command_line: fields.owned(Field::CommandLine),
            ..ProcessCreate::default()
        }),
        5 => What::ProcessExit(ProcessExit { subject: subject(fields), status: None }),
        6 => What::DriverLoad(DriverLoad { path: fields.owned(Field::ImageLoaded), ..DriverLoad::default() }),
        7 => What::ImageLoad(ImageLoad {
            subject: subject(fields),
            path: fields.owned(Field::ImageLoaded),
            ..ImageLoad::default()
        }),
        _ => return None,
    })
}

fn subject(fields: &Fields<'_>) -> Subject {
    Subject {
        process: fields.id(Field::ProcessId),
        unique: fields.guid(Field::ProcessGuid),
        image: fields.owned(Field::Image),
    }
}
