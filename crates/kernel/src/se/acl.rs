//! Access control lists.

use export_macro::export;
use nt_abi::{
    ACCESS_ALLOWED_ACE_TYPE, ACCESS_DENIED_ACE_TYPE, ACE_HEADER, ACL, ACL_REVISION, GENERIC_MAPPING,
    NTSTATUS, SID, STATUS_ALLOTTED_SPACE_EXCEEDED, STATUS_INVALID_ACL, STATUS_INVALID_PARAMETER,
    STATUS_INVALID_SID, STATUS_REVISION_MISMATCH, STATUS_SUCCESS, STATUS_UNKNOWN_REVISION,
};

use super::sid::Sid;

/// The newest revision: with entries for objects.
const ACL_REVISION_DS: u8 = 4;
const HEADER: usize = size_of::<ACL>();
/// Header and mask of an entry, before its SID.
const BEFORE_SID: usize = 8;

/// An entry of a list, as its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ace {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) at: *mut u8,
    pub(crate) size: usize,
}

impl Ace {
    /// Mask and SID of an entry that has them in the usual place.
    ///
    /// # Safety
    /// The list it is of must still be readable.
    pub(crate) unsafe fn mask_and_sid(&self) -> Option<(u32, Sid)> {
        if self.size < BEFORE_SID + 8 {
            return None;
        }
        // SAFETY: by this function's contract; the entry has room for a mask and the head of a SID.
        unsafe {
            let sid = Sid::read(self.at.add(BEFORE_SID).cast())?;
            (BEFORE_SID + sid.size() <= self.size)
                .then(|| (self.at.add(4).cast::<u32>().read_unaligned(), sid))
        }
    }
}

/// The entries of a list, and how many bytes it uses; `None` when they do not fit it.
///
/// # Safety
/// `acl` must be readable as far as its size says.
pub(crate) unsafe fn entries(acl: *const ACL) -> Option<(Vec<Ace>, usize)> {
    // SAFETY: by this function's contract; no entry is read beyond the list's size.
    unsafe {
        let list = acl.read_unaligned();
        let (mut used, size) = (HEADER, usize::from(list.AclSize));
        let mut entries = Vec::with_capacity(list.AceCount.into());
        for _ in 0..list.AceCount {
            if used + size_of::<ACE_HEADER>() > size {
                return None;
            }
            let at = acl.cast::<u8>().add(used).cast_mut();
            let header = at.cast::<ACE_HEADER>().read_unaligned();
            let length = usize::from(header.AceSize);
            if length < size_of::<ACE_HEADER>() || used + length > size {
                return None;
            }
            entries.push(Ace { kind: header.AceType, flags: header.AceFlags, at, size: length });
            used += length;
        }
        (size >= HEADER).then_some((entries, used))
    }
}

/// Makes an empty list in a buffer of a size. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlCreateAcl(acl: *mut ACL, size: u32, revision: u32) -> NTSTATUS {
    let Ok(revision) = u8::try_from(revision) else { return STATUS_INVALID_PARAMETER };
    let (Ok(bytes), true) = (u16::try_from(size & !3), size as usize >= HEADER) else {
        return if (size as usize) < HEADER {
            nt_abi::STATUS_BUFFER_TOO_SMALL
        } else {
            STATUS_INVALID_PARAMETER
        };
    };
    if !(ACL_REVISION..=ACL_REVISION_DS).contains(&revision) {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the driver's buffer.
    unsafe { acl.write_unaligned(ACL { AclRevision: revision, AclSize: bytes, ..ACL::default() }) };
    STATUS_SUCCESS
}

/// Says whether a list is well formed. Source: public headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlValidAcl(acl: *const ACL) -> u8 {
    // SAFETY: the driver's list.
    unsafe {
        let revision = (*acl).AclRevision;
        u8::from((ACL_REVISION..=ACL_REVISION_DS).contains(&revision) && entries(acl).is_some())
    }
}

