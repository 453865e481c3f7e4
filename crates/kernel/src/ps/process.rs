//! Process objects.

use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use event::{Architecture, ClientId, Name, ProcessId, Subsystem, ThreadId, Time};
use nt_abi::NTSTATUS;

use super::beginning::Begun;
use crate::ke::Kprocess;
use crate::ob::{self, ObjectType, Ref};

/// The type of processes: `*PsProcessType`.
pub static PROCESS_TYPE: ObjectType =
    ObjectType { name: "Process", size: size_of::<Eprocess>(), delete: Some(delete) };

/// What a process has been through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was there before anybody watched (R-ORD-05).
    Present,
    /// It is a clone of its parent, announced to nobody (R-ORD-04).
    Cloned,
    /// Its creation was announced.
    Created,
}

/// A process: what drivers know as `EPROCESS`, opaque to them but for the dispatcher header it begins with.
#[repr(C)]
#[derive(Debug)]
pub struct Eprocess {
    pub(crate) kprocess: Kprocess,
    pub(crate) id: ProcessId,
    pub(crate) parent: ProcessId,
    pub(crate) creator: ClientId,
    /// The thread that it was created with; 0 where the source does not say.
    pub(crate) first_thread: ThreadId,
    pub(crate) origin: Origin,
    pub(crate) open_name_available: bool,
    pub(crate) architecture: Architecture,
    pub(crate) subsystem: Subsystem,
    pub(crate) inherits_no_handles: bool,
    /// The main image, in device form; `None` where the source does not know.
    pub(crate) image: Option<Name<'static>>,
    pub(crate) command_line: Option<Box<str>>,
    /// The first 15 bytes of the image's file name and a NUL: `PsGetProcessImageFileName`.
    pub(crate) short_name: [u8; 16],
    pub(crate) create_time: Time,
    exit_time: AtomicI64,
    exit_status: AtomicI32,
    /// The status a creation was refused with; 0 when it was not.
    refused: AtomicI32,
    /// The status it is being terminated with, and a bit that says that it is.
    termination: AtomicU64,
    /// Threads of it in the table of ids.
    pub(crate) threads: AtomicU32,
    /// The id of the thread that exited last, still in the table: it runs the exit notification of the process.
    pub(crate) last_thread: AtomicU32,
    /// Where its environment block is, the PEB; 0 where it has none, or not any more.
    pub(crate) peb: AtomicU64,
    /// Where its main image is mapped; 0 until that is known.
    pub(crate) image_base: AtomicU64,
    /// How far it has come with the images that it begins with.
    pub(crate) begun: Begun,
    /// Whether routines are being told of its exit, or have been: see [`Eprocess::begin_exit`].
    exit_told: AtomicU32,
    /// A number no other process of the bench has: `PsGetProcessSequenceNumber`.
    pub(crate) sequence: u64,
    /// The primary token, made when first asked for.
    pub(crate) token: OnceLock<crate::se::PrimaryToken>,
}

/// Says that a process is being terminated, above the status that it ends with.
const TERMINATING: u64 = 1 << 32;
/// Nobody has been told of the exit of a process.
const NOT_TOLD: u32 = 0;
/// Routines are being told of it.
const BEING_TOLD: u32 = 1;
/// All have been told, and its id is nobody's.
const ALL_TOLD: u32 = 2;

static SEQUENCE: AtomicU64 = AtomicU64::new(1);

impl Eprocess {
    /// Makes the object of a process. It is in no table yet.
    pub(crate) fn new(process: &event::Process<'_>, origin: Origin, create_time: Time) -> Ref<Self> {
        let image = process.image.clone().map(Name::into_owned);
        let mut short_name = [0; 16];
        if let Some(name) = &image {
            let name = name.file_name().as_bytes();
            let length = name.len().min(15);
            short_name[..length].copy_from_slice(&name[..length]);
        }
        let body = Self {
            kprocess: Kprocess::new(),
            id: process.process,
            parent: process.parent,
            creator: process.creator,
            first_thread: process.first_thread,
            origin,
            open_name_available: process.open_name_available,
            architecture: process.architecture,
            subsystem: process.subsystem,
            inherits_no_handles: process.inherits_no_handles,
            image,
            command_line: process.command_line.as_deref().map(Into::into),
            short_name,
            create_time,
            exit_time: AtomicI64::new(0),
            exit_status: AtomicI32::new(nt_abi::STATUS_PENDING.0),
            refused: AtomicI32::new(0),
            termination: AtomicU64::new(0),
            threads: AtomicU32::new(0),
            last_thread: AtomicU32::new(0),
            peb: AtomicU64::new(process.peb),
            image_base: AtomicU64::new(0),
            begun: Begun::default(),
            exit_told: AtomicU32::new(NOT_TOLD),
            sequence: SEQUENCE.fetch_add(1, Ordering::Relaxed),
            token: OnceLock::new(),
        };
        let object: NonNull<Self> = ob::create(&PROCESS_TYPE, 0);
        // SAFETY: new, of the right size, and nobody else has it.
        unsafe { object.write(body) };
        // SAFETY: the one reference it was created with.
        unsafe { Ref::adopt(object) }
    }

