//! The bench itself: one request after the other, over the lanes.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::{DriverId, Time, wire};
use kernel::{LowPool, Unload};

use super::deliver::Pending;
use super::sent::Sent;
use super::shared::{RINGS, Shared};
use super::stop::Module;
use super::{BenchError, BenchOptions, Delivery, Ticket, UserMemory};
use crate::channel::{
    self, Channel, LANES, REQUEST_BYTES, STAGING, STAGING_BYTES, Spin, USER_PAGE, Waited, header,
};
use crate::process::{self, How, Reason, Start, Watched, end};
use crate::protocol::{Reply, Request, Value};
use crate::sandbox::Report;

/// How long the bench sleeps at most before it looks around, whatever it waits for.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// How a bench stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its host runs.
    Running,
    /// It was [finished](Bench::finish).
    Finished,
    /// Its host is dead.
    Stopped,
}

/// One simulated NT machine, whose drivers run in a process of their own.
///
/// All methods are synchronous; only [`deliver`](Self::deliver) may leave something pending. Dropping a
/// bench ends its host.
#[derive(Debug)]
pub struct Bench {
    pub(super) shared: Arc<Shared>,
    pub(super) pidfd: OwnedFd,
    pub(super) taken: [Vec<u8>; RINGS],
    /// By ring; nothing is sent over the system's.
    pub(super) sent: [Sent; RINGS],
    pub(super) modules: Vec<Module>,
    /// The moment of the record that was handed over last; at first that at which a made-up clock begins.
    pub(super) last: Time,
    /// A stop has been handed over.
    pub(super) stopped: bool,
    /// The host was asked to end, and said so.
    pub(super) finished: bool,
    pub(super) options: BenchOptions,
    watcher: Option<JoinHandle<()>>,
    pid: u32,
    report: Report,
    pub(super) pending: [Option<Pending>; LANES],
    /// Pending batches that are done and that nobody has been told of.
    pub(super) told: VecDeque<(Ticket, Delivery)>,
    pub(super) tickets: u32,
    spins: [Spin; LANES],
    pub(super) request: Vec<u8>,
    reply: Vec<u8>,
    user_memory: Option<Box<dyn UserMemory>>,
}

impl Bench {
    /// Starts a host and boots the kernel in it.
    ///
    /// # Errors
    /// When the host cannot be started, its sandbox cannot be put on, or the profile is unknown.
    pub fn start(options: BenchOptions) -> Result<Self, BenchError> {
        let config = options.config;
        let mut bench = Self::begin(options, &Request::Boot(config))?;
        bench.report = match bench.first_reply()? {
            Reply::Booted(report) => report,
            Reply::Failed { status, message } => return Err(BenchError::Refused { status, message }),
            other => return Err(unexpected(other)),
        };
        Ok(bench)
    }

    /// Starts a host whose first request is there before it is, so that it need not be waited for.
    pub(crate) fn begin(options: BenchOptions, first: &Request<'_>) -> Result<Self, BenchError> {
        let (channel, file) = Channel::create().map_err(BenchError::Channel)?;
        let start = Start { policy: options.sandbox, debug: options.debug, executive: options.executive };
        channel.word32(header::START).store(start.to_bits(), Ordering::Relaxed);
        channel.word32(header::PARENT).store(std::process::id(), Ordering::Relaxed);
        let shared = Arc::new(Shared::new(channel));
        let mut request = vec![0; REQUEST_BYTES];
        let used = wire::encode(first, &mut request).map_err(|_| BenchError::TooLong(REQUEST_BYTES))?;
        shared.lane(0).sent(options.entry_watchdog, options.entry_watchdog);
        shared.channel.lane(0).send(&request[..used]);
        let (started, wait) = mpsc::channel();
        // Where time is made up, addresses are to be the same in every run too.
        let how = How {
            debug: options.debug,
            fixed: matches!(first, Request::Boot(config) if config.clock != kernel::Clock::Real),
        };
        let watched = Arc::clone(&shared);
        let watcher = std::thread::Builder::new()
            .name("callboard-watch".into())
            .spawn(move || process::watch(&*watched, file, how, &started))
            .map_err(|source| BenchError::Start(format!("cannot start a thread: {source}"), Some(source)))?;
        let outcome = wait.recv().map_err(|_| BenchError::Died("its watcher ended".into()))?;
        let (pid, pidfd) = match outcome {
            Ok(both) => both,
            Err(error) => {
                let _ = watcher.join();
                return Err(error.into());
            }
        };
        Ok(Self {
            shared,
            pidfd,
            taken: Default::default(),
            sent: Default::default(),
            modules: Vec::new(),
            last: match options.config.clock {
                kernel::Clock::Virtual { start } => start,
                kernel::Clock::Real => Time::default(),
            },
            stopped: false,
            finished: false,
            options,
            watcher: Some(watcher),
            pid,
            report: Report::default(),
            pending: [None; LANES],
            told: VecDeque::new(),
            tickets: 0,
            spins: [Spin::for_replies(); LANES],
            request,
            reply: Vec::new(),
            user_memory: None,
        })
    }

