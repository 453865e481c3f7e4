//! Security ids.

use std::fmt;

use export_macro::export;
use nt_abi::{
    NTSTATUS, SID, SID_IDENTIFIER_AUTHORITY, SID_MAX_SUB_AUTHORITIES, SID_REVISION, STATUS_BUFFER_OVERFLOW,
    STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER, STATUS_INVALID_SID, STATUS_SUCCESS, UNICODE_STRING,
};

use crate::rtl::unicode::{allocated, put, short};

/// A security id of any length, laid out as `SID` is.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sid {
    revision: u8,
    count: u8,
    authority: [u8; 6],
    parts: [u32; SID_MAX_SUB_AUTHORITIES as usize],
}

impl Sid {
    /// S-1-`authority`-`parts`…
    pub(crate) const fn new(authority: u8, parts: &[u32]) -> Self {
        let mut all = [0; SID_MAX_SUB_AUTHORITIES as usize];
        let mut index = 0;
        while index < parts.len() {
            all[index] = parts[index];
            index += 1;
        }
        assert!(parts.len() <= all.len(), "too many sub-authorities");
        #[expect(clippy::cast_possible_truncation, reason = "15 at most, as was just asserted")]
        let count = parts.len() as u8;
        Self { revision: SID_REVISION, count, authority: [0, 0, 0, 0, 0, authority], parts: all }
    }

    /// Bytes of it that count.
    pub(crate) const fn size(&self) -> usize {
        size_of_parts(self.count)
    }

    /// Those bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the structure has no gaps, and the size is at most its own.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), self.size()) }
    }

    /// Reads the id at an address; `None` when there is no valid one.
    ///
    /// # Safety
    /// It must be null or readable as far as its count says.
    pub(crate) unsafe fn read(at: *const SID) -> Option<Self> {
        if at.is_null() {
            return None;
        }
        let mut sid = Self::new(0, &[]);
        let from = at.cast::<u8>();
        // SAFETY: by this function's contract; no more is copied than the structure holds.
        unsafe {
            if *from != SID_REVISION || *from.add(1) > SID_MAX_SUB_AUTHORITIES {
                return None;
            }
            (&raw mut sid).cast::<u8>().copy_from(from, size_of_parts(*from.add(1)));
        }
        Some(sid)
    }

    /// For handing to routines as a driver would.
    pub(crate) const fn as_ptr(&self) -> *mut SID {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    pub(crate) fn last_part(&self) -> u32 {
        usize::from(self.count).checked_sub(1).map_or(0, |last| self.parts[last])
    }
}

