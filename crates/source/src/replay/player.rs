//! What happened on a recorded machine, delivered to a bench.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use event::{
    ClientId, Conditions, Event, EventKind, Process, ProcessExit, ProcessId, Thread, ThreadExit, ThreadId,
    Time,
};
use nt_abi::NTSTATUS;

use crate::{Delivery, Recipient, Reply};

/// How many events go in one batch at most.
const BATCH: usize = 256;

/// How a recording is played.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Play {
    /// Whether what would not have happened is not delivered.
    pub withhold: bool,
    /// How many times faster than it happened; as fast as it goes where `None`.
    pub speed: Option<f64>,
}

/// What was played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Events that were delivered.
    pub events: u64,
    /// Processes whose creation was refused.
    pub refused: u64,
    /// Processes that drivers have terminated.
    pub terminated: u64,
    /// Processes that would not have been created, as one that they descend from was refused or terminated.
    pub doubtful_processes: u64,
    /// Events that would not have happened.
    pub doubtful: u64,
    /// How many of them were withheld.
    pub withheld: u64,
    /// Events that were not delivered, as there was nobody to deliver to any more.
    pub undelivered: u64,
}

impl Played {
    /// Adds what was played of another machine.
    pub fn add(&mut self, other: Self) {
        self.events += other.events;
        self.refused += other.refused;
        self.terminated += other.terminated;
        self.doubtful_processes += other.doubtful_processes;
        self.doubtful += other.doubtful;
        self.withheld += other.withheld;
        self.undelivered += other.undelivered;
    }
}

/// There is nobody to deliver to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is nobody to deliver to any more")]
pub struct Gone;

/// Delivers events in batches. A batch ends with a creation, so that its verdict is known before what follows is delivered.
///
/// While drivers are told of a batch, the next one is gathered: what becomes of its events is decided once the verdict on
/// the one before is there.
#[derive(Debug)]
pub struct Player {
    play: Play,
    /// The events of the next batch, of which nothing is decided yet.
    next: Vec<Event<'static>>,
    batch: Vec<Event<'static>>,
    /// How far the delivery of the batch is, where it has begun.
    begun: Option<Delivery>,
    /// Processes that live, with their first threads; and because of which one what they do would not have happened.
    processes: HashMap<ProcessId, (ThreadId, Option<ProcessId>)>,
    played: Played,
    began: Option<(Instant, Time)>,
}

impl Player {
    /// Nothing played yet.
    pub fn new(play: Play) -> Self {
        Self {
            play,
            next: Vec::new(),
            batch: Vec::new(),
            begun: None,
            processes: HashMap::new(),
            played: Played::default(),
            began: None,
        }
    }

    /// What was played by now.
    pub fn played(&self) -> Played {
        self.played
    }

