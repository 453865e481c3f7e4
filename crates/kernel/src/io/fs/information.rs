//! What is known of files of the volume, and of the volume.

use nt_abi::{
    FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_NORMAL, FILE_BASIC_INFORMATION, FILE_RENAME_INFORMATION,
    FileAccessInformation, FileAllInformation, FileAllocationInformation, FileAttributeTagInformation,
    FileBasicInformation, FileDispositionInformation, FileDispositionInformationEx, FileEaInformation,
    FileEndOfFileInformation, FileFsAttributeInformation, FileFsDeviceInformation, FileFsFullSizeInformation,
    FileFsSizeInformation, FileFsVolumeInformation, FileInternalInformation, FileModeInformation,
    FileNameInformation, FileNetworkOpenInformation, FileNormalizedNameInformation, FilePositionInformation,
    FileRenameInformation, FileStandardInformation, IRP, NTSTATUS, STATUS_BUFFER_OVERFLOW,
    STATUS_CANNOT_DELETE, STATUS_DIRECTORY_NOT_EMPTY, STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_INFO_CLASS,
    STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_OBJECT_NAME_COLLISION,
    STATUS_OBJECT_PATH_NOT_FOUND, STATUS_SUCCESS,
};

use super::super::irp::current_location;
use super::super::send::Outcome;
use super::tree::{CAPACITY, Files, Node, ROOT};
use super::{Context, files};
use crate::ob::name::units;

/// Bytes of an allocation unit.
const UNIT: usize = 4096;

fn long(value: usize) -> [u8; 8] {
    (value as u64).to_le_bytes()
}

fn bytes_of(units: &[u16]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
}

pub(super) fn attributes(node: &Node) -> u32 {
    if node.attributes == 0 { FILE_ATTRIBUTE_NORMAL } else { node.attributes }
}

fn basic(node: &Node) -> Vec<u8> {
    let mut answer: Vec<u8> = node.times.iter().flat_map(|time| time.to_le_bytes()).collect();
    answer.extend(attributes(node).to_le_bytes());
    answer.extend([0; 4]);
    answer
}

fn standard(node: &Node) -> Vec<u8> {
    let size = node.data.len();
    let mut answer = [long(size.next_multiple_of(UNIT)), long(size)].concat();
    answer.extend(1u32.to_le_bytes());
    answer.extend([u8::from(node.delete_pending), u8::from(node.is_directory()), 0, 0]);
    answer
}

fn name(files: &Files, node: usize) -> Vec<u8> {
    let path = files.path(node);
    let length = u32::try_from(path.len() * 2).unwrap_or(u32::MAX);
    [length.to_le_bytes().to_vec(), bytes_of(&path)].concat()
}

/// What a class has of a file, and how many bytes of it must fit.
fn describe(files: &Files, id: usize, class: u32, position: i64) -> Result<(Vec<u8>, usize), NTSTATUS> {
    let node = files.node(id);
    let answer = match class {
        FileBasicInformation => basic(node),
        FileStandardInformation => standard(node),
        FileInternalInformation => long(id + 0x1000).to_vec(),
        FileEaInformation | FileModeInformation => vec![0; 4],
        FileAccessInformation => nt_abi::FILE_ALL_ACCESS.to_le_bytes().to_vec(),
        FilePositionInformation => position.to_le_bytes().to_vec(),
        FileNameInformation | FileNormalizedNameInformation => return Ok((name(files, id), 4)),
        FileAttributeTagInformation => [attributes(node).to_le_bytes(), [0; 4]].concat(),
        FileNetworkOpenInformation => {
            let mut answer = basic(node);
            answer.splice(
                0x20..0x20,
                [long(node.data.len().next_multiple_of(UNIT)), long(node.data.len())].concat(),
            );
            answer
        }
        FileAllInformation => {
            let mut answer = [basic(node), standard(node), long(id + 0x1000).to_vec(), vec![0; 4]].concat();
            answer.extend(nt_abi::FILE_ALL_ACCESS.to_le_bytes());
            answer.extend(position.to_le_bytes());
            // Mode and alignment.
            answer.extend([0; 8]);
            let fixed = answer.len() + 4;
            answer.extend(name(files, id));
            return Ok((answer, fixed));
        }
        _ => return Err(STATUS_INVALID_INFO_CLASS),
    };
    let fixed = answer.len();
    Ok((answer, fixed))
}

