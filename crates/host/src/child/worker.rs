//! The worker of a lane: takes requests, calls the kernel, replies.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use event::{Event, wire};

use super::main::exit;
use super::recorder::{RECORDER, Recorder};
use crate::channel::{
    self, Channel, LANES, REPLY_BYTES, STAGING, STAGING_BYTES, Spin, TRANSFER_BYTES, transfer_at,
};
use crate::executive::{self, Executive, Failure, Which};
use crate::protocol::{Place, Refusal, Reply, Request};
use crate::sandbox::Report;

/// Address space for a worker's stack. A kernel stack is 24 KiB on Windows; more only takes memory where used.
const STACK: usize = 1 << 20;
/// The longest message in a reply: the rest of a reply fits beside it.
const LONGEST_MESSAGE: usize = REPLY_BYTES - 256;

/// Said of buffers that the bench has not looked at.
const TOO_LARGE: &str = "the buffers are larger than the transfer area";

/// What the workers share.
pub(super) struct Host {
    channel: &'static Channel,
    which: Which,
    /// What of the sandbox is in force.
    report: Report,
    executive: OnceLock<&'static dyn Executive>,
    /// How many lanes have a worker.
    workers: AtomicUsize,
    /// Futex: changes when a worker is ready for its first request. One is started at a time.
    ready: AtomicU32,
}

impl Host {
    pub(super) fn new(channel: &'static Channel, which: Which, report: Report) -> Self {
        Self {
            channel,
            which,
            report,
            executive: OnceLock::new(),
            workers: AtomicUsize::new(1),
            ready: AtomicU32::new(0),
        }
    }

    /// Starts the worker of a lane, and waits until it is ready: what it allocates for itself is not to come between what
    /// drivers allocate, so that addresses are the same in each run.
    pub(super) fn start(&'static self, lane: usize) -> std::io::Result<()> {
        let builder = std::thread::Builder::new().name(format!("lane-{lane}")).stack_size(STACK);
        let before = self.ready.load(Ordering::Acquire);
        builder.spawn(move || run(self, lane))?;
        // No channel: which side frees it is another one in each run.
        while self.ready.load(Ordering::Acquire) == before {
            channel::wait(&self.ready, before, None);
        }
        Ok(())
    }

    /// Starts the worker of the lane after `lane`, if there is one and nobody did.
    fn provide_next(&'static self, lane: usize) {
        let next = lane + 1;
        if next >= LANES
            || self.workers.compare_exchange(next, next + 1, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        if self.start(next).is_err() {
            // The bench uses lanes from the lowest, and waits where there is none; try again next time.
            self.workers.store(next, Ordering::Relaxed);
        }
    }

    fn boot(&self, config: kernel::Config) -> Reply {
        match executive::boot(self.which, config, &RECORDER) {
            Ok(executive) => {
                let _ = self.executive.set(executive);
                Reply::Booted(self.report.clone())
            }
            Err(failure) => failed(failure),
        }
    }

    fn answer(&self, lane: usize, request: &[u8]) -> Reply {
        let (request, rest) = match wire::decode::<Request<'_>>(request) {
            Ok(both) => both,
            Err(error) => return Reply::Rejected(error.to_string()),
        };
        match (self.executive.get(), request) {
            (_, Request::Probe) => Reply::Booted(self.report.clone()),
            (None, Request::Boot(config)) => self.boot(config),
            (Some(&executive), request) => self.serve(executive, lane, request, rest),
            (None, _) => Reply::Rejected("the first request must be to boot".into()),
        }
    }

