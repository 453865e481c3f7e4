//! What processes of the bench have in their memory: the images that are mapped, as far as drivers look at them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::{Architecture, ProcessId};

/// `IMAGE_DOS_HEADER::e_lfanew` of the headers that are made up.
const PE_HEADER: u8 = 0x80;
const MACHINE_AMD64: u16 = 0x8664;
const MACHINE_I386: u16 = 0x014C;
const PE32: u16 = 0x010B;
const PE32_PLUS: u16 = 0x020B;

/// A view: how much address space, and what is at its beginning. The rest is zero.
#[derive(Debug)]
struct View {
    size: u64,
    bytes: Vec<u8>,
}

/// The views of all processes. Shared with the host's client, which asks for pages in the middle of a delivery.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<BTreeMap<(u32, u64), View>>>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(u32, u64), View>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A view that begins with `bytes`.
    pub(crate) fn map(&self, process: ProcessId, base: u64, size: u64, bytes: Vec<u8>) {
        self.lock().insert((process.0, base), View { size, bytes });
    }

    /// The view is gone.
    pub(crate) fn unmap(&self, process: ProcessId, base: u64) {
        self.lock().remove(&(process.0, base));
    }

    /// The process is gone.
    pub(crate) fn clear(&self, process: ProcessId) {
        self.lock().retain(|&(owner, _), _| owner != process.0);
    }
}

impl host::UserMemory for Memory {
    fn read(&mut self, process: ProcessId, address: u64, page: &mut [u8; 4096]) -> bool {
        let views = self.lock();
        let below = views.range((process.0, 0)..=(process.0, address)).next_back();
        let Some((&(_, base), view)) = below else { return false };
        let offset = address - base;
        if offset >= view.size {
            return false;
        }
        page.fill(0);
        let rest =
            usize::try_from(offset).ok().and_then(|offset| view.bytes.get(offset..)).unwrap_or_default();
        let count = rest.len().min(page.len());
        page[..count].copy_from_slice(&rest[..count]);
        true
    }
}

/// The headers of an image of which nobody says what is in it: enough for whoever asks what it is compiled for, where
/// it wants to be and how large it is.
pub(crate) fn header(architecture: Architecture, base: u64, size: u64) -> Vec<u8> {
    let wide = architecture != Architecture::X86;
    let mut bytes = vec![0; 0x400];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"MZ");
    put(0x3C, &u32::from(PE_HEADER).to_le_bytes());
    put(usize::from(PE_HEADER), b"PE\0\0");
    // FileHeader: Machine, no section, SizeOfOptionalHeader, Characteristics (executable, large addresses).
    let file = usize::from(PE_HEADER) + 4;
    put(file, &(if wide { MACHINE_AMD64 } else { MACHINE_I386 }).to_le_bytes());
    put(file + 16, &(if wide { 0xF0_u16 } else { 0xE0 }).to_le_bytes());
    put(file + 18, &0x0022_u16.to_le_bytes());
    // OptionalHeader: Magic, ImageBase, alignments, versions, sizes, Subsystem, NumberOfRvaAndSizes.
    let optional = file + 20;
    put(optional, &(if wide { PE32_PLUS } else { PE32 }).to_le_bytes());
    if wide {
        put(optional + 24, &base.to_le_bytes());
    } else {
        put(optional + 28, &u32::try_from(base).unwrap_or(0).to_le_bytes());
    }
    put(optional + 32, &0x1000_u32.to_le_bytes());
    put(optional + 36, &0x200_u32.to_le_bytes());
    put(optional + 40, &10_u16.to_le_bytes());
    put(optional + 48, &10_u16.to_le_bytes());
    put(optional + 56, &u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    put(optional + 60, &0x400_u32.to_le_bytes());
    put(optional + 68, &3_u16.to_le_bytes());
    put(optional + if wide { 108 } else { 92 }, &16_u32.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use host::UserMemory as _;

    use super::*;

    #[test]
    fn a_page_is_what_its_view_has_and_zero_behind() {
        let mut memory = Memory::default();
        memory.map(ProcessId(8), 0x10_000, 0x3000, vec![7; 0x1004]);
        let mut page = [1; 4096];
        assert!(memory.read(ProcessId(8), 0x11_000, &mut page));
        assert_eq!((&page[..5], page[4095]), (&[7, 7, 7, 7, 0][..], 0));
        assert!(memory.read(ProcessId(8), 0x12_000, &mut page) && page == [0; 4096]);
        assert!(!memory.read(ProcessId(8), 0x13_000, &mut page), "behind it");
        assert!(!memory.read(ProcessId(8), 0xF000, &mut page), "before it");
        assert!(!memory.read(ProcessId(12), 0x10_000, &mut page), "another process");
        memory.unmap(ProcessId(8), 0x10_000);
        assert!(!memory.read(ProcessId(8), 0x10_000, &mut page));
    }
}
