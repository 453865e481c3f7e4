//! What a walk costs: against a bare loop over the same indirect calls, and on two threads against one.
//!
//! `cargo bench -p callboard-notify` first prints a table of its own, then criterion's figures. The
//! table's two sides are measured turn by turn in one run and each reports its fastest round, so that the
//! ratio survives a machine that does other things meanwhile. Lines that begin with `{` are for programs.
#![expect(clippy::print_stdout, reason = "printing is what a benchmark does")]

#[path = "../tests/support/linux.rs"]
mod linux;

use criterion::Criterion;
use linux::Linux;
use notify::{Capacity, Domain, DuplicatePolicy, ProcessFlavour, ProcessTable, Request, Walker};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What an event hands to each routine; the routine leaves its mark on it, as a driver sets a status.
#[repr(C, align(128))]
#[derive(Default)]
struct Event {
    count: u64,
    last: usize,
}

type Routine = extern "win64" fn(process: *mut Event, id: usize, info: *const Event);

/// One of 64 distinct routines.
extern "win64" fn routine<const N: usize>(process: *mut Event, id: usize, _info: *const Event) {
    // SAFETY: every caller below passes an event that it alone has.
    let event = unsafe { &mut *process };
    event.count += 1;
    event.last = id ^ N;
}

macro_rules! routines {
    ($($n:literal)*) => { [$(routine::<$n> as Routine),*] };
}

const ROUTINES: [Routine; 64] = routines!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
);

/// The bare loop's table: addresses that the compiler cannot know.
fn bare_table(routines: usize) -> Vec<AtomicUsize> {
    ROUTINES[..routines].iter().map(|routine| AtomicUsize::new(black_box(*routine as usize))).collect()
}

fn notify_table(domain: &Arc<Domain<Linux>>, routines: usize) -> ProcessTable<Linux> {
    let table = ProcessTable::new(domain, Capacity::SIXTY_FOUR, DuplicatePolicy::Reject);
    for routine in &ROUTINES[..routines] {
        let routine = *routine as usize;
        table.register(Request { routine, flavour: ProcessFlavour::Ex, flags: 0, owner: 1 }).expect("64 fit");
    }
    table
}

#[inline(always)]
fn invoke(routine: usize, event: &mut Event, id: usize) {
    // SAFETY: every address in either table is one of `ROUTINES`.
    let routine: Routine = unsafe { std::mem::transmute(routine) };
    let process: *mut Event = event;
    routine(process, id, process);
}

/// One event, bare. Never inlined, like its counterpart: a kernel delivers an event by a call.
#[inline(never)]
fn bare_event(table: &[AtomicUsize], event: &mut Event, id: usize) {
    for routine in table {
        invoke(routine.load(Ordering::Relaxed), event, id);
    }
}

/// One event, by a walk.
#[inline(never)]
fn walk_event(table: &ProcessTable<Linux>, walker: &Walker<Linux>, event: &mut Event, id: usize) {
    table.walk(walker, move |found| invoke(found.routine, event, id));
}

/// `events` times the bare loop, inlined into the loop over events: the harshest comparison, in which all
/// that stays the same from event to event is kept in registers.
#[inline(never)]
fn bare_inlined(table: &[AtomicUsize], event: &mut Event, events: usize) {
    for id in 0..events {
        for routine in table {
            invoke(routine.load(Ordering::Relaxed), event, id);
        }
    }
}

/// `events` walks, inlined likewise.
#[inline(never)]
fn walk_inlined(table: &ProcessTable<Linux>, walker: &Walker<Linux>, event: &mut Event, events: usize) {
    for id in 0..events {
        let event = &mut *event;
        table.walk(walker, move |found| invoke(found.routine, event, id));
    }
}

/// Nanoseconds that `work` takes per event.
fn timed(events: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e9 / events as f64
}

/// The two sides of one comparison, turn by turn; the fastest round of each counts.
fn compare(name: &str, events: usize, mut bare: impl FnMut(), mut walk: impl FnMut()) {
    let (mut fastest_bare, mut fastest_walk) = (f64::MAX, f64::MAX);
    for _ in 0..2000 {
        fastest_bare = fastest_bare.min(timed(events, &mut bare));
        fastest_walk = fastest_walk.min(timed(events, &mut walk));
    }
    let ratio = fastest_walk / fastest_bare;
    println!(
        "{name:<15} bare {fastest_bare:7.2} ns  walk {fastest_walk:7.2} ns  ratio {ratio:.2}  (goal 1.25)"
    );
    println!(
        r#"{{"bench":"{name}","bare_ns":{fastest_bare:.3},"walk_ns":{fastest_walk:.3},"ratio":{ratio:.3},"goal":1.25}}"#
    );
}

