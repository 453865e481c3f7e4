//! What a user program asks of a device: opening, control codes, reading, writing, closing.
//!
//! A request runs as the program's thread, outside of any critical region, with buffers in pages of their own as a
//! program's are. It is waited for: a driver that pends a request has its sender wait.

use std::ptr::NonNull;

use event::ClientId;
use nt_abi::{
    FILE_NON_DIRECTORY_FILE, FILE_OPEN, FILE_READ_DATA, FILE_SHARE_READ, FILE_SHARE_WRITE,
    FILE_SYNCHRONOUS_IO_NONALERT, FILE_WRITE_DATA, HANDLE, IRP_MJ_DEVICE_CONTROL, NTSTATUS, STATUS_SUCCESS,
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
    fn failed(status: NTSTATUS) -> Self {
        Self { status, information: 0 }
    }

    fn of((status, information): send::Outcome) -> Self {
        Self { status, information: information as u64 }
    }
}

/// A program's buffer. Empty ones have no address.
#[derive(Debug)]
struct Buffer {
    pages: Option<NonNull<u8>>,
    length: usize,
}

impl Buffer {
    fn new(bytes: &[u8]) -> Result<Self, NTSTATUS> {
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

    fn given(&self) -> (*mut u8, u32) {
        let address = self.pages.map_or(std::ptr::null_mut(), NonNull::as_ptr);
        address.expose_provenance();
        (address, u32::try_from(self.length).unwrap_or(u32::MAX))
    }

    fn read(&self, out: &mut [u8]) {
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
    /// Opens `path`, a full NT path, as a program does with `CreateFile` for an existing device: a handle in the table of
    /// its process, whose exit closes it.
    ///
    /// # Errors
    /// What the name space and the device's driver say.
    pub fn user_open(&self, context: ClientId, path: &str, wanted: u32) -> Result<u64, NTSTATUS> {
        self.as_program(context, || {
            let how = How {
                access: access::granted(wanted, &access::FILE),
                disposition: FILE_OPEN,
                options: FILE_SYNCHRONOUS_IO_NONALERT | FILE_NON_DIRECTORY_FILE,
                share: FILE_SHARE_READ | FILE_SHARE_WRITE,
                ..How::default()
            };
            let path: Vec<u16> = path.encode_utf16().collect();
            let (file, _) = send::open_path(self, None, &path, &how)?;
            Ok(self.ob.handles.insert(file, how.access, 0).addr() as u64)
        })
    }

    /// Sends a control code. `output` holds what the program has in its second buffer, and then what the driver left
    /// there.
    pub fn user_control(
        &self,
        context: ClientId,
        file: u64,
        code: u32,
        input: &[u8],
        output: &mut [u8],
    ) -> Completed {
        self.as_program(context, || {
            // Bits 14 and 15 of a code say which access its sender must have.
            let needed = [(1 << 14, FILE_READ_DATA), (2 << 14, FILE_WRITE_DATA)]
                .iter()
                .filter(|(bit, _)| code & bit != 0)
                .fold(0, |needed, (_, right)| needed | right);
            let sent = self.file_of(file, needed).and_then(|file| {
                let (input, second) = (Buffer::new(input)?, Buffer::new(output)?);
                // SAFETY: the file is open as long as `file` lives, and the buffers until the request has ended.
                let outcome = unsafe {
                    send::control(
                        file.as_file_object(),
                        IRP_MJ_DEVICE_CONTROL,
                        code,
                        input.given(),
                        second.given(),
                    )
                };
                second.read(output);
                Ok(Completed::of(outcome))
            });
            sent.unwrap_or_else(Completed::failed)
        })
    }

    /// Reads into `buffer`, or writes what it holds, at an offset.
    pub fn user_transfer(
        &self,
        context: ClientId,
        file: u64,
        write: bool,
        offset: i64,
        buffer: &mut [u8],
    ) -> Completed {
        self.as_program(context, || {
            let needed = if write { FILE_WRITE_DATA } else { FILE_READ_DATA };
            let sent = self.file_of(file, needed).and_then(|file| {
                let memory = Buffer::new(buffer)?;
                let (address, length) = memory.given();
                // SAFETY: as in `user_control`.
                let outcome =
                    unsafe { send::transfer(file.as_file_object(), write, address, length, offset, 0) };
                memory.read(buffer);
                Ok(Completed::of(outcome))
            });
            sent.unwrap_or_else(Completed::failed)
        })
    }

    /// Closes a handle.
    pub fn user_close(&self, context: ClientId, file: u64) -> NTSTATUS {
        self.as_program(context, || self.ob.handles.close(handle(file)).err().unwrap_or(STATUS_SUCCESS))
    }

    fn file_of(&self, file: u64, needed: u32) -> Result<Ref<ImageFile>, NTSTATUS> {
        let opened = self.ob.handles.check(handle(file), Some(&FILE_TYPE), needed, USER_MODE)?;
        opened.object.of(&FILE_TYPE).ok_or(nt_abi::STATUS_OBJECT_TYPE_MISMATCH)
    }

    /// Runs something as a thread of a program.
    fn as_program<T>(&self, context: ClientId, run: impl FnOnce() -> T) -> T {
        self.on_thread(&self.thread_in_context(context, crate::ke::time::now()), run)
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