    /// Plays the next event.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn play(&mut self, event: Event<'static>, to: &mut dyn Recipient) -> Result<(), Gone> {
        self.wait(event.time, to)?;
        let creates = matches!(event.kind, EventKind::ProcessCreate(_));
        self.next.push(event);
        if creates || self.next.len() >= BATCH { self.turn(to) } else { Ok(()) }
    }

    /// Delivers what waits for a batch to be full, and waits until drivers have been told of it.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn flush(&mut self, to: &mut dyn Recipient) -> Result<(), Gone> {
        self.turn(to)?;
        self.settle(to)
    }

    /// It is the next batch's turn.
    fn turn(&mut self, to: &mut dyn Recipient) -> Result<(), Gone> {
        let mut next = std::mem::take(&mut self.next);
        let mut left = next.len();
        let mut told = self.settle(to);
        for event in next.drain(..) {
            told = told.and_then(|()| self.decide(event, to));
            left -= usize::from(told.is_ok());
        }
        self.next = next;
        if told.is_err() {
            self.played.undelivered += left as u64;
            return told;
        }
        self.begin(to);
        Ok(())
    }

    /// Decides whether an event is delivered.
    fn decide(&mut self, event: Event<'static>, to: &mut dyn Recipient) -> Result<(), Gone> {
        let because = self.because(&event);
        match &event.kind {
            EventKind::ProcessCreate(process)
            | EventKind::ProcessPresent(process)
            | EventKind::ProcessClone(process) => {
                self.processes.insert(process.process, (process.first_thread, because));
                if let Some(because) = because {
                    self.begin(to);
                    self.settle(to)?;
                    self.played.doubtful_processes += 1;
                    to.would_not_have_happened(process.process, because);
                }
            }
            EventKind::ProcessExit(exit) => {
                self.processes.remove(&exit.process);
            }
            _ => {}
        }
        if because.is_some() {
            self.played.doubtful += 1;
            if self.play.withhold {
                self.played.withheld += 1;
                return Ok(());
            }
        }
        self.batch.push(event);
        Ok(())
    }

    /// Begins to deliver what is in the batch by now.
    fn begin(&mut self, to: &mut dyn Recipient) {
        if !self.batch.is_empty() {
            self.played.events += self.batch.len() as u64;
            self.begun = Some(to.begin(&self.batch));
        }
    }

    /// Waits for the batch that was begun, and draws the conclusions.
    fn settle(&mut self, to: &mut dyn Recipient) -> Result<(), Gone> {
        let Some(begun) = self.begun.take() else { return Ok(()) };
        let batch = std::mem::take(&mut self.batch);
        let reply = reply(begun, to)?;
        if let Some(refused) = reply.refused {
            self.played.refused += 1;
            self.end((refused.process, refused.status), batch.last(), true, to)?;
        }
        for termination in to.terminated() {
            self.played.terminated += 1;
            self.end((termination.process, termination.status), batch.last(), false, to)?;
        }
        self.batch = batch;
        self.batch.clear();
        Ok(())
    }

    /// A process that would have ended here: it was refused, or a driver has terminated it. What the recording has of it is
    /// marked; where that is withheld, the process ends as it would have.
    fn end(
        &mut self,
        (process, status): (ProcessId, NTSTATUS),
        last: Option<&Event<'_>>,
        refused: bool,
        to: &mut dyn Recipient,
    ) -> Result<(), Gone> {
        let (Some((thread, ended)), Some(last)) = (self.processes.get_mut(&process), last) else {
            return Ok(());
        };
        let thread = ClientId { process, thread: *thread };
        if ended.replace(process).is_some() {
            return Ok(());
        }
        if !self.play.withhold {
            to.would_not_have_happened(process, process);
            return Ok(());
        }
        let event =
            |context, kind| Event { time: last.time, context, kind, conditions: Conditions::default() };
        let mut rest = Vec::new();
        if refused {
            // Whether NT comes to that is for the kernel to know (R-VETO-09).
            rest.push(event(last.context, EventKind::ThreadCreate(Thread::new(thread))));
        }
        rest.push(event(thread, EventKind::ThreadExit(ThreadExit { thread, status })));
        rest.push(event(thread, EventKind::ProcessExit(ProcessExit { process, status })));
        self.played.events += rest.len() as u64;
        reply(to.deliver(&rest), to).map(drop)
    }

    /// The process that was ended, where an event would therefore not have happened.
    fn because(&self, event: &Event<'_>) -> Option<ProcessId> {
        // Most recordings never come to that.
        if self.played.refused + self.played.terminated == 0 {
            return None;
        }
        let ended = |process: ProcessId| self.processes.get(&process).and_then(|(_, because)| *because);
        match &event.kind {
            EventKind::ProcessPresent(_) => None,
            EventKind::ProcessCreate(Process { parent, .. })
            | EventKind::ProcessClone(Process { parent, .. }) => {
                [*parent, event.context.process].into_iter().find_map(ended)
            }
            _ => [event.process(), event.context.process].into_iter().find_map(ended),
        }
    }

    /// Waits until an event's turn is, where a recording is not played as fast as it goes.
    fn wait(&mut self, time: Time, to: &mut dyn Recipient) -> Result<(), Gone> {
        let Some(speed) = self.play.speed else { return Ok(()) };
        let (began, first) = *self.began.get_or_insert((Instant::now(), time));
        let since = Duration::from_nanos(time.nanos_since(first));
        let due = Duration::try_from_secs_f64(since.as_secs_f64() / speed).unwrap_or(Duration::MAX);
        let early = due.saturating_sub(began.elapsed());
        if early > Duration::from_millis(1) {
            self.flush(to)?;
            to.pauses();
            std::thread::sleep(early);
        }
        Ok(())
    }
}

