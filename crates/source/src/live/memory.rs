//! The memory of traced processes, for drivers that look into it.

use event::ProcessId;

use super::sys;

/// Fills `buffer` with what a traced process has at `address`; `false` where not all of it is mapped, or the process
/// is none of a live bench.
///
/// The process is held still while drivers are told of what it did, so that this is what they would see.
pub fn read_memory(process: ProcessId, address: u64, buffer: &mut [u8]) -> bool {
    let pid = process.to_linux().and_then(|pid| sys::Pid::try_from(pid).ok());
    pid.is_some_and(|pid| sys::read_memory(pid, address, buffer) == Ok(buffer.len()))
}
