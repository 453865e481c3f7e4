//! The security log's events: 4688 process created, 4689 process exited.

use crate::fields::{Field, Fields};
use crate::names::Names;
use crate::{ProcessCreate, ProcessExit, Subject, What};

const CREATED: i64 = 4688;
const EXITED: i64 = 4689;

/// Whether an id is that of an event that tells of a process.
pub(crate) const fn is_process_event(id: i64) -> bool {
    matches!(id, CREATED | EXITED)
}

/// What an event of the security log tells, if it is one that drivers are told of.
pub(crate) fn tell(id: i64, fields: &Fields<'_>, names: &mut Names) -> Option<What> {
    let mut image = |field| fields.text(field).map(|image| names.image(&image));
    Some(match id {
        // Where only ECS's own fields are left of it, they name the new process and its parent as such.
        CREATED if !fields.has(Field::NewProcessId) && fields.has(Field::ParentProcessId) => {
            What::ProcessCreate(ProcessCreate {
                subject: Subject {
                    process: fields.id(Field::ProcessId),
                    unique: None,
                    image: image(Field::Image),
                },
                parent: Subject {
                    process: fields.id(Field::ParentProcessId),
                    unique: None,
                    image: image(Field::ParentImage),
                },
                command_line: fields.owned(Field::CommandLine),
                ..ProcessCreate::default()
            })
        }
        CREATED => What::ProcessCreate(ProcessCreate {
            subject: Subject {
                process: fields.id(Field::NewProcessId),
                unique: None,
                image: image(Field::NewProcessName),
            },
            // What the event calls the process is the one that created the new one.
            parent: Subject {
                process: fields.id(Field::ProcessId),
                unique: None,
                image: image(Field::ParentProcessName),
            },
            command_line: fields.owned(Field::CommandLine),
            ..ProcessCreate::default()
        }),
        EXITED => What::ProcessExit(ProcessExit {
            subject: Subject {
                process: fields.id(Field::ProcessId),
                unique: None,
                image: image(Field::ProcessName).or_else(|| image(Field::Image)),
            },
            status: fields.status(Field::Status),
        }),
        _ => return None,
    })
}
