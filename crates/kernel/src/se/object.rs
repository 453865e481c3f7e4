//! Tokens by handle, and the security descriptors of objects.
//!
//! No object here has a descriptor of its own: all are protected alike, by full access for the system and its
//! administrators and read access for everybody.

use std::ptr::null_mut;

use export_macro::export;
use nt_abi::*;

use super::acl::{RtlAddAccessAllowedAce, RtlCreateAcl};
use super::descriptor::{Parts, parts};
use super::sid::known;
use super::token::Token;
use crate::ex::pool::{Allocation, Kind, Tag};
use crate::ob::object::Object;
use crate::ob::{Ref, access};
use crate::ps::process::{Eprocess, PROCESS_TYPE};
use crate::ps::thread::{Ethread, THREAD_TYPE};
use crate::{io, kernel};

/// The tag that descriptors have in the pool.
const TAG: Tag = Tag(u32::from_le_bytes(*b"SeSd"));

/// Opens the primary token of a process. Source: DDI of the file system headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwOpenProcessTokenEx(
    process: HANDLE,
    desired: u32,
    attributes: u32,
    token: *mut HANDLE,
) -> NTSTATUS {
    let handles = &kernel().ob.handles;
    let process: Ref<Eprocess> = match handles.lookup(process, &PROCESS_TYPE) {
        Ok(process) => process,
        Err(status) => return status,
    };
    let opened = handles.insert(
        Token::of(&process).clone().erase(),
        access::granted(desired, &access::OTHER),
        attributes,
    );
    // SAFETY: the driver's variable.
    unsafe { token.write_unaligned(opened) };
    STATUS_SUCCESS
}

/// Opens the primary token of a process. Source: public headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwOpenProcessToken(
    process: HANDLE,
    desired: u32,
    token: *mut HANDLE,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwOpenProcessTokenEx(process, desired, 0, token) }
}

/// Opens the token that a thread impersonates: STATUS_NO_TOKEN, as none does. Source: DDI of the file system headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwOpenThreadTokenEx(
    thread: HANDLE,
    _desired: u32,
    _as_self: u8,
    _attributes: u32,
    _token: *mut HANDLE,
) -> NTSTATUS {
    match kernel().ob.handles.lookup::<Ethread>(thread, &THREAD_TYPE) {
        Ok(_) => STATUS_NO_TOKEN,
        Err(status) => status,
    }
}

/// Opens the token that a thread impersonates: STATUS_NO_TOKEN, as none does. Source: public headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwOpenThreadToken(
    thread: HANDLE,
    desired: u32,
    as_self: u8,
    token: *mut HANDLE,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwOpenThreadTokenEx(thread, desired, as_self, 0, token) }
}

/// The descriptor of every object, self-relative, with the parts that are asked for.
fn descriptor(wanted: u32) -> Vec<u8> {
    let mut list = [0u32; 24];
    let dacl: *mut ACL = list.as_mut_ptr().cast();
    let (all, read) = (GENERIC_ALL, GENERIC_READ | GENERIC_EXECUTE);
    // SAFETY: 96 bytes have room for the three entries of 20 and 24 bytes; the ids live for ever.
    unsafe {
        RtlCreateAcl(dacl, 96, ACL_REVISION.into());
        for (mask, sid) in [(all, &known::SYSTEM), (all, &known::ADMINISTRATORS), (read, &known::WORLD)] {
            RtlAddAccessAllowedAce(dacl, ACL_REVISION.into(), mask, sid.as_ptr());
        }
        let owner = if wanted & OWNER_SECURITY_INFORMATION == 0 {
            null_mut()
        } else {
            known::ADMINISTRATORS.as_ptr()
        };
        let group =
            if wanted & GROUP_SECURITY_INFORMATION == 0 { null_mut() } else { known::SYSTEM.as_ptr() };
        let has_dacl = wanted & DACL_SECURITY_INFORMATION != 0;
        let parts = Parts {
            control: if has_dacl { SE_DACL_PRESENT } else { 0 },
            owner,
            group,
            sacl: null_mut(),
            dacl: if has_dacl { dacl } else { null_mut() },
        };
        parts.self_relative()
    }
}

/// Puts a descriptor into pool memory.
fn allocated(bytes: &[u8]) -> Option<*mut SECURITY_DESCRIPTOR> {
    let what = Allocation { size: bytes.len(), tag: TAG, kind: Kind::Paged, owner: io::current_driver() };
    let memory = crate::ex::allocate(what, true)?;
    // SAFETY: just allocated with that size.
    unsafe { memory.as_ptr().copy_from(bytes.as_ptr(), bytes.len()) };
    Some(memory.as_ptr().cast())
}

