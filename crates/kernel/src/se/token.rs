//! Tokens: who a process is. The System process is the system; every other process belongs to one user.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use event::ProcessId;
use export_macro::export;
use nt_abi::{LUID, SecurityImpersonation, TokenPrimary};

use super::sid::{Sid, known};
use crate::ob::{self, ObjectType, Ref};
use crate::ps::process::Eprocess;
use crate::ps::thread::Ethread;

/// The type of tokens.
pub static TOKEN_TYPE: ObjectType = ObjectType { name: "Token", size: size_of::<Token>(), delete: None };

/// The type of tokens. Source: DDI of the file system headers.
#[export(data)]
pub static SeTokenObjectType: &ObjectType = &TOKEN_TYPE;

/// SE_GROUP_MANDATORY, SE_GROUP_ENABLED_BY_DEFAULT, SE_GROUP_ENABLED.
pub(crate) const GROUP_ENABLED: u32 = 7;
/// SE_GROUP_OWNER.
const GROUP_OWNER: u32 = 8;
/// SE_GROUP_INTEGRITY, SE_GROUP_INTEGRITY_ENABLED.
pub(crate) const GROUP_INTEGRITY: u32 = 0x60;
/// SE_PRIVILEGE_ENABLED_BY_DEFAULT, SE_PRIVILEGE_ENABLED.
const ENABLED: u32 = 3;

/// What tokens of a kind have in common.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) user: &'static Sid,
    pub(crate) groups: &'static [(&'static Sid, u32)],
    /// Privileges by number, with their attributes.
    pub(crate) privileges: &'static [(u32, u32)],
    pub(crate) integrity: &'static Sid,
    pub(crate) primary_group: &'static Sid,
    /// Who owns what it makes.
    pub(crate) owner: &'static Sid,
    /// The logon session.
    pub(crate) logon: u32,
    pub(crate) session: u32,
    pub(crate) elevated: bool,
    pub(crate) source: [u8; 8],
}

static SYSTEM: Identity = Identity {
    user: &known::SYSTEM,
    groups: &[
        (&known::ADMINISTRATORS, GROUP_ENABLED & !1 | GROUP_OWNER),
        (&known::WORLD, GROUP_ENABLED),
        (&known::AUTHENTICATED, GROUP_ENABLED),
        (&known::SYSTEM_LEVEL, GROUP_INTEGRITY),
    ],
    privileges: &[
        (2, ENABLED),
        (3, 0),
        (4, ENABLED),
        (5, 0),
        (7, ENABLED),
        (8, 0),
        (9, 0),
        (10, 0),
        (11, ENABLED),
        (12, 0),
        (13, ENABLED),
        (14, ENABLED),
        (15, ENABLED),
        (16, ENABLED),
        (17, 0),
        (18, 0),
        (19, 0),
        (20, ENABLED),
        (21, ENABLED),
        (22, 0),
        (23, ENABLED),
        (25, 0),
        (28, 0),
        (29, ENABLED),
        (30, ENABLED),
        (31, 0),
        (32, 0),
        (33, ENABLED),
        (34, ENABLED),
        (35, ENABLED),
        (36, ENABLED),
    ],
    integrity: &known::SYSTEM_LEVEL,
    primary_group: &known::SYSTEM,
    owner: &known::ADMINISTRATORS,
    logon: 0x3E7,
    session: 0,
    elevated: true,
    source: *b"*SYSTEM*",
};

static USER: Identity = Identity {
    user: &known::USER,
    groups: &[
        (&known::DOMAIN_USERS, GROUP_ENABLED),
        (&known::WORLD, GROUP_ENABLED),
        (&known::USERS, GROUP_ENABLED),
        (&known::INTERACTIVE, GROUP_ENABLED),
        (&known::AUTHENTICATED, GROUP_ENABLED),
        (&known::LOCAL, GROUP_ENABLED),
        (&known::MEDIUM, GROUP_INTEGRITY),
    ],
    privileges: &[(19, 0), (23, ENABLED), (25, 0), (33, 0), (34, 0)],
    integrity: &known::MEDIUM,
    primary_group: &known::DOMAIN_USERS,
    owner: &known::USER,
    logon: 0x2_4D3F,
    session: 1,
    elevated: false,
    source: *b"User32 \0",
};

/// A token.
#[repr(C)]
#[derive(Debug)]
pub struct Token {
    pub(crate) identity: &'static Identity,
    /// A number no other token has.
    pub(crate) id: u32,
}

/// The primary token of a process.
#[derive(Debug)]
pub(crate) struct PrimaryToken(Ref<Token>);

static NEXT: AtomicU32 = AtomicU32::new(0x1_0000);

impl Token {
    fn new(identity: &'static Identity) -> Ref<Self> {
        let object: NonNull<Self> = ob::create(&TOKEN_TYPE, 0);
        // SAFETY: new, of the right size, and nobody else has it.
        unsafe { object.write(Self { identity, id: NEXT.fetch_add(1, Ordering::Relaxed) }) };
        // SAFETY: the one reference it was created with.
        unsafe { Ref::adopt(object) }
    }

