//! Access checks: subjects, privileges, and DACLs against tokens.

use export_macro::export;
use nt_abi::{
    ACCESS_ALLOWED_ACE_TYPE, ACCESS_DENIED_ACE_TYPE, GENERIC_MAPPING, LUID, LUID_AND_ATTRIBUTES,
    MAXIMUM_ALLOWED, NTSTATUS, PRIVILEGE_SET, READ_CONTROL, SECURITY_DESCRIPTOR, SECURITY_SUBJECT_CONTEXT,
    STATUS_ACCESS_DENIED, STATUS_INVALID_SECURITY_DESCR, STATUS_SUCCESS, WRITE_DAC,
};

use super::acl::{entries, map_generic};
use super::descriptor::parts;
use super::sid::{Sid, known};
use super::token::Token;
use crate::ps::process::Eprocess;
use crate::ps::thread::{Ethread, current};

/// ACCESS_SYSTEM_SECURITY
const SYSTEM_SECURITY: u32 = 0x0100_0000;
/// WRITE_OWNER
const WRITE_OWNER: u32 = 0x0008_0000;
/// INHERIT_ONLY_ACE: the entry is for children only.
const INHERIT_ONLY: u8 = 8;

fn luid(low: u32) -> LUID {
    LUID { LowPart: low, HighPart: 0 }
}

/// Fills in who the current thread acts for. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn SeCaptureSubjectContext(subject: *mut SECURITY_SUBJECT_CONTEXT) {
    let Some(thread) = current() else { return };
    // SAFETY: the driver's structure.
    unsafe { capture(&thread.process, subject) };
}

/// Fills in who a thread of a process acts for. Source: DDI.
#[export(irql == PASSIVE, since = Vista)]
pub unsafe extern "win64" fn SeCaptureSubjectContextEx(
    _thread: *const Ethread,
    process: &Eprocess,
    subject: *mut SECURITY_SUBJECT_CONTEXT,
) {
    // SAFETY: the driver's structure.
    unsafe { capture(process, subject) };
}

/// # Safety
/// `subject` must be writable.
unsafe fn capture(process: &Eprocess, subject: *mut SECURITY_SUBJECT_CONTEXT) {
    let captured = SECURITY_SUBJECT_CONTEXT {
        PrimaryToken: crate::ob::ledger::hand_out(Token::of(process).clone(), "SeCaptureSubjectContext")
            .cast(),
        ProcessAuditId: std::ptr::without_provenance_mut(process.id.0 as usize),
        ..SECURITY_SUBJECT_CONTEXT::default()
    };
    // SAFETY: by this function's contract.
    unsafe { subject.write_unaligned(captured) };
}

/// Gives back the tokens of a captured subject. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn SeReleaseSubjectContext(subject: *mut SECURITY_SUBJECT_CONTEXT) {
    // SAFETY: the driver's structure, with the reference that capturing took.
    unsafe {
        let token = (*subject).PrimaryToken;
        (*subject).PrimaryToken = std::ptr::null_mut();
        if !token.is_null() {
            crate::ob::reference::ObfDereferenceObject(token.cast());
        }
    }
}

/// Keeps the tokens of a subject from changing: they never do. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn SeLockSubjectContext(_subject: *mut SECURITY_SUBJECT_CONTEXT) {}

/// Undoes `SeLockSubjectContext`. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn SeUnlockSubjectContext(_subject: *mut SECURITY_SUBJECT_CONTEXT) {}

/// The token that a subject acts with: the client's where there is one.
///
/// # Safety
/// A captured subject.
unsafe fn token_of<'a>(subject: *const SECURITY_SUBJECT_CONTEXT) -> Option<&'a Token> {
    // SAFETY: by this function's contract.
    unsafe {
        let client = (*subject).ClientToken;
        let token = if client.is_null() { (*subject).PrimaryToken } else { client };
        token.cast::<Token>().as_ref()
    }
}

/// Says whether the current thread has a privilege; kernel mode has all. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn SeSinglePrivilegeCheck(privilege: LUID, mode: u8) -> u8 {
    let has = || current().is_some_and(|thread| Token::of(&thread.process).has_privilege(privilege));
    u8::from(mode == 0 || has())
}

