//! From an event to the driver routines: context, order, arguments.
//!
//! The order within a process is the source's; what is decided here is in which context each table is
//! walked (SEMANTICS C.1), what a refusal does to what follows (R-VETO), and who is not told.

use std::sync::atomic::Ordering;

use event::{
    ClientId, Event, EventKind, Image, Mapping, Process, ProcessExit, ProcessId, Thread, ThreadExit,
    ThreadId, Time,
};
use nt_abi::NTSTATUS;

use super::beginning::Beginning;
use super::image;
use super::process::{Eprocess, Origin, PROCESS_TYPE};
use super::thread::{Ethread, THREAD_TYPE};
use super::walk::{self, Outcome};
use crate::Kernel;
use crate::choices::{Clones, RefusedExit, RefusedImages, RefusedThread};
use crate::ob::Ref;

/// A process creation that a driver refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The process.
    pub process: ProcessId,
    /// What its creation ends with.
    pub status: NTSTATUS,
    /// The driver that wrote the status last.
    pub driver: Option<event::DriverId>,
}

impl Kernel {
    /// Tells every driver that is to know of `event`, in the context NT would, and returns the refusal if it
    /// was the creation of a process and a driver refused it.
    ///
    /// The calling thread must be a processor at PASSIVE_LEVEL. Events of one process must come in their
    /// order and not at once; events of different processes may come at once on different processors.
    pub fn deliver_event(&self, event: &Event<'_>) -> Option<Refusal> {
        let _request = crate::stress::enter();
        if self.is_moot(event) {
            return None;
        }
        self.record_event(event);
        let refused = crate::mm::user::while_gone(event.conditions.user_pages_gone, || self.tell(event));
        crate::dbg::flush_line();
        refused
    }

    /// Whether NT would never come to the event, as its process was refused: its first thread does not start, so that
    /// it maps no images for itself (R-VETO-08), and whether that thread is announced is not known (R-VETO-09).
    /// Neither is, unless chosen.
    fn is_moot(&self, event: &Event<'_>) -> bool {
        let images = self.config.choices.refused_images == RefusedImages::Silent;
        let silent = self.config.choices.refused_thread == RefusedThread::Silent;
        match event.kind {
            EventKind::ImageLoad(_) if images => {}
            EventKind::ThreadCreate(_) | EventKind::ThreadExit(_) if silent => {}
            _ => return false,
        }
        let process = self.ps.cid.lookup::<Eprocess>(event.process().0, &PROCESS_TYPE);
        process.is_some_and(|process| process.refusal().is_some())
    }

    fn tell(&self, event: &Event<'_>) -> Option<Refusal> {
        match &event.kind {
            EventKind::ProcessPresent(process) => {
                self.add_process(process, Origin::Present, event.time);
                None
            }
            EventKind::ProcessClone(process) if self.config.choices.clones == Clones::Told => {
                self.process_create(event, process, Origin::Cloned)
            }
            EventKind::ProcessClone(process) => {
                self.add_process(process, Origin::Cloned, event.time);
                None
            }
            EventKind::ProcessCreate(process) => self.process_create(event, process, Origin::Created),
            EventKind::ThreadCreate(thread) => {
                self.thread_create(event, *thread);
                None
            }
            EventKind::ImageLoad(image) => {
                self.image_load(event, image);
                None
            }
            EventKind::ThreadExit(exit) => {
                self.thread_exit(event, *exit);
                None
            }
            EventKind::ProcessExit(exit) => {
                self.process_exit(event, *exit);
                None
            }
        }
    }

    fn process_create(&self, event: &Event<'_>, created: &Process<'_>, origin: Origin) -> Option<Refusal> {
        let creator = self.thread_in_context(event.context, event.time);
        let process = self.add_process(created, origin, event.time);
        let Outcome { status, driver } = walk::process_created(self, &creator, &process, event.conditions);
        if status.is_success() {
            return None;
        }
        process.refuse(status);
        self.record(event::Body::Verdict { process: process.id, status, driver });
        Some(Refusal { process: process.id, status, driver })
    }

    fn thread_create(&self, event: &Event<'_>, created: Thread) {
        let process = self.process_by_id(created.thread.process, event.time);
        let mut thread = self.thread_of(&process, created.thread.thread, event.time);
        if thread.exit_time() != Time::default() {
            // The last one of its process, kept for the exit of that: the process lives on, and uses the id again.
            self.forget_thread(&thread);
            thread = self.thread_of(&process, created.thread.thread, event.time);
        }
        thread.teb.store(created.teb, Ordering::Relaxed);
        let creator = self.thread_in_context(event.context, event.time);
        walk::thread_created(self, &creator, &thread, event.conditions);
    }

    fn image_load(&self, event: &Event<'_>, image: &Image<'_>) {
        let process = self.process_by_id(image.process, event.time);
        let mapper = self.thread_in_context(event.context, event.time);
        // A process that was seen being created begins with images that the kernel maps on its own thread (SEMANTICS C.2).
        let begins = image.mapping == Mapping::Image
            && process.origin == Origin::Created
            && mapper.process.id == process.id;
        let beginning = if begins { process.begun.next(image.name.as_ref()) } else { None };
        if beginning == Some(Beginning::Executable) {
            process.image_base.store(image.base, Ordering::Release);
        }
        image::image_mapped(self, &mapper, &process, image, beginning, event.conditions);
    }

