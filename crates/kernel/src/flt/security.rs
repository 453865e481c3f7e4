//! Security descriptors for communication ports.

use export_macro::export;
use nt_abi::{
    ACCESS_ALLOWED_ACE, ACE_HEADER, ACL, NTSTATUS, SECURITY_DESCRIPTOR, SID, SID_IDENTIFIER_AUTHORITY,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS,
};

use crate::ex::pool::{Allocation, Kind, Tag};
use crate::io;

const TAG: Tag = Tag(u32::from_le_bytes(*b"FMsd"));
/// SE_DACL_PRESENT.
const DACL_PRESENT: u16 = 4;
/// ACL_REVISION.
const ACL_REVISION: u8 = 2;

/// A SID with at most two sub-authorities.
#[repr(C)]
#[derive(Clone, Copy)]
struct ShortSid {
    revision: u8,
    count: u8,
    authority: SID_IDENTIFIER_AUTHORITY,
    parts: [u32; 2],
}

const NT_AUTHORITY: SID_IDENTIFIER_AUTHORITY = SID_IDENTIFIER_AUTHORITY { Value: [0, 0, 0, 0, 0, 5] };
/// S-1-5-18.
const SYSTEM: ShortSid = ShortSid { revision: 1, count: 1, authority: NT_AUTHORITY, parts: [18, 0] };
/// S-1-5-32-544.
const ADMINISTRATORS: ShortSid =
    ShortSid { revision: 1, count: 2, authority: NT_AUTHORITY, parts: [32, 544] };

impl ShortSid {
    const fn bytes(self) -> usize {
        8 + self.count as usize * 4
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Ace {
    header: ACE_HEADER,
    mask: u32,
    sid: ShortSid,
}

impl Ace {
    fn allow(mask: u32, sid: ShortSid) -> Self {
        let size = u16::try_from(size_of::<ACCESS_ALLOWED_ACE>() - 4 + sid.bytes()).unwrap_or_default();
        Self { header: ACE_HEADER { AceType: 0, AceFlags: 0, AceSize: size }, mask, sid }
    }
}

/// A descriptor and all that it points to, in one allocation.
#[repr(C)]
struct Default {
    descriptor: SECURITY_DESCRIPTOR,
    owner: ShortSid,
    acl: ACL,
    /// The entry for Administrators, whose SID is as long as there is room.
    administrators: Ace,
    /// The entry for System.
    system: Ace,
}

/// Makes a descriptor that lets Administrators and System do `access`. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltBuildDefaultSecurityDescriptor(
    returned: *mut *mut SECURITY_DESCRIPTOR,
    access: u32,
) -> NTSTATUS {
    let what =
        Allocation { size: size_of::<Default>(), tag: TAG, kind: Kind::Paged, owner: io::current_driver() };
    let Some(memory) = crate::ex::allocate(what, true) else { return STATUS_INSUFFICIENT_RESOURCES };
    let made = memory.cast::<Default>().as_ptr();
    let (administrators, system) = (Ace::allow(access, ADMINISTRATORS), Ace::allow(access, SYSTEM));
    let bytes =
        size_of::<ACL>() + usize::from(administrators.header.AceSize) + usize::from(system.header.AceSize);
    // SAFETY: the allocation has this size; the driver's pointer faults as on Windows where it is bad.
    unsafe {
        let owner = (&raw mut (*made).owner).cast::<SID>();
        made.write(Default {
            descriptor: SECURITY_DESCRIPTOR {
                Revision: 1,
                Control: DACL_PRESENT,
                Owner: owner,
                Group: owner,
                Dacl: &raw mut (*made).acl,
                ..SECURITY_DESCRIPTOR::default()
            },
            owner: ADMINISTRATORS,
            acl: ACL {
                AclRevision: ACL_REVISION,
                AclSize: u16::try_from(bytes).unwrap_or_default(),
                AceCount: 2,
                ..ACL::default()
            },
            administrators,
            system,
        });
        returned.write(&raw mut (*made).descriptor);
    }
    STATUS_SUCCESS
}

/// Frees what `FltBuildDefaultSecurityDescriptor` made. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltFreeSecurityDescriptor(descriptor: *mut SECURITY_DESCRIPTOR) {
    // SAFETY: the driver's to give back; what is no such allocation is a bug check of the pool.
    unsafe { crate::ex::pool_routines::ExFreePoolWithTag(descriptor.addr(), TAG.0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_follow_each_other_without_a_gap() {
        let first = usize::from(Ace::allow(1, ADMINISTRATORS).header.AceSize);
        assert_eq!(
            std::mem::offset_of!(Default, administrators),
            std::mem::offset_of!(Default, acl) + size_of::<ACL>()
        );
        assert_eq!(
            std::mem::offset_of!(Default, administrators) + first,
            std::mem::offset_of!(Default, system)
        );
        assert_eq!(Ace::allow(1, SYSTEM).header.AceSize, 20);
    }
}
