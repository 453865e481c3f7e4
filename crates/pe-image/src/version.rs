//! The version resource: what the driver's maker calls it.

use crate::error::PeError;
use crate::header::Headers;
use object::LittleEndian as LE;
use object::pe;
use object::read::pe::{ResourceDirectory, ResourceDirectoryEntryData};

/// What the version resource says; strings are those of its first language.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionInfo {
    /// The four numbers of the file version.
    pub file_version: Option<[u16; 4]>,
    /// The strings, such as (`CompanyName`, `Contoso`), in the order of the file.
    pub strings: Vec<(String, String)>,
}

impl VersionInfo {
    /// The string called `name`, such as `FileDescription`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.strings.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// `RT_VERSION`
const RT_VERSION: u16 = 16;
/// Strings that are read at most.
const MAX_STRINGS: usize = 256;

/// The version resource, if there is one.
pub(crate) fn read(headers: &Headers<'_>) -> Result<Option<VersionInfo>, PeError> {
    let Some(directory) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_RESOURCE) else { return Ok(None) };
    let layout = &headers.layout;
    let what = "the resource directory";
    let range = |rva, size| PeError::OutOfRange { what, offset: directory.at, rva, size };
    let tree = layout.tail(directory.rva).ok_or_else(|| range(directory.rva, directory.size.into()))?;
    let broken = |_| range(directory.rva, directory.size.into());
    let resources = ResourceDirectory::new(tree);
    let root = resources.root().map_err(broken)?;
    let is_version = |entry: &&pe::ImageResourceDirectoryEntry| entry.name_or_id().id() == Some(RT_VERSION);
    let Some(mut entry) = root.entries.iter().find(is_version) else { return Ok(None) };
    // Below the type: the name, then the language; the first of each.
    for _ in 0..3 {
        match entry.data(resources).map_err(broken)? {
            ResourceDirectoryEntryData::Data(data) => {
                let (rva, size) = (data.offset_to_data.get(LE), data.size.get(LE));
                let bytes =
                    layout.slice(rva, size.into(), "the version resource", layout.offset(directory.rva))?;
                return Ok(parse(bytes));
            }
            ResourceDirectoryEntryData::Table(table) => match table.entries.first() {
                Some(first) => entry = first,
                None => return Ok(None),
            },
        }
    }
    Ok(None)
}

/// One block of the resource: every level is made of these.
struct Block<'a> {
    key: String,
    value: &'a [u8],
    children: &'a [u8],
    /// Bytes up to the next block.
    step: usize,
}

impl<'a> Block<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let field = |at: usize| bytes.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let length = usize::from(field(0)?);
        let block = bytes.get(..length)?;
        let key_bytes = block.get(6..)?;
        let key_units = key_bytes.chunks_exact(2).position(|unit| unit == [0, 0])?;
        let value_at = (6 + key_units * 2 + 2).next_multiple_of(4);
        // Text is counted in characters, everything else in bytes.
        let value_len = usize::from(field(2)?) * if field(4)? == 1 { 2 } else { 1 };
        let value_end = value_at.checked_add(value_len)?.min(length);
        Some(Self {
            key: text(&key_bytes[..key_units * 2]),
            value: block.get(value_at..value_end).unwrap_or(&[]),
            children: block.get(value_end.next_multiple_of(4)..).unwrap_or(&[]),
            step: length.next_multiple_of(4),
        })
    }

    fn all(mut bytes: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let block = Self::read(bytes)?;
            bytes = bytes.get(block.step..).unwrap_or(&[]);
            Some(block)
        })
    }
}

fn text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let units = units.take_while(|&unit| unit != 0);
    char::decode_utf16(units)
        .map(|c| c.ok().filter(|c| !c.is_control()).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn parse(bytes: &[u8]) -> Option<VersionInfo> {
    let root = Block::read(bytes)?;
    let tables = Block::all(root.children).filter(|block| block.key == "StringFileInfo");
    let tables = tables.filter_map(|info| Block::all(info.children).next());
    let strings = tables.flat_map(|table| Block::all(table.children)).take(MAX_STRINGS);
    let strings = strings.map(|string| (string.key, text(string.value))).collect();
    Some(VersionInfo { file_version: file_version(root.value), strings })
}

/// The numbers of `VS_FIXEDFILEINFO`.
fn file_version(fixed: &[u8]) -> Option<[u16; 4]> {
    let field = |at: usize| fixed.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let signature = (field(2)?, field(0)?) == (0xFEEF, 0x04BD);
    signature.then_some([field(10)?, field(8)?, field(14)?, field(12)?])
}
