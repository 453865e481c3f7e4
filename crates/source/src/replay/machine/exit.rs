//! Processes that exit, and threads.

use event::{ClientId, EventKind, ProcessExit, ProcessId, Thread, ThreadExit, ThreadId, Time};
use nt_abi::NTSTATUS;
use telemetry::{Reason, Subject, ThreadEvent};

use super::super::account::{Absent, Account, Cause, Synthesis};
use super::super::processes::Who;
use super::{Machine, Reading, Refused};

impl Machine {
    /// A process whose exit is missing: another one has its id by now.
    pub(super) fn close(&mut self, id: u32, time: Time, reading: &mut Reading<'_>) -> Result<(), Refused> {
        if reading.options.is_strict() {
            return Err((Cause::ExitMissing, format!("process {id} has not exited, and another has its id")));
        }
        reading.account.made(Synthesis::ExitMissing);
        self.leave(id, time, NTSTATUS(0), false, reading.account);
        Ok(())
    }

    /// The last of a process: its threads exit, the first one last, and the last of them ends it (R-ORD-01).
    pub(super) fn leave(
        &mut self,
        id: u32,
        time: Time,
        status: NTSTATUS,
        recorded: bool,
        account: &mut Account,
    ) {
        let Some(live) = self.processes.get(id) else { return };
        let first = live.first_thread;
        let mut threads: Vec<_> =
            live.threads.iter().copied().filter(|thread| *thread != first).rev().collect();
        threads.extend(live.threads.get(&first));
        for thread in threads {
            self.close_thread(id, thread, time, status, account);
        }
        let last = self.processes.get(id).map(|live| live.last_thread);
        let context = self.processes.client(id, last);
        self.push(
            time,
            context,
            EventKind::ProcessExit(ProcessExit { process: ProcessId(id), status }),
            recorded,
        );
        self.processes.leave(id, time);
    }

    /// The exit of a thread that no record tells.
    pub(super) fn close_thread(
        &mut self,
        process: u32,
        thread: u32,
        time: Time,
        status: NTSTATUS,
        account: &mut Account,
    ) {
        account.made(Synthesis::ThreadExit);
        let thread_id = self.processes.client(process, Some(thread));
        self.push(time, thread_id, EventKind::ThreadExit(ThreadExit { thread: thread_id, status }), false);
        self.processes.leave_thread(process, thread);
    }

    pub(super) fn exit(
        &mut self,
        subject: &Subject,
        status: Option<u32>,
        time: Time,
        reading: &mut Reading<'_>,
    ) -> Result<(), Refused> {
        if let Who::System(id) = self.processes.who(subject, time) {
            return Err((Cause::SystemProcess, format!("process {id} does not exit")));
        }
        let id = self.known(subject, time, reading)?;
        if status.is_none() {
            reading.account.lacks(Absent::Status);
        }
        self.leave(id, time, NTSTATUS::from_u32(status.unwrap_or(0)), true, reading.account);
        Ok(())
    }

    pub(super) fn thread_create(
        &mut self,
        thread: &ThreadEvent,
        time: Time,
        reading: &mut Reading<'_>,
    ) -> Result<(), Refused> {
        let Some(new) = thread.thread.filter(|thread| *thread != 0) else { return Err(no_thread()) };
        let id = self.known_but_idle(&thread.subject, time, reading)?;
        let first = self.processes.get_mut(id).filter(|live| live.first_thread == new && !live.first_told);
        let first = first.map(|live| {
            live.first_told = true;
            live.creator
        });
        // The first one is known with its process; any other whose id is taken has not been seen exiting.
        let owner = self.processes.owner(new).filter(|owner| first.is_none() || *owner != id);
        if let Some(owner) = owner {
            self.close_thread(owner, new, time, NTSTATUS(0), reading.account);
        }
        let context = first.unwrap_or_else(|| self.context(id, thread.by));
        let created = ClientId { process: ProcessId(id), thread: ThreadId(new) };
        self.processes.enter_thread(id, new);
        self.push(time, context, EventKind::ThreadCreate(Thread::new(created)), true);
        Ok(())
    }

    pub(super) fn thread_exit(
        &mut self,
        thread: &ThreadEvent,
        time: Time,
        reading: &mut Reading<'_>,
    ) -> Result<(), Refused> {
        let Some(old) = thread.thread.filter(|thread| *thread != 0) else { return Err(no_thread()) };
        let id = self.known_but_idle(&thread.subject, time, reading)?;
        if let Some(owner) = self.processes.owner(old).filter(|owner| *owner != id) {
            self.close_thread(owner, old, time, NTSTATUS(0), reading.account);
        }
        if thread.status.is_none() {
            reading.account.lacks(Absent::Status);
        }
        let exit = ThreadExit {
            thread: ClientId { process: ProcessId(id), thread: ThreadId(old) },
            status: NTSTATUS::from_u32(thread.status.unwrap_or(0)),
        };
        self.push(time, exit.thread, EventKind::ThreadExit(exit), true);
        self.processes.leave_thread(id, old);
        Ok(())
    }
}

fn no_thread() -> Refused {
    (Cause::Read(Reason::NoProcess), "it does not say which thread it is of".into())
}
