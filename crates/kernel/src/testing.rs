//! A kernel for unit tests, without a host: boots on the calling thread, which becomes a processor.

use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{Body, Record, Stop};
use machine::Processor;

use crate::{Config, Kernel, Recorder, boot};

/// One kernel at a time: it is the state of the process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What was recorded, in memory.
#[derive(Default)]
pub(crate) struct Records(Mutex<Vec<Vec<u8>>>);

impl Recorder for Records {
    fn record(&self, record: &Record<'_>) {
        let mut bytes = vec![0; 64 * 1024];
        let used = event::wire::encode(record, &mut bytes).expect("a record fits into 64 KiB");
        bytes.truncate(used);
        self.lock().push(bytes);
    }

    fn halt(&self) -> ! {
        machine::call::abandon(0);
        panic!("stopped outside of `stops`: {:?}", self.all().last());
    }
}

impl Records {
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything so far.
    pub(crate) fn all(&self) -> Vec<Body<'static>> {
        let read =
            |bytes: &Vec<u8>| event::wire::decode::<Record<'static>>(bytes.clone().leak()).unwrap().0.body;
        self.lock().iter().map(read).collect()
    }

    /// The lines that were printed.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |body| match body {
            Body::Debug { text, .. } => Some(text.into_owned()),
            _ => None,
        };
        self.all().into_iter().filter_map(line).collect()
    }

    /// The rules that were broken.
    pub(crate) fn findings(&self) -> Vec<String> {
        let rule = |body| match body {
            Body::Finding(finding) => Some(finding.rule.into_owned()),
            _ => None,
        };
        self.all().into_iter().filter_map(rule).collect()
    }

    /// The bug checks that were foretold.
    pub(crate) fn bug_checks(&self) -> Vec<(u32, [u64; 4])> {
        let check = |body| match body {
            Body::Finding(finding) => finding.bug_check,
            _ => None,
        };
        self.all().into_iter().filter_map(check).collect()
    }
}

/// Runs a test on a fresh kernel.
pub(crate) fn with_kernel<T>(config: Config, test: impl FnOnce(&'static Kernel, &'static Records) -> T) -> T {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let _processor = Processor::attach().expect("a test thread can be a processor");
    let records: &'static Records = Box::leak(Box::default());
    let kernel = boot(config, records);
    kernel.adopt_this_thread();
    let result = test(kernel, records);
    // Before the next test begins, which may have another one.
    crate::ke::virtual_clock::choose(crate::Clock::Real);
    result
}

/// Runs what must stop, and returns the stop.
pub(crate) fn stops(records: &Records, act: impl FnOnce()) -> Stop<'static> {
    let outcome = machine::call::run_abandonable(act);
    assert!(outcome.is_err(), "it did not stop");
    machine::stop::stop_was_caught();
    match records.all().pop() {
        Some(Body::Stop(stop)) => stop,
        other => panic!("stopped without saying so: {other:?}"),
    }
}

/// Makes another thread of the test a processor that runs a system thread.
pub(crate) fn on_another_processor(
    kernel: &'static Kernel,
    act: impl FnOnce() + Send + 'static,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let _processor = Processor::attach().expect("a test thread can be a processor");
        kernel.adopt_this_thread();
        act();
    })
}
