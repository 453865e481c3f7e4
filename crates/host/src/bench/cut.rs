//! Events that are too long.

use event::{Event, EventKind};

/// The longest command line of NT, in UTF-16 units, without its terminator.
const LONGEST_COMMAND_LINE: usize = 32_766;

/// An event that is too long for any NT machine, cut to what one could hold.
pub(super) fn cut(event: &Event<'_>) -> Event<'static> {
    fn shorten(text: &str) -> String {
        let mut units = 0;
        text.chars()
            .take_while(|c| {
                units += c.len_utf16();
                units <= LONGEST_COMMAND_LINE
            })
            .collect()
    }
    let name = |name: &event::Name<'_>| event::Name {
        nt: shorten(&name.nt).into(),
        host: name.host.as_deref().map(|host| shorten(host).into()),
    };
    let process = |process: &event::Process<'_>| event::Process {
        image: process.image.as_ref().map(name),
        command_line: process.command_line.as_deref().map(|line| shorten(line).into()),
        process: process.process,
        parent: process.parent,
        creator: process.creator,
        first_thread: process.first_thread,
        open_name_available: process.open_name_available,
        architecture: process.architecture,
        inherits_no_handles: process.inherits_no_handles,
        subsystem: process.subsystem,
        peb: process.peb,
        teb: process.teb,
    };
    let kind = match &event.kind {
        EventKind::ProcessPresent(it) => EventKind::ProcessPresent(process(it)),
        EventKind::ProcessClone(it) => EventKind::ProcessClone(process(it)),
        EventKind::ProcessCreate(it) => EventKind::ProcessCreate(process(it)),
        EventKind::ImageLoad(it) => EventKind::ImageLoad(event::Image {
            name: it.name.as_ref().map(name),
            file: it.file.as_ref().map(name),
            process: it.process,
            base: it.base,
            size: it.size,
            architecture: it.architecture,
            partial: it.partial,
            conflicting: it.conflicting,
            mapping: it.mapping,
            signature: it.signature,
        }),
        EventKind::ProcessExit(it) => EventKind::ProcessExit(*it),
        EventKind::ThreadCreate(it) => EventKind::ThreadCreate(*it),
        EventKind::ThreadExit(it) => EventKind::ThreadExit(*it),
    };
    Event { time: event.time, context: event.context, kind, conditions: event.conditions }
}
