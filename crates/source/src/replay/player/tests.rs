use std::collections::BTreeSet;

use event::Image;
use nt_abi::{STATUS_ACCESS_DENIED, STATUS_UNSUCCESSFUL};
use proptest::prelude::*;

use super::*;
use crate::{Refusal, Termination, Ticket};

/// Refuses some processes, terminates some that load an image, and writes down what it is told.
#[derive(Default)]
struct Bench {
    refuses: BTreeSet<u32>,
    terminates: BTreeSet<u32>,
    terminated: Vec<Termination>,
    /// Events by batches; marks are among them.
    batches: Vec<Vec<String>>,
}

impl Bench {
    fn refusing(process: u32) -> Self {
        Self { refuses: BTreeSet::from([process]), ..Self::default() }
    }

    /// What a driver does about an event: whether it ends a process.
    fn ends(&self, event: &Event<'_>) -> bool {
        let process = event.process().0;
        match event.kind {
            EventKind::ProcessCreate(_) => self.refuses.contains(&process),
            EventKind::ImageLoad(_) => self.terminates.contains(&process),
            _ => false,
        }
    }

    /// All that it was told, in order.
    fn told(&self) -> Vec<&str> {
        self.batches.iter().flatten().map(String::as_str).collect()
    }
}

impl Recipient for Bench {
    fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
        let name = |event: &Event<'_>| {
            let kind = match event.kind {
                EventKind::ProcessCreate(_) => "create",
                EventKind::ProcessExit(_) => "exit",
                EventKind::ThreadCreate(_) => "thread",
                EventKind::ThreadExit(_) => "ends",
                EventKind::ImageLoad(_) => "image",
                _ => "other",
            };
            format!("{kind} {}", event.process())
        };
        self.batches.push(batch.iter().map(name).collect());
        let mut refused = None;
        for event in batch {
            let process = event.process();
            if !self.ends(event) {
                continue;
            }
            if creates(event) {
                refused.get_or_insert(Refusal { process, status: STATUS_ACCESS_DENIED, driver: None });
            } else {
                self.terminated.push(Termination { process, status: STATUS_UNSUCCESSFUL });
            }
        }
        Delivery::Done(Reply { refused, events: batch.len() })
    }

    fn begin(&mut self, batch: &Arc<Vec<Event<'static>>>) -> Delivery {
        let end = batch.iter().position(|event| self.ends(event)).map_or(batch.len(), |place| place + 1);
        self.deliver(&batch[..end])
    }

    fn finished(&mut self, _: Duration) -> Option<(Ticket, Delivery)> {
        None
    }

    fn would_not_have_happened(&mut self, _: Time, process: ProcessId, because: ProcessId) {
        self.batches.push(vec![format!("doubt {process} {because}")]);
    }

    fn terminated(&mut self) -> Vec<Termination> {
        std::mem::take(&mut self.terminated)
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

fn image(process: u32) -> Event<'static> {
    let kind = EventKind::ImageLoad(Image { process: ProcessId(process), ..Image::default() });
    Event { time: Time(2), context: client(process), kind, conditions: Conditions::default() }
}

fn story() -> [Event<'static>; 7] {
    [create(8, 4), create(12, 8), create(16, 12), exit(8), exit(12), create(12, 4), create(20, 12)]
}