/// Adds bytes as entries before the entry `index`, or at the end.
///
/// # Safety
/// `acl` must be a list.
unsafe fn insert(acl: *mut ACL, revision: u8, index: u32, added: &[u8], count: u16) -> NTSTATUS {
    // SAFETY: by this function's contract; nothing is written beyond the list's size.
    unsafe {
        let Some((list, used)) = entries(acl) else { return STATUS_INVALID_ACL };
        if !(ACL_REVISION..=ACL_REVISION_DS).contains(&(*acl).AclRevision) || revision > ACL_REVISION_DS {
            return STATUS_UNKNOWN_REVISION;
        }
        if used + added.len() > usize::from((*acl).AclSize) {
            return STATUS_ALLOTTED_SPACE_EXCEEDED;
        }
        let end = acl.cast::<u8>().add(used);
        let place = list.get(index as usize).map_or(end, |entry| entry.at);
        let behind = end.addr() - place.addr();
        place.add(added.len()).copy_from(place, behind);
        place.copy_from(added.as_ptr(), added.len());
        (*acl).AceCount += count;
        (*acl).AclRevision = (*acl).AclRevision.max(revision);
    }
    STATUS_SUCCESS
}

/// Adds an entry with a mask and a SID at the end.
///
/// # Safety
/// `acl` must be a list, `sid` a SID.
unsafe fn add(acl: *mut ACL, revision: u32, flags: u32, mask: u32, sid: *const SID, kind: u8) -> NTSTATUS {
    // SAFETY: by this function's contract.
    unsafe {
        let Some(sid) = Sid::read(sid) else { return STATUS_INVALID_SID };
        let (Ok(revision), Ok(flags)) = (u8::try_from(revision), u8::try_from(flags)) else {
            return STATUS_INVALID_PARAMETER;
        };
        if !(ACL_REVISION..=ACL_REVISION_DS).contains(&revision) {
            return STATUS_REVISION_MISMATCH;
        }
        let size = u16::try_from(BEFORE_SID + sid.size()).unwrap_or(0);
        let mut bytes = vec![kind, flags];
        bytes.extend(size.to_le_bytes());
        bytes.extend(mask.to_le_bytes());
        bytes.extend(sid.bytes());
        insert(acl, revision, u32::MAX, &bytes, 1)
    }
}

/// Adds an entry that grants rights. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlAddAccessAllowedAce(
    acl: *mut ACL,
    revision: u32,
    mask: u32,
    sid: *const SID,
) -> NTSTATUS {
    // SAFETY: the driver's list and SID.
    unsafe { add(acl, revision, 0, mask, sid, ACCESS_ALLOWED_ACE_TYPE) }
}

/// Adds an entry that grants rights, with flags of inheritance. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlAddAccessAllowedAceEx(
    acl: *mut ACL,
    revision: u32,
    flags: u32,
    mask: u32,
    sid: *const SID,
) -> NTSTATUS {
    // SAFETY: the driver's list and SID.
    unsafe { add(acl, revision, flags, mask, sid, ACCESS_ALLOWED_ACE_TYPE) }
}

/// Adds an entry that denies rights. Source: public headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlAddAccessDeniedAce(
    acl: *mut ACL,
    revision: u32,
    mask: u32,
    sid: *const SID,
) -> NTSTATUS {
    // SAFETY: the driver's list and SID.
    unsafe { add(acl, revision, 0, mask, sid, ACCESS_DENIED_ACE_TYPE) }
}

/// Adds an entry that denies rights, with flags of inheritance. Source: public headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlAddAccessDeniedAceEx(
    acl: *mut ACL,
    revision: u32,
    flags: u32,
    mask: u32,
    sid: *const SID,
) -> NTSTATUS {
    // SAFETY: the driver's list and SID.
    unsafe { add(acl, revision, flags, mask, sid, ACCESS_DENIED_ACE_TYPE) }
}

/// Adds entries that the driver made. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlAddAce(
    acl: *mut ACL,
    revision: u32,
    index: u32,
    list: *const u8,
    length: u32,
) -> NTSTATUS {
    let Ok(revision) = u8::try_from(revision) else { return STATUS_INVALID_PARAMETER };
    // SAFETY: the driver's list and entries.
    unsafe {
        let bytes = crate::rtl::encode::bytes_at(list, length as usize);
        let (mut at, mut count) = (0, 0);
        while at < bytes.len() {
            let size = bytes
                .get(at + 2..at + 4)
                .map_or(0, |size| usize::from(u16::from_le_bytes([size[0], size[1]])));
            if size < size_of::<ACE_HEADER>() || at + size > bytes.len() {
                return STATUS_INVALID_PARAMETER;
            }
            at += size;
            count += 1;
        }
        insert(acl, revision, index, bytes, count)
    }
}

/// Returns an entry of a list. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlGetAce(acl: *const ACL, index: u32, ace: *mut *mut u8) -> NTSTATUS {
    // SAFETY: the driver's list and variable.
    unsafe {
        let found = entries(acl).and_then(|(list, _)| list.get(index as usize).copied());
        let Some(entry) = found else { return STATUS_INVALID_PARAMETER };
        ace.write_unaligned(entry.at);
    }
    STATUS_SUCCESS
}

