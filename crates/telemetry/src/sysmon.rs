//! Sysmon's events: 1 process create, 5 process terminate, 6 driver load, 7 image load.

use crate::fields::{Field, Fields};
use crate::names::Names;
use crate::{DriverLoad, ImageLoad, ProcessCreate, ProcessExit, Subject, What};

/// Whether an id is that of an event that drivers are told of.
pub(crate) const fn is_told(id: i64) -> bool {
    matches!(id, 1 | 5 | 6 | 7)
}

/// What an event of Sysmon tells, if it is one that drivers are told of.
pub(crate) fn tell(id: i64, fields: &Fields<'_>, names: &mut Names) -> Option<What> {
    Some(match id {
        1 => What::ProcessCreate(ProcessCreate {
            subject: subject(fields, names),
            parent: Subject {
                process: fields.id(Field::ParentProcessId),
                unique: fields.guid(Field::ParentProcessGuid),
                image: fields.text(Field::ParentImage).map(Into::into),
            },
            command_line: fields.owned(Field::CommandLine),
            ..ProcessCreate::default()
        }),
        5 => What::ProcessExit(ProcessExit { subject: subject(fields, names), status: None }),
        6 => What::DriverLoad(DriverLoad { path: fields.owned(Field::ImageLoaded), ..DriverLoad::default() }),
        7 => What::ImageLoad(ImageLoad {
            subject: subject(fields, names),
            path: fields.owned(Field::ImageLoaded),
            ..ImageLoad::default()
        }),
        _ => return None,
    })
}

fn subject(fields: &Fields<'_>, names: &mut Names) -> Subject {
    Subject {
        process: fields.id(Field::ProcessId),
        unique: fields.guid(Field::ProcessGuid),
        image: fields.text(Field::Image).map(|image| names.image(&image)),
    }
}
