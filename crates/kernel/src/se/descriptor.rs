//! Security descriptors, absolute and self-relative.

use std::ptr::{null, null_mut};

use export_macro::export;
use nt_abi::{
    ACL, NTSTATUS, SE_DACL_DEFAULTED, SE_DACL_PRESENT, SE_GROUP_DEFAULTED, SE_OWNER_DEFAULTED,
    SE_SACL_DEFAULTED, SE_SACL_PRESENT, SE_SELF_RELATIVE, SECURITY_DESCRIPTOR, SECURITY_DESCRIPTOR_RELATIVE,
    SECURITY_DESCRIPTOR_REVISION, SID, STATUS_BAD_DESCRIPTOR_FORMAT, STATUS_BUFFER_TOO_SMALL,
    STATUS_INVALID_SECURITY_DESCR, STATUS_SUCCESS, STATUS_UNKNOWN_REVISION,
};

use super::acl::RtlValidAcl;
use super::sid::Sid;

/// The parts of a descriptor, wherever they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) control: u16,
    pub(crate) owner: *mut SID,
    pub(crate) group: *mut SID,
    pub(crate) sacl: *mut ACL,
    pub(crate) dacl: *mut ACL,
}

/// Takes a descriptor of either form apart; `None` for one of a revision that does not exist.
///
/// # Safety
/// It must be a descriptor.
pub(crate) unsafe fn parts(descriptor: *const SECURITY_DESCRIPTOR) -> Option<Parts> {
    if descriptor.is_null() {
        return None;
    }
    // SAFETY: by this function's contract; the fields before the pointers are the same in both forms.
    unsafe {
        let relative = descriptor.cast::<SECURITY_DESCRIPTOR_RELATIVE>().read_unaligned();
        if relative.Revision != SECURITY_DESCRIPTOR_REVISION {
            return None;
        }
        let mut parts = if relative.Control & SE_SELF_RELATIVE == 0 {
            let absolute = descriptor.read_unaligned();
            Parts {
                control: absolute.Control,
                owner: absolute.Owner,
                group: absolute.Group,
                sacl: absolute.Sacl,
                dacl: absolute.Dacl,
            }
        } else {
            let at = |offset: u32| {
                let address = descriptor.cast::<u8>().wrapping_add(offset as usize).cast_mut();
                if offset == 0 { null_mut() } else { address }
            };
            Parts {
                control: relative.Control,
                owner: at(relative.Owner).cast(),
                group: at(relative.Group).cast(),
                sacl: at(relative.Sacl).cast(),
                dacl: at(relative.Dacl).cast(),
            }
        };
        // What is not present does not count, whatever the field says.
        if parts.control & SE_SACL_PRESENT == 0 {
            parts.sacl = null_mut();
        }
        if parts.control & SE_DACL_PRESENT == 0 {
            parts.dacl = null_mut();
        }
        Some(parts)
    }
}

impl Parts {
    /// Bytes of owner, group, SACL and DACL; 0 for what is not there.
    ///
    /// # Safety
    /// They must be readable.
    unsafe fn sizes(&self) -> [usize; 4] {
        // SAFETY: by this function's contract.
        let sid = |sid: *mut SID| unsafe { Sid::read(sid) }.map_or(0, |sid| sid.size());
        // SAFETY: by this function's contract.
        let acl = |acl: *mut ACL| unsafe { acl.as_ref() }.map_or(0, |acl| acl.AclSize.into());
        [sid(self.owner), sid(self.group), acl(self.sacl), acl(self.dacl)]
    }

    fn addresses(&self) -> [*const u8; 4] {
        [
            self.owner.cast_const().cast(),
            self.group.cast_const().cast(),
            self.sacl.cast_const().cast(),
            self.dacl.cast_const().cast(),
        ]
    }

    /// The descriptor in self-relative form.
    ///
    /// # Safety
    /// The parts must be readable.
    pub(crate) unsafe fn self_relative(&self) -> Vec<u8> {
        const HEADER: usize = size_of::<SECURITY_DESCRIPTOR_RELATIVE>();
        // SAFETY: by this function's contract.
        unsafe {
            let sizes = self.sizes();
            let mut bytes = vec![0u8; HEADER];
            let mut offsets = [0u32; 4];
            for ((offset, size), from) in offsets.iter_mut().zip(sizes).zip(self.addresses()) {
                if size != 0 {
                    *offset = u32::try_from(bytes.len()).unwrap_or(0);
                    bytes.extend_from_slice(std::slice::from_raw_parts(from, size));
                    bytes.resize(bytes.len().next_multiple_of(4), 0);
                }
            }
            bytes[0] = SECURITY_DESCRIPTOR_REVISION;
            bytes[2..4].copy_from_slice(&(self.control | SE_SELF_RELATIVE).to_le_bytes());
            for (index, offset) in offsets.iter().enumerate() {
                bytes[4 + index * 4..8 + index * 4].copy_from_slice(&offset.to_le_bytes());
            }
            bytes
        }
    }
}

