//! Requests that a program begins and does not wait for: overlapped I/O.

use host::Io;

use crate::bench::failed;
use crate::{Actor, Bench, Completed, Error, File, Process};

/// A request of a program that was begun: what an `OVERLAPPED` structure stands for. It lives on when its file is closed or
/// its process exits, until its driver completes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    file: File,
    number: u64,
    /// Bytes in its second buffer.
    output: usize,
}

impl Bench {
    /// Sends a control code (`DeviceIoControl` with an `OVERLAPPED`) and does not wait for its end: `output_length` bytes of
    /// room for what comes back. The file was opened for that ([`FileBuilder::overlapped`](crate::FileBuilder::overlapped)).
    ///
    /// This is how programs listen to a driver: they keep requests pending, and the driver completes one for each event.
    ///
    /// ```
    /// # fn main() -> Result<(), bench::Error> {
    /// # const INVERTED: &[u8] = include_bytes!("../../../drivers/bin/inverted.sys");
    /// use bench::{Bench, Profile, STATUS_CANCELLED, STATUS_SUCCESS};
    ///
    /// let mut bench = Bench::new(Profile::Win11_24H2)?;
    /// bench.load_bytes("inverted", INVERTED)?;
    /// let file = bench.file(r"\\.\CallboardInverted").overlapped().open()?;
    ///
    /// // This driver completes a request for each process that is created, with its id.
    /// let next = bench.begin_ioctl(&file, 0x22_2000, &[], 8)?;
    /// assert!(bench.try_complete(&next)?.is_none());
    /// let process = bench.process(r"C:\x.exe").create()?;
    /// let told = bench.wait(&next)?;
    /// assert_eq!(told.status, STATUS_SUCCESS);
    /// assert_eq!(told.output, u64::from(process.id().0).to_le_bytes());
    ///
    /// let another = bench.begin_ioctl(&file, 0x22_2000, &[], 8)?;
    /// assert!(bench.wait(&another).is_err(), "nothing will happen");
    /// bench.cancel(&another)?;
    /// assert_eq!(bench.wait(&another)?.status, STATUS_CANCELLED);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the driver answers, at once or later, is the request's status and no error of this call. [`Error::Failed`] when
    /// the file was not opened for overlapped requests (on NT the call would not return) or its process has exited.
    /// [`Error::Host`] with what the I/O manager says where the request does not reach the driver, as for a handle that is
    /// closed, or when the buffers are larger than 4 MiB. [`Error::Stopped`].
    pub fn begin_ioctl(
        &mut self,
        file: &File,
        code: u32,
        input: &[u8],
        output_length: usize,
    ) -> Result<Request, Error> {
        self.begin(file, Io::Control(code), input, &vec![0; output_length])
    }

    /// Sends a control code whose second buffer holds something (`METHOD_IN_DIRECT`, `METHOD_NEITHER`), and does not wait for
    /// its end.
    ///
    /// # Errors
    /// As [`begin_ioctl`](Self::begin_ioctl).
    pub fn begin_ioctl_with(
        &mut self,
        file: &File,
        code: u32,
        input: &[u8],
        output: &[u8],
    ) -> Result<Request, Error> {
        self.begin(file, Io::Control(code), input, output)
    }

    /// Begins to read up to `length` bytes at an offset (`ReadFile`).
    ///
    /// # Errors
    /// As [`begin_ioctl`](Self::begin_ioctl).
    pub fn begin_read(&mut self, file: &File, offset: i64, length: usize) -> Result<Request, Error> {
        self.begin(file, Io::Read(offset), &[], &vec![0; length])
    }

    /// Begins to write at an offset (`WriteFile`).
    ///
    /// # Errors
    /// As [`begin_ioctl`](Self::begin_ioctl).
    pub fn begin_write(&mut self, file: &File, offset: i64, bytes: &[u8]) -> Result<Request, Error> {
        self.begin(file, Io::Write(offset), bytes, &[])
    }

    /// How a request ended, if it has; it is not waited for (`GetOverlappedResult` without a wait). No time passes.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn try_complete(&mut self, request: &Request) -> Result<Option<Completed>, Error> {
        if let Some(ended) = self.ended.get(&request.number) {
            return Ok(Some(ended.clone()));
        }
        let result = self.host.io_result(request.number, request.output);
        let answer = self.answer(result)?;
        Ok(answer.map(|answer| self.ended_with(request, Completed::of(answer))))
    }

    /// Waits for the end of a request (`GetOverlappedResult` with a wait). A virtual clock goes to what is due next, again
    /// and again, as long as the request is pending and something is due: as in [`ioctl`](Self::ioctl).
    ///
    /// # Errors
    /// [`Error::Failed`] with STATUS_PENDING when the request does not end: no driver runs, and nothing is due that
    /// could complete it, or 60,000 things that were due have not. On a real clock, when it did not end in 30 s.
    /// [`Error::Stopped`].
    pub fn wait(&mut self, request: &Request) -> Result<Completed, Error> {
        if let Some(ended) = self.ended.get(&request.number) {
            return Ok(ended.clone());
        }
        let result = self.host.wait_io(request.number, request.output);
        let answer = self.answer(result)?;
        Ok(self.ended_with(request, Completed::of(answer)))
    }

    /// Cancels a request (`CancelIoEx`), as its process: its cancel routine runs, where the driver has set one. How the
    /// request ends, and whether it does, is the driver's; [`wait`](Self::wait) says it.
    ///
    /// # Errors
    /// [`Error::Host`] with STATUS_NOT_FOUND when the request has ended, [`Error::Failed`] when its process has
    /// exited, [`Error::Stopped`].
    pub fn cancel(&mut self, request: &Request) -> Result<(), Error> {
        let caller = self.caller(Actor::from(Process { id: request.file.process }))?;
        let result = self.host.cancel_io(caller, request.number);
        self.answer(result)
    }

    fn begin(&mut self, file: &File, what: Io, input: &[u8], output: &[u8]) -> Result<Request, Error> {
        if !file.overlapped {
            let what = "a file that was not opened for overlapped requests takes one at a time, which is waited for: open \
                        it with `bench.file(…).overlapped().open()`";
            return Err(failed(what, nt_abi::STATUS_INVALID_PARAMETER));
        }
        let caller = self.caller(Actor::from(Process { id: file.process }))?;
        let result = self.host.begin_io(caller, file.handle, what, input, output);
        let number = self.answer(result)?;
        Ok(Request { file: *file, number, output: output.len() })
    }

    fn ended_with(&mut self, request: &Request, completed: Completed) -> Completed {
        self.ended.insert(request.number, completed.clone());
        completed
    }
}
