//! Registering, starting and unregistering a minifilter.

use std::sync::atomic::Ordering;

use event::Level;
use export_macro::export;
use nt_abi::{
    DRIVER_OBJECT, FLT_CONTEXT_END, FLT_CONTEXT_REGISTRATION, FLT_FILTER, FLT_REGISTRATION,
    FLT_REGISTRATION_SIZE_0202, FLT_REGISTRATION_VERSION_0200, FLT_REGISTRATION_VERSION_0203,
    FLTFL_FILTER_UNLOAD_MANDATORY, IRP_MJ_OPERATION_END, NTSTATUS, STATUS_FLT_INSTANCE_ALTITUDE_COLLISION,
    STATUS_FLT_INVALID_CONTEXT_REGISTRATION, STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_SUCCESS,
};

use super::object::{Callbacks, ContextKind, Filter, NewFilter, behind};
use crate::io::Driver;
use crate::io::driver::as_driver;
use crate::{Kernel, kernel};

/// More context types than there are kinds and sizes is no table but memory without an end.
const MOST_CONTEXTS: usize = 64;
/// FLTFL_REGISTRATION_DO_NOT_SUPPORT_SERVICE_STOP.
const NO_SERVICE_STOP: u32 = 1;

/// The address of a driver's routine, 0 for none.
macro_rules! address {
    ($routine:expr) => {
        $routine.map_or(0, |routine| (routine as *const ()).expose_provenance())
    };
}

/// Registers a minifilter: checks what it asks for, and finds its altitude in its service's Instances key. Source: DDI.
///
/// STATUS_OBJECT_NAME_NOT_FOUND where the service or its default instance is not in the registry;
/// STATUS_INVALID_PARAMETER where the structure has another version or size;
/// STATUS_FLT_INSTANCE_ALTITUDE_COLLISION where another filter has that altitude.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltRegisterFilter(
    driver: *mut DRIVER_OBJECT,
    registration: *const FLT_REGISTRATION,
    returned: *mut *mut FLT_FILTER,
) -> NTSTATUS {
    let kernel = kernel();
    // SAFETY: the driver's pointers, valid as documented; bad ones fault as on Windows.
    unsafe {
        let asked = match read(registration) {
            Ok(asked) => asked,
            Err(status) => return status,
        };
        let Some(owner) = kernel.io.all().find(|one| std::ptr::eq(one.object.as_ptr(), driver)) else {
            return STATUS_INVALID_PARAMETER;
        };
        match register(kernel, owner, driver, &asked) {
            Ok(filter) => returned.write(filter),
            Err(status) => return status,
        }
    }
    STATUS_SUCCESS
}

/// Reads and checks what a driver registers.
///
/// # Safety
/// The pointer is a driver's, valid as documented.
unsafe fn read(registration: *const FLT_REGISTRATION) -> Result<FLT_REGISTRATION, NTSTATUS> {
    // SAFETY: size and version are there in every version of the structure.
    let (size, version) = unsafe { ((*registration).Size, (*registration).Version) };
    let versions = FLT_REGISTRATION_VERSION_0200..=FLT_REGISTRATION_VERSION_0203;
    let least = if version == FLT_REGISTRATION_VERSION_0203 {
        size_of::<FLT_REGISTRATION>()
    } else {
        usize::from(FLT_REGISTRATION_SIZE_0202).min(usize::from(size))
    };
    // Before Vista the structure ended with the callbacks for names, at 0x58.
    if !versions.contains(&version) || usize::from(size) < least.max(0x58) {
        return Err(STATUS_INVALID_PARAMETER);
    }
    let mut asked = FLT_REGISTRATION::default();
    let known = usize::from(size).min(size_of::<FLT_REGISTRATION>());
    // SAFETY: as many bytes as the driver says there are, and the structure here has room for.
    unsafe { std::ptr::copy_nonoverlapping(registration.cast::<u8>(), (&raw mut asked).cast::<u8>(), known) };
    // A name provider has both, or neither.
    let generates = !asked.GenerateFileNameCallback.is_null();
    let normalizes =
        !asked.NormalizeNameComponentCallback.is_null() || !asked.NormalizeNameComponentExCallback.is_null();
    if normalizes && !generates {
        return Err(STATUS_INVALID_PARAMETER);
    }
    Ok(asked)
}

