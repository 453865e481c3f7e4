//! Who decides: the trait through which the kernel answers what the processor cannot.

use std::sync::OnceLock;

use nt_abi::{CONTEXT, EXCEPTION_RECORD};

use crate::irql::Irql;
use crate::pcr::PAGE_SIZE;
use crate::stop::{BugCheck, StackFrame, Stop};

/// How memory was touched. The numbers are those of an access violation's first parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Access {
    /// Read.
    Read = 0,
    /// Written.
    Write = 1,
    /// Executed.
    Execute = 8,
}

/// Whose code an exception happened in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A driver's.
    Driver,
    /// Our own, working for a driver's call (the return address, when one was found).
    Kernel {
        /// The driver's call.
        call_site: Option<StackFrame>,
    },
}

/// A privileged instruction in driver code that the processor emulated, for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privileged {
    /// Something without a further argument, by its name.
    Instruction(&'static str),
    /// CR8 was written: level before and after.
    WriteCr8(Irql, Irql),
    /// A model-specific register was read or written.
    Msr {
        /// Its number.
        register: u32,
        /// The value, unless it was read.
        written: Option<u64>,
    },
    /// A port was read or written.
    Port {
        /// Its number.
        port: u16,
        /// The direction.
        write: bool,
    },
}

/// What the processor asks of the kernel.
///
/// Methods marked *handler* run in a signal handler, on its stack of 128 KiB, but always because of one
/// instruction of driver code: the thread holds no lock of ours and is not inside of the allocator, so that
/// ordinary code may run there. They must not call driver code.
pub trait Supervisor: Sync {
    /// An exception that no driver frame handled: which bug check is it? Runs on the thread's own stack.
    fn unhandled_exception(&self, record: &EXCEPTION_RECORD, context: &CONTEXT, origin: &Origin) -> BugCheck;

    /// The end: report and never return. (Tests may [`abandon`](crate::call::abandon).)
    fn stop(&self, stop: &Stop) -> !;

    /// The level was lowered: run what it blocked. Runs on the thread's own stack, may call driver code.
    fn irql_lowered(&self, from: Irql, to: Irql) {
        let _ = (from, to);
    }

    /// Fills the page that the coming access to KUSER_SHARED_DATA is served from. *Handler.*
    ///
    /// The page keeps what was written to it before by this processor.
    fn refresh_shared_user_data(&self, page: &mut [u8; PAGE_SIZE]) {
        let _ = page;
    }

    /// A page fault at an address below the kernel's: make it accessible (a page of a traced process, say) and
    /// answer `true` to run the instruction again. *Handler.*
    fn user_fault(&self, address: u64, access: Access) -> bool {
        let _ = (address, access);
        false
    }

    /// A page fault in driver code, before its handlers are asked: `Some` is a stop that no handler can catch
    /// (0xD1 at raised IRQL, 0x50 for freed kernel memory, 0xCE for code of an unloaded driver).
    fn page_fault(&self, address: u64, access: Access, rip: u64, irql: Irql) -> Option<BugCheck> {
        let _ = (address, access, rip, irql);
        None
    }

    /// A privileged instruction was emulated. *Handler.*
    fn privileged(&self, what: Privileged, rip: u64) {
        let _ = (what, rip);
    }
}

static SUPERVISOR: OnceLock<&'static dyn Supervisor> = OnceLock::new();

/// Installs the supervisor for the life of the process; `false` when there is one already.
pub fn install_supervisor(supervisor: &'static dyn Supervisor) -> bool {
    SUPERVISOR.set(supervisor).is_ok()
}

/// The installed supervisor.
#[inline]
pub fn supervisor() -> Option<&'static dyn Supervisor> {
    SUPERVISOR.get().copied()
}
