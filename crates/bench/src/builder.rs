//! How a bench is to be.

use std::time::Duration;

use event::Time;
use host::{BenchOptions, Choices, Clock, Config, LowPool, Pool};
use nt_abi::Profile;

use crate::{Bench, Error};

/// Where the virtual clock of a bench begins: 1 January 2025, 00:00 UTC.
const START: Time = Time::from_unix_nanos(1_735_689_600_000_000_000);

/// A bench to be. From [`Bench::builder`].
#[derive(Clone, Debug)]
pub struct BenchBuilder {
    options: BenchOptions,
}

impl BenchBuilder {
    pub(crate) fn new() -> Self {
        let mut options = BenchOptions::new(Profile::default());
        options.config.clock = Clock::Virtual { start: START };
        Self { options }
    }

    /// Which Windows is stood in for. The newest one unless said.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.options.config.profile = profile;
        self
    }

    /// The answers to contested points.
    #[must_use]
    pub fn choices(mut self, choices: Choices) -> Self {
        self.options.config.choices = choices;
        self
    }

    /// How pool memory is given out.
    #[must_use]
    pub fn pool(mut self, pool: Pool) -> Self {
        self.options.config.pool = pool;
        self
    }

    /// Which allocations of drivers fail, from the first driver's DriverEntry on; [`Bench::set_low_pool`] changes it later.
    #[must_use]
    pub fn low_pool(mut self, low: LowPool) -> Self {
        self.options.config.low_pool = low;
        self
    }

    /// Treats every driver as if it was linked with /INTEGRITYCHECK, so that the Ex forms accept it (R-INT-02).
    #[must_use]
    pub fn force_integrity(mut self) -> Self {
        self.options.config.force_integrity = true;
        self
    }

    /// What drivers see as time. Virtual unless said, from 1 January 2025.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.options.config.clock = clock;
        self
    }

    /// The seed of a run that provokes. Its scheduler lets time pass: the clock is then not a virtual one.
    #[must_use]
    pub fn stress(mut self, seed: u64) -> Self {
        self.options.config.stress = Some(seed);
        self
    }

    /// Everything about the kernel at once; the clock becomes what `config` says.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.options.config = config;
        self
    }

    /// How long a routine may run, on the real clock, before the machine is stopped. 10 s unless said.
    #[must_use]
    pub fn watchdog(mut self, limit: Duration) -> Self {
        self.options.watchdog = limit;
        self.options.entry_watchdog = limit;
        self
    }

    /// Changes what else there is to a host: its sandbox, where its complaints go.
    #[must_use]
    pub fn host(mut self, change: impl FnOnce(&mut BenchOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`Error::Host`] when the drivers' process cannot be started or its sandbox cannot be put on.
    pub fn start(mut self) -> Result<Bench, Error> {
        // A call returns when its routines have; the watchdog ends those that do not.
        self.options.patience = Duration::from_secs(24 * 60 * 60);
        Bench::start(self.options)
    }
}