/// Says whether a subject has privileges, all or any as the set asks; marks those used. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn SePrivilegeCheck(
    required: *mut PRIVILEGE_SET,
    subject: *const SECURITY_SUBJECT_CONTEXT,
    mode: u8,
) -> u8 {
    /// PRIVILEGE_SET_ALL_NECESSARY
    const ALL: u32 = 1;
    /// SE_PRIVILEGE_USED_FOR_ACCESS
    const USED: u32 = 0x8000_0000;
    if mode == 0 {
        return 1;
    }
    // SAFETY: the driver's set and subject.
    unsafe {
        let Some(token) = token_of(subject) else { return 0 };
        let count = (*required).PrivilegeCount;
        let first = (&raw mut (*required).Privilege).cast::<LUID_AND_ATTRIBUTES>();
        let mut found = 0;
        for index in 0..count as usize {
            let at = first.add(index);
            let mut privilege = at.read_unaligned();
            if token.has_privilege(privilege.Luid) {
                privilege.Attributes |= USED;
                at.write_unaligned(privilege);
                found += 1;
            }
        }
        u8::from(if (*required).Control & ALL != 0 { found == count } else { found > 0 })
    }
}

/// What the DACL of a descriptor grants to a token, of what is asked for.
///
/// # Safety
/// A descriptor.
unsafe fn granted(
    descriptor: *const SECURITY_DESCRIPTOR,
    token: &Token,
    wanted: u32,
    mapping: &GENERIC_MAPPING,
) -> Option<u32> {
    // SAFETY: by this function's contract.
    unsafe {
        let parts = parts(descriptor)?;
        let maximum = wanted & MAXIMUM_ALLOWED != 0;
        let everything = mapping.GenericAll | wanted & !MAXIMUM_ALLOWED;
        let mut granted = 0;
        if wanted & SYSTEM_SECURITY != 0 && token.has_privilege(luid(8)) {
            granted |= SYSTEM_SECURITY;
        }
        if wanted & WRITE_OWNER != 0 && token.has_privilege(luid(9)) {
            granted |= WRITE_OWNER;
        }
        if Sid::read(parts.owner).is_some_and(|owner| token.has(&owner)) {
            granted |= READ_CONTROL | WRITE_DAC;
        }
        // No DACL protects nothing.
        if parts.dacl.is_null() {
            let open = if maximum { everything } else { wanted };
            return Some(granted | open & !SYSTEM_SECURITY);
        }
        let mut denied = 0;
        for entry in entries(parts.dacl)?.0 {
            let Some((mask, sid)) = entry.mask_and_sid().filter(|_| entry.flags & INHERIT_ONLY == 0) else {
                continue;
            };
            let is_owner =
                sid == known::OWNER_RIGHTS && Sid::read(parts.owner).is_some_and(|owner| token.has(&owner));
            if !token.has(&sid) && !is_owner {
                continue;
            }
            let mask = map_generic(mask, mapping);
            match entry.kind {
                ACCESS_ALLOWED_ACE_TYPE => granted |= mask & !denied,
                ACCESS_DENIED_ACE_TYPE => denied |= mask & !granted,
                _ => {}
            }
        }
        Some(if maximum { granted } else { granted & wanted })
    }
}

