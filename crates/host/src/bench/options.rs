//! How a bench is to be.

use std::time::Duration;

use kernel::Config;
use nt_abi::Profile;

use crate::executive::Which;
use crate::sandbox::Policy;

/// How a bench is to be. Starts from [`BenchOptions::new`]; every field can be changed.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// The kernel: which Windows is stood in for, and contested points.
    pub config: Config,
    /// How long a routine may run before the host is ended; Windows would wait for ever.
    pub watchdog: Duration,
    /// The same for loading, unloading and finishing, where DriverEntry and DriverUnload run.
    pub entry_watchdog: Duration,
    /// How long [`deliver`](crate::Bench::deliver) waits before it answers "pending".
    pub patience: Duration,
    /// How much sandbox there has to be.
    pub sandbox: Policy,
    /// Let the host write to the standard error: for those who debug Callboard itself.
    pub debug: bool,
    pub(crate) executive: Which,
}

impl BenchOptions {
    /// A bench for one Windows profile, with the usual limits: 10 s for a routine, 30 s
    /// for DriverEntry, 2 ms of patience, sandbox required.
    pub fn new(profile: Profile) -> Self {
        Self {
            config: Config { profile, ..Config::default() },
            watchdog: Duration::from_secs(10),
            entry_watchdog: Duration::from_secs(30),
            patience: Duration::from_millis(2),
            sandbox: Policy::Required,
            debug: false,
            executive: Which::default(),
        }
    }

    /// The same with this crate's stand-in for the kernel, whose "drivers" are scripts chosen by name.
    #[cfg(any(test, feature = "trial"))]
    #[must_use]
    pub fn with_trial(mut self) -> Self {
        self.executive = Which::Trial;
        self
    }
}
