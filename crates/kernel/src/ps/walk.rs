//! One walk of one table for one event: the calls, and what surrounds each.

use std::cell::RefCell;

use event::{Body, DriverId, Family, Image, Notification};
use notify::{ProcessFlavour, Registration, ThreadFlavour};
use nt_abi::{
    CLIENT_ID, HANDLE, IMAGE_ADDRESSING_MODE_32BIT, IMAGE_INFO, IMAGE_INFO_EX,
    IMAGE_PROPERTIES_EXTENDED_INFO_PRESENT, IMAGE_PROPERTIES_MACHINE_TYPE_MISMATCH,
    IMAGE_PROPERTIES_PARTIAL_MAP, IMAGE_PROPERTIES_SYSTEM_MODE_IMAGE, NTSTATUS,
    PS_CREATE_NOTIFY_FILE_OPEN_NAME_AVAILABLE, PS_CREATE_NOTIFY_INFO, STATUS_SUCCESS,
};

use super::arguments::{NameBuffer, poisoned_pointer};
use super::process::Eprocess;
use super::set::{CONFLICTING_ARCHITECTURE, owner_of};
use super::thread::{Ethread, OnProcessor};
use crate::io::file::ImageFile;
use crate::ke::attach::Attached;
use crate::ke::region::{ApcDisable, CriticalRegion};
use crate::{Kernel, io};

/// What a process creation ends with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) status: NTSTATUS,
    /// The driver that wrote the status last.
    pub(crate) driver: Option<DriverId>,
}

/// One processor's arguments, used again for each event.
#[derive(Default)]
struct Arguments {
    image: NameBuffer,
    command_line: NameBuffer,
    file: Option<crate::ob::Ref<ImageFile>>,
}

thread_local! {
    /// A nested event finds this taken and makes its own: the outer call still uses these.
    static ARGUMENTS: RefCell<Option<Box<Arguments>>> = const { RefCell::new(None) };
}

/// Lends the processor's arguments out.
fn with_arguments<T>(use_them: impl FnOnce(&mut Arguments) -> T) -> T {
    let mut arguments = ARGUMENTS.take().unwrap_or_default();
    let result = use_them(&mut arguments);
    arguments.image.poison();
    arguments.command_line.poison();
    ARGUMENTS.set(Some(arguments));
    result
}

/// An id as drivers see it: a handle-sized number, zero-extended (R-CB-02).
fn handle(id: u32) -> HANDLE {
    std::ptr::without_provenance_mut(id as usize)
}

/// Calls the process routines for a creation, in the creator's context, and returns what they make of it.
pub(crate) fn process_created(kernel: &Kernel, creator: &Ethread, process: &Eprocess) -> Outcome {
    let tables = &kernel.ps.tables;
    if tables.process.is_empty() {
        return Outcome { status: STATUS_SUCCESS, driver: None };
    }
    with_arguments(|arguments| {
        let mut info = creation_info(process, arguments);
        let mut outcome = Outcome { status: STATUS_SUCCESS, driver: None };
        in_context(kernel, creator, || {
            tables.as_walker(|walker| {
                tables.process.walk(walker, |found| {
                    let call = Call::begin(kernel, creator, Family::Process, found);
                    let routine = found.routine;
                    match found.flavour {
                        ProcessFlavour::Plain => {
                            invoke(routine, process.parent.0.into(), process.id.0.into(), 1);
                        }
                        ProcessFlavour::Ex | ProcessFlavour::Ex2 => {
                            let subject = (&raw const *process).expose_provenance() as u64;
                            let info = (&raw mut info).expose_provenance() as u64;
                            invoke(routine, subject, process.id.0.into(), info);
                        }
                    }
                    // The field is shared by all: the last writer wins (R-VETO-05), and nobody is left out (R-VETO-04).
                    // SAFETY: `info` is alive; drivers had its address, so it is read as memory.
                    let written = unsafe { (&raw const info.CreationStatus).read_volatile() };
                    if written != outcome.status {
                        outcome = Outcome { status: written, driver: owner_of(found.owner) };
                    }
                    call.end(Some(written));
                });
            });
        });
        poison(&mut info);
        outcome
    })
}