/// Removes an entry from a list. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlDeleteAce(acl: *mut ACL, index: u32) -> NTSTATUS {
    // SAFETY: the driver's list.
    unsafe {
        let Some((list, used)) = entries(acl) else { return STATUS_INVALID_ACL };
        let Some(entry) = list.get(index as usize) else { return STATUS_INVALID_PARAMETER };
        let next = entry.at.add(entry.size);
        entry.at.copy_from(next, acl.cast::<u8>().add(used).addr() - next.addr());
        (*acl).AceCount -= 1;
    }
    STATUS_SUCCESS
}

/// The rights that a mask means for a type of objects.
pub(crate) fn map_generic(mask: u32, mapping: &GENERIC_MAPPING) -> u32 {
    let generic = [
        (nt_abi::GENERIC_READ, mapping.GenericRead),
        (nt_abi::GENERIC_WRITE, mapping.GenericWrite),
        (nt_abi::GENERIC_EXECUTE, mapping.GenericExecute),
        (nt_abi::GENERIC_ALL, mapping.GenericAll),
    ];
    generic
        .iter()
        .fold(mask, |mask, &(bit, rights)| if mask & bit == 0 { mask } else { mask & !bit | rights })
}

/// Replaces generic rights of a mask by those of a type. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlMapGenericMask(mask: *mut u32, mapping: *const GENERIC_MAPPING) {
    // SAFETY: the driver's variables.
    unsafe { mask.write_unaligned(map_generic(mask.read_unaligned(), &mapping.read_unaligned())) };
}

#[cfg(test)]
mod tests {
    use super::super::sid::known;
    use super::*;

    #[test]
    fn a_list_is_filled_until_it_is_full() {
        let mut memory = [0u32; 12];
        let acl: *mut ACL = memory.as_mut_ptr().cast();
        // SAFETY: 48 bytes, as said.
        unsafe {
            assert_eq!(RtlCreateAcl(acl, 48, 2), STATUS_SUCCESS);
            assert_eq!(RtlAddAccessAllowedAce(acl, 2, 0x1F_01FF, known::SYSTEM.as_ptr()), STATUS_SUCCESS);
            assert_eq!(RtlAddAccessDeniedAceEx(acl, 2, 3, 1, known::WORLD.as_ptr()), STATUS_SUCCESS);
            let full = RtlAddAccessAllowedAce(acl, 2, 1, known::ADMINISTRATORS.as_ptr());
            assert_eq!(full, STATUS_ALLOTTED_SPACE_EXCEEDED);
            assert_eq!(((*acl).AceCount, RtlValidAcl(acl)), (2, 1));
            let mut ace = std::ptr::null_mut();
            assert_eq!(RtlGetAce(acl, 1, &raw mut ace), STATUS_SUCCESS);
            assert_eq!((*ace, *ace.add(1), *ace.add(4)), (1, 3, 1));
            assert_eq!(RtlGetAce(acl, 2, &raw mut ace), STATUS_INVALID_PARAMETER);
            assert_eq!(RtlDeleteAce(acl, 0), STATUS_SUCCESS);
            let (left, used) = entries(acl).unwrap();
            assert_eq!((left.len(), left[0].kind, used), (1, 1, 28));
            assert_eq!(left[0].mask_and_sid(), Some((1, known::WORLD)));
            let mine = [0u8, 0, 20, 0, 7, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
            assert_eq!(RtlAddAce(acl, 2, 0, mine.as_ptr(), 20), STATUS_SUCCESS);
            assert_eq!(entries(acl).unwrap().0[0].mask_and_sid(), Some((7, known::WORLD)));
            assert_eq!(RtlAddAce(acl, 2, 0, mine.as_ptr(), 19), STATUS_INVALID_PARAMETER);
            (*acl).AceCount = 9;
            assert_eq!(RtlValidAcl(acl), 0);
        }
    }

    #[test]
    fn generic_rights_become_those_of_the_type() {
        let mapping =
            GENERIC_MAPPING { GenericRead: 1, GenericWrite: 2, GenericExecute: 4, GenericAll: 0xFF };
        let mut mask = nt_abi::GENERIC_READ | nt_abi::GENERIC_EXECUTE | 0x100;
        // SAFETY: variables of the test.
        unsafe { RtlMapGenericMask(&raw mut mask, &raw const mapping) };
        assert_eq!(mask, 0x105);
    }
}
