//! Deliveries that are begun, and waited for later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{Body, DriverId, Event, ProcessId, Record};
use host::{Bench, Delivery, Done, Refusal};
use nt_abi::STATUS_ACCESS_DENIED;

use super::common::{bench, bench_with, create, drained, image, owned};

fn begin(bench: &mut Bench, batch: Vec<Event<'static>>) -> Delivery {
    bench.begin_delivery(&Arc::new(batch))
}

fn done(events: usize) -> Delivery {
    Delivery::Done(Done { events, ..Done::default() })
}

/// Which processes the events among records are of.
fn told(records: &[Record<'_>]) -> Vec<u32> {
    let events = records.iter().filter_map(|record| match &record.body {
        Body::Event(event) => Some(event.process().0),
        _ => None,
    });
    events.collect()
}

#[test]
fn a_batch_that_was_begun_is_waited_for_when_there_is_time() {
    let mut bench = bench_with("slow", |options| options.watchdog = Duration::from_millis(200));
    let Delivery::Pending(quick) = begin(&mut bench, vec![image(4)]) else { panic!("nobody waits for it") };
    // Its reply is there, and that nobody looks at it is no hang.
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(bench.done(quick), done(1));
    let Delivery::Pending(slow) = begin(&mut bench, vec![create(8, "/bin/slow"), image(12)]) else {
        panic!("nobody waits for it")
    };
    assert_eq!(bench.done(slow), done(2));
    assert_eq!(bench.done(slow), Delivery::Gone, "once");
    let notices =
        drained(&mut bench).iter().filter(|record| matches!(record.body, Body::Notification(_))).count();
    assert_eq!(notices, 3);
    // Somebody who asks for any takes it out of the way.
    let Delivery::Pending(other) = begin(&mut bench, vec![image(4)]) else { panic!("nobody waits for it") };
    assert_eq!(bench.finished(Duration::from_secs(20)), Some((other, done(1))));
    let Delivery::Pending(last) = begin(&mut bench, vec![image(4)]) else { panic!("nobody waits for it") };
    // SAFETY: signals the host of this test.
    unsafe { libc::kill(bench.host_pid().cast_signed(), libc::SIGKILL) };
    assert!([done(1), Delivery::Gone].contains(&bench.done(last)));
    // The signal may find it between two batches, and a batch that has just begun goes with it.
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Delivery::Pending(late) = begin(&mut bench, vec![image(4)]) {
        assert!([done(1), Delivery::Gone].contains(&bench.done(late)));
        assert!(Instant::now() < deadline, "the host was killed");
    }
    assert_eq!(begin(&mut bench, vec![image(4)]), Delivery::Gone);
}

#[test]
fn a_batch_that_was_begun_ends_behind_a_refusal() {
    let mut bench = bench("refuse");
    let batch = vec![image(36), create(40, "/bin/denied"), image(40), create(44, "/bin/denied")];
    let Delivery::Pending(ticket) = begin(&mut bench, batch.clone()) else { panic!("nobody waits for it") };
    let refused = |process| {
        Some(Refusal { process: ProcessId(process), status: STATUS_ACCESS_DENIED, driver: Some(DriverId(0)) })
    };
    let first = Done { refused: refused(40), events: 2, terminated: false };
    assert_eq!(bench.done(ticket), Delivery::Done(first));
    assert_eq!(told(&drained(&mut bench)), [36, 40]);
    // As the last of its batch too.
    let Delivery::Pending(ticket) = begin(&mut bench, batch[2..].to_vec()) else { panic!("nobody waits") };
    assert_eq!(bench.done(ticket), Delivery::Done(Done { refused: refused(44), ..first }));
    assert_eq!(told(&drained(&mut bench)), [40, 44]);
}

#[test]
fn what_was_pulled_is_handed_over_while_the_next_batch_is_delivered() {
    let mut bench = bench("quiet");
    let mut records = Vec::new();
    let mut before = None;
    for n in 1..=50 {
        let batch = (0..n).map(|process| image(1000 * n + 4 * process)).collect();
        let Delivery::Pending(next) = begin(&mut bench, batch) else { panic!("nobody waits for it") };
        bench.hand_over_pulled(&mut |record| records.push(owned(record)));
        if let Some((n, expected)) = before {
            let events: Vec<u32> = told(&records);
            assert_eq!(events, expected, "those of batch {n}, and no others");
        }
        records.clear();
        assert_eq!(bench.done(next), done(n as usize));
        bench.pull();
        before = Some((n, (0..n).map(|process| 1000 * n + 4 * process).collect::<Vec<_>>()));
    }
    // A drain has what was pulled before, and what was not.
    let Delivery::Pending(last) = begin(&mut bench, vec![image(4)]) else { panic!("nobody waits for it") };
    assert_eq!(bench.done(last), done(1));
    let events = told(&drained(&mut bench));
    assert_eq!((events.len(), events.last()), (51, Some(&4)));
}

#[test]
fn what_the_channel_does_not_hold_is_left_to_whoever_began_it() {
    let mut bench = bench("quiet");
    let name = "n".repeat(20_000);
    let batch: Vec<_> = (1..=100).map(|n| create(4 * n, &name).into_owned()).collect();
    let (mut rest, mut parts) = (batch.clone(), 0);
    while !rest.is_empty() {
        let Delivery::Pending(part) = begin(&mut bench, rest.clone()) else { panic!("nobody waits for it") };
        let Delivery::Done(Done { events, .. }) = bench.done(part) else { panic!("it is delivered") };
        rest.drain(..events);
        parts += 1;
    }
    assert!(parts > 1, "100 names of 20,000 characters are more than half a megabyte");
    let records = drained(&mut bench);
    let events: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.body {
            Body::Event(event) => Some(event),
            _ => None,
        })
        .collect();
    assert_eq!(events, batch.iter().collect::<Vec<_>>());
}