/// Fills in what a creation is announced with.
fn creation_info(process: &Eprocess, arguments: &mut Arguments) -> PS_CREATE_NOTIFY_INFO {
    let mut info = PS_CREATE_NOTIFY_INFO {
        Size: size_of::<PS_CREATE_NOTIFY_INFO>(),
        ParentProcessId: handle(process.parent.0),
        CreatingThreadId: CLIENT_ID {
            UniqueProcess: handle(process.creator.process.0),
            UniqueThread: handle(process.creator.thread.0),
        },
        CreationStatus: STATUS_SUCCESS,
        ..PS_CREATE_NOTIFY_INFO::default()
    };
    if let Some(name) = &process.image {
        info.ImageFileName = if process.open_name_available {
            // The name it was opened by, in NT-DOS form (R-PCI-03).
            info.Flags |= PS_CREATE_NOTIFY_FILE_OPEN_NAME_AVAILABLE;
            let (drive, path) = name.dos();
            arguments.image.fill(&[drive, path])
        } else {
            arguments.image.fill(&[name.on_volume()])
        };
        let file = ImageFile::reuse(&mut arguments.file, name);
        info.FileObject = file.as_file_object();
    }
    if let Some(line) = &process.command_line {
        info.CommandLine = arguments.command_line.fill(&[line]);
    }
    info
}

/// Calls the process routines for an exit, in the context of the last thread (R-EXIT).
pub(crate) fn process_exited(kernel: &Kernel, last: &Ethread, process: &Eprocess) {
    let tables = &kernel.ps.tables;
    if tables.process.is_empty() {
        return;
    }
    in_context(kernel, last, || {
        tables.as_walker(|walker| {
            tables.process.walk(walker, |found| {
                let call = Call::begin(kernel, last, Family::Process, found);
                match found.flavour {
                    // The parent's id is passed at exit too (R-CB-05).
                    ProcessFlavour::Plain => {
                        invoke(found.routine, process.parent.0.into(), process.id.0.into(), 0)
                    }
                    ProcessFlavour::Ex | ProcessFlavour::Ex2 => {
                        let subject = (&raw const *process).expose_provenance() as u64;
                        invoke(found.routine, subject, process.id.0.into(), 0)
                    }
                };
                call.end(None);
            });
        });
    });
}

/// Calls the thread routines for a new thread: most in the creator's context, those of type NonSystem on the
/// new thread itself (C.1).
pub(crate) fn thread_created(kernel: &Kernel, creator: &Ethread, thread: &Ethread) {
    let plain = |flavour| flavour != ThreadFlavour::NonSystem;
    thread_walk(kernel, creator, thread, true, plain);
    if !thread.system {
        thread_walk(kernel, thread, thread, true, |flavour| flavour == ThreadFlavour::NonSystem);
    }
}

/// Calls the thread routines for a thread that exits, on that thread. Type NonSystem is told of starts only
/// (R-EXIT-05).
pub(crate) fn thread_exited(kernel: &Kernel, thread: &Ethread) {
    thread_walk(kernel, thread, thread, false, |flavour| flavour != ThreadFlavour::NonSystem);
}

fn thread_walk(
    kernel: &Kernel,
    context: &Ethread,
    thread: &Ethread,
    create: bool,
    told: impl Fn(ThreadFlavour) -> bool,
) {
    let tables = &kernel.ps.tables;
    if tables.thread.is_empty() {
        return;
    }
    let ids = thread.client_id();
    in_context(kernel, context, || {
        tables.as_walker(|walker| {
            tables.thread.walk(walker, |found| {
                if told(found.flavour) {
                    let call = Call::begin(kernel, context, Family::Thread, found);
                    invoke(found.routine, ids.process.0.into(), ids.thread.0.into(), create.into());
                    call.end(None);
                }
            });
        });
    });
}

