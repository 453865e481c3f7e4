//! What drivers ask of open keys: themselves and their subkeys.

use export_macro::export;
use nt_abi::{
    HANDLE, KeyBasicInformation, KeyCachedInformation, KeyFullInformation, KeyNameInformation,
    KeyNodeInformation, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_NO_MORE_ENTRIES,
};

use super::answer::{Answer, Buffer};
use super::callback::around;
use super::key;
use super::operation::{ENUMERATE_KEY, Enumerate, QUERY_KEY, QueryKey};
use super::tree::{KeyId, Tree};
use crate::kernel;

/// A key as an information class has it, and how many bytes of that are there always.
///
/// # Errors
/// STATUS_INVALID_PARAMETER for a class that there is not.
fn describe(tree: &Tree, id: KeyId, class: u32) -> Result<(Vec<u8>, usize), NTSTATUS> {
    let key = tree.key(id);
    let (name, class_name) = (key.name.len() * 2, key.class.len() * 2);
    let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let (keys, values) = (key.children.len(), key.values.len());
    let longest_key = longest(&mut key.children.values().map(|id| tree.key(*id).name.len() * 2));
    let longest_class = longest(&mut key.children.values().map(|id| tree.key(*id).class.len() * 2));
    let longest_name = longest(&mut key.values.iter().map(|value| value.name.len() * 2));
    let longest_data = longest(&mut key.values.iter().map(|value| value.data.len()));
    let answer = Answer::default();
    Ok(match class {
        KeyBasicInformation => (answer.i64(key.written).u32(0).size(name).units(&key.name).done(), 0x10),
        KeyNodeInformation => {
            let offset = if class_name == 0 { usize::MAX } else { (0x18 + name).next_multiple_of(4) };
            let answer =
                answer.i64(key.written).u32(0).size(offset).size(class_name).size(name).units(&key.name);
            let answer = if class_name == 0 { answer } else { answer.to(offset).units(&key.class) };
            (answer.done(), 0x18)
        }
        KeyFullInformation => {
            let offset = if class_name == 0 { usize::MAX } else { 0x2C };
            let answer =
                answer.i64(key.written).u32(0).size(offset).size(class_name).size(keys).size(longest_key);
            let answer = answer.size(longest_class).size(values).size(longest_name).size(longest_data);
            (answer.units(&key.class).done(), 0x2C)
        }
        KeyNameInformation => {
            let path = tree.path(id);
            (answer.size(path.len() * 2).units(&path).done(), 4)
        }
        KeyCachedInformation => {
            let answer =
                answer.i64(key.written).u32(0).size(keys).size(longest_key).size(values).size(longest_name);
            (answer.size(longest_data).size(name).to(0x28).done(), 0x28)
        }
        _ => return Err(STATUS_INVALID_PARAMETER),
    })
}

/// Returns information on an open key. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQueryKey(
    key: HANDLE,
    class: u32,
    information: *mut u8,
    length: u32,
    result: *mut u32,
) -> NTSTATUS {
    let key = match key::of_handle(kernel(), key) {
        Ok(key) => key,
        Err(status) => return status,
    };
    let mut told = QueryKey {
        object: key.as_ptr().cast(),
        class,
        information: information.cast(),
        length,
        result,
        call_context: std::ptr::null_mut(),
        object_context: std::ptr::null_mut(),
        reserved: std::ptr::null_mut(),
    };
    around(kernel(), QUERY_KEY, Some(&key), &mut told, |_| {
        let described = describe(&kernel().cm.tree(), key.id, class);
        let status = match described {
            // SAFETY: a driver's pointers, as documented.
            Ok((answer, fixed)) => unsafe {
                Buffer { start: information, length, result }.write(&answer, fixed)
            },
            Err(status) => status,
        };
        (status, None)
    })
}

/// Returns information on a subkey of an open key, found by its place. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwEnumerateKey(
    key: HANDLE,
    index: u32,
    class: u32,
    information: *mut u8,
    length: u32,
    result: *mut u32,
) -> NTSTATUS {
    let key = match key::of_handle(kernel(), key) {
        Ok(key) => key,
        Err(status) => return status,
    };
    let mut told = Enumerate {
        object: key.as_ptr().cast(),
        index,
        class,
        information: information.cast(),
        length,
        result,
        call_context: std::ptr::null_mut(),
        object_context: std::ptr::null_mut(),
        reserved: std::ptr::null_mut(),
    };
    around(kernel(), ENUMERATE_KEY, Some(&key), &mut told, |_| {
        let tree = kernel().cm.tree();
        let child = tree.key(key.id).children.values().nth(index as usize).copied();
        let described = child.ok_or(STATUS_NO_MORE_ENTRIES).and_then(|child| describe(&tree, child, class));
        drop(tree);
        let status = match described {
            // SAFETY: a driver's pointers, as documented.
            Ok((answer, fixed)) => unsafe {
                Buffer { start: information, length, result }.write(&answer, fixed)
            },
            Err(status) => status,
        };
        (status, None)
    })
}
