//! The values of open keys.

use export_macro::export;
use nt_abi::{
    HANDLE, KeyValueBasicInformation, KeyValueFullInformation, KeyValueFullInformationAlign64,
    KeyValuePartialInformation, KeyValuePartialInformationAlign64, NTSTATUS,
    REG_DELETE_VALUE_KEY_INFORMATION, REG_QUERY_VALUE_KEY_INFORMATION, REG_SET_VALUE_KEY_INFORMATION,
    STATUS_INVALID_PARAMETER, STATUS_NO_MORE_ENTRIES, STATUS_OBJECT_NAME_INVALID,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS, UNICODE_STRING,
};

use super::answer::{Answer, Buffer};
use super::callback::around;
use super::tree::Value;
use super::{key, operation};
use crate::kernel;
use crate::ob::attributes::units_of;

/// The longest name of a value, in characters.
const LONGEST_NAME: usize = 16_383;

/// A value as an information class has it, and how many bytes of that are there always.
///
/// # Errors
/// STATUS_INVALID_PARAMETER for a class that there is not.
fn describe(value: &Value, class: u32) -> Result<(Vec<u8>, usize), NTSTATUS> {
    let (name, data) = (value.name.len() * 2, value.data.len());
    let answer = Answer::default();
    Ok(match class {
        KeyValueBasicInformation => {
            (answer.u32(0).u32(value.kind).size(name).units(&value.name).done(), 0x0C)
        }
        KeyValueFullInformation | KeyValueFullInformationAlign64 => {
            let align = if class == KeyValueFullInformation { 4 } else { 8 };
            let offset = (0x14 + name).next_multiple_of(align);
            let answer = answer.u32(0).u32(value.kind).size(offset).size(data).size(name);
            (answer.units(&value.name).to(offset).bytes(&value.data).done(), 0x14)
        }
        KeyValuePartialInformation => {
            (answer.u32(0).u32(value.kind).size(data).bytes(&value.data).done(), 0x0C)
        }
        KeyValuePartialInformationAlign64 => {
            (answer.u32(value.kind).size(data).bytes(&value.data).done(), 0x08)
        }
        _ => return Err(STATUS_INVALID_PARAMETER),
    })
}

/// Returns a value of a key, found by name. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryValueKey(
    key: HANDLE,
    name: *const UNICODE_STRING,
    class: u32,
    information: *mut u8,
    length: u32,
    result_length: *mut u32,
) -> NTSTATUS {
    let key = match key::of_handle(kernel(), key) {
        Ok(key) => key,
        Err(status) => return status,
    };
    let mut told = REG_QUERY_VALUE_KEY_INFORMATION {
        Object: key.as_ptr().cast(),
        ValueName: name.cast_mut(),
        KeyValueInformationClass: class,
        KeyValueInformation: information.cast(),
        Length: length,
        ResultLength: result_length,
        ..REG_QUERY_VALUE_KEY_INFORMATION::default()
    };
    let query = || {
        let id = key.id;
        // SAFETY: a driver's pointers, as documented.
        let name = unsafe { units_of(name) }?;
        let tree = kernel().cm.tree();
        let value = tree.key(id).value(&name).ok_or(STATUS_OBJECT_NAME_NOT_FOUND)?;
        let (answer, fixed) = describe(value, class)?;
        drop(tree);
        // SAFETY: as above.
        Ok(unsafe { Buffer { start: information, length, result: result_length }.write(&answer, fixed) })
    };
    around(kernel(), operation::QUERY_VALUE, Some(&key), &mut told, |_| {
        (query().unwrap_or_else(|status| status), None)
    })
}

/// Returns a value of a key, found by its place among the values. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwEnumerateValueKey(
    key: HANDLE,
    index: u32,
    class: u32,
    information: *mut u8,
    length: u32,
    result_length: *mut u32,
) -> NTSTATUS {
    let key = match key::of_handle(kernel(), key) {
        Ok(key) => key,
        Err(status) => return status,
    };
    let mut told = operation::Enumerate {
        object: key.as_ptr().cast(),
        index,
        class,
        information: information.cast(),
        length,
        result: result_length,
        call_context: std::ptr::null_mut(),
        object_context: std::ptr::null_mut(),
        reserved: std::ptr::null_mut(),
    };
    let query = || {
        let id = key.id;
        let tree = kernel().cm.tree();
        let value = tree.key(id).values.get(index as usize).ok_or(STATUS_NO_MORE_ENTRIES)?;
        let (answer, fixed) = describe(value, class)?;
        drop(tree);
        // SAFETY: a driver's pointers, as documented.
        Ok(unsafe { Buffer { start: information, length, result: result_length }.write(&answer, fixed) })
    };
    around(kernel(), operation::ENUMERATE_VALUE, Some(&key), &mut told, |_| {
        (query().unwrap_or_else(|status| status), None)
    })
}

/// Sets a value of a key, which is made where it is not there. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwSetValueKey(
    key: HANDLE,
    name: *const UNICODE_STRING,
    title: u32,
    kind: u32,
    data: *const u8,
    length: u32,
) -> NTSTATUS {
    let key = match key::of_handle(kernel(), key) {
        Ok(key) => key,
        Err(status) => return status,
    };
    let mut told = REG_SET_VALUE_KEY_INFORMATION {
        Object: key.as_ptr().cast(),
        ValueName: name.cast_mut(),
        TitleIndex: title,
        Type: kind,
        Data: data.cast_mut().cast(),
        DataSize: length,
        ..REG_SET_VALUE_KEY_INFORMATION::default()
    };
    let set = || {
        let id = key.id;
        // SAFETY: a driver's pointers, as documented.
        let name = unsafe { units_of(name) }?;
        if name.len() > LONGEST_NAME {
            return Err(STATUS_OBJECT_NAME_INVALID);
        }
        let data = if length == 0 {
            Vec::new()
        } else {
            // SAFETY: as above.
            unsafe { std::slice::from_raw_parts(data, length as usize) }.to_vec()
        };
        let now = crate::ke::time::now().0;
        let mut tree = kernel().cm.tree();
        let key = tree.key_mut(id);
        key.set(&name, kind, data);
        key.written = now;
        Ok(STATUS_SUCCESS)
    };
    around(kernel(), operation::SET_VALUE, Some(&key), &mut told, |_| {
        (set().unwrap_or_else(|status| status), None)
    })
}

/// Deletes a value of a key. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwDeleteValueKey(key: HANDLE, name: *const UNICODE_STRING) -> NTSTATUS {
    let key = match key::of_handle(kernel(), key) {
        Ok(key) => key,
        Err(status) => return status,
    };
    let mut told = REG_DELETE_VALUE_KEY_INFORMATION {
        Object: key.as_ptr().cast(),
        ValueName: name.cast_mut(),
        ..REG_DELETE_VALUE_KEY_INFORMATION::default()
    };
    let delete = || {
        let id = key.id;
        // SAFETY: a driver's pointer, as documented.
        let name = unsafe { units_of(name) }?;
        let now = crate::ke::time::now().0;
        let mut tree = kernel().cm.tree();
        let key = tree.key_mut(id);
        if !key.unset(&name) {
            return Err(STATUS_OBJECT_NAME_NOT_FOUND);
        }
        key.written = now;
        Ok(STATUS_SUCCESS)
    };
    around(kernel(), operation::DELETE_VALUE, Some(&key), &mut told, |_| {
        (delete().unwrap_or_else(|status| status), None)
    })
}