/// Makes an empty descriptor in absolute form. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlCreateSecurityDescriptor(
    descriptor: *mut SECURITY_DESCRIPTOR,
    revision: u32,
) -> NTSTATUS {
    if revision != SECURITY_DESCRIPTOR_REVISION.into() {
        return STATUS_UNKNOWN_REVISION;
    }
    let empty =
        SECURITY_DESCRIPTOR { Revision: SECURITY_DESCRIPTOR_REVISION, ..SECURITY_DESCRIPTOR::default() };
    // SAFETY: the driver's memory.
    unsafe { descriptor.write_unaligned(empty) };
    STATUS_SUCCESS
}

/// Changes a descriptor that must be in absolute form.
///
/// # Safety
/// It must be a descriptor.
unsafe fn change(
    descriptor: *mut SECURITY_DESCRIPTOR,
    change: impl FnOnce(&mut SECURITY_DESCRIPTOR),
) -> NTSTATUS {
    // SAFETY: by this function's contract.
    unsafe {
        let mut copy = descriptor.read_unaligned();
        if copy.Revision != SECURITY_DESCRIPTOR_REVISION {
            return STATUS_UNKNOWN_REVISION;
        }
        if copy.Control & SE_SELF_RELATIVE != 0 {
            return STATUS_INVALID_SECURITY_DESCR;
        }
        change(&mut copy);
        descriptor.write_unaligned(copy);
    }
    STATUS_SUCCESS
}

fn put_bit(control: &mut u16, bit: u16, set: bool) {
    *control = if set { *control | bit } else { *control & !bit };
}

/// Sets the DACL of an absolute descriptor, or that there is none. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlSetDaclSecurityDescriptor(
    descriptor: *mut SECURITY_DESCRIPTOR,
    present: u8,
    dacl: *mut ACL,
    defaulted: u8,
) -> NTSTATUS {
    // SAFETY: the driver's descriptor.
    unsafe {
        change(descriptor, |copy| {
            put_bit(&mut copy.Control, SE_DACL_PRESENT, present != 0);
            if present != 0 {
                copy.Dacl = dacl;
                put_bit(&mut copy.Control, SE_DACL_DEFAULTED, defaulted != 0);
            }
        })
    }
}

/// Sets the SACL of an absolute descriptor, or that there is none. Source: public headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlSetSaclSecurityDescriptor(
    descriptor: *mut SECURITY_DESCRIPTOR,
    present: u8,
    sacl: *mut ACL,
    defaulted: u8,
) -> NTSTATUS {
    // SAFETY: the driver's descriptor.
    unsafe {
        change(descriptor, |copy| {
            put_bit(&mut copy.Control, SE_SACL_PRESENT, present != 0);
            if present != 0 {
                copy.Sacl = sacl;
                put_bit(&mut copy.Control, SE_SACL_DEFAULTED, defaulted != 0);
            }
        })
    }
}

/// Sets the owner of an absolute descriptor. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlSetOwnerSecurityDescriptor(
    descriptor: *mut SECURITY_DESCRIPTOR,
    owner: *mut SID,
    defaulted: u8,
) -> NTSTATUS {
    // SAFETY: the driver's descriptor.
    unsafe {
        change(descriptor, |copy| {
            copy.Owner = owner;
            put_bit(&mut copy.Control, SE_OWNER_DEFAULTED, defaulted != 0);
        })
    }
}

/// Sets the primary group of an absolute descriptor. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlSetGroupSecurityDescriptor(
    descriptor: *mut SECURITY_DESCRIPTOR,
    group: *mut SID,
    defaulted: u8,
) -> NTSTATUS {
    // SAFETY: the driver's descriptor.
    unsafe {
        change(descriptor, |copy| {
            copy.Group = group;
            put_bit(&mut copy.Control, SE_GROUP_DEFAULTED, defaulted != 0);
        })
    }
}

