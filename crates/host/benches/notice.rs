//! One synchronous notice against the least it could cost: a futex ping-pong between two processes
//! over shared memory, which is the two wakes and two waits that a notice is made of.
//!
//! The notice is measured twice: with a stand-in for the kernel, which leaves the way there and back,
//! and with the kernel and a driver whose routine prints a line. All are measured in the same run, in
//! turns, so that whatever else the machine does hits all.
//! `cargo bench -p callboard-host --bench notice`
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use event::{ClientId, Event, EventKind, Process, ProcessExit, ProcessId, ThreadId, Time};
use host::{Bench, BenchOptions, Delivery};
use nt_abi::STATUS_SUCCESS;

const ROUNDS: usize = 60;
const NOTICES: u32 = 2000;
const STARTS: usize = 30;

fn main() {
    let mut bench = Bench::start(options()).expect("a bench");
    bench.load("quiet", "quiet.sys", &[0; 4096]).expect("a driver");
    let mut real = start_real();
    let ping = PingPong::start().expect("two processes");
    notices(&mut bench, NOTICES);
    notices(&mut real, NOTICES);
    ping.rounds(NOTICES);

    let (mut pings, mut notes, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut reals, mut real_ratios) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let ping = ping.rounds(NOTICES);
        let note = notices(&mut bench, NOTICES);
        let with_kernel = notices(&mut real, NOTICES);
        ratios.push(note / ping);
        real_ratios.push(with_kernel / ping);
        pings.push(ping);
        notes.push(note);
        reals.push(with_kernel);
    }
    report("futex ping-pong            (µs)", &mut pings);
    report("notice, stand-in           (µs)", &mut notes);
    report("notice, kernel and driver  (µs)", &mut reals);
    report("notice / ping-pong, stand-in   ", &mut ratios);
    report("notice / ping-pong, kernel     ", &mut real_ratios);
    println!("host memory: {} KiB resident", resident(real.host_pid()));
    drop(bench);
    drop(real);

    let (mut boots, mut loads) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let start = Instant::now();
        let mut bench = Bench::start(BenchOptions::new(nt_abi::Profile::Win11_24H2)).expect("a bench");
        boots.push(millis(start.elapsed()));
        load_real(&mut bench);
        loads.push(millis(start.elapsed()));
    }
    report("start to booted            (ms)", &mut boots);
    report("start to DriverEntry done  (ms)", &mut loads);
}

fn start_real() -> Bench {
    let mut options = BenchOptions::new(nt_abi::Profile::Win11_24H2);
    options.patience = Duration::from_secs(1);
    let mut bench = Bench::start(options).expect("a bench");
    load_real(&mut bench);
    bench
}

/// A driver with one process routine that prints a line.
fn load_real(bench: &mut Bench) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../drivers/bin/leaves-routine.sys");
    bench.load_file("leaves-routine", path.as_ref()).expect("a driver");
}

fn options() -> BenchOptions {
    let mut options = BenchOptions::new(nt_abi::Profile::Win11_24H2).with_trial();
    options.patience = Duration::from_secs(1);
    options
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn report(what: &str, values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
    println!("{what}  min {:7.2}  median {:7.2}", values[0], values[values.len() / 2]);
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Microseconds for one synchronous notice, drained as a command line would.
fn notices(bench: &mut Bench, count: u32) -> f64 {
    let context = ClientId { process: ProcessId(8), thread: ThreadId(12) };
    let start = Instant::now();
    for n in 0..count {
        // The same process comes and goes.
        let kind = if n.is_multiple_of(2) {
            EventKind::ProcessCreate(Process { process: ProcessId(4000), ..Process::default() })
        } else {
            EventKind::ProcessExit(ProcessExit { process: ProcessId(4000), status: STATUS_SUCCESS })
        };
        let event = Event { time: Time(1), context, kind, conditions: event::Conditions::default() };
        let delivery = bench.deliver(&[event]);
        assert!(matches!(delivery, Delivery::Done(_)), "{delivery:?}");
        bench.drain(&mut |_| {});
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

/// Two processes that hand a word to each other.
struct PingPong {
    word: NonNull<AtomicU32>,
    child: i32,
}

impl PingPong {
    fn start() -> io::Result<Self> {
        // SAFETY: a new shared anonymous mapping.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let word = NonNull::new(page.cast::<AtomicU32>()).filter(|_| page != libc::MAP_FAILED);
        let word = word.ok_or_else(io::Error::last_os_error)?;
        // SAFETY: the child makes futex calls only, and never returns.
        match unsafe { libc::fork() } {
            0 => loop {
                // SAFETY: the page stays mapped for the life of the child.
                let word = unsafe { word.as_ref() };
                wait_for(word, 1);
                word.store(2, Ordering::Release);
                wake(word);
            },
            -1 => Err(io::Error::last_os_error()),
            child => Ok(Self { word, child }),
        }
    }

    /// Microseconds for one round.
    fn rounds(&self, count: u32) -> f64 {
        // SAFETY: the page stays mapped.
        let word = unsafe { self.word.as_ref() };
        let start = Instant::now();
        for _ in 0..count {
            word.store(1, Ordering::Release);
            wake(word);
            wait_for(word, 2);
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
    }
}

impl Drop for PingPong {
    fn drop(&mut self) {
        // SAFETY: our own child, which has not been waited for.
        unsafe { libc::kill(self.child, libc::SIGKILL) };
        // SAFETY: as above; the status may be null.
        unsafe { libc::waitpid(self.child, std::ptr::null_mut(), 0) };
    }
}

fn wait_for(word: &AtomicU32, value: u32) {
    loop {
        let now = word.load(Ordering::Acquire);
        if now == value {
            return;
        }
        // SAFETY: only reads the word; no time limit.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAIT,
                now,
                std::ptr::null::<libc::timespec>(),
            )
        };
    }
}

fn wake(word: &AtomicU32) {
    // SAFETY: the address is a name only.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}
