//! Volumes: finding them, and what they are asked.

use export_macro::export;
use nt_abi::{
    DEVICE_OBJECT, FILE_OBJECT, FLT_FILTER, FLT_INSTANCE, FLT_VOLUME, FLT_VOLUME_PROPERTIES, NTSTATUS,
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_FLT_DELETING_OBJECT, STATUS_FLT_FILTER_NOT_FOUND,
    STATUS_FLT_INSTANCE_NOT_FOUND, STATUS_FLT_NO_DEVICE_OBJECT, STATUS_FLT_VOLUME_NOT_FOUND,
    STATUS_INVALID_PARAMETER, STATUS_SUCCESS, UNICODE_STRING,
};

use super::object::{Filter, Instance, Opaque, Rundown, Volume, behind};
use super::{VOLUME, attach};
use crate::kernel;

/// The name that the mount manager gave the volume.
const GUID_NAME: &str = r"\??\Volume{5a1c0de0-0000-4000-8000-00c0ffee0001}";
/// Other names of the volume.
const OTHER_NAMES: [&str; 4] = [r"\??\C:", r"\DosDevices\C:", "C:", GUID_NAME];
/// Bytes of a sector.
const SECTOR: u16 = 512;
/// FILE_DEVICE_IS_MOUNTED and FILE_DEVICE_SECURE_OPEN, as a mounted disk has them.
const CHARACTERISTICS: u32 = 0x20 | 0x100;

/// Hands an object out with a reference.
///
/// # Safety
/// `to` is a driver's pointer.
unsafe fn hand_out<T: Opaque>(object: &T::Body, rundown: &Rundown, to: *mut *mut T) -> NTSTATUS {
    if !rundown.acquire() {
        return STATUS_FLT_DELETING_OBJECT;
    }
    // SAFETY: by this function's contract.
    unsafe { to.write(std::ptr::from_ref(object).cast_mut().cast()) };
    STATUS_SUCCESS
}

/// Gets the volume that an open file is on, with a reference. Source: DDI.
///
/// STATUS_INVALID_PARAMETER where the file object is for no volume.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetVolumeFromFileObject(
    _filter: *mut FLT_FILTER,
    file: *const FILE_OBJECT,
    returned: *mut *mut FLT_VOLUME,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        let Some(name) = super::name::name_of(file) else { return STATUS_INVALID_PARAMETER };
        let parts = super::parse::parts(&name, false);
        if String::from_utf16_lossy(&name[parts.volume]).eq_ignore_ascii_case(VOLUME) {
            let volume = &kernel().flt.volume;
            hand_out::<FLT_VOLUME>(volume, &volume.rundown, returned)
        } else {
            // A recording tells of files on volumes of another machine, which the bench has not.
            STATUS_FLT_VOLUME_NOT_FOUND
        }
    }
}

/// Gets the volume of that name, with a reference. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetVolumeFromName(
    _filter: *mut FLT_FILTER,
    name: *const UNICODE_STRING,
    returned: *mut *mut FLT_VOLUME,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        let Some(name) = name.as_ref().map(crate::rtl::text_of) else { return STATUS_INVALID_PARAMETER };
        if !OTHER_NAMES.iter().chain([&VOLUME]).any(|known| known.eq_ignore_ascii_case(&name)) {
            return STATUS_FLT_VOLUME_NOT_FOUND;
        }
        let volume = &kernel().flt.volume;
        hand_out::<FLT_VOLUME>(volume, &volume.rundown, returned)
    }
}

/// Gets the volume of a device object, with a reference. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetVolumeFromDeviceObject(
    _filter: *mut FLT_FILTER,
    device: *const DEVICE_OBJECT,
    returned: *mut *mut FLT_VOLUME,
) -> NTSTATUS {
    if device.is_null() || !std::ptr::eq(device, crate::io::device::volume()) {
        return STATUS_FLT_VOLUME_NOT_FOUND;
    }
    let volume = &kernel().flt.volume;
    // SAFETY: the driver's pointer.
    unsafe { hand_out::<FLT_VOLUME>(volume, &volume.rundown, returned) }
}

/// Gets the volume of an instance, with a reference. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetVolumeFromInstance(
    instance: *mut FLT_INSTANCE,
    returned: *mut *mut FLT_VOLUME,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        match behind(instance) {
            Ok(Instance { volume, .. }) => hand_out::<FLT_VOLUME>(volume, &volume.rundown, returned),
            Err(status) => status,
        }
    }
}

/// Gets the filter of an instance, with a reference. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetFilterFromInstance(
    instance: *mut FLT_INSTANCE,
    returned: *mut *mut FLT_FILTER,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        match behind(instance) {
            Ok(Instance { filter, .. }) => hand_out::<FLT_FILTER>(filter, &filter.rundown, returned),
            Err(status) => status,
        }
    }
}

