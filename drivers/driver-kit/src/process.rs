//! Process notices: [`ProcessNotify`], [`ProcessHandler`], [`ProcessCreated`], [`ProcessExited`].

use core::ffi::c_void;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use crate::abi::{self, CreateNotifyInfo, Handle, ProcessRoutine};
use crate::routine::{SLOTS, Shared, Slots};
use crate::{ClientId, NtStatus, NtStr, Pid, dbg_error, nt};

/// What is told of processes. Called at PASSIVE_LEVEL inside a critical region (normal kernel APCs
/// off), from any number of threads at once.
///
/// A handler must not drop the guard it is registered through: the removal would wait for this very
/// call, for ever.
pub trait ProcessHandler: Send + Sync + 'static {
    /// A process was created; its first thread exists and has not begun to run. Runs in the thread that
    /// creates. The verdict may refuse the process.
    fn created(&self, notice: &ProcessCreated<'_>) -> Verdict;

    /// A process ends: runs in its last thread, whose address space is still there.
    fn exited(&self, notice: &ProcessExited<'_>);
}

/// Whether a process may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Leaves the verdict as earlier routines made it.
    Allow,
    /// Makes the creation fail with this status. A status that is no error would refuse nothing, so
    /// STATUS_ACCESS_DENIED is used in its place.
    Deny(NtStatus),
}

/// A process was created.
pub struct ProcessCreated<'call> {
    pid: Pid,
    process: NonNull<c_void>,
    info: &'call CreateNotifyInfo,
}

impl<'call> ProcessCreated<'call> {
    /// The new process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The parent that the new process inherits from; not always the creator.
    #[must_use]
    pub fn parent(&self) -> Pid {
        Pid::from_handle(self.info.parent)
    }

    /// The thread that creates, which is the one this notice runs in.
    #[must_use]
    pub fn creator(&self) -> ClientId {
        ClientId::from_pair(self.info.creator)
    }

    /// The image's file name; exact if [`file_open_name_available`](Self::file_open_name_available).
    #[must_use]
    pub fn image_name(&self) -> Option<&'call NtStr> {
        // SAFETY: the structure and all it points to are valid for the call, which is 'call.
        unsafe { NtStr::from_counted(self.info.image_file_name) }
    }

    /// The command line, when there is one.
    #[must_use]
    pub fn command_line(&self) -> Option<&'call NtStr> {
        // SAFETY: as for `image_name`.
        unsafe { NtStr::from_counted(self.info.command_line) }
    }

    /// Whether [`image_name`](Self::image_name) is the exact name that the image was opened by.
    #[must_use]
    pub fn file_open_name_available(&self) -> bool {
        self.info.flags & abi::FILE_OPEN_NAME_AVAILABLE != 0
    }

    /// Whether the process belongs to a subsystem other than Win32 (never, for routines registered as
    /// this kit does).
    #[must_use]
    pub fn is_subsystem(&self) -> bool {
        self.info.flags & abi::IS_SUBSYSTEM_PROCESS != 0
    }

    /// The verdict as the routines before this one left it: an error if one of them refused.
    #[must_use]
    pub fn status_so_far(&self) -> NtStatus {
        NtStatus::from_raw(self.info.creation_status)
    }

    /// The image's `FILE_OBJECT`, for routines that the kit does not wrap. Valid during the call.
    #[must_use]
    pub fn file_object(&self) -> Option<NonNull<c_void>> {
        NonNull::new(self.info.file_object)
    }

    /// The `EPROCESS`, for routines that the kit does not wrap. Valid during the call.
    #[must_use]
    pub fn process_object(&self) -> NonNull<c_void> {
        self.process
    }
}

/// A process ends.
pub struct ProcessExited<'call> {
    pid: Pid,
    process: NonNull<c_void>,
    call: PhantomData<&'call ()>,
}

impl ProcessExited<'_> {
    /// The process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// What it ended with; final by now.
    #[must_use]
    pub fn status(&self) -> NtStatus {
        // SAFETY: the process object is valid and referenced for the time of the call.
        NtStatus::from_raw(unsafe { nt::PsGetProcessExitStatus(self.process.as_ptr()) })
    }

    /// The `EPROCESS`, for routines that the kit does not wrap. Valid during the call.
    #[must_use]
    pub fn process_object(&self) -> NonNull<c_void> {
        self.process
    }
}

