//! A bench that takes the events of a source, and hands all records to one sink.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use event::{Body, Event, Level, Record, Time};
use host::Bench;
use report::{Sink, SinkError};
use source::live::Observer;
use source::{Delivery, Recipient, Refusal, Reply, Termination, Ticket};
use telemetry::recording::Writer;

/// How long a pause lasts before somebody looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);
/// Of a bench that goes on until its source ends.
static NEVER: AtomicBool = AtomicBool::new(false);

/// The memory of traced processes.
#[derive(Debug)]
struct TracedMemory;

impl host::UserMemory for TracedMemory {
    fn read(&mut self, process: event::ProcessId, address: u64, page: &mut [u8; 4096]) -> bool {
        source::live::read_memory(process, address, page)
    }
}

/// The bench, and where its records go: borrowed, or held for good.
enum Parts<'a> {
    Borrowed(&'a mut Bench, &'a mut dyn Sink),
    Owned(Box<Bench>, Box<dyn Sink>),
}

impl Parts<'_> {
    fn get(&mut self) -> (&mut Bench, &mut dyn Sink) {
        match self {
            Self::Borrowed(bench, sink) => (bench, *sink),
            Self::Owned(bench, sink) => (bench, &mut **sink),
        }
    }

    fn bench(&mut self) -> &mut Bench {
        self.get().0
    }

    fn sink(&mut self) -> &mut dyn Sink {
        self.get().1
    }
}

/// A bench behind a source.
pub struct LiveBench<'a> {
    parts: Parts<'a>,
    notes: Notes,
    /// Processes that drivers have terminated, until the source ends them.
    terminated: Vec<Termination>,
    /// Whether the records were fetched since the source last asked for those.
    fetched: bool,
    /// Whether some were taken out of the host, and are to be handed over while it has something else to do.
    late: bool,
    /// The moment of the record that was handed over last.
    handed: Time,
    /// How many events of the batch that was begun last were among them.
    told: usize,
    /// The moment of what was delivered last, where a recording says what time it is.
    now: Option<Time>,
    /// Whether nothing more is to be delivered.
    is_over: &'a AtomicBool,
    /// Where events are recorded, until that fails.
    recording: Option<Writer<File>>,
    /// Why it did.
    recording_error: Option<io::Error>,
    /// The first thing the sink could not write.
    error: Option<SinkError>,
}

impl<'a> LiveBench<'a> {
    /// Delivers to `bench`, and gives its records to `sink`.
    pub fn new(bench: &'a mut Bench, sink: &'a mut dyn Sink) -> Self {
        bench.set_user_memory(Box::new(TracedMemory));
        Self::with_time(Parts::Borrowed(bench, sink), None)
    }

    /// The same for a recording, which begins at `start` and in which nobody has any memory. Once it `is_over` there is nothing
    /// to wait for.
    pub fn recorded(bench: Bench, sink: Box<dyn Sink>, start: Time, is_over: &'static AtomicBool) -> Self {
        Self { is_over, ..Self::with_time(Parts::Owned(Box::new(bench), sink), Some(start)) }
    }

    fn with_time(parts: Parts<'a>, now: Option<Time>) -> Self {
        Self {
            parts,
            notes: Notes::default(),
            terminated: Vec::new(),
            fetched: false,
            late: false,
            handed: Time::default(),
            told: 0,
            is_over: &NEVER,
            now,
            recording: None,
            recording_error: None,
            error: None,
        }
    }

    /// The bench itself, to load drivers into.
    pub fn bench(&mut self) -> &mut Bench {
        self.parts.bench()
    }

