//! Image notifications: who is told of a mapping, with which name and properties, and what is locked meanwhile.

use std::sync::atomic::Ordering;

use event::{Conditions, Family, Image, Mapping, Name};
use nt_abi::{
    IMAGE_ADDRESSING_MODE_32BIT, IMAGE_INFO, IMAGE_INFO_EX, IMAGE_PROPERTIES_EXTENDED_INFO_PRESENT,
    IMAGE_PROPERTIES_MACHINE_TYPE_MISMATCH, IMAGE_PROPERTIES_PARTIAL_MAP,
    IMAGE_PROPERTIES_SIGNATURE_LEVEL_SHIFT, IMAGE_PROPERTIES_SIGNATURE_TYPE_SHIFT,
    IMAGE_PROPERTIES_SYSTEM_MODE_IMAGE,
};

use super::arguments::with_arguments;
use super::beginning::Beginning;
use super::lend::Lender;
use super::process::Eprocess;
use super::set::CONFLICTING_ARCHITECTURE;
use super::thread::Ethread;
use super::walk::{Call, Surroundings, in_context, invoke};
use crate::choices::{LockAtProcessStart, MachineTypeMismatch};
use crate::io::file::ImageFile;
use crate::ke::attach::Attached;
use crate::{Config, Kernel};

/// What an image notification says besides the file, and whom it is said to.
struct Mapped<'a> {
    process: u32,
    base: usize,
    size: usize,
    properties: u32,
    conflicting: bool,
    full_name: Option<[&'a str; 2]>,
    terminated: bool,
}

/// Calls the image routines for an image that was mapped into a process. `beginning` says that it was the kernel that
/// mapped it, before the process ran.
pub(crate) fn image_mapped(
    kernel: &Kernel,
    mapper: &Ethread,
    process: &Eprocess,
    image: &Image<'_>,
    beginning: Option<Beginning>,
    conditions: Conditions,
) {
    let config = &kernel.config;
    // Only what can be executed is announced (SEMANTICS C.4). Windows 7 has no SEC_IMAGE_NO_EXECUTE: what asks for it
    // elsewhere (LOAD_LIBRARY_AS_IMAGE_RESOURCE) is mapped with SEC_IMAGE there.
    let executable = match image.mapping {
        Mapping::Image => true,
        Mapping::NoExecute => !config.profile.has(nt_abi::Since::Win8),
        Mapping::Data => false,
    };
    if !executable {
        return;
    }
    let in_kernel = process.id == event::ProcessId::IDLE;
    let name = image.name.as_ref();
    let mapped = Mapped {
        process: process.id.0,
        base: usize::try_from(image.base).unwrap_or_default(),
        size: usize::try_from(image.size).unwrap_or_default(),
        properties: properties_of(config, image),
        conflicting: image.conflicting,
        full_name: name.map(|name| {
            let whole = in_kernel
                || beginning == Some(Beginning::Executable)
                || config.choices.device_names(config.profile);
            let fixed = || beginning.and_then(Beginning::system_root);
            if whole { ["", &*name.nt] } else { fixed().unwrap_or(["", name.on_volume()]) }
        }),
        terminated: !conditions.unterminated_names,
    };
    // Whoever maps into another process is attached to it (R-CTX-06). An image of process 0 is the kernel's own.
    let target = (process.id != mapper.process.id && !in_kernel).then_some(process);
    // What a process begins with is announced when its first thread starts, which holds no lock (R-LOCK-03).
    let at_start = beginning.is_some() && config.choices.lock_at_process_start == LockAtProcessStart::Free;
    let held = !in_kernel && !at_start && config.choices.image_lock(config.profile);
    let lock = (!in_kernel).then_some((process, held));
    let surroundings =
        Surroundings { apc_level: false, all_apcs_disabled: held || conditions.all_apcs_disabled };
    // It is the file object that says which file it is (R-FN-05).
    let file = image.file.as_ref().or(name);
    image_walk(kernel, mapper, target, lock, surroundings, &mapped, file);
}

/// Calls the image routines for a driver that was mapped and has not been entered. `load_name` is the name it is
/// loaded by (R-FN-06).
pub(crate) fn driver_mapped(kernel: &Kernel, loader: &Ethread, base: usize, size: usize, load_name: &str) {
    let properties = IMAGE_ADDRESSING_MODE_32BIT
        | IMAGE_PROPERTIES_SYSTEM_MODE_IMAGE
        | IMAGE_PROPERTIES_EXTENDED_INFO_PRESENT;
    let full_name = Some(["", load_name]);
    let mapped =
        Mapped { process: 0, base, size, properties, conflicting: false, full_name, terminated: true };
    let name = Name { nt: load_name.into(), host: None };
    image_walk(kernel, loader, None, None, Surroundings::default(), &mapped, Some(&name));
}