/// Returns one of the two lists of a descriptor.
///
/// # Safety
/// A driver's descriptor and variables.
unsafe fn list_of(
    descriptor: *const SECURITY_DESCRIPTOR,
    present: *mut u8,
    list: *mut *mut ACL,
    defaulted: *mut u8,
    pick: impl FnOnce(&Parts) -> (*mut ACL, u16, u16),
) -> NTSTATUS {
    // SAFETY: by this function's contract.
    unsafe {
        let Some(parts) = parts(descriptor) else { return STATUS_UNKNOWN_REVISION };
        let (acl, present_bit, defaulted_bit) = pick(&parts);
        let is_present = parts.control & present_bit != 0;
        present.write(u8::from(is_present));
        if is_present {
            list.write_unaligned(acl);
            defaulted.write(u8::from(parts.control & defaulted_bit != 0));
        }
    }
    STATUS_SUCCESS
}

/// Returns the DACL of a descriptor. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlGetDaclSecurityDescriptor(
    descriptor: *const SECURITY_DESCRIPTOR,
    present: *mut u8,
    dacl: *mut *mut ACL,
    defaulted: *mut u8,
) -> NTSTATUS {
    // SAFETY: the driver's descriptor and variables.
    unsafe {
        list_of(descriptor, present, dacl, defaulted, |parts| {
            (parts.dacl, SE_DACL_PRESENT, SE_DACL_DEFAULTED)
        })
    }
}

/// Returns the SACL of a descriptor. Source: public headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlGetSaclSecurityDescriptor(
    descriptor: *const SECURITY_DESCRIPTOR,
    present: *mut u8,
    sacl: *mut *mut ACL,
    defaulted: *mut u8,
) -> NTSTATUS {
    // SAFETY: the driver's descriptor and variables.
    unsafe {
        list_of(descriptor, present, sacl, defaulted, |parts| {
            (parts.sacl, SE_SACL_PRESENT, SE_SACL_DEFAULTED)
        })
    }
}

/// Returns the owner of a descriptor, null where it has none. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlGetOwnerSecurityDescriptor(
    descriptor: *const SECURITY_DESCRIPTOR,
    owner: *mut *mut SID,
    defaulted: *mut u8,
) -> NTSTATUS {
    // SAFETY: the driver's descriptor and variables.
    unsafe {
        let Some(parts) = parts(descriptor) else { return STATUS_UNKNOWN_REVISION };
        owner.write_unaligned(parts.owner);
        defaulted.write(u8::from(parts.control & SE_OWNER_DEFAULTED != 0));
    }
    STATUS_SUCCESS
}

/// Returns the primary group of a descriptor, null where it has none. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlGetGroupSecurityDescriptor(
    descriptor: *const SECURITY_DESCRIPTOR,
    group: *mut *mut SID,
    defaulted: *mut u8,
) -> NTSTATUS {
    // SAFETY: the driver's descriptor and variables.
    unsafe {
        let Some(parts) = parts(descriptor) else { return STATUS_UNKNOWN_REVISION };
        group.write_unaligned(parts.group);
        defaulted.write(u8::from(parts.control & SE_GROUP_DEFAULTED != 0));
    }
    STATUS_SUCCESS
}

/// Says whether a descriptor is well formed. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlValidSecurityDescriptor(descriptor: *const SECURITY_DESCRIPTOR) -> u8 {
    // SAFETY: the driver's descriptor.
    unsafe {
        let Some(parts) = parts(descriptor) else { return 0 };
        let sid = |sid: *mut SID| sid.is_null() || Sid::read(sid).is_some();
        let acl = |acl: *mut ACL| acl.is_null() || RtlValidAcl(acl) != 0;
        u8::from(sid(parts.owner) && sid(parts.group) && acl(parts.sacl) && acl(parts.dacl))
    }
}

/// Says whether a self-relative descriptor of a size is well formed and has what is asked for. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlValidRelativeSecurityDescriptor(
    descriptor: *const SECURITY_DESCRIPTOR,
    length: u32,
    required: u32,
) -> u8 {
    let length = length as usize;
    if length < size_of::<SECURITY_DESCRIPTOR_RELATIVE>() {
        return 0;
    }
    // SAFETY: the driver's descriptor, of that size; what is behind it is not looked at.
    unsafe {
        let relative = descriptor.cast::<SECURITY_DESCRIPTOR_RELATIVE>().read_unaligned();
        let offsets =
            [relative.Owner, relative.Group, relative.Sacl, relative.Dacl].map(|offset| offset as usize);
        // Each part must begin with room for its own head, and end inside.
        if relative.Control & SE_SELF_RELATIVE == 0
            || offsets.iter().any(|&offset| offset != 0 && offset + 8 > length)
        {
            return 0;
        }
        let byte = |at: usize| usize::from(*descriptor.cast::<u8>().add(at));
        let sid_fits = |offset: usize| offset == 0 || offset + 8 + 4 * byte(offset + 1) <= length;
        let acl_fits =
            |offset: usize| offset == 0 || offset + byte(offset + 2) + (byte(offset + 3) << 8) <= length;
        let fits =
            sid_fits(offsets[0]) && sid_fits(offsets[1]) && acl_fits(offsets[2]) && acl_fits(offsets[3]);
        let there = (0..4).all(|bit| {
            let index = [0, 1, 3, 2][bit];
            required >> bit & 1 == 0 || offsets[index] != 0
        });
        u8::from(fits && there && RtlValidSecurityDescriptor(descriptor) != 0)
    }
}

