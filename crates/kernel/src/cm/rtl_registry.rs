//! The registry by the run-time library: `RtlQueryRegistryValues`, `RtlWriteRegistryValue` and their family.
//!
//! As on NT these open keys by the same services as drivers do, so callbacks see what they do.

use std::ffi::c_void;

use export_macro::export;
use nt_abi::{
    HANDLE, KEY_ALL_ACCESS, KEY_READ, KeyValueFullInformation, NTSTATUS, OBJ_CASE_INSENSITIVE,
    OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, REG_EXPAND_SZ, REG_MULTI_SZ, REG_NONE, REG_SZ,
    RTL_QUERY_REGISTRY_DELETE, RTL_QUERY_REGISTRY_DIRECT, RTL_QUERY_REGISTRY_NOEXPAND,
    RTL_QUERY_REGISTRY_NOSTRING, RTL_QUERY_REGISTRY_NOVALUE, RTL_QUERY_REGISTRY_REQUIRED,
    RTL_QUERY_REGISTRY_SUBKEY, RTL_QUERY_REGISTRY_TABLE, RTL_QUERY_REGISTRY_TOPKEY,
    RTL_QUERY_REGISTRY_TYPECHECK, RTL_REGISTRY_ABSOLUTE, RTL_REGISTRY_CONTROL, RTL_REGISTRY_DEVICEMAP,
    RTL_REGISTRY_HANDLE, RTL_REGISTRY_OPTIONAL, RTL_REGISTRY_SERVICES, RTL_REGISTRY_USER,
    RTL_REGISTRY_WINDOWS_NT, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_OBJECT_TYPE_MISMATCH, STATUS_SUCCESS, UNICODE_STRING,
};

use super::key::{ZwCreateKey, ZwOpenKey};
use super::value::{ZwDeleteValueKey, ZwEnumerateValueKey, ZwQueryValueKey, ZwSetValueKey};
use crate::io::driver::as_driver;
use crate::kernel;
use crate::ob::name::units;

/// A value that was read: name with NUL, type, data.
#[derive(Clone, Debug, Default)]
struct Found {
    name: Vec<u16>,
    kind: u32,
    data: Vec<u8>,
}

/// An open key, closed when dropped unless it is the caller's.
#[derive(Debug)]
struct Key {
    handle: HANDLE,
    own: bool,
}

impl Drop for Key {
    fn drop(&mut self) {
        if self.own {
            // The handle was opened here, so it can be closed.
            let _ = kernel().ob.handles.close(self.handle);
        }
    }
}

/// The units of a NUL-terminated string of a driver.
///
/// # Safety
/// `text` is null or a NUL-terminated string.
unsafe fn wide(text: *const u16) -> Vec<u16> {
    let mut all = Vec::new();
    if text.is_null() {
        return all;
    }
    // SAFETY: by this function's contract.
    unsafe {
        while *text.add(all.len()) != 0 {
            all.push(*text.add(all.len()));
        }
    }
    all
}

/// Calls something with a counted string.
fn with_string<T>(text: &[u16], call: impl FnOnce(*const UNICODE_STRING) -> T) -> Result<T, NTSTATUS> {
    let bytes = u16::try_from(text.len() * 2).map_err(|_| nt_abi::STATUS_NAME_TOO_LONG)?;
    let string = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: text.as_ptr().cast_mut() };
    Ok(call(&raw const string))
}

fn open(root: HANDLE, path: &[u16], create: bool, write: bool) -> Result<Key, NTSTATUS> {
    let mut handle = std::ptr::null_mut();
    let status = with_string(path, |name| {
        let attributes = OBJECT_ATTRIBUTES {
            Length: 0x30,
            RootDirectory: root,
            ObjectName: name,
            Attributes: OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE,
            ..OBJECT_ATTRIBUTES::default()
        };
        let access = if write { KEY_ALL_ACCESS } else { KEY_READ };
        // SAFETY: everything lives during the call.
        unsafe {
            if create {
                ZwCreateKey(&mut handle, access, &attributes, 0, std::ptr::null(), 0, std::ptr::null_mut())
            } else {
                ZwOpenKey(&mut handle, access, &attributes)
            }
        }
    })?;
    if status.is_success() { Ok(Key { handle, own: true }) } else { Err(status) }
}