/// `IMAGE_INFO.Properties` of an image that a source speaks of (R-II-01): a user's, unless its process is 0
/// (R-IMG-01). Bits that a profile does not have are 0 (SEMANTICS B.4).
fn properties_of(config: &Config, image: &Image<'_>) -> u32 {
    let mut properties = IMAGE_ADDRESSING_MODE_32BIT | IMAGE_PROPERTIES_EXTENDED_INFO_PRESENT;
    if image.process == event::ProcessId::IDLE {
        properties |= IMAGE_PROPERTIES_SYSTEM_MODE_IMAGE;
    }
    let mismatch = config.choices.machine_type_mismatch == MachineTypeMismatch::Conflicting;
    if image.conflicting && mismatch {
        properties |= IMAGE_PROPERTIES_MACHINE_TYPE_MISMATCH;
    }
    properties |= u32::from(image.signature.level & 0xF) << IMAGE_PROPERTIES_SIGNATURE_LEVEL_SHIFT;
    properties |= u32::from(image.signature.kind & 0x7) << IMAGE_PROPERTIES_SIGNATURE_TYPE_SHIFT;
    if image.partial {
        properties |= IMAGE_PROPERTIES_PARTIAL_MAP;
    }
    properties & config.profile.image_properties()
}

fn image_walk(
    kernel: &Kernel,
    context: &Ethread,
    attach_to: Option<&Eprocess>,
    lock: Option<(&Eprocess, bool)>,
    surroundings: Surroundings,
    mapped: &Mapped<'_>,
    file: Option<&Name<'_>>,
) {
    let tables = &kernel.ps.tables;
    if tables.image.is_empty() {
        return;
    }
    with_arguments(|arguments| {
        let full_name = match &mapped.full_name {
            Some(parts) => arguments.image.fill(parts, mapped.terminated),
            None => std::ptr::null_mut(),
        };
        let file = file.map(|file| ImageFile::reuse(&mut arguments.file, file).as_file_object());
        let mut lender = Lender::new(kernel, mapped.process);
        let full_name = lender.lend_string(full_name, "FullImageName");
        arguments.mapping = IMAGE_INFO_EX {
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
        let info = lender.lend(&raw mut arguments.mapping, "IMAGE_INFO");
        // SAFETY: alive until the walk is over; only an address is computed.
        let inner = unsafe { &raw mut (*info).ImageInfo }.expose_provenance() as u64;
        let full_name = full_name.expose_provenance() as u64;
        in_context(kernel, context, surroundings, || {
            let _attached = attach_to.map(|process| Attached::to(context, process));
            let _mapping = lock.map(|(process, held)| ImageRoutines::of(context, process, held));
            tables.as_walker(|walker| {
                tables.image.walk(walker, |found| {
                    if mapped.conflicting && found.flags & CONFLICTING_ARCHITECTURE == 0 {
                        return;
                    }
                    let call = Call::begin(kernel, context, Family::Image, found);
                    invoke(Family::Image, found.routine, [full_name, mapped.process.into(), inner]);
                    call.end(None);
                });
            });
        });
    });
}

/// A thread that calls image routines for a mapping into a process, until this is dropped.
struct ImageRoutines<'a> {
    thread: &'a Ethread,
    before: (*mut Eprocess, bool),
}

impl<'a> ImageRoutines<'a> {
    /// `held` says whether the process's address-creation lock is taken meanwhile (R-LOCK-01).
    fn of(thread: &'a Ethread, process: &Eprocess, held: bool) -> Self {
        let process = std::ptr::from_ref(process).cast_mut();
        let before = thread.maps_into.swap(process, Ordering::Relaxed);
        Self { thread, before: (before, thread.creation_lock.swap(held, Ordering::Relaxed)) }
    }
}

impl Drop for ImageRoutines<'_> {
    fn drop(&mut self) {
        self.thread.maps_into.store(self.before.0, Ordering::Relaxed);
        self.thread.creation_lock.store(self.before.1, Ordering::Relaxed);
    }
}

/// A driver is about to work on the user memory of `process` by `routine`. In an image routine for a mapping into that
/// process the thread holds the lock that this takes, up to Windows 7, and waits for itself (R-LOCK-01). Where it does
/// not, the call is a finding like that of any routine that L-06 speaks of, and goes on (C7).
pub(crate) fn user_memory(process: &Eprocess, routine: &str) {
    let Some(thread) = super::thread::current() else { return };
    let locked = thread.creation_lock.load(Ordering::Relaxed);
    if !locked || !std::ptr::eq(thread.maps_into.load(Ordering::Relaxed), process) {
        return;
    }
    crate::ke::stop::without_bug_check(
        event::StopKind::Hang,
        &format!(
            "{}: {routine} takes the address-creation lock of process {}, which this thread holds while image routines \
             run: up to Windows 7 it waits for itself for ever; queue an APC to the thread or a work item, and do it there",
            crate::rule::L_06.id,
            process.id
        ),
    )
}