/// Returns how many bytes a descriptor has with all its parts. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlLengthSecurityDescriptor(descriptor: *const SECURITY_DESCRIPTOR) -> u32 {
    // SAFETY: the driver's descriptor.
    unsafe {
        let Some(parts) = parts(descriptor) else { return 0 };
        let relative = parts.control & SE_SELF_RELATIVE != 0;
        let header = if relative {
            size_of::<SECURITY_DESCRIPTOR_RELATIVE>()
        } else {
            size_of::<SECURITY_DESCRIPTOR>()
        };
        let length: usize = parts.sizes().iter().map(|size| size.next_multiple_of(4)).sum();
        u32::try_from(header + length).unwrap_or(u32::MAX)
    }
}

/// Writes an absolute descriptor in self-relative form. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlAbsoluteToSelfRelativeSD(
    absolute: *const SECURITY_DESCRIPTOR,
    relative: *mut u8,
    length: *mut u32,
) -> NTSTATUS {
    // SAFETY: the driver's descriptors.
    unsafe {
        let Some(parts) = parts(absolute) else { return STATUS_UNKNOWN_REVISION };
        if parts.control & SE_SELF_RELATIVE != 0 {
            return STATUS_BAD_DESCRIPTOR_FORMAT;
        }
        let bytes = parts.self_relative();
        let room = length.read_unaligned() as usize;
        length.write_unaligned(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        if room < bytes.len() {
            return STATUS_BUFFER_TOO_SMALL;
        }
        relative.copy_from(bytes.as_ptr(), bytes.len());
    }
    STATUS_SUCCESS
}

/// Writes a self-relative descriptor in absolute form, each part into a buffer of its own. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlSelfRelativeToAbsoluteSD(
    relative: *const SECURITY_DESCRIPTOR,
    absolute: *mut SECURITY_DESCRIPTOR,
    absolute_size: *mut u32,
    dacl: *mut u8,
    dacl_size: *mut u32,
    sacl: *mut u8,
    sacl_size: *mut u32,
    owner: *mut u8,
    owner_size: *mut u32,
    group: *mut u8,
    group_size: *mut u32,
) -> NTSTATUS {
    // SAFETY: the driver's descriptor and buffers.
    unsafe {
        let Some(parts) = parts(relative) else { return STATUS_UNKNOWN_REVISION };
        if parts.control & SE_SELF_RELATIVE == 0 {
            return STATUS_BAD_DESCRIPTOR_FORMAT;
        }
        let needed = parts.sizes();
        let rooms = [owner_size, group_size, sacl_size, dacl_size];
        let mut fits = absolute_size.read_unaligned() as usize >= size_of::<SECURITY_DESCRIPTOR>();
        absolute_size.write_unaligned(u32::try_from(size_of::<SECURITY_DESCRIPTOR>()).unwrap_or(0));
        for (room, needed) in rooms.into_iter().zip(needed) {
            fits &= room.read_unaligned() as usize >= needed;
            room.write_unaligned(u32::try_from(needed).unwrap_or(u32::MAX));
        }
        if !fits {
            return STATUS_BUFFER_TOO_SMALL;
        }
        let put = |to: *mut u8, from: *const u8, size: usize| {
            if size == 0 {
                return null::<u8>().cast_mut();
            }
            to.copy_from(from, size);
            to
        };
        let from = parts.addresses();
        absolute.write_unaligned(SECURITY_DESCRIPTOR {
            Revision: SECURITY_DESCRIPTOR_REVISION,
            Sbz1: 0,
            Control: parts.control & !SE_SELF_RELATIVE,
            Owner: put(owner, from[0], needed[0]).cast(),
            Group: put(group, from[1], needed[1]).cast(),
            Sacl: put(sacl, from[2], needed[2]).cast(),
            Dacl: put(dacl, from[3], needed[3]).cast(),
        });
    }
    STATUS_SUCCESS
}

#[cfg(test)]
#[path = "descriptor_tests.rs"]
mod tests;