/// Writes an answer into a request's buffer.
///
/// # Safety
/// `irp` has a system buffer of `length` bytes.
unsafe fn answer(irp: *mut IRP, length: u32, answer: &[u8], fixed: usize) -> Outcome {
    if (length as usize) < fixed {
        return (STATUS_INFO_LENGTH_MISMATCH, 0);
    }
    let fits = answer.len().min(length as usize);
    // SAFETY: by this function's contract.
    unsafe { (*irp).AssociatedIrp.SystemBuffer.cast::<u8>().copy_from_nonoverlapping(answer.as_ptr(), fits) };
    (if fits < answer.len() { STATUS_BUFFER_OVERFLOW } else { STATUS_SUCCESS }, fits)
}

/// # Safety
/// `irp` is a query of information.
pub(super) unsafe fn query(irp: *mut IRP, context: &mut Context) -> Outcome {
    // SAFETY: by this function's contract.
    unsafe {
        let stack = current_location(irp);
        let parameters = stack.Parameters.QueryFile;
        let position = (*stack.FileObject).CurrentByteOffset;
        match describe(&files(), context.node, parameters.InformationClass, position) {
            Ok((whole, fixed)) => answer(irp, parameters.Length, &whole, fixed),
            Err(status) => (status, 0),
        }
    }
}

/// # Safety
/// `irp` is a setting of information.
pub(super) unsafe fn set(irp: *mut IRP, context: &mut Context) -> Outcome {
    // SAFETY: by this function's contract: the system buffer has as many bytes as the request says.
    let (stack, class, given) = unsafe {
        let stack = current_location(irp);
        let parameters = stack.Parameters.SetFile;
        let start = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
        let given =
            if start.is_null() { &[] } else { std::slice::from_raw_parts(start, parameters.Length as usize) };
        (stack, parameters.FileInformationClass, given)
    };
    let number = |size: usize| {
        let bytes = given.get(..size)?;
        let mut all = [0; 8];
        all[..size].copy_from_slice(bytes);
        Some(i64::from_le_bytes(all))
    };
    let set = match class {
        FileBasicInformation => set_basic(context, given),
        FileDispositionInformation | FileDispositionInformationEx => {
            number(if class == FileDispositionInformation { 1 } else { 4 })
                .ok_or(STATUS_INFO_LENGTH_MISMATCH)
                .and_then(|delete| set_disposition(context, delete & 1 != 0))
        }
        FileEndOfFileInformation => number(8).ok_or(STATUS_INFO_LENGTH_MISMATCH).and_then(|end| {
            files().resize(context.node, usize::try_from(end).map_err(|_| STATUS_INVALID_PARAMETER)?)
        }),
        // A file has room for what it holds: less room cuts it, more room is nothing to be seen.
        FileAllocationInformation => number(8).ok_or(STATUS_INFO_LENGTH_MISMATCH).and_then(|size| {
            let size = usize::try_from(size).map_err(|_| STATUS_INVALID_PARAMETER)?;
            let mut files = files();
            if size < files.node(context.node).data.len() { files.resize(context.node, size) } else { Ok(()) }
        }),
        FilePositionInformation => {
            number(8).filter(|to| *to >= 0).ok_or(STATUS_INVALID_PARAMETER).map(|to| {
                // SAFETY: the request's file.
                unsafe { (*stack.FileObject).CurrentByteOffset = to }
            })
        }
        FileRenameInformation => rename(context, given),
        _ => Err(STATUS_INVALID_INFO_CLASS),
    };
    (set.err().unwrap_or(STATUS_SUCCESS), 0)
}

fn set_basic(context: &Context, given: &[u8]) -> Result<(), NTSTATUS> {
    if given.len() < size_of::<FILE_BASIC_INFORMATION>() {
        return Err(STATUS_INFO_LENGTH_MISMATCH);
    }
    // SAFETY: long enough, and any bytes are a value of it.
    let given = unsafe { given.as_ptr().cast::<FILE_BASIC_INFORMATION>().read_unaligned() };
    let mut files = files();
    let node = files.node_mut(context.node);
    let times = [given.CreationTime, given.LastAccessTime, given.LastWriteTime, given.ChangeTime];
    for (now, then) in node.times.iter_mut().zip(times) {
        // 0 leaves a time as it is, -1 stops its being kept.
        if then > 0 {
            *now = then;
        }
    }
    if given.FileAttributes != 0 {
        let kept = node.attributes & FILE_ATTRIBUTE_DIRECTORY;
        node.attributes = given.FileAttributes & 0x27 | kept;
    }
    Ok(())
}

