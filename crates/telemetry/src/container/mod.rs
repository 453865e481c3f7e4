//! What a file is packed in: nothing, gzip or zip. Told by its first bytes, never by its name.
//!
//! ```text
//!   path | "-" | bytes ──▶ Bytes ──▶ Part, Part, … ──▶ stream()    from its first byte, as often as asked
//!                     (spooled when                └─▶ seekable()  spooled when it is packed
//!                      it is no regular file)
//! ```
//!
//! What is unpacked is streamed: no part is ever held in memory.

mod bytes;
mod unpack;
mod zip;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::open::OpenError;

pub use bytes::Bytes;
use unpack::Packing;

/// A gzip member begins so.
const GZIP: &[u8] = b"\x1F\x8B";
/// A zip begins with an entry or, when it has none, with the end of its directory.
const ZIP: [&[u8]; 3] = [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"];

/// One stream of records: a file, or an entry of an archive.
#[derive(Clone, Debug)]
pub struct Part {
    name: String,
    bytes: Bytes,
    packing: Packing,
}

impl Part {
    /// The name of the file and, for an entry of an archive, `!` and the entry's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it holds, unpacked, from its first byte. A part can be read as often as needed, also at once.
    pub fn stream(&self) -> Box<dyn Read + Send> {
        unpack::stream(&self.bytes, &self.packing)
    }

    /// What it holds, for readers that jump about: unpacked into a temporary file where it is packed.
    ///
    /// # Errors
    /// The temporary file cannot be written, or what is packed is damaged.
    pub fn seekable(&self) -> io::Result<Bytes> {
        match self.packing {
            Packing::None => Ok(self.bytes.clone()),
            _ => spool(&mut self.stream()),
        }
    }

    /// One that is not packed.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn memory(name: &str, bytes: Bytes) -> Self {
        Self { name: name.into(), bytes, packing: Packing::None }
    }

    /// Its first bytes, as many as there are up to so many. What is damaged after some is told when it is read.
    pub(crate) fn prefix(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut prefix = Vec::new();
        match self.stream().take(most as u64).read_to_end(&mut prefix) {
            Err(error) if prefix.is_empty() => Err(error),
            _ => Ok(prefix),
        }
    }
}

/// The bytes of a path: of the file, or a spooled copy of what cannot be read twice (`-` is standard input).
pub(crate) fn bytes_of(path: &Path) -> io::Result<Bytes> {
    if path == Path::new("-") {
        return spool(&mut io::stdin().lock());
    }
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if about.is_file() {
        // The length by its end: procfs says 0 of files that have content.
        let length = file.seek(SeekFrom::End(0))?;
        if length > 0 {
            return Ok(Bytes::file(file, length));
        }
        file.rewind()?;
    }
    spool(&mut file)
}

/// The streams in a file, in the order of the archive.
pub(crate) fn parts(name: &str, bytes: Bytes) -> Result<Vec<Part>, OpenError> {
    let unreadable = |error| OpenError::Unreadable { name: name.into(), error };
    let plain = Part { name: name.into(), bytes, packing: Packing::None };
    let magic = plain.prefix(4).map_err(unreadable)?;
    if is_zip(&magic) {
        return zip::parts(name, &plain.bytes);
    }
    if !is_gzip(&magic) {
        return Ok(vec![plain]);
    }
    let part = Part { packing: Packing::Gzip, ..plain };
    let inner = part.prefix(4).map_err(unreadable)?;
    refuse_nested(name, &inner)?;
    Ok(vec![part])
}

fn is_gzip(magic: &[u8]) -> bool {
    magic.starts_with(GZIP)
}

fn is_zip(magic: &[u8]) -> bool {
    ZIP.iter().any(|zip| magic.starts_with(zip))
}

/// Archives in archives are how a small file is made to unpack without end.
fn refuse_nested(name: &str, inner: &[u8]) -> Result<(), OpenError> {
    let kind = if is_zip(inner) {
        "a zip archive"
    } else if is_gzip(inner) {
        "gzip"
    } else {
        return Ok(());
    };
    Err(OpenError::Nested { name: name.into(), kind })
}

/// A copy in a temporary file that has no name and goes away with its last reader.
fn spool(from: &mut dyn Read) -> io::Result<Bytes> {
    let mut file = tempfile::tempfile()?;
    let length = io::copy(from, &mut file)?;
    Ok(Bytes::file(file, length))
}
