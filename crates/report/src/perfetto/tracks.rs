//! Who has which number in a trace.
//!
//! Ids come again, numbers never: not for the next process of an id, not on the next machine.

use std::collections::{BTreeMap, HashMap, VecDeque};

use event::{ClientId, ProcessId, ThreadId};

/// How many that are gone are remembered: they may still be spoken of, and a trace of a million must not grow.
const REMEMBERED: usize = 1_024;

/// A thread of the trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Track {
    pub(super) process: u32,
    pub(super) thread: u32,
}

/// What is on a thread.
pub(super) struct Thread {
    pub(super) track: Track,
    /// Until when it is taken: what a thread does follows each other, also where the clock stands still.
    pub(super) busy: u64,
    /// The creation that is under way on it, and since when.
    pub(super) creating: Option<(String, u64)>,
    ended: bool,
}

/// A process of the trace.
pub(super) struct Process {
    pub(super) number: u32,
    pub(super) name: String,
    threads: HashMap<ThreadId, Thread>,
    /// Whether its main thread has its number already.
    has_main: bool,
    /// Whether its lifetime is being shown.
    pub(super) lives: bool,
}

/// Something that has a number now and had none before, and what it is called.
pub(super) enum New {
    Process(Track, String),
    Thread(Track, String),
}

/// The numbers, of all machines.
#[derive(Default)]
struct Numbers {
    machine: Option<String>,
    last: u32,
    new: Vec<New>,
}

impl Numbers {
    fn next(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    fn process(&mut self, id: ProcessId, name: &str) -> Process {
        let number = self.next();
        let machine = self.machine.as_deref().map_or_else(String::new, |machine| format!("{machine}: "));
        let shown = match id.0 {
            0 => format!("{machine}{name}"),
            id => format!("{machine}{name} ({id})"),
        };
        self.new.push(New::Process(Track { process: number, thread: number }, shown));
        Process { number, name: name.to_owned(), threads: HashMap::new(), has_main: false, lives: false }
    }

    fn thread(&mut self, of: u32, is_main: bool, id: ClientId) -> Thread {
        let track = Track { process: of, thread: if is_main { of } else { self.next() } };
        let name = match (id.process, id.thread) {
            (ProcessId(0), ThreadId(0)) => "run".to_owned(),
            (_, ThreadId(0)) => "no known thread".to_owned(),
            (_, id) => format!("thread {id}"),
        };
        self.new.push(New::Thread(track, name));
        Thread { track, busy: 0, creating: None, ended: false }
    }
}

/// The processes and threads of a machine.
#[derive(Default)]
pub(super) struct Tracks {
    numbers: Numbers,
    processes: HashMap<ProcessId, Process>,
    gone: VecDeque<(ProcessId, u32)>,
    gone_threads: VecDeque<(ClientId, u32)>,
    /// How many lifetimes are being shown.
    pub(super) living: u64,
}

impl Tracks {
    /// Forgets everybody, and goes on counting.
    pub(super) fn next_machine(&mut self, machine: Option<String>) {
        let last = self.numbers.last;
        *self = Self { numbers: Numbers { machine, last, new: Vec::new() }, ..Self::default() };
    }

    /// Takes what has to be named before it is used.
    pub(super) fn take_new(&mut self) -> Vec<New> {
        std::mem::take(&mut self.numbers.new)
    }

    /// The creation that is under way on a thread, taken from it.
    pub(super) fn take_creation(&mut self, id: ClientId) -> Option<(&mut Thread, String, u64)> {
        let thread = self.processes.get_mut(&id.process)?.threads.get_mut(&id.thread)?;
        let (name, since) = thread.creating.take()?;
        Some((thread, name, since))
    }

    /// A new process of an id, whoever had that before. Answers its number.
    pub(super) fn add(&mut self, id: ProcessId, name: &str) -> u32 {
        let process = Process { lives: true, ..self.numbers.process(id, name) };
        let number = process.number;
        self.processes.insert(id, process);
        self.living += 1;
        number
    }

    /// The process that had an id last, if any is known.
    pub(super) fn known(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.processes.get_mut(&id)
    }

    /// The thread that has an id now.
    pub(super) fn thread(&mut self, id: ClientId) -> &mut Thread {
        let numbers = &mut self.numbers;
        let process = self.processes.entry(id.process).or_insert_with(|| {
            let name = match id.process {
                // Whose context is nobody's: what Callboard itself has to say.
                ProcessId(0) => "Callboard",
                ProcessId::SYSTEM => "System",
                _ => "process",
            };
            numbers.process(id.process, name)
        });
        let (of, has_main) = (process.number, &mut process.has_main);
        process
            .threads
            .entry(id.thread)
            .or_insert_with(|| numbers.thread(of, !std::mem::replace(has_main, true), id))
    }