    fn thread_exit(&self, event: &Event<'_>, exit: ThreadExit) {
        let process = self.process_by_id(exit.thread.process, event.time);
        let thread = self.thread_of(&process, exit.thread.thread, event.time);
        thread.set_exited(exit.status, event.time);
        walk::thread_exited(self, &thread, event.conditions);
        thread.teb.store(0, Ordering::Relaxed);
        // What it has asked of devices goes before its process does, and after its routines were told.
        self.cancel_requests_of(&thread);
        crate::ke::signal_exited(thread.kthread.header());
        // The last thread of a process can be looked up until the process is gone.
        let last = process.threads.load(Ordering::Relaxed) == 1;
        let before = process.last_thread.swap(if last { thread.id.0 } else { 0 }, Ordering::Relaxed);
        self.forget_id(before);
        if !last {
            self.forget_thread(&thread);
        }
    }

    fn process_exit(&self, event: &Event<'_>, exit: ProcessExit) {
        let Some(process) = self.ps.cid.lookup::<Eprocess>(exit.process.0, &PROCESS_TYPE) else { return };
        // R-VETO-07: a refused process exits with the status it was refused with.
        // One that a driver has terminated, with that driver's.
        let status = process.refusal().or_else(|| process.termination()).unwrap_or(exit.status);
        process.set_exited(status, event.time);
        // Normally the last thread, which has been announced as gone.
        let context = self.thread_in_context(event.context, event.time);
        // R-EXIT-06: the id is taken until the last of them has returned.
        process.begin_exit();
        let silent = process.refusal().is_some() && self.config.choices.refused_exit == RefusedExit::Silent;
        let counts = process.origin != Origin::Cloned || self.config.choices.clones == Clones::Told;
        if counts && !silent {
            walk::process_exited(self, &context, &process);
        }
        process.peb.store(0, Ordering::Relaxed);
        // The handles go after the routines were told, by the same thread (R-EXIT-01).
        self.on_thread(&context, || self.ob.handles.process_gone(process.id.0));
        if event.context.process == exit.process {
            self.forget_thread(&context);
        }
        self.forget_id(process.last_thread.load(Ordering::Relaxed));
        // The exits of a refused process's threads are moot, so its first one is still there.
        if process.refusal().is_some() {
            self.forget_id(process.first_thread.0);
        }
        crate::ke::signal_exited(process.kprocess.header());
        self.ps.cid.remove(process.id.0, &process);
        process.end_exit();
    }

    /// Puts a process into the table of ids, together with its first thread.
    fn add_process(&self, process: &Process<'_>, origin: Origin, time: Time) -> Ref<Eprocess> {
        if process.process == ProcessId::SYSTEM {
            // A source may list it among those that are there; it has always been.
            return self.ps.system.0.clone();
        }
        if let Some(stale) = self.ps.cid.lookup::<Eprocess>(process.process.0, &PROCESS_TYPE) {
            self.give_up_id(&stale);
        }
        // Nor a thread whose exit nobody announced: with its id taken, the process could not be found again.
        self.forget_id(process.process.0);
        let made = Eprocess::new(process, origin, time);
        self.ps.cid.insert(made.id.0, &made);
        if process.first_thread != ThreadId::default() {
            let first = self.thread_of(&made, process.first_thread, time);
            first.teb.store(process.teb, Ordering::Relaxed);
        }
        made
    }

    /// A process is in the way of one that a source has seen being made with the same id.
    fn give_up_id(&self, stale: &Ref<Eprocess>) {
        if !stale.exit_is_being_told() {
            // Its exit is one that nobody announced.
            self.ps.cid.remove(stale.id.0, stale);
        } else if self.ps.tables.as_walker(|walker| walker.depth()) == 0 {
            // A source that does not wait for the answer to an exit, and sees Linux use the number again.
            stale.wait_until_exit_is_told(self);
        }
        // From within a routine the id is not to be had: the one that has it may be what the routine is told of.
    }

    /// The process with that id, made up if the source never spoke of it (R-ORD-05).
    fn process_by_id(&self, id: ProcessId, time: Time) -> Ref<Eprocess> {
        if id == ProcessId::SYSTEM {
            return self.ps.system.0.clone();
        }
        if let Some(known) = self.ps.cid.lookup(id.0, &PROCESS_TYPE) {
            return known;
        }
        let unknown = Process { process: id, ..Process::default() };
        let made = Eprocess::new(&unknown, Origin::Present, time);
        if self.ps.cid.insert(id.0, &made) {
            return made;
        }
        // Another processor was faster; or the id is none at all, and the object is for this event only.
        self.ps.cid.lookup(id.0, &PROCESS_TYPE).unwrap_or(made)
    }

    /// The thread with that id in `process`, made if there is none.
    fn thread_of(&self, process: &Ref<Eprocess>, id: ThreadId, time: Time) -> Ref<Ethread> {
        if let Some(thread) = self.ps.cid.lookup::<Ethread>(id.0, &THREAD_TYPE) {
            if std::ptr::eq(&*thread.process, &**process) {
                return thread;
            }
            // Left over from another process: its id is used again.
            self.forget_thread(&thread);
        }
        let thread = Ethread::new(process.clone(), id, time, false, 0);
        if self.ps.cid.insert(id.0, &thread) {
            process.threads.fetch_add(1, Ordering::Relaxed);
        }
        thread
    }

    fn forget_id(&self, id: u32) {
        if let Some(thread) = self.ps.cid.lookup::<Ethread>(id, &THREAD_TYPE) {
            self.forget_thread(&thread);
        }
    }

    fn forget_thread(&self, thread: &Ref<Ethread>) {
        if self.ps.cid.remove(thread.id.0, thread) {
            thread.process.threads.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The thread of a context, with its process, made up if the source never spoke of them.
    pub(crate) fn thread_in_context(&self, context: ClientId, time: Time) -> Ref<Ethread> {
        let process = self.process_by_id(context.process, time);
        self.thread_of(&process, context.thread, time)
    }
}
