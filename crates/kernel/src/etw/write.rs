//! Writing events.

use export_macro::export;
use nt_abi::{
    EVENT_DATA_DESCRIPTOR, EVENT_DESCRIPTOR, GUID, NTSTATUS, PVOID, REGHANDLE, STATUS_INVALID_HANDLE,
    STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

use crate::kernel;

/// An event takes no more pieces. Source: DDI, MAX_EVENT_DATA_DESCRIPTORS.
const MOST_PIECES: u32 = 128;

/// What every way of writing answers: nobody listens, so a good event is written nowhere.
fn write(handle: REGHANDLE, pieces: u32, data: *const EVENT_DATA_DESCRIPTOR) -> NTSTATUS {
    if !kernel().etw.knows(handle) {
        return STATUS_INVALID_HANDLE;
    }
    if pieces > MOST_PIECES || (pieces > 0 && data.is_null()) {
        return STATUS_INVALID_PARAMETER;
    }
    STATUS_SUCCESS
}

/// Writes an event of a provider, to nobody. STATUS_INVALID_HANDLE where it is not registered. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn EtwWrite(
    handle: REGHANDLE,
    _event: *const EVENT_DESCRIPTOR,
    _activity: *const GUID,
    pieces: u32,
    data: *const EVENT_DATA_DESCRIPTOR,
) -> NTSTATUS {
    write(handle, pieces, data)
}

/// Writes an event with a filter and a related activity, to nobody. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn EtwWriteEx(
    handle: REGHANDLE,
    _event: *const EVENT_DESCRIPTOR,
    _filter: u64,
    _flags: u32,
    _activity: *const GUID,
    _related: *const GUID,
    pieces: u32,
    data: *const EVENT_DATA_DESCRIPTOR,
) -> NTSTATUS {
    write(handle, pieces, data)
}

/// Writes an event with a related activity, to nobody. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn EtwWriteTransfer(
    handle: REGHANDLE,
    _event: *const EVENT_DESCRIPTOR,
    _activity: *const GUID,
    _related: *const GUID,
    pieces: u32,
    data: *const EVENT_DATA_DESCRIPTOR,
) -> NTSTATUS {
    write(handle, pieces, data)
}

/// Writes a text as an event, to nobody. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn EtwWriteString(
    handle: REGHANDLE,
    _level: u8,
    _keyword: u64,
    _activity: *const GUID,
    text: *const u16,
) -> NTSTATUS {
    if text.is_null() { STATUS_INVALID_PARAMETER } else { write(handle, 0, std::ptr::null()) }
}

/// Asks about a trace session, as WPP code does: STATUS_INVALID_HANDLE, as there is none. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn WmiQueryTraceInformation(
    _class: u32,
    information: PVOID,
    _bytes: u32,
    needed: *mut u32,
    _buffer: PVOID,
) -> NTSTATUS {
    if information.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    if !needed.is_null() {
        // SAFETY: the driver's pointer.
        unsafe { needed.write(0) };
    }
    STATUS_INVALID_HANDLE
}

/// Writes a WPP message into a session: STATUS_INVALID_HANDLE, as there is none. Variadic. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn WmiTraceMessage(
    _session: u64,
    _flags: u32,
    _message: *const GUID,
    _number: u16,
) -> NTSTATUS {
    // What follows are the caller's to lay out and to take away: nothing of it is looked at.
    STATUS_INVALID_HANDLE
}

/// Writes a WPP message into a session, with the arguments as a list: STATUS_INVALID_HANDLE. Source: DDI.
#[export(irql any, since = Xp)]
pub unsafe extern "win64" fn WmiTraceMessageVa(
    _session: u64,
    _flags: u32,
    _message: *const GUID,
    _number: u16,
    _arguments: PVOID,
) -> NTSTATUS {
    STATUS_INVALID_HANDLE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::etw::provider::{EtwRegister, EtwUnregister};
    use crate::testing::with_kernel;

    #[test]
    fn only_a_registered_provider_writes() {
        with_kernel(Config::default(), |_, _| {
            let (id, mut handle) = (GUID::default(), 0);
            let (event, none) = (EVENT_DESCRIPTOR::default(), std::ptr::null());
            // SAFETY: pointers to what the routines document.
            unsafe {
                assert_eq!(EtwWrite(5, &event, none, 0, std::ptr::null()), STATUS_INVALID_HANDLE);
                assert_eq!(EtwRegister(&id, None, std::ptr::null_mut(), &mut handle), STATUS_SUCCESS);
                assert_eq!(EtwWrite(handle, &event, none, 0, std::ptr::null()), STATUS_SUCCESS);
                assert_eq!(EtwWrite(handle, &event, none, 2, std::ptr::null()), STATUS_INVALID_PARAMETER);
                assert_eq!(
                    EtwWriteTransfer(handle, &event, none, none, 129, &EVENT_DATA_DESCRIPTOR::default()),
                    STATUS_INVALID_PARAMETER
                );
                assert_eq!(EtwUnregister(handle), STATUS_SUCCESS);
                assert_eq!(EtwWriteString(handle, 1, 1, none, [0].as_ptr()), STATUS_INVALID_HANDLE);
            }
        });
    }
}