/// `S-1-5-18`.
impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.authority.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        // An authority of more than 32 bits is written in hexadecimal.
        if authority >> 32 == 0 {
            write!(f, "S-{}-{authority}", self.revision)?;
        } else {
            write!(f, "S-{}-0x{authority:012X}", self.revision)?;
        }
        self.parts[..usize::from(self.count)].iter().try_for_each(|part| write!(f, "-{part}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const fn size_of_parts(count: u8) -> usize {
    8 + 4 * count as usize
}

/// The ids that everybody knows.
pub(crate) mod known {
    use super::Sid;

    pub(crate) static NULL: Sid = Sid::new(0, &[0]);
    pub(crate) static WORLD: Sid = Sid::new(1, &[0]);
    pub(crate) static LOCAL: Sid = Sid::new(2, &[0]);
    pub(crate) static CREATOR_OWNER: Sid = Sid::new(3, &[0]);
    pub(crate) static CREATOR_GROUP: Sid = Sid::new(3, &[1]);
    pub(crate) static OWNER_RIGHTS: Sid = Sid::new(3, &[4]);
    pub(crate) static NT_AUTHORITY: Sid = Sid::new(5, &[]);
    pub(crate) static DIALUP: Sid = Sid::new(5, &[1]);
    pub(crate) static NETWORK: Sid = Sid::new(5, &[2]);
    pub(crate) static BATCH: Sid = Sid::new(5, &[3]);
    pub(crate) static INTERACTIVE: Sid = Sid::new(5, &[4]);
    pub(crate) static ANONYMOUS: Sid = Sid::new(5, &[7]);
    pub(crate) static AUTHENTICATED: Sid = Sid::new(5, &[11]);
    pub(crate) static RESTRICTED: Sid = Sid::new(5, &[12]);
    pub(crate) static IUSER: Sid = Sid::new(5, &[17]);
    pub(crate) static SYSTEM: Sid = Sid::new(5, &[18]);
    pub(crate) static LOCAL_SERVICE: Sid = Sid::new(5, &[19]);
    pub(crate) static NETWORK_SERVICE: Sid = Sid::new(5, &[20]);
    pub(crate) static ADMINISTRATORS: Sid = Sid::new(5, &[32, 544]);
    pub(crate) static USERS: Sid = Sid::new(5, &[32, 545]);
    pub(crate) static GUESTS: Sid = Sid::new(5, &[32, 546]);
    pub(crate) static POWER_USERS: Sid = Sid::new(5, &[32, 547]);
    pub(crate) static ACCOUNT_OPERATORS: Sid = Sid::new(5, &[32, 548]);
    pub(crate) static SYSTEM_OPERATORS: Sid = Sid::new(5, &[32, 549]);
    pub(crate) static PRINT_OPERATORS: Sid = Sid::new(5, &[32, 550]);
    pub(crate) static BACKUP_OPERATORS: Sid = Sid::new(5, &[32, 551]);
    pub(crate) static USER_MODE_DRIVERS: Sid = Sid::new(5, &[84, 0, 0, 0, 0, 0]);
    pub(crate) static ALL_APP_PACKAGES: Sid = Sid::new(15, &[2, 1]);
    pub(crate) static UNTRUSTED: Sid = Sid::new(16, &[0]);
    pub(crate) static LOW: Sid = Sid::new(16, &[0x1000]);
    pub(crate) static MEDIUM: Sid = Sid::new(16, &[0x2000]);
    pub(crate) static HIGH: Sid = Sid::new(16, &[0x3000]);
    pub(crate) static SYSTEM_LEVEL: Sid = Sid::new(16, &[0x4000]);
    pub(crate) static TRUST_WIN_TCB: Sid = Sid::new(19, &[1024, 12288]);
    pub(crate) static TRUSTED_INSTALLER: Sid =
        Sid::new(5, &[80, 956_008_885, 3_418_522_649, 1_831_038_044, 1_853_292_631, 2_271_478_464]);
    /// The user that every process but the system's own belongs to.
    pub(crate) static USER: Sid = Sid::new(5, &[21, 1_004_336_348, 1_177_238_915, 682_003_330, 1000]);
    /// The primary group of that user.
    pub(crate) static DOMAIN_USERS: Sid = Sid::new(5, &[21, 1_004_336_348, 1_177_238_915, 682_003_330, 513]);
}

/// Says whether a security id is well formed. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlValidSid(sid: *const SID) -> u8 {
    // SAFETY: the driver's id.
    u8::from(unsafe { Sid::read(sid) }.is_some())
}

/// Returns how many bytes a security id has. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlLengthSid(sid: *const SID) -> u32 {
    // SAFETY: the driver's id.
    u32::try_from(size_of_parts(unsafe { (*sid).SubAuthorityCount })).unwrap_or(0)
}

/// Returns how many bytes a security id with a number of sub-authorities has. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlLengthRequiredSid(count: u32) -> u32 {
    count.wrapping_mul(4).wrapping_add(8)
}

/// Says whether two security ids are equal. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlEqualSid(left: *const SID, right: *const SID) -> u8 {
    // SAFETY: the driver's ids.
    let (left, right) = unsafe { (Sid::read(left), Sid::read(right)) };
    u8::from(left.is_some() && left == right)
}

/// Says whether two security ids differ in their last part at most. Source: public headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlEqualPrefixSid(left: *const SID, right: *const SID) -> u8 {
    // SAFETY: the driver's ids.
    let (Some(left), Some(right)) = (unsafe { Sid::read(left) }, unsafe { Sid::read(right) }) else {
        return 0;
    };
    let last = usize::from(left.count).saturating_sub(1);
    let same = left.count == right.count && left.authority == right.authority;
    u8::from(same && left.parts[..last] == right.parts[..last])
}

/// Copies a security id into a buffer of a size. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlCopySid(room: u32, to: *mut u8, from: *const SID) -> NTSTATUS {
    // SAFETY: the driver's id and buffer.
    unsafe {
        let Some(sid) = Sid::read(from) else { return STATUS_INVALID_SID };
        if sid.size() > room as usize {
            return STATUS_BUFFER_TOO_SMALL;
        }
        to.copy_from(sid.bytes().as_ptr(), sid.size());
    }
    STATUS_SUCCESS
}

/// Writes the head of a security id, whose sub-authorities come after. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlInitializeSid(
    sid: *mut SID,
    authority: *const SID_IDENTIFIER_AUTHORITY,
    count: u8,
) -> NTSTATUS {
    if count > SID_MAX_SUB_AUTHORITIES {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the driver's id and authority.
    unsafe {
        (*sid).Revision = SID_REVISION;
        (*sid).SubAuthorityCount = count;
        (*sid).IdentifierAuthority = *authority;
    }
    STATUS_SUCCESS
}

/// Returns where a sub-authority of a security id is. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlSubAuthoritySid(sid: *mut SID, index: u32) -> *mut u32 {
    // SAFETY: an address within the driver's id, or behind it as it asks.
    unsafe { (&raw mut (*sid).SubAuthority).cast::<u32>() }.wrapping_add(index as usize)
}

