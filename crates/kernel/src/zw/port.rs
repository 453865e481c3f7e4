//! Local procedure calls: no program of a bench has a port, so nothing is ever connected.

use export_macro::export;
use nt_abi::{
    HANDLE, NTSTATUS, OBJECT_ATTRIBUTES, STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_PORT_DISCONNECTED, UNICODE_STRING,
};

/// Connects to a port: STATUS_OBJECT_NAME_NOT_FOUND, as there is none. Source: public symbol lists.
#[export(irql == PASSIVE, since = VistaSp1)]
pub unsafe extern "win64" fn ZwAlpcConnectPort(
    port: *mut HANDLE,
    name: *const UNICODE_STRING,
    _attributes: *const OBJECT_ATTRIBUTES,
    _port_attributes: *const u8,
    _flags: u32,
    _required_sid: *const u8,
    _message: *mut u8,
    _bytes: *mut u32,
    _out: *mut u8,
    _in: *mut u8,
    _timeout: *const i64,
) -> NTSTATUS {
    if port.is_null() || name.is_null() { STATUS_INVALID_PARAMETER } else { STATUS_OBJECT_NAME_NOT_FOUND }
}

/// Sends a message to a port: STATUS_INVALID_HANDLE, as no handle is one to a port. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtRequestPort(_port: HANDLE, _message: *mut u8) -> NTSTATUS {
    STATUS_INVALID_HANDLE
}

/// Sends a message to a port and waits for the answer: STATUS_INVALID_HANDLE. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtRequestWaitReplyPort(
    _port: HANDLE,
    _message: *mut u8,
    _reply: *mut u8,
) -> NTSTATUS {
    STATUS_INVALID_HANDLE
}

/// Sends a message to a port object: STATUS_PORT_DISCONNECTED, as nobody listens. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn LpcRequestPort(_port: *mut u8, _message: *mut u8) -> NTSTATUS {
    STATUS_PORT_DISCONNECTED
}