/// Opens the key that a path is relative to, and follows the path; `create` makes its last component.
///
/// # Safety
/// `path` is null, a NUL-terminated string, or the handle that `relative` says it is.
unsafe fn locate(relative: u32, path: *const u16, create: bool, write: bool) -> Result<Key, NTSTATUS> {
    if relative & RTL_REGISTRY_HANDLE != 0 {
        return Ok(Key { handle: path.cast_mut().cast(), own: false });
    }
    let base = match relative & !RTL_REGISTRY_OPTIONAL {
        RTL_REGISTRY_ABSOLUTE => "",
        RTL_REGISTRY_SERVICES => r"\Registry\Machine\System\CurrentControlSet\Services",
        RTL_REGISTRY_CONTROL => r"\Registry\Machine\System\CurrentControlSet\Control",
        RTL_REGISTRY_WINDOWS_NT => r"\Registry\Machine\Software\Microsoft\Windows NT\CurrentVersion",
        RTL_REGISTRY_DEVICEMAP => r"\Registry\Machine\Hardware\DeviceMap",
        RTL_REGISTRY_USER => r"\Registry\User\.Default",
        _ => return Err(STATUS_INVALID_PARAMETER),
    };
    // SAFETY: by this function's contract.
    let path = unsafe { wide(path) };
    let mut whole = units(base);
    if !base.is_empty() && !path.is_empty() {
        whole.push(u16::from(b'\\'));
    }
    whole.extend(path);
    open(std::ptr::null_mut(), &whole, create, write)
}

