//! The mapping itself: the one file that turns offsets into memory.

use std::fs::File;
use std::io::{self, Error};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::layout::{self, SIZE, STAGING, STAGING_BYTES, header};

/// Where a channel is mapped if nothing else is there: where neither Linux nor Windows puts what a process has, as it is
/// the largest thing of a host, and drivers see what processes have at the addresses at which they have it (R-IMG-02).
const WANTED: usize = 0x3000_0000_0000;

/// One side's view of a channel.
///
/// Every access is either by an atomic or by a copy of relaxed atomic words, because the other side
/// may write at any moment; only the two `unsafe` slice methods give more, to the host alone.
#[derive(Debug)]
pub(crate) struct Channel {
    base: NonNull<u8>,
}

// SAFETY: all methods access the mapping by atomics, or are unsafe and say what the caller owes.
unsafe impl Send for Channel {}
// SAFETY: as above.
unsafe impl Sync for Channel {}

impl Channel {
    /// Makes a new channel; answers it with the file to hand to the host. The file cannot change its size.
    pub(crate) fn create() -> io::Result<(Self, OwnedFd)> {
        // SAFETY: the name is a C string; the call makes a new descriptor.
        let fd = unsafe {
            libc::memfd_create(c"callboard-channel".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING)
        };
        if fd < 0 {
            return Err(Error::last_os_error());
        }
        // SAFETY: the descriptor was made just now and belongs to nobody else.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        file.set_len(SIZE as u64)?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: sets a property of our own descriptor.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
            return Err(Error::last_os_error());
        }
        let fd = OwnedFd::from(file);
        let channel = Self::map(fd.as_raw_fd())?;
        channel.word64(header::SIZE).store(SIZE as u64, Ordering::Relaxed);
        channel.word64(header::MAGIC).store(layout::MAGIC, Ordering::Release);
        Ok((channel, fd))
    }

    /// Opens the channel behind a descriptor that may be anything; `None` when it is no channel of this build.
    pub(crate) fn open(fd: BorrowedFd<'_>) -> Option<Self> {
        let fd = fd.as_raw_fd();
        // SAFETY: asks a property of a descriptor. Only a memfd has seals, so nothing else passes.
        let seals = unsafe { libc::fcntl(fd, libc::F_GET_SEALS) };
        let wanted = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
        if seals < 0 || seals & wanted != wanted {
            return None;
        }
        // SAFETY: all-zero bytes are a valid `stat`.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: `stat` is ours to write.
        if unsafe { libc::fstat(fd, &raw mut stat) } != 0 || usize::try_from(stat.st_size) != Ok(SIZE) {
            return None;
        }
        let channel = Self::map(fd).ok()?;
        let agreed = channel.word64(header::MAGIC).load(Ordering::Acquire) == layout::MAGIC
            && channel.word64(header::SIZE).load(Ordering::Relaxed) == SIZE as u64;
        agreed.then_some(channel)
    }

    fn map(fd: i32) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the system's choice, of which it is asked for one, replaces nothing. The
        // file is sealed against shrinking, so touching the mapping never faults.
        let base = unsafe {
            libc::mmap(
                std::ptr::without_provenance_mut(WANTED),
                SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                fd,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        // Neither dumped into a core file nor copied into a child that is forked for other reasons.
        // SAFETY: advice on a range that was mapped just now.
        unsafe { libc::madvise(base, SIZE, libc::MADV_DONTFORK) };
        NonNull::new(base.cast())
            .map(|base| Self { base })
            .ok_or_else(|| Error::from(io::ErrorKind::OutOfMemory))
    }

    /// A 32-bit word of the channel.
    ///
    /// # Panics
    /// On an offset outside of it; offsets are constants of the layout.
    pub(crate) fn word32(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset < SIZE, "an offset of the layout");
        // SAFETY: aligned (the mapping is page-aligned) and inside the mapping, which lives as long as
        // `self`; both sides access words only atomically (a driver that does not breaks only itself:
        // the bench never relies on a value it has not just loaded).
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().wrapping_add(offset).cast()) }
    }

    /// A 64-bit word of the channel.
    ///
    /// # Panics
    /// As [`word32`](Self::word32).
    pub(crate) fn word64(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset < SIZE, "an offset of the layout");
        // SAFETY: as in `word32`.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().wrapping_add(offset).cast()) }
    }

    /// Copies `bytes` to `offset`, a multiple of 8. What follows them up to the next multiple is zeroed.
    pub(crate) fn copy_in(&self, offset: usize, bytes: &[u8]) {
        for (index, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word64(offset + index * 8).store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
    }

    /// Appends `length` bytes at `offset`, a multiple of 8, to `out`.
    pub(crate) fn copy_out(&self, offset: usize, length: usize, out: &mut Vec<u8>) {
        let end = out.len() + length;
        out.reserve(length.next_multiple_of(8));
        for index in 0..length.div_ceil(8) {
            let word = self.word64(offset + index * 8).load(Ordering::Relaxed);
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.truncate(end);
    }

    /// A stretch of the channel as plain memory.
    ///
    /// # Safety
    /// The other side does not write there while the slice lives: by the lane protocol the bench leaves
    /// a request and the staging area alone until the reply. (For the host only. That a driver of the
    /// same process could write there is true of every byte the host owns.)
    pub(crate) unsafe fn slice(&self, offset: usize, length: usize) -> &[u8] {
        assert!(offset <= SIZE && length <= SIZE - offset, "inside the channel");
        // SAFETY: inside the mapping; nobody writes, as the caller promises.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().wrapping_add(offset), length) }
    }

    /// A stretch of the channel to write to.
    ///
    /// # Safety
    /// Nobody else, on either side, accesses the stretch while the slice lives: by the ring protocol
    /// what lies between the producer's and the consumer's position (plus one lap) is the producer's alone.
    #[expect(clippy::mut_from_ref, reason = "the memory is shared; exclusiveness is the caller's promise")]
    pub(crate) unsafe fn slice_mut(&self, offset: usize, length: usize) -> &mut [u8] {
        assert!(offset <= SIZE && length <= SIZE - offset, "inside the channel");
        // SAFETY: inside the mapping; nobody else accesses it, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().wrapping_add(offset), length) }
    }

    /// Gives the memory of the staging area back to the system.
    pub(crate) fn clear_staging(&self) {
        // SAFETY: the range lies in the mapping, and no reference into it lives between two requests.
        unsafe {
            libc::madvise(self.base.as_ptr().wrapping_add(STAGING).cast(), STAGING_BYTES, libc::MADV_REMOVE);
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this size, and nothing borrowed from it outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), SIZE) };
    }
}

#[cfg(any(test, feature = "trial"))]
impl Channel {
    /// Writes a word somewhere into a lane, as a driver that scribbles would.
    pub(crate) fn scribble(&self, lane: usize, offset: usize, value: u64) {
        self.word64((layout::lane_at(lane) + offset).min(SIZE - 8)).store(value, Ordering::Relaxed);
    }
}