    fn serve(&self, executive: &dyn Executive, lane: usize, request: Request<'_>, rest: &[u8]) -> Reply {
        match request {
            Request::Deliver { number, count, whole } => {
                deliver(executive, &Batch { number, count, whole, events: rest })
            }
            Request::Boot(_) | Request::Probe => Reply::Rejected("it has booted".into()),
            Request::SetValue { service, name, value } => done(executive.set_value(service, name, value)),
            Request::Load { name, path, length } => {
                let length = usize::try_from(length).unwrap_or(usize::MAX).min(STAGING_BYTES);
                // SAFETY: the bench leaves the staging area alone until the reply to this request.
                let image = unsafe { self.channel.slice(STAGING, length) };
                let loaded = executive.load(name, path, image);
                self.channel.clear_staging();
                loaded.map_or_else(failed, Reply::Loaded)
            }
            Request::Unload { driver } => match executive.unload(driver) {
                Ok(kernel::Unload::Done) => Reply::Done,
                Ok(kernel::Unload::Pending) => Reply::UnloadPending,
                Err(failure) => failed(failure),
            },
            Request::Devices { driver } => {
                let mut room = LONGEST_MESSAGE;
                let fits = |path: &String| {
                    // Each has its length before it.
                    let left = room.checked_sub(path.len() + 4);
                    room = left.unwrap_or(0);
                    left.is_some()
                };
                Reply::Devices(executive.devices(driver).into_iter().take_while(fits).collect())
            }
            Request::Open { caller, path, access, overlapped } => {
                executive.open(caller, path, access, overlapped).map_or_else(failed, Reply::Opened)
            }
            Request::Io { caller, file, what, input, output, begin } => {
                let (input, output) = (input as usize, output as usize);
                if input.saturating_add(output) > TRANSFER_BYTES {
                    return Reply::Rejected(TOO_LARGE.into());
                }
                let mut first = Vec::new();
                self.channel.copy_out(transfer_at(lane), input.next_multiple_of(8) + output, &mut first);
                let mut second = first.split_off(input.next_multiple_of(8));
                first.truncate(input);
                if begin {
                    let begun = executive.begin(caller, file, what, &first, &second);
                    return begun.map_or_else(failed, Reply::Begun);
                }
                let progress = executive.io(caller, file, what, &first, &mut second);
                self.progress(lane, progress, &second)
            }
            Request::Result { request, wait, output } => {
                let output = output as usize;
                if output > TRANSFER_BYTES {
                    return Reply::Rejected(TOO_LARGE.into());
                }
                let mut second = vec![0; output];
                match executive.result(request, wait, &mut second) {
                    Ok(progress) => self.progress(lane, progress, &second),
                    Err(failure) => failed(failure),
                }
            }
            Request::Cancel { caller, request } => done(executive.cancel(caller, request)),
            Request::Power { time, target, query, state } => {
                let ended = executive.power(time, target, query, state);
                ended.map_or_else(failed, |status| Reply::Completed { status, information: 0 })
            }
            Request::Advance(time) => Reply::Time(executive.advance(time)),
            Request::LowPool(low) => {
                executive.set_low_pool(low);
                Reply::Done
            }
            Request::Finish => {
                executive.finish();
                Reply::Done
            }
        }
    }
}

impl Host {
    /// How far a program's request is; its second buffer goes to the bench once it has ended.
    fn progress(&self, lane: usize, progress: kernel::Progress, second: &[u8]) -> Reply {
        match progress {
            kernel::Progress::Pending { hopeless } => Reply::Pending { hopeless },
            kernel::Progress::Ended(kernel::Completed { status, information }) => {
                self.channel.copy_in(transfer_at(lane), second);
                Reply::Completed { status, information }
            }
        }
    }
}

/// Serves a lane for ever. Called once per lane, on its thread.
fn run(host: &'static Host, lane: usize) -> ! {
    Recorder::own(lane);
    if let Some(executive) = host.executive.get() {
        executive.attach(lane);
    }
    let channel_lane = host.channel.lane(lane);
    let mut buffer = vec![0; REPLY_BYTES];
    let mut first = true;
    let mut spin = Spin::for_requests();
    host.ready.fetch_add(1, Ordering::AcqRel);
    channel::wake(&host.ready);
    loop {
        let (at, length) = channel_lane.wait_request(&mut spin);
        if lane > 0 && first {
            host.provide_next(lane);
        }
        // SAFETY: the bench leaves a request alone until its reply.
        let request = unsafe { host.channel.slice(at, length) };
        let reply = host.answer(lane, request);
        let last = reply == Reply::Done && matches!(wire::decode(request), Ok((Request::Finish, _)));
        let used = wire::encode(&reply, &mut buffer).unwrap_or(0);
        channel_lane.reply(buffer.get(..used).unwrap_or_default());
        if last {
            exit(0);
        }
        if lane == 0 && first {
            // After the reply to `Boot`, where it keeps nobody waiting.
            host.provide_next(lane);
        }
        first = false;
    }
}

/// Events that were sent together.
struct Batch<'a> {
    number: u32,
    count: u32,
    whole: bool,
    events: &'a [u8],
}

/// Delivers events one by one, as they come off the buffer. Where all of them are to be, which ones NT does not send after a
/// refusal (R-VETO-08) is for the kernel to know.
fn deliver(executive: &dyn Executive, batch: &Batch<'_>) -> Reply {
    let mut refused: Option<Refusal> = None;
    let mut terminated = false;
    let mut rest = batch.events;
    for index in 0..batch.count {
        if !batch.whole && (refused.is_some() || terminated) {
            return Reply::Delivered { refused, count: index, terminated };
        }
        let event: Event<'_>;
        (event, rest) = match wire::decode(rest) {
            Ok(both) => both,
            Err(error) => return Reply::Rejected(error.to_string()),
        };
        // The watchdog sees that the lane goes on.
        RECORDER.enter(None);
        let place = Place { delivery: batch.number, index };
        if let Some((status, driver)) = Recorder::delivering(&event, place, || executive.deliver(&event))
            && refused.is_none()
        {
            refused = Some(Refusal { process: event.process(), status, driver });
        }
        terminated |= RECORDER.has_terminated();
    }
    Reply::Delivered { refused, count: batch.count, terminated }
}

fn done(result: Result<(), Failure>) -> Reply {
    result.map_or_else(failed, |()| Reply::Done)
}

fn failed(failure: Failure) -> Reply {
    let Failure { status, mut message } = failure;
    if message.len() > LONGEST_MESSAGE {
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
    }
    Reply::Failed { status, message }
}
