//! What belongs to a process or a thread: its job, section, file, environment blocks, debugger, windows.

use std::sync::atomic::Ordering;

use export_macro::export;
use nt_abi::{
    CONTEXT, FILE_OBJECT, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED,
    STATUS_PROCESS_IS_TERMINATING, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
};

use super::process::Eprocess;
use super::query::user_address;
use super::thread::Ethread;
use crate::io::file::ImageFile;
use crate::kernel;

/// Returns the job of a process: NULL, as none here has one. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetProcessJob(_process: &Eprocess) -> *mut u8 {
    std::ptr::null_mut()
}

/// Returns where the main image of a process is mapped; NULL until that was told. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetProcessSectionBaseAddress(process: &Eprocess) -> *mut u8 {
    let base = process.image_base.load(Ordering::Acquire);
    std::ptr::without_provenance_mut(usize::try_from(base).unwrap_or_default())
}

/// Opens the file of a process's main image: a file object with a reference. Source: public symbol lists.
///
/// STATUS_UNSUCCESSFUL where the source does not know the image, and for the System process.
#[export(irql <= APC)]
pub unsafe extern "win64" fn PsReferenceProcessFilePointer(
    process: &Eprocess,
    file: *mut *mut FILE_OBJECT,
) -> NTSTATUS {
    let known = process.image.as_ref().filter(|_| process.id != event::ProcessId::SYSTEM);
    let Some(name) = known else { return STATUS_UNSUCCESSFUL };
    let opened = crate::ob::ledger::hand_out(ImageFile::open(name), "PsReferenceProcessFilePointer");
    // SAFETY: the driver's pointer; a bad one faults as on Windows.
    unsafe { file.write(opened.cast()) };
    STATUS_SUCCESS
}

/// Keeps a process from exiting while it is looked at. STATUS_PROCESS_IS_TERMINATING where it has exited. Source: public symbol lists.
#[export(irql <= APC)]
pub unsafe extern "win64" fn PsAcquireProcessExitSynchronization(process: &Eprocess) -> NTSTATUS {
    // The address space of a process of another machine is not there to be kept, so nothing has to be held.
    if process.exit_time().0 == 0 { STATUS_SUCCESS } else { STATUS_PROCESS_IS_TERMINATING }
}

/// Lets a process exit that `PsAcquireProcessExitSynchronization` kept. Source: public symbol lists.
#[export(irql <= APC)]
pub unsafe extern "win64" fn PsReleaseProcessExitSynchronization(_process: &Eprocess) {}

/// Says whether a debugger is attached to a process: the tracer of a live bench does not count. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsIsProcessBeingDebugged(_process: &Eprocess) -> u8 {
    0
}

/// Returns the debug port of a process: NULL, as none is debugged. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetProcessDebugPort(_process: &Eprocess) -> *mut u8 {
    std::ptr::null_mut()
}

/// Returns the protection of a process, a `PS_PROTECTION`: none. Source: public symbol lists.
#[export(irql any, since = Win81)]
pub unsafe extern "win64" fn PsGetProcessProtection(_process: &Eprocess) -> u8 {
    0
}

/// Returns the window station of a process: NULL, as there are no windows. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetProcessWin32WindowStation(_process: &Eprocess) -> *mut u8 {
    std::ptr::null_mut()
}

/// Returns what the window manager keeps for a process: NULL, as there are no windows. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetProcessWin32Process(_process: &Eprocess) -> *mut u8 {
    std::ptr::null_mut()
}

/// Returns what the window manager keeps for a thread: NULL, as there are no windows. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetThreadWin32Thread(_thread: &Ethread) -> *mut u8 {
    std::ptr::null_mut()
}

/// Returns the user-mode environment block of a thread, which is there until its exit was told (R-EXIT-04). NULL for system
/// threads, and for those of a live source, which have none. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetThreadTeb(thread: &Ethread) -> *mut u8 {
    user_address(thread.teb.load(Ordering::Relaxed))
}

/// Returns the user-mode environment block of the current thread, or NULL. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetCurrentThreadTeb() -> *mut u8 {
    super::thread::current()
        .map_or(std::ptr::null_mut(), |thread| user_address(thread.teb.load(Ordering::Relaxed)))
}

/// Switches the hard-error box of a thread off or on, and returns what it was: there are no boxes. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsSetThreadHardErrorsAreDisabled(_thread: &Ethread, _disabled: u8) {}

/// Says whether the hard-error box of a thread is off: there is none, so it is. Source: public symbol lists.
#[export(irql any)]
pub unsafe extern "win64" fn PsGetThreadHardErrorsAreDisabled(_thread: &Ethread) -> u8 {
    1
}

/// Gets the user-mode registers of a thread. STATUS_NOT_SUPPORTED: they are on another machine. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn PsGetContextThread(
    _thread: &Ethread,
    context: *mut CONTEXT,
    _mode: i8,
) -> NTSTATUS {
    if context.is_null() { STATUS_INVALID_PARAMETER } else { STATUS_NOT_SUPPORTED }
}

/// Sets the user-mode registers of a thread. STATUS_NOT_SUPPORTED: they are on another machine. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn PsSetContextThread(
    _thread: &Ethread,
    context: *const CONTEXT,
    _mode: i8,
) -> NTSTATUS {
    let message =
        "PsSetContextThread changes where a thread of another machine goes on, which Callboard does not do";
    kernel().note(event::Level::Warning, message);
    if context.is_null() { STATUS_INVALID_PARAMETER } else { STATUS_NOT_SUPPORTED }
}

#[cfg(test)]
mod tests {
    use event::{Name, Process, ProcessId, Time};

    use super::*;
    use crate::Config;
    use crate::ob::{self, Ref};
    use crate::ps::process::Origin;
    use crate::testing::with_kernel;

    fn process(image: Option<&str>) -> Ref<Eprocess> {
        let image = image.map(|path| Name::from_unix(path.to_owned()));
        let told = Process { process: ProcessId(400), image, ..Process::default() };
        Eprocess::new(&told, Origin::Created, Time(1))
    }

    #[test]
    fn a_process_has_a_file_where_its_image_is_known() {
        with_kernel(Config::default(), |kernel, _| {
            let mut file = std::ptr::null_mut();
            // SAFETY: live processes, and room for a pointer; the reference is given up once.
            unsafe {
                assert_eq!(PsReferenceProcessFilePointer(&process(None), &mut file), STATUS_UNSUCCESSFUL);
                assert_eq!(
                    PsReferenceProcessFilePointer(&kernel.ps.system.0, &mut file),
                    STATUS_UNSUCCESSFUL
                );
                assert_eq!(
                    PsReferenceProcessFilePointer(&process(Some("/bin/true")), &mut file),
                    STATUS_SUCCESS
                );
                assert_eq!(crate::rtl::text_of(&(*file).FileName), r"\bin\true");
                assert_eq!(ob::dereference(file), 0);
            }
        });
    }

    #[test]
    fn a_process_that_has_exited_cannot_be_kept() {
        with_kernel(Config::default(), |_, _| {
            let process = process(None);
            // SAFETY: a live process.
            unsafe {
                assert_eq!(PsAcquireProcessExitSynchronization(&process), STATUS_SUCCESS);
                PsReleaseProcessExitSynchronization(&process);
                process.set_exited(STATUS_SUCCESS, Time(5));
                assert_eq!(PsAcquireProcessExitSynchronization(&process), STATUS_PROCESS_IS_TERMINATING);
            }
        });
    }
}
