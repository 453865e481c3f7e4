//! The error log: what drivers write there becomes notes.

use event::Level;
use export_macro::export;
use nt_abi::{IO_ERROR_LOG_PACKET, NTSTATUS};

use crate::ex::pool::{Allocation, Kind, Tag};
use crate::kernel;

/// An entry has no more bytes than this. Source: DDI, ERROR_LOG_MAXIMUM_SIZE less its head.
const MOST: u8 = 240;
const TAG: Tag = Tag(u32::from_le_bytes(*b"IoEr"));

/// Allocates an entry of the error log, of a driver or a device. NULL where it is too large or too small. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoAllocateErrorLogEntry(
    object: *const u8,
    size: u8,
) -> *mut IO_ERROR_LOG_PACKET {
    let bytes = usize::from(size);
    if object.is_null() || size > MOST || bytes < size_of::<IO_ERROR_LOG_PACKET>() {
        return std::ptr::null_mut();
    }
    let what = Allocation { size: bytes, tag: TAG, kind: Kind::NonPaged, owner: super::current_driver() };
    crate::ex::allocate(what, true).map_or(std::ptr::null_mut(), |memory| memory.cast().as_ptr())
}

/// Writes an entry into the error log, and frees it. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoWriteErrorLogEntry(entry: *mut IO_ERROR_LOG_PACKET) {
    let kernel = kernel();
    let Some(allocation) = kernel.ex.pool.find(entry.addr()).filter(|found| found.tag == TAG) else {
        // SAFETY: what is no entry is a bug check of the pool.
        return unsafe { IoFreeErrorLogEntry(entry) };
    };
    // SAFETY: an entry that `IoAllocateErrorLogEntry` gave, of as many bytes.
    let (packet, bytes) =
        unsafe { (entry.read(), std::slice::from_raw_parts(entry.cast::<u8>(), allocation.size)) };
    let strings = bytes.get(usize::from(packet.StringOffset)..).unwrap_or_default();
    let units: Vec<u16> = strings.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    let strings: Vec<String> = units
        .split(|&unit| unit == 0)
        .take(usize::from(packet.NumberOfStrings))
        .map(String::from_utf16_lossy)
        .collect();
    let code = NTSTATUS(packet.ErrorCode.0);
    let text = format!("error log: {code}, final status {} {}", packet.FinalStatus, strings.join(", "));
    kernel.note(Level::Info, text.trim_end());
    // SAFETY: as above; freed once.
    unsafe { IoFreeErrorLogEntry(entry) };
}

/// Frees an entry of the error log that is not written. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoFreeErrorLogEntry(entry: *mut IO_ERROR_LOG_PACKET) {
    // SAFETY: as this routine.
    unsafe { crate::ex::pool_routines::ExFreePoolWithTag(entry.addr(), TAG.0) };
}

#[cfg(test)]
mod tests {
    use event::Body;

    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn an_entry_becomes_a_note() {
        with_kernel(Config::default(), |kernel, records| {
            let object = 1;
            // SAFETY: an entry of the size that was asked for.
            unsafe {
                assert!(IoAllocateErrorLogEntry(&object, 241).is_null());
                assert!(IoAllocateErrorLogEntry(&object, 8).is_null());
                let entry = IoAllocateErrorLogEntry(&object, 0x30 + 6);
                (*entry).ErrorCode = NTSTATUS::from_u32(0xC004_0001);
                (*entry).NumberOfStrings = 1;
                (*entry).StringOffset = 0x30;
                entry.add(1).cast::<[u16; 3]>().write_unaligned([u16::from(b'H'), u16::from(b'i'), 0]);
                IoWriteErrorLogEntry(entry);
                assert!(kernel.ex.pool.find(entry.addr()).is_none());
            }
            let mut notes = records.all().into_iter().filter_map(|body| match body {
                Body::Note { text, .. } => Some(text),
                _ => None,
            });
            assert!(notes.next_back().is_some_and(|note| note.ends_with("Hi")));
        });
    }
}