/// Gets the filter of that name, with a reference. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetFilterFromName(
    name: *const UNICODE_STRING,
    returned: *mut *mut FLT_FILTER,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        let Some(name) = name.as_ref().map(crate::rtl::text_of) else { return STATUS_INVALID_PARAMETER };
        let filters = kernel().flt.filters();
        let found =
            filters.iter().find(|filter| !filter.is_gone() && filter.name.eq_ignore_ascii_case(&name));
        found.map_or(STATUS_FLT_FILTER_NOT_FOUND, |filter| {
            hand_out::<FLT_FILTER>(filter, &filter.rundown, returned)
        })
    }
}

/// Gets a filter's instance on a volume, by name or the first one, with a reference. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetVolumeInstanceFromName(
    filter: *mut FLT_FILTER,
    volume: *mut FLT_VOLUME,
    name: *const UNICODE_STRING,
    returned: *mut *mut FLT_INSTANCE,
) -> NTSTATUS {
    // SAFETY: the driver's pointers; filter and name may be null.
    unsafe {
        let volume: &Volume = match behind(volume) {
            Ok(volume) => volume,
            Err(status) => return status,
        };
        let name = name.as_ref().map(crate::rtl::text_of);
        let filters = kernel().flt.filters();
        let asked = filters.iter().filter(|one| filter.is_null() || one.as_ptr().cast() == filter);
        let found =
            asked.filter(|one| !one.is_gone()).find_map(|one| attach::find(one, volume, name.as_deref()));
        found.map_or(STATUS_FLT_INSTANCE_NOT_FOUND, |instance| {
            hand_out::<FLT_INSTANCE>(&instance, &instance.rundown, returned)
        })
    }
}

/// Writes a list of objects out, each with a reference; a list that is too small gets nothing.
///
/// # Safety
/// `list` has room for `room` pointers, and `count` for one number; both are a driver's.
unsafe fn enumerate<T: Opaque>(
    all: &[(&T::Body, &Rundown)],
    list: *mut *mut T,
    room: u32,
    count: *mut u32,
) -> NTSTATUS {
    // SAFETY: by this function's contract.
    unsafe {
        count.write(u32::try_from(all.len()).unwrap_or(u32::MAX));
        if all.len() > room as usize || (list.is_null() && !all.is_empty()) {
            return STATUS_BUFFER_TOO_SMALL;
        }
        for (index, (object, rundown)) in all.iter().enumerate() {
            let status = hand_out::<T>(object, rundown, list.add(index));
            if !status.is_success() {
                return status;
            }
        }
    }
    STATUS_SUCCESS
}

/// Lists the volumes, each with a reference. STATUS_BUFFER_TOO_SMALL and the count where the list has no room. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltEnumerateVolumes(
    _filter: *mut FLT_FILTER,
    list: *mut *mut FLT_VOLUME,
    room: u32,
    count: *mut u32,
) -> NTSTATUS {
    let volume: &Volume = &kernel().flt.volume;
    // SAFETY: the driver's pointers.
    unsafe { enumerate::<FLT_VOLUME>(&[(volume, &volume.rundown)], list, room, count) }
}

/// Lists the filters, each with a reference. STATUS_BUFFER_TOO_SMALL and the count where the list has no room. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltEnumerateFilters(
    list: *mut *mut FLT_FILTER,
    room: u32,
    count: *mut u32,
) -> NTSTATUS {
    let filters = kernel().flt.filters();
    let all: Vec<(&Filter, &Rundown)> = filters
        .iter()
        .filter(|filter| !filter.is_gone())
        .map(|filter| (&**filter, &filter.rundown))
        .collect();
    // SAFETY: the driver's pointers.
    unsafe { enumerate::<FLT_FILTER>(&all, list, room, count) }
}

/// Lists instances, of a volume or a filter or all, each with a reference. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltEnumerateInstances(
    volume: *mut FLT_VOLUME,
    filter: *mut FLT_FILTER,
    list: *mut *mut FLT_INSTANCE,
    room: u32,
    count: *mut u32,
) -> NTSTATUS {
    let filters = kernel().flt.filters();
    let mut found = Vec::new();
    for one in
        filters.iter().filter(|one| !one.is_gone() && (filter.is_null() || one.as_ptr().cast() == filter))
    {
        let instances = one.instances();
        found.extend(
            instances.iter().filter(|one| volume.is_null() || one.volume.as_ptr().cast() == volume).cloned(),
        );
    }
    let all: Vec<(&Instance, &Rundown)> = found.iter().map(|one| (&**one, &one.rundown)).collect();
    // SAFETY: the driver's pointers.
    unsafe { enumerate::<FLT_INSTANCE>(&all, list, room, count) }
}

/// Gets the name of a volume. STATUS_BUFFER_TOO_SMALL and the bytes it needs where it does not fit. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetVolumeName(
    volume: *mut FLT_VOLUME,
    name: *mut UNICODE_STRING,
    needed: *mut u32,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        match behind(volume) {
            Ok(Volume { name: text, .. }) => tell(text, name, needed),
            Err(status) => status,
        }
    }
}

