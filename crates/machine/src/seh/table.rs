//! Which function an address belongs to.

use crate::guarded;
use crate::images::{self, LoadedImage};

/// One entry of an image's function table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where the entry itself lies.
    pub entry: u64,
    /// First byte of the function, from the image's base.
    pub begin: u32,
    /// First byte behind it.
    pub end: u32,
    /// Its unwind information.
    pub unwind: u32,
}

const ENTRY_SIZE: u64 = 12;

impl Function {
    /// Reads the entry at an address; `None` when it is not readable.
    pub fn read(entry: u64) -> Option<Function> {
        Some(Function {
            entry,
            begin: guarded::try_read(entry).ok()?,
            end: guarded::try_read(entry + 4).ok()?,
            unwind: guarded::try_read(entry + 8).ok()?,
        })
    }
}

/// `RtlLookupFunctionEntry`: the image and the function of an address; the function is `None` for a leaf.
pub fn lookup(pc: u64) -> Option<(&'static LoadedImage, Option<Function>)> {
    let image = images::find(pc as usize)?;
    Some((image, search(image, (pc - image.base as u64) as u32)))
}

/// Binary search; a table that is not sorted finds nothing or the wrong function, but ends.
fn search(image: &LoadedImage, rva: u32) -> Option<Function> {
    let table = image.base as u64 + u64::from(image.function_table);
    let (mut low, mut high) = (0u64, u64::from(image.function_count));
    while low < high {
        let middle = low + (high - low) / 2;
        let function = Function::read(table + middle * ENTRY_SIZE)?;
        if rva < function.begin {
            high = middle;
        } else if rva >= function.end {
            low = middle + 1;
        } else {
            return Some(function);
        }
    }
    None
}
