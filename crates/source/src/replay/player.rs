//! What happened on a recorded machine, delivered to a bench.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{
    ClientId, Conditions, Event, EventKind, Process, ProcessExit, ProcessId, Thread, ThreadExit, ThreadId,
    Time,
};
use nt_abi::NTSTATUS;

use crate::{Delivery, Recipient, Reply};

/// How many events are gathered for a batch.
const BATCH: usize = 512;
/// So many at least, where drivers end batches early.
const LEAST: usize = 32;

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

/// What is known of a process that lives.
#[derive(Clone, Copy, Debug)]
struct Life {
    first_thread: ThreadId,
    /// Because of which process what it does would not have happened.
    because: Option<ProcessId>,
}

/// Delivers events in batches. While drivers are told of a batch, the next one is gathered.
///
/// A batch is done where a process came to an end that lives on in the recording, so that what follows is not delivered before
/// it is known whether it is to be: what was decided of it is taken back, and decided anew.
#[derive(Debug)]
pub struct Player {
    play: Play,
    /// Events of which nothing is decided yet.
    next: VecDeque<Event<'static>>,
    /// How many of them the next batch has at most. What is taken back is work in vain.
    most: usize,
    /// Events that are delivered, or will be together.
    batch: Arc<Vec<Event<'static>>>,
    /// How far the delivery of the batch is, where it has begun.
    begun: Option<Delivery>,
    /// What was decided of the batch, as it is to be taken back: each with how many events of the batch were before.
    decided: Vec<(usize, Undo)>,
    processes: HashMap<ProcessId, Life>,
    /// How many of them do what would not have happened.
    doubts: usize,
    played: Played,
    began: Option<(Instant, Time)>,
}

/// How something that was decided is taken back.
#[derive(Debug)]
enum Undo {
    /// A process came or went: what was known of it before.
    Life(ProcessId, Option<Life>),
    /// An event would not have happened.
    Doubt,
    /// An event is withheld.
    Withheld(Box<Event<'static>>),
}

impl Player {
    /// Nothing played yet.
    pub fn new(play: Play) -> Self {
        Self {
            play,
            next: VecDeque::new(),
            most: BATCH,
            batch: Arc::default(),
            begun: None,
            decided: Vec::new(),
            processes: HashMap::new(),
            doubts: 0,
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
        let waited = self.wait(event.time, to);
        self.next.push_back(event);
        if waited.is_err() {
            self.undelivered();
            return waited;
        }
        if self.next.len() >= self.most { self.turn(to) } else { Ok(()) }
    }

    /// Plays events that follow each other.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn play_all(&mut self, events: Vec<Event<'static>>, to: &mut dyn Recipient) -> Result<(), Gone> {
        if self.play.speed.is_none() && self.next.is_empty() && self.most == BATCH && events.len() >= BATCH {
            // They are a batch already.
            self.next = events.into();
            return self.turn(to);
        }
        let mut events = events.into_iter();
        let played = events.try_for_each(|event| self.play(event, to));
        self.played.undelivered += events.len() as u64;
        played
    }

    /// Delivers what waits for a batch to be full, and waits until drivers have been told of it.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn flush(&mut self, to: &mut dyn Recipient) -> Result<(), Gone> {
        while !self.next.is_empty() || self.begun.is_some() {
            self.turn(to)?;
        }
        Ok(())
    }

    /// It is the next batch's turn.
    fn turn(&mut self, to: &mut dyn Recipient) -> Result<(), Gone> {
        let told = self.settle(to).and_then(|()| self.decide(to));
        if told.is_err() {
            self.undelivered();
        }
        told.map(|()| self.begin(to))
    }

    /// Nobody will be told of what comes next.
    fn undelivered(&mut self) {
        self.played.undelivered += self.next.len() as u64;
        self.next.clear();
    }

    /// Decides what is delivered of what comes next. Nothing is being delivered at the moment.
    fn decide(&mut self, to: &mut dyn Recipient) -> Result<(), Gone> {
        while !self.gather(to) {
            self.begin(to);
            self.settle(to)?;
        }
        Ok(())
    }

    /// Gathers a batch. `false` where it has to be delivered before anything is decided of what follows.
    fn gather(&mut self, to: &mut dyn Recipient) -> bool {
        if self.doubts == 0 && (self.most == BATCH || self.next.len() <= self.most) {
            // Most recordings never come to more than this.
            let batch = Vec::from(std::mem::take(&mut self.next));
            batch.iter().enumerate().for_each(|(place, event)| self.live(place, event, None));
            self.batch = Arc::new(batch);
            return true;
        }
        let mut batch = Vec::with_capacity(self.next.len().min(self.most));
        while batch.len() < self.most
            && let Some(event) = self.next.pop_front()
        {
            let because = self.because(&event);
            if let (true, Some(because)) = (creates(&event), because) {
                if !batch.is_empty() || !self.decided.is_empty() {
                    self.next.push_front(event);
                    self.batch = Arc::new(batch);
                    return false;
                }
                self.played.doubtful_processes += 1;
                to.would_not_have_happened(event.time, event.process(), because);
            }
            self.live(batch.len(), &event, because);
            self.played.doubtful += u64::from(because.is_some());
            if because.is_some() && self.play.withhold {
                self.played.withheld += 1;
                self.decided.push((batch.len(), Undo::Withheld(Box::new(event))));
                continue;
            }
            if because.is_some() {
                self.decided.push((batch.len(), Undo::Doubt));
            }
            batch.push(event);
        }
        self.batch = Arc::new(batch);
        true
    }

