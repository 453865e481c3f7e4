//! What a program asks of devices.

use event::{DriverId, Time, wire};
use kernel::{PowerState, PowerTarget};
use nt_abi::NTSTATUS;

use super::client::unexpected;
use super::{Bench, BenchError};
use crate::channel::{REQUEST_BYTES, TRANSFER_BYTES, transfer_at};
use crate::process::Watched;
use crate::protocol::{Caller, Io, Reply, Request};

/// How often a request is waited for, each time for as long as the host does at once.
const ROUNDS: u32 = 300;

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

    /// The full NT paths of the devices of a driver that have a name, in the order in which it made them.
    ///
    /// # Errors
    /// [`BenchError::Gone`].
    pub fn devices(&mut self, driver: DriverId) -> Result<Vec<String>, BenchError> {
        match self.ask(&Request::Devices { driver })? {
            Reply::Devices(paths) => Ok(paths),
            other => Err(unexpected(other)),
        }
    }

    /// Opens a device or a file that is there, as a program, with FILE_FLAG_OVERLAPPED or without: answers a handle of the
    /// caller's process.
    ///
    /// # Errors
    /// [`BenchError::Refused`] with the status that the program gets, [`BenchError::TooLong`], [`BenchError::Gone`].
    pub fn open(
        &mut self,
        caller: Caller,
        path: &str,
        access: u32,
        overlapped: bool,
    ) -> Result<u64, BenchError> {
        match self.ask(&Request::Open { caller, path, access, overlapped })? {
            Reply::Opened(file) => Ok(file),
            Reply::Failed { status, message } => Err(BenchError::Refused { status, message }),
            other => Err(unexpected(other)),
        }
    }

    /// Asks something of an open file, and waits for its end. The first buffer is `input`; the second holds `output` when
    /// the driver gets it.
    ///
    /// # Errors
    /// [`BenchError::Buffers`] when both buffers together are too large, [`BenchError::Pending`] when the request never
    /// ends (which only a virtual clock knows: on a real one it is waited for), [`BenchError::Gone`].
    pub fn io(
        &mut self,
        caller: Caller,
        file: u64,
        what: Io,
        input: &[u8],
        output: &[u8],
    ) -> Result<Answer, BenchError> {
        let lane = self.send_io(caller, file, what, (input, output), false)?;
        match self.end_of(lane, output.len())? {
            Some(answer) => Ok(answer),
            None => Err(BenchError::Pending),
        }
    }

    /// Asks something of an open file, and does not wait for its end: answers the number of the request, which
    /// [`io_result`](Self::io_result) asks for.
    ///
    /// # Errors
    /// [`BenchError::Refused`] with what the program gets where the request was not sent, and as [`io`](Self::io).
    pub fn begin_io(
        &mut self,
        caller: Caller,
        file: u64,
        what: Io,
        input: &[u8],
        output: &[u8],
    ) -> Result<u64, BenchError> {
        let lane = self.send_io(caller, file, what, (input, output), true)?;
        match self.wait(lane)? {
            Reply::Begun(request) => Ok(request),
            Reply::Failed { status, message } => Err(BenchError::Refused { status, message }),
            other => Err(unexpected(other)),
        }
    }

    /// Asks for the end of a request that was begun, once: `None` while it is pending. `output` is how many bytes its second
    /// buffer has.
    ///
    /// # Errors
    /// [`BenchError::Refused`] where there is no such request, or its end was told before. [`BenchError::Gone`].
    pub fn io_result(&mut self, request: u64, output: usize) -> Result<Option<Answer>, BenchError> {
        let lane = self.ask_result(request, output, false)?;
        self.end_of(lane, output)
    }

    /// Waits for the end of a request that was begun, at most so long that nothing else can happen: until no thread runs
    /// and nothing is due on a virtual clock, or 30 s on a real one.
    ///
    /// # Errors
    /// [`BenchError::Pending`] when it does not end, and as [`io_result`](Self::io_result).
    pub fn wait_io(&mut self, request: u64, output: usize) -> Result<Answer, BenchError> {
        for _ in 0..ROUNDS {
            let lane = self.ask_result(request, output, true)?;
            match self.wait(lane)? {
                Reply::Pending { hopeless: true } => break,
                Reply::Pending { hopeless: false } => {}
                Reply::Completed { status, information } => {
                    return Ok(self.answer(lane, output, status, information));
                }
                Reply::Failed { status, message } => return Err(BenchError::Refused { status, message }),
                other => return Err(unexpected(other)),
            }
        }
        Err(BenchError::Pending)
    }

    /// Cancels a request that was begun: its driver is told, if it wants to know. It is not waited for.
    ///
    /// # Errors
    /// [`BenchError::Refused`] with STATUS_NOT_FOUND where it has ended, [`BenchError::Gone`].
    pub fn cancel_io(&mut self, caller: Caller, request: u64) -> Result<(), BenchError> {
        match self.ask(&Request::Cancel { caller, request })? {
            Reply::Done => Ok(()),
            Reply::Failed { status, message } => Err(BenchError::Refused { status, message }),
            other => Err(unexpected(other)),
        }
    }

    /// Sends a set-power request, or a query-power request, to stacks of devices, and waits for its end: answers its status,
    /// of several stacks the first that is a failure.
    ///
    /// # Errors
    /// [`BenchError::Refused`] where there is no such device, [`BenchError::TooLong`], [`BenchError::Gone`].
    pub fn power(
        &mut self,
        time: Time,
        target: PowerTarget<'_>,
        query: bool,
        state: PowerState,
    ) -> Result<NTSTATUS, BenchError> {
        let lane = self.free_lane().ok_or(BenchError::Gone)?;
        self.send_watched(lane, &Request::Power { time, target, query, state })?;
        match self.wait(lane)? {
            Reply::Completed { status, .. } => Ok(status),
            Reply::Failed { status, message } => Err(BenchError::Refused { status, message }),
            other => Err(unexpected(other)),
        }
    }

    fn send_io(
        &mut self,
        caller: Caller,
        file: u64,
        what: Io,
        (input, output): (&[u8], &[u8]),
        begin: bool,
    ) -> Result<usize, BenchError> {
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
        let request = Request::Io { caller, file, what, input: first_length, output: second_length, begin };
        self.send_watched(lane, &request)?;
        Ok(lane)
    }

    fn ask_result(&mut self, request: u64, output: usize, wait: bool) -> Result<usize, BenchError> {
        let limit = TRANSFER_BYTES;
        let output = u32::try_from(output).map_err(|_| BenchError::Buffers { size: output, limit })?;
        let lane = self.free_lane().ok_or(BenchError::Gone)?;
        self.send_watched(lane, &Request::Result { request, wait, output })?;
        Ok(lane)
    }

    /// Sends a request in which a dispatch routine may run.
    fn send_watched(&mut self, lane: usize, request: &Request<'_>) -> Result<(), BenchError> {
        let used =
            wire::encode(request, &mut self.request).map_err(|_| BenchError::TooLong(REQUEST_BYTES))?;
        self.shared.lane(lane).sent(self.options.watchdog, self.options.entry_watchdog);
        self.shared.channel.lane(lane).send(&self.request[..used]);
        Ok(())
    }

    /// How a program's request that a lane was asked about has ended; `None` while it is pending.
    fn end_of(&mut self, lane: usize, output: usize) -> Result<Option<Answer>, BenchError> {
        match self.wait(lane)? {
            Reply::Completed { status, information } => {
                Ok(Some(self.answer(lane, output, status, information)))
            }
            Reply::Pending { .. } => Ok(None),
            Reply::Failed { status, message } => Err(BenchError::Refused { status, message }),
            other => Err(unexpected(other)),
        }
    }

    fn answer(&self, lane: usize, output: usize, status: NTSTATUS, information: u64) -> Answer {
        let mut bytes = Vec::new();
        self.shared.channel.copy_out(transfer_at(lane), output, &mut bytes);
        Answer { status, information, output: bytes }
    }
}
