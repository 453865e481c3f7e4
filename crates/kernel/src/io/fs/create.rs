//! Opening and closing files of the volume.

use nt_abi::{
    DELETE, FILE_ATTRIBUTE_READONLY, FILE_CREATE, FILE_CREATED, FILE_DELETE_ON_CLOSE, FILE_DIRECTORY_FILE,
    FILE_NON_DIRECTORY_FILE, FILE_OBJECT, FILE_OPEN, FILE_OPEN_IF, FILE_OPENED, FILE_OVERWRITE,
    FILE_OVERWRITE_IF, FILE_OVERWRITTEN, FILE_SUPERSEDE, FILE_SUPERSEDED, FILE_WRITE_DATA, FO_VOLUME_OPEN,
    IRP, NTSTATUS, STATUS_ACCESS_DENIED, STATUS_DELETE_PENDING, STATUS_FILE_IS_A_DIRECTORY,
    STATUS_INVALID_PARAMETER, STATUS_NOT_A_DIRECTORY, STATUS_OBJECT_NAME_COLLISION,
    STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_PATH_NOT_FOUND, STATUS_SUCCESS,
};

use super::super::irp::current_location;
use super::super::send::Outcome;
use super::tree::{Files, NodeId, ROOT};
use super::{Context, MAGIC, context, files};

/// Characters that no name has.
const FORBIDDEN: &[u8] = b"\"*/<>?|";

/// Where a path leads: an entry, or the directory that would hold it and its name.
enum Place<'n> {
    There(NodeId),
    Free(NodeId, &'n [u16]),
}

fn locate<'n>(files: &Files, from: NodeId, path: &'n [u16]) -> Result<Place<'n>, NTSTATUS> {
    let names: Vec<_> =
        path.split(|unit| *unit == u16::from(b'\\')).filter(|name| !name.is_empty()).collect();
    let mut at = from;
    for (index, name) in names.iter().enumerate() {
        let wrong =
            |unit: &u16| *unit < 0x20 || u8::try_from(*unit).is_ok_and(|byte| FORBIDDEN.contains(&byte));
        if name.len() > 255 || name.iter().any(wrong) {
            return Err(STATUS_OBJECT_NAME_INVALID);
        }
        if !files.node(at).is_directory() {
            return Err(STATUS_OBJECT_PATH_NOT_FOUND);
        }
        match files.child(at, name) {
            Some(found) => at = found,
            None if index + 1 == names.len() => return Ok(Place::Free(at, name)),
            None => return Err(STATUS_OBJECT_PATH_NOT_FOUND),
        }
    }
    Ok(Place::There(at))
}

/// # Safety
/// `irp` is a create request.
pub(super) unsafe fn create(irp: *mut IRP) -> Outcome {
    // SAFETY: by this function's contract.
    let (file, parameters, access) = unsafe {
        let stack = current_location(irp);
        let parameters = stack.Parameters.Create;
        let security = parameters.SecurityContext.cast::<nt_abi::IO_SECURITY_CONTEXT>();
        (&mut *stack.FileObject, parameters, security.as_ref().map_or(0, |security| security.DesiredAccess))
    };
    // SAFETY: null, or the open file that this one is relative to.
    let from = unsafe { context(file.RelatedFileObject) }.map_or(ROOT, |related| related.node);
    let (disposition, options) = (parameters.Options >> 24, parameters.Options & 0x00FF_FFFF);
    let path: Vec<u16> = crate::rtl::text_of(&file.FileName).encode_utf16().collect();
    let attributes = u32::from(parameters.FileAttributes);
    // No name at all is the volume itself, which is opened as if it were a file.
    let is_volume = path.is_empty() && file.RelatedFileObject.is_null();
    let options =
        if is_volume { options & !(FILE_NON_DIRECTORY_FILE | FILE_DIRECTORY_FILE) } else { options };
    if is_volume {
        file.Flags |= FO_VOLUME_OPEN;
    }
    match open(&path, from, disposition, options, access, attributes) {
        Ok((node, information)) => {
            let context = Box::new(Context {
                header: [0; 12],
                magic: MAGIC,
                node,
                scan: None,
                delete_on_close: options & FILE_DELETE_ON_CLOSE != 0,
            });
            let context = Box::into_raw(context);
            (file.FsContext, file.FsContext2) = (context.cast(), context.cast());
            (STATUS_SUCCESS, information)
        }
        Err(status) => (status, 0),
    }
}