    /// Records all events from now on, each batch before drivers are told of it.
    pub fn record(&mut self, recording: Writer<File>) {
        self.recording = Some(recording);
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// The first thing that could not be written: what came before it is in the file.
    pub fn end_recording(&mut self) -> io::Result<()> {
        match (self.recording_error.take(), self.recording.take()) {
            (Some(error), _) => Err(error),
            (None, Some(recording)) => recording.finish().map(drop),
            (None, None) => Ok(()),
        }
    }

    fn write_recording(&mut self, write: impl FnOnce(&mut Writer<File>) -> io::Result<()>) {
        if let Some(recording) = &mut self.recording
            && let Err(error) = write(recording)
        {
            self.recording = None;
            let text = format!("the recording ends here, as it cannot be written: {error}");
            self.recording_error = Some(error);
            self.add(Body::Note { level: Level::Warning, text: text.into() });
        }
    }

    /// Hears what the source has to say; its notes come out in the stream of records.
    pub fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// Hands over what the bench has recorded, and what the source had to say.
    pub fn drain(&mut self) {
        for (level, text) in self.notes.0.take() {
            self.add(Body::Note { level, text: text.into() });
        }
        self.fetched = true;
        self.hand_over(Bench::drain);
    }

    /// Hands over what was left for a time at which the drivers have something to do.
    fn hand_over_late(&mut self) {
        if self.late {
            self.hand_over(Bench::hand_over_pulled);
        }
    }

    fn hand_over(&mut self, which: impl FnOnce(&mut Bench, &mut dyn FnMut(&Record<'_>))) {
        self.late = false;
        let (error, terminated) = (&mut self.error, &mut self.terminated);
        let (handed, told) = (&mut self.handed, &mut self.told);
        let (bench, sink) = self.parts.get();
        which(bench, &mut |record| {
            *handed = record.time;
            match record.body {
                Body::Event(_) => *told += 1,
                Body::Termination { process, status, .. } => terminated.push(Termination { process, status }),
                _ => {}
            }
            if let Err(failed) = sink.record(record) {
                error.get_or_insert(failed);
            }
        });
    }

    /// Adds a record of Callboard's own.
    pub fn add(&mut self, body: Body<'_>) {
        let time = self.now.unwrap_or_else(Time::now);
        self.add_at(time, body);
    }

    fn add_at(&mut self, time: Time, body: Body<'_>) {
        self.hand_over_late();
        let record = Record { time, context: event::ClientId::default(), body };
        if let Err(failed) = self.parts.sink().record(&record) {
            self.error.get_or_insert(failed);
        }
    }

    /// Unloads every driver and hands over the last records. `true` when the host had no trouble.
    pub fn finish(&mut self) -> bool {
        let finished = self.parts.bench().finish().is_ok();
        self.drain();
        finished
    }

    /// Hands over all records by now, for one who looks at them while nothing happens.
    pub fn flush(&mut self) {
        self.drain();
        if let Err(failed) = self.parts.sink().flush() {
            self.error.get_or_insert(failed);
        }
    }

    /// Ends the stream, and returns the first thing that could not be written.
    ///
    /// # Errors
    /// What the sink said first.
    pub fn close(mut self) -> Result<(), SinkError> {
        self.drain();
        self.add(Body::End);
        if let Err(failed) = self.parts.sink().finish() {
            self.error.get_or_insert(failed);
        }
        self.error.map_or(Ok(()), Err)
    }

    /// Notes what is about to be delivered.
    fn note(&mut self, batch: &[Event<'_>]) {
        if let (Some(now), Some(last)) = (&mut self.now, batch.last()) {
            *now = last.time.max(*now);
        }
        self.write_recording(|recording| batch.iter().try_for_each(|event| recording.push(event)));
    }
}

impl Recipient for LiveBench<'_> {
    fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
        self.note(batch);
        let delivery = self.parts.bench().deliver(batch);
        self.drain();
        in_source(delivery)
    }

    fn begin(&mut self, batch: &Arc<Vec<Event<'static>>>) -> Delivery {
        self.note(batch);
        let begun = self.parts.bench().begin_delivery(batch);
        self.hand_over_late();
        self.told = 0;
        if !matches!(begun, host::Delivery::Pending(_)) {
            self.drain();
        }
        in_source(begun)
    }

    fn done(&mut self, ticket: Ticket) -> Delivery {
        let delivery = self.parts.bench().done(host::Ticket(ticket.0));
        match delivery {
            // Nobody's plans depend on what it has recorded.
            host::Delivery::Done(done) if done.refused.is_none() && !done.terminated => {
                self.parts.bench().pull();
                (self.late, self.fetched) = (true, true);
            }
            _ => self.drain(),
        }
        in_source(delivery)
    }

    fn told(&mut self) -> usize {
        self.told
    }

    fn finished(&mut self, wait: Duration) -> Option<(Ticket, Delivery)> {
        let finished = self.parts.bench().finished(wait);
        if finished.is_none() {
            self.write_recording(Writer::tick);
        }
        self.drain();
        finished.map(|(ticket, delivery)| (Ticket(ticket.0), in_source(delivery)))
    }

    fn pauses(&mut self, time: Duration) -> bool {
        self.flush();
        let began = Instant::now();
        while !self.is_over.load(Ordering::Relaxed) {
            let left = time.saturating_sub(began.elapsed());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(LOOK));
        }
        false
    }

    fn would_not_have_happened(&mut self, time: Time, process: event::ProcessId, because: event::ProcessId) {
        self.hand_over_late();
        self.add_at(time.max(self.handed), Body::Doubt { process, because });
    }

    fn terminated(&mut self) -> Vec<Termination> {
        // After a batch they have just been fetched.
        if !self.fetched {
            self.drain();
        }
        self.fetched = false;
        std::mem::take(&mut self.terminated)
    }
}

/// What a host says of a delivery, in the words of sources.
fn in_source(delivery: host::Delivery) -> Delivery {
    match delivery {
        host::Delivery::Done(done) => Delivery::Done(Reply {
            refused: done.refused.map(|refused| Refusal {
                process: refused.process,
                status: refused.status,
                driver: refused.driver,
            }),
            events: done.events,
        }),
        host::Delivery::Pending(ticket) => Delivery::Pending(Ticket(ticket.0)),
        host::Delivery::Gone => Delivery::Gone,
    }
}

/// What a live source has to say, until the stream of records takes it.
#[derive(Clone, Debug, Default)]
pub struct Notes(Rc<RefCell<Vec<(Level, String)>>>);

impl Observer for Notes {
    fn note(&mut self, level: Level, text: &str) {
        self.0.borrow_mut().push((level, text.to_owned()));
    }
}
