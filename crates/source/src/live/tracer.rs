//! The tracer: one thread that waits for stops and answers each.
//!
//! ```text
//!   wait ─▶ stop of a task ─▶ events (notice.rs) ─▶ Recipient::deliver
//!     ▲                                               │ Done      Pending
//!     └──── resumed ◀── verdict applied (refuse.rs) ◀─┴──◀ finished ◀─┘  (others go on meanwhile)
//! ```

use std::{collections::HashMap, time::Duration};

use event::Event;
use nix::errno::Errno;

use super::{
    Counts, LiveError, Observer, describe,
    images::Images,
    signals::Signals,
    sys::{self, Pid, Status, Stop},
    tick::Tick,
    tree::{Call, Process, Task, Tree},
};
use crate::{Delivery, Recipient, Reply, Ticket};

/// How long to wait for a recipient at a time while tasks may stop as well.
const PATIENCE: Duration = Duration::from_millis(1);

/// What follows on a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing: the task is gone.
    Nothing,
    /// The task goes on.
    Resume,
    /// The task goes on with its new image, unless that was refused.
    Exec,
    /// The task goes on, and the one that it made starts.
    Fork(Pid),
}

/// Traces one tree.
pub(super) struct Tracer<'a> {
    pub(super) recipient: &'a mut dyn Recipient,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) tree: Tree,
    pub(super) images: Images,
    pub(super) batch: Vec<Event<'static>>,
    pub(super) counts: Counts,
    /// The first process.
    pub(super) root: Pid,
    /// This process and thread.
    pub(super) own: (Pid, Pid),
    /// Whether the first process has had its image.
    pub(super) started: bool,
    /// Whether set-uid files keep their meaning.
    pub(super) keeps_set_id: bool,
    pub(super) said_set_id: bool,
    /// Whether it was said that others outlive the command.
    said_outlived: bool,
    /// The first process's `wait` status.
    ending: Option<i32>,
    pending: HashMap<Ticket, (Pid, After)>,
    /// There is nobody to deliver to any more.
    pub(super) gone: bool,
}

impl<'a> Tracer<'a> {
    pub(super) fn new(root: Pid, recipient: &'a mut dyn Recipient, observer: &'a mut dyn Observer) -> Self {
        let own = (Pid::try_from(std::process::id()).unwrap_or(0), sys::own_thread());
        let mut tree = Tree::default();
        tree.processes.insert(root, Process::new(own.0, own, event::Architecture::X64));
        tree.tasks.insert(root, Task::new(root));
        Self {
            recipient,
            observer,
            tree,
            images: Images::default(),
            batch: Vec::new(),
            counts: Counts::default(),
            root,
            own,
            started: false,
            keeps_set_id: describe::may_trace_all(),
            said_set_id: false,
            said_outlived: false,
            ending: None,
            pending: HashMap::new(),
            gone: false,
        }
    }

    /// Traces until nobody is left. The first process's `wait` status, if it had an image.
    pub(super) fn run(&mut self, signals: &Signals) -> Result<Option<i32>, LiveError> {
        let _tick = Tick::start();
        loop {
            let waiting = !self.pending.is_empty();
            match sys::wait_any(!waiting) {
                Ok(Some((tid, status))) => {
                    self.hear(tid, status, signals);
                    self.ask(Duration::ZERO);
                }
                Ok(None) if waiting => self.ask(PATIENCE),
                Ok(None) => self.obey(),
                Err(Errno::ECHILD) if self.pending.is_empty() => break,
                Err(Errno::ECHILD) => self.ask(PATIENCE),
                Err(error) => {
                    self.end_watch();
                    return Err(LiveError::Internal { doing: "waiting for the command", error });
                }
            }
            if signals.ended() {
                // Again whenever the wait is interrupted, for those that were being made; their ends are
                // still announced.
                self.end_watch();
            }
            if self.ending.is_some() && !self.said_outlived && !self.tree.processes.is_empty() {
                self.said_outlived = true;
                let left = self.tree.processes.len();
                self.note_warning(&format!(
                    "{left} process{} the command; still watching (interrupt to end them)",
                    if left == 1 { " outlives" } else { "es outlive" }
                ));
                signals.outlived();
            }
        }
        Ok(self.ending.filter(|_| self.started))
    }

    pub(super) fn note_warning(&mut self, text: &str) {
        self.observer.note(event::Level::Warning, text);
    }

