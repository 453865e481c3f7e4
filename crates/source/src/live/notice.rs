//! What the stops of a task mean as events: SEMANTICS C.1 and C.2 for Linux.

use event::{Event, EventKind, Image, Level, ProcessExit, ProcessId, Thread, ThreadExit, ThreadId, Time};
use nt_abi::NTSTATUS;

use super::{
    describe, filter,
    filter::number,
    images::{Hint, Maps, Seen},
    status::Ending,
    sys::{self, Pid},
    tracer::{After, Tracer},
    tree::{Call, Process, Task, Told, client},
};

/// How many processes have their mappings kept open: fewer than the usual limit of descriptors.
const KEPT_OPEN: usize = 256;

fn process_id(pid: Pid) -> ProcessId {
    ProcessId::from_linux(pid.unsigned_abs())
}

fn thread_id(tid: Pid) -> ThreadId {
    ThreadId::from_linux(tid.unsigned_abs())
}

impl Tracer<'_> {
    fn push(&mut self, context: (Pid, Pid), kind: EventKind<'static>) {
        match kind {
            EventKind::ProcessCreate(_) => self.counts.processes += 1,
            EventKind::ThreadCreate(_) => self.counts.threads += 1,
            EventKind::ImageLoad(_) => self.counts.images += 1,
            _ => {}
        }
        self.batch.push(Event {
            time: Time::now(),
            context: client(context.0, context.1),
            kind,
            conditions: event::Conditions::default(),
        });
    }

    /// This process, which was there before anybody watched.
    fn push_self(&mut self) {
        let (pid, tid) = self.own;
        let present = event::Process {
            process: process_id(pid),
            parent: ProcessId::from_linux(std::os::unix::process::parent_id()),
            creator: event::ClientId::default(),
            first_thread: thread_id(tid),
            image: describe::name(pid),
            command_line: describe::arguments(pid).map(Into::into),
            open_name_available: false,
            architecture: event::Architecture::X64,
            ..event::Process::default()
        };
        self.push((pid, tid), EventKind::ProcessPresent(present));
    }

    /// The thread that creates a process: its maker, or who stands in for it (in the end, this one).
    fn maker(&self, process: &Process) -> (Pid, Pid) {
        self.tree.stand_in(process.creator).unwrap_or(self.own)
    }

    /// Tells of a process that did something reportable without ever having had an image of its own.
    fn ensure_told(&mut self, pid: Pid) {
        let Some(process) = self.tree.processes.get_mut(&pid) else { return };
        if process.told != Told::Nothing {
            return;
        }
        process.told = Told::Clone;
        let (parent, architecture) = (process.parent, process.architecture);
        let creator = self.tree.processes.get(&pid).map_or(self.own, |process| self.maker(process));
        self.ensure_told(creator.0);
        let clone = event::Process {
            process: process_id(pid),
            parent: process_id(parent),
            creator: client(creator.0, creator.1),
            first_thread: thread_id(pid),
            image: describe::name(pid),
            command_line: describe::arguments(pid).map(Into::into),
            open_name_available: false,
            architecture,
            ..event::Process::default()
        };
        self.push(creator, EventKind::ProcessClone(clone));
    }

    fn push_image(&mut self, context: (Pid, Pid), seen: &Seen) {
        let architecture = self.tree.processes.get(&context.0).map(|process| process.architecture);
        let image = Image {
            process: process_id(context.0),
            name: Some(seen.name()),
            base: seen.base,
            size: seen.size,
            architecture: seen.architecture,
            partial: seen.partial,
            conflicting: architecture != Some(seen.architecture),
            ..Image::default()
        };
        self.push(context, EventKind::ImageLoad(image));
    }

    fn push_thread_exit(&mut self, context: (Pid, Pid), status: NTSTATUS) {
        let exit = ThreadExit { thread: client(context.0, context.1), status };
        self.push(context, EventKind::ThreadExit(exit));
    }

    fn push_process_exit(&mut self, context: (Pid, Pid), status: NTSTATUS) {
        let exit = ProcessExit { process: process_id(context.0), status };
        self.push(context, EventKind::ProcessExit(exit));
    }

    /// A new image is mapped, and none of its code has run.
    pub(super) fn on_exec(&mut self, tid: Pid) {
        if !self.started && tid == self.root {
            self.started = true;
            self.push_self();
        }
        self.end_former_image(tid);
        let fresh = describe::fresh(tid, &mut self.images);
        let keep = self.tree.processes.len() < KEPT_OPEN;
        let Some(process) = self.tree.processes.get_mut(&tid) else { return self.resume(tid, 0) };
        process.told = Told::Created;
        process.alive = 1;
        process.architecture = fresh.architecture;
        process.leader_status = None;
        process.maps = fresh.maps.filter(|_| keep);
        process.images.clear();
        for seen in [&fresh.main, &fresh.interpreter].into_iter().flatten() {
            process.sees(seen, true);
        }
        let parent = process.parent;
        let creator = self.tree.processes.get(&tid).map_or(self.own, |process| self.maker(process));
        self.ensure_told(creator.0);
        let create = event::Process {
            process: process_id(tid),
            parent: process_id(parent),
            creator: client(creator.0, creator.1),
            first_thread: thread_id(tid),
            open_name_available: fresh.main.as_ref().is_some_and(|main| main.named),
            image: fresh.name,
            command_line: fresh.command_line.map(Into::into),
            architecture: fresh.architecture,
            ..event::Process::default()
        };
        self.push(creator, EventKind::ProcessCreate(create));
        self.push(creator, EventKind::ThreadCreate(Thread::new(client(tid, tid))));
        for seen in [&fresh.main, &fresh.interpreter].into_iter().flatten() {
            self.push_image((tid, tid), seen);
        }
        if fresh.set_id && !self.keeps_set_id && !self.said_set_id {
            self.said_set_id = true;
            let name = fresh.main.map(|main| main.path).unwrap_or_default();
            self.observer.note(
                Level::Warning,
                &format!("{name}: its set-uid or set-gid bit has no effect while it is traced (run as root for that)"),
            );
        }
        self.deliver(tid, After::Exec);
    }

    /// The image that a process had before is gone, with all threads but the one that asked for it,
    /// which goes on under the number of the first.
    fn end_former_image(&mut self, tid: Pid) {
        let many = self.tree.processes.get(&tid).is_some_and(|process| process.alive > 1);
        let first_gone = self.tree.tasks.get(&tid).is_none_or(|task| task.exiting);
        let former = if many || first_gone {
            let ours = |former: &Pid| self.tree.tasks.get(former).is_some_and(|task| task.process == tid);
            sys::message(tid).ok().and_then(|former| Pid::try_from(former).ok()).filter(ours).unwrap_or(tid)
        } else {
            tid
        };
        let told = self.tree.processes.get(&tid).is_some_and(|process| process.told != Told::Nothing);
        let status = NTSTATUS(0);
        if many || former != tid {
            for other in self.tree.others(tid, former) {
                let Some(task) = self.tree.tasks.remove(&other) else { continue };
                if told && task.told && !task.exiting {
                    self.push_thread_exit((tid, other), status);
                }
            }
        }
        let last = self.tree.tasks.remove(&former);
        if told {
            if last.is_some_and(|task| task.told && !task.exiting) {
                self.push_thread_exit((tid, former), status);
            }
            self.push_process_exit((tid, former), status);
        }
        self.tree.tasks.insert(tid, Task { told: true, ..Task::new(tid) });
    }

    /// A task made another, which is held until this is done with.
    pub(super) fn on_fork(&mut self, tid: Pid) {
        // Who is killed meanwhile has another message, an exit status: the number of no new task.
        let made = sys::message(tid)
            .ok()
            .and_then(|made| Pid::try_from(made).ok())
            .filter(|made| !self.tree.tasks.contains_key(made));
        let (Some(made), Some(task)) = (made, self.tree.tasks.get(&tid)) else { return self.resume(tid, 0) };
        let pid = task.process;
        let later = self.tree.strangers.remove(&made).unwrap_or_default();
        let (process_of, parent) = match maker_call(tid) {
            Made::Process => (made, pid),
            Made::Unknown if sys::is_thread_of(pid, made) => (pid, pid),
            // A sibling (`CLONE_PARENT`) inherits from its maker's parent, and so may any `clone3`.
            Made::Unknown => {
                (made, describe::status_field(made, "PPid").filter(|parent| *parent > 0).unwrap_or(pid))
            }
        };
        self.tree.tasks.insert(made, Task { later, held: true, ..Task::new(process_of) });
        if process_of == made {
            let architecture = self
                .tree
                .processes
                .get(&pid)
                .map_or(event::Architecture::X64, |process| process.architecture);
            self.tree.processes.insert(made, Process::new(parent, (pid, tid), architecture));
            self.release(made);
            return self.resume(tid, 0);
        }
        if let Some(process) = self.tree.processes.get_mut(&pid) {
            process.alive += 1;
        }
        if let Some(task) = self.tree.tasks.get_mut(&made) {
            task.told = true;
        }
        self.ensure_told(pid);
        self.push((pid, tid), EventKind::ThreadCreate(Thread::new(client(pid, made))));
        self.deliver(tid, After::Fork(made));
    }

    /// A thread exits, and its address space is still there.
    pub(super) fn on_exit(&mut self, tid: Pid) {
        // Without an answer it is gone already, and the status comes with that.
        if let Some(status) = sys::message(tid).ok().and_then(|status| i32::try_from(status).ok()) {
            self.end_thread(tid, status, true);
        }
        self.deliver(tid, After::Resume);
    }

    /// A task is gone; it may not have been seen to exit when it was killed.
    pub(super) fn on_gone(&mut self, tid: Pid, status: i32) {
        self.end_thread(tid, status, false);
        self.deliver(tid, After::Nothing);
    }

    fn end_thread(&mut self, tid: Pid, status: i32, there: bool) {
        let Some(task) = self.tree.tasks.get_mut(&tid) else { return };
        if task.exiting {
            // Twice under one number: a thread was killed in its `execve`, when it had taken over the
            // number of the first one. Nobody else is left.
            if task.process == tid && self.tree.processes.get(&tid).is_some_and(|process| process.alive > 0) {
                for other in self.tree.others(tid, tid) {
                    self.end_thread(other, status, false);
                    self.tree.tasks.remove(&other);
                }
            }
            return;
        }
        task.exiting = true;
        let (pid, thread_told) = (task.process, task.told);
        let Some(process) = self.tree.processes.get_mut(&pid) else { return };
        process.alive = process.alive.saturating_sub(1);
        let last = process.alive == 0;
        if !last && tid == pid {
            process.leader_status = Some(status);
        }
        let (told, leader_status) = (process.told, process.leader_status);
        // What it was made to end with, by whoever did.
        let made = process.refused.or(process.terminated);
        if told == Told::Nothing {
            return;
        }
        let own_status = made.unwrap_or(Ending::from_wait(status).status());
        if thread_told {
            self.push_thread_exit((pid, tid), own_status);
        }
        if last {
            // A process whose first thread left by itself ends with that one's code, unless the end
            // was everybody's.
            let ending = leader_status.filter(|_| tid != pid && there && leaves_alone(tid));
            let status =
                made.unwrap_or(ending.map_or(own_status, |status| Ending::from_wait(status).status()));
            self.push_process_exit((pid, tid), status);
        }
    }

    /// A task enters or leaves a system call.
    pub(super) fn on_call(&mut self, tid: Pid) {
        let Some(task) = self.tree.tasks.get_mut(&tid) else { return };
        match task.call {
            Call::None => {}
            Call::Picked => {
                task.call = Call::None;
                let pid = task.process;
                if let Some(made) = made_code(tid) {
                    self.look_for_images(pid, tid, &made);
                }
                return self.deliver(tid, After::Resume);
            }
            Call::RefusedExec | Call::RefusedExit | Call::Refused => return self.on_refused_call(tid),
        }
        self.resume(tid, 0);
    }

    fn look_for_images(&mut self, pid: Pid, tid: Pid, made: &MadeCode) {
        let kept = self.tree.processes.get_mut(&pid).and_then(|process| process.maps.take());
        let Some(maps) = kept.or_else(|| Maps::open(tid)) else { return };
        let end = made.address.saturating_add(made.length.max(1));
        let mut at = made.address;
        while let Some(mapping) = maps.at(at, true).filter(|mapping| mapping.start < end && mapping.end > at)
        {
            at = mapping.end;
            let Some(seen) = self.images.of(&maps, &mapping, made.hint) else { continue };
            let Some(process) = self.tree.processes.get_mut(&pid) else { break };
            if process.sees(&seen, made.mapped) {
                self.ensure_told(pid);
                self.push_image((pid, tid), &seen);
            }
            if at >= end {
                break;
            }
        }
        if self.tree.processes.len() < KEPT_OPEN
            && let Some(process) = self.tree.processes.get_mut(&pid)
        {
            process.maps = Some(maps);
        }
    }
}

