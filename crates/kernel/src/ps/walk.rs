//! One walk of one table for one event: the calls, and what surrounds each.

use event::{Body, Conditions, DriverId, Family, Notification, Subsystem};
use machine::Irql;
use notify::{ProcessFlavour, Registration, ThreadFlavour};
use nt_abi::{
    CLIENT_ID, HANDLE, NTSTATUS, PS_CREATE_NOTIFY_FILE_OPEN_NAME_AVAILABLE, PS_CREATE_NOTIFY_INFO,
    PS_CREATE_NOTIFY_IS_SUBSYSTEM_PROCESS, STATUS_SUCCESS,
};

use super::arguments::{Arguments, report_late_writes, with_arguments};
use super::lend::Lender;
use super::process::Eprocess;
use super::set::owner_of;
use super::thread::{Ethread, OnProcessor};
use crate::choices::{
    NonSystemExit, NonSystemKernelThreads, ParentWithoutInheritance, ThreadCreateContext, ThreadRoutineIrql,
};
use crate::io::file::ImageFile;
use crate::ke::region::{ApcDisable, CriticalRegion, GuardedRegion};
use crate::ke::{lock_order, stack_use};
use crate::{Kernel, io};

/// What a process creation ends with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) status: NTSTATUS,
    /// The driver that wrote the status last.
    pub(crate) driver: Option<DriverId>,
}

/// An id as drivers see it: a handle-sized number, zero-extended (R-CB-02).
fn handle(id: u32) -> HANDLE {
    std::ptr::without_provenance_mut(id as usize)
}

/// Whether a process routine is told of a process: those of a subsystem are for the Ex2 form only (R-PCI-09).
fn is_told(flavour: ProcessFlavour, process: &Eprocess) -> bool {
    process.subsystem == Subsystem::Win32 || flavour == ProcessFlavour::Ex2
}

/// Calls the process routines for a creation, in the creator's context, and returns what they make of it.
pub(crate) fn process_created(
    kernel: &Kernel,
    creator: &Ethread,
    process: &Eprocess,
    conditions: Conditions,
) -> Outcome {
    let tables = &kernel.ps.tables;
    if tables.process.is_empty() {
        return Outcome { status: STATUS_SUCCESS, driver: None };
    }
    with_arguments(|arguments| {
        arguments.creation = creation_info(kernel, process, arguments, !conditions.unterminated_names);
        let mut lender = Lender::new(kernel, process.id.0);
        let info = &mut arguments.creation;
        info.ImageFileName = lender.lend_string(info.ImageFileName.cast_mut(), "ImageFileName");
        info.CommandLine = lender.lend_string(info.CommandLine.cast_mut(), "CommandLine");
        let info = lender.lend(&raw mut arguments.creation, "PS_CREATE_NOTIFY_INFO");
        let mut outcome = Outcome { status: STATUS_SUCCESS, driver: None };
        in_context(kernel, creator, Surroundings::default(), || {
            tables.as_walker(|walker| {
                tables.process.walk(walker, |found| {
                    if !is_told(found.flavour, process) {
                        return;
                    }
                    let call = Call::begin(kernel, creator, Family::Process, found);
                    let routine = found.routine;
                    match found.flavour {
                        ProcessFlavour::Plain => {
                            let arguments = [process.parent.0.into(), process.id.0.into(), 1];
                            invoke(Family::Process, routine, arguments);
                        }
                        ProcessFlavour::Ex | ProcessFlavour::Ex2 => {
                            let subject = (&raw const *process).expose_provenance() as u64;
                            let info = info.expose_provenance() as u64;
                            invoke(Family::Process, routine, [subject, process.id.0.into(), info]);
                        }
                    }
                    // The field is shared by all: the last writer wins (R-VETO-05), and nobody is left out (R-VETO-04).
                    // SAFETY: `info` is alive; drivers had its address, so it is read as memory.
                    let written = unsafe { (&raw const (*info).CreationStatus).read_volatile() };
                    if written != outcome.status {
                        outcome = Outcome { status: written, driver: owner_of(found.owner) };
                    }
                    call.end(Some(written));
                });
            });
        });
        outcome
    })
}