/// Returns the descriptor of an object, in memory that `ObReleaseObjectSecurity` frees. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ObGetObjectSecurity(
    object: *mut Object,
    found: *mut *mut SECURITY_DESCRIPTOR,
    was_allocated: *mut u8,
) -> NTSTATUS {
    // SAFETY: the driver's object and variables.
    unsafe {
        crate::ob::reference::share(object);
        let all = OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
        let Some(made) = allocated(&descriptor(all)) else { return STATUS_INSUFFICIENT_RESOURCES };
        found.write_unaligned(made);
        was_allocated.write(1);
    }
    STATUS_SUCCESS
}

/// Frees what `ObGetObjectSecurity` returned. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ObReleaseObjectSecurity(
    descriptor: *mut SECURITY_DESCRIPTOR,
    was_allocated: u8,
) {
    if !descriptor.is_null() && was_allocated != 0 {
        // SAFETY: what is no such memory is found out by the ledger.
        unsafe { crate::ex::pool_routines::ExFreePoolWithTag(descriptor.expose_provenance(), 0) };
    }
}

/// Returns the descriptor of what a handle names, with the parts that are asked for. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQuerySecurityObject(
    handle: HANDLE,
    wanted: u32,
    to: *mut u8,
    room: u32,
    needed: *mut u32,
) -> NTSTATUS {
    if kernel().ob.handles.get(handle).is_none() {
        return STATUS_INVALID_HANDLE;
    }
    let bytes = descriptor(wanted);
    // SAFETY: the driver's buffer and variable.
    unsafe {
        needed.write_unaligned(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        if bytes.len() > room as usize {
            return STATUS_BUFFER_TOO_SMALL;
        }
        to.copy_from(bytes.as_ptr(), bytes.len());
    }
    STATUS_SUCCESS
}

/// Copies a descriptor into pool memory, in self-relative form. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn SeCaptureSecurityDescriptor(
    given: *mut SECURITY_DESCRIPTOR,
    mode: u8,
    _pool: u32,
    capture_kernel: u8,
    captured: *mut *mut SECURITY_DESCRIPTOR,
) -> NTSTATUS {
    // SAFETY: the driver's descriptor and variable.
    unsafe {
        if given.is_null() || mode == 0 && capture_kernel == 0 {
            captured.write_unaligned(given);
            return STATUS_SUCCESS;
        }
        let Some(parts) = parts(given) else { return STATUS_UNKNOWN_REVISION };
        let Some(made) = allocated(&parts.self_relative()) else { return STATUS_INSUFFICIENT_RESOURCES };
        captured.write_unaligned(made);
    }
    STATUS_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::super::descriptor::RtlValidSecurityDescriptor;
    use super::*;
    use crate::Config;
    use crate::ob::close::ZwClose;
    use crate::testing::with_kernel;

    #[test]
    fn a_process_has_a_token_and_a_descriptor() {
        with_kernel(Config::default(), |kernel, _| {
            // NtCurrentProcess and NtCurrentThread.
            let [process, thread]: [HANDLE; 2] =
                [usize::MAX, usize::MAX - 1].map(std::ptr::without_provenance_mut);
            let mut handle = null_mut();
            // SAFETY: variables of the test; what is opened and allocated is given back.
            unsafe {
                assert_eq!(ZwOpenProcessToken(process, TOKEN_QUERY, &raw mut handle), STATUS_SUCCESS);
                let (mut user, mut needed) = ([0u64; 8], 0);
                let to = user.as_mut_ptr().cast();
                let status =
                    super::super::query::ZwQueryInformationToken(handle, TokenUser, to, 64, &raw mut needed);
                assert_eq!((status, needed), (STATUS_SUCCESS, 28));
                assert_eq!(ZwOpenThreadToken(thread, TOKEN_QUERY, 0, &raw mut handle), STATUS_NO_TOKEN);
                ZwClose(handle);
                let (mut descriptor, mut freed) = (null_mut(), 0);
                let object = kernel.ps.system.0.as_ptr().cast();
                assert_eq!(ObGetObjectSecurity(object, &raw mut descriptor, &raw mut freed), STATUS_SUCCESS);
                assert_eq!((RtlValidSecurityDescriptor(descriptor), freed), (1, 1));
                let mut copy = null_mut();
                assert_eq!(SeCaptureSecurityDescriptor(descriptor, 0, 1, 1, &raw mut copy), STATUS_SUCCESS);
                assert_eq!(RtlValidSecurityDescriptor(copy), 1);
                ObReleaseObjectSecurity(copy, freed);
                ObReleaseObjectSecurity(descriptor, freed);
                assert!(kernel.ex.pool.find(descriptor.addr()).is_none());
                let mut bytes = [0u64; 20];
                let dacl = DACL_SECURITY_INFORMATION;
                let to = bytes.as_mut_ptr().cast();
                assert_eq!(
                    ZwQuerySecurityObject(process, dacl, to, 20, &raw mut needed),
                    STATUS_BUFFER_TOO_SMALL
                );
                assert_eq!(ZwQuerySecurityObject(process, dacl, to, needed, &raw mut needed), STATUS_SUCCESS);
                assert_eq!(needed, 20 + 96);
            }
        });
    }
}