    /// A thread that is being created: a new one where another had its id.
    pub(super) fn new_thread(&mut self, id: ClientId) -> Track {
        if self.thread(id).ended
            && let Some(process) = self.processes.get_mut(&id.process)
        {
            process.threads.remove(&id.thread);
        }
        self.thread(id).track
    }

    /// A thread has ended; it is remembered for a while.
    pub(super) fn end_thread(&mut self, id: ClientId) {
        let thread = self.thread(id);
        if std::mem::replace(&mut thread.ended, true) {
            return;
        }
        let number = thread.track.thread;
        self.gone_threads.push_back((id, number));
        if self.gone_threads.len() > REMEMBERED
            && let Some((oldest, number)) = self.gone_threads.pop_front()
            && let Some(process) = self.processes.get_mut(&oldest.process)
            && process
                .threads
                .get(&oldest.thread)
                .is_some_and(|thread| thread.track.thread == number && thread.creating.is_none())
        {
            process.threads.remove(&oldest.thread);
        }
    }

    /// A process has ended, if it lived; it is remembered for a while. Answers its number and name.
    pub(super) fn end(&mut self, id: ProcessId) -> Option<(u32, String)> {
        let process = self.processes.get_mut(&id).filter(|process| process.lives)?;
        process.lives = false;
        let ended = (process.number, process.name.clone());
        self.living = self.living.saturating_sub(1);
        self.gone.push_back((id, ended.0));
        if self.gone.len() > REMEMBERED
            && let Some((oldest, number)) = self.gone.pop_front()
            && self.processes.get(&oldest).is_some_and(|known| known.number == number)
            && self.creating(oldest).is_empty()
        {
            self.processes.remove(&oldest);
        }
        Some(ended)
    }

    /// The threads of a process on which a creation is under way.
    pub(super) fn creating(&self, process: ProcessId) -> BTreeMap<Track, ClientId> {
        let threads = self.processes.get(&process).into_iter().flat_map(|known| &known.threads);
        let creating = threads.filter(|(_, thread)| thread.creating.is_some());
        creating.map(|(&thread, on)| (on.track, ClientId { process, thread })).collect()
    }

    /// All threads on which a creation is under way, and the processes whose lifetimes are being shown, by their numbers.
    pub(super) fn unfinished(&self) -> (BTreeMap<Track, ClientId>, BTreeMap<u32, ProcessId>) {
        let mut threads = BTreeMap::new();
        let mut processes = BTreeMap::new();
        for (&process, known) in &self.processes {
            if known.lives {
                processes.insert(known.number, process);
            }
            threads.extend(self.creating(process));
        }
        (threads, processes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(process: u32, thread: u32) -> ClientId {
        ClientId { process: ProcessId(process), thread: ThreadId(thread) }
    }

    #[test]
    fn an_id_that_is_used_again_is_somebody_else() {
        let mut tracks = Tracks::default();
        tracks.add(ProcessId(8), "first");
        let first = tracks.thread(client(8, 12)).track;
        assert_eq!(first.process, first.thread, "the first thread is the main one");
        assert_eq!(tracks.new_thread(client(8, 12)), first, "its creation is told after its process's");
        let other = tracks.new_thread(client(8, 16));
        tracks.end_thread(client(8, 16));
        assert_eq!(tracks.thread(client(8, 16)).track, other, "spoken of after its end");
        assert_ne!(tracks.new_thread(client(8, 16)), other);
        assert_eq!(tracks.end(ProcessId(8)), Some((first.process, "first".into())));
        assert_eq!(tracks.end(ProcessId(8)), None);
        tracks.add(ProcessId(8), "second");
        let second = tracks.thread(client(8, 12)).track;
        tracks.next_machine(Some("B".into()));
        let third = tracks.thread(client(8, 12)).track;
        assert!(first < second && second < third, "{first:?} {second:?} {third:?}");
    }

    #[test]
    fn a_long_run_does_not_grow() {
        let mut tracks = Tracks::default();
        for id in 1..=10_000 {
            tracks.add(ProcessId(id * 4), "x");
            tracks.new_thread(client(id * 4, 4));
            tracks.new_thread(client(4, id * 4 + 4));
            tracks.end_thread(client(4, id * 4 + 4));
            tracks.take_new();
            tracks.end(ProcessId(id * 4));
        }
        assert_eq!(tracks.living, 0);
        assert!(tracks.processes.len() <= REMEMBERED + 1, "{}", tracks.processes.len());
        assert!(tracks.processes[&ProcessId(4)].threads.len() <= REMEMBERED + 1);
    }
}