/// Calls the image routines for an image that was mapped into a process.
pub(crate) fn image_mapped(kernel: &Kernel, mapper: &Ethread, process: &Eprocess, image: &Image<'_>) {
    let mapped = Mapped {
        process: process.id.0,
        base: usize::try_from(image.base).unwrap_or_default(),
        size: usize::try_from(image.size).unwrap_or_default(),
        properties: properties_of(image),
        conflicting: image.conflicting,
    };
    let name = image.name.as_ref();
    // Whoever maps into another process is attached to it (R-CTX-06). An image of process 0 is the kernel's own.
    let target = (process.id != mapper.process.id && process.id != event::ProcessId::IDLE).then_some(process);
    image_walk(kernel, mapper, target, &mapped, name, name.map(|name| [name.nt.as_ref(), ""]));
}

/// Calls the image routines for a driver that was mapped and has not been entered. `load_name` is the name it is
/// loaded by (R-FN-06).
pub(crate) fn driver_mapped(kernel: &Kernel, loader: &Ethread, base: usize, size: usize, load_name: &str) {
    let properties = IMAGE_ADDRESSING_MODE_32BIT
        | IMAGE_PROPERTIES_SYSTEM_MODE_IMAGE
        | IMAGE_PROPERTIES_EXTENDED_INFO_PRESENT;
    let mapped = Mapped { process: 0, base, size, properties, conflicting: false };
    let name = event::Name { nt: load_name.into(), host: None };
    image_walk(kernel, loader, None, &mapped, Some(&name), Some([load_name, ""]));
}

/// Calls a notify routine. Whatever it returns means nothing: all are void.
fn invoke(routine: usize, first: u64, second: u64, third: u64) {
    // SAFETY: a routine that a driver registered, with the arguments its flavour asks for; what goes wrong in it
    // is the driver's fault, which the machine turns into a stop.
    unsafe { machine::call3(routine, first, second, third) };
}

/// What an image notification says besides the name.
struct Mapped {
    process: u32,
    base: usize,
    size: usize,
    properties: u32,
    conflicting: bool,
}

/// `IMAGE_INFO.Properties` of an image that a source speaks of (R-II-01): a user's, unless its process is 0 (R-IMG-01).
fn properties_of(image: &Image<'_>) -> u32 {
    let mut properties = IMAGE_ADDRESSING_MODE_32BIT | IMAGE_PROPERTIES_EXTENDED_INFO_PRESENT;
    if image.process == event::ProcessId::IDLE {
        properties |= IMAGE_PROPERTIES_SYSTEM_MODE_IMAGE;
    }
    if image.conflicting {
        properties |= IMAGE_PROPERTIES_MACHINE_TYPE_MISMATCH;
    }
    if image.partial {
        properties |= IMAGE_PROPERTIES_PARTIAL_MAP;
    }
    properties
}

fn image_walk(
    kernel: &Kernel,
    context: &Ethread,
    attach_to: Option<&Eprocess>,
    mapped: &Mapped,
    name: Option<&event::Name<'_>>,
    full_name: Option<[&str; 2]>,
) {
    let tables = &kernel.ps.tables;
    if tables.image.is_empty() {
        return;
    }
    with_arguments(|arguments| {
        let full_name = match full_name {
            Some(parts) => arguments.image.fill(&parts),
            None => std::ptr::null_mut(),
        };
        let file = name.map(|name| ImageFile::reuse(&mut arguments.file, name).as_file_object());
        let mut info = IMAGE_INFO_EX {
            Size: size_of::<IMAGE_INFO_EX>(),
            ImageInfo: IMAGE_INFO {
                Properties: mapped.properties,
                ImageBase: std::ptr::with_exposed_provenance_mut(mapped.base),
                ImageSize: mapped.size,
                ..IMAGE_INFO::default()
            },
            FileObject: file.unwrap_or_default(),
        };
        // The pointer that routines get points into the larger structure (R-II-03).
        let inner = (&raw mut info.ImageInfo).expose_provenance() as u64;
        let full_name = full_name.expose_provenance() as u64;
        in_context(kernel, context, || {
            let _attached = attach_to.map(|process| Attached::to(context, process));
            tables.as_walker(|walker| {
                tables.image.walk(walker, |found| {
                    if mapped.conflicting && found.flags & CONFLICTING_ARCHITECTURE == 0 {
                        return;
                    }
                    let call = Call::begin(kernel, context, Family::Image, found);
                    invoke(found.routine, full_name, mapped.process.into(), inner);
                    call.end(None);
                });
            });
        });
        info.ImageInfo.ImageBase = poisoned_pointer();
        info.FileObject = poisoned_pointer();
        std::hint::black_box(&mut info);
    });
}

