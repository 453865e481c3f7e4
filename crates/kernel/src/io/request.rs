//! Requests of programs that are under way: begun, waited for, cancelled, and what is done when they have ended.
//!
//! ```text
//!   user_begin ──▶ driver ─ STATUS_PENDING ─▶ the table ──▶ user_result, user_cancel
//!                    │                           ▲
//!                    └─ IoCompleteRequest ───────┘ ended ──▶ settle(): the file's reference goes (IRP_MJ_CLOSE may follow)
//! ```
//! On NT the last step is a special kernel APC to the thread that sent the request. Here it comes at the end of the bench's
//! request in which the driver completed it, in the context of that thread. A synchronous request is one that is
//! begun and waited for at once.

use std::cell::UnsafeCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::{ClientId, Level};
use nt_abi::{IRP_MJ_DEVICE_CONTROL, KEVENT, NTSTATUS, STATUS_NOT_FOUND};

use super::file::ImageFile;
use super::irp::{Completion, IoCancelIrp, UNDER_WAY, tell_of_end};
use super::send::{self, Sent};
use super::user::{Buffer, Completed};
use crate::Kernel;
use crate::ke::wait::{How, Until};
use crate::ke::{dispatcher, virtual_clock, wait};
use crate::ob::{Ref, handle};
use crate::ps::thread::{Ethread, THREAD_TYPE};

/// How long a thread that exits waits for the requests that it has cancelled, in NT's relative time: five minutes.
/// Source: "Canceling IRPs".
const CANCEL_LIMIT: i64 = -5 * 60 * 10_000_000;
/// The same on a real clock, which nobody wants to watch for five minutes.
const CANCEL_LIMIT_REAL: i64 = -10_000_000;
/// How long a wait lasts at a time where the clock is not a virtual one.
const SLICE: Duration = Duration::from_millis(100);
/// How far a virtual clock goes at a time in a wait: so many things that are due. The watchdog sees each time that somebody
/// is still there.
const STEPS: u32 = 200;

/// What a program asks of a file it has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `DeviceIoControl` with that code.
    Control(u32),
    /// `ReadFile` at that offset.
    Read(i64),
    /// `WriteFile` at that offset.
    Write(i64),
}

/// How far a request of a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has ended, and its number is nobody's any more.
    Ended(Completed),
    /// It is pending.
    Pending {
        /// Nobody runs and nothing is due: waiting for it is in vain.
        hopeless: bool,
    },
}

/// A request of a program that was sent.
pub(super) struct Request {
    completion: Arc<Completion>,
    /// Who sent it: where it exits, the request is cancelled.
    thread: Ref<Ethread>,
    /// Its file, which is not closed before the request has ended.
    file: Mutex<Option<Ref<ImageFile>>>,
    input: Buffer,
    output: Buffer,
    /// What the end of the request sets: `IRP.UserEvent`.
    event: Box<UnsafeCell<KEVENT>>,
    /// It was cancelled when its thread exited, waited for, and given up.
    given_up: AtomicBool,
}

// SAFETY: the buffers are pages that stay as long as the request, written by whoever completes it and read once it has
// ended; the event is touched by the dispatcher only, under its lock.
unsafe impl Send for Request {}
// SAFETY: as above.
unsafe impl Sync for Request {}

/// The requests of programs.
#[derive(Default)]
pub(crate) struct Requests {
    table: Mutex<Table>,
    /// How many are in the table.
    count: AtomicU32,
    /// One has ended since somebody looked.
    news: AtomicBool,
}

#[derive(Default)]
struct Table {
    last: u64,
    all: BTreeMap<u64, Arc<Request>>,
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, request: Arc<Request>) -> u64 {
        let mut table = self.lock();
        table.last += 1;
        let number = table.last;
        table.all.insert(number, request);
        self.count.fetch_add(1, Ordering::Release);
        number
    }

    fn get(&self, number: u64) -> Option<Arc<Request>> {
        self.lock().all.get(&number).cloned()
    }

    fn remove(&self, number: u64) {
        if self.lock().all.remove(&number).is_some() {
            self.count.fetch_sub(1, Ordering::Release);
        }
    }

    /// Those for which something holds, in the order in which they were sent.
    fn those(&self, holds: impl Fn(&Request) -> bool) -> Vec<Arc<Request>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        self.lock().all.values().filter(|request| holds(request)).cloned().collect()
    }

    /// A driver has completed one; called at any IRQL.
    pub(super) fn one_has_ended(&self) {
        self.news.store(true, Ordering::Release);
    }

    /// Whether there may be some that have ended and still hold their files.
    pub(super) fn have_news(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }
}