fn set_disposition(context: &Context, delete: bool) -> Result<(), NTSTATUS> {
    let mut files = files();
    let node = files.node_mut(context.node);
    if delete && (context.node == ROOT || node.attributes & nt_abi::FILE_ATTRIBUTE_READONLY != 0) {
        return Err(STATUS_CANNOT_DELETE);
    }
    if delete && node.children.as_ref().is_some_and(|children| !children.is_empty()) {
        return Err(STATUS_DIRECTORY_NOT_EMPTY);
    }
    node.delete_pending = delete;
    Ok(())
}

fn rename(context: &Context, given: &[u8]) -> Result<(), NTSTATUS> {
    const NAME: usize = 0x14;
    if given.len() < size_of::<FILE_RENAME_INFORMATION>() {
        return Err(STATUS_INFO_LENGTH_MISMATCH);
    }
    // SAFETY: long enough, and any bytes are a value of it.
    let head = unsafe { given.as_ptr().cast::<FILE_RENAME_INFORMATION>().read_unaligned() };
    let name = given.get(NAME..NAME + head.FileNameLength as usize).ok_or(STATUS_INVALID_PARAMETER)?;
    let name: Vec<u16> = name.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    if !head.RootDirectory.is_null() {
        return Err(STATUS_NOT_SUPPORTED);
    }
    let text = String::from_utf16_lossy(&name);
    let text = text
        .strip_prefix(r"\??\C:")
        .or(text.strip_prefix(r"\Device\HarddiskVolume1"))
        .unwrap_or(&text)
        .to_owned();
    let mut files = files();
    let mut directory = files.node(context.node).parent;
    let mut names: Vec<_> = text.split('\\').filter(|name| !name.is_empty()).map(units).collect();
    let last = names.pop().ok_or(STATUS_INVALID_PARAMETER)?;
    if text.starts_with('\\') {
        directory = ROOT;
        for name in &names {
            directory = files.child(directory, name).ok_or(STATUS_OBJECT_PATH_NOT_FOUND)?;
        }
    } else if !names.is_empty() {
        return Err(STATUS_INVALID_PARAMETER);
    }
    match files.child(directory, &last) {
        Some(other) if other == context.node => {}
        Some(other) if head.Flags & 1 != 0 && !files.node(other).is_directory() => files.remove(other),
        Some(_) => return Err(STATUS_OBJECT_NAME_COLLISION),
        None => {}
    }
    files.rename(context.node, directory, &last);
    Ok(())
}

/// # Safety
/// `irp` is a query of the volume.
pub(super) unsafe fn volume(irp: *mut IRP) -> Outcome {
    /// Case is kept and Unicode is known, objects and streams are not.
    const ATTRIBUTES: u32 = 0x2 | 0x4;
    // SAFETY: by this function's contract.
    let parameters = unsafe { current_location(irp).Parameters.QueryVolume };
    let (total, free) = (CAPACITY / UNIT, CAPACITY.saturating_sub(files().used()) / UNIT);
    let sectors = [(UNIT / 512) as u64, 512]
        .map(|number| u32::try_from(number).unwrap_or_default().to_le_bytes())
        .concat();
    let (whole, fixed) = match parameters.InformationClass {
        FileFsVolumeInformation => {
            let mut whole = vec![0; 8];
            whole.extend(0xCA11_B0ADu32.to_le_bytes());
            whole.extend([0; 6]);
            (whole, 0x12)
        }
        FileFsSizeInformation => ([long(total).to_vec(), long(free).to_vec(), sectors].concat(), 0x18),
        FileFsFullSizeInformation => {
            ([long(total).to_vec(), long(free).to_vec(), long(free).to_vec(), sectors].concat(), 0x20)
        }
        FileFsDeviceInformation => ([nt_abi::FILE_DEVICE_DISK, 0x20].map(u32::to_le_bytes).concat(), 8),
        FileFsAttributeInformation => {
            let name = units("NTFS");
            ([[ATTRIBUTES, 255, 8].map(u32::to_le_bytes).concat(), bytes_of(&name)].concat(), 12)
        }
        _ => return (STATUS_INVALID_INFO_CLASS, 0),
    };
    // SAFETY: as above: the request has a system buffer of that length.
    unsafe { answer(irp, parameters.Length, &whole, fixed) }
}
