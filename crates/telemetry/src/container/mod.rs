//! What a file is packed in: nothing, gzip or zip. Told by its first bytes, never by its name.
//!
//! ```text
//!   path | "-" ──▶ a file ──▶ Bytes ──▶ Part, Part, … ──▶ stream()    from its first byte, as often as asked
//!              │                                     └─▶ seekable()  spooled when it is packed
//!              └─▶ a pipe ──▶ Once ──▶ Part ──▶ stream()  once, as it comes; spooled where that does not do
//! ```
//!
//! What is unpacked is streamed: no part is ever held in memory.

mod bytes;
mod once;
mod unpack;
mod zip;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::Path;

use crate::open::OpenError;

pub use bytes::Bytes;
use once::Once;
use unpack::Packing;

/// A gzip member begins so.
const GZIP: &[u8] = b"\x1F\x8B";
/// A zip begins with an entry or, when it has none, with the end of its directory.
const ZIP: [&[u8]; 3] = [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"];

/// One stream of records: a file, or an entry of an archive.
#[derive(Clone, Debug)]
pub struct Part {
    name: String,
    store: Store,
}

#[derive(Clone, Debug)]
enum Store {
    Bytes(Bytes, Packing),
    /// What it is packed in is undone.
    Once(Once),
}

impl Part {
    /// The name of the file and, for an entry of an archive, `!` and the entry's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it holds, unpacked, from its first byte. A part can be read as often as needed, also at once, but a
    /// [live](Self::is_live) one: that is read once, and whoever comes later gets an error.
    pub fn stream(&self) -> Box<dyn Read + Send> {
        match &self.store {
            Store::Bytes(bytes, packing) => unpack::stream(bytes, packing),
            Store::Once(once) => once.stream(),
        }
    }

    /// How many of its bytes were read, and how many there are, packed as they are; `None` where nobody knows.
    pub fn progress(&self) -> Option<(u64, u64)> {
        match &self.store {
            Store::Bytes(bytes, _) => Some((bytes.reached(), bytes.len())),
            Store::Once(_) => None,
        }
    }

    /// The same, for one who only looks ahead: that is no progress.
    #[must_use]
    pub fn aside(&self) -> Self {
        let store = match &self.store {
            Store::Bytes(bytes, packing) => Store::Bytes(bytes.aside(), packing.clone()),
            Store::Once(once) => Store::Once(once.clone()),
        };
        Self { name: self.name.clone(), store }
    }

    /// Whether it comes through a pipe, as it is made: it can be read once, and may pause.
    pub const fn is_live(&self) -> bool {
        matches!(self.store, Store::Once(_))
    }

    /// What it holds, for readers that jump about: unpacked into a temporary file where it is packed.
    ///
    /// # Errors
    /// The temporary file cannot be written, or what is packed is damaged.
    pub fn seekable(&self) -> io::Result<Bytes> {
        match &self.store {
            Store::Bytes(bytes, Packing::None) => Ok(bytes.clone()),
            _ => spool(&mut self.stream()),
        }
    }

    /// The same, as what can be read as often as needed.
    pub(crate) fn spooled(self) -> io::Result<Self> {
        match self.store {
            Store::Bytes(..) => Ok(self),
            Store::Once(_) => Ok(Self { store: Store::Bytes(self.seekable()?, Packing::None), ..self }),
        }
    }

    /// One that is not packed.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn memory(name: &str, bytes: Bytes) -> Self {
        Self { name: name.into(), store: Store::Bytes(bytes, Packing::None) }
    }

    /// Its first bytes, as many as there are up to so many; of a live one those that were waited for. What is damaged after
    /// some is told when it is read.
    pub(crate) fn prefix(&self, most: usize) -> io::Result<Vec<u8>> {
        if let Store::Once(once) = &self.store {
            let prefix = once.prefix();
            return Ok(prefix[..prefix.len().min(most)].to_vec());
        }
        let mut prefix = Vec::new();
        match self.stream().take(most as u64).read_to_end(&mut prefix) {
            Err(error) if prefix.is_empty() => Err(error),
            _ => Ok(prefix),
        }
    }
}

/// What a path stands for: a file, or what comes as it is made (`-` is standard input).
pub(crate) enum Source {
    File(Bytes),
    Live(Box<dyn Read + Send>),
}

impl Source {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let mut file = match path == Path::new("-") {
            // Past the standard library's own buffer, which nobody else uses.
            true => File::from(io::stdin().as_fd().try_clone_to_owned()?),
            false => File::open(path)?,
        };
        let about = file.metadata()?;
        if about.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        if about.is_file() {
            // The length by its end: procfs says 0 of files that have content.
            let from = file.stream_position()?;
            let length = file.seek(SeekFrom::End(0))?;
            if length > from {
                return Ok(Self::File(Bytes::file(file, length).span(from, length)));
            }
            file.seek(SeekFrom::Start(from))?;
        }
        Ok(Self::Live(Box::new(file)))
    }
}

/// The streams in a file, in the order of the archive.
pub(crate) fn parts(name: &str, bytes: Bytes) -> Result<Vec<Part>, OpenError> {
    let unreadable = |error| OpenError::Unreadable { name: name.into(), error };
    let part = |packing| Part { name: name.into(), store: Store::Bytes(bytes.clone(), packing) };
    let plain = part(Packing::None);
    let magic = plain.prefix(4).map_err(unreadable)?;
    if is_zip(&magic) {
        return zip::parts(name, &bytes);
    }
    if !is_gzip(&magic) {
        return Ok(vec![plain]);
    }
    let part = part(Packing::Gzip);
    let inner = part.prefix(4).map_err(unreadable)?;
    refuse_nested(name, &inner)?;
    Ok(vec![part])
}

/// The same of what comes as it is made. So much of each is waited for that `enough` says so, or `most`.
pub(crate) fn live_parts(
    name: &str,
    input: Box<dyn Read + Send>,
    most: usize,
    enough: impl Fn(&[u8]) -> bool,
) -> Result<Vec<Part>, OpenError> {
    let unreadable = |error| OpenError::Unreadable { name: name.into(), error };
    let packed = |prefix: &[u8]| is_gzip(prefix) || is_zip(prefix);
    let peek = |input| Once::peek(input, most, |prefix| packed(prefix) || enough(prefix)).map_err(unreadable);
    let mut once = peek(input)?;
    if is_zip(once.prefix()) {
        return parts(name, spool(&mut once.stream()).map_err(unreadable)?);
    }
    if is_gzip(once.prefix()) {
        once = peek(Box::new(unpack::gzip(once.stream())))?;
        refuse_nested(name, once.prefix())?;
    }
    Ok(vec![Part { name: name.into(), store: Store::Once(once) }])
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