/// Code that a system call made of a file, or may have.
struct MadeCode {
    address: u64,
    length: u64,
    /// By mapping, not by protecting what was mapped.
    mapped: bool,
    hint: Hint,
}

/// What the call did that a task is about to leave; `None` when it failed.
fn made_code(tid: Pid) -> Option<MadeCode> {
    let registers = sys::registers(tid).ok()?;
    let low = |register: u64| register & 0xFFFF_FFFF;
    // The numbers that the filter picks out tell the tables apart.
    let number = u32::try_from(low(registers.orig_rax)).ok()? & !filter::X32;
    let narrow = matches!(
        number,
        number::I386_MMAP | number::I386_MMAP2 | number::I386_MPROTECT | number::I386_PKEY_MPROTECT
    );
    let result = if narrow { low(registers.rax) } else { registers.rax };
    let failed = if narrow { result > 0xFFFF_F000 } else { result > 0xFFFF_FFFF_FFFF_F000 };
    if failed {
        return None;
    }
    Some(match number {
        number::MMAP => MadeCode {
            address: result,
            length: registers.rsi,
            mapped: true,
            hint: Hint::Descriptor(low(registers.r8)),
        },
        number::I386_MMAP2 => MadeCode {
            address: result,
            length: low(registers.rcx),
            mapped: true,
            hint: Hint::Descriptor(low(registers.rdi)),
        },
        // Its length is in memory: the first mapping is the one.
        number::I386_MMAP => MadeCode { address: result, length: 1, mapped: true, hint: Hint::None },
        _ if narrow => MadeCode {
            address: low(registers.rbx),
            length: low(registers.rcx),
            mapped: false,
            hint: Hint::None,
        },
        _ => MadeCode { address: registers.rdi, length: registers.rsi, mapped: false, hint: Hint::None },
    })
}

/// What a task has made, as far as its registers tell.
enum Made {
    /// A process that inherits from it.
    Process,
    Unknown,
}

fn maker_call(tid: Pid) -> Made {
    const SIBLING_OR_THREAD: u64 = (libc::CLONE_THREAD | libc::CLONE_PARENT) as u64;
    // fork and vfork of x86-64 and of i386: no number among them forks in the other table.
    const FORKS: [u64; 4] = [57, 58, 2, 190];
    let Ok(registers) = sys::registers(tid) else { return Made::Unknown };
    let flags = match registers.orig_rax {
        number if FORKS.contains(&number) => 0,
        number if number == u64::from(number::CLONE) => registers.rdi,
        number if number == u64::from(number::I386_CLONE) => registers.rbx,
        _ => return Made::Unknown,
    };
    if flags & SIBLING_OR_THREAD == 0 { Made::Process } else { Made::Unknown }
}

/// Whether a thread that exits does so for itself only (`exit`, not `exit_group`).
fn leaves_alone(tid: Pid) -> bool {
    const EXIT: u64 = 60;
    const I386_EXIT: u64 = 1;
    sys::registers(tid).is_ok_and(|registers| matches!(registers.orig_rax, EXIT | I386_EXIT))
}
