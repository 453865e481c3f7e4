//! A stand-in for the kernel, for this crate's own tests and bench: its "drivers" are scripts, chosen
//! by the name of their service, that do what a host must survive.

mod attempts;

use std::borrow::Cow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use event::{Body, ClientId, DriverId, Event, EventKind, Family, Notification, Record, Stop, StopKind, Time};
use kernel::{Completed, Config, PowerState, PowerTarget, Progress, Unload};
use nt_abi::{NTSTATUS, STATUS_ACCESS_DENIED, STATUS_SUCCESS, STATUS_UNSUCCESSFUL};

use crate::channel::InFlight;
use crate::child::Recorder;
use crate::executive::{Executive, Failure};
use crate::protocol::{Caller, Io, Value};

/// What a scripted driver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    /// Takes notice.
    Quiet,
    /// Refuses processes whose image ends in `denied`.
    Refuse,
    /// Never returns from a notice.
    Hang,
    /// Never returns from DriverEntry.
    HangEntry,
    /// Takes 30 ms for a notice of a process whose id divides by 8.
    Slow,
    /// Touches what is not mapped.
    Crash,
    /// Ends the process.
    Exit,
    /// A defect of the kernel.
    Panic,
    /// A bug check.
    BugCheck,
    /// Prints more than a ring holds, for each notice.
    Chatty,
    /// A thread of its own prints more than a ring holds.
    SystemChatty,
    /// Writes random words all over the channel, for each notice.
    Scribble,
    /// Tries to get out, by system calls.
    Escape,
    /// Tries to open a file, by a system call.
    OpenOnly,
}

const SCRIPTS: [(&str, Script); 14] = [
    ("quiet", Script::Quiet),
    ("refuse", Script::Refuse),
    ("hang", Script::Hang),
    ("hang-entry", Script::HangEntry),
    ("slow", Script::Slow),
    ("crash", Script::Crash),
    ("exit", Script::Exit),
    ("panic", Script::Panic),
    ("bug-check", Script::BugCheck),
    ("chatty", Script::Chatty),
    ("system-chatty", Script::SystemChatty),
    ("scribble", Script::Scribble),
    ("escape", Script::Escape),
    ("open-only", Script::OpenOnly),
];

/// Where a scripted driver pretends to be.
const BASE: u64 = 0xFFFF_F800_0000_0000;

struct Trial {
    recorder: &'static Recorder,
    drivers: Mutex<Vec<Script>>,
    clock: AtomicU32,
}

