//! What routines are for, as far as a rule speaks of it: the one table, and what is said of a call in a notification.

use event::Severity;
use nt_abi::Profile;

use super::call::{IMAGE, NOTIFICATION, POWER, THREAD};
use crate::kernel;

/// What a routine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    /// Nothing that a rule speaks of.
    Other,
    /// The registry (L-01).
    Registry,
    /// A program that answers (L-03).
    Ipc,
    /// Memory of user mode (L-06).
    UserMemory,
    /// Files (L-10).
    File,
    /// Notify routines, set and removed (PO-01).
    Notify,
    /// It looks at its IRQL itself, and says more precisely what is wrong.
    SeesItself,
}

use Category::{File, Ipc, Notify, Registry, SeesItself, UserMemory};

/// Names, or beginnings of names with `*` behind, and what they are for. The first that fits counts.
const TABLE: &[(&str, Category)] = &[
    // The handle is a key's or anything's, and what it costs is spent elsewhere.
    ("ZwOpenKey*", Registry),
    ("ZwCreateKey*", Registry),
    ("ZwQueryKey", Registry),
    ("ZwEnumerateKey", Registry),
    ("ZwEnumerateValueKey", Registry),
    ("ZwQueryValueKey", Registry),
    ("ZwSetValueKey", Registry),
    ("ZwDeleteKey", Registry),
    ("ZwDeleteValueKey", Registry),
    ("ZwFlushKey", Registry),
    ("ZwRenameKey", Registry),
    ("ZwNotifyChange*Key", Registry),
    ("RtlQueryRegistryValue*", Registry),
    ("RtlWriteRegistryValue", Registry),
    ("RtlDeleteRegistryValue", Registry),
    ("RtlCreateRegistryKey", Registry),
    ("RtlCheckRegistryKey", Registry),
    ("IoOpenDeviceRegistryKey", Registry),
    ("IoOpenDriverRegistryKey", Registry),
    ("Cm*", Registry),
    ("FltSendMessage", Ipc),
    ("ZwAlpc*", Ipc),
    ("NtRequestPort", Ipc),
    ("NtRequestWaitReplyPort", Ipc),
    ("ZwAllocateVirtualMemory*", UserMemory),
    ("ZwFreeVirtualMemory", UserMemory),
    ("ZwProtectVirtualMemory", UserMemory),
    ("ZwQueryVirtualMemory", UserMemory),
    ("ZwMapViewOfSection*", UserMemory),
    ("ZwUnmapViewOfSection*", UserMemory),
    ("MmSecureVirtualMemory*", UserMemory),
    ("ZwCreateFile", File),
    ("ZwOpenFile", File),
    ("ZwReadFile", File),
    ("ZwWriteFile", File),
    ("ZwQueryInformationFile", File),
    ("ZwSetInformationFile", File),
    ("ZwQueryDirectoryFile*", File),
    ("ZwQueryFullAttributesFile", File),
    ("ZwQueryVolumeInformationFile", File),
    ("ZwFlushBuffersFile*", File),
    ("ZwDeleteFile", File),
    ("ZwFsControlFile", File),
    ("ZwDeviceIoControlFile", File),
    ("IoCreateFile*", File),
    ("PsSetCreateProcessNotifyRoutine*", Notify),
    ("PsSetCreateThreadNotifyRoutine*", Notify),
    ("PsRemoveCreateThreadNotifyRoutine", Notify),
    ("PsSetLoadImageNotifyRoutine*", Notify),
    ("PsRemoveLoadImageNotifyRoutine", Notify),
    // 0xC4/0x30 to 0x42 and 0x80: the routine knows which.
    ("ExAcquireFastMutex*", SeesItself),
    ("ExReleaseFastMutex*", SeesItself),
    ("ExTryToAcquireFastMutex", SeesItself),
    ("KeAcquireGuardedMutex*", SeesItself),
    ("KeReleaseGuardedMutex*", SeesItself),
    ("KeAcquireSpinLock*", SeesItself),
    ("KeReleaseSpinLock*", SeesItself),
    ("KeTryToAcquireSpinLock*", SeesItself),
    ("KeAcquireInStackQueuedSpinLock*", SeesItself),
    ("KeReleaseInStackQueuedSpinLock*", SeesItself),
    ("KeSetEvent", SeesItself),
    ("KeWaitFor*", SeesItself),
    ("KeEnterCriticalRegion", SeesItself),
    ("KeLeaveCriticalRegion", SeesItself),
    ("KeEnterGuardedRegion", SeesItself),
    ("KeLeaveGuardedRegion", SeesItself),
    ("ExAllocatePool*", SeesItself),
    ("ExFreePool*", SeesItself),
];

/// What the routine with that name is for.
pub(crate) const fn of(name: &str) -> Category {
    let mut at = 0;
    while at < TABLE.len() {
        if fits(TABLE[at].0.as_bytes(), name.as_bytes()) {
            return TABLE[at].1;
        }
        at += 1;
    }
    Category::Other
}

/// Whether a name is the pattern, or begins with it where it ends in `*`.
const fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let mut at = 0;
    while at < pattern.len() {
        if pattern[at] == b'*' {
            return true;
        }
        if at >= name.len() || pattern[at] != name[at] {
            return false;
        }
        at += 1;
    }
    at == name.len()
}

impl Category {
    /// What a driver is called for where such a call is looked at.
    pub(crate) const fn purposes(self) -> u8 {
        match self {
            Registry | Ipc => NOTIFICATION,
            UserMemory => IMAGE,
            Notify => POWER,
            Category::Other | File | SeesItself => 0,
        }
    }
}

