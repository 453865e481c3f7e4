//! What drivers keep with their driver objects, and drivers that want to be initialised again.

use std::sync::{Mutex, PoisonError};

use event::DriverId;
use export_macro::export;
use nt_abi::{
    DRIVER_OBJECT, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_OBJECT_NAME_COLLISION, STATUS_SUCCESS,
};

use super::driver::as_driver;
use crate::{Kernel, kernel};

/// A part of a driver object, found by an address that only its maker knows.
#[derive(Debug)]
struct Part {
    driver: usize,
    id: usize,
    memory: Box<[u128]>,
}

/// A routine to be called after DriverEntry.
#[derive(Clone, Copy, Debug)]
struct Again {
    driver: usize,
    routine: usize,
    context: usize,
    owner: Option<DriverId>,
    /// How often it was called.
    count: u32,
}

/// Parts of driver objects, and routines to be called again.
#[derive(Debug, Default)]
pub(crate) struct Extensions {
    parts: Mutex<Vec<Part>>,
    again: Mutex<Vec<Again>>,
}

/// Adds memory to a driver object, under an identification of the caller's. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoAllocateDriverObjectExtension(
    driver: *mut DRIVER_OBJECT,
    id: usize,
    size: u32,
    extension: *mut *mut u8,
) -> NTSTATUS {
    let mut parts = kernel().io.extensions.parts.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: a driver's pointer.
    unsafe { extension.write(std::ptr::null_mut()) };
    if parts.iter().any(|part| (part.driver, part.id) == (driver.addr(), id)) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    let mut memory = Vec::new();
    let blocks = (size as usize).div_ceil(16).max(1);
    if memory.try_reserve_exact(blocks).is_err() {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    memory.resize(blocks, 0u128);
    let mut memory = memory.into_boxed_slice();
    // SAFETY: as above.
    unsafe { extension.write(memory.as_mut_ptr().cast()) };
    parts.push(Part { driver: driver.addr(), id, memory });
    STATUS_SUCCESS
}

/// Finds memory that was added to a driver object; null where there is none. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoGetDriverObjectExtension(driver: *mut DRIVER_OBJECT, id: usize) -> *mut u8 {
    let mut parts = kernel().io.extensions.parts.lock().unwrap_or_else(PoisonError::into_inner);
    let part = parts.iter_mut().find(|part| (part.driver, part.id) == (driver.addr(), id));
    part.map_or(std::ptr::null_mut(), |part| part.memory.as_mut_ptr().cast())
}

fn queue(driver: *mut DRIVER_OBJECT, routine: usize, context: usize, flag: u32) {
    let owner = kernel().io.all().find(|found| found.object.as_ptr() == driver).map(|found| found.id);
    let mut again = kernel().io.extensions.again.lock().unwrap_or_else(PoisonError::into_inner);
    let count = again.iter().filter(|entry| entry.driver == driver.addr()).count();
    let count = u32::try_from(count).unwrap_or(0);
    again.push(Again { driver: driver.addr(), routine, context, owner, count });
    // SAFETY: a driver's pointer to its object.
    unsafe { (*driver).Flags |= flag };
}

/// Has a routine called once DriverEntry has returned. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoRegisterDriverReinitialization(
    driver: *mut DRIVER_OBJECT,
    routine: usize,
    context: usize,
) {
    queue(driver, routine, context, nt_abi::DRVO_REINIT_REGISTERED);
}

/// Has a routine called once all boot drivers are there: here once DriverEntry has returned. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoRegisterBootDriverReinitialization(
    driver: *mut DRIVER_OBJECT,
    routine: usize,
    context: usize,
) {
    queue(driver, routine, context, nt_abi::DRVO_BOOTREINIT_REGISTERED);
}

/// DriverEntry has returned: calls what the driver wants called, also what that asks for in its turn.
pub(super) fn initialise_again(kernel: &Kernel, driver: *mut DRIVER_OBJECT) {
    /// A routine that registers itself for ever would keep the loading from ending.
    const MOST: u32 = 64;
    for round in 1..=MOST {
        let next = {
            let mut again = kernel.io.extensions.again.lock().unwrap_or_else(PoisonError::into_inner);
            again.iter().position(|entry| entry.driver == driver.addr()).map(|at| again.remove(at))
        };
        let Some(Again { routine, context, owner, count, .. }) = next else { return };
        as_driver(owner, routine as u64, || {
            let times = u64::from(count.max(round));
            // SAFETY: what the driver registered.
            unsafe { machine::call3(routine, driver.expose_provenance() as u64, context as u64, times) }
        });
    }
}

/// A driver object goes away, and what was added to it.
pub(super) fn forget(kernel: &Kernel, driver: *mut DRIVER_OBJECT) {
    let gone = driver.addr();
    kernel
        .io
        .extensions
        .parts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .retain(|part| part.driver != gone);
    kernel
        .io
        .extensions
        .again
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .retain(|entry| entry.driver != gone);
}
