//! Unpacking, as a stream, with a limit to what it may grow to.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Crc;
use flate2::read::{DeflateDecoder, MultiGzDecoder};

use super::Bytes;

/// Any packed stream may grow to this.
const ALWAYS: u64 = 256 << 20;
/// And to so many times what it is packed in. Logs reach some tens; only what is made to grow comes near deflate's own
/// limit of 1,032.
const RATIO: u64 = 300;

/// How a part is packed.
#[derive(Clone, Debug)]
pub(super) enum Packing {
    None,
    Gzip,
    /// An entry of a zip: the bytes are those of its data.
    Entry {
        deflated: bool,
        size: u64,
        crc: u32,
    },
}

/// The most that a stream of so many packed bytes may be unpacked to.
pub(super) fn limit(packed: u64) -> u64 {
    packed.saturating_mul(RATIO).max(ALWAYS)
}

pub(super) fn stream(bytes: &Bytes, packing: &Packing) -> Box<dyn Read + Send> {
    let packed = bytes.clone();
    let limit = limit(packed.len());
    match *packing {
        Packing::None => Box::new(packed),
        Packing::Gzip => Box::new(Capped { inner: MultiGzDecoder::new(packed), left: limit, limit }),
        Packing::Entry { deflated: true, size, crc } => {
            let inner = Capped { inner: DeflateDecoder::new(packed), left: limit, limit };
            Box::new(Checked { inner, sum: Crc::new(), read: 0, size, crc })
        }
        Packing::Entry { deflated: false, size, crc } => {
            Box::new(Checked { inner: packed, sum: Crc::new(), read: 0, size, crc })
        }
    }
}

/// What gzip is unpacked to that comes as it is made, so that nobody knows how much there will be: it may be as large as
/// what was packed in what came.
pub(super) fn gzip(input: impl Read + Send + 'static) -> impl Read + Send + 'static {
    let came = Arc::new(AtomicU64::new(0));
    let inner = MultiGzDecoder::new(Counted { inner: input, came: Arc::clone(&came) });
    Growing { inner, came, made: 0 }
}

/// A stream that says how much of it was read.
struct Counted<R> {
    inner: R,
    came: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.came.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A stream that fails where it grows faster than what it is made of allows.
struct Growing<R> {
    inner: R,
    came: Arc<AtomicU64>,
    made: u64,
}

impl<R: Read> Read for Growing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.made += read as u64;
        let limit = limit(self.came.load(Ordering::Relaxed));
        if self.made > limit { Err(too_large(limit)) } else { Ok(read) }
    }
}

/// A stream that fails where it grows beyond a limit.
struct Capped<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| too_large(self.limit))?;
        Ok(read)
    }
}

/// A stream that fails at its end where it is not what its archive says.
struct Checked<R> {
    inner: R,
    sum: Crc,
    read: u64,
    size: u64,
    crc: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.sum.update(&into[..read]);
        self.read += read as u64;
        if read == 0 && !into.is_empty() {
            let (size, crc) = (self.size, self.crc);
            if self.read != size {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the archive's entry has {} bytes, its directory says {size}", self.read),
                ));
            }
            if self.sum.sum() != crc {
                return Err(invalid(format!(
                    "the archive's entry has the checksum {:08x}, its directory says {crc:08x}",
                    self.sum.sum()
                )));
            }
        }
        Ok(read)
    }
}

fn too_large(limit: u64) -> io::Error {
    invalid(format!("unpacks to more than {} MiB, {RATIO} times its size: no recording does", limit >> 20))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