/// Reads the context types that a driver registers.
///
/// # Safety
/// The pointer is a driver's, null or to a table with an end.
unsafe fn contexts(table: *const FLT_CONTEXT_REGISTRATION) -> Result<Vec<ContextKind>, NTSTATUS> {
    let mut kinds = Vec::new();
    if table.is_null() {
        return Ok(kinds);
    }
    for index in 0..MOST_CONTEXTS {
        // SAFETY: by this function's contract, up to the end.
        let entry = unsafe { table.add(index).read() };
        if entry.ContextType == FLT_CONTEXT_END {
            return Ok(kinds);
        }
        // One bit, and one that means something.
        if !entry.ContextType.is_power_of_two() || entry.ContextType > nt_abi::FLT_SECTION_CONTEXT {
            return Err(STATUS_FLT_INVALID_CONTEXT_REGISTRATION);
        }
        // Own routines for memory come in pairs.
        if entry.ContextAllocateCallback.is_null() != entry.ContextFreeCallback.is_null() {
            return Err(STATUS_FLT_INVALID_CONTEXT_REGISTRATION);
        }
        kinds.push(ContextKind {
            kind: entry.ContextType,
            flags: entry.Flags,
            size: entry.Size,
            tag: entry.PoolTag,
            cleanup: address!(entry.ContextCleanupCallback),
            allocate: entry.ContextAllocateCallback.expose_provenance(),
            free: entry.ContextFreeCallback.expose_provenance(),
        });
    }
    Err(STATUS_FLT_INVALID_CONTEXT_REGISTRATION)
}

/// Registers what was read.
///
/// # Safety
/// The tables that `asked` points to are the driver's, and `driver` its object.
unsafe fn register(
    kernel: &Kernel,
    owner: &Driver,
    driver: *mut DRIVER_OBJECT,
    asked: &FLT_REGISTRATION,
) -> Result<*mut FLT_FILTER, NTSTATUS> {
    let instance = kernel.default_instance(&owner.name).ok_or(STATUS_OBJECT_NAME_NOT_FOUND)?;
    // SAFETY: by this function's contract.
    let contexts = unsafe { contexts(asked.ContextRegistration) }?;
    let mut filters = kernel.flt.filters();
    if filters.iter().any(|other| !other.is_gone() && *other.altitude == *instance.altitude) {
        return Err(STATUS_FLT_INSTANCE_ALTITUDE_COLLISION);
    }
    let callbacks = Callbacks {
        unload: address!(asked.FilterUnloadCallback),
        setup: address!(asked.InstanceSetupCallback),
        query_teardown: address!(asked.InstanceQueryTeardownCallback),
        teardown_start: address!(asked.InstanceTeardownStartCallback),
        teardown_complete: address!(asked.InstanceTeardownCompleteCallback),
    };
    // SAFETY: the driver's object, which the driver may write to.
    let driver_unload = unsafe { (&raw const (*driver).DriverUnload).read_volatile() };
    let filter = Filter::make(NewFilter {
        owner: Some(owner.id),
        name: owner.name.clone(),
        instance_name: instance.name.into(),
        altitude: instance.altitude.into(),
        callbacks,
        contexts,
        driver_unload,
    });
    // Whoever unloads the driver unloads the filter first: a minifilter without an unload callback stays.
    let unload =
        (callbacks.unload != 0 && asked.Flags & NO_SERVICE_STOP == 0).then_some(unload_minifilter as _);
    // SAFETY: as above.
    unsafe { (&raw mut (*driver).DriverUnload).write_volatile(unload) };
    let pointer = filter.as_ptr().cast();
    filters.push(filter);
    drop(filters);
    // SAFETY: the driver's table, null or with an end.
    if unsafe { has_operations(asked) } {
        let text = format!(
            "{} filters file operations; they are no events of a bench, so its pre- and post-operation callbacks \
             are not called",
            owner.name
        );
        kernel.note(Level::Info, &text);
    }
    Ok(pointer)
}