/// Fills in what a creation is announced with.
fn creation_info(
    kernel: &Kernel,
    process: &Eprocess,
    arguments: &mut Arguments,
    terminated: bool,
) -> PS_CREATE_NOTIFY_INFO {
    let no_parent = process.inherits_no_handles
        && kernel.config.choices.parent_without_inheritance == ParentWithoutInheritance::Null;
    let mut info = PS_CREATE_NOTIFY_INFO {
        Size: size_of::<PS_CREATE_NOTIFY_INFO>(),
        ParentProcessId: handle(if no_parent { 0 } else { process.parent.0 }),
        CreatingThreadId: CLIENT_ID {
            UniqueProcess: handle(process.creator.process.0),
            UniqueThread: handle(process.creator.thread.0),
        },
        CreationStatus: STATUS_SUCCESS,
        ..PS_CREATE_NOTIFY_INFO::default()
    };
    let pico = process.subsystem != Subsystem::Win32;
    if pico {
        info.Flags |= PS_CREATE_NOTIFY_IS_SUBSYSTEM_PROCESS & kernel.config.profile.creation_flags();
    }
    if let Some(name) = &process.image {
        if process.open_name_available {
            info.Flags |= PS_CREATE_NOTIFY_FILE_OPEN_NAME_AVAILABLE;
        }
        // The name it was opened by is in NT-DOS form (R-PCI-03); a subsystem has names of its own (R-PCI-08).
        let parts = if pico {
            ["", name.for_people()]
        } else if process.open_name_available {
            let (drive, path) = name.dos();
            [drive, path]
        } else {
            ["", name.on_volume()]
        };
        info.ImageFileName = arguments.image.fill(&parts, terminated);
        let file = ImageFile::reuse(&mut arguments.file, name);
        info.FileObject = file.as_file_object();
    }
    if let Some(line) = &process.command_line {
        info.CommandLine = arguments.command_line.fill(&[line], terminated);
    }
    info
}

/// Calls the process routines for an exit, in the context of the last thread (R-EXIT).
pub(crate) fn process_exited(kernel: &Kernel, last: &Ethread, process: &Eprocess) {
    let tables = &kernel.ps.tables;
    if tables.process.is_empty() {
        return;
    }
    in_context(kernel, last, Surroundings::default(), || {
        tables.as_walker(|walker| {
            tables.process.walk(walker, |found| {
                if !is_told(found.flavour, process) {
                    return;
                }
                let call = Call::begin(kernel, last, Family::Process, found);
                let subject = match found.flavour {
                    // The parent's id is passed at exit too (R-CB-05).
                    ProcessFlavour::Plain => process.parent.0.into(),
                    ProcessFlavour::Ex | ProcessFlavour::Ex2 => {
                        (&raw const *process).expose_provenance() as u64
                    }
                };
                invoke(Family::Process, found.routine, [subject, process.id.0.into(), 0]);
                call.end(None);
            });
        });
    });
}

/// Calls the thread routines for a new thread: most in the creator's context, those of type NonSystem on the
/// new thread itself (C.1).
pub(crate) fn thread_created(kernel: &Kernel, creator: &Ethread, thread: &Ethread, conditions: Conditions) {
    // C9: one old document has all of them called on the new thread.
    let context = match kernel.config.choices.thread_create_context {
        ThreadCreateContext::Creator => creator,
        ThreadCreateContext::NewThread => thread,
    };
    thread_walk(kernel, context, thread, true, conditions, |flavour| flavour != ThreadFlavour::NonSystem);
    // Type NonSystem hears of no system thread, as its name says (R-EXIT-07).
    let choices = &kernel.config.choices;
    if !thread.system || choices.non_system_kernel_threads == NonSystemKernelThreads::Told {
        let on_it = |flavour| flavour == ThreadFlavour::NonSystem;
        thread_walk(kernel, thread, thread, true, conditions, on_it);
    }
}