impl Request {
    /// Sends a request as the current thread. Answers how far it is, and the request itself.
    pub(super) fn send(
        thread: Ref<Ethread>,
        file: Ref<ImageFile>,
        operation: Operation,
        input: &[u8],
        output: &[u8],
    ) -> Result<(Arc<Self>, Sent), NTSTATUS> {
        let event: Box<UnsafeCell<KEVENT>> = Box::default();
        // SAFETY: new, and nobody else has it.
        unsafe { crate::ke::event::KeInitializeEvent(event.get(), nt_abi::NotificationEvent, 0) };
        let request = Arc::new(Self {
            completion: Arc::default(),
            thread,
            file: Mutex::new(Some(file.clone())),
            input: Buffer::new(input)?,
            output: Buffer::new(output)?,
            event,
            given_up: AtomicBool::new(false),
        });
        let (first, second) = (request.input.given(), request.output.given());
        let file = file.as_file_object();
        // SAFETY: the file is open as long as the request holds it; the buffers stay until the request has ended, as the
        // table, or whoever waits, keeps it until then.
        let sent = unsafe {
            let prepared = match operation {
                Operation::Control(code) => send::prepare(file, IRP_MJ_DEVICE_CONTROL, |_, irp| {
                    super::build::control_buffers(irp, IRP_MJ_DEVICE_CONTROL, code, first, second);
                }),
                Operation::Read(offset) => send::prepare(file, send::transfer_major(false), |device, irp| {
                    send::fill_transfer(device, irp, false, second, offset, 0);
                }),
                Operation::Write(offset) => send::prepare(file, send::transfer_major(true), |device, irp| {
                    send::fill_transfer(device, irp, true, first, offset, 0);
                }),
            };
            let (device, irp) = prepared.ok_or(nt_abi::STATUS_INSUFFICIENT_RESOURCES)?;
            (*irp).UserEvent = request.event.get();
            tell_of_end(irp, &request.completion, true);
            send::send(device, irp, &request.completion)
        };
        Ok((request, sent))
    }

    fn holds_file(&self) -> bool {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Lets go of the file, in whose sender's context the caller is: that may close it. Nothing for a request whose file is
    /// gone already.
    fn settle(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(file);
    }

    /// What the program gets once it has ended.
    fn result(&self, output: &mut [u8]) -> Completed {
        self.output.read(output);
        Completed::of(self.completion.outcome())
    }

    /// Cancels it as `IoCancelIrp` does, in the current context.
    fn cancel(&self) {
        // SAFETY: the packet stays as long as the completion, which the request holds.
        unsafe { IoCancelIrp(self.completion.packet()) };
    }

    /// Waits for the end of a request that was cancelled, for a time; answers whether it came.
    fn wait_after_cancel(&self, kernel: &Kernel) -> bool {
        let real = kernel.config.stress.is_none() && !virtual_clock::is_on();
        let limit = if real { CANCEL_LIMIT_REAL } else { CANCEL_LIMIT };
        let until = Until::Time(wait::due(limit));
        let how = How { until, by_driver: false, ..How::BY_DRIVER };
        let event: dispatcher::Object = self.event.get().expose_provenance();
        // SAFETY: an event that lives as long as the request.
        unsafe { wait::wait(&[event], how) == nt_abi::STATUS_SUCCESS }
    }
}

impl Kernel {
    /// Begins a request of a program: answers its number, under which it is asked for until it has ended.
    ///
    /// # Errors
    /// What the I/O manager says before the driver is asked: a handle that is none, access that it does not have.
    pub fn user_begin(
        &self,
        context: ClientId,
        file: u64,
        operation: Operation,
        input: &[u8],
        output: &[u8],
    ) -> Result<u64, NTSTATUS> {
        self.as_program(context, |thread| {
            let file = self.file_of(file, needed(operation))?;
            let (request, sent) = Request::send(thread.clone(), file, operation, input, output)?;
            match sent {
                Sent::Ended => request.settle(),
                Sent::Pending => {}
                Sent::Forgotten(status) => {
                    forget(request);
                    return Err(status);
                }
            }
            Ok(self.io.requests.add(request))
        })
    }

    /// Sends a request of a program and waits for its end. `output` holds what the program has in its second buffer, and
    /// then what the driver left there. [`Progress::Pending`] where it never ends, which only a virtual clock knows.
    pub fn user_request(
        &self,
        context: ClientId,
        file: u64,
        operation: Operation,
        input: &[u8],
        output: &mut [u8],
    ) -> Progress {
        let sent = self.as_program(context, |thread| {
            let file = self.file_of(file, needed(operation))?;
            let (request, sent) = Request::send(thread.clone(), file, operation, input, output)?;
            if let Sent::Forgotten(status) = sent {
                forget(request);
                return Err(status);
            }
            let completion = request.completion.clone();
            while !completion.has_ended() {
                if !virtual_clock::is_on() {
                    machine::platform().block(&completion.word, UNDER_WAY, None);
                } else if virtual_clock::wait_for(&completion.word, u32::MAX) == Some(false) {
                    // The program hangs; the request is the driver's for as long as it likes.
                    self.io.requests.add(request);
                    return Ok(Progress::Pending { hopeless: true });
                }
            }
            request.settle();
            Ok(Progress::Ended(request.result(output)))
        });
        sent.unwrap_or_else(|status| Progress::Ended(Completed { status, information: 0 }))
    }