static HANDLERS: Slots<dyn ProcessHandler> = Slots::new();
static ROUTINES: [ProcessRoutine; SLOTS] = [routine::<0>, routine::<1>, routine::<2>, routine::<3>];

/// Leads a call of NT to the handler of its slot.
///
/// # Safety
/// Called by NT under the contract of `PCREATE_PROCESS_NOTIFY_ROUTINE_EX`.
unsafe extern "system" fn routine<const SLOT: usize>(
    process: *mut c_void,
    pid: Handle,
    info: *mut CreateNotifyInfo,
) {
    // SAFETY: this is the routine of that slot, and the borrow ends with it.
    let handler = unsafe { HANDLERS.handler(SLOT) };
    let (Some(handler), Some(process)) = (handler, NonNull::new(process)) else { return };
    let pid = Pid::from_handle(pid);
    // SAFETY: null means an exit; otherwise the structure is valid for the call, and written by this
    // thread only.
    let Some(seen) = (unsafe { info.as_ref() }) else {
        return handler.exited(&ProcessExited { pid, process, call: PhantomData });
    };
    if let Verdict::Deny(status) = handler.created(&ProcessCreated { pid, process, info: seen }) {
        let status = if status.is_success() { NtStatus::ACCESS_DENIED } else { status };
        // SAFETY: `info` is not null, and no borrow of the structure is left.
        unsafe { (*info).creation_status = status.raw() };
    }
}

/// Keeps a handler registered for process notices. Dropping it removes the routine, waits for the
/// calls that are under way, and then drops the handler.
#[must_use = "dropping it removes the routine"]
pub struct ProcessNotify<P: Shared<Target: ProcessHandler>> {
    slot: usize,
    handler: ManuallyDrop<P>,
}

impl<P: Shared<Target: ProcessHandler>> ProcessNotify<P> {
    /// Registers (`PsSetCreateProcessNotifyRoutineEx`). The handler may be called before this returns.
    ///
    /// IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    /// STATUS_ACCESS_DENIED if the driver was not linked with `/INTEGRITYCHECK`,
    /// STATUS_INVALID_PARAMETER if NT's table is full, STATUS_INSUFFICIENT_RESOURCES if this driver has
    /// four such guards already.
    pub fn register(handler: P) -> Result<Self, NtStatus> {
        let target: &dyn ProcessHandler = &*handler;
        let slot = HANDLERS.take(NonNull::from(target))?;
        // SAFETY: the routine lives as long as the driver, its slot is filled, and the guard (or
        // `remove_all`) removes it before the driver goes.
        let status = NtStatus::from_raw(unsafe { nt::PsSetCreateProcessNotifyRoutineEx(ROUTINES[slot], 0) });
        if let Err(status) = status.ok() {
            // SAFETY: taken above, and not registered.
            unsafe { HANDLERS.release(slot) };
            return Err(status);
        }
        Ok(Self { slot, handler: ManuallyDrop::new(handler) })
    }
}

impl<P: Shared<Target: ProcessHandler>> Drop for ProcessNotify<P> {
    fn drop(&mut self) {
        if remove(self.slot) {
            // SAFETY: the routine is gone, so nobody uses the handler; it is dropped this once.
            unsafe { ManuallyDrop::drop(&mut self.handler) };
        }
    }
}

/// Removes the routine of a slot and frees the slot. If NT refuses, both stay as they are: a leak
/// is better than a call into freed memory.
fn remove(slot: usize) -> bool {
    // SAFETY: PASSIVE_LEVEL and not inside this very routine, by the contract of the guard.
    let status = NtStatus::from_raw(unsafe { nt::PsSetCreateProcessNotifyRoutineEx(ROUTINES[slot], 1) });
    if status.is_success() {
        // SAFETY: the slot was taken by the guard that is going, and its routine is gone.
        unsafe { HANDLERS.release(slot) };
    } else {
        dbg_error!("driver-kit: a process routine could not be removed: {status}");
    }
    status.is_success()
}

/// Removes what leaked guards (`mem::forget`) left registered.
pub(crate) fn remove_all() {
    for slot in (0..SLOTS).filter(|&slot| HANDLERS.is_taken(slot)) {
        remove(slot);
    }
}