/// Whether a driver filters any operation.
///
/// # Safety
/// The table is null, or has an entry.
unsafe fn has_operations(asked: &FLT_REGISTRATION) -> bool {
    // SAFETY: by this function's contract.
    let first = unsafe { asked.OperationRegistration.as_ref() };
    first.is_some_and(|first| first.MajorFunction != IRP_MJ_OPERATION_END)
}

/// What the filter manager makes a minifilter's DriverUnload: asks the filter, then runs the one the driver had.
unsafe extern "win64" fn unload_minifilter(driver: *mut DRIVER_OBJECT) {
    let kernel = kernel();
    let current = crate::io::current_driver();
    let of_driver = |filter: &&crate::ob::Ref<Filter>| filter.owner == current && !filter.is_gone();
    let found = kernel.flt.filters().iter().find(of_driver).cloned();
    let Some(filter) = found else { return };
    if filter.callbacks.unload != 0 {
        as_driver(filter.owner, filter.callbacks.unload as u64, || {
            // SAFETY: what the driver said its unload callback is; a wrong address faults as the driver's fault.
            unsafe { machine::call1(filter.callbacks.unload, FLTFL_FILTER_UNLOAD_MANDATORY.into()) }
        });
    }
    if let Some(unload) = filter.driver_unload {
        // SAFETY: the DriverUnload that the driver had set, called as the I/O manager would have.
        unsafe {
            machine::call1((unload as *const ()).expose_provenance(), driver.expose_provenance() as u64)
        };
    }
}

/// Starts filtering: the filter is offered the volumes, through its InstanceSetupCallback. Source: DDI.
///
/// STATUS_INVALID_PARAMETER where it was started before.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltStartFiltering(filter: *mut FLT_FILTER) -> NTSTATUS {
    // SAFETY: the driver's pointer.
    let filter = match unsafe { behind(filter) } {
        Ok(filter) => filter,
        Err(status) => return status,
    };
    if filter.is_gone() || filter.started.swap(1, Ordering::AcqRel) != 0 {
        return STATUS_INVALID_PARAMETER;
    }
    // A filter that wants no instance there is started all the same.
    let _ = super::attach::attach(filter, super::attach::AUTOMATIC, &filter.instance_name);
    STATUS_SUCCESS
}

/// Unregisters a minifilter: takes its instances down, and waits for every reference on it. Source: DDI.
///
/// Ports that are open and contexts that were not released are references: with them it never returns.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltUnregisterFilter(filter: *mut FLT_FILTER) {
    let kernel = kernel();
    // SAFETY: the driver's pointer.
    let Ok(filter) = (unsafe { behind(filter) }) else { return };
    if !filter.rundown.close() {
        return;
    }
    super::port::disconnect_clients(filter);
    super::attach::teardown_all(filter);
    super::link::unlink_filter(filter);
    filter.rundown.wait(|left| {
        let ports = kernel.flt.ports.of_filter(filter);
        let contexts = kernel.flt.contexts.of_filter(filter);
        format!(
            "FltUnregisterFilter waits for ever for {left} references on the minifilter {}: {ports} communication \
             ports (call FltCloseCommunicationPort first), {contexts} contexts (each needs its FltReleaseContext), \
             and what FltObjectReference took",
            filter.name
        )
    });
    // The driver's own DriverUnload is in force again, where the filter goes before the driver does.
    if let Some(driver) = filter.owner.and_then(|id| kernel.io.driver(id)) {
        let object = driver.object.as_ptr();
        // SAFETY: the driver's object, which the driver may write to.
        unsafe {
            let unload = (&raw const (*object).DriverUnload).read_volatile();
            if unload.is_some_and(|unload| {
                std::ptr::fn_addr_eq(unload, unload_minifilter as unsafe extern "win64" fn(_))
            }) {
                (&raw mut (*object).DriverUnload).write_volatile(filter.driver_unload);
            }
        }
    }
}