fn poison(info: &mut PS_CREATE_NOTIFY_INFO) {
    info.FileObject = poisoned_pointer();
    info.ImageFileName = poisoned_pointer();
    info.CommandLine = poisoned_pointer();
    std::hint::black_box(info);
}

/// Runs `walk` as `thread`, at PASSIVE_LEVEL inside a critical region (R-CTX-01), and gives the processor back.
fn in_context(kernel: &Kernel, thread: &Ethread, walk: impl FnOnce()) {
    let on_processor = OnProcessor::take(kernel, thread);
    let before = machine::set_current_thread((&raw const *thread).cast_mut().cast());
    {
        let _region = CriticalRegion::enter(thread);
        walk();
    }
    crate::ke::leave_kernel(kernel, thread);
    crate::mm::user::forget();
    machine::set_current_thread(before);
    drop(on_processor);
}

/// One call of one routine: who runs, how long, and whether it left the processor as it found it.
struct Call<'a> {
    kernel: &'a Kernel,
    thread: &'a Ethread,
    family: Family,
    driver: Option<DriverId>,
    slot: u8,
    routine: u64,
    began: u64,
    apcs: ApcDisable,
    before: io::driver::Before,
}

impl<'a> Call<'a> {
    fn begin<F: notify::Family>(
        kernel: &'a Kernel,
        thread: &'a Ethread,
        family: Family,
        found: &Registration<F>,
    ) -> Self {
        let driver = owner_of(found.owner);
        let before = io::enter_driver(driver, found.routine as u64, Some(family));
        Self {
            kernel,
            thread,
            family,
            driver,
            slot: u8::try_from(found.slot).unwrap_or(u8::MAX),
            routine: found.routine as u64,
            began: crate::ke::time::monotonic(),
            apcs: ApcDisable::of(thread),
            before,
        }
    }

    fn end(self, status: Option<NTSTATUS>) {
        let elapsed = crate::ke::time::monotonic().saturating_sub(self.began);
        check_balance(self.kernel, self.thread, self.apcs, self.routine, "a notify routine");
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

/// IRQL and APC-disable counts must be as they were (R-CTX-07, L-13). They are put back, so that one
/// driver's mistake does not become the next one's context.
pub(crate) fn check_balance(kernel: &Kernel, thread: &Ethread, before: ApcDisable, routine: u64, what: &str) {
    let irql = machine::irql::current();
    if irql != machine::Irql::PASSIVE {
        let message = format!(
            "{what} returned at IRQL {} and was called at IRQL 0; lower the IRQL on every way out",
            irql.level()
        );
        let check = (0xC8, [u64::from(irql.level()) << 16 | 2, 2, 0, 0]);
        kernel.finding(&crate::rule::L_13, &message, Some(check));
        machine::irql::set(machine::Irql::PASSIVE);
    }
    let apcs = ApcDisable::of(thread);
    if apcs != before {
        let message = format!(
            "{what} changed the APC-disable counts from {}/{} to {}/{}; leave every region that it enters",
            before.kernel, before.special, apcs.kernel, apcs.special
        );
        let check = (0x01, [routine, 0, apcs.combined(), 1]);
        kernel.finding(&crate::rule::L_13, &message, Some(check));
        before.restore(thread);
    }
}