/// Waits for a delivery to be done.
fn reply(mut delivery: Delivery, to: &mut dyn Recipient) -> Result<Reply, Gone> {
    loop {
        match delivery {
            Delivery::Done(reply) => return Ok(reply),
            Delivery::Gone => return Err(Gone),
            Delivery::Pending(ticket) => delivery = to.done(ticket),
        }
    }
}

#[cfg(test)]
mod tests {
    use nt_abi::STATUS_ACCESS_DENIED;

    use super::*;
    use crate::{Refusal, Ticket};

    /// Refuses one process, and writes down what it is told.
    #[derive(Default)]
    struct Bench {
        refuses: u32,
        batches: Vec<Vec<String>>,
        marks: Vec<(u32, u32)>,
    }

    impl Recipient for Bench {
        fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
            let name = |event: &Event<'_>| {
                let kind = match event.kind {
                    EventKind::ProcessCreate(_) => "create",
                    EventKind::ProcessExit(_) => "exit",
                    EventKind::ThreadCreate(_) => "thread",
                    EventKind::ThreadExit(_) => "ends",
                    _ => "other",
                };
                format!("{kind} {}", event.process())
            };
            self.batches.push(batch.iter().map(name).collect());
            let refused = batch.iter().find_map(|event| {
                let create =
                    matches!(event.kind, EventKind::ProcessCreate(_)) && event.process().0 == self.refuses;
                create.then(|| Refusal {
                    process: event.process(),
                    status: STATUS_ACCESS_DENIED,
                    driver: None,
                })
            });
            Delivery::Done(Reply { refused })
        }

        fn finished(&mut self, _: Duration) -> Option<(Ticket, Delivery)> {
            None
        }

        fn would_not_have_happened(&mut self, process: ProcessId, because: ProcessId) {
            self.marks.push((process.0, because.0));
        }
    }

    fn client(process: u32) -> ClientId {
        ClientId { process: ProcessId(process), thread: ThreadId(process + 1) }
    }

    fn create(process: u32, parent: u32) -> Event<'static> {
        let kind = EventKind::ProcessCreate(Process {
            process: ProcessId(process),
            parent: ProcessId(parent),
            first_thread: client(process).thread,
            ..Process::default()
        });
        Event { time: Time(1), context: client(parent), kind, conditions: Conditions::default() }
    }

    fn exit(process: u32) -> Event<'static> {
        let kind = EventKind::ProcessExit(ProcessExit { process: ProcessId(process), status: NTSTATUS(0) });
        Event { time: Time(2), context: client(process), kind, conditions: Conditions::default() }
    }

    fn story() -> [Event<'static>; 7] {
        [create(8, 4), create(12, 8), create(16, 12), exit(8), exit(12), create(12, 4), create(20, 12)]
    }

    fn played(withhold: bool) -> (Bench, Played) {
        let mut bench = Bench { refuses: 8, ..Bench::default() };
        let mut player = Player::new(Play { withhold, speed: None });
        for event in story() {
            player.play(event, &mut bench).unwrap();
        }
        player.flush(&mut bench).unwrap();
        (bench, player.played())
    }

    #[test]
    fn what_a_refused_process_and_its_descendants_did_would_not_have_happened() {
        let (bench, played) = played(false);
        assert_eq!(bench.marks, [(8, 8), (12, 8), (16, 8)], "the second 12 is another process");
        assert_eq!(
            bench.batches,
            [
                vec!["create 8"],
                vec!["create 12"],
                vec!["create 16"],
                vec!["exit 8", "exit 12", "create 12"],
                vec!["create 20"]
            ]
        );
        let expected =
            Played { events: 7, refused: 1, doubtful_processes: 2, doubtful: 4, ..Played::default() };
        assert_eq!(played, expected);
    }

    /// Lets a batch that was begun wait until somebody waits for it; then it is told as [`Bench`] tells it.
    #[derive(Default)]
    struct Later {
        bench: Bench,
        begun: Option<Vec<Event<'static>>>,
        /// Whether it is gone.
        gone: bool,
    }

    impl Recipient for Later {
        fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
            assert!(self.begun.is_none(), "one batch at a time");
            self.bench.deliver(batch)
        }

        fn begin(&mut self, batch: &[Event<'_>]) -> Delivery {
            let batch = batch.iter().map(|event| event.clone().into_owned()).collect();
            assert!(self.begun.replace(batch).is_none(), "one batch at a time");
            Delivery::Pending(Ticket(7))
        }

        fn done(&mut self, ticket: Ticket) -> Delivery {
            assert_eq!(ticket, Ticket(7));
            match self.begun.take() {
                Some(_) if self.gone => Delivery::Gone,
                Some(batch) => self.bench.deliver(&batch),
                None => panic!("nothing was begun"),
            }
        }

        fn finished(&mut self, _: Duration) -> Option<(Ticket, Delivery)> {
            None
        }

        fn would_not_have_happened(&mut self, process: ProcessId, because: ProcessId) {
            assert!(self.begun.is_none(), "what was told before stands before it");
            self.bench.would_not_have_happened(process, because);
        }
    }

    #[test]
    fn what_is_gathered_while_a_batch_is_told_comes_to_the_same() {
        for withhold in [false, true] {
            let mut later = Later { bench: Bench { refuses: 8, ..Bench::default() }, ..Later::default() };
            let (bench, expected) = played(withhold);
            let mut player = Player::new(Play { withhold, speed: None });
            for event in story() {
                player.play(event, &mut later).unwrap();
            }
            player.flush(&mut later).unwrap();
            assert_eq!(player.played(), expected);
            assert_eq!((later.bench.batches, later.bench.marks), (bench.batches, bench.marks));
        }
    }

    #[test]
    fn each_event_is_told_or_counted_when_there_is_nobody_any_more() {
        let mut later = Later { gone: true, ..Later::default() };
        let mut player = Player::new(Play::default());
        let mut taken = 0;
        for event in story() {
            taken += 1;
            if player.play(event, &mut later).is_err() {
                break;
            }
        }
        let played = player.played();
        assert_eq!((played.events, played.undelivered, taken), (1, 1, 2));
    }

    #[test]
    fn r_veto_07_where_that_is_withheld_the_refused_process_ends_at_once() {
        let (bench, played) = played(true);
        assert_eq!(
            bench.batches,
            [vec!["create 8"], vec!["thread 8", "ends 8", "exit 8"], vec!["create 12"], vec!["create 20"]]
        );
        assert_eq!((played.doubtful, played.withheld, played.events), (4, 4, 6));
    }

    #[test]
    fn a_recording_takes_the_time_it_took_or_a_part_of_it() {
        let mut bench = Bench::default();
        let mut player = Player::new(Play { withhold: false, speed: Some(100.0) });
        let began = Instant::now();
        player.play(Event { time: Time(0), ..create(8, 4) }, &mut bench).unwrap();
        player.play(Event { time: Time(20_000_000), ..exit(8) }, &mut bench).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(20));
    }
}