    /// Ends what is left: without a tracer it would go on unseen, and could load no library.
    fn end_watch(&mut self) {
        for pid in self.tree.processes.keys() {
            sys::kill(*pid, libc::SIGKILL);
        }
    }

    /// Asks for an answer to a batch that took its time.
    fn ask(&mut self, wait: Duration) {
        if self.pending.is_empty() {
            return;
        }
        let finished = self.recipient.finished(wait);
        self.obey();
        let Some((ticket, delivery)) = finished else { return };
        match delivery {
            Delivery::Pending(_) => {}
            Delivery::Done(reply) => {
                if let Some((tid, after)) = self.pending.remove(&ticket) {
                    self.follow(tid, after, reply);
                }
            }
            Delivery::Gone => self.nobody_listens(),
        }
    }

    fn nobody_listens(&mut self) {
        self.gone = true;
        let pending: Vec<_> = self.pending.drain().map(|(_, held)| held).collect();
        for (tid, after) in pending {
            self.follow(tid, after, Reply::default());
        }
    }

    /// Something happened to a task.
    fn hear(&mut self, tid: Pid, status: Status, signals: &Signals) {
        let refused = self.tree.tasks.get(&tid).is_some_and(|task| task.call.is_refused());
        if self.gone && !refused {
            self.pass(tid, status);
        } else {
            match self.tree.tasks.get_mut(&tid) {
                None => {
                    // One that is killed before it was heard of must not be held: an `execve` of another
                    // thread may wait for its end, and nobody may ever tell of it.
                    if status == Status::Stopped(Stop::Exit) {
                        let _ = sys::resume(tid, 0);
                    }
                    self.tree.strangers.entry(tid).or_default().push_back(status);
                }
                Some(task) if task.held => task.later.push_back(status),
                Some(_) => self.handle(tid, status),
            }
        }
        match status {
            Status::Gone(_) => self.adopt(),
            // After everything else: this process stops here until it is continued.
            Status::Stopped(Stop::Job(_)) if tid == self.root => signals.stop_with_the_command(),
            Status::Stopped(_) => {}
        }
    }

    fn handle(&mut self, tid: Pid, status: Status) {
        match status {
            Status::Gone(status) => {
                self.on_gone(tid, status);
                self.forget(tid, status);
            }
            Status::Stopped(stop) => match stop {
                Stop::Forked => self.on_fork(tid),
                Stop::Exec => self.on_exec(tid),
                Stop::Exit => self.on_exit(tid),
                Stop::Picked => {
                    self.expect(tid, Call::Picked);
                    let _ = sys::resume_to_call(tid, 0);
                }
                Stop::Call => self.on_call(tid),
                Stop::Job(_) => self.listen(tid),
                Stop::Trap => self.resume(tid, 0),
                Stop::Signal(signal) => self.resume(tid, signal),
            },
        }
    }

    /// Lets a task that nobody watches go on. Its options are those that are needed for that.
    fn pass(&mut self, tid: Pid, status: Status) {
        // Each of these fails only for a task that is gone, of which `wait` tells next.
        let _ = match status {
            Status::Gone(status) => {
                self.forget(tid, status);
                Ok(())
            }
            Status::Stopped(Stop::Job(_)) => sys::listen(tid),
            Status::Stopped(Stop::Signal(signal)) => sys::resume(tid, signal),
            Status::Stopped(stop) => {
                if stop == Stop::Forked {
                    self.pass_on(tid);
                }
                if matches!(stop, Stop::Exec | Stop::Trap) {
                    let _ = sys::want(tid, sys::Wanted::Nothing);
                }
                sys::resume(tid, 0)
            }
        };
    }

    /// Takes note of what a task that nobody watches has made, so that the end can be told.
    fn pass_on(&mut self, tid: Pid) {
        let Some(child) = sys::message(tid).ok().and_then(|child| Pid::try_from(child).ok()) else { return };
        for status in self.tree.strangers.remove(&child).unwrap_or_default() {
            self.pass(child, status);
        }
        if sys::is_thread_of(child, child) {
            self.tree.processes.insert(child, Process::new(tid, (tid, tid), event::Architecture::X64));
        }
    }

    fn forget(&mut self, tid: Pid, status: i32) {
        self.tree.tasks.remove(&tid);
        self.tree.processes.remove(&tid);
        if tid == self.root {
            self.ending = Some(status);
        }
    }

