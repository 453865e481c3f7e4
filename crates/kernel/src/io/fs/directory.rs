//! Listing directories of the volume.

use nt_abi::{
    FileBothDirectoryInformation, FileDirectoryInformation, FileFullDirectoryInformation,
    FileIdBothDirectoryInformation, FileIdFullDirectoryInformation, FileNamesInformation, IRP,
    STATUS_BUFFER_OVERFLOW, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_INFO_CLASS,
    STATUS_INVALID_PARAMETER, STATUS_NO_MORE_FILES, STATUS_NO_SUCH_FILE, STATUS_SUCCESS, UNICODE_STRING,
};

use super::super::irp::current_location;
use super::super::send::Outcome;
use super::tree::{Node, NodeId};
use super::{Context, files, information};
use crate::ob::name::upcase;

/// IRP_MN_QUERY_DIRECTORY.
pub(crate) const QUERY: u8 = 1;
/// SL_RESTART_SCAN and SL_RETURN_SINGLE_ENTRY, in the flags of the stack location.
pub(crate) const RESTART: u8 = 1;
pub(crate) const SINGLE: u8 = 2;

/// Whether a name matches an expression of `*` and `?`, and of the DOS forms of them.
fn matches(expression: &[u16], name: &[u16]) -> bool {
    let Some((first, rest)) = expression.split_first() else { return name.is_empty() };
    match u8::try_from(*first).unwrap_or(0) {
        b'*' | b'<' => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        b'?' | b'>' => !name.is_empty() && matches(rest, &name[1..]),
        _ => name.first().is_some_and(|unit| upcase(*unit) == upcase(*first)) && matches(rest, &name[1..]),
    }
}

/// Where the name is in an entry of a class.
fn name_offset(class: u32) -> Option<usize> {
    Some(match class {
        FileNamesInformation => 0x0C,
        FileDirectoryInformation => 0x40,
        FileFullDirectoryInformation => 0x44,
        FileIdFullDirectoryInformation => 0x50,
        FileBothDirectoryInformation => 0x5E,
        FileIdBothDirectoryInformation => 0x68,
        _ => return None,
    })
}

fn entry(name: &[u16], id: NodeId, node: &Node, class: u32, offset: usize) -> Vec<u8> {
    let length = u32::try_from(name.len() * 2).unwrap_or(u32::MAX).to_le_bytes();
    let mut entry = vec![0; 8];
    if class == FileNamesInformation {
        entry.extend(length);
    } else {
        let size = node.data.len() as u64;
        entry.extend(node.times.iter().flat_map(|time| time.to_le_bytes()));
        entry.extend(size.to_le_bytes());
        entry.extend(size.next_multiple_of(4096).to_le_bytes());
        entry.extend(information::attributes(node).to_le_bytes());
        entry.extend(length);
        entry.resize(offset, 0);
        if matches!(class, FileIdFullDirectoryInformation | FileIdBothDirectoryInformation) {
            entry[offset - 8..].copy_from_slice(&(id as u64 + 0x1000).to_le_bytes());
        }
    }
    entry.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
    entry
}

/// # Safety
/// `irp` is a directory request.
pub(super) unsafe fn control(irp: *mut IRP, context: &mut Context) -> Outcome {
    // SAFETY: by this function's contract.
    let (stack, buffer) = unsafe { (current_location(irp), (*irp).UserBuffer.cast::<u8>()) };
    // SAFETY: QueryDirectory: length, file name, class, index; as `zw` fills it in.
    let [length, name, class, _index] =
        unsafe { stack.Parameters.Others }.map(|field| field.expose_provenance());
    if stack.MinorFunction != QUERY {
        return (STATUS_INVALID_DEVICE_REQUEST, 0);
    }
    let Some((class, offset)) =
        u32::try_from(class).ok().and_then(|class| Some((class, name_offset(class)?)))
    else {
        return (STATUS_INVALID_INFO_CLASS, 0);
    };
    let files = files();
    let Some(children) = &files.node(context.node).children else { return (STATUS_INVALID_PARAMETER, 0) };
    let first = context.scan.is_none();
    if first || stack.Flags & RESTART != 0 {
        let name: *const UNICODE_STRING = std::ptr::with_exposed_provenance(name);
        // SAFETY: null, or the sender's string. Only the first query says what is looked for.
        let expression =
            unsafe { name.as_ref() }.map(|name| crate::rtl::text_of(name).encode_utf16().collect());
        let before = context.scan.take().map(|(_, expression)| expression);
        context.scan = Some((0, expression.or(before).unwrap_or_default()));
    }
    let Some((next, expression)) = &mut context.scan else { return (STATUS_INVALID_PARAMETER, 0) };
    let here =
        [(vec![u16::from(b'.')], context.node), (vec![u16::from(b'.'); 2], files.node(context.node).parent)];
    let entries = here.into_iter().chain(children.values().map(|id| (files.node(*id).name.clone(), *id)));
    let wanted = |(name, _): &(Vec<u16>, NodeId)| expression.is_empty() || matches(expression, name);
    let mut all: Vec<u8> = Vec::new();
    let mut last = None;
    for (name, id) in entries.filter(wanted).skip(*next) {
        let made = entry(&name, id, files.node(id), class, offset);
        let at = all.len().next_multiple_of(8);
        if at + made.len() > length {
            if last.is_none() {
                return (STATUS_BUFFER_OVERFLOW, 0);
            }
            break;
        }
        if let Some(last) = last {
            let step: usize = at - last;
            all[last..last + 4].copy_from_slice(&u32::try_from(step).unwrap_or_default().to_le_bytes());
        }
        all.resize(at, 0);
        all.extend(made);
        last = Some(at);
        *next += 1;
        if stack.Flags & SINGLE != 0 {
            break;
        }
    }
    if all.is_empty() {
        return (if first { STATUS_NO_SUCH_FILE } else { STATUS_NO_MORE_FILES }, 0);
    }
    // SAFETY: the sender's buffer has `length` bytes.
    unsafe { buffer.copy_from_nonoverlapping(all.as_ptr(), all.len()) };
    (STATUS_SUCCESS, all.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ob::name::units;

    #[test]
    fn expressions_match_as_on_nt() {
        let case = |expression, name| matches(&units(expression), &units(name));
        assert!(case("*", "a.txt") && case("*.TXT", "a.txt") && case("a?txt", "a.txt") && case("a*", "a"));
        assert!(!case("*.log", "a.txt") && !case("a", "ab") && !case("?", ""));
    }
}
