//! A bench and its host, with scripted drivers: what comes back, and what a host may do without
//! taking the bench with it.

use std::time::{Duration, Instant};

use event::{Body, DriverId, ProcessId, Record, Stop, StopKind};
use host::{Bench, BenchError, BenchOptions, Delivery, Done, Refusal, Status, Value};
use nt_abi::STATUS_ACCESS_DENIED;

use super::common::{bench, bench_with, create, drained, image, until_stop};

fn stops(records: &[Record<'static>]) -> Vec<Stop<'static>> {
    let stop = |record: &Record<'static>| match &record.body {
        Body::Stop(stop) => Some(stop.clone()),
        _ => None,
    };
    records.iter().filter_map(stop).collect()
}

fn prints(records: &[Record<'static>]) -> Vec<String> {
    let print = |record: &Record<'static>| match &record.body {
        Body::Debug { text, .. } => Some(text.to_string()),
        _ => None,
    };
    records.iter().filter_map(print).collect()
}

/// Delivers and waits, however long it takes.
fn deliver(bench: &mut Bench, batch: &[event::Event<'_>]) -> Delivery {
    match bench.deliver(batch) {
        Delivery::Pending(ticket) => {
            let (told, delivery) = bench.finished(Duration::from_secs(20)).expect("it is done some time");
            assert_eq!(told, ticket);
            delivery
        }
        other => other,
    }
}

fn done(events: usize) -> Delivery {
    Delivery::Done(Done { events, ..Done::default() })
}

#[test]
fn a_batch_is_delivered_and_recorded_in_order() {
    let mut bench = bench("quiet");
    assert_eq!(deliver(&mut bench, &[create(40, "/bin/true"), image(40)]), done(2));
    let kinds: Vec<u8> = drained(&mut bench)
        .iter()
        .map(|record| match record.body {
            Body::DriverLoad { .. } => b'L',
            Body::DriverStart { .. } => b'S',
            Body::Event(_) => b'E',
            Body::Notification(_) => b'N',
            _ => b'?',
        })
        .collect();
    assert_eq!(String::from_utf8(kinds).unwrap(), "LSENEN");
    bench.finish().unwrap();
    assert_eq!(drained(&mut bench).last().map(|record| record.body.clone()), Some(Body::End));
    assert_eq!(bench.status(), Status::Finished);
    assert_eq!(bench.deliver(&[image(40)]), Delivery::Gone);
    assert!(stops(&until_quiet(&mut bench)).is_empty());
}

fn until_quiet(bench: &mut Bench) -> Vec<Record<'static>> {
    std::thread::sleep(Duration::from_millis(10));
    drained(bench)
}

#[test]
fn the_image_and_values_arrive_whole() {
    let mut bench = Bench::start(BenchOptions::new(nt_abi::Profile::Win7Sp1).with_trial()).unwrap();
    bench.set_value("sensor", "Deny", Value::MultiString(vec!["*/uname".into()])).unwrap();
    let image: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
    let sum: u64 = image.iter().map(|&byte| u64::from(byte)).sum();
    assert_eq!(bench.load("quiet", "/d/q.sys", &image).unwrap(), DriverId(0));
    let records = drained(&mut bench);
    assert!(prints(&records)[0].contains("*/uname"));
    let Body::DriverLoad { size, missing, path, .. } = &records[1].body else {
        panic!("no load: {records:?}")
    };
    assert_eq!((*size, path.as_ref()), (1_000_003, "/d/q.sys"));
    assert_eq!(missing[0], sum.to_string());
}

#[test]
fn r_img_02_the_host_is_nowhere_where_processes_have_their_images() {
    const COMPAT_LAYOUT: u64 = 0x0020_0000;
    let bench = bench("quiet");
    let of_host = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", bench.host_pid())).unwrap();
    let permitted = u64::from_str_radix(of_host("personality").trim(), 16).unwrap() & COMPAT_LAYOUT != 0;
    let maps = of_host("maps");
    let high = maps.lines().filter(|map| {
        let (start, _) = map.split_once('-').unwrap();
        usize::from_str_radix(start, 16).unwrap() >= 0x6000_0000_0000
    });
    // Where the system does not let a host choose its layout, at least the largest part of it is elsewhere.
    let there = high.filter(|map| permitted || map.contains("callboard-channel"));
    let there: Vec<_> = there
        .filter(|map| !["[stack]", "[vdso]", "[vvar", "[vsyscall]"].iter().any(|own| map.contains(own)))
        .collect();
    assert!(maps.contains("callboard-channel") && there.is_empty(), "{there:#?}");
}

#[test]
fn a_refusal_comes_back_with_process_status_and_driver() {
    let mut bench = bench("refuse");
    let refused = Refusal { process: ProcessId(40), status: STATUS_ACCESS_DENIED, driver: Some(DriverId(0)) };
    let batch = [create(40, "/bin/denied"), image(44)];
    assert_eq!(
        deliver(&mut bench, &batch),
        Delivery::Done(Done { refused: Some(refused), events: 2, terminated: false })
    );
    assert_eq!(deliver(&mut bench, &[create(48, "/bin/allowed")]), done(1));
}

#[test]
fn a_driver_that_is_not_there_is_an_error_and_the_bench_goes_on() {
    let mut bench = bench("quiet");
    let error = bench.load("no-such-script", "x.sys", b"").unwrap_err();
    assert!(matches!(&error, BenchError::Load { name, .. } if name == "no-such-script"), "{error}");
    assert!(matches!(bench.load_file("x", "/no/such/file.sys".as_ref()), Err(BenchError::Read { .. })));
    assert_eq!(deliver(&mut bench, &[image(40)]), done(1));
}

#[test]
fn slow_batches_are_pending_and_others_go_on_beside_them() {
    let mut bench = bench_with("slow", |options| options.patience = Duration::from_millis(1));
    // Ids that divide by 8 take their time; more of them than there are lanes.
    let mut pending: Vec<_> = (1..=40)
        .filter_map(|n| match bench.deliver(&[create(n * 8, "/bin/slow")]) {
            Delivery::Pending(ticket) => Some(ticket),
            _ => None,
        })
        .collect();
    assert_eq!(deliver_others(&mut bench), 0);
    assert!(!pending.is_empty());
    while let Some((ticket, delivery)) = bench.finished(Duration::from_secs(20)) {
        assert_eq!(delivery, done(1));
        pending.retain(|&other| other != ticket);
    }
    assert_eq!(pending, []);
    bench.finish().unwrap();
    let notices =
        drained(&mut bench).iter().filter(|record| matches!(record.body, Body::Notification(_))).count();
    assert_eq!(notices, 40 + 5);
}

#[test]
fn events_are_recorded_as_they_were_sent_from_batches_beside_each_other_too() {
    let mut bench = bench_with("slow", |options| options.patience = Duration::from_millis(1));
    let mut records = Vec::new();
    let mut sent = Vec::new();
    for n in 0..12 {
        let batch = [create(n * 16 + 4, "/bin/quick"), create(n * 16 + 8, "/bin/slow"), image(n * 16 + 12)];
        assert_ne!(bench.deliver(&batch), Delivery::Gone);
        sent.extend(batch);
        // In the middle of the slow ones.
        records.extend(drained(&mut bench));
    }
    bench.finish().unwrap();
    records.extend(drained(&mut bench));
    let events = records.iter().filter_map(|record| match &record.body {
        Body::Event(event) => Some(event.clone()),
        _ => None,
    });
    let mut events: Vec<_> = events.collect();
    events.sort_by_key(|event| event.process().0);
    assert_eq!(events, sent);
}

/// Five quick batches; answers how many of them were not delivered. They may be pending on a busy machine.
fn deliver_others(bench: &mut Bench) -> usize {
    (0..5).filter(|n| bench.deliver(&[image(n * 8 + 4)]) == Delivery::Gone).count()
}

#[test]
fn batches_longer_than_the_channel_arrive_whole() {
    let mut bench = bench("quiet");
    drained(&mut bench);
    let long = format!("/{}", "x".repeat(3000));
    let batch: Vec<_> = (1..=400).map(|n| create(n * 4, &long)).collect();
    assert_eq!(deliver(&mut bench, &batch), done(batch.len()));
    let events: Vec<u32> = drained(&mut bench)
        .iter()
        .filter_map(|record| match &record.body {
            Body::Event(event) => Some(event.process().0),
            _ => None,
        })
        .collect();
    assert_eq!(events, (1..=400).map(|n| n * 4).collect::<Vec<u32>>());
}

#[test]
fn a_command_line_longer_than_any_of_nt_is_cut() {
    let mut bench = bench("quiet");
    drained(&mut bench);
    let line = "é".repeat(600_000);
    let mut event = create(40, "/bin/true");
    if let event::EventKind::ProcessCreate(process) = &mut event.kind {
        process.command_line = Some(line.into());
    }
    assert_eq!(deliver(&mut bench, &[event]), done(1));
    let records = drained(&mut bench);
    let Body::Event(event::Event { kind: event::EventKind::ProcessCreate(process), .. }) = &records[0].body
    else {
        panic!("no event: {records:?}")
    };
    assert_eq!(process.command_line.as_deref().map(|line| line.chars().count()), Some(32_766));
}

#[test]
fn more_records_than_the_channel_holds_all_arrive() {
    let mut bench = bench("chatty");
    drained(&mut bench);
    assert_eq!(deliver(&mut bench, &[image(40), image(44)]), done(2));
    let prints = prints(&drained(&mut bench));
    assert_eq!(prints.len(), 6000);
    assert!(prints[2999].starts_with("2999 ") && prints[3000].starts_with("0 "));
}

#[test]
fn threads_without_a_lane_are_heard_too() {
    let mut bench = bench("system-chatty");
    let give_up = Instant::now() + Duration::from_secs(20);
    let mut heard = Vec::new();
    while heard.len() < 3000 && Instant::now() < give_up {
        heard.extend(prints(&drained(&mut bench)));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(heard.len(), 3000);
    assert!(heard.iter().enumerate().all(|(n, text)| text.starts_with(&format!("{n} "))));
}

#[test]
fn a_crash_is_a_stop_that_names_the_routine_and_keeps_what_was_recorded() {
    let mut bench = bench("crash");
    assert_eq!(deliver(&mut bench, &[image(40)]), Delivery::Gone);
    let records = until_stop(&mut bench);
    assert!(matches!(records[0].body, Body::DriverLoad { .. }));
    assert!(matches!(records[records.len() - 2].body, Body::Event(_)));
    let [stop] = stops(&records).try_into().expect("one stop");
    assert_eq!((stop.kind, stop.driver), (StopKind::HostDied, Some(DriverId(0))));
    assert!(stop.message.contains("SIGSEGV") && stop.message.contains("process routine"), "{}", stop.message);
    assert_eq!(stop.stack[0].address, 0xFFFF_F800_0000_0040);
    assert_eq!(bench.status(), Status::Stopped);
    assert!(matches!(bench.finish(), Err(BenchError::Gone)));
    assert!(matches!(bench.load("quiet", "x", b""), Err(BenchError::Gone)));
    assert!(drained(&mut bench).is_empty());
}

#[test]
fn the_hosts_own_stop_is_the_only_one() {
    let mut bench = bench("bug-check");
    assert_eq!(deliver(&mut bench, &[image(40)]), Delivery::Gone);
    let [stop] = stops(&until_stop(&mut bench)).try_into().expect("one stop");
    assert_eq!((stop.kind, stop.code, stop.parameters), (StopKind::BugCheck, 0xCE, [1, 2, 3, 4]));
    assert!(stops(&until_quiet(&mut bench)).is_empty());
}

#[test]
fn an_exit_and_a_panic_are_stops_that_say_so() {
    let mut exited = bench("exit");
    assert_eq!(deliver(&mut exited, &[image(40)]), Delivery::Gone);
    let [stop] = stops(&until_stop(&mut exited)).try_into().expect("one stop");
    assert!(stop.message.contains("code 7"), "{}", stop.message);

    let mut panicked = bench("panic");
    assert_eq!(deliver(&mut panicked, &[image(40)]), Delivery::Gone);
    let [stop] = stops(&until_stop(&mut panicked)).try_into().expect("one stop");
    assert!(stop.message.contains("as asked for"), "{}", stop.message);
}

#[test]
fn a_killed_host_is_a_stop_and_pending_batches_are_gone() {
    let mut bench = bench("hang");
    let Delivery::Pending(ticket) = bench.deliver(&[image(40)]) else { panic!("it hangs") };
    // SAFETY: signals the host of this test.
    unsafe { libc::kill(bench.host_pid().cast_signed(), libc::SIGKILL) };
    assert_eq!(bench.finished(Duration::from_secs(20)), Some((ticket, Delivery::Gone)));
    let [stop] = stops(&until_stop(&mut bench)).try_into().expect("one stop");
    assert!(stop.message.contains("SIGKILL"), "{}", stop.message);
}

#[test]
fn a_hang_is_ended_and_named() {
    let mut bench = bench_with("hang", |options| options.watchdog = Duration::from_millis(200));
    let Delivery::Pending(ticket) = bench.deliver(&[image(40)]) else { panic!("it hangs") };
    assert_eq!(bench.finished(Duration::from_secs(20)), Some((ticket, Delivery::Gone)));
    let [stop] = stops(&until_stop(&mut bench)).try_into().expect("one stop");
    assert_eq!((stop.kind, stop.driver), (StopKind::Hang, Some(DriverId(0))));
    assert!(stop.message.contains("process routine"), "{}", stop.message);
}

#[test]
fn a_driver_entry_that_hangs_is_ended_too() {
    let mut options = BenchOptions::new(nt_abi::Profile::Win11_24H2).with_trial();
    options.entry_watchdog = Duration::from_millis(200);
    let mut bench = Bench::start(options).unwrap();
    assert!(matches!(bench.load("hang-entry", "it.sys", &[0; 4096]), Err(BenchError::Gone)));
    let [stop] = stops(&until_stop(&mut bench)).try_into().expect("one stop");
    assert_eq!((stop.kind, stop.stack[0].offset), (StopKind::Hang, 0x10));
    assert_eq!(stop.stack[0].module.as_deref(), Some("it.sys"));
}

#[test]
fn a_driver_that_scribbles_over_the_channel_ends_its_host_and_nothing_else() {
    let mut noticed = 0;
    for seed in 1..25 {
        let mut bench = bench_with("scribble", |options| options.watchdog = Duration::from_millis(300));
        // Garbage can pass for a reply once or twice; it never goes on for long.
        for round in 0..3 {
            if deliver_whatever(&mut bench, seed * 1000 + round) == Delivery::Gone {
                break;
            }
        }
        let mut records = drained(&mut bench);
        if bench.deliver(&[]) == Delivery::Gone && stops(&records).is_empty() {
            records.extend(until_stop(&mut bench));
        }
        noticed +=
            stops(&records).iter().filter(|stop| stop.message.contains("wrote over the memory")).count();
    }
    assert!(noticed > 5, "{noticed} of 24 were noticed");
}

fn deliver_whatever(bench: &mut Bench, process: u32) -> Delivery {
    match bench.deliver(&[image(process)]) {
        Delivery::Pending(_) => bench.finished(Duration::from_secs(20)).expect("the watchdog ends it").1,
        other => other,
    }
}

#[test]
fn dropping_a_bench_ends_its_host() {
    let bench = bench("hang");
    let pid = bench.host_pid().cast_signed();
    drop(bench);
    // SAFETY: signal 0 asks whether the process is there.
    assert_eq!(unsafe { libc::kill(pid, 0) }, -1);
}

/// A host ends as soon as it has said that it is finished: its last word counts, its death does not.
#[test]
fn finishing_is_no_death() {
    for _ in 0..30 {
        let mut bench = bench("quiet");
        bench.finish().unwrap();
        assert!(stops(&until_quiet(&mut bench)).is_empty());
        assert_eq!(bench.status(), Status::Finished);
    }
}

#[test]
fn a_bench_outlives_the_thread_that_started_it() {
    let mut bench = std::thread::spawn(|| bench("quiet")).join().unwrap();
    assert_eq!(deliver(&mut bench, &[image(40)]), done(1));
}

/// A live source waits for any child there is; a host's end is not lost on its bench by that.
#[test]
fn somebody_else_may_wait_for_the_host() {
    let mut bench = bench("hang");
    let pid = bench.host_pid().cast_signed();
    // SAFETY: signals and waits for the host of this test; the status may be null.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    // SAFETY: as above. It may be the watcher who waits first.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    let [stop] = stops(&until_stop(&mut bench)).try_into().expect("one stop");
    assert_eq!(stop.kind, StopKind::HostDied);
    assert_eq!(bench.deliver(&[image(40)]), Delivery::Gone);
}
