//! `SeQueryInformationToken`, and its system services over handles.

use std::ptr::null_mut;

use export_macro::export;
use nt_abi::*;

use super::sid::Sid;
use super::token::{Identity, TOKEN_TYPE, Token};
use crate::ex::pool::{Allocation, Kind, Tag};
use crate::{io, kernel};

/// The tag that answers have in the pool.
const TAG: Tag = Tag(u32::from_le_bytes(*b"SeTk"));

/// An answer as bytes, with the places in it that become addresses once it is known where it lies.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    /// Offsets of pointers, and the offsets they point to.
    pointers: Vec<(usize, usize)>,
}

impl Answer {
    fn number(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn long(&mut self, value: u64) {
        self.bytes.extend(value.to_le_bytes());
    }

    /// Room for a pointer, to be filled in by [`Answer::target`].
    fn pointer(&mut self) -> usize {
        let at = self.bytes.len();
        self.long(0);
        at
    }

    /// Appends a SID, which the pointer at `from` points to.
    fn target(&mut self, from: usize, sid: &Sid) {
        self.pointers.push((from, self.bytes.len()));
        self.bytes.extend(sid.bytes());
    }

    /// SIDs with attributes, and then the SIDs.
    fn groups(&mut self, groups: &[(&Sid, u32)]) {
        let mut places = Vec::with_capacity(groups.len());
        for &(_, attributes) in groups {
            places.push(self.pointer());
            self.number(attributes);
            self.number(0);
        }
        for (place, (sid, _)) in places.into_iter().zip(groups) {
            self.target(place, sid);
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Writes the answer to where it will be.
    ///
    /// # Safety
    /// `to` must have room for it.
    pub(crate) unsafe fn write(mut self, to: *mut u8) {
        let base = to.expose_provenance() as u64;
        for (from, target) in self.pointers {
            self.bytes[from..from + 8].copy_from_slice(&(base + target as u64).to_le_bytes());
        }
        // SAFETY: by this function's contract.
        unsafe { to.copy_from(self.bytes.as_ptr(), self.bytes.len()) };
    }
}

/// What a class of information says of a token; `None` for a class that is none, or not of a primary token.
pub(crate) fn answer(token: &Token, class: u32) -> Option<Answer> {
    let identity: &Identity = token.identity;
    let mut answer = Answer::default();
    match class {
        TokenUser => answer.groups(&[(identity.user, 0)]),
        TokenIntegrityLevel => answer.groups(&[(identity.integrity, super::token::GROUP_INTEGRITY)]),
        TokenGroups => {
            answer.number(u32::try_from(identity.groups.len()).unwrap_or(0));
            answer.number(0);
            answer.groups(identity.groups);
        }
        TokenRestrictedSids => answer.long(0),
        TokenOwner | TokenPrimaryGroup => {
            let place = answer.pointer();
            answer.target(place, if class == TokenOwner { identity.owner } else { identity.primary_group });
        }
        TokenPrivileges => {
            answer.number(u32::try_from(identity.privileges.len()).unwrap_or(0));
            for &(number, attributes) in identity.privileges {
                answer.long(number.into());
                answer.number(attributes);
            }
        }
        TokenDefaultDacl | TokenLinkedToken => answer.long(0),
        TokenSource => {
            answer.bytes.extend(identity.source);
            answer.long(0);
        }
        TokenType => answer.number(TokenPrimary),
        TokenSessionId => answer.number(identity.session),
        TokenElevation => answer.number(identity.elevated.into()),
        // TokenElevationTypeDefault: there is no other half of it.
        TokenElevationType => answer.number(1),
        TokenOrigin => answer.long(if identity.session == 0 { 0 } else { 0x3E7 }),
        TokenSandBoxInert
        | TokenVirtualizationAllowed
        | TokenVirtualizationEnabled
        | TokenUIAccess
        | TokenIsAppContainer => answer.number(0),
        // TOKEN_MANDATORY_POLICY_NO_WRITE_UP, TOKEN_MANDATORY_POLICY_NEW_PROCESS_MIN
        TokenMandatoryPolicy => answer.number(if identity.session == 0 { 1 } else { 3 }),
        TokenAppContainerSid => answer.long(0),
        TokenStatistics => {
            answer.long(token.id.into());
            answer.long(identity.logon.into());
            answer.long(i64::MAX.cast_unsigned());
            answer.number(TokenPrimary);
            answer.number(SecurityAnonymous);
            answer.number(4096);
            answer.number(4096 - 512);
            answer.number(u32::try_from(identity.groups.len()).unwrap_or(0));
            answer.number(u32::try_from(identity.privileges.len()).unwrap_or(0));
            answer.long(token.id.into());
        }
        _ => return None,
    }
    Some(answer)
}

/// Returns information about a token, in pool memory that the driver frees; single numbers in the pointer itself.
/// Source: DDI of the file system headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn SeQueryInformationToken(
    token: &Token,
    class: u32,
    information: *mut PVOID,
) -> NTSTATUS {
    let Some(answer) = answer(token, class) else { return STATUS_INVALID_INFO_CLASS };
    // These come back by value: documented for session and integrity level, and drivers rely on it for the flags.
    let by_value = [
        TokenSessionId,
        TokenSandBoxInert,
        TokenUIAccess,
        TokenIsAppContainer,
        TokenVirtualizationAllowed,
        TokenVirtualizationEnabled,
    ];
    // SAFETY: the driver's variable.
    unsafe {
        if class == TokenIntegrityLevel {
            // The level itself, as `SeQueryInformationToken` documents for this class.
            let level = token.identity.integrity.last_part();
            information.cast::<u32>().write_unaligned(level);
            return STATUS_SUCCESS;
        }
        if by_value.contains(&class) {
            let number = answer.bytes.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            information.cast::<u32>().write_unaligned(number);
            return STATUS_SUCCESS;
        }
        let what =
            Allocation { size: answer.size(), tag: TAG, kind: Kind::Paged, owner: io::current_driver() };
        let Some(memory) = crate::ex::allocate(what, true) else {
            information.write_unaligned(null_mut());
            return STATUS_INSUFFICIENT_RESOURCES;
        };
        answer.write(memory.as_ptr());
        information.write_unaligned(memory.as_ptr().cast());
    }
    STATUS_SUCCESS
}

/// Returns information about a token by its handle, in the driver's buffer. Source: DDI of the file system headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryInformationToken(
    handle: HANDLE,
    class: u32,
    buffer: *mut u8,
    length: u32,
    needed: *mut u32,
) -> NTSTATUS {
    let token = match kernel().ob.handles.lookup::<Token>(handle, &TOKEN_TYPE) {
        Ok(token) => token,
        Err(status) => return status,
    };
    let Some(answer) = answer(&token, class) else { return STATUS_INVALID_INFO_CLASS };
    // SAFETY: the driver's buffer and variable.
    unsafe {
        needed.write_unaligned(u32::try_from(answer.size()).unwrap_or(u32::MAX));
        if answer.size() > length as usize {
            return STATUS_BUFFER_TOO_SMALL;
        }
        answer.write(buffer);
    }
    STATUS_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::super::sid::known;
    use super::*;
    use crate::Config;
    use crate::ex::pool_routines::ExFreePoolWithTag;
    use crate::testing::with_kernel;

    #[test]
    fn a_token_tells_who_it_is() {
        with_kernel(Config::default(), |kernel, _| {
            let token = Token::of(&kernel.ps.system.0).clone();
            let mut told: PVOID = null_mut();
            // SAFETY: answers have the documented forms, and are freed.
            unsafe {
                assert_eq!(SeQueryInformationToken(&token, TokenUser, &raw mut told), STATUS_SUCCESS);
                let user = told.cast::<TOKEN_USER>().read().User;
                assert_eq!(Sid::read(user.Sid), Some(known::SYSTEM));
                ExFreePoolWithTag(told.expose_provenance(), 0);
                assert_eq!(SeQueryInformationToken(&token, TokenGroups, &raw mut told), STATUS_SUCCESS);
                assert_eq!(told.cast::<u32>().read(), 4);
                let first = told.byte_add(8).cast::<SID_AND_ATTRIBUTES>().read();
                assert_eq!(Sid::read(first.Sid), Some(known::ADMINISTRATORS));
                ExFreePoolWithTag(told.expose_provenance(), 0);
                let mut number = 0u64;
                let at = (&raw mut number).cast();
                assert_eq!(SeQueryInformationToken(&token, TokenIntegrityLevel, at), STATUS_SUCCESS);
                assert_eq!(number, 0x4000);
                assert_eq!(SeQueryInformationToken(&token, TokenStatistics, &raw mut told), STATUS_SUCCESS);
                let statistics = told.cast::<TOKEN_STATISTICS>().read();
                assert_eq!((statistics.AuthenticationId.LowPart, statistics.GroupCount), (0x3E7, 4));
                ExFreePoolWithTag(told.expose_provenance(), 0);
                assert_eq!(SeQueryInformationToken(&token, TokenElevation, &raw mut told), STATUS_SUCCESS);
                assert_eq!(told.cast::<u32>().read(), 1);
                ExFreePoolWithTag(told.expose_provenance(), 0);
                assert_eq!(SeQueryInformationToken(&token, 999, &raw mut told), STATUS_INVALID_INFO_CLASS);
            }
        });
    }
}