    /// The reply to the first request, or why there is none.
    pub(crate) fn first_reply(&mut self) -> Result<Reply, BenchError> {
        self.wait(0).map_err(|_| {
            let words = self.shared.last_words();
            let death = self.shared.death().map(|death| format!("it {death}")).unwrap_or_default();
            BenchError::Died(words.unwrap_or(death))
        })
    }

    /// Writes a value under the `Parameters` key of a service, before or after its driver is loaded.
    ///
    /// # Errors
    /// [`BenchError::TooLong`], [`BenchError::Refused`], [`BenchError::Gone`].
    pub fn set_value(&mut self, service: &str, name: &str, value: Value<'_>) -> Result<(), BenchError> {
        match self.ask(&Request::SetValue { service, name, value })? {
            Reply::Done => Ok(()),
            Reply::Failed { status, message } => Err(BenchError::Refused { status, message }),
            other => Err(unexpected(other)),
        }
    }

    /// Makes pool low from now on, for what drivers allocate, or plentiful again.
    ///
    /// # Errors
    /// [`BenchError::Gone`].
    pub fn set_low_pool(&mut self, low: LowPool) -> Result<(), BenchError> {
        match self.ask(&Request::LowPool(low))? {
            Reply::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Says who reads the memory of processes for drivers; without it, user memory is nowhere.
    pub fn set_user_memory(&mut self, memory: Box<dyn UserMemory>) {
        self.user_memory = Some(memory);
    }

    /// Loads a driver from a file and runs its DriverEntry.
    ///
    /// # Errors
    /// [`BenchError::Read`], and those of [`load`](Self::load).
    pub fn load_file(&mut self, name: &str, path: &Path) -> Result<DriverId, BenchError> {
        let image =
            std::fs::read(path).map_err(|source| BenchError::Read { path: path.to_owned(), source })?;
        self.load(name, &path.to_string_lossy(), &image)
    }

    /// Loads a driver from its bytes and runs its DriverEntry. `name` is its service; `path` is where it came from.
    ///
    /// # Errors
    /// [`BenchError::Load`] when the image is bad or DriverEntry fails, [`BenchError::TooLarge`],
    /// [`BenchError::Gone`] when the host died of it.
    pub fn load(&mut self, name: &str, path: &str, image: &[u8]) -> Result<DriverId, BenchError> {
        if image.len() > STAGING_BYTES {
            return Err(BenchError::TooLarge { path: path.into(), size: image.len(), limit: STAGING_BYTES });
        }
        self.shared.channel.copy_in(STAGING, image);
        match self.ask(&Request::Load { name, path, length: image.len() as u64 })? {
            Reply::Loaded(driver) => Ok(driver),
            Reply::Failed { status, message } => Err(BenchError::Load { name: name.into(), status, message }),
            other => Err(unexpected(other)),
        }
    }

    /// Unloads a driver; one whose devices are in use is unloaded when they are not any more.
    ///
    /// # Errors
    /// [`BenchError::Unload`], [`BenchError::Gone`].
    pub fn unload(&mut self, driver: DriverId) -> Result<Unload, BenchError> {
        match self.ask(&Request::Unload { driver })? {
            Reply::Done => Ok(Unload::Done),
            Reply::UnloadPending => Ok(Unload::Pending),
            Reply::Failed { status, message } => Err(BenchError::Unload { status, message }),
            other => Err(unexpected(other)),
        }
    }

    /// Waits for pending batches, unloads every driver, has the kernel look for leaks and sum up, and
    /// ends the host. What is left to do is to [`drain`](Self::drain).
    ///
    /// # Errors
    /// [`BenchError::Gone`] when the host died, before or of it.
    pub fn finish(&mut self) -> Result<(), BenchError> {
        if self.finished {
            return Ok(());
        }
        while self.pending.iter().any(Option::is_some) {
            self.collect_or_sleep();
        }
        match self.ask(&Request::Finish)? {
            Reply::Done => {
                self.finished = true;
                Ok(())
            }
            other => Err(unexpected(other)),
        }
    }

    /// How the bench stands.
    pub fn status(&self) -> Status {
        if self.finished {
            Status::Finished
        } else if self.shared.death().is_some() {
            Status::Stopped
        } else {
            Status::Running
        }
    }

    /// What of the sandbox is in force.
    pub fn sandbox(&self) -> &Report {
        &self.report
    }

    /// The host's process id, for those who want to look at it.
    pub fn host_pid(&self) -> u32 {
        self.pid
    }

    /// A lane on which nothing is pending; `None` when the host is dead. The lowest, whose worker's
    /// memory is warm.
    pub(super) fn free_lane(&mut self) -> Option<usize> {
        loop {
            if self.finished || self.shared.death().is_some() {
                return None;
            }
            if let Some(lane) = self.pending.iter().position(Option::is_none) {
                return Some(lane);
            }
            self.collect_or_sleep();
        }
    }

    /// Sends a request that is waited for, and waits.
    pub(super) fn ask(&mut self, request: &Request<'_>) -> Result<Reply, BenchError> {
        let lane = self.free_lane().ok_or(BenchError::Gone)?;
        let used =
            wire::encode(request, &mut self.request).map_err(|_| BenchError::TooLong(REQUEST_BYTES))?;
        self.shared.lane(lane).sent(self.options.entry_watchdog, self.options.entry_watchdog);
        self.shared.channel.lane(lane).send(&self.request[..used]);
        self.wait(lane)
    }

    pub(super) fn wait(&mut self, lane: usize) -> Result<Reply, BenchError> {
        loop {
            if let Some(reply) = self.wait_until(lane, None)? {
                return Ok(reply);
            }
        }
    }

    /// Waits for a lane's reply until `deadline` (for ever when `None`; the watchdog sees to it that it
    /// ends). `None` when the time is up. Takes records out when they are in the way.
    pub(super) fn wait_until(
        &mut self,
        lane: usize,
        deadline: Option<Instant>,
    ) -> Result<Option<Reply>, BenchError> {
        let mut dead = false;
        loop {
            let until = if dead { Instant::now() } else { deadline.unwrap_or_else(|| Instant::now() + LOOK) };
            match self.shared.channel.lane(lane).wait_reply(until, &mut self.spins[lane]) {
                Ok(Waited::Replied) => break,
                Ok(Waited::Pending) if dead => return Err(BenchError::Gone),
                // It may have replied before it died: one more look.
                Ok(Waited::Pending) if self.shared.death().is_some() => dead = true,
                Ok(Waited::Pending) if deadline.is_some() => return Ok(None),
                Ok(Waited::Pending) => {}
                Ok(Waited::Full) => {
                    let pulled = self.shared.inbox().pull(&self.shared.channel, lane);
                    if let Err(damage) = pulled {
                        return Err(self.damaged(damage));
                    }
                }
                Ok(Waited::Asked(ask)) => {
                    let page = self.user_page(&ask);
                    self.shared.channel.lane(lane).answer(ask, page.as_deref());
                }
                Ok(Waited::Dead) if self.shared.death().is_some() => return Err(BenchError::Gone),
                Ok(Waited::Dead) => {
                    return Err(self.damaged(channel::Damage::State { lane, state: 3 }));
                }
                Err(damage) => return Err(self.damaged(damage)),
            }
        }
        self.shared.lane(lane).replied();
        let mut bytes = std::mem::take(&mut self.reply);
        let taken = self.shared.channel.lane(lane).take_reply(&mut bytes);
        let reply = taken
            .and_then(|()| wire::decode(&bytes).map_err(|_| channel::Damage::Reply { lane }))
            .map(|(reply, _)| reply);
        self.reply = bytes;
        match reply {
            Ok(reply) => Ok(Some(reply)),
            Err(damage) => Err(self.damaged(damage)),
        }
    }

    /// The page of user memory that a driver touched, where somebody knows it.
    fn user_page(&mut self, ask: &channel::Ask) -> Option<Box<[u8; USER_PAGE]>> {
        let memory = self.user_memory.as_mut()?;
        let mut page = Box::new([0; USER_PAGE]);
        memory.read(event::ProcessId(ask.process), ask.address, &mut page).then_some(page)
    }

    /// The channel is not what it should be: ends the host, and waits until it is dead, so that what
    /// follows is in order.
    pub(super) fn damaged(&self, damage: channel::Damage) -> BenchError {
        end(&*self.shared, &self.pidfd, Reason::Damaged(damage));
        while self.shared.death().is_none() {
            let bell = self.shared.channel.bell().load(Ordering::SeqCst);
            if self.shared.death().is_none() {
                channel::wait(self.shared.channel.bell(), bell, Some(Duration::from_millis(10)));
            }
        }
        BenchError::Gone
    }
}

pub(super) fn unexpected(reply: Reply) -> BenchError {
    let message = match reply {
        Reply::Rejected(why) => why,
        other => format!("it answered {other:?}, which is no answer to this request"),
    };
    BenchError::Refused { status: nt_abi::STATUS_UNSUCCESSFUL, message }
}

impl Drop for Bench {
    fn drop(&mut self) {
        end(&*self.shared, &self.pidfd, Reason::Closed);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}
