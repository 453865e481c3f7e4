//! Records and events with nothing borrowed, for those who keep them.

use std::borrow::Cow;

use crate::{Body, Event, EventKind, Finding, Frame, Image, Leak, Process, Record, Stop};

fn text(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn texts(texts: Vec<Cow<'_, str>>) -> Vec<Cow<'static, str>> {
    texts.into_iter().map(text).collect()
}

impl Record<'_> {
    /// The same record with nothing borrowed.
    pub fn into_owned(self) -> Record<'static> {
        Record { time: self.time, context: self.context, body: self.body.into_owned() }
    }
}

impl Body<'_> {
    /// The same with nothing borrowed.
    pub fn into_owned(self) -> Body<'static> {
        match self {
            Self::Start { version, profile, machine, command } => Body::Start {
                version: text(version),
                profile: text(profile),
                machine: text(machine),
                command: texts(command),
            },
            Self::DriverLoad { driver, name, path, base, size, missing } => Body::DriverLoad {
                driver,
                name: text(name),
                path: text(path),
                base,
                size,
                missing: texts(missing),
            },
            Self::DriverStart { driver, status, elapsed } => Body::DriverStart { driver, status, elapsed },
            Self::DriverUnload { driver, elapsed } => Body::DriverUnload { driver, elapsed },
            Self::Registration { driver, family, flavour, routine, slot, removed, status } => {
                Body::Registration { driver, family, flavour, routine, slot, removed, status }
            }
            Self::Event(event) => Body::Event(event.into_owned()),
            Self::Notification(notification) => Body::Notification(notification),
            Self::Verdict { process, status, driver } => Body::Verdict { process, status, driver },
            Self::Termination { process, status, driver } => Body::Termination { process, status, driver },
            Self::Doubt { process, because } => Body::Doubt { process, because },
            Self::Debug { driver, component, level, text: line } => {
                Body::Debug { driver, component, level, text: text(line) }
            }
            Self::Finding(finding) => Body::Finding(finding.into_owned()),
            Self::Stop(stop) => Body::Stop(stop.into_owned()),
            Self::Leak(leak) => Body::Leak(leak.into_owned()),
            Self::Difference { change, process, text: what } => {
                Body::Difference { change, process, text: text(what) }
            }
            Self::Note { level, text: note } => Body::Note { level, text: text(note) },
            Self::CommandExit { code, signal } => Body::CommandExit { code, signal },
            Self::Timing(timing) => Body::Timing(timing),
            Self::PoolUsage(usage) => Body::PoolUsage(usage),
            Self::End => Body::End,
        }
    }
}

impl Event<'_> {
    /// The same event with nothing borrowed.
    pub fn into_owned(self) -> Event<'static> {
        let kind = match self.kind {
            EventKind::ProcessPresent(process) => EventKind::ProcessPresent(process.into_owned()),
            EventKind::ProcessClone(process) => EventKind::ProcessClone(process.into_owned()),
            EventKind::ProcessCreate(process) => EventKind::ProcessCreate(process.into_owned()),
            EventKind::ProcessExit(exit) => EventKind::ProcessExit(exit),
            EventKind::ThreadCreate(thread) => EventKind::ThreadCreate(thread),
            EventKind::ThreadExit(exit) => EventKind::ThreadExit(exit),
            EventKind::ImageLoad(image) => EventKind::ImageLoad(image.into_owned()),
        };
        Event { time: self.time, context: self.context, kind, conditions: self.conditions }
    }
}

impl Process<'_> {
    /// The same process with nothing borrowed.
    pub fn into_owned(self) -> Process<'static> {
        Process {
            image: self.image.map(crate::Name::into_owned),
            command_line: self.command_line.map(text),
            process: self.process,
            parent: self.parent,
            creator: self.creator,
            first_thread: self.first_thread,
            open_name_available: self.open_name_available,
            architecture: self.architecture,
            inherits_no_handles: self.inherits_no_handles,
            subsystem: self.subsystem,
            peb: self.peb,
            teb: self.teb,
        }
    }
}

impl Image<'_> {
    /// The same image with nothing borrowed.
    pub fn into_owned(self) -> Image<'static> {
        Image {
            name: self.name.map(crate::Name::into_owned),
            file: self.file.map(crate::Name::into_owned),
            process: self.process,
            base: self.base,
            size: self.size,
            architecture: self.architecture,
            partial: self.partial,
            conflicting: self.conflicting,
            mapping: self.mapping,
            signature: self.signature,
        }
    }
}

impl Finding<'_> {
    /// The same finding with nothing borrowed.
    pub fn into_owned(self) -> Finding<'static> {
        Finding {
            rule: text(self.rule),
            severity: self.severity,
            driver: self.driver,
            message: text(self.message),
            bug_check: self.bug_check,
            stack: self.stack.into_iter().map(Frame::into_owned).collect(),
        }
    }
}

impl Stop<'_> {
    /// The same stop with nothing borrowed.
    pub fn into_owned(self) -> Stop<'static> {
        Stop {
            kind: self.kind,
            code: self.code,
            parameters: self.parameters,
            driver: self.driver,
            message: text(self.message),
            registers: self.registers,
            stack: self.stack.into_iter().map(Frame::into_owned).collect(),
        }
    }
}

impl Frame<'_> {
    /// The same frame with nothing borrowed.
    pub fn into_owned(self) -> Frame<'static> {
        Frame {
            address: self.address,
            module: self.module.map(text),
            offset: self.offset,
            symbol: self.symbol.map(text),
        }
    }
}

impl Leak<'_> {
    /// The same leak with nothing borrowed.
    pub fn into_owned(self) -> Leak<'static> {
        Leak {
            driver: self.driver,
            kind: self.kind,
            what: text(self.what),
            count: self.count,
            bytes: self.bytes,
        }
    }
}
