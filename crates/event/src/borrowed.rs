//! Events that borrow their texts from others.

use std::borrow::Cow;

use crate::{Event, EventKind, Image, Name, Process};

impl Event<'_> {
    /// The same event, its texts borrowed: a copy for which nothing is allocated, and of which the parts can be handed on.
    pub fn borrowed(&self) -> Event<'_> {
        let kind = match &self.kind {
            EventKind::ProcessPresent(process) => EventKind::ProcessPresent(process.borrowed()),
            EventKind::ProcessClone(process) => EventKind::ProcessClone(process.borrowed()),
            EventKind::ProcessCreate(process) => EventKind::ProcessCreate(process.borrowed()),
            EventKind::ProcessExit(exit) => EventKind::ProcessExit(*exit),
            EventKind::ThreadCreate(thread) => EventKind::ThreadCreate(*thread),
            EventKind::ThreadExit(exit) => EventKind::ThreadExit(*exit),
            EventKind::ImageLoad(image) => EventKind::ImageLoad(image.borrowed()),
        };
        Event { time: self.time, context: self.context, kind, conditions: self.conditions }
    }
}

impl Process<'_> {
    /// The same process, its texts borrowed.
    pub fn borrowed(&self) -> Process<'_> {
        Process {
            image: self.image.as_ref().map(Name::borrowed),
            command_line: self.command_line.as_deref().map(Cow::Borrowed),
            ..*self
        }
    }
}

impl Image<'_> {
    /// The same image, its texts borrowed.
    pub fn borrowed(&self) -> Image<'_> {
        Image {
            name: self.name.as_ref().map(Name::borrowed),
            file: self.file.as_ref().map(Name::borrowed),
            ..*self
        }
    }
}

impl Name<'_> {
    /// The same name, borrowed.
    pub fn borrowed(&self) -> Name<'_> {
        Name { nt: Cow::Borrowed(&self.nt), host: self.host.as_deref().map(Cow::Borrowed) }
    }
}
