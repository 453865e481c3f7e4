//! Devices that are attached to devices, and how a file leads to the top of them.

use std::ptr::NonNull;

use export_macro::export;
use nt_abi::{
    DEVICE_OBJECT, FILE_OBJECT, FILE_READ_DATA, HANDLE, NTSTATUS, STATUS_INVALID_PARAMETER,
    STATUS_NO_SUCH_DEVICE, STATUS_SUCCESS, UNICODE_STRING,
};

use crate::ob::Ref;
use crate::ob::ledger::hand_out;

/// The highest device that is attached above a device.
///
/// # Safety
/// `device` is a live device, as are those attached to it.
pub(super) unsafe fn top(mut device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    // SAFETY: by this function's contract.
    unsafe {
        while !(*device).AttachedDevice.is_null() {
            device = (*device).AttachedDevice;
        }
    }
    device
}

/// Takes a reference on a device for the driver that called `routine`, and answers it.
///
/// # Safety
/// Null, or a live device.
unsafe fn referenced(device: *mut DEVICE_OBJECT, routine: &'static str) -> *mut DEVICE_OBJECT {
    // SAFETY: by this function's contract.
    NonNull::new(device)
        .map_or(std::ptr::null_mut(), |device| hand_out(unsafe { Ref::share(device) }, routine))
}

/// Returns the highest device that is attached above a device. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoGetAttachedDevice(device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    // SAFETY: a driver's pointer.
    unsafe { top(device) }
}

/// Returns the highest device that is attached above a device, with a reference. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoGetAttachedDeviceReference(device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    // SAFETY: a driver's pointer.
    unsafe { referenced(top(device), "IoGetAttachedDeviceReference") }
}

/// Returns the device that a device is attached to, with a reference; null where to none. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn IoGetLowerDeviceObject(device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    // SAFETY: a driver's pointer to a live device.
    unsafe { referenced((*(*device).DeviceObjectExtension).AttachedTo, "IoGetLowerDeviceObject") }
}

/// Returns the lowest device of a stack, with a reference. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn IoGetDeviceAttachmentBaseRef(device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    let mut base = device;
    // SAFETY: a driver's pointer to a live device, as are those below it.
    unsafe {
        while !(*(*base).DeviceObjectExtension).AttachedTo.is_null() {
            base = (*(*base).DeviceObjectExtension).AttachedTo;
        }
        referenced(base, "IoGetDeviceAttachmentBaseRef")
    }
}

/// Attaches a device on top of another one, and returns what it is attached to; null where that one's driver is being
/// unloaded. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoAttachDeviceToDeviceStack(
    source: *mut DEVICE_OBJECT,
    target: *mut DEVICE_OBJECT,
) -> *mut DEVICE_OBJECT {
    // SAFETY: a driver's pointers to live devices.
    unsafe {
        let below = top(target);
        if super::device::is_going(below) {
            return std::ptr::null_mut();
        }
        let Some(size) = (*below).StackSize.checked_add(1) else { return std::ptr::null_mut() };
        (*below).AttachedDevice = source;
        (*source).StackSize = size;
        (*source).AlignmentRequirement = (*below).AlignmentRequirement;
        (*source).SectorSize = (*below).SectorSize;
        (*(*source).DeviceObjectExtension).AttachedTo = below;
        below
    }
}

/// Attaches a device on top of another one, and writes what it is attached to. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn IoAttachDeviceToDeviceStackSafe(
    source: *mut DEVICE_OBJECT,
    target: *mut DEVICE_OBJECT,
    attached: *mut *mut DEVICE_OBJECT,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe {
        let below = IoAttachDeviceToDeviceStack(source, target);
        attached.write(below);
        if below.is_null() { STATUS_NO_SUCH_DEVICE } else { STATUS_SUCCESS }
    }
}

