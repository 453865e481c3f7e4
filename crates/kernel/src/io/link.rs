//! Symbolic links of drivers: how user mode finds their devices.

use std::sync::PoisonError;

use event::{DriverId, LeakKind};
use export_macro::export;
use nt_abi::{
    NTSTATUS, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH, STATUS_SUCCESS, UNICODE_STRING,
};

use crate::ob::Ref;
use crate::ob::attributes::units_of;
use crate::ob::name::{Found, LINK_TYPE, new_link};
use crate::ob::object::Object;
use crate::{Kernel, kernel};

/// A link, and who made it.
#[derive(Debug)]
pub(crate) struct Link {
    owner: Option<DriverId>,
    object: Ref<Object>,
}

/// Makes a symbolic link to a device's name. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoCreateSymbolicLink(
    link: *const UNICODE_STRING,
    target: *const UNICODE_STRING,
) -> NTSTATUS {
    let create = || {
        // SAFETY: a driver's pointers.
        let (name, target) = unsafe { (units_of(link)?, units_of(target)?) };
        let (kernel, object) = (kernel(), new_link(target));
        kernel.ob.names.create(&name, &object, true)?;
        let mut links = kernel.io.devices.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.push(Link { owner: crate::io::current_driver(), object });
        Ok(STATUS_SUCCESS)
    };
    create().unwrap_or_else(|status| status)
}

/// Makes a symbolic link that anybody may change: as `IoCreateSymbolicLink` here. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoCreateUnprotectedSymbolicLink(
    link: *const UNICODE_STRING,
    target: *const UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { IoCreateSymbolicLink(link, target) }
}

/// Deletes a symbolic link. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoDeleteSymbolicLink(link: *const UNICODE_STRING) -> NTSTATUS {
    let delete = || {
        // SAFETY: a driver's pointer.
        let name = unsafe { units_of(link) }?;
        let kernel = kernel();
        let object = match kernel.ob.names.find(None, &name, true)? {
            Found::Object { object, rest } if rest.is_empty() => object,
            _ => return Err(STATUS_OBJECT_NAME_NOT_FOUND),
        };
        if !std::ptr::eq(object.kind(), &LINK_TYPE) {
            return Err(STATUS_OBJECT_TYPE_MISMATCH);
        }
        kernel.ob.names.remove(&object);
        let mut links = kernel.io.devices.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.object.as_ptr() != object.as_ptr());
        Ok(STATUS_SUCCESS)
    };
    delete().unwrap_or_else(|status| status)
}

/// Says which links a driver left behind. They stay, as on Windows.
pub(super) fn report_leaks(kernel: &Kernel, driver: DriverId) {
    let mut links = kernel.io.devices.links.lock().unwrap_or_else(PoisonError::into_inner);
    for link in links.iter_mut().filter(|link| link.owner == Some(driver)) {
        link.owner = None;
        let name = kernel.ob.names.path(&link.object).unwrap_or_default();
        super::device::leak(kernel, driver, LeakKind::SymbolicLink, String::from_utf16_lossy(&name));
    }
}