fn open(
    path: &[u16],
    from: NodeId,
    disposition: u32,
    options: u32,
    access: u32,
    attributes: u32,
) -> Result<(NodeId, usize), NTSTATUS> {
    let now = crate::ke::time::now().0;
    let mut files = files();
    let wants_directory = options & FILE_DIRECTORY_FILE != 0;
    if disposition > FILE_OVERWRITE_IF
        || (wants_directory && (options & FILE_NON_DIRECTORY_FILE != 0 || disposition == FILE_SUPERSEDE))
        || (options & FILE_DELETE_ON_CLOSE != 0 && access & DELETE == 0)
    {
        return Err(STATUS_INVALID_PARAMETER);
    }
    let (node, information) = match locate(&files, from, path)? {
        Place::Free(directory, name) => {
            if matches!(disposition, FILE_OPEN | FILE_OVERWRITE) {
                return Err(STATUS_OBJECT_NAME_NOT_FOUND);
            }
            (files.add(directory, name, wants_directory, attributes, now), FILE_CREATED)
        }
        Place::There(node) => {
            let found = files.node(node);
            if found.delete_pending {
                return Err(STATUS_DELETE_PENDING);
            }
            if disposition == FILE_CREATE {
                return Err(STATUS_OBJECT_NAME_COLLISION);
            }
            if wants_directory && !found.is_directory() {
                return Err(STATUS_NOT_A_DIRECTORY);
            }
            if options & FILE_NON_DIRECTORY_FILE != 0 && found.is_directory() {
                return Err(STATUS_FILE_IS_A_DIRECTORY);
            }
            let empties = matches!(disposition, FILE_SUPERSEDE | FILE_OVERWRITE | FILE_OVERWRITE_IF);
            let changes = empties || access & FILE_WRITE_DATA != 0;
            if changes && !found.is_directory() && found.attributes & FILE_ATTRIBUTE_READONLY != 0 {
                return Err(STATUS_ACCESS_DENIED);
            }
            if empties && found.is_directory() {
                return Err(STATUS_FILE_IS_A_DIRECTORY);
            }
            let information = match disposition {
                FILE_OPEN | FILE_OPEN_IF => FILE_OPENED,
                FILE_SUPERSEDE => FILE_SUPERSEDED,
                _ => FILE_OVERWRITTEN,
            };
            if empties {
                files.resize(node, 0)?;
                files.node_mut(node).times[2] = now;
            }
            (node, information)
        }
    };
    files.node_mut(node).handles += 1;
    Ok((node, information))
}

/// The last handle of a file object is gone; with the last of all, a file that was to be deleted.
pub(super) fn cleanup(context: &mut Context) -> Outcome {
    let mut files = files();
    let node = files.node_mut(context.node);
    node.delete_pending |= context.delete_on_close;
    node.handles = node.handles.saturating_sub(1);
    let empty = node.children.as_ref().is_none_or(std::collections::BTreeMap::is_empty);
    if node.handles == 0 && node.delete_pending && empty && context.node != ROOT {
        files.remove(context.node);
    }
    (STATUS_SUCCESS, 0)
}

/// # Safety
/// `file` has a context, and this is its last request.
pub(super) unsafe fn close(file: *mut FILE_OBJECT) -> Outcome {
    // SAFETY: by this function's contract; `create` made the context.
    unsafe {
        let context = std::mem::replace(&mut (*file).FsContext, std::ptr::null_mut());
        (*file).FsContext2 = std::ptr::null_mut();
        drop(Box::from_raw(context.cast::<Context>()));
    }
    (STATUS_SUCCESS, 0)
}