/// Attaches a device on top of a named one. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoAttachDevice(
    source: *mut DEVICE_OBJECT,
    target: *const UNICODE_STRING,
    attached: *mut *mut DEVICE_OBJECT,
) -> NTSTATUS {
    let (mut file, mut device) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: a driver's pointers.
    unsafe {
        let status = IoGetDeviceObjectPointer(target, 0, &mut file, &mut device);
        if !status.is_success() {
            return status;
        }
        let status = IoAttachDeviceToDeviceStackSafe(source, device, attached);
        crate::ob::dereference(file);
        status
    }
}

/// Detaches the device that is attached to a device. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoDetachDevice(target: *mut DEVICE_OBJECT) {
    // SAFETY: a driver's pointer to a live device.
    unsafe {
        let above = std::mem::replace(&mut (*target).AttachedDevice, std::ptr::null_mut());
        if !above.is_null() {
            (*(*above).DeviceObjectExtension).AttachedTo = std::ptr::null_mut();
        }
    }
}

/// Returns the device that requests for a file are sent to: the top of its stack. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoGetRelatedDeviceObject(file: *mut FILE_OBJECT) -> *mut DEVICE_OBJECT {
    // SAFETY: a driver's pointer to a live file, which keeps its device.
    unsafe { top(super::device::mounted_on((*file).DeviceObject)) }
}

/// Returns the device of the file system that a file lies in. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoGetBaseFileSystemDeviceObject(file: *mut FILE_OBJECT) -> *mut DEVICE_OBJECT {
    // SAFETY: as above.
    unsafe { super::device::mounted_on((*file).DeviceObject) }
}

/// Opens a named device: its file object, with a reference, and the top of its stack. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoGetDeviceObjectPointer(
    name: *const UNICODE_STRING,
    access: u32,
    file: *mut *mut FILE_OBJECT,
    device: *mut *mut DEVICE_OBJECT,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    let name = match unsafe { crate::ob::attributes::units_of(name) } {
        Ok(name) => name,
        Err(status) => return status,
    };
    let access = if access == 0 { FILE_READ_DATA } else { access };
    let how = super::send::How {
        access,
        disposition: nt_abi::FILE_OPEN,
        options: 0x40,
        share: 7,
        ..super::send::How::default()
    };
    match super::send::open_path(crate::kernel(), None, &name, &how) {
        Ok((opened, _)) => {
            let opened = hand_out(opened, "IoGetDeviceObjectPointer");
            // SAFETY: as above.
            unsafe {
                file.write(opened.cast());
                device.write(IoGetRelatedDeviceObject(opened.cast()));
            }
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// Returns the file system's view of a device object's registry key: no device of the bench has one. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoOpenDeviceRegistryKey(
    _device: *mut DEVICE_OBJECT,
    _kind: u32,
    _access: u32,
    _key: *mut HANDLE,
) -> NTSTATUS {
    nt_abi::STATUS_INVALID_DEVICE_REQUEST
}

/// Lists the devices of a driver, each with a reference. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn IoEnumerateDeviceObjectList(
    driver: *mut nt_abi::DRIVER_OBJECT,
    list: *mut *mut DEVICE_OBJECT,
    size: u32,
    count: *mut u32,
) -> NTSTATUS {
    let devices = super::device::devices_of(driver);
    // SAFETY: a driver's pointers: `size` is in bytes.
    unsafe {
        count.write(u32::try_from(devices.len()).unwrap_or(u32::MAX));
        if size as usize / 8 < devices.len() || (list.is_null() && !devices.is_empty()) {
            return nt_abi::STATUS_BUFFER_TOO_SMALL;
        }
        for (index, device) in devices.into_iter().enumerate() {
            list.add(index).write(referenced(device, "IoEnumerateDeviceObjectList"));
        }
    }
    STATUS_SUCCESS
}

/// Returns a property of a Plug and Play device: no device of the bench is one. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn IoGetDeviceProperty(
    _device: *mut DEVICE_OBJECT,
    _property: u32,
    _length: u32,
    _buffer: *mut u8,
    told: *mut u32,
) -> NTSTATUS {
    if told.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: a driver's pointer.
    unsafe { told.write(0) };
    nt_abi::STATUS_INVALID_DEVICE_REQUEST
}
