//! The CodeView record: which PDB belongs to the image.

use crate::bytes::{cast, printable, slice};
use crate::error::PeError;
use crate::header::Headers;
use object::LittleEndian as LE;
use object::pe;
use std::fmt;

/// The identity of a PDB, as linker and debugger agree on it (`RSDS` record).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeView {
    /// GUID in the byte order of the file (first three fields little-endian).
    pub guid: [u8; 16],
    /// How often the PDB was written since it was made.
    pub age: u32,
    /// Where the linker wrote it; a Windows path mostly. What is no text is replaced.
    pub path: String,
}

impl CodeView {
    /// The last component of the path.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.path.rsplit(['\\', '/']).next().unwrap_or(&self.path)
    }

    /// The GUID's fields as numbers, for comparison with those of a PDB.
    #[must_use]
    pub fn guid_fields(&self) -> (u32, u16, u16, [u8; 8]) {
        let g = &self.guid;
        let tail = [g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]];
        let (b, c) = (u16::from_le_bytes([g[4], g[5]]), u16::from_le_bytes([g[6], g[7]]));
        (u32::from_le_bytes([g[0], g[1], g[2], g[3]]), b, c, tail)
    }

    /// The GUID as people write it.
    #[must_use]
    pub fn guid_text(&self) -> String {
        let (a, b, c, [d0, d1, d2, d3, d4, d5, d6, d7]) = self.guid_fields();
        format!("{a:08x}-{b:04x}-{c:04x}-{d0:02x}{d1:02x}-{d2:02x}{d3:02x}{d4:02x}{d5:02x}{d6:02x}{d7:02x}")
    }
}

impl fmt::Display for CodeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} age {} ({})", self.guid_text(), self.age, self.path)
    }
}

/// The first `RSDS` record of the debug directory.
pub(crate) fn read(headers: &Headers<'_>) -> Result<Option<CodeView>, PeError> {
    let Some(directory) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_DEBUG) else { return Ok(None) };
    let what = "the debug directory";
    let entries = headers.layout.slice(directory.rva, directory.size.into(), what, directory.at)?;
    for entry in entries.chunks_exact(size_of::<pe::ImageDebugDirectory>()) {
        let Some(entry) = cast::<pe::ImageDebugDirectory>(entry) else { continue };
        if entry.typ.get(LE) != pe::IMAGE_DEBUG_TYPE_CODEVIEW {
            continue;
        }
        let (offset, size) = (entry.pointer_to_raw_data.get(LE), entry.size_of_data.get(LE));
        let record = slice(headers.layout.data, offset.into(), size.into(), "the CodeView record")?;
        if let Some(view) = code_view(record) {
            return Ok(Some(view));
        }
    }
    Ok(None)
}

fn code_view(record: &[u8]) -> Option<CodeView> {
    let (guid, rest) = record.strip_prefix(b"RSDS")?.split_first_chunk::<16>()?;
    let (age, path) = rest.split_first_chunk::<4>()?;
    let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len()).min(crate::limits::MAX_NAME);
    let path = printable(&path[..end]);
    Some(CodeView { guid: *guid, age: u32::from_le_bytes(*age), path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsds_records_are_read() {
        let mut record = b"RSDS".to_vec();
        record.extend((0u8..16).chain([3, 0, 0, 0]));
        record.extend(b"C:\\build\\my driver.pdb\0rest");
        let view = code_view(&record).unwrap();
        assert_eq!((view.age, view.file_name()), (3, "my driver.pdb"));
        assert_eq!(view.to_string(), "03020100-0504-0706-0809-0a0b0c0d0e0f age 3 (C:\\build\\my driver.pdb)");
        assert_eq!(code_view(b"NB10...................."), None);
        assert_eq!(code_view(&record[..20]), None);
    }
}
