//! Instances: a minifilter on the volume.

use export_macro::export;
use nt_abi::{
    FLT_FILTER, FLT_INSTANCE, FLT_RELATED_OBJECTS, FLT_VOLUME, NTSTATUS, STATUS_FLT_DELETING_OBJECT,
    STATUS_FLT_FILTER_NOT_READY, STATUS_FLT_INSTANCE_NAME_COLLISION, STATUS_FLT_INSTANCE_NOT_FOUND,
    STATUS_SUCCESS, UNICODE_STRING,
};
use std::sync::atomic::Ordering;

use super::object::{Filter, Instance, Volume, behind};
use crate::io::driver::as_driver;
use crate::kernel;
use crate::ob::Ref;

/// FLTFL_INSTANCE_SETUP_AUTOMATIC_ATTACHMENT.
pub(crate) const AUTOMATIC: u32 = 1;
/// FLTFL_INSTANCE_SETUP_MANUAL_ATTACHMENT.
const MANUAL: u32 = 2;
/// FLTFL_INSTANCE_TEARDOWN_MANUAL.
const TEARDOWN_MANUAL: u32 = 1;
/// FLTFL_INSTANCE_TEARDOWN_FILTER_UNLOAD.
const TEARDOWN_UNLOAD: u32 = 2;
/// FILE_DEVICE_DISK_FILE_SYSTEM.
pub(crate) const DISK_FILE_SYSTEM: u32 = 8;
/// FLT_FSTYPE_NTFS.
pub(crate) const NTFS: u32 = 2;

fn objects(filter: &Filter, instance: &Instance) -> FLT_RELATED_OBJECTS {
    FLT_RELATED_OBJECTS {
        Size: u16::try_from(size_of::<FLT_RELATED_OBJECTS>()).unwrap_or_default(),
        Filter: std::ptr::from_ref(filter).cast_mut().cast(),
        Volume: instance.volume.as_ptr().cast(),
        Instance: std::ptr::from_ref(instance).cast_mut().cast(),
        ..FLT_RELATED_OBJECTS::default()
    }
}

/// Calls one of a filter's callbacks for an instance; what it has not is a success.
fn call(filter: &Filter, routine: usize, instance: &Instance, arguments: [u32; 3]) -> NTSTATUS {
    if routine == 0 {
        return STATUS_SUCCESS;
    }
    let objects = objects(filter, instance);
    let at = (&raw const objects).expose_provenance() as u64;
    let [flags, device, system] = arguments.map(u64::from);
    // SAFETY: what the driver said its callback is; a wrong address faults as the driver's fault.
    let answer = as_driver(filter.owner, routine as u64, || unsafe {
        machine::call4(routine, at, flags, device, system)
    });
    NTSTATUS::from_u32(u32::try_from(answer & 0xFFFF_FFFF).unwrap_or_default())
}

/// Makes an instance of a filter on the volume, if the filter wants one.
pub(crate) fn attach(filter: &Filter, flags: u32, name: &str) -> Result<Ref<Instance>, NTSTATUS> {
    if filter.instances().iter().any(|instance| *instance.name == *name) {
        return Err(STATUS_FLT_INSTANCE_NAME_COLLISION);
    }
    let state = &kernel().flt;
    let own = state.filters().iter().find(|one| std::ptr::eq(one.as_ptr(), filter)).cloned();
    let own = own.ok_or(STATUS_FLT_DELETING_OBJECT)?;
    let instance = Instance::make(name, own, state.volume.clone());
    let answer = call(filter, filter.callbacks.setup, &instance, [flags, DISK_FILE_SYSTEM, NTFS]);
    if !answer.is_success() {
        super::link::unlink_instance(&instance);
        // What the driver kept of it must not become another object.
        instance.into_raw();
        return Err(answer);
    }
    filter.instances().push(instance.clone());
    Ok(instance)
}

/// Takes an instance down: nothing new, then its contexts, then the end.
fn teardown(filter: &Filter, instance: Ref<Instance>, reason: u32) {
    instance.rundown.close();
    call(filter, filter.callbacks.teardown_start, &instance, [reason, 0, 0]);
    instance.rundown.wait(|left| {
        format!(
            "the instance {} is not torn down while {left} references on it are out: each FltObjectReference and \
             each routine that returns an instance needs a FltObjectDereference",
            instance.name
        )
    });
    call(filter, filter.callbacks.teardown_complete, &instance, [reason, 0, 0]);
    super::link::unlink_instance(&instance);
    // A driver's stale pointer must find this instance, and not another object.
    instance.into_raw();
}

/// Takes all instances of a filter down.
pub(crate) fn teardown_all(filter: &Filter) {
    let all = std::mem::take(&mut *filter.instances());
    for instance in all {
        teardown(filter, instance, TEARDOWN_UNLOAD);
    }
}

/// Attaches a filter to a volume. STATUS_FLT_FILTER_NOT_READY before FltStartFiltering. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltAttachVolume(
    filter: *mut FLT_FILTER,
    volume: *mut FLT_VOLUME,
    name: *const UNICODE_STRING,
    returned: *mut *mut FLT_INSTANCE,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    let attached = unsafe {
        let (filter, _): (&Filter, &Volume) = match (behind(filter), behind(volume)) {
            (Ok(filter), Ok(volume)) => (filter, volume),
            (Err(status), _) | (_, Err(status)) => return status,
        };
        if filter.started.load(Ordering::Acquire) == 0 {
            return STATUS_FLT_FILTER_NOT_READY;
        }
        if filter.is_gone() {
            return STATUS_FLT_DELETING_OBJECT;
        }
        let name = name.as_ref().map_or_else(|| filter.instance_name.to_string(), crate::rtl::text_of);
        attach(filter, MANUAL, &name)
    };
    match attached {
        Ok(instance) => {
            if !returned.is_null() {
                instance.rundown.acquire();
                // SAFETY: the driver's pointer.
                unsafe { returned.write(instance.as_ptr().cast()) };
            }
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// Detaches a filter from a volume, when its InstanceQueryTeardownCallback lets it. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltDetachVolume(
    filter: *mut FLT_FILTER,
    volume: *mut FLT_VOLUME,
    name: *const UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        let (filter, volume): (&Filter, &Volume) = match (behind(filter), behind(volume)) {
            (Ok(filter), Ok(volume)) => (filter, volume),
            (Err(status), _) | (_, Err(status)) => return status,
        };
        let name = name.as_ref().map(crate::rtl::text_of);
        let Some(instance) = find(filter, volume, name.as_deref()) else {
            return STATUS_FLT_INSTANCE_NOT_FOUND;
        };
        if filter.callbacks.query_teardown == 0 {
            return nt_abi::STATUS_FLT_DO_NOT_DETACH;
        }
        let answer = call(filter, filter.callbacks.query_teardown, &instance, [0; 3]);
        if !answer.is_success() {
            return answer;
        }
        filter.instances().retain(|one| !std::ptr::eq(one.as_ptr(), instance.as_ptr()));
        teardown(filter, instance, TEARDOWN_MANUAL);
    }
    STATUS_SUCCESS
}

/// The instance of a filter on a volume, of that name or the first one.
pub(crate) fn find(filter: &Filter, volume: &Volume, name: Option<&str>) -> Option<Ref<Instance>> {
    let fits = |instance: &&Ref<Instance>| {
        std::ptr::eq(instance.volume.as_ptr(), volume)
            && name.is_none_or(|name| instance.name.eq_ignore_ascii_case(name))
    };
    filter.instances().iter().find(fits).cloned()
}
