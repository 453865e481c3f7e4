//! The entries of a zip archive, and what of it is refused.

use std::io::{self, Read, Seek, SeekFrom};

use ::zip::{CompressionMethod, ZipArchive};

use super::unpack::{self, Packing};
use super::{Bytes, Part, Store, refuse_nested};
use crate::open::OpenError;

/// More entries than anybody's recordings have.
const ENTRIES: u64 = 10_000;
/// The end of the directory takes at least so much.
const LEAST: usize = 22;
/// With as much comment behind it as there may be.
const END: u64 = LEAST as u64 + 0xFFFF;

pub(super) fn parts(name: &str, bytes: &Bytes) -> Result<Vec<Part>, OpenError> {
    let refused = |why: String| OpenError::Archive { name: name.into(), why };
    let damaged = |error: ::zip::result::ZipError| refused(error.to_string());
    let entries =
        declared(bytes).map_err(|error| OpenError::Unreadable { name: name.into(), error })?.ok_or_else(
            || refused("its directory, which stands at its end, is missing: the file was cut off".into()),
        )?;
    if entries > ENTRIES {
        return Err(refused(format!("it has {entries} entries; {ENTRIES} are read at most")));
    }
    let mut archive = ZipArchive::new(bytes.clone()).map_err(damaged)?;
    if archive.has_overlapping_files().map_err(damaged)? {
        return Err(refused("its entries overlap: such archives are made to unpack without end".into()));
    }
    let mut parts = Vec::new();
    let mut total = 0_u64;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(damaged)?;
        if !entry.is_file() {
            continue;
        }
        let shown = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let deflated = match entry.compression() {
            _ if entry.encrypted() => {
                return Err(refused(format!("its entry {shown} is encrypted")));
            }
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            other => {
                return Err(refused(format!(
                    "its entry {shown} is packed by {other}; stored and deflate are read"
                )));
            }
        };
        let (size, packed) = (entry.size(), entry.compressed_size());
        total = total.saturating_add(size);
        if size > unpack::limit(packed) || total > unpack::limit(bytes.len()) {
            return Err(refused(format!(
                "its entry {shown} would unpack {packed} bytes to {size}: no recording does"
            )));
        }
        let start = entry.data_start().ok_or_else(|| refused(format!("its entry {shown} has no data")))?;
        let part = Part {
            name: format!("{name}!{shown}"),
            store: Store::Bytes(
                bytes.span(start, packed),
                Packing::Entry { deflated, size, crc: entry.crc32() },
            ),
        };
        let inner =
            part.prefix(4).map_err(|error| OpenError::Unreadable { name: part.name.clone(), error })?;
        refuse_nested(&part.name, &inner)?;
        parts.push(part);
    }
    Ok(parts)
}

/// How many entries the end of the directory declares, read before anything is allocated for them.
fn declared(bytes: &Bytes) -> io::Result<Option<u64>> {
    let mut bytes = bytes.clone();
    let from = bytes.len().saturating_sub(END);
    bytes.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    bytes.read_to_end(&mut tail)?;
    Ok(declared_at(&tail))
}

fn declared_at(tail: &[u8]) -> Option<u64> {
    let end = tail.windows(LEAST).rposition(|end| end.starts_with(b"PK\x05\x06"))?;
    let entries = u16::from_le_bytes([*tail.get(end + 10)?, *tail.get(end + 11)?]);
    if entries != u16::MAX {
        return Some(u64::from(entries));
    }
    // So many or more: the number is in the 64-bit end before it.
    let wide = tail[..end].windows(4).rposition(|four| four == b"PK\x06\x06");
    let number = wide.and_then(|wide| tail.get(wide + 32..wide + 40)).and_then(|eight| eight.try_into().ok());
    Some(number.map_or(u64::from(entries), u64::from_le_bytes))
}
