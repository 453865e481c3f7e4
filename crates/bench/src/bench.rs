//! The bench: one machine, its drivers' process and what has happened so far.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use event::{ClientId, Conditions, DriverId, Event, EventKind, ProcessId, Record, Time};
use host::{BenchError, BenchOptions, Clock, Config, Delivery};
use nt_abi::{NTSTATUS, Profile};

use crate::world::World;
use crate::{Actor, BenchBuilder, Completed, Error, Process, Refused};

/// How much later each event is than the one before, in 100 ns, on a virtual clock: two events never have one time.
const STEP: i64 = 10;

/// One simulated NT machine, whose drivers run in a sandboxed process of their own. Dropping it ends that process.
#[derive(Debug)]
pub struct Bench {
    pub(crate) host: host::Bench,
    pub(crate) config: Config,
    pub(crate) world: World,
    pub(crate) records: Vec<Record<'static>>,
    /// The service of each driver.
    pub(crate) services: BTreeMap<DriverId, String>,
    /// How requests ended that were begun, by number: a host says it once.
    pub(crate) ended: BTreeMap<u64, Completed>,
    /// Who creates what nobody is said to have created.
    shell: Option<Process>,
    pub(crate) conditions: Conditions,
    pub(crate) now: Time,
    /// Processes that drivers have terminated and that have not exited yet, with their status.
    pub(crate) terminated: VecDeque<(ProcessId, NTSTATUS)>,
}

impl Bench {
    /// A bench for one Windows, with a virtual clock and everything else as usual.
    ///
    /// # Errors
    /// [`Error::Host`] when the drivers' process cannot be started.
    pub fn new(profile: Profile) -> Result<Self, Error> {
        Self::builder().profile(profile).start()
    }

    /// A bench that is to be otherwise than usual.
    pub fn builder() -> BenchBuilder {
        BenchBuilder::new()
    }

    pub(crate) fn start(options: BenchOptions) -> Result<Self, Error> {
        let config = options.config;
        let mut host = host::Bench::start(options).map_err(Error::Host)?;
        let world = World::new();
        host.set_user_memory(Box::new(world.memory.clone()));
        let now = match config.clock {
            Clock::Virtual { start } => start,
            Clock::Real => Time::default(),
        };
        Ok(Self {
            host,
            config,
            world,
            records: Vec::new(),
            services: BTreeMap::new(),
            ended: BTreeMap::new(),
            shell: None,
            conditions: Conditions::default(),
            now,
            terminated: VecDeque::new(),
        })
    }

    /// How the kernel is.
    pub fn config(&self) -> Config {
        self.config
    }

    /// What is unusual about the way in which drivers are told.
    pub fn conditions(&self) -> Conditions {
        self.conditions
    }

    /// What is unusual about the way in which drivers are told of all that follows, unless a call says otherwise.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// The process that creates what nobody is said to have created: `explorer.exe`, there before any driver
    /// (R-ORD-05). Made when first needed.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn shell(&mut self) -> Result<Process, Error> {
        // One that a driver has terminated is started anew.
        if let Some(shell) = self.shell.filter(|shell| self.world.live(shell.id).is_some()) {
            return Ok(shell);
        }
        let shell = self.process(r"C:\Windows\explorer.exe").existing().create()?;
        self.shell = Some(shell);
        Ok(shell)
    }

    /// The host below, for what this type does not do. Records that it drains are not in [`records`](Self::records).
    pub fn host(&mut self) -> &mut host::Bench {
        &mut self.host
    }

    /// The thread that acts; the shell's where nobody is named.
    pub(crate) fn context_of(&mut self, actor: Option<Actor>) -> Result<ClientId, Error> {
        let actor = match actor {
            Some(actor) => actor,
            None => Actor::Process(self.shell()?.id),
        };
        self.world.client_id(actor).ok_or_else(|| {
            failed("who is to do it has exited, or has no thread", nt_abi::STATUS_THREAD_IS_TERMINATING)
        })
    }

    /// The moment at which the next thing happens.
    pub(crate) fn next_moment(&mut self) -> Time {
        match self.config.clock {
            Clock::Virtual { .. } => self.now = Time(self.now.0 + STEP),
            Clock::Real => self.now = Time::now(),
        }
        self.now
    }

    /// Lets something happen, and answers the refusal where it was a creation that was refused.
    pub(crate) fn happen(
        &mut self,
        context: ClientId,
        kind: EventKind<'_>,
        conditions: Conditions,
    ) -> Result<Option<Refused>, Error> {
        let time = self.next_moment();
        let event = Event { time, context, kind, conditions };
        let mut delivery = self.host.deliver(std::slice::from_ref(&event));
        while let Delivery::Pending(ticket) = delivery {
            match self.host.finished(Duration::from_secs(60)) {
                Some((done, ended)) if done == ticket => delivery = ended,
                _ => {}
            }
        }
        self.collect();
        match delivery {
            Delivery::Done(done) => Ok(done.refused.map(|refusal| Refused {
                status: refusal.status,
                driver: refusal.driver,
                service: refusal.driver.and_then(|driver| self.services.get(&driver).cloned()),
                image: self.path_of(refusal.process),
            })),
            Delivery::Pending(_) | Delivery::Gone => Err(self.gone()),
        }
    }

    /// Lets the processes exit that drivers have terminated meanwhile (R-IMG-03): what a program asked for is done first, as
    /// a thread ends on its way back to user mode.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        while let Some((process, status)) = self.terminated.pop_front() {
            if self.world.live(process).is_some() {
                self.end_process(process, status)?;
            }
        }
        Ok(())
    }

    fn path_of(&self, process: ProcessId) -> String {
        self.world.processes.get(&process.0).map(|process| process.path.clone()).unwrap_or_default()
    }

    /// What the host says, as an answer of the bench.
    pub(crate) fn answer<T>(&mut self, result: Result<T, BenchError>) -> Result<T, Error> {
        self.collect();
        let answer = result.map_err(|error| match error {
            BenchError::Gone => self.gone(),
            pending @ BenchError::Pending => failed(pending.to_string(), nt_abi::STATUS_PENDING),
            other => Error::Host(other),
        })?;
        self.settle()?;
        Ok(answer)
    }

    /// Why the host is gone.
    pub(crate) fn gone(&self) -> Error {
        match self.stop() {
            Some(stop) => Error::Stopped(Box::new(stop.clone())),
            None => Error::Host(BenchError::Gone),
        }
    }
}

/// NT does not do it.
pub(crate) fn failed(what: impl Into<String>, status: NTSTATUS) -> Error {
    Error::Failed { what: what.into(), status }
}
