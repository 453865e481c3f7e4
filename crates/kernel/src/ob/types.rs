//! The types of objects as variables that drivers import: each holds a `POBJECT_TYPE`.

use std::sync::atomic::{AtomicPtr, Ordering};

use export_macro::export;

use super::ObjectType;
use crate::ps::process::Eprocess;

/// Events. A body is a KEVENT.
pub static EVENT_TYPE: ObjectType =
    ObjectType { name: "Event", size: size_of::<nt_abi::KEVENT>(), delete: None };
/// Semaphores. A body is a KSEMAPHORE.
pub static SEMAPHORE_TYPE: ObjectType =
    ObjectType { name: "Semaphore", size: size_of::<nt_abi::KSEMAPHORE>(), delete: None };
/// Mutants, which user mode calls mutexes. A body is a KMUTANT.
pub static MUTANT_TYPE: ObjectType =
    ObjectType { name: "Mutant", size: size_of::<nt_abi::KMUTANT>(), delete: None };
/// Local procedure call ports: the bench has none.
pub static PORT_TYPE: ObjectType = ObjectType { name: "ALPC Port", size: 16, delete: None };
/// Jobs: the bench has none.
pub static JOB_TYPE: ObjectType = ObjectType { name: "Job", size: 16, delete: None };
/// Desktops: the bench has none.
pub static DESKTOP_TYPE: ObjectType = ObjectType { name: "Desktop", size: 16, delete: None };
/// Window stations: the bench has none.
pub static WINDOW_STATION_TYPE: ObjectType = ObjectType { name: "WindowStation", size: 16, delete: None };

/// The type of processes. Source: DDI.
#[export(data)]
pub static PsProcessType: &ObjectType = &crate::ps::process::PROCESS_TYPE;
/// The type of threads. Source: DDI.
#[export(data)]
pub static PsThreadType: &ObjectType = &crate::ps::thread::THREAD_TYPE;
/// The type of jobs. Source: DDI.
#[export(data)]
pub static PsJobType: &ObjectType = &JOB_TYPE;
/// The type of files. Source: DDI.
#[export(data)]
pub static IoFileObjectType: &ObjectType = &crate::io::file::FILE_TYPE;
/// The type of drivers. Source: public headers.
#[export(data)]
pub static IoDriverObjectType: &ObjectType = &crate::io::load::DRIVER_TYPE;
/// The type of devices. Source: public headers.
#[export(data)]
pub static IoDeviceObjectType: &ObjectType = &crate::io::device::DEVICE_TYPE;
/// The type of events. Source: DDI.
#[export(data)]
pub static ExEventObjectType: &ObjectType = &EVENT_TYPE;
/// The type of semaphores. Source: DDI.
#[export(data)]
pub static ExSemaphoreObjectType: &ObjectType = &SEMAPHORE_TYPE;
/// The type of mutants. Source: public headers.
#[export(data)]
pub static ExMutantObjectType: &ObjectType = &MUTANT_TYPE;
/// The type of registry keys. Source: DDI.
#[export(data)]
pub static CmKeyObjectType: &ObjectType = &crate::cm::key::KEY_TYPE;
/// The type of local procedure call ports. Source: public headers.
#[export(data)]
pub static LpcPortObjectType: &ObjectType = &PORT_TYPE;
/// The type of desktops. Source: public headers.
#[export(data, since = Win10_1507)]
pub static ExDesktopObjectType: &ObjectType = &DESKTOP_TYPE;
/// The type of window stations. Source: public headers.
#[export(data)]
pub static ExWindowStationObjectType: &ObjectType = &WINDOW_STATION_TYPE;

/// The System process. Source: DDI.
#[export(data)]
pub static PsInitialSystemProcess: AtomicPtr<Eprocess> = AtomicPtr::new(std::ptr::null_mut());

/// Fills in the variables that are known once a kernel starts.
pub(crate) fn start(kernel: &crate::Kernel) {
    crate::io::module::start();
    PsInitialSystemProcess.store(kernel.ps.system.0.as_ptr(), Ordering::Release);
}
