//! The kernel debugger, which is not there, and routines that listen to what is printed.

use std::sync::{Mutex, PoisonError};

use event::{Body, DriverId, Leak, LeakKind};
use export_macro::export;
use nt_abi::{ANSI_STRING, NTSTATUS, STATUS_DEBUGGER_INACTIVE, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

use crate::Kernel;
use crate::io::{self, driver::as_driver};

/// Routines that listen, with the driver of each. Only a few ever do.
static LISTENERS: Mutex<Vec<(usize, Option<DriverId>)>> = Mutex::new(Vec::new());

/// Has a routine called with all that is printed, or ends that. Source: public symbol lists.
#[export(irql <= APC, since = VistaSp1)]
pub unsafe extern "win64" fn DbgSetDebugPrintCallback(callback: usize, enable: u8) -> NTSTATUS {
    if callback == 0 {
        return STATUS_INVALID_PARAMETER;
    }
    let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
    let place = listeners.iter().position(|(known, _)| *known == callback);
    match (place, enable != 0) {
        (None, true) => listeners.push((callback, io::current_driver())),
        (Some(place), false) => {
            listeners.remove(place);
        }
        // It listens already, or does not.
        _ => return STATUS_INVALID_PARAMETER,
    }
    STATUS_SUCCESS
}

/// Calls the routines that listen: text, component, level.
pub(super) fn tell(text: &[u8], component: u32, level: u32) {
    let listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (callback, owner) in listeners {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        let buffer = text.as_ptr().cast_mut().cast();
        let string = ANSI_STRING { Length: length, MaximumLength: length, Buffer: buffer };
        let at = (&raw const string).expose_provenance() as u64;
        as_driver(owner, callback as u64, || {
            // SAFETY: what the driver said its routine is; a wrong address faults as the driver's fault.
            unsafe { machine::call3(callback, at, component.into(), level.into()) }
        });
    }
}

/// An unloaded driver listens no more: its routine would be called in freed code, which is told (L-18).
pub(crate) fn report_leaks(kernel: &Kernel, driver: &io::Driver) {
    let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
    let before = listeners.len();
    listeners.retain(|(_, owner)| *owner != Some(driver.id));
    let count = (before - listeners.len()) as u64;
    drop(listeners);
    if count > 0 {
        let what = "debug print callback".into();
        kernel.record(Body::Leak(Leak { driver: driver.id, kind: LeakKind::Routine, what, count, bytes: 0 }));
        let message = format!(
            "{} was unloaded and still listens to what is printed: call DbgSetDebugPrintCallback with FALSE",
            driver.name
        );
        kernel.finding_of(Some(driver.id), &crate::rule::L_18, &message, None);
    }
}

/// Switches the kernel debugger off: STATUS_DEBUGGER_INACTIVE, as there is none. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn KdDisableDebugger() -> NTSTATUS {
    STATUS_DEBUGGER_INACTIVE
}

/// Switches the kernel debugger on: STATUS_DEBUGGER_INACTIVE, as there is none. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn KdEnableDebugger() -> NTSTATUS {
    STATUS_DEBUGGER_INACTIVE
}

/// Changes an option of the kernel debugger: STATUS_DEBUGGER_INACTIVE, as there is none. Source: DDI.
#[export(irql any, since = VistaSp1)]
pub unsafe extern "win64" fn KdChangeOption(
    _option: u32,
    _input_bytes: u32,
    _input: *const u8,
    _output_bytes: u32,
    _output: *mut u8,
    needed: *mut u32,
) -> NTSTATUS {
    if !needed.is_null() {
        // SAFETY: the driver's pointer.
        unsafe { needed.write(0) };
    }
    STATUS_DEBUGGER_INACTIVE
}

/// Looks whether a kernel debugger is there, and says whether none is: TRUE. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KdRefreshDebuggerNotPresent() -> u8 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

    unsafe extern "win64" fn listen(text: *const ANSI_STRING, component: u32, level: u32) {
        // SAFETY: a counted string, valid during the call.
        let text = unsafe {
            let text = &*text;
            std::slice::from_raw_parts(text.Buffer.cast::<u8>(), text.Length.into())
        };
        HEARD.lock().unwrap().push(format!("{} {component} {level}", String::from_utf8_lossy(text)));
    }

    #[test]
    fn a_listener_hears_what_is_printed() {
        with_kernel(Config::default(), |_, records| {
            let routine = (listen as *const ()).expose_provenance();
            // SAFETY: a routine, and formats without arguments.
            unsafe {
                assert_eq!(DbgSetDebugPrintCallback(routine, 1), STATUS_SUCCESS);
                assert_eq!(DbgSetDebugPrintCallback(routine, 1), STATUS_INVALID_PARAMETER);
                crate::dbg::print::vDbgPrintEx(77, 3, c"heard\n".as_ptr().cast(), std::ptr::null());
                assert_eq!(DbgSetDebugPrintCallback(routine, 0), STATUS_SUCCESS);
                crate::dbg::print::vDbgPrintEx(77, 3, c"not heard\n".as_ptr().cast(), std::ptr::null());
            }
            assert_eq!(*HEARD.lock().unwrap(), ["heard\n 77 3"]);
            assert_eq!(records.lines(), ["heard", "not heard"]);
        });
    }
}
