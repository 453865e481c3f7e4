//! What a program asks of devices.

use event::{Time, wire};
use nt_abi::NTSTATUS;

use super::client::unexpected;
use super::{Bench, BenchError};
use crate::channel::{REQUEST_BYTES, TRANSFER_BYTES, transfer_at};
use crate::process::Watched;
use crate::protocol::{Caller, Io, Reply, Request};

/// How a request of a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status that the program gets.
    pub status: NTSTATUS,
    /// The number that came with it, whatever the driver wrote there.
    pub information: u64,
    /// The whole second buffer as it is then: of reads and control codes.
    pub output: Vec<u8>,
}

impl Bench {
    /// Moves a virtual clock to `time`, with every timer and every wait that is due until then, in their order. A real clock,
    /// and a time that is past, stay. Answers what the clock says.
    ///
    /// # Errors
    /// [`BenchError::Gone`].
    pub fn advance(&mut self, time: Time) -> Result<Time, BenchError> {
        match self.ask(&Request::Advance(time))? {
            Reply::Time(now) => Ok(now),
            other => Err(unexpected(other)),
        }
    }

    /// Opens a device or a file that is there, as a program: answers a handle of the caller's process.
    ///
    /// # Errors
    /// [`BenchError::Refused`] with the status that the program gets, [`BenchError::TooLong`], [`BenchError::Gone`].
    pub fn open(&mut self, caller: Caller, path: &str, access: u32) -> Result<u64, BenchError> {
        match self.ask(&Request::Open { caller, path, access })? {
            Reply::Opened(file) => Ok(file),
            Reply::Failed { status, message } => Err(BenchError::Refused { status, message }),
            other => Err(unexpected(other)),
        }
    }

    /// Asks something of an open file, and waits for its end. The first buffer is `input`; the second holds `output` when
    /// the driver gets it.
    ///
    /// # Errors
    /// [`BenchError::Buffers`] when both buffers together are too large, [`BenchError::Gone`].
    pub fn io(
        &mut self,
        caller: Caller,
        file: u64,
        what: Io,
        input: &[u8],
        output: &[u8],
    ) -> Result<Answer, BenchError> {
        let second = input.len().next_multiple_of(8);
        let size = second.saturating_add(output.len());
        let (Ok(first_length), Ok(second_length), true) =
            (u32::try_from(input.len()), u32::try_from(output.len()), size <= TRANSFER_BYTES)
        else {
            return Err(BenchError::Buffers { size, limit: TRANSFER_BYTES });
        };
        let lane = self.free_lane().ok_or(BenchError::Gone)?;
        self.shared.channel.copy_in(transfer_at(lane), input);
        self.shared.channel.copy_in(transfer_at(lane) + second, output);
        let request = Request::Io { caller, file, what, input: first_length, output: second_length };
        let used =
            wire::encode(&request, &mut self.request).map_err(|_| BenchError::TooLong(REQUEST_BYTES))?;
        self.shared.lane(lane).sent(self.options.watchdog, self.options.entry_watchdog);
        self.shared.channel.lane(lane).send(&self.request[..used]);
        match self.wait(lane)? {
            Reply::Completed { status, information } => {
                let mut bytes = Vec::new();
                self.shared.channel.copy_out(transfer_at(lane), output.len(), &mut bytes);
                Ok(Answer { status, information, output: bytes })
            }
            other => Err(unexpected(other)),
        }
    }
}
