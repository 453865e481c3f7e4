//! How a refused image is kept from running.
//!
//! The process is held after its new image was mapped and before that image's first instruction. It
//! goes on to the end of its `execve`; there its next instruction is made a system call and its
//! registers the arguments of `exit_group(126)`, in the table of its own width. Signals are held back
//! until then, so that nothing comes between. Whatever goes wrong on the way ends in SIGKILL.

use nix::errno::Errno;

use super::{
    describe,
    sys::{self, Pid},
    tracer::Tracer,
    tree::Call,
};
use crate::Refusal;

/// What shells use for "found, but may not run".
const MAY_NOT_RUN: u64 = 126;

/// `syscall`, and `ud2` in case it came back.
const SYSCALL: [u8; 8] = [0x0f, 0x05, 0x0f, 0x0b, 0x0f, 0x0b, 0x0f, 0x0b];
/// `int 0x80`, and `ud2` in case it came back.
const INT_80: [u8; 8] = [0xcd, 0x80, 0x0f, 0x0b, 0x0f, 0x0b, 0x0f, 0x0b];
const EXIT_GROUP: u64 = 231;
const I386_EXIT_GROUP: u64 = 252;

impl Tracer<'_> {
    /// Starts to end a process whose creation was refused.
    pub(super) fn refuse(&mut self, tid: Pid, refusal: Refusal) {
        if let Some(process) = self.tree.processes.get_mut(&tid) {
            process.refused = Some(refusal.status);
        }
        self.counts.refused += 1;
        self.expect(tid, Call::RefusedExec);
        self.or_kill(tid, sys::resume_to_call(tid, 0));
    }

    /// A refused process is at the end of its `execve`, or enters its exit, or came back from it.
    pub(super) fn on_refused_call(&mut self, tid: Pid) {
        let Some(task) = self.tree.tasks.get_mut(&tid) else { return };
        let step = match task.call {
            Call::RefusedExec => {
                task.call = Call::RefusedExit;
                put_exit(tid)
            }
            Call::RefusedExit => {
                task.call = Call::Refused;
                is_exit(tid)
            }
            _ => Err(Errno::ENOEXEC),
        };
        self.or_kill(tid, step.and_then(|()| sys::resume_to_call(tid, 0)));
    }

    fn or_kill(&mut self, tid: Pid, result: Result<(), Errno>) {
        // ESRCH: it was killed by somebody else meanwhile, or is about to be by us.
        if result.is_err() {
            sys::kill(tid, libc::SIGKILL);
        }
    }
}

fn put_exit(tid: Pid) -> Result<(), Errno> {
    let mut registers = sys::registers(tid)?;
    let code;
    if registers.cs == describe::CODE_32 {
        code = INT_80;
        registers.rax = I386_EXIT_GROUP;
        registers.rbx = MAY_NOT_RUN;
    } else {
        code = SYSCALL;
        registers.rax = EXIT_GROUP;
        registers.rdi = MAY_NOT_RUN;
    }
    // No call is to be restarted on the way.
    registers.orig_rax = u64::MAX;
    sys::poke(tid, registers.rip, code)?;
    sys::set_registers(tid, &registers)
}

fn is_exit(tid: Pid) -> Result<(), Errno> {
    let registers = sys::registers(tid)?;
    match (registers.orig_rax, registers.rdi, registers.rbx) {
        (EXIT_GROUP, MAY_NOT_RUN, _) | (I386_EXIT_GROUP, _, MAY_NOT_RUN) => Ok(()),
        _ => Err(Errno::ENOEXEC),
    }
}
