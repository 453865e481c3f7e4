//! A stream that comes as it is made, and can be read once.

use std::fmt;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};

type Input = Box<dyn Read + Send>;

/// A stream of which the beginning was looked at.
#[derive(Clone)]
pub(super) struct Once {
    prefix: Arc<[u8]>,
    /// What follows it, until somebody reads that.
    rest: Arc<Mutex<Option<Input>>>,
}

impl Once {
    /// Reads the beginning of a stream: so much that `enough` says so, `most`, or all there is. What goes wrong behind a
    /// beginning is told when that is read.
    pub(super) fn peek(mut input: Input, most: usize, enough: impl Fn(&[u8]) -> bool) -> io::Result<Self> {
        let mut prefix = Vec::new();
        let mut chunk = vec![0; 8 << 10];
        let rest = loop {
            let room = chunk.len().min(most - prefix.len());
            match input.read(&mut chunk[..room]) {
                Ok(0) => break input,
                Ok(read) => {
                    prefix.extend_from_slice(&chunk[..read]);
                    // A beginning that comes byte by byte is looked at line by line.
                    let looked_at = prefix.len() < 16 || chunk[..read].contains(&b'\n');
                    if prefix.len() == most || looked_at && enough(&prefix) {
                        break input;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if prefix.is_empty() => return Err(error),
                Err(error) => break Box::new(Failed(Some(error))),
            }
        };
        Ok(Self { prefix: prefix.into(), rest: Arc::new(Mutex::new(Some(rest))) })
    }

    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// All of it, the first time.
    pub(super) fn stream(&self) -> Input {
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
        match rest {
            Some(rest) => Box::new(Cursor::new(Arc::clone(&self.prefix)).chain(rest)),
            None => Box::new(Failed(Some(io::Error::other("what comes through a pipe can be read once")))),
        }
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Once({} bytes looked at)", self.prefix.len())
    }
}

/// A stream that went wrong.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