pub(crate) fn boot(_config: Config, recorder: &'static Recorder) -> &'static dyn Executive {
    Box::leak(Box::new(Trial { recorder, drivers: Mutex::default(), clock: AtomicU32::new(0) }))
}

impl Trial {
    fn record(&self, body: Body<'_>) {
        self.recorder.record(&Record { time: self.now(), context: ClientId::default(), body });
    }

    fn now(&self) -> Time {
        Time(i64::from(self.clock.fetch_add(1, Ordering::Relaxed)))
    }

    fn print(&self, text: &str) {
        self.record(Body::Debug { driver: None, component: 0, level: 0, text: text.into() });
    }

    fn drivers(&self) -> Vec<Script> {
        self.drivers.lock().map(|drivers| drivers.clone()).unwrap_or_default()
    }

    /// Runs one routine; answers the status it leaves.
    fn notify(&self, driver: DriverId, script: Script, event: &Event<'_>) -> NTSTATUS {
        match script {
            Script::Refuse if is_denied(event) => return STATUS_ACCESS_DENIED,
            Script::Hang => sleep_for_ever(),
            Script::Slow if event.process().0.is_multiple_of(8) => {
                std::thread::sleep(Duration::from_millis(30))
            }
            Script::Crash => {
                let nowhere = std::hint::black_box(8_usize) as *const u8;
                // SAFETY: none: it faults, which is the point, in a process that is there to fault.
                unsafe { nowhere.read_volatile() };
            }
            // SAFETY: ends the process.
            Script::Exit => unsafe { libc::_exit(7) },
            Script::Panic => panic!("as asked for"),
            Script::BugCheck => {
                self.record(Body::Stop(Stop {
                    kind: StopKind::BugCheck,
                    code: 0xCE,
                    parameters: [1, 2, 3, 4],
                    driver: Some(driver),
                    message: "a driver left a routine behind".into(),
                    registers: None,
                    stack: Vec::new(),
                }));
                // SAFETY: ends the process.
                unsafe { libc::_exit(3) }
            }
            Script::Chatty => (0..3000).for_each(|n| self.print(&format!("{n} {}", "x".repeat(200)))),
            Script::Scribble => self.recorder.scribble(event.process().0),
            Script::Escape => attempts::all(&mut |line| self.print(line)),
            Script::OpenOnly => attempts::open(&mut |line| self.print(line)),
            _ => {}
        }
        STATUS_SUCCESS
    }
}

fn is_denied(event: &Event<'_>) -> bool {
    match &event.kind {
        EventKind::ProcessCreate(process) => {
            process.image.as_ref().is_some_and(|name| name.nt.ends_with("denied"))
        }
        _ => false,
    }
}

fn no_device(what: &str) -> Failure {
    Failure { status: STATUS_UNSUCCESSFUL, message: format!("scripts have no device {what}") }
}

fn sleep_for_ever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

impl Executive for Trial {
    fn attach(&self, _lane: usize) {}

    fn set_value(&self, service: &str, name: &str, value: Value<'_>) -> Result<(), Failure> {
        self.print(&format!("{service}\\{name} = {value:?}"));
        Ok(())
    }

    fn load(&self, name: &str, path: &str, image: &[u8]) -> Result<DriverId, Failure> {
        let Some(&(_, script)) = SCRIPTS.iter().find(|&&(known, _)| known == name) else {
            return Err(Failure {
                status: STATUS_UNSUCCESSFUL,
                message: format!("there is no script {name}"),
            });
        };
        let Ok(mut drivers) = self.drivers.lock() else { panic!("a script panicked") };
        let driver = DriverId(u32::try_from(drivers.len()).unwrap_or(u32::MAX));
        drivers.push(script);
        drop(drivers);
        let base = BASE + (u64::from(driver.0) << 20);
        self.record(Body::DriverLoad {
            driver,
            name: name.into(),
            path: path.into(),
            base,
            size: image.len() as u64,
            missing: vec![Cow::Owned(format!(
                "{:?}",
                image.iter().map(|&byte| u64::from(byte)).sum::<u64>()
            ))],
        });
        let before =
            self.recorder.enter(Some(InFlight { driver: driver.0, family: None, routine: base + 0x10 }));
        match script {
            Script::HangEntry => sleep_for_ever(),
            Script::SystemChatty => {
                let this: &'static Recorder = self.recorder;
                std::thread::spawn(move || {
                    for n in 0..3000 {
                        let text = format!("{n} {}", "y".repeat(200));
                        let body =
                            Body::Debug { driver: Some(driver), component: 0, level: 0, text: text.into() };
                        this.record(&Record { time: Time(n), context: ClientId::default(), body });
                    }
                });
            }
            _ => {}
        }
        self.recorder.enter(before);
        self.record(Body::DriverStart { driver, status: STATUS_SUCCESS, elapsed: 0 });
        Ok(driver)
    }

    fn unload(&self, driver: DriverId) -> Result<Unload, Failure> {
        self.record(Body::DriverUnload { driver, elapsed: Some(0) });
        Ok(Unload::Done)
    }

    fn deliver(&self, event: &Event<'_>) -> Option<(NTSTATUS, Option<DriverId>)> {
        self.recorder.event(self.now(), ClientId::default(), event);
        let mut refusal = None;
        for (index, script) in self.drivers().into_iter().enumerate() {
            let driver = DriverId(u32::try_from(index).unwrap_or(u32::MAX));
            let routine = BASE + (u64::from(driver.0) << 20) + 0x40;
            let before = self.recorder.enter(Some(InFlight { driver: driver.0, family: Some(0), routine }));
            let start = Instant::now();
            let status = self.notify(driver, script, event);
            self.recorder.enter(before);
            self.record(Body::Notification(Notification {
                driver,
                family: Family::Process,
                slot: 0,
                routine,
                elapsed: u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
                status: Some(status),
            }));
            if status != STATUS_SUCCESS {
                refusal = Some((status, Some(driver)));
            }
        }
        refusal
    }

    fn devices(&self, _driver: DriverId) -> Vec<String> {
        Vec::new()
    }

    fn open(&self, _caller: Caller, path: &str, _access: u32, _overlapped: bool) -> Result<u64, Failure> {
        Err(no_device(path))
    }

    fn io(&self, _caller: Caller, _file: u64, _what: Io, _input: &[u8], output: &mut [u8]) -> Progress {
        output.fill(0);
        Progress::Ended(Completed { status: STATUS_UNSUCCESSFUL, information: 0 })
    }

    fn begin(
        &self,
        _caller: Caller,
        file: u64,
        _what: Io,
        _input: &[u8],
        _output: &[u8],
    ) -> Result<u64, Failure> {
        Err(no_device(&file.to_string()))
    }

    fn result(&self, request: u64, _wait: bool, _output: &mut [u8]) -> Result<Progress, Failure> {
        Err(no_device(&request.to_string()))
    }

    fn cancel(&self, _caller: Caller, request: u64) -> Result<(), Failure> {
        Err(no_device(&request.to_string()))
    }

    fn power(
        &self,
        _time: Time,
        target: PowerTarget<'_>,
        _query: bool,
        _state: PowerState,
    ) -> Result<NTSTATUS, Failure> {
        Err(no_device(&format!("{target:?}")))
    }

    fn advance(&self, time: Time) -> Time {
        time
    }

    fn set_low_pool(&self, _: kernel::LowPool) {}

    fn finish(&self) {
        self.record(Body::End);
    }
}