    pub(super) fn expect(&mut self, tid: Pid, call: Call) {
        if let Some(task) = self.tree.tasks.get_mut(&tid) {
            task.call = call;
        }
    }

    /// Lets a task go on. A failure means that it was killed, of which `wait` tells next.
    pub(super) fn resume(&mut self, tid: Pid, signal: i32) {
        let Some(task) = self.tree.tasks.get_mut(&tid) else { return };
        let _ = match task.call {
            Call::None | Call::Picked if self.gone => {
                let _ = sys::want(tid, sys::Wanted::Nothing);
                sys::resume(tid, signal)
            }
            Call::None => sys::resume(tid, signal),
            Call::Picked => sys::resume_to_call(tid, signal),
            // No signal may come between a refused image and its exit: nothing of it may run.
            Call::RefusedExec | Call::RefusedExit | Call::Refused => sys::resume_to_call(tid, 0),
        };
    }

    fn listen(&mut self, tid: Pid) {
        if self.tree.tasks.get(&tid).is_some_and(|task| task.call.is_refused()) {
            self.resume(tid, 0);
        } else {
            let _ = sys::listen(tid);
        }
    }

    /// Delivers the batch that was put together, on behalf of a stopped task.
    pub(super) fn deliver(&mut self, tid: Pid, after: After) {
        if self.batch.is_empty() || self.gone {
            self.batch.clear();
            return self.follow(tid, after, Reply::default());
        }
        self.counts.batches += 1;
        let delivery = self.recipient.deliver(&self.batch);
        self.batch.clear();
        self.obey();
        match delivery {
            Delivery::Done(reply) => self.follow(tid, after, reply),
            Delivery::Pending(ticket) => {
                self.pending.insert(ticket, (tid, after));
                if let Some(task) = self.tree.tasks.get_mut(&tid) {
                    task.held = true;
                }
            }
            Delivery::Gone => {
                self.gone = true;
                self.follow(tid, after, Reply::default());
                self.nobody_listens();
            }
        }
    }

    /// Does what follows on a batch.
    fn follow(&mut self, tid: Pid, after: After, reply: Reply) {
        if let Some(task) = self.tree.tasks.get_mut(&tid) {
            task.held = false;
        }
        match (after, reply.refused) {
            (After::Nothing, _) => {}
            (After::Exec, Some(refusal)) => self.refuse(tid, refusal),
            (After::Resume | After::Exec, _) => self.resume(tid, 0),
            (After::Fork(child), _) => {
                self.release(child);
                self.resume(tid, 0);
            }
        }
        self.catch_up(tid);
    }

    /// Lets a task that was made go on to whatever happened to it meanwhile.
    pub(super) fn release(&mut self, child: Pid) {
        if let Some(task) = self.tree.tasks.get_mut(&child) {
            task.held = false;
        }
        self.catch_up(child);
    }

    fn catch_up(&mut self, tid: Pid) {
        while let Some(task) = self.tree.tasks.get_mut(&tid) {
            if task.held {
                return;
            }
            match task.later.pop_front() {
                Some(status) if self.gone && !task.call.is_refused() => self.pass(tid, status),
                Some(status) => self.handle(tid, status),
                None => return,
            }
        }
    }

    /// Looks after tasks whose maker was killed before it could tell of them.
    fn adopt(&mut self) {
        if self.tree.strangers.is_empty() || self.gone {
            return;
        }
        let strangers: Vec<_> = self.tree.strangers.keys().copied().collect();
        for tid in strangers {
            let Some(process) = describe::status_field(tid, "Tgid") else {
                self.tree.strangers.remove(&tid);
                continue;
            };
            let parent = describe::status_field(tid, "PPid").unwrap_or(0);
            let maker = if process == tid { parent } else { process };
            if self.tree.processes.get(&maker).is_some_and(|maker| maker.alive > 0) {
                continue;
            }
            let Some(later) = self.tree.strangers.remove(&tid) else { continue };
            let mut task = Task { later, ..Task::new(process) };
            if process == tid {
                let made = Process::new(parent, (parent, parent), event::Architecture::X64);
                self.tree.processes.insert(tid, made);
            } else {
                // Its process has been seen to end, and it has run nothing that anybody was told of.
                task.exiting = true;
            }
            self.tree.tasks.insert(tid, task);
            self.catch_up(tid);
        }
    }
}
