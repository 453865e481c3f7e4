//! A temporary file for what memory should not hold.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A file that has no name and goes away with this. It is there once something is put into it.
#[derive(Debug, Default)]
pub(super) struct Store {
    file: Mutex<Option<Arc<File>>>,
    end: AtomicU64,
}

/// Where something was put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    at: u64,
    bytes: usize,
}

impl Store {
    fn file(&self) -> io::Result<Arc<File>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        Ok(Arc::clone(file.insert(Arc::new(tempfile::tempfile()?))))
    }

    /// Keeps bytes.
    pub(super) fn put(&self, bytes: &[u8]) -> io::Result<Place> {
        let at = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file()?.write_all_at(bytes, at)?;
        Ok(Place { at, bytes: bytes.len() })
    }

    /// Gives them back.
    pub(super) fn get(&self, place: Place) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; place.bytes];
        self.file()?.read_exact_at(&mut bytes, place.at)?;
        Ok(bytes)
    }
}