    /// The primary token of a process.
    pub(crate) fn of(process: &Eprocess) -> &Ref<Self> {
        let identity = if process.id == ProcessId::SYSTEM { &SYSTEM } else { &USER };
        &process.token.get_or_init(|| PrimaryToken(Self::new(identity))).0
    }

    /// Whether a SID is the user's or one of its enabled groups'.
    pub(crate) fn has(&self, sid: &Sid) -> bool {
        let enabled = |&&(group, attributes): &&(&Sid, u32)| group == sid && attributes & 4 != 0;
        self.identity.user == sid || self.identity.groups.iter().any(|group| enabled(&group))
    }

    /// Whether it has a privilege, and that is enabled.
    pub(crate) fn has_privilege(&self, privilege: LUID) -> bool {
        let enabled = |&(number, attributes): &(u32, u32)| number == privilege.LowPart && attributes & 2 != 0;
        privilege.HighPart == 0 && self.identity.privileges.iter().any(enabled)
    }
}

/// Returns the primary token of a process, with a reference. Source: DDI of the file system headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn PsReferencePrimaryToken(process: &Eprocess) -> *mut Token {
    crate::ob::ledger::hand_out(Token::of(process).clone(), "PsReferencePrimaryToken")
}

/// Gives back the reference of `PsReferencePrimaryToken`. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn PsDereferencePrimaryToken(token: *mut Token) {
    // SAFETY: the driver's reference; what is no object is found out.
    unsafe { crate::ob::reference::ObfDereferenceObject(token.cast()) };
}

/// Returns the token that a thread impersonates: null, as none does. Source: DDI of the file system headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn PsReferenceImpersonationToken(
    _thread: &Ethread,
    _copy_on_open: *mut u8,
    _effective_only: *mut u8,
    _level: *mut u32,
) -> *mut Token {
    std::ptr::null_mut()
}

/// Gives back the reference of `PsReferenceImpersonationToken`. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn PsDereferenceImpersonationToken(token: *mut Token) {
    if !token.is_null() {
        // SAFETY: as above.
        unsafe { crate::ob::reference::ObfDereferenceObject(token.cast()) };
    }
}

/// Ends an impersonation: none was begun. Source: DDI of the file system headers.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn PsRevertToSelf() {}

/// Returns the type of a token: primary. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn SeTokenType(_token: &Token) -> u32 {
    TokenPrimary
}

/// Returns the level that a token is good for. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn SeTokenImpersonationLevel(_token: &Token) -> u32 {
    SecurityImpersonation
}

/// Says whether a token is of the administrators. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn SeTokenIsAdmin(token: &Token) -> u8 {
    u8::from(token.has(&known::ADMINISTRATORS))
}

/// Says whether a token is restricted: none is. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn SeTokenIsRestricted(_token: &Token) -> u8 {
    0
}

/// Says whether a token is write-restricted: none is. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn SeTokenIsWriteRestricted(_token: &Token) -> u8 {
    0
}

/// Returns the logon session of a token. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn SeQueryAuthenticationIdToken(token: &Token, id: *mut LUID) -> nt_abi::NTSTATUS {
    // SAFETY: the driver's variable.
    unsafe { id.write_unaligned(LUID { LowPart: token.identity.logon, HighPart: 0 }) };
    nt_abi::STATUS_SUCCESS
}

/// Returns the session of a token. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn SeQuerySessionIdToken(token: &Token, session: *mut u32) -> nt_abi::NTSTATUS {
    // SAFETY: the driver's variable.
    unsafe { session.write_unaligned(token.identity.session) };
    nt_abi::STATUS_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::ps::process::Origin;
    use crate::testing::with_kernel;

    #[test]
    fn the_system_is_the_system_and_others_are_users() {
        with_kernel(Config::default(), |kernel, _| {
            let process = event::Process { process: ProcessId(4711), ..event::Process::default() };
            let process = Eprocess::new(&process, Origin::Created, event::Time(0));
            // SAFETY: live processes; references are given back.
            unsafe {
                let system = PsReferencePrimaryToken(&kernel.ps.system.0);
                let user = PsReferencePrimaryToken(&process);
                assert_eq!((SeTokenIsAdmin(&*system), SeTokenIsAdmin(&*user)), (1, 0));
                assert_eq!(PsReferencePrimaryToken(&process), user);
                PsDereferencePrimaryToken(user);
                assert!((*user).has(&known::USERS) && !(*user).has(&known::MEDIUM));
                let debug = LUID { LowPart: 20, HighPart: 0 };
                assert_eq!(((*system).has_privilege(debug), (*user).has_privilege(debug)), (true, false));
                let (mut id, mut session) = (LUID::default(), 9);
                SeQueryAuthenticationIdToken(&*system, &raw mut id);
                SeQuerySessionIdToken(&*system, &raw mut session);
                assert_eq!((id.LowPart, session), (0x3E7, 0));
                assert_eq!(ob::object::pointer_count(user), 2);
                PsDereferencePrimaryToken(user);
                PsDereferencePrimaryToken(system);
            }
        });
    }
}