    /// The exit status: `STATUS_PENDING` until the process has exited.
    pub(crate) fn exit_status(&self) -> NTSTATUS {
        NTSTATUS(self.exit_status.load(Ordering::Acquire))
    }

    /// When it exited; zero until then.
    pub(crate) fn exit_time(&self) -> Time {
        Time(self.exit_time.load(Ordering::Acquire))
    }

    /// Makes status and time of the exit final, before anybody is told of it (R-EXIT-02).
    pub(crate) fn set_exited(&self, status: NTSTATUS, time: Time) {
        self.exit_time.store(time.0, Ordering::Release);
        self.exit_status.store(status.0, Ordering::Release);
    }

    /// From now on routines are told of its exit, and its id is not given away.
    pub(crate) fn begin_exit(&self) {
        self.exit_told.store(BEING_TOLD, Ordering::Release);
    }

    /// All have been told of its exit, and the id was given up.
    pub(crate) fn end_exit(&self) {
        self.exit_told.store(ALL_TOLD, Ordering::Release);
        machine::platform().wake(&self.exit_told, u32::MAX);
    }

    /// Whether routines are being told of its exit at this moment.
    pub(crate) fn exit_is_being_told(&self) -> bool {
        self.exit_told.load(Ordering::Acquire) == BEING_TOLD
    }

    /// Waits until all have been told of its exit (R-EXIT-06). Not for a thread that could be the one that tells.
    pub(crate) fn wait_until_exit_is_told(&self, kernel: &crate::Kernel) {
        while self.exit_is_being_told() {
            machine::platform().block(&self.exit_told, BEING_TOLD, Some(Duration::from_millis(200)));
            kernel.still_waits();
        }
    }

    /// The status its creation was refused with.
    pub(crate) fn refusal(&self) -> Option<NTSTATUS> {
        let status = NTSTATUS(self.refused.load(Ordering::Acquire));
        (!status.is_success()).then_some(status)
    }

    /// The status it is being terminated with, from the order on.
    pub(crate) fn termination(&self) -> Option<NTSTATUS> {
        let order = self.termination.load(Ordering::Acquire);
        let [a, b, c, d, ..] = order.to_le_bytes();
        (order & TERMINATING != 0).then_some(NTSTATUS::from_u32(u32::from_le_bytes([a, b, c, d])))
    }

    /// Terminates it with a status; false when it is terminating already, or has exited. It exits when its source says so.
    pub(crate) fn terminate(&self, status: NTSTATUS) -> bool {
        let order = TERMINATING | u64::from(status.as_u32());
        self.exit_time() == Time::default()
            && self.termination.compare_exchange(0, order, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Remembers that its creation was refused (R-VETO-06).
    pub(crate) fn refuse(&self, status: NTSTATUS) {
        self.refused.store(status.0, Ordering::Release);
    }
}

/// Drops what a process object holds.
///
/// # Safety
/// Called by the object manager, once, with the body of a process that nobody else can reach.
unsafe fn delete(body: *mut u8) {
    // SAFETY: by this function's contract.
    unsafe { body.cast::<Eprocess>().drop_in_place() };
}

/// The System process, alive as long as the kernel.
#[derive(Debug)]
pub(crate) struct SystemProcess(pub(crate) Ref<Eprocess>);

impl SystemProcess {
    pub(crate) fn new(now: Time) -> Self {
        let process = event::Process {
            process: ProcessId::SYSTEM,
            image: Some(Name { nt: "System".into(), host: None }),
            ..event::Process::default()
        };
        Self(Eprocess::new(&process, Origin::Present, now))
    }
}
