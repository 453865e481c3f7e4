//! What processes and drivers are called, from the records seen so far.

use std::collections::{HashMap, VecDeque};

use event::{Body, DriverId, Event, EventKind, Name, Process, ProcessId, Record, Time};

/// How many processes that are gone keep their names: later lines may still speak of them, and a run
/// of a million processes must not grow.
const REMEMBERED: usize = 1_024;

/// A process as far as names go.
struct Known {
    name: Option<Box<str>>,
    since: Option<Time>,
    /// Which of the processes that had this id it is.
    generation: u64,
    gone: bool,
}

/// What the records seen so far say about who is who.
#[derive(Default)]
pub(crate) struct Names {
    start: Option<Time>,
    generation: u64,
    processes: HashMap<ProcessId, Known>,
    gone: VecDeque<(ProcessId, u64)>,
    drivers: HashMap<DriverId, Box<str>>,
    /// Processes that would not be there, and because of which.
    doubts: HashMap<ProcessId, ProcessId>,
    /// The one of them whose exit was seen last.
    doubt_ends: Option<ProcessId>,
}

impl Names {
    /// Learns from a record, before it is shown.
    pub(crate) fn see(&mut self, record: &Record<'_>) {
        if let Some(ended) = self.doubt_ends.take() {
            self.doubts.remove(&ended);
        }
        if let Body::Start { .. } = record.body {
            // Another machine: nothing of the one before is there.
            *self = Self::default();
        }
        self.start.get_or_insert(record.time);
        match &record.body {
            Body::Doubt { process, because } => {
                self.doubts.insert(*process, *because);
            }
            Body::DriverLoad { driver, name, .. } => {
                self.drivers.insert(*driver, name.as_ref().into());
            }
            Body::Event(event) => match &event.kind {
                EventKind::ProcessPresent(process) => self.insert(process, None),
                EventKind::ProcessClone(process) | EventKind::ProcessCreate(process) => {
                    self.insert(process, Some(event.time));
                }
                EventKind::ProcessExit(exit) => {
                    self.doubt_ends = Some(exit.process);
                    self.leave(exit.process);
                }
                EventKind::ThreadCreate(_) | EventKind::ThreadExit(_) | EventKind::ImageLoad(_) => {}
            },
            // It is made to exit without having run; whether that is announced is another matter.
            Body::Verdict { process, status, .. } if !status.is_success() => self.leave(*process),
            _ => {}
        }
    }

    fn insert(&mut self, process: &Process<'_>, since: Option<Time>) {
        let name = match &process.image {
            Some(image) => Some(image.file_name().into()),
            // A clone runs its parent's image.
            None => self.processes.get(&process.parent).and_then(|parent| parent.name.clone()),
        };
        self.generation += 1;
        let known = Known { name, since, generation: self.generation, gone: false };
        self.processes.insert(process.process, known);
    }

    fn leave(&mut self, process: ProcessId) {
        let Some(known) = self.processes.get_mut(&process).filter(|known| !known.gone) else { return };
        known.gone = true;
        self.gone.push_back((process, known.generation));
        if self.gone.len() > REMEMBERED
            && let Some((oldest, generation)) = self.gone.pop_front()
            && self.processes.get(&oldest).is_some_and(|known| known.generation == generation)
        {
            self.processes.remove(&oldest);
        }
    }

    /// Nanoseconds from the first record to `time`.
    pub(crate) fn elapsed(&self, time: Time) -> u64 {
        self.start.map_or(0, |start| time.nanos_since(start))
    }

    /// The file name of a process's image, where one is known.
    pub(crate) fn process(&self, process: ProcessId) -> Option<&str> {
        match self.processes.get(&process) {
            Some(known) => known.name.as_deref(),
            None if process == ProcessId::SYSTEM => Some("System"),
            None => None,
        }
    }