    /// Notes what an event says of the life of processes; `place` of the batch's events are before it.
    fn live(&mut self, place: usize, event: &Event<'_>, because: Option<ProcessId>) {
        let (process, life) = match &event.kind {
            EventKind::ProcessCreate(process)
            | EventKind::ProcessPresent(process)
            | EventKind::ProcessClone(process) => {
                (process.process, Some(Life { first_thread: process.first_thread, because }))
            }
            EventKind::ProcessExit(exit) => (exit.process, None),
            _ => return,
        };
        let before = self.set(process, life);
        self.decided.push((place, Undo::Life(process, before)));
    }

    /// Sets what is known of a process; answers what was.
    fn set(&mut self, process: ProcessId, life: Option<Life>) -> Option<Life> {
        let is_doubtful = |life: Option<Life>| usize::from(life.is_some_and(|life| life.because.is_some()));
        let before = match life {
            Some(life) => self.processes.insert(process, life),
            None => self.processes.remove(&process),
        };
        self.doubts = self.doubts + is_doubtful(life) - is_doubtful(before);
        before
    }

    /// Begins to deliver what is in the batch by now.
    fn begin(&mut self, to: &mut dyn Recipient) {
        self.played.events += self.batch.len() as u64;
        self.begun = if self.batch.is_empty() {
            // Where all is withheld there is nobody to wait for.
            self.decided.clear();
            None
        } else {
            Some(to.begin(&self.batch))
        };
    }

    /// Waits for the batch that was begun, and draws the conclusions.
    fn settle(&mut self, to: &mut dyn Recipient) -> Result<(), Gone> {
        let Some(begun) = self.begun.take() else { return Ok(()) };
        let batch = std::mem::take(&mut self.batch);
        let reply = match reply(begun, to) {
            Ok(reply) => reply,
            Err(gone) => {
                let untold = (batch.len() - to.told().min(batch.len())) as u64;
                self.played.events -= untold;
                self.played.undelivered += untold;
                return Err(gone);
            }
        };
        let terminated = to.terminated();
        if reply.events >= batch.len() && reply.refused.is_none() && terminated.is_empty() {
            self.decided.clear();
            self.most = (2 * self.most).min(BATCH);
            return Ok(());
        }
        // Nobody else has it any more: all was handed over.
        let mut told = Arc::unwrap_or_clone(batch);
        let rest = told.split_off(reply.events.min(told.len()));
        self.most = (2 * told.len()).clamp(LEAST, BATCH);
        self.take_back(told.len(), rest);
        if let Some(refused) = reply.refused {
            self.played.refused += 1;
            self.end((refused.process, refused.status), told.last(), true, to)?;
        }
        for termination in terminated {
            self.played.terminated += 1;
            self.end((termination.process, termination.status), told.last(), false, to)?;
        }
        Ok(())
    }

    /// Takes back what was decided behind the first `told` events of a batch. The `rest` of them comes next.
    fn take_back(&mut self, told: usize, mut rest: Vec<Event<'static>>) {
        self.played.events -= rest.len() as u64;
        while let Some((place, undo)) = self.decided.pop_if(|(place, _)| *place >= told) {
            // What came behind `place` of the batch's events comes before the others again.
            while rest.len() > place - told
                && let Some(event) = rest.pop()
            {
                self.next.push_front(event);
            }
            match undo {
                Undo::Life(process, before) => drop(self.set(process, before)),
                Undo::Doubt => self.played.doubtful -= 1,
                Undo::Withheld(event) => {
                    self.played.doubtful -= 1;
                    self.played.withheld -= 1;
                    self.next.push_front(*event);
                }
            }
        }
        while let Some(event) = rest.pop() {
            self.next.push_front(event);
        }
        self.decided.clear();
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
        let (Some(&life), Some(last)) = (self.processes.get(&process), last) else { return Ok(()) };
        if life.because.is_some() {
            return Ok(());
        }
        self.set(process, Some(Life { because: Some(process), ..life }));
        let thread = ClientId { process, thread: life.first_thread };
        if !self.play.withhold {
            to.would_not_have_happened(last.time, process, process);
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
        let ended = |process: ProcessId| self.processes.get(&process).and_then(|life| life.because);
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
            if !to.pauses(early) {
                return Err(Gone);
            }
        }
        Ok(())
    }
}

/// Whether something is told of a process for the first time.
fn creates(event: &Event<'_>) -> bool {
    matches!(
        event.kind,
        EventKind::ProcessCreate(_) | EventKind::ProcessPresent(_) | EventKind::ProcessClone(_)
    )
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
mod tests;