/// Says whether a subject may have the access it asks for to what a descriptor protects. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn SeAccessCheck(
    descriptor: *const SECURITY_DESCRIPTOR,
    subject: *const SECURITY_SUBJECT_CONTEXT,
    _locked: u8,
    wanted: u32,
    before: u32,
    _privileges: *mut *mut PRIVILEGE_SET,
    mapping: *const GENERIC_MAPPING,
    mode: u8,
    access: *mut u32,
    status: *mut NTSTATUS,
) -> u8 {
    // SAFETY: the driver's structures.
    unsafe {
        let mapping = mapping.read_unaligned();
        let wanted = map_generic(wanted, &mapping);
        let answer = |allowed: u32, why: NTSTATUS| {
            access.write_unaligned(allowed);
            status.write_unaligned(why);
            u8::from(why == STATUS_SUCCESS)
        };
        if mode == 0 {
            let all = if wanted & MAXIMUM_ALLOWED != 0 { mapping.GenericAll } else { 0 };
            return answer(wanted & !MAXIMUM_ALLOWED | all | before, STATUS_SUCCESS);
        }
        if descriptor.is_null() {
            return answer(0, STATUS_ACCESS_DENIED);
        }
        let Some(token) = token_of(subject) else { return answer(0, STATUS_ACCESS_DENIED) };
        let Some(granted) = granted(descriptor, token, wanted, &mapping) else {
            return answer(0, STATUS_INVALID_SECURITY_DESCR);
        };
        let missing = wanted & !MAXIMUM_ALLOWED & !granted & !before;
        if missing != 0 || granted | before == 0 && wanted != 0 {
            return answer(0, STATUS_ACCESS_DENIED);
        }
        answer(granted | before, STATUS_SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::acl::{RtlAddAccessAllowedAce, RtlAddAccessDeniedAce, RtlCreateAcl};
    use super::super::descriptor::{RtlCreateSecurityDescriptor, RtlSetDaclSecurityDescriptor};
    use super::*;
    use crate::Config;
    use crate::ps::process::Origin;
    use crate::testing::with_kernel;

    static MAPPING: GENERIC_MAPPING =
        GENERIC_MAPPING { GenericRead: 1, GenericWrite: 2, GenericExecute: 4, GenericAll: 0x1F };

    fn user() -> crate::ob::Ref<Eprocess> {
        let process = event::Process { process: event::ProcessId(4711), ..event::Process::default() };
        Eprocess::new(&process, Origin::Created, event::Time(0))
    }

    #[test]
    fn the_first_entry_that_speaks_of_a_right_decides() {
        with_kernel(Config::default(), |kernel, _| {
            let mut memory = [0u32; 32];
            let acl = memory.as_mut_ptr().cast();
            let mut descriptor = SECURITY_DESCRIPTOR::default();
            let process = user();
            let check = |descriptor: &SECURITY_DESCRIPTOR, process: &Eprocess, wanted, mode| {
                let mut subject = SECURITY_SUBJECT_CONTEXT::default();
                let (mut access, mut status) = (9, STATUS_SUCCESS);
                // SAFETY: structures of the test.
                unsafe {
                    SeCaptureSubjectContextEx(std::ptr::null(), process, &raw mut subject);
                    SeAccessCheck(
                        descriptor,
                        &raw const subject,
                        0,
                        wanted,
                        0,
                        std::ptr::null_mut(),
                        &raw const MAPPING,
                        mode,
                        &raw mut access,
                        &raw mut status,
                    );
                    SeReleaseSubjectContext(&raw mut subject);
                    assert!(subject.PrimaryToken.is_null());
                }
                (access, status)
            };
            // SAFETY: structures of the test.
            unsafe {
                RtlCreateSecurityDescriptor(&raw mut descriptor, 1);
                assert_eq!(check(&descriptor, &process, 3, 1), (3, STATUS_SUCCESS));
                RtlCreateAcl(acl, 128, 2);
                RtlSetDaclSecurityDescriptor(&raw mut descriptor, 1, acl, 0);
                assert_eq!(check(&descriptor, &process, 1, 1), (0, STATUS_ACCESS_DENIED));
                RtlAddAccessDeniedAce(acl, 2, 2, known::USERS.as_ptr());
                RtlAddAccessAllowedAce(acl, 2, 3, known::WORLD.as_ptr());
                RtlAddAccessAllowedAce(acl, 2, nt_abi::GENERIC_ALL, known::SYSTEM.as_ptr());
            }
            assert_eq!(check(&descriptor, &process, 1, 1), (1, STATUS_SUCCESS));
            assert_eq!(check(&descriptor, &process, 3, 1), (0, STATUS_ACCESS_DENIED));
            assert_eq!(check(&descriptor, &process, 3, 0), (3, STATUS_SUCCESS));
            assert_eq!(check(&descriptor, &process, MAXIMUM_ALLOWED, 1), (1, STATUS_SUCCESS));
            assert_eq!(
                check(&descriptor, &kernel.ps.system.0, nt_abi::GENERIC_ALL, 1),
                (0x1F, STATUS_SUCCESS)
            );
        });
    }

    #[test]
    fn privileges_all_or_any() {
        with_kernel(Config::default(), |_, _| {
            let mut subject = SECURITY_SUBJECT_CONTEXT::default();
            let process = user();
            // SAFETY: structures of the test.
            unsafe {
                SeCaptureSubjectContextEx(std::ptr::null(), &process, &raw mut subject);
                let mut set = PRIVILEGE_SET { PrivilegeCount: 1, Control: 1, ..PRIVILEGE_SET::default() };
                set.Privilege[0].Luid = luid(23);
                assert_eq!(SePrivilegeCheck(&raw mut set, &raw const subject, 1), 1);
                assert_eq!(set.Privilege[0].Attributes, 0x8000_0000);
                set.Privilege[0].Luid = luid(20);
                assert_eq!(SePrivilegeCheck(&raw mut set, &raw const subject, 1), 0);
                assert_eq!(SePrivilegeCheck(&raw mut set, &raw const subject, 0), 1);
                SeReleaseSubjectContext(&raw mut subject);
                // The test runs on a thread of the System process.
                assert_eq!(
                    (SeSinglePrivilegeCheck(luid(20), 1), SeSinglePrivilegeCheck(luid(10), 1)),
                    (1, 0)
                );
            }
        });
    }
}
