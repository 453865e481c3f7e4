//! What a user program does with a device: opening and closing it, and its buffers. What it asks of it is in
//! [`request`](super::request).
//!
//! A request runs as the program's thread, outside of any critical region, with buffers in pages of their own as a
//! program's are.

use std::ptr::NonNull;

use event::ClientId;
use nt_abi::{
    FILE_NON_DIRECTORY_FILE, FILE_OPEN, FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_SYNCHRONOUS_IO_NONALERT,
    HANDLE, NTSTATUS, STATUS_SUCCESS,
};

use super::file::{FILE_TYPE, ImageFile};
use super::send::{self, How};
use crate::Kernel;
use crate::ob::{Ref, access};
use crate::ps::thread::{Ethread, OnProcessor};

/// `UserMode`, as a request says who asked.
const USER_MODE: i8 = 1;
/// What is mapped behind a program's buffer, for drivers that say they wrote more than was asked for: the I/O manager
/// copies what they say.
const SLACK: usize = 0x1_0000;

/// How a program's request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The status that the program gets.
    pub status: NTSTATUS,
    /// The number that came with it: how many bytes, mostly. Whatever the driver wrote.
    pub information: u64,
}

impl Completed {
    pub(super) fn of((status, information): send::Outcome) -> Self {
        Self { status, information: information as u64 }
    }
}

/// A program's buffer. Empty ones have no address.
#[derive(Debug)]
pub(super) struct Buffer {
    pages: Option<NonNull<u8>>,
    length: usize,
}

impl Buffer {
    pub(super) fn new(bytes: &[u8]) -> Result<Self, NTSTATUS> {
        let length = bytes.len();
        if length == 0 {
            return Ok(Self { pages: None, length });
        }
        let pages = machine::platform()
            .map_pages(length + SLACK)
            .map_err(|_| nt_abi::STATUS_INSUFFICIENT_RESOURCES)?;
        // SAFETY: mapped just now, and longer.
        unsafe { pages.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), length) };
        Ok(Self { pages: Some(pages), length })
    }

    pub(super) fn given(&self) -> (*mut u8, u32) {
        let address = self.pages.map_or(std::ptr::null_mut(), NonNull::as_ptr);
        address.expose_provenance();
        (address, u32::try_from(self.length).unwrap_or(u32::MAX))
    }

    pub(super) fn read(&self, out: &mut [u8]) {
        if let Some(pages) = self.pages {
            let length = out.len().min(self.length);
            // SAFETY: mapped, and at least that long.
            unsafe { pages.as_ptr().copy_to_nonoverlapping(out.as_mut_ptr(), length) };
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pages) = self.pages {
            // SAFETY: mapped by `new` with that length; the request that used it has ended.
            let _ = unsafe { machine::platform().unmap_pages(pages, self.length + SLACK) };
        }
    }
}

impl Kernel {
    /// Opens `path`, a full NT path, as a program does with `CreateFile` for an existing device, with FILE_FLAG_OVERLAPPED
    /// or without: a handle in the table of its process, whose exit closes it.
    ///
    /// # Errors
    /// What the name space and the device's driver say.
    pub fn user_open(
        &self,
        context: ClientId,
        path: &str,
        wanted: u32,
        overlapped: bool,
    ) -> Result<u64, NTSTATUS> {
        let synchronous = if overlapped { 0 } else { FILE_SYNCHRONOUS_IO_NONALERT };
        self.as_program(context, |_| {
            let how = How {
                access: access::granted(wanted, &access::FILE),
                disposition: FILE_OPEN,
                options: synchronous | FILE_NON_DIRECTORY_FILE,
                share: FILE_SHARE_READ | FILE_SHARE_WRITE,
                ..How::default()
            };
            let path: Vec<u16> = path.encode_utf16().collect();
            crate::stress::opening();
            let (file, _) = send::open_path(self, None, &path, &how)?;
            Ok(self.ob.handles.insert(file, how.access, 0).addr() as u64)
        })
    }

    /// Closes a handle.
    pub fn user_close(&self, context: ClientId, file: u64) -> NTSTATUS {
        self.as_program(context, |_| self.ob.handles.close(handle(file)).err().unwrap_or(STATUS_SUCCESS))
    }

    pub(super) fn file_of(&self, file: u64, needed: u32) -> Result<Ref<ImageFile>, NTSTATUS> {
        let opened = self.ob.handles.check(handle(file), Some(&FILE_TYPE), needed, USER_MODE)?;
        opened.object.of(&FILE_TYPE).ok_or(nt_abi::STATUS_OBJECT_TYPE_MISMATCH)
    }

    /// Runs something as a thread of a program.
    pub(super) fn as_program<T>(&self, context: ClientId, run: impl FnOnce(&Ref<Ethread>) -> T) -> T {
        let _turn = crate::stress::enter();
        let thread = self.thread_in_context(context, crate::ke::time::now());
        self.on_thread(&thread, || run(&thread))
    }

    /// Runs something as `thread`, which is in the kernel for it and then leaves.
    pub(crate) fn on_thread<T>(&self, thread: &Ref<Ethread>, run: impl FnOnce() -> T) -> T {
        let on_processor = OnProcessor::take(self, thread);
        let before = machine::set_current_thread((&raw const **thread).cast_mut().cast());
        let result = run();
        crate::ke::leave_kernel(self, thread);
        machine::set_current_thread(before);
        drop(on_processor);
        crate::dbg::flush_line();
        result
    }
}

fn handle(value: u64) -> HANDLE {
    std::ptr::without_provenance_mut(usize::try_from(value).unwrap_or_default())
}