/// Gets the name of a volume that never changes, with its GUID. Source: DDI.
#[export(irql == PASSIVE, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetVolumeGuidName(
    volume: *mut FLT_VOLUME,
    name: *mut UNICODE_STRING,
    needed: *mut u32,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        match behind(volume) {
            Ok(Volume { .. }) => tell(GUID_NAME, name, needed),
            Err(status) => status,
        }
    }
}

/// Writes a name out.
///
/// # Safety
/// The pointers are a driver's and may be null.
unsafe fn tell(text: &str, name: *mut UNICODE_STRING, needed: *mut u32) -> NTSTATUS {
    // SAFETY: by this function's contract.
    unsafe {
        if !needed.is_null() {
            needed.write(u32::try_from(text.encode_utf16().count() * 2).unwrap_or(u32::MAX));
        }
        let told = name.as_mut().is_some_and(|name| super::name::fits(text, name));
        if told { STATUS_SUCCESS } else { STATUS_BUFFER_TOO_SMALL }
    }
}

/// Gets what a volume can do: a disk with NTFS. Source: DDI.
///
/// STATUS_BUFFER_OVERFLOW where only the fixed part fits, STATUS_BUFFER_TOO_SMALL where that does not.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetVolumeProperties(
    volume: *mut FLT_VOLUME,
    properties: *mut FLT_VOLUME_PROPERTIES,
    bytes: u32,
    returned: *mut u32,
) -> NTSTATUS {
    const FIXED: usize = size_of::<FLT_VOLUME_PROPERTIES>();
    // SAFETY: the driver's pointers.
    unsafe {
        let volume: &Volume = match behind(volume) {
            Ok(volume) => volume,
            Err(status) => return status,
        };
        let names = [r"\FileSystem\Ntfs", r"\Ntfs", &volume.name];
        let units = names.map(|name| name.encode_utf16().collect::<Vec<u16>>());
        let whole = FIXED + units.iter().map(|name| name.len() * 2).sum::<usize>();
        let room = bytes as usize;
        if room < FIXED || properties.is_null() {
            returned.write(u32::try_from(whole).unwrap_or(u32::MAX));
            return STATUS_BUFFER_TOO_SMALL;
        }
        let mut made = FLT_VOLUME_PROPERTIES {
            DeviceType: attach::DISK_FILE_SYSTEM,
            DeviceCharacteristics: CHARACTERISTICS,
            SectorSize: SECTOR,
            ..FLT_VOLUME_PROPERTIES::default()
        };
        let fits = room >= whole;
        if fits {
            let mut at = properties.cast::<u8>().add(FIXED).cast::<u16>();
            let strings =
                [&mut made.FileSystemDriverName, &mut made.FileSystemDeviceName, &mut made.RealDeviceName];
            for (string, name) in strings.into_iter().zip(&units) {
                std::ptr::copy_nonoverlapping(name.as_ptr(), at, name.len());
                *string = super::parse::string(at, &(0..name.len()));
                at = at.add(name.len());
            }
        }
        properties.write(made);
        returned.write(u32::try_from(if fits { whole } else { FIXED }).unwrap_or(u32::MAX));
        if fits { STATUS_SUCCESS } else { STATUS_BUFFER_OVERFLOW }
    }
}

/// Gets the disk device of a volume, with a reference. STATUS_FLT_NO_DEVICE_OBJECT where it has none. Source: DDI.
#[export(irql <= DISPATCH, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetDiskDeviceObject(
    volume: *mut FLT_VOLUME,
    returned: *mut *mut DEVICE_OBJECT,
) -> NTSTATUS {
    let device = crate::io::device::volume();
    // SAFETY: the driver's pointers; the device is an object that lives as long as the kernel.
    unsafe {
        if let Err(status) = behind(volume) {
            return status;
        }
        if device.is_null() {
            return STATUS_FLT_NO_DEVICE_OBJECT;
        }
        crate::ob::object::reference(device);
        returned.write(device);
    }
    STATUS_SUCCESS
}

/// Gets the type of the file system below a volume or an instance: NTFS. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetFileSystemType(object: *mut u8, returned: *mut u32) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        if behind(object.cast::<FLT_VOLUME>()).is_err() && behind(object.cast::<FLT_INSTANCE>()).is_err() {
            return STATUS_INVALID_PARAMETER;
        }
        returned.write(attach::NTFS);
    }
    STATUS_SUCCESS
}

/// Says whether a volume can be written to: it can. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn FltIsVolumeWritable(object: *mut u8, returned: *mut u8) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        if behind(object.cast::<FLT_VOLUME>()).is_err() && behind(object.cast::<FLT_INSTANCE>()).is_err() {
            return STATUS_INVALID_PARAMETER;
        }
        returned.write(1);
    }
    STATUS_SUCCESS
}
