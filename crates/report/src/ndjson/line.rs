//! The lines as they are written: the schema, in types.
//!
//! Flat objects; what is not known is left out. Addresses are hexadecimal strings (JSON numbers lose
//! bits above 2^53), statuses and bug check codes have their eight digits and their name beside them.

use std::borrow::Cow;

use event::Registers;
use nt_abi::NTSTATUS;
use serde::Serialize;

use crate::json::{Address, Code, Moment};

/// A status and its name.
#[derive(Serialize)]
pub(super) struct Status {
    status: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_name: Option<&'static str>,
}

impl From<NTSTATUS> for Status {
    fn from(status: NTSTATUS) -> Self {
        Self { status: Code(status.as_u32()), status_name: status.name() }
    }
}

/// One line.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<&'static str>,
    pub(super) time: Moment,
    pub(super) elapsed_ns: u64,
    #[serde(flatten)]
    pub(super) who: Who<'a>,
    #[serde(flatten)]
    pub(super) driver: Option<Driver<'a>>,
    #[serde(flatten)]
    pub(super) body: Body<'a>,
}

/// Whom a record is about, and for events in whose context they happened.
#[derive(Default, Serialize)]
pub(super) struct Who<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) linux_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) linux_tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context_tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) because_pid: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) conditions: Vec<&'static str>,
}

/// Which driver.
#[derive(Serialize)]
pub(super) struct Driver<'a> {
    pub(super) driver_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) driver: Option<&'a str>,
}

/// What only some types have.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Body<'a> {
    Start {
        version: &'a str,
        profile: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        machine: &'a str,
        command: &'a [Cow<'a, str>],
    },
    DriverLoad {
        path: &'a str,
        base: Address,
        size: u64,
        missing_imports: &'a [Cow<'a, str>],
    },
    DriverStart {
        #[serde(flatten)]
        status: Status,
        duration_ns: u64,
    },
    DriverUnload {
        #[serde(skip_serializing_if = "Option::is_none")]
        duration_ns: Option<u64>,
    },
    Registration {
        action: &'static str,
        family: &'static str,
        flavour: &'static str,
        routine: Address,
        #[serde(skip_serializing_if = "Option::is_none")]
        slot: Option<u8>,
        #[serde(flatten)]
        status: Status,
    },
    Process(Process<'a>),
    Exit {
        #[serde(flatten)]
        status: Status,
    },
    Image(Image<'a>),
    Notification {
        family: &'static str,
        slot: u8,
        routine: Address,
        duration_ns: u64,
        #[serde(flatten)]
        status: Option<Status>,
    },
    Verdict {
        refused: bool,
        #[serde(flatten)]
        status: Status,
    },
    Debug {
        component: u32,
        level: u32,
        text: &'a str,
    },
    Finding {
        rule: &'a str,
        severity: &'static str,
        message: &'a str,
        #[serde(flatten)]
        bug_check: Option<BugCheck>,
        stack: Vec<Frame<'a>>,
    },
    Stop(Box<Stop<'a>>),
    Leak {
        kind: &'static str,
        what: &'a str,
        count: u64,
        bytes: u64,
    },
    Difference {
        change: &'static str,
        text: &'a str,
    },
    Note {
        level: &'static str,
        text: &'a str,
    },
    CommandExit {
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        signal_name: Option<&'static str>,
    },
    PoolUsage {
        paged_allocations: u64,
        paged_peak_bytes: u64,
        nonpaged_allocations: u64,
        nonpaged_peak_bytes: u64,
    },
    Timing {
        family: &'static str,
        calls: u64,
        total_ns: u64,
        longest_ns: u64,
    },
    /// Types with nothing of their own.
    Plain {},
}

/// A process at its creation, or as it was found.
#[derive(Serialize)]
pub(super) struct Process<'a> {
    pub(super) parent_pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_linux_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) creator_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) creator_tid: Option<u32>,
    #[serde(flatten)]
    pub(super) file: File<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command_line: Option<&'a str>,
    pub(super) open_name_available: bool,
    pub(super) architecture: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subsystem: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) inherits_no_handles: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde passes")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A file in both forms.
#[derive(Serialize)]
pub(super) struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image_nt: Option<&'a str>,
}

/// An image that was mapped.
#[derive(Serialize)]
pub(super) struct Image<'a> {
    #[serde(flatten)]
    pub(super) name: File<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_nt: Option<&'a str>,
    pub(super) base: Address,
    pub(super) size: u64,
    pub(super) architecture: &'static str,
    pub(super) partial: bool,
    pub(super) conflicting: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mapping: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signature_level: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signature_type: Option<u8>,
}

/// A bug check.
#[derive(Serialize)]
pub(super) struct BugCheck {
    pub(super) bug_check: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bug_check_name: Option<&'static str>,
    pub(super) parameters: [Address; 4],
}

/// The end of a host.
#[derive(Serialize)]
pub(super) struct Stop<'a> {
    pub(super) kind: &'static str,
    #[serde(flatten)]
    pub(super) bug_check: Option<BugCheck>,
    pub(super) message: &'a str,
    #[serde(flatten)]
    pub(super) state: Option<State>,
    pub(super) stack: Vec<Frame<'a>>,
}

/// The processor at a stop.
#[derive(Serialize)]
pub(super) struct State {
    pub(super) registers: RegisterFile,
    pub(super) irql: u8,
}

/// One level of a stack, innermost first.
#[derive(Serialize)]
pub(super) struct Frame<'a> {
    pub(super) address: Address,
    #[serde(flatten)]
    pub(super) place: Option<Place<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) symbol: Option<&'a str>,
}

/// Where in an image an address lies.
#[derive(Serialize)]
pub(super) struct Place<'a> {
    pub(super) module: &'a str,
    pub(super) offset: Address,
}

macro_rules! register_file {
    ($($name:ident)*) => {
        /// The registers, by the processor's names.
        #[derive(Serialize)]
        pub(super) struct RegisterFile { $($name: Address,)* eflags: Address }

        impl From<&Registers> for RegisterFile {
            fn from(registers: &Registers) -> Self {
                Self { $($name: Address(registers.$name),)* eflags: Address(u64::from(registers.eflags)) }
            }
        }
    };
}
register_file! { rip rsp rbp rax rbx rcx rdx rsi rdi r8 r9 r10 r11 r12 r13 r14 r15 }