/// Calls the thread routines for a thread that exits, on that thread. Type NonSystem is told of starts only
/// (R-EXIT-05), unless chosen.
pub(crate) fn thread_exited(kernel: &Kernel, thread: &Ethread, conditions: Conditions) {
    let choices = &kernel.config.choices;
    let heard = !thread.system || choices.non_system_kernel_threads == NonSystemKernelThreads::Told;
    let non_system = heard && choices.non_system_exit == NonSystemExit::Told;
    let told = |flavour| non_system || flavour != ThreadFlavour::NonSystem;
    thread_walk(kernel, thread, thread, false, conditions, told);
}

fn thread_walk(
    kernel: &Kernel,
    context: &Ethread,
    thread: &Ethread,
    create: bool,
    conditions: Conditions,
    told: impl Fn(ThreadFlavour) -> bool,
) {
    let tables = &kernel.ps.tables;
    if tables.thread.is_empty() {
        return;
    }
    let ids = thread.client_id();
    // Threads of a subsystem's processes are for the type that says it wants them, as with processes (R-PCI-09).
    let pico = thread.process.subsystem != Subsystem::Win32;
    let apc_level =
        conditions.apc_level || kernel.config.choices.thread_routine_irql == ThreadRoutineIrql::Apc;
    in_context(kernel, context, Surroundings { apc_level, all_apcs_disabled: false }, || {
        tables.as_walker(|walker| {
            tables.thread.walk(walker, |found| {
                if told(found.flavour) && (!pico || found.flavour == ThreadFlavour::Subsystems) {
                    let call = Call::begin(kernel, context, Family::Thread, found);
                    let arguments = [ids.process.0.into(), ids.thread.0.into(), create.into()];
                    invoke(Family::Thread, found.routine, arguments);
                    call.end(None);
                }
            });
        });
    });
}

/// Calls a notify routine. Whatever it returns means nothing: all are void.
pub(super) fn invoke(family: Family, routine: usize, arguments: [u64; 3]) {
    // SAFETY: a routine that a driver registered, with the arguments its flavour asks for; what goes wrong in it
    // is the driver's fault, which the machine turns into a stop.
    crate::stress::invoke(|| unsafe { stack_use::call_watched(family, routine, arguments) });
}

/// What a walk has around it besides the critical region.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Surroundings {
    /// Routines are called at APC_LEVEL (R-CTX-03).
    pub(super) apc_level: bool,
    /// A guarded region: no APC at all is delivered (R-CTX-02).
    pub(super) all_apcs_disabled: bool,
}

/// Runs `walk` as `thread`, inside a critical region (R-CTX-01), and gives the processor back. The level is
/// PASSIVE_LEVEL unless the surroundings, or the routine that an event is nested in, make it another.
pub(super) fn in_context(kernel: &Kernel, thread: &Ethread, surroundings: Surroundings, walk: impl FnOnce()) {
    let on_processor = OnProcessor::take(kernel, thread);
    let before = machine::set_current_thread((&raw const *thread).cast_mut().cast());
    {
        let _region = CriticalRegion::enter(thread);
        let _guarded = surroundings.all_apcs_disabled.then(|| GuardedRegion::enter(thread));
        let irql = machine::irql::current();
        let raised = surroundings.apc_level && irql < Irql::APC;
        if raised {
            machine::irql::raise(Irql::APC);
        }
        walk();
        if raised {
            machine::irql::lower(irql);
        }
    }
    crate::ke::leave_kernel(kernel, thread);
    crate::mm::user::forget();
    machine::set_current_thread(before);
    drop(on_processor);
}

