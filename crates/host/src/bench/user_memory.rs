//! The memory of the processes that drivers are told of, which lies elsewhere.

use event::ProcessId;

use crate::channel::USER_PAGE;

/// Reads the memory of processes for drivers that look into them: a routine may read the mapped image at
/// `ImageBase`, or the memory of a process that is about to end (R-IMG-02, R-EXIT-01).
pub trait UserMemory: std::fmt::Debug + Send {
    /// Fills `page` with what `process` has at `address`, a multiple of its size; `false` where nothing is mapped.
    ///
    /// Called while the process is held still, and in the middle of a notification: a traced process is read
    /// at once or not at all.
    fn read(&mut self, process: ProcessId, address: u64, page: &mut [u8; USER_PAGE]) -> bool;
}