/// Plays a story; `alone` each event in a batch of its own.
fn play(story: &[Event<'static>], to: &mut dyn Recipient, withhold: bool, alone: bool) -> Played {
    let mut player = Player::new(Play { withhold, speed: None });
    for event in story {
        player.play(event.clone(), to).unwrap();
        if alone {
            player.flush(to).unwrap();
        }
    }
    player.flush(to).unwrap();
    player.played()
}

#[test]
fn what_a_refused_process_and_its_descendants_did_would_not_have_happened() {
    let mut bench = Bench::refusing(8);
    let played = play(&story(), &mut bench, false, false);
    assert_eq!(
        bench.batches,
        [
            vec!["create 8"],
            vec!["doubt 8 8"],
            vec!["doubt 12 8"],
            vec!["create 12"],
            vec!["doubt 16 8"],
            // The second 12 is another process.
            vec!["create 16", "exit 8", "exit 12", "create 12", "create 20"]
        ]
    );
    let expected = Played { events: 7, refused: 1, doubtful_processes: 2, doubtful: 4, ..Played::default() };
    assert_eq!(played, expected);
}

#[test]
fn what_a_terminated_process_did_after_that_would_not_have_happened() {
    let mut bench = Bench { terminates: BTreeSet::from([8]), ..Bench::default() };
    let played = play(&[create(8, 4), image(8), image(8), create(12, 8), exit(8)], &mut bench, false, false);
    assert_eq!(
        bench.batches,
        [
            vec!["create 8", "image 8"],
            vec!["doubt 8 8"],
            vec!["image 8"],
            vec!["doubt 12 8"],
            vec!["create 12", "exit 8"],
        ]
    );
    let expected =
        Played { events: 5, terminated: 2, doubtful_processes: 1, doubtful: 3, ..Played::default() };
    assert_eq!(played, expected, "the driver terminates it again at its next image");
}

/// Lets a batch that was begun wait until somebody waits for it; then it is told as [`Bench`] tells it.
#[derive(Default)]
struct Later {
    bench: Bench,
    begun: Option<Arc<Vec<Event<'static>>>>,
    /// So many batches until it is gone.
    left: Option<usize>,
}

impl Recipient for Later {
    fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
        assert!(self.begun.is_none(), "one batch at a time");
        self.bench.deliver(batch)
    }

    fn begin(&mut self, batch: &Arc<Vec<Event<'static>>>) -> Delivery {
        assert!(self.begun.replace(Arc::clone(batch)).is_none(), "one batch at a time");
        Delivery::Pending(Ticket(7))
    }

    fn done(&mut self, ticket: Ticket) -> Delivery {
        assert_eq!(ticket, Ticket(7));
        if let Some(left) = &mut self.left {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => return Delivery::Gone,
            }
        }
        let batch = self.begun.take().expect("something was begun");
        self.bench.begin(&batch)
    }

    /// So many of the last batch, if it is not the first.
    fn told(&mut self) -> usize {
        if self.bench.batches.is_empty() { 0 } else { 7 }
    }

    fn finished(&mut self, _: Duration) -> Option<(Ticket, Delivery)> {
        None
    }

    fn would_not_have_happened(&mut self, time: Time, process: ProcessId, because: ProcessId) {
        assert!(self.begun.is_none(), "what was told before stands before it");
        self.bench.would_not_have_happened(time, process, because);
    }

    fn terminated(&mut self) -> Vec<Termination> {
        self.bench.terminated()
    }
}

#[test]
fn each_event_is_told_or_counted_when_there_is_nobody_any_more() {
    for left in 0..4 {
        let mut later = Later { left: Some(left), ..Later::default() };
        let mut player = Player::new(Play::default());
        let mut taken = 0;
        for event in (1..).flat_map(|process| [create(4 * process, 4), exit(4 * process)]) {
            taken += 1;
            if player.play(event, &mut later).is_err() {
                break;
            }
        }
        let played = player.played();
        let told = if left == 0 { 0 } else { 7 };
        assert_eq!((played.events, played.undelivered), (left as u64 * 512 + told, 1024 - told));
        assert_eq!(taken, played.events + played.undelivered);
    }
}

#[test]
fn r_veto_07_where_that_is_withheld_the_refused_process_ends_at_once() {
    let mut bench = Bench::refusing(8);
    let played = play(&story(), &mut bench, true, false);
    assert_eq!(
        bench.told(),
        ["create 8", "thread 8", "ends 8", "exit 8", "doubt 12 8", "doubt 16 8", "create 12", "create 20"]
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

/// What happens on a machine of few processes, so that their ids are used again.
fn happens() -> impl Strategy<Value = Event<'static>> {
    let id = (1..12_u32).prop_map(|id| 4 * id);
    (id.clone(), id, 0..8_u8).prop_map(|(process, other, what)| match what {
        0..2 => create(process, other),
        2..4 => exit(process),
        _ => image(process),
    })
}

proptest! {
    /// The reference tells of one event at a time.
    #[test]
    fn whatever_is_told_together_comes_to_the_same(
        story in proptest::collection::vec(happens(), 0..1500),
        refuses in proptest::collection::btree_set((1..12_u32).prop_map(|id| 4 * id), 0..4),
        terminates in proptest::collection::btree_set((1..12_u32).prop_map(|id| 4 * id), 0..2),
        withhold: bool,
    ) {
        let bench = || Bench { refuses: refuses.clone(), terminates: terminates.clone(), ..Bench::default() };
        let (mut alone, mut together, mut later) = (bench(), bench(), Later { bench: bench(), ..Later::default() });
        let expected = play(&story, &mut alone, withhold, true);
        prop_assert_eq!(play(&story, &mut together, withhold, false), expected);
        prop_assert_eq!(together.told(), alone.told());
        let mut player = Player::new(Play { withhold, speed: None });
        for chunk in story.chunks(600) {
            player.play_all(chunk.to_vec(), &mut later).unwrap();
        }
        player.flush(&mut later).unwrap();
        prop_assert_eq!(player.played(), expected);
        prop_assert_eq!(later.bench.told(), alone.told());
    }
}