/// One call of one routine: who runs, how long, and whether it left the processor as it found it.
pub(super) struct Call<'a> {
    kernel: &'a Kernel,
    thread: &'a Ethread,
    family: Family,
    driver: Option<DriverId>,
    slot: u8,
    routine: u64,
    began: u64,
    irql: Irql,
    apcs: ApcDisable,
    locks: usize,
    before: io::driver::Before,
}

impl<'a> Call<'a> {
    pub(super) fn begin<F: notify::Family>(
        kernel: &'a Kernel,
        thread: &'a Ethread,
        family: Family,
        found: &Registration<F>,
    ) -> Self {
        let driver = owner_of(found.owner);
        report_late_writes(kernel, None);
        let before = io::enter_driver(driver, found.routine as u64, Some(family));
        Self {
            kernel,
            thread,
            family,
            driver,
            slot: u8::try_from(found.slot).unwrap_or(u8::MAX),
            routine: found.routine as u64,
            began: crate::ke::time::stopwatch(kernel),
            irql: machine::irql::current(),
            apcs: ApcDisable::of(thread),
            locks: lock_order::routine_called(found.routine),
            before,
        }
    }

    pub(super) fn end(self, status: Option<NTSTATUS>) {
        let elapsed = crate::ke::time::stopwatch(self.kernel).saturating_sub(self.began);
        check_locks(self.kernel, self.locks, self.routine);
        check_balance(self.kernel, self.thread, (self.irql, self.apcs), self.routine, "a notify routine");
        report_late_writes(self.kernel, self.driver.map(|driver| (driver, self.routine)));
        io::leave_driver(self.before);
        self.kernel.record(Body::Notification(Notification {
            driver: self.driver.unwrap_or_default(),
            family: self.family,
            slot: self.slot,
            routine: self.routine,
            elapsed,
            status,
        }));
    }
}

/// L-13: what a routine left. It has returned, so that its beginning is the place that is told.
fn left(kernel: &Kernel, routine: u64, message: &str, check: Option<(u32, [u64; 4])>) {
    let place = vec![crate::ke::stop::frame_at(routine)];
    kernel.finding_at(io::current_driver(), &crate::rule::L_13, message, check, place);
}

/// A routine releases the locks that it acquires (L-13): nobody else will.
fn check_locks(kernel: &Kernel, before: usize, routine: u64) {
    for (address, what) in lock_order::left_since(before) {
        let message = format!(
            "a notify routine returned with the {what} at {address:#x} held; release it on every way out"
        );
        left(kernel, routine, &message, None);
    }
}

/// IRQL and APC-disable counts must be as they were (R-CTX-07, L-13). They are put back, so that one
/// driver's mistake does not become the next one's context.
pub(crate) fn check_balance(
    kernel: &Kernel,
    thread: &Ethread,
    before: (Irql, ApcDisable),
    routine: u64,
    what: &str,
) {
    let (level, before) = before;
    let irql = machine::irql::current();
    if irql != level {
        let message = format!(
            "{what} returned at IRQL {} and was called at IRQL {}; lower the IRQL on every way out",
            irql.level(),
            level.level()
        );
        let parameter = u64::from(irql.level()) << 16 | u64::from(level.level()) << 8 | 2;
        left(kernel, routine, &message, Some((0xC8, [parameter, routine, 0, 0])));
        machine::irql::set(level);
    }
    let apcs = ApcDisable::of(thread);
    if apcs != before {
        let message = format!(
            "{what} changed the APC-disable counts from {}/{} to {}/{}; leave every region that it enters",
            before.kernel, before.special, apcs.kernel, apcs.special
        );
        // Found when the system service ends that the routine ran in, or when the worker routine of a system
        // thread returns: what the walk had disabled itself has been given back by then.
        let [place, kind] = if thread.system { [routine, 1] } else { [0, 0] };
        let check = (0x01, [place, 0, apcs.beyond(before).combined(), kind]);
        left(kernel, routine, &message, Some(check));
        before.restore(thread);
    }
}