fn ratios(domain: &Arc<Domain<Linux>>) {
    let walker = Walker::new(domain);
    for routines in [1, 8, 64] {
        let (bare_table, table) = (bare_table(routines), notify_table(domain, routines));
        let (mut one, mut other) = (Event::default(), Event::default());
        let events = 20_000 / routines;
        compare(
            &format!("walk/{routines}"),
            events,
            || (0..events).for_each(|id| bare_event(&bare_table, &mut one, id)),
            || (0..events).for_each(|id| walk_event(&table, &walker, &mut other, id)),
        );
        compare(
            &format!("walk/{routines}/inlined"),
            events,
            || bare_inlined(&bare_table, &mut one, events),
            || walk_inlined(&table, &walker, &mut other, events),
        );
        assert_eq!(one.count, other.count, "both sides called everything");
    }
}

/// Events per second of `threads` threads that walk one table at once, in the best of many short rounds.
fn throughput(domain: &Arc<Domain<Linux>>, table: &ProcessTable<Linux>, threads: usize) -> f64 {
    let (go, stop, events) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicU64::new(0));
    let mut elapsed = Duration::ZERO;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (walker, mut event, mut done) = (Walker::new(domain), Event::default(), 0);
                go.fetch_add(1, Ordering::AcqRel);
                while go.load(Ordering::Acquire) <= threads {
                    std::hint::spin_loop();
                }
                while !stop.load(Ordering::Relaxed) {
                    (0..100).for_each(|id| walk_event(table, &walker, &mut event, id));
                    done += 100;
                }
                events.fetch_add(done, Ordering::Relaxed);
            });
        }
        while go.load(Ordering::Acquire) < threads {
            std::thread::yield_now();
        }
        let start = Instant::now();
        go.fetch_add(1, Ordering::AcqRel);
        std::thread::sleep(Duration::from_millis(3));
        stop.store(true, Ordering::Relaxed);
        elapsed += start.elapsed();
    });
    events.into_inner() as f64 / elapsed.as_secs_f64()
}

fn scaling(domain: &Arc<Domain<Linux>>) {
    let table = notify_table(domain, 8);
    let (mut one, mut two) = (0_f64, 0_f64);
    for _ in 0..300 {
        one = one.max(throughput(domain, &table, 1));
        two = two.max(throughput(domain, &table, 2));
    }
    let ratio = two / one;
    println!(
        "walk/8 on two threads: one {:.1} M/s  two {:.1} M/s  ratio {ratio:.2}  (goal 1.90)",
        one / 1e6,
        two / 1e6
    );
    println!(
        r#"{{"bench":"walk/8/threads","one_per_s":{one:.0},"two_per_s":{two:.0},"ratio":{ratio:.3},"goal":1.9}}"#
    );
}

fn main() {
    let Some(platform) = Linux::new() else {
        println!("no private expedited membarrier here: nothing to measure");
        return;
    };
    let domain = Domain::new(platform);
    // `cargo test --benches` comes without `--bench` and wants everything to run once, quickly.
    if std::env::args().any(|argument| argument == "--bench") {
        ratios(&domain);
        scaling(&domain);
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let walker = Walker::new(&domain);
    for routines in [1, 8, 64] {
        let (bare_table, table, mut event) =
            (bare_table(routines), notify_table(&domain, routines), Event::default());
        let mut group = criterion.benchmark_group(format!("walk/{routines}"));
        group.bench_function("bare", |bencher| bencher.iter(|| bare_event(&bare_table, &mut event, 1)));
        group.bench_function("walk", |bencher| bencher.iter(|| walk_event(&table, &walker, &mut event, 1)));
        group.finish();
    }
    let mut group = criterion.benchmark_group("remove");
    let table = notify_table(&domain, 0);
    group.bench_function("register and remove", |bencher| {
        bencher.iter(|| {
            let flavour = ProcessFlavour::Ex;
            let _ = table.register(Request { routine: 1, flavour, flags: 0, owner: 1 });
            table.remove(&walker, 1, flavour).map(|found| found.slot).expect("registered above")
        });
    });
    group.finish();
    criterion.final_summary();
}
