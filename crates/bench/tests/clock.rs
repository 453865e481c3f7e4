//! Time that passes only when it is let.

use std::time::Duration;

use bench::{Bench, Clock, Driver, File, Profile, STATUS_SUCCESS, Time};

const DEVICE: &[u8] = include_bytes!("../../../drivers/bin/device.sys");
const SLEEP: u32 = 0x22_2018;
const PEND: u32 = 0x22_2010;
const PERIODIC: u32 = 0x22_2020;
const HOUR: i64 = 36_000_000_000;

fn open() -> (Bench, Driver, File) {
    let mut bench = Bench::new(Profile::Win11_24H2).expect("a host starts");
    let driver = bench.load_bytes("device", DEVICE).expect("the driver loads");
    let file = bench.open(r"\\.\CallboardDevice").expect("its device opens");
    (bench, driver, file)
}

fn number(output: &[u8], index: usize) -> i64 {
    i64::from_le_bytes(output[index * 8..][..8].try_into().expect("eight bytes"))
}

#[test]
fn drivers_see_the_clock_that_the_bench_moves() {
    let (mut bench, _, file) = open();
    let before = bench.ioctl(&file, 0x22_2014, &[], 24).unwrap().output;
    let now = bench.now().unwrap();
    assert!(now.0 - number(&before, 0) < 1000, "some microseconds at most");
    bench.advance(Duration::from_secs(3600)).unwrap();
    let after = bench.ioctl(&file, 0x22_2014, &[], 24).unwrap().output;
    let passed: Vec<i64> = (0..3).map(|index| number(&after, index) - number(&before, index)).collect();
    assert_eq!(passed[0], passed[1], "system and interrupt time agree");
    assert!((HOUR..HOUR + 1000).contains(&passed[0]), "{passed:?}");
    assert!((230_400..=230_401).contains(&passed[2]), "64 ticks a second: {passed:?}");
}

#[test]
fn a_driver_that_sleeps_in_a_request_moves_the_clock_and_not_the_day() {
    let (mut bench, _, file) = open();
    let before = bench.now().unwrap();
    // 6 hours: the watchdog, which is on the real clock, would not wait.
    let answer = bench.ioctl(&file, SLEEP, &21_600_000u32.to_le_bytes(), 8).unwrap();
    assert_eq!((answer.status, number(&answer.output, 0)), (STATUS_SUCCESS, 6 * HOUR));
    assert!(bench.now().unwrap().0 >= before.0 + 6 * HOUR);
}

#[test]
fn a_pended_request_is_completed_when_its_timer_is_due() {
    let (mut bench, _, file) = open();
    let before = bench.now().unwrap();
    let answer = bench.ioctl(&file, PEND, &3_600_000u32.to_le_bytes(), 0).unwrap();
    assert_eq!(answer.status, STATUS_SUCCESS);
    let passed = bench.now().unwrap().0 - before.0;
    assert!((HOUR..HOUR + 1000).contains(&passed), "{passed}");
}

#[test]
fn timers_expire_in_due_order_while_the_clock_is_advanced_and_not_otherwise() {
    let (mut bench, driver, file) = open();
    let started = bench.now().unwrap().0;
    bench.ioctl(&file, PERIODIC, &1000u32.to_le_bytes(), 0).unwrap();
    bench.ioctl(&file, 0x22_2000, &[], 0).unwrap();
    assert!(bench.debug_lines(driver).iter().all(|line| !line.contains("tick")), "the clock stands");
    bench.advance(Duration::from_millis(3500)).unwrap();
    let ticks: Vec<_> = bench.debug_lines(driver).into_iter().filter(|line| line.contains("tick")).collect();
    assert_eq!(ticks.len(), 3, "{ticks:?}");
    for (index, line) in (1..).zip(&ticks) {
        let at: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        let late = at - started - index * 10_000_000;
        assert!((0..1000).contains(&late), "{line} is {late} late");
    }
}

/// A run with everything in it whose order could vary.
fn run() -> Result<Vec<String>, bench::Error> {
    let (mut bench, _, file) = open();
    bench.ioctl(&file, PERIODIC, &700u32.to_le_bytes(), 0)?;
    let child = bench.process(r"C:\x.exe").create()?;
    bench.ioctl(&file, SLEEP, &2000u32.to_le_bytes(), 8)?;
    bench.advance(Duration::from_secs(5))?;
    bench.exit_process(&child, STATUS_SUCCESS)?;
    bench.finish()?;
    // Where an image lies is the system's choice.
    let text = |record: &bench::Record<'_>| match &record.body {
        bench::Body::DriverLoad { name, .. } => format!("{:?} load {name}", record.time),
        _ => format!("{record:?}"),
    };
    Ok(bench.records().iter().map(text).collect())
}

#[test]
fn the_same_calls_have_the_same_records() {
    let first = run().unwrap();
    assert!(first.iter().filter(|line| line.contains("tick")).count() >= 9, "{first:#?}");
    for _ in 0..5 {
        assert_eq!(run().unwrap(), first);
    }
}

#[test]
fn a_clock_can_be_real_or_begin_elsewhere() {
    let start = Time(5_000_000_000_000_000);
    let mut early = Bench::builder().clock(Clock::Virtual { start }).start().unwrap();
    assert_eq!(early.now().unwrap(), start);
    let mut real = Bench::builder().clock(Clock::Real).start().unwrap();
    real.load_bytes("device", DEVICE).unwrap();
    let before = real.now().unwrap();
    assert!(real.advance(Duration::from_millis(2)).unwrap() > before);
}
