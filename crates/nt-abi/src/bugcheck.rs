//! Codes of bug checks, and what their four parameters mean.
//!
//! Source: SEMANTICS G.3 and Microsoft's bug check reference.

use core::fmt;

/// The code of a bug check.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
#[repr(transparent)]
pub struct BugCheckCode(pub u32);

impl BugCheckCode {
    /// The name, `DRIVER_IRQL_NOT_LESS_OR_EQUAL`, where this crate knows the code.
    pub const fn name(self) -> Option<&'static str> {
        match self.known() {
            Some(known) => Some(known.0),
            None => None,
        }
    }

    /// What the four parameters mean; an empty text where they mean nothing.
    pub const fn parameters(self) -> Option<&'static [&'static str; 4]> {
        match self.known() {
            Some(known) => Some(known.1),
            None => None,
        }
    }
}

/// `0x000000D1 (DRIVER_IRQL_NOT_LESS_OR_EQUAL)`.
impl fmt::Display for BugCheckCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08X}", self.0)?;
        self.name().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// As `Display`.
impl fmt::Debug for BugCheckCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! bug_checks {
    ($( $name:ident = $code:literal, $p1:literal, $p2:literal, $p3:literal, $p4:literal; )*) => {
        $(
            #[doc = concat!("`", stringify!($code), "`; parameters: (", $p1, "; ", $p2, "; ", $p3, "; ", $p4, ").")]
            pub const $name: BugCheckCode = BugCheckCode($code);
        )*
        impl BugCheckCode {
            /// Every code of this crate, ascending.
            pub const ALL: &[Self] = &[ $($name),* ];

            const fn known(self) -> Option<(&'static str, &'static [&'static str; 4])> {
                match self.0 {
                    $( $code => Some((stringify!($name), &[$p1, $p2, $p3, $p4])), )*
                    _ => None,
                }
            }
        }
    };
}

bug_checks! {
    APC_INDEX_MISMATCH = 0x1, "address of the system call or worker routine", "ApcStateIndex", "SpecialApcDisable << 16 | KernelApcDisable", "0 system call, 1 worker routine";
    INVALID_PROCESS_ATTACH_ATTEMPT = 0x5, "", "", "", "";
    IRQL_NOT_LESS_OR_EQUAL = 0xA, "address", "IRQL", "bit 0 write, bit 3 execute", "instruction address";
    REFERENCE_BY_POINTER = 0x18, "object type", "object", "reserved", "reserved";
    BAD_POOL_HEADER = 0x19, "violation type", "", "", "";
    MEMORY_MANAGEMENT = 0x1A, "subtype", "", "", "";
    KMODE_EXCEPTION_NOT_HANDLED = 0x1E, "exception code", "address", "exception parameter 0", "exception parameter 1";
    KERNEL_APC_PENDING_DURING_EXIT = 0x20, "pending APC", "APC disable count", "IRQL", "reserved";
    SYSTEM_SERVICE_EXCEPTION = 0x3B, "exception code", "instruction address", "context record", "";
    MULTIPLE_IRP_COMPLETE_REQUESTS = 0x44, "IRP", "reserved", "reserved", "reserved";
    PFN_LIST_CORRUPT = 0x4E, "kind", "per kind", "per kind", "per kind";
    PAGE_FAULT_IN_NONPAGED_AREA = 0x50, "address", "0 read, 2 write, 0x10 execute (before Windows 10: 0 or 1)", "instruction address", "kind of fault";
    REGISTRY_ERROR = 0x51, "reserved", "reserved", "hive", "reserved";
    KERNEL_DATA_INPAGE_ERROR = 0x7A, "lock type", "status", "process or file", "address";
    SYSTEM_THREAD_EXCEPTION_NOT_HANDLED = 0x7E, "exception code", "address", "exception record", "context record";
    UNEXPECTED_KERNEL_MODE_TRAP = 0x7F, "trap number", "", "", "";
    KERNEL_MODE_EXCEPTION_NOT_HANDLED = 0x8E, "exception code", "address", "trap frame", "reserved";
    INVALID_KERNEL_HANDLE = 0x93, "handle", "0 close of protected, 1 invalid", "", "";
    DRIVER_POWER_STATE_FAILURE = 0x9F, "3 a request that is blocked", "physical device", "reserved", "IRP";
    ATTEMPTED_SWITCH_FROM_DPC = 0xB8, "original thread", "new thread", "stack of the original", "";
    ATTEMPTED_WRITE_TO_READONLY_MEMORY = 0xBE, "address", "PTE", "reserved", "reserved";
    SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION = 0xC1, "address", "reserved", "reserved", "kind";
    BAD_POOL_CALLER = 0xC2, "violation type", "", "", "";
    DRIVER_VERIFIER_DETECTED_VIOLATION = 0xC4, "subcode", "per subcode", "per subcode", "per subcode";
    DRIVER_CORRUPTED_EXPOOL = 0xC5, "address", "IRQL", "0 read, 1 write", "instruction address";
    DRIVER_CAUGHT_MODIFYING_FREED_POOL = 0xC6, "address", "0 read, 1 write", "mode", "4";
    TIMER_OR_DPC_INVALID = 0xC7, "kind of object", "object", "start of the range", "end of the range";
    IRQL_UNEXPECTED_VALUE = 0xC8, "current IRQL << 16 | expected << 8 | unique", "per unique", "per unique", "per unique";
    DRIVER_VERIFIER_IOMANAGER_VIOLATION = 0xC9, "subcode", "per subcode", "per subcode", "per subcode";
    DRIVER_LEFT_LOCKED_PAGES_IN_PROCESS = 0xCB, "calling address", "caller of that", "MDL", "pages";
    PAGE_FAULT_IN_FREED_SPECIAL_POOL = 0xCC, "address", "0 read, 1 write", "instruction address", "reserved";
    DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS = 0xCE, "address", "0 read, 1 write, 0x10 execute", "instruction address", "reserved";
    DRIVER_CORRUPTED_MMPOOL = 0xD0, "address", "IRQL", "0 read, 1 write", "instruction address";
    DRIVER_IRQL_NOT_LESS_OR_EQUAL = 0xD1, "address", "IRQL", "0 read, 1 write, 2 or 8 execute", "instruction address";
    DRIVER_PORTION_MUST_BE_NONPAGED = 0xD3, "address", "IRQL", "0 read, 1 write", "instruction address";
    SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD = 0xD4, "address", "IRQL", "0 read, 1 write", "instruction address";
    DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL = 0xD5, "address", "0 read, 1 write", "instruction address", "reserved";
    DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION = 0xD6, "address", "0 read, 1 write", "instruction address", "reserved";
    POOL_CORRUPTION_IN_FILE_AREA = 0xDE, "", "", "", "";
    MANUALLY_INITIATED_CRASH = 0xE2, "", "", "", "";
    RESOURCE_NOT_OWNED = 0xE3, "resource", "thread", "owner table", "0";
    WORKER_INVALID = 0xE4, "kind", "work item", "start of the range", "end of the range";
    CRITICAL_PROCESS_DIED = 0xEF, "process", "0 process, 1 thread", "", "";
    CRITICAL_OBJECT_TERMINATION = 0xF4, "3 process, 6 thread", "object", "image name", "message";
    FLTMGR_FILE_SYSTEM = 0xF5, "kind", "per kind", "per kind", "per kind";
    DRIVER_OVERRAN_STACK_BUFFER = 0xF7, "cookie found", "cookie expected", "complement of the expected", "0";
    ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY = 0xFC, "address", "PTE", "", "";
    CLOCK_WATCHDOG_TIMEOUT = 0x101, "interval in ticks", "0", "PRCB", "0";
    CRITICAL_STRUCTURE_CORRUPTION = 0x109, "reserved", "reserved", "reserved", "type of the corrupted region";
    WDF_VIOLATION = 0x10D, "kind", "per kind", "per kind", "per kind";
    DPC_WATCHDOG_VIOLATION = 0x133, "0 one DPC, 1 cumulated", "ticks", "ticks allowed", "reserved";
    KERNEL_SECURITY_CHECK_FAILURE = 0x139, "what was found corrupt", "trap frame", "exception record", "reserved";
    KERNEL_MODE_HEAP_CORRUPTION = 0x13A, "kind", "heap", "address", "reserved";
    KERNEL_AUTO_BOOST_INVALID_LOCK_RELEASE = 0x162, "thread", "lock", "0xFFFFFFFF", "0";
    KERNEL_AUTO_BOOST_LOCK_ACQUISITION_WITH_RAISED_IRQL = 0x192, "thread", "lock", "IRQL", "0";
}

nt_consts! { "First parameter of `DRIVER_VERIFIER_DETECTED_VIOLATION` (SEMANTICS G.4)", u64, fn verifier_violation_name;
    VERIFIER_ZERO_BYTE_ALLOCATION = 0x00,
    VERIFIER_PAGED_ALLOCATION_IRQL = 0x01,
    VERIFIER_NONPAGED_ALLOCATION_IRQL = 0x02,
    VERIFIER_FREE_OF_UNALLOCATED = 0x10,
    VERIFIER_PAGED_FREE_IRQL = 0x11,
    VERIFIER_NONPAGED_FREE_IRQL = 0x12,
    VERIFIER_DOUBLE_FREE = 0x13,
    VERIFIER_FREE_WITH_ACTIVE_TIMER = 0x15,
    VERIFIER_FREE_WITH_RESOURCE = 0x17,
    VERIFIER_BAD_RAISE_IRQL = 0x30,
    VERIFIER_BAD_LOWER_IRQL = 0x31,
    VERIFIER_SPIN_LOCK_RELEASE_IRQL = 0x32,
    VERIFIER_FAST_MUTEX_ACQUIRE_IRQL = 0x33,
    VERIFIER_FAST_MUTEX_RELEASE_IRQL = 0x34,
    VERIFIER_RESOURCE_ACQUIRE_APCS_ENABLED = 0x37,
    VERIFIER_RESOURCE_RELEASE_APCS_ENABLED = 0x38,
    VERIFIER_WAIT_AT_DISPATCH = 0x3B,
    VERIFIER_BAD_HANDLE = 0x3C,
    VERIFIER_LEAVE_REGION_NOT_ENTERED = 0x3E,
    VERIFIER_REFERENCE_COUNT_ZERO = 0x3F,
    VERIFIER_UNLOAD_WITH_PAGED_POOL = 0x60,
    VERIFIER_ALLOCATION_WHILE_UNLOADING = 0x61,
    VERIFIER_UNLOAD_WITH_POOL = 0x62,
    VERIFIER_STACK_SWITCH = 0x91,
    VERIFIER_DISPATCH_CHANGED_APC_DISABLE = 0xC5,
    VERIFIER_FAST_IO_CHANGED_APC_DISABLE = 0xC6,
    VERIFIER_UNLOAD_WITH_WMI = 0xDA,
    VERIFIER_UNLOAD_WITH_ETW = 0xDD,
    VERIFIER_SYNC_OBJECT_IN_SESSION = 0xDF,
    VERIFIER_USER_ADDRESS_TO_KERNEL_ROUTINE = 0xE0,
    VERIFIER_SYNC_OBJECT_PAGEABLE = 0xE1,
    VERIFIER_USER_ADDRESS_TO_ZW = 0xE3,
    VERIFIER_MALFORMED_STRING_TO_ZW = 0xE4,
    VERIFIER_WRONG_IRQL = 0xE5,
    VERIFIER_ZW_NOT_PASSIVE = 0xE6,
    VERIFIER_PUSH_LOCK_ACQUIRE_APCS_ENABLED = 0xEA,
    VERIFIER_PUSH_LOCK_RELEASE_APCS_ENABLED = 0xEB,
    VERIFIER_NULL_HANDLE = 0xF5,
    VERIFIER_USER_HANDLE_AS_KERNEL = 0xF6,
    VERIFIER_USER_REFERENCE_OF_KERNEL_HANDLE = 0xF7,
    VERIFIER_ENTER_REGION_IRQL = 0x11A,
    VERIFIER_LEAVE_REGION_IRQL = 0x11B,
    VERIFIER_USER_WAIT_ON_STACK_OBJECT = 0x123,
    VERIFIER_DEADLOCK_SELF = 0x1000,
    VERIFIER_DEADLOCK_HIERARCHY = 0x1001,
    VERIFIER_DEADLOCK_RELEASE_ORDER = 0x1003,
    VERIFIER_DEADLOCK_WRONG_THREAD = 0x1004,
    VERIFIER_DEADLOCK_NOT_ACQUIRED = 0x1007,
    VERIFIER_CODE_INTEGRITY_EXECUTABLE_POOL = 0x2000,
    VERIFIER_DDI_IRQL_OB_PASSIVE = 0x2_001B,
    VERIFIER_DDI_IRQL_PS_PASSIVE = 0x2_001C,
    VERIFIER_DDI_IRQL_RETURN = 0x2_001D,
    VERIFIER_DDI_IRQL_ZW_PASSIVE = 0x2_001F,
    VERIFIER_DDI_IRQL_IO_RTL_ZW_PASSIVE = 0x2_0023,
    VERIFIER_DDI_IRQL_NTIFS_APC_PASSIVE = 0x2_0024,
    VERIFIER_DDI_CRITICAL_REGIONS = 0x4_0003,
    VERIFIER_DDI_SPIN_LOCK = 0x4_0009,
    VERIFIER_DDI_SPIN_LOCK_RELEASE = 0x4_000A,
    VERIFIER_DDI_GUARDED_REGIONS = 0x4_000E,
}

nt_consts! { "Argument of `__fastfail` and first parameter of `KERNEL_SECURITY_CHECK_FAILURE`", u64, fn fast_fail_name;
    FAST_FAIL_LEGACY_GS_VIOLATION = 0,
    FAST_FAIL_VTGUARD_CHECK_FAILURE = 1,
    FAST_FAIL_STACK_COOKIE_CHECK_FAILURE = 2,
    FAST_FAIL_CORRUPT_LIST_ENTRY = 3,
    FAST_FAIL_INCORRECT_STACK = 4,
    FAST_FAIL_INVALID_ARG = 5,
    FAST_FAIL_GS_COOKIE_INIT = 6,
    FAST_FAIL_FATAL_APP_EXIT = 7,
    FAST_FAIL_RANGE_CHECK_FAILURE = 8,
    FAST_FAIL_UNSAFE_REGISTRY_ACCESS = 9,
    FAST_FAIL_GUARD_ICALL_CHECK_FAILURE = 10,
    FAST_FAIL_INVALID_REFERENCE_COUNT = 14,
    FAST_FAIL_INVALID_BUFFER_ACCESS = 28,
    FAST_FAIL_INVALID_BALANCED_TREE = 29,
}

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;
    use std::format;

    #[test]
    fn a_code_prints_its_name_and_knows_its_parameters() {
        assert_eq!(format!("{DRIVER_IRQL_NOT_LESS_OR_EQUAL}"), "0x000000D1 (DRIVER_IRQL_NOT_LESS_OR_EQUAL)");
        assert_eq!(format!("{:?}", BugCheckCode(0xDEAD)), "0x0000DEAD");
        assert_eq!(DRIVER_IRQL_NOT_LESS_OR_EQUAL.parameters().unwrap()[1], "IRQL");
        assert_eq!(BugCheckCode(0xDEAD).parameters(), None);
    }

    #[test]
    fn codes_are_sorted_and_unique() {
        assert!(BugCheckCode::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serialised_as_a_number() {
        assert_eq!(serde_json::to_string(&DRIVER_IRQL_NOT_LESS_OR_EQUAL).unwrap(), "209");
        assert_eq!(serde_json::from_str::<BugCheckCode>("209").unwrap(), DRIVER_IRQL_NOT_LESS_OR_EQUAL);
    }
}