/// Takes a KEY_VALUE_FULL_INFORMATION apart.
fn parse(answer: &[u8]) -> Option<Found> {
    let number = |at: usize| Some(u32::from_le_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    let (kind, offset, length, name) =
        (number(4)?, number(8)? as usize, number(12)? as usize, number(16)? as usize);
    let data = answer.get(offset..offset + length).unwrap_or_default().to_vec();
    let name =
        answer.get(0x14..0x14 + name)?.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    Some(Found { name: name.chain([0]).collect(), kind, data })
}

/// Asks twice: for the size, and for the answer.
fn ask(query: impl Fn(*mut u8, u32, &mut u32) -> NTSTATUS) -> Result<Found, NTSTATUS> {
    let mut told = 0;
    let status = query(std::ptr::null_mut(), 0, &mut told);
    if !status.is_success() && status != STATUS_BUFFER_TOO_SMALL {
        return Err(status);
    }
    let mut answer = vec![0; told as usize];
    let status = query(answer.as_mut_ptr(), told, &mut told);
    if !status.is_success() {
        return Err(status);
    }
    parse(&answer).ok_or(nt_abi::STATUS_REGISTRY_CORRUPT)
}

fn query(key: &Key, name: &[u16]) -> Result<Found, NTSTATUS> {
    // SAFETY: everything lives during the call.
    ask(|buffer, length, told| unsafe {
        with_string(name, |name| {
            ZwQueryValueKey(key.handle, name, KeyValueFullInformation, buffer, length, told)
        })
        .unwrap_or_else(|status| status)
    })
}

fn enumerate(key: &Key, index: u32) -> Result<Found, NTSTATUS> {
    // SAFETY: everything lives during the call.
    ask(|buffer, length, told| unsafe {
        ZwEnumerateValueKey(key.handle, index, KeyValueFullInformation, buffer, length, told)
    })
}

/// Text of the registry with its references to the two variables that kernel drivers have.
fn expand(data: &[u8]) -> Vec<u8> {
    let units: Vec<u16> = data.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    let text = String::from_utf16_lossy(&units);
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find('%') {
        let Some(length) = rest[start + 1..].find('%') else { break };
        let name = &rest[start + 1..start + 1 + length];
        out.push_str(&rest[..start]);
        match name.to_ascii_lowercase().as_str() {
            "systemroot" | "windir" => out.push_str(r"C:\Windows"),
            "systemdrive" => out.push_str("C:"),
            _ => out.push_str(&rest[start..start + length + 2]),
        }
        rest = &rest[start + length + 2..];
    }
    out.push_str(rest);
    out.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Gives a value to a row's routine, or puts it where the row points.
///
/// # Safety
/// The row is a driver's.
unsafe fn give(row: &RTL_QUERY_REGISTRY_TABLE, found: &Found, context: *mut c_void) -> NTSTATUS {
    let expands = row.Flags & RTL_QUERY_REGISTRY_NOEXPAND == 0;
    let (mut kind, mut data) = (found.kind, found.data.clone());
    if expands && kind == REG_EXPAND_SZ {
        (kind, data) = (REG_SZ, expand(&data));
    }
    if row.Flags & RTL_QUERY_REGISTRY_DIRECT != 0 {
        // SAFETY: by this function's contract.
        return unsafe { put(row, kind, &data) };
    }
    let routine = row.QueryRoutine.map_or(0, |routine| (routine as *const ()).expose_provenance());
    if expands && kind == REG_MULTI_SZ {
        // Each string by itself.
        for text in data
            .chunks_exact(2)
            .collect::<Vec<_>>()
            .split(|unit| **unit == [0, 0])
            .filter(|text| !text.is_empty())
        {
            let mut text = text.concat();
            text.extend([0, 0]);
            // SAFETY: as above.
            let status = unsafe { call(routine, found, REG_SZ, &mut text, context, row.EntryContext) };
            if !status.is_success() && status != STATUS_BUFFER_TOO_SMALL {
                return status;
            }
        }
        return STATUS_SUCCESS;
    }
    // SAFETY: as above.
    let status = unsafe { call(routine, found, kind, &mut data, context, row.EntryContext) };
    // A routine may answer this to be called again with the rest; there is none.
    if status == STATUS_BUFFER_TOO_SMALL { STATUS_SUCCESS } else { status }
}

/// # Safety
/// `routine` is a driver's.
unsafe fn call(
    routine: usize,
    found: &Found,
    kind: u32,
    data: &mut [u8],
    context: *mut c_void,
    entry: *mut c_void,
) -> NTSTATUS {
    let mut name = found.name.clone();
    let none = found.kind == REG_NONE && data.is_empty();
    let start = if none { std::ptr::null_mut() } else { data.as_mut_ptr() };
    let arguments = [
        name.as_mut_ptr().expose_provenance() as u64,
        kind.into(),
        start.expose_provenance() as u64,
        data.len() as u64,
        context.expose_provenance() as u64,
        entry.expose_provenance() as u64,
    ];
    let owner = kernel().io.driver_at(routine).map(|driver| driver.id);
    let returned = as_driver(owner, routine as u64, || {
        // SAFETY: by this function's contract; what the arguments point to lives during the call.
        unsafe { machine::call_driver(routine, arguments) }
    });
    NTSTATUS::from_u32(u32::try_from(returned & 0xFFFF_FFFF).unwrap_or_default())
}

/// Puts a value where a row points.
///
/// # Safety
/// `EntryContext` points to what the documentation asks for, for a value of that type.
unsafe fn put(row: &RTL_QUERY_REGISTRY_TABLE, kind: u32, data: &[u8]) -> NTSTATUS {
    let into = row.EntryContext;
    // SAFETY: by this function's contract.
    unsafe {
        match kind {
            REG_SZ | REG_EXPAND_SZ | REG_MULTI_SZ => {
                let string = &mut *into.cast::<UNICODE_STRING>();
                let mut text: Vec<u16> =
                    data.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
                let end = if kind == REG_MULTI_SZ {
                    text.len()
                } else {
                    text.iter().position(|unit| *unit == 0).unwrap_or(text.len())
                };
                text.truncate(end);
                let Ok(bytes) = u16::try_from(text.len() * 2 + 2) else { return STATUS_BUFFER_TOO_SMALL };
                if string.Buffer.is_null() {
                    return crate::io::query::pool_string(string, &text);
                }
                if string.MaximumLength < bytes {
                    return STATUS_BUFFER_TOO_SMALL;
                }
                string.Buffer.copy_from_nonoverlapping(text.as_ptr(), text.len());
                string.Buffer.add(text.len()).write(0);
                string.Length = bytes - 2;
            }
            _ if data.len() <= 4 => into.cast::<u8>().copy_from_nonoverlapping(data.as_ptr(), data.len()),
            _ => {
                // A negative first number is the room for the data alone; a positive one for size, type and data.
                let room = into.cast::<i32>().read_unaligned();
                let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
                if room < 0 {
                    if room.unsigned_abs() < size {
                        return STATUS_BUFFER_TOO_SMALL;
                    }
                    into.cast::<u8>().copy_from_nonoverlapping(data.as_ptr(), data.len());
                } else {
                    if room.unsigned_abs() < size.saturating_add(8) {
                        return STATUS_BUFFER_TOO_SMALL;
                    }
                    into.cast::<[u32; 2]>().write_unaligned([size, kind]);
                    into.cast::<u8>().add(8).copy_from_nonoverlapping(data.as_ptr(), data.len());
                }
            }
        }
    }
    STATUS_SUCCESS
}

/// Handles one row.
///
/// # Safety
/// The row is a driver's.
unsafe fn row(key: &Key, row: &RTL_QUERY_REGISTRY_TABLE, context: *mut c_void) -> NTSTATUS {
    let direct = row.Flags & RTL_QUERY_REGISTRY_DIRECT != 0;
    // SAFETY: by this function's contract.
    let name = unsafe { wide(row.Name) };
    if direct
        && (row.Name.is_null() || row.Flags & RTL_QUERY_REGISTRY_SUBKEY != 0 || row.QueryRoutine.is_some())
    {
        return STATUS_INVALID_PARAMETER;
    }
    if row.Flags & RTL_QUERY_REGISTRY_NOVALUE != 0 {
        let none = Found { name: name.into_iter().chain([0]).collect(), ..Found::default() };
        // SAFETY: as above.
        return unsafe { give(row, &none, context) };
    }
    if row.Name.is_null() || (row.Flags & RTL_QUERY_REGISTRY_SUBKEY != 0 && row.QueryRoutine.is_some()) {
        for index in 0.. {
            let Ok(found) = enumerate(key, index) else { break };
            // SAFETY: as above.
            let status = unsafe { give(row, &found, context) };
            if !status.is_success() {
                return status;
            }
        }
        return STATUS_SUCCESS;
    }
    match query(key, &name) {
        Ok(found) => {
            let wanted = row.DefaultType >> 24;
            if direct && row.Flags & RTL_QUERY_REGISTRY_TYPECHECK != 0 && wanted != found.kind {
                return STATUS_OBJECT_TYPE_MISMATCH;
            }
            let text = matches!(found.kind, REG_SZ | REG_EXPAND_SZ | REG_MULTI_SZ);
            if direct && row.Flags & RTL_QUERY_REGISTRY_NOSTRING != 0 && text {
                return STATUS_OBJECT_TYPE_MISMATCH;
            }
            // SAFETY: as above.
            let status = unsafe { give(row, &found, context) };
            if status.is_success() && row.Flags & RTL_QUERY_REGISTRY_DELETE != 0 {
                // SAFETY: everything lives during the call.
                let _ = with_string(&name, |name| unsafe { ZwDeleteValueKey(key.handle, name) });
            }
            status
        }
        Err(STATUS_OBJECT_NAME_NOT_FOUND) if row.Flags & RTL_QUERY_REGISTRY_REQUIRED == 0 => {
            let kind = row.DefaultType & 0x00FF_FFFF;
            if kind == REG_NONE {
                return STATUS_SUCCESS;
            }
            // SAFETY: as above: the default's data has as many bytes as the row says, or ends with its NUL.
            let data = unsafe {
                if row.DefaultLength == 0 && matches!(kind, REG_SZ | REG_EXPAND_SZ) {
                    wide(row.DefaultData.cast())
                        .iter()
                        .chain(&[0])
                        .flat_map(|unit| unit.to_le_bytes())
                        .collect()
                } else if row.DefaultData.is_null() {
                    Vec::new()
                } else {
                    std::slice::from_raw_parts(row.DefaultData.cast::<u8>(), row.DefaultLength as usize)
                        .to_vec()
                }
            };
            let found = Found { name: name.into_iter().chain([0]).collect(), kind, data };
            // SAFETY: as above.
            unsafe { give(row, &found, context) }
        }
        Err(status) => status,
    }
}

/// Reads several values of a key, as a table says: into variables, or through routines. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlQueryRegistryValues(
    relative: u32,
    path: *const u16,
    table: *const RTL_QUERY_REGISTRY_TABLE,
    context: *mut c_void,
    _environment: *const c_void,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    let top = match unsafe { locate(relative, path, false, true) } {
        Ok(key) => key,
        Err(_) if relative & RTL_REGISTRY_OPTIONAL != 0 => return STATUS_SUCCESS,
        Err(status) => return status,
    };
    let mut below: Option<Key> = None;
    for index in 0.. {
        // SAFETY: as above: the table ends with a row that has neither routine nor flags.
        let entry = unsafe { table.add(index).read() };
        let last = entry.QueryRoutine.is_none()
            && entry.Flags & (RTL_QUERY_REGISTRY_SUBKEY | RTL_QUERY_REGISTRY_DIRECT) == 0;
        if last {
            break;
        }
        if entry.Flags & (RTL_QUERY_REGISTRY_TOPKEY | RTL_QUERY_REGISTRY_SUBKEY) != 0 {
            below = None;
        }
        if entry.Flags & RTL_QUERY_REGISTRY_SUBKEY != 0 {
            if entry.Name.is_null() {
                return STATUS_INVALID_PARAMETER;
            }
            // SAFETY: as above.
            match open(top.handle, &unsafe { wide(entry.Name) }, false, true) {
                Ok(key) => below = Some(key),
                Err(status) => return status,
            }
            if entry.QueryRoutine.is_none() {
                continue;
            }
        }
        // SAFETY: as above.
        let status = unsafe { row(below.as_ref().unwrap_or(&top), &entry, context) };
        if !status.is_success() {
            return status;
        }
    }
    STATUS_SUCCESS
}

/// Reads several values of a key, as `RtlQueryRegistryValues`. Source: public symbol lists.
#[export(irql == PASSIVE, since = Win8)]
pub unsafe extern "win64" fn RtlQueryRegistryValuesEx(
    relative: u32,
    path: *const u16,
    table: *const RTL_QUERY_REGISTRY_TABLE,
    context: *mut c_void,
    environment: *const c_void,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { RtlQueryRegistryValues(relative, path, table, context, environment) }
}

/// Sets a value of a key, which is made where it is not there. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlWriteRegistryValue(
    relative: u32,
    path: *const u16,
    name: *const u16,
    kind: u32,
    data: *const u8,
    length: u32,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe {
        match locate(relative, path, true, true) {
            Ok(key) => {
                with_string(&wide(name), |name| ZwSetValueKey(key.handle, name, 0, kind, data, length))
                    .unwrap_or_else(|status| status)
            }
            Err(status) => status,
        }
    }
}

/// Deletes a value of a key. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlDeleteRegistryValue(
    relative: u32,
    path: *const u16,
    name: *const u16,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    unsafe {
        match locate(relative, path, false, true) {
            Ok(key) => with_string(&wide(name), |name| ZwDeleteValueKey(key.handle, name))
                .unwrap_or_else(|status| status),
            Err(status) => status,
        }
    }
}

/// Says whether a key is there. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlCheckRegistryKey(relative: u32, path: *const u16) -> NTSTATUS {
    // SAFETY: a driver's pointer.
    unsafe { locate(relative, path, false, false) }.err().unwrap_or(STATUS_SUCCESS)
}

/// Makes a key that is not there. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn RtlCreateRegistryKey(relative: u32, path: *const u16) -> NTSTATUS {
    // SAFETY: a driver's pointer.
    unsafe { locate(relative, path, true, true) }.err().unwrap_or(STATUS_SUCCESS)
}
