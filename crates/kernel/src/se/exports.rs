//! `SeExports`: privileges and well-known security ids, as one variable.

use std::sync::atomic::AtomicPtr;

use export_macro::export;

use super::sid::{Sid, known};

/// A member of the structure: a privilege's LUID, or a pointer to a security id. Both have 8 bytes.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Entry(*const Sid);

// SAFETY: what it points to never changes.
unsafe impl Sync for Entry {}

const fn luid(low: usize) -> Entry {
    Entry(std::ptr::without_provenance(low))
}

const fn id(sid: &'static Sid) -> Entry {
    Entry(std::ptr::from_ref(sid))
}

/// `SE_EXPORTS`, member by member. Source: public headers.
static TABLE: [Entry; 75] = [
    // Create token, assign primary token, lock memory, increase quota, unsolicited input, TCB, security.
    luid(2),
    luid(3),
    luid(4),
    luid(5),
    luid(6),
    luid(7),
    luid(8),
    // Take ownership, load driver, create pagefile, increase base priority, system profile, system time.
    luid(9),
    luid(10),
    luid(15),
    luid(14),
    luid(11),
    luid(12),
    // Profile single process, create permanent, backup, restore, shutdown, debug, audit.
    luid(13),
    luid(16),
    luid(17),
    luid(18),
    luid(19),
    luid(20),
    luid(21),
    // System environment, change notify, remote shutdown.
    luid(22),
    luid(23),
    luid(24),
    id(&known::NULL),
    id(&known::WORLD),
    id(&known::LOCAL),
    id(&known::CREATOR_OWNER),
    id(&known::CREATOR_GROUP),
    id(&known::NT_AUTHORITY),
    id(&known::DIALUP),
    id(&known::NETWORK),
    id(&known::BATCH),
    id(&known::INTERACTIVE),
    id(&known::SYSTEM),
    id(&known::ADMINISTRATORS),
    id(&known::USERS),
    id(&known::GUESTS),
    id(&known::POWER_USERS),
    id(&known::ACCOUNT_OPERATORS),
    id(&known::SYSTEM_OPERATORS),
    id(&known::PRINT_OPERATORS),
    id(&known::BACKUP_OPERATORS),
    id(&known::AUTHENTICATED),
    id(&known::RESTRICTED),
    id(&known::ANONYMOUS),
    // Undock, sync agent, enable delegation.
    luid(25),
    luid(26),
    luid(27),
    id(&known::LOCAL_SERVICE),
    id(&known::NETWORK_SERVICE),
    // Manage volume, impersonate, create global.
    luid(28),
    luid(29),
    luid(30),
    // Trusted credential manager, relabel, increase working set, time zone, create symbolic link.
    luid(31),
    luid(32),
    luid(33),
    luid(34),
    luid(35),
    id(&known::IUSER),
    id(&known::UNTRUSTED),
    id(&known::LOW),
    id(&known::MEDIUM),
    id(&known::HIGH),
    id(&known::SYSTEM_LEVEL),
    id(&known::OWNER_RIGHTS),
    id(&known::ALL_APP_PACKAGES),
    id(&known::USER_MODE_DRIVERS),
    id(&known::TRUST_WIN_TCB),
    id(&known::TRUSTED_INSTALLER),
    // Delegate session user impersonation; then members of later headers.
    luid(36),
    id(&known::NULL),
    id(&known::NULL),
    id(&known::NULL),
    id(&known::NULL),
    id(&known::NULL),
];

/// Privileges and well-known security ids. Source: DDI of the file system headers.
#[export(data)]
pub static SeExports: AtomicPtr<Entry> = AtomicPtr::new((&raw const TABLE).cast_mut().cast());

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn members_are_where_the_headers_have_them() {
        let table = SeExports.load(Ordering::Relaxed);
        // SAFETY: the table has that many entries.
        let at = |offset: usize| unsafe { (*table.byte_add(offset)).0 };
        assert_eq!(at(18 * 8).addr(), 20, "SeDebugPrivilege");
        // SAFETY: members that are pointers to ids.
        let text = |offset: usize| unsafe { *at(offset) }.to_string();
        assert_eq!(text(0xB8), "S-1-0-0", "SeNullSid");
        assert_eq!(text(0x108), "S-1-5-18", "SeLocalSystemSid");
        assert_eq!(text(0x110), "S-1-5-32-544", "SeAliasAdminsSid");
        assert_eq!(text(0x180), "S-1-5-19", "SeLocalServiceSid");
        assert_eq!(text(0x1E8), "S-1-16-8192", "SeMediumMandatorySid");
    }
}
