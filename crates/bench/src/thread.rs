//! Threads.

use event::{ClientId, Conditions, EventKind, ThreadExit};
use nt_abi::NTSTATUS;

use crate::bench::failed;
use crate::world::Stage;
use crate::{Actor, Bench, Error, Process, Thread};

/// A thread to be. From [`Bench::thread`].
#[derive(Debug)]
#[must_use = "nothing happens before `create`"]
pub struct ThreadBuilder<'a> {
    bench: &'a mut Bench,
    process: Process,
    by: Option<Actor>,
    suspended: bool,
    conditions: Conditions,
}

impl Bench {
    /// A thread in a process, created by the process itself unless said otherwise.
    pub fn thread(&mut self, process: &Process) -> ThreadBuilder<'_> {
        let conditions = self.conditions;
        ThreadBuilder { bench: self, process: *process, by: None, suspended: false, conditions }
    }

    /// A thread in a process, created by `by`.
    ///
    /// # Errors
    /// As [`ThreadBuilder::create`].
    pub fn create_thread(&mut self, process: &Process, by: impl Into<Actor>) -> Result<Thread, Error> {
        self.thread(process).by(by).create()
    }

    /// Ends a thread, and its process when it is the last (R-ORD-01).
    ///
    /// # Errors
    /// [`Error::Failed`] when it has exited, [`Error::Stopped`].
    pub fn exit_thread(&mut self, thread: &Thread, status: NTSTATUS) -> Result<(), Error> {
        self.end_thread(thread.id, status)?;
        self.settle()
    }

    /// The exit of a thread, and nothing more.
    pub(crate) fn end_thread(&mut self, id: ClientId, status: NTSTATUS) -> Result<(), Error> {
        let state = self.world.live(id.process).filter(|state| state.threads.contains(&id.thread));
        let Some(state) = state else {
            return Err(failed("the thread has exited", nt_abi::STATUS_THREAD_IS_TERMINATING));
        };
        state.threads.retain(|&other| other != id.thread);
        let last = state.threads.is_empty();
        let conditions = self.conditions;
        let told = self.happen(id, EventKind::ThreadExit(ThreadExit { thread: id, status }), conditions);
        // Its TEB is there while drivers are told (R-EXIT-04).
        self.world.drop_teb(id);
        told?;
        if last {
            self.process_gone(id, id.process, status)?;
        }
        Ok(())
    }
}

impl ThreadBuilder<'_> {
    /// Who creates it: routines run in that thread's context.
    pub fn by(mut self, who: impl Into<Actor>) -> Self {
        self.by = Some(who.into());
        self
    }

    /// The first thread of a process does not start before [`Bench::resume`] (R-ORD-02).
    pub fn suspended(mut self) -> Self {
        self.suspended = true;
        self
    }

    conditions!();

    /// Creates it. The first thread of a process made from a section announces the process.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is the first one and a driver refuses the process (R-VETO-02). [`Error::Failed`] when the
    /// process or who creates it has exited. [`Error::Stopped`].
    pub fn create(self) -> Result<Thread, Error> {
        let Self { bench, process, by, suspended, conditions } = self;
        let Some(stage) = bench.world.live(process.id).map(|state| state.stage) else {
            return Err(failed("the process has exited", nt_abi::STATUS_PROCESS_IS_TERMINATING));
        };
        if stage == Stage::WithoutThread {
            let inserter = bench.context_of(by)?;
            let thread = bench.insert_first_thread(process.id, inserter, suspended, conditions)?;
            bench.settle()?;
            return Ok(thread);
        }
        let context: ClientId = bench.context_of(Some(by.unwrap_or(Actor::Process(process.id))))?;
        let thread = bench.world.add_thread(process.id);
        let made = event::Thread { thread, teb: bench.world.teb_of(thread) };
        bench.happen(context, EventKind::ThreadCreate(made), conditions)?;
        bench.settle()?;
        Ok(Thread { id: thread })
    }
}