    /// The process whose end an event would not have survived: where there is one, it would not have happened.
    pub(crate) fn doubt(&self, event: &Event<'_>) -> Option<ProcessId> {
        let doubt = |process: ProcessId| self.doubts.get(&process).copied();
        doubt(event.process()).or_else(|| doubt(event.context.process))
    }

    /// Nanoseconds that a process has lived at `time`, where its creation was seen.
    pub(crate) fn lived(&self, process: ProcessId, time: Time) -> Option<u64> {
        self.processes.get(&process).and_then(|known| known.since).map(|since| time.nanos_since(since))
    }

    /// The service name of a driver, where its load was seen.
    pub(crate) fn driver(&self, driver: DriverId) -> Option<&str> {
        self.drivers.get(&driver).map(|name| &**name)
    }
}

/// The NT form of a name, where it is not the form for people already.
pub(crate) fn nt_form<'n>(name: &'n Name<'_>) -> Option<&'n str> {
    name.host.is_some().then_some(&*name.nt)
}

#[cfg(test)]
mod tests {
    use event::{ClientId, ProcessExit};
    use nt_abi::STATUS_SUCCESS;

    use super::*;

    fn record(kind: EventKind<'_>) -> Record<'_> {
        let context = ClientId::default();
        Record {
            time: Time(1),
            context,
            body: Body::Event(Event {
                time: Time(1),
                context,
                kind,
                conditions: event::Conditions::default(),
            }),
        }
    }

    fn create(id: u32, path: &'static str) -> Record<'static> {
        let (process, image) = (ProcessId(id), Some(Name::from_unix(path)));
        record(EventKind::ProcessCreate(Process { process, image, ..Process::default() }))
    }

    fn exit(id: u32) -> Record<'static> {
        record(EventKind::ProcessExit(ProcessExit { process: ProcessId(id), status: STATUS_SUCCESS }))
    }

    #[test]
    fn a_name_outlives_its_process_for_a_while_and_not_for_ever() {
        let mut names = Names::default();
        names.see(&create(8, "/bin/first"));
        names.see(&exit(8));
        assert_eq!(names.process(ProcessId(8)), Some("first"));
        for id in 1..=3_000 {
            names.see(&create(id * 4 + 8, "/bin/x"));
            names.see(&exit(id * 4 + 8));
        }
        assert_eq!(names.process(ProcessId(8)), None);
        assert_eq!(names.processes.len(), REMEMBERED);
        assert_eq!(names.gone.len(), REMEMBERED);
    }

    #[test]
    fn an_id_that_is_used_again_keeps_its_new_name() {
        let mut names = Names::default();
        names.see(&create(8, "/bin/first"));
        names.see(&exit(8));
        names.see(&create(8, "/bin/second"));
        for id in 1..=3_000 {
            names.see(&create(id * 4 + 8, "/bin/x"));
            names.see(&exit(id * 4 + 8));
        }
        assert_eq!(names.process(ProcessId(8)), Some("second"));
    }

    #[test]
    fn what_would_not_have_happened_ends_with_the_exit_of_its_process() {
        let mut names = Names::default();
        let event = |record: &Record<'static>| match &record.body {
            Body::Event(event) => event.clone(),
            _ => unreachable!("an event"),
        };
        let doubted = |names: &mut Names, record: Record<'static>| {
            names.see(&record);
            names.doubt(&event(&record))
        };
        let doubt = Body::Doubt { process: ProcessId(12), because: ProcessId(8) };
        names.see(&Record { time: Time(1), context: ClientId::default(), body: doubt });
        assert_eq!(doubted(&mut names, create(8, "/bin/x")), None);
        assert_eq!(doubted(&mut names, create(12, "/bin/x")), Some(ProcessId(8)));
        assert_eq!(doubted(&mut names, exit(12)), Some(ProcessId(8)));
        assert_eq!(doubted(&mut names, create(12, "/bin/x")), None, "another process");
    }
}