/// Looks at a call of which only an argument says what it is for: memory is mapped for a program (L-06), a pipe is
/// spoken to (L-03).
pub(crate) fn by_argument(name: &str, category: Category) {
    let purpose = super::call::purpose();
    if purpose & category.purposes() != 0 {
        at_wrong_time(name, category, purpose);
    }
}

/// Says what is wrong with a call of the routine `name` in a routine that runs for `purpose`.
pub(super) fn at_wrong_time(name: &str, category: Category, purpose: u8) {
    let routine = match purpose {
        IMAGE => "an image routine",
        THREAD => "a thread routine",
        _ => "a process routine",
    };
    let (rule, message) = match category {
        Registry => (
            &super::L_01,
            format!(
                "{routine} calls {name}; registry calls take locks and run other drivers' routines: read what you need \
                 in DriverEntry, or queue the call to a worker thread"
            ),
        ),
        Ipc => (
            &super::L_03,
            format!(
                "{routine} calls {name} and waits for a program, which may wait for this very process: queue the \
                 message to a worker thread, and return"
            ),
        ),
        UserMemory => (
            &super::L_06,
            format!(
                "{routine} calls {name} while the process's address space is being changed; queue a kernel APC to the \
                 thread, which runs after the mapping is done"
            ),
        ),
        Notify => (
            &super::PO_01,
            format!(
                "{name} is called while a set-power request is handled, which must not wait: register and remove routines in \
                 DriverEntry and DriverUnload, and have the routine look at a flag that the request sets"
            ),
        ),
        Category::Other | File | SeesItself => return,
    };
    let kernel = kernel();
    // Up to Windows 7 the lock of the address space is held (C.5); later it is only advised against (C7).
    let severity = if category == UserMemory && kernel.config.profile < Profile::Win81 {
        Severity::Error
    } else {
        rule.severity
    };
    let driver = crate::io::current_driver();
    kernel.finding_as(severity, driver, rule, &message, None, crate::ke::stop::driver_stack());
}

#[cfg(test)]
mod tests {
    use event::Family;

    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn names_and_beginnings_of_names_are_found() {
        assert_eq!(of("ZwOpenKey"), Registry);
        assert_eq!(of("ZwOpenKeyEx"), Registry);
        assert_eq!(of("ZwQueryValueKey"), Registry);
        assert_eq!(of("ZwQueryValueKeyEx"), Category::Other);
        assert_eq!(of("ZwClose"), Category::Other);
    }

    #[test]
    fn every_line_of_the_table_is_for_an_export() {
        let exported: Vec<&str> = crate::export::EXPORTS.iter().map(|export| export.name).collect();
        let idle: Vec<_> = TABLE
            .iter()
            .filter(|(pattern, _)| !exported.iter().any(|name| fits(pattern.as_bytes(), name.as_bytes())))
            .collect();
        assert!(idle.is_empty(), "{idle:?}");
    }

    /// The rules that a routine of a family is found to break when it does that.
    fn found_in(family: Family, act: impl FnOnce(&'static crate::Kernel)) -> Vec<String> {
        with_kernel(Config::default(), |kernel, records| {
            let before = crate::io::enter_driver(None, 0, Some(family));
            act(kernel);
            crate::io::leave_driver(before);
            records.findings()
        })
    }

    #[test]
    fn l_03_a_pipe_is_known_by_the_control_code() {
        let sends = |code| {
            move |_: &'static crate::Kernel| {
                let nothing: nt_abi::PVOID = std::ptr::null_mut();
                let (mut block, no_bytes) = (nt_abi::IO_STATUS_BLOCK::default(), nothing.cast());
                let block = &raw mut block;
                // SAFETY: no handle is used, and no buffer.
                unsafe {
                    crate::zw::information::ZwFsControlFile(
                        nothing,
                        nothing,
                        0,
                        nothing.cast(),
                        block,
                        code,
                        no_bytes,
                        0,
                        nothing.cast(),
                        0,
                    );
                }
            }
        };
        const FSCTL_PIPE_TRANSCEIVE: u32 = 0x11_C017;
        const FSCTL_GET_REPARSE_POINT: u32 = 0x9_00A8;
        assert_eq!(found_in(Family::Process, sends(FSCTL_PIPE_TRANSCEIVE)), ["L-03"]);
        assert_eq!(found_in(Family::Process, sends(FSCTL_GET_REPARSE_POINT)), [""; 0]);
    }

    #[test]
    fn l_06_memory_that_is_mapped_for_a_program_in_an_image_routine_is_found() {
        let maps = |mode| {
            move |_: &'static crate::Kernel| {
                // SAFETY: memory of the test.
                unsafe {
                    let buffer =
                        crate::ex::pool_routines::ExAllocatePoolWithTag(0, 100, u32::from_le_bytes(*b"Test"));
                    let start = buffer.expose_provenance();
                    let mdl = crate::mm::mdl::IoAllocateMdl(start, 100, 0, 0, std::ptr::null_mut());
                    crate::mm::mdl::MmBuildMdlForNonPagedPool(mdl);
                    crate::mm::mdl::MmMapLockedPages(mdl, mode);
                }
            }
        };
        assert_eq!(found_in(Family::Image, maps(1)), ["L-06"]);
        assert_eq!(found_in(Family::Image, maps(0)), [""; 0]);
        assert_eq!(found_in(Family::Process, maps(1)), [""; 0]);
    }

    #[test]
    fn the_table_names_nothing_twice() {
        let mut names: Vec<_> = TABLE.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