/// Returns where the count of sub-authorities is. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlSubAuthorityCountSid(sid: *mut SID) -> *mut u8 {
    // SAFETY: an address within the driver's id.
    unsafe { &raw mut (*sid).SubAuthorityCount }
}

/// Returns where the authority of a security id is. Source: public headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlIdentifierAuthoritySid(sid: *mut SID) -> *mut SID_IDENTIFIER_AUTHORITY {
    // SAFETY: an address within the driver's id.
    unsafe { &raw mut (*sid).IdentifierAuthority }
}

/// Writes a security id as text, `S-1-5-18`, in memory from the pool if asked to. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlConvertSidToUnicodeString(
    to: *mut UNICODE_STRING,
    sid: *const SID,
    allocate: u8,
) -> NTSTATUS {
    // SAFETY: the driver's id and string.
    unsafe {
        let Some(sid) = Sid::read(sid) else { return STATUS_INVALID_SID };
        let text: Vec<u16> = sid.to_string().encode_utf16().collect();
        if allocate != 0 {
            return match allocated(&text) {
                Ok(string) => {
                    to.write_unaligned(string);
                    STATUS_SUCCESS
                }
                Err(status) => status,
            };
        }
        let mut target = to.read_unaligned();
        if text.len() * 2 > usize::from(target.MaximumLength) {
            return STATUS_BUFFER_OVERFLOW;
        }
        put(target.Buffer, &text);
        target.Length = short(text.len() * 2);
        if target.Length + 2 <= target.MaximumLength {
            target.Buffer.add(text.len()).write_unaligned(0);
        }
        to.write_unaligned(target);
    }
    STATUS_SUCCESS
}

/// Says whether two locally unique ids are equal. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlEqualLuid(left: *const u64, right: *const u64) -> u8 {
    // SAFETY: the driver's ids, 8 bytes each.
    u8::from(unsafe { left.read_unaligned() == right.read_unaligned() })
}

/// Copies a locally unique id. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlCopyLuid(to: *mut u64, from: *const u64) {
    // SAFETY: the driver's ids, 8 bytes each.
    unsafe { to.write_unaligned(from.read_unaligned()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn ids_are_built_compared_and_shown() {
        let mut memory = [0u32; 5];
        let sid: *mut SID = memory.as_mut_ptr().cast();
        let authority = SID_IDENTIFIER_AUTHORITY { Value: [0, 0, 0, 0, 0, 5] };
        // SAFETY: 20 bytes, room for three sub-authorities.
        unsafe {
            assert_eq!(RtlInitializeSid(sid, &raw const authority, 2), STATUS_SUCCESS);
            *RtlSubAuthoritySid(sid, 0) = 32;
            *RtlSubAuthoritySid(sid, 1) = 544;
            let known = known::ADMINISTRATORS.as_ptr();
            assert_eq!((RtlEqualSid(sid, known), RtlEqualSid(sid, known::USERS.as_ptr())), (1, 0));
            assert_eq!(RtlEqualPrefixSid(sid, known::USERS.as_ptr()), 1);
            assert_eq!(
                (RtlLengthSid(sid), RtlLengthRequiredSid(2), *RtlSubAuthorityCountSid(sid)),
                (16, 16, 2)
            );
            let mut copy = [0u8; 16];
            assert_eq!(RtlCopySid(15, copy.as_mut_ptr(), sid), STATUS_BUFFER_TOO_SMALL);
            assert_eq!(RtlCopySid(16, copy.as_mut_ptr(), sid), STATUS_SUCCESS);
            assert_eq!(copy, known::ADMINISTRATORS.bytes());
            *RtlSubAuthorityCountSid(sid) = 16;
            assert_eq!(RtlValidSid(sid), 0);
        }
    }

    #[test]
    fn ids_as_text() {
        with_kernel(Config::default(), |_, _| {
            let mut text = UNICODE_STRING::default();
            // SAFETY: a string of the test.
            unsafe {
                let status =
                    RtlConvertSidToUnicodeString(&raw mut text, known::TRUSTED_INSTALLER.as_ptr(), 1);
                assert_eq!(status, STATUS_SUCCESS);
                let expected = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
                assert_eq!(crate::rtl::text_of(&text), expected);
                text.MaximumLength = 10;
                let status = RtlConvertSidToUnicodeString(&raw mut text, known::SYSTEM.as_ptr(), 0);
                assert_eq!(status, STATUS_BUFFER_OVERFLOW);
                crate::rtl::unicode::RtlFreeUnicodeString(&raw mut text);
            }
            let mut large = known::NULL;
            large.authority = [0, 1, 0, 0, 0, 0];
            assert_eq!(large.to_string(), "S-1-0x000100000000-0");
        });
    }
}