    /// Asks for a request that was begun, and waits for it for a while if that is wanted. `output` is filled with what the
    /// program has in its second buffer then.
    ///
    /// # Errors
    /// STATUS_NOT_FOUND where there is no such request, or its end was told already.
    pub fn user_result(&self, number: u64, wait: bool, output: &mut [u8]) -> Result<Progress, NTSTATUS> {
        let request = self.io.requests.get(number).ok_or(STATUS_NOT_FOUND)?;
        let completion = &request.completion;
        if wait && !completion.has_ended() {
            let _turn = crate::stress::enter();
            if !virtual_clock::is_on() {
                machine::platform().block(&completion.word, UNDER_WAY, Some(SLICE));
            } else if virtual_clock::wait_for(&completion.word, STEPS) == Some(false) {
                return Ok(Progress::Pending { hopeless: true });
            }
        }
        if !completion.has_ended() {
            return Ok(Progress::Pending { hopeless: false });
        }
        self.settle_request(&request);
        self.io.requests.remove(number);
        Ok(Progress::Ended(request.result(output)))
    }

    /// Cancels a request that was begun, as `CancelIoEx` does: it is not waited for.
    ///
    /// # Errors
    /// STATUS_NOT_FOUND where there is no such request that has not ended.
    pub fn user_cancel(&self, context: ClientId, number: u64) -> Result<(), NTSTATUS> {
        let request = self.io.requests.get(number).filter(|request| !request.completion.has_ended());
        let request = request.ok_or(STATUS_NOT_FOUND)?;
        self.as_program(context, |_| request.cancel());
        Ok(())
    }

    /// A thread exits, and drivers have been told: its requests are cancelled, the last one first, and waited for.
    /// Source: "Canceling IRPs".
    pub(crate) fn cancel_requests_of(&self, thread: &Ref<Ethread>) {
        let mine = |request: &Request| request.thread.as_ptr() == thread.as_ptr();
        self.cancel_all(self.io.requests.those(|request| mine(request) && !request.completion.has_ended()));
    }

    /// Every program ends, as far as drivers' devices see it: requests are cancelled, and files closed.
    pub fn end_programs(&self) {
        let _turn = crate::stress::enter();
        let pending =
            |request: &Request| !request.completion.has_ended() && !request.given_up.load(Ordering::Relaxed);
        self.cancel_all(self.io.requests.those(pending));
        self.settle_requests();
        for (process, opened) in self.ob.handles.take_files_of_programs() {
            let threads = self.ps.cid.all::<Ethread>(&THREAD_TYPE);
            match threads.into_iter().find(|thread| thread.process.id.0 == process) {
                Some(thread) => self.on_thread(&thread, || handle::closed(opened)),
                None => handle::closed(opened),
            }
        }
    }

    fn cancel_all(&self, mut requests: Vec<Arc<Request>>) {
        requests.reverse();
        for request in &requests {
            self.on_thread(&request.thread, || request.cancel());
        }
        for request in &requests {
            if !self.on_thread(&request.thread, || request.wait_after_cancel(self)) {
                request.given_up.store(true, Ordering::Relaxed);
                let thread = request.thread.client_id();
                let message = format!(
                    "a request of thread {} of process {} was cancelled as that one ended, and was not completed within five \
                     minutes: Windows gives it up; a request that may stay pending needs a cancel routine",
                    thread.thread, thread.process
                );
                self.note(Level::Warning, &message);
            }
        }
    }

    fn settle_request(&self, request: &Request) {
        if !request.holds_file() {
            return;
        }
        if request.thread.exit_time() == event::Time::default() {
            self.on_thread(&request.thread, || request.settle());
        } else {
            request.settle();
        }
    }

    /// Does what is left to do for requests that have ended.
    pub(super) fn settle_requests(&self) {
        self.io.requests.news.store(false, Ordering::Release);
        let ended = |request: &Request| request.completion.has_ended() && request.holds_file();
        for request in self.io.requests.those(ended) {
            self.settle_request(&request);
        }
    }
}

/// Bits 14 and 15 of a control code, and what reads and writes are, say which access its sender must have.
fn needed(operation: Operation) -> u32 {
    match operation {
        Operation::Read(_) => nt_abi::FILE_READ_DATA,
        Operation::Write(_) => nt_abi::FILE_WRITE_DATA,
        Operation::Control(code) => [(1 << 14, nt_abi::FILE_READ_DATA), (2 << 14, nt_abi::FILE_WRITE_DATA)]
            .iter()
            .filter(|(bit, _)| code & bit != 0)
            .fold(0, |needed, (_, right)| needed | right),
    }
}

/// A request of which nobody knows whether it will be completed: its buffers stay for ever, and its file does not.
fn forget(request: Arc<Request>) {
    drop(request.file.lock().unwrap_or_else(PoisonError::into_inner).take());
    std::mem::forget(request);
}
