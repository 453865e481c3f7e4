//! Where things are in the channel. Both sides are the same program, so these are constants.

/// Synchronous lanes: how many notices can be under way at once.
pub(crate) const LANES: usize = 16;
/// The lane of host threads that own none: it has only a ring.
pub(crate) const SYSTEM_LANE: usize = LANES;

/// Room for one request. An NT command line of 32,767 UTF-16 units can take 96 KiB in UTF-8, a name as much.
pub(crate) const REQUEST_BYTES: usize = 512 << 10;
/// Room for one reply.
pub(crate) const REPLY_BYTES: usize = 8 << 10;
/// Room for records of one lane that the bench has not taken yet. A power of two.
pub(crate) const RING_BYTES: usize = 256 << 10;
/// The longest record; a longer one is replaced by a note.
pub(crate) const MAX_RECORD: usize = RING_BYTES / 2 - 16;
/// Room for a driver image. Sparse: it takes memory only where written.
pub(crate) const STAGING_BYTES: usize = 256 << 20;

/// Bytes of user memory that are asked for at a time.
pub(crate) const USER_PAGE: usize = 4096;

/// Room for what one lane's request brings and takes besides its message: the buffers of a program's request. Sparse.
pub(crate) const TRANSFER_BYTES: usize = 4 << 20;

/// First word of the header.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"CALLBRD\x01");

/// Offsets in the header.
pub(crate) mod header {
    /// [`super::MAGIC`].
    pub(crate) const MAGIC: usize = 0;
    /// The size of the whole channel: the cheapest check that both sides agree on the layout.
    pub(crate) const SIZE: usize = 8;
    /// The process id of the bench's program.
    pub(crate) const PARENT: usize = 16;
    /// [`crate::process::Start`], as bits.
    pub(crate) const START: usize = 20;
    /// Futex: changes whenever something happened for which no bench thread waits on a lane.
    pub(crate) const BELL: usize = 64;
    /// Length of the last words.
    pub(crate) const WORDS_LENGTH: usize = 128;
    /// Text: why the host ends, as far as it could say.
    pub(crate) const WORDS: usize = 136;
    /// Room for it.
    pub(crate) const WORDS_BYTES: usize = 1024;
}

/// Offsets in a lane.
pub(crate) mod lane {
    use super::{REPLY_BYTES, REQUEST_BYTES, RING_BYTES};

    /// Futex: the lane's phase and flags.
    pub(crate) const STATE: usize = 0;
    /// Bytes in the request buffer.
    pub(crate) const REQUEST_LENGTH: usize = 4;
    /// Bytes in the reply buffer.
    pub(crate) const REPLY_LENGTH: usize = 8;
    /// In flight: changes with every routine entered or left and every event.
    pub(crate) const PROGRESS: usize = 64;
    /// In flight: the routine's driver plus one; 0 when no routine runs.
    pub(crate) const DRIVER: usize = 72;
    /// In flight: the routine's family plus one; 0 when it has none (DriverEntry, DriverUnload).
    pub(crate) const FAMILY: usize = 76;
    /// In flight: the routine's address.
    pub(crate) const ROUTINE: usize = 80;
    /// The ring's producer position.
    pub(crate) const HEAD: usize = 128;
    /// The ring's consumer position.
    pub(crate) const TAIL: usize = 192;
    /// Futex: changes when the consumer made room for a producer that waits.
    pub(crate) const ROOM: usize = 256;
    /// Whether a producer waits for room.
    pub(crate) const BLOCKED: usize = 320;
    /// Asking for user memory: the process whose page is wanted.
    pub(crate) const ASK_PROCESS: usize = 384;
    /// Asking for user memory: the number of the question.
    pub(crate) const ASK_NUMBER: usize = 388;
    /// Asking for user memory: the page's address.
    pub(crate) const ASK_ADDRESS: usize = 392;
    /// Futex: the number of the question that was answered last, and above it whether there is such a page.
    pub(crate) const ANSWER: usize = 448;
    /// The request buffer.
    pub(crate) const REQUEST: usize = 4096;
    /// The reply buffer.
    pub(crate) const REPLY: usize = REQUEST + REQUEST_BYTES;
    /// The ring.
    pub(crate) const RING: usize = REPLY + REPLY_BYTES;
    /// The page that was asked for.
    pub(crate) const PAGE: usize = RING + RING_BYTES;
    /// One lane to the next.
    pub(crate) const STRIDE: usize = PAGE + super::USER_PAGE;
}

/// Where lane 0 starts.
const FIRST_LANE: usize = 4096;
/// Where the staging area starts.
pub(crate) const STAGING: usize = FIRST_LANE + (LANES + 1) * lane::STRIDE;
/// Where the lanes' transfer areas start.
const TRANSFERS: usize = STAGING + STAGING_BYTES;
/// The whole channel.
pub(crate) const SIZE: usize = TRANSFERS + LANES * TRANSFER_BYTES;

/// Where a lane's transfer area starts.
pub(crate) const fn transfer_at(lane: usize) -> usize {
    TRANSFERS + lane * TRANSFER_BYTES
}

/// Where a lane starts.
pub(crate) const fn lane_at(lane: usize) -> usize {
    FIRST_LANE + lane * lane::STRIDE
}

const _: () = {
    assert!(RING_BYTES.is_power_of_two());
    assert!(
        lane::STRIDE.is_multiple_of(4096)
            && STAGING.is_multiple_of(4096)
            && TRANSFERS.is_multiple_of(4096)
            && SIZE.is_multiple_of(4096)
    );
    assert!(header::WORDS + header::WORDS_BYTES <= FIRST_LANE);
};
