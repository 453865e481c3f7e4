//! What a program does with a driver's device.

use event::ProcessId;
use host::{Answer, Caller, Io};
use nt_abi::{NTSTATUS, STATUS_SUCCESS};

use crate::bench::failed;
use crate::{Actor, Bench, Driver, Error, Process};

/// `GENERIC_READ | GENERIC_WRITE`.
const READ_WRITE: u32 = 0xC000_0000;

/// A file that a program has open. It is closed by [`Bench::close`], or when its process exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct File {
    pub(crate) process: ProcessId,
    pub(crate) handle: u64,
    pub(crate) overlapped: bool,
}

/// A device to be opened. From [`Bench::file`].
#[derive(Debug)]
#[must_use = "nothing happens before `open`"]
pub struct FileBuilder<'a> {
    bench: &'a mut Bench,
    path: String,
    by: Option<Actor>,
    access: u32,
    overlapped: bool,
}

impl File {
    /// The handle, as the program has it.
    pub fn handle(&self) -> u64 {
        self.handle
    }
}

/// How a request to a device ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The status, as NT's.
    pub status: NTSTATUS,
    /// `IO_STATUS_BLOCK.Information`, whatever the driver wrote there.
    pub information: u64,
    /// What the program got: as many bytes as `information` says, and not more than it asked for. After an error, none.
    pub output: Vec<u8>,
}

impl Completed {
    pub(crate) fn of(answer: Answer) -> Self {
        let Answer { status, information, mut output } = answer;
        // The I/O manager copies nothing back for an error (severity 3).
        let got = if status.is_error() { 0 } else { usize::try_from(information).unwrap_or(usize::MAX) };
        output.truncate(got);
        Self { status, information, output }
    }
}

impl Bench {
    /// The full NT paths of the devices of a driver that have a name, in the order in which it made them; none for a driver that
    /// is not loaded.
    ///
    /// ```
    /// # fn main() -> Result<(), bench::Error> {
    /// # const DEVICE: &[u8] = include_bytes!("../../../drivers/bin/device.sys");
    /// let mut bench = bench::Bench::new(bench::Profile::Win11_24H2)?;
    /// let driver = bench.load_bytes("device", DEVICE)?;
    /// assert_eq!(bench.devices(driver)?, [r"\Device\CallboardDevice"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn devices(&mut self, driver: Driver) -> Result<Vec<String>, Error> {
        let result = self.host.devices(driver.id);
        self.answer(result)
    }

    /// A device to be opened: `\\.\Edr` as programs write it, or a full NT path (`\Device\Edr`). By the
    /// [`shell`](Self::shell), for reading and writing, and not for overlapped requests, unless said otherwise.
    pub fn file(&mut self, path: &str) -> FileBuilder<'_> {
        FileBuilder { bench: self, path: path.to_owned(), by: None, access: READ_WRITE, overlapped: false }
    }

    /// Opens a device for reading and writing, as the [`shell`](Self::shell).
    ///
    /// # Errors
    /// As [`FileBuilder::open`].
    pub fn open(&mut self, path: &str) -> Result<File, Error> {
        self.file(path).open()
    }

    /// Opens a device as somebody, with an access mask of NT's.
    ///
    /// # Errors
    /// As [`FileBuilder::open`].
    pub fn open_by(&mut self, who: impl Into<Actor>, path: &str, access: u32) -> Result<File, Error> {
        self.file(path).by(who).access(access).open()
    }

    /// Sends a control code (`DeviceIoControl`) and waits for its end: `output_length` bytes of room for what comes back.
    ///
    /// ```
    /// # fn main() -> Result<(), bench::Error> {
    /// # const DEVICE: &[u8] = include_bytes!("../../../drivers/bin/device.sys");
    /// let mut bench = bench::Bench::new(bench::Profile::Win11_24H2)?;
    /// bench.load_bytes("device", DEVICE)?;
    /// let file = bench.open(r"\\.\CallboardDevice")?;
    /// // CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS): answers its input, reversed.
    /// let done = bench.ioctl(&file, 0x22_2000, b"abc", 16)?;
    /// assert_eq!((done.status, done.output.as_slice()), (bench::STATUS_SUCCESS, b"cba".as_slice()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the driver answers is no error of this call: see [`Completed::status`]. [`Error::Failed`] when the file's process
    /// has exited, and with STATUS_PENDING when the driver keeps the request pending and nothing that could end it is left to
    /// happen: the program hangs (see [`begin_ioctl`](Self::begin_ioctl)). [`Error::Host`] when the buffers are larger
    /// than 4 MiB, [`Error::Stopped`].
    pub fn ioctl(
        &mut self,
        file: &File,
        code: u32,
        input: &[u8],
        output_length: usize,
    ) -> Result<Completed, Error> {
        self.io(file, Io::Control(code), input, &vec![0; output_length])
    }

    /// Sends a control code whose second buffer holds something: of `METHOD_IN_DIRECT`, or `METHOD_NEITHER`.
    ///
    /// # Errors
    /// As [`ioctl`](Self::ioctl).
    pub fn ioctl_with(
        &mut self,
        file: &File,
        code: u32,
        input: &[u8],
        output: &[u8],
    ) -> Result<Completed, Error> {
        self.io(file, Io::Control(code), input, output)
    }

    /// Reads up to `length` bytes at an offset (`ReadFile`).
    ///
    /// # Errors
    /// As [`ioctl`](Self::ioctl).
    pub fn read(&mut self, file: &File, offset: i64, length: usize) -> Result<Completed, Error> {
        self.io(file, Io::Read(offset), &[], &vec![0; length])
    }

    /// Writes at an offset (`WriteFile`).
    ///
    /// # Errors
    /// As [`ioctl`](Self::ioctl).
    pub fn write(&mut self, file: &File, offset: i64, bytes: &[u8]) -> Result<Completed, Error> {
        self.io(file, Io::Write(offset), bytes, &[])
    }

    /// Closes a file: the driver is told (IRP_MJ_CLEANUP, then IRP_MJ_CLOSE when nothing else holds it).
    ///
    /// # Errors
    /// [`Error::Failed`] when it is not open, [`Error::Stopped`].
    pub fn close(&mut self, file: File) -> Result<(), Error> {
        let closed = self.io(&file, Io::Close, &[], &[])?;
        if closed.status == STATUS_SUCCESS {
            Ok(())
        } else {
            Err(failed("the file is not open", closed.status))
        }
    }

    fn io(&mut self, file: &File, what: Io, input: &[u8], output: &[u8]) -> Result<Completed, Error> {
        let caller = self.caller(Actor::from(Process { id: file.process }))?;
        let result = self.host.io(caller, file.handle, what, input, output);
        self.answer(result).map(Completed::of)
    }

    pub(crate) fn caller(&mut self, who: Actor) -> Result<Caller, Error> {
        let context = self.context_of(Some(who))?;
        Ok(Caller { context, time: self.next_moment() })
    }
}

impl FileBuilder<'_> {
    /// Who opens it: the file is its process's.
    pub fn by(mut self, who: impl Into<Actor>) -> Self {
        self.by = Some(who.into());
        self
    }

    /// With which access mask of NT's; 0 is what a control code of `FILE_ANY_ACCESS` needs.
    pub fn access(mut self, access: u32) -> Self {
        self.access = access;
        self
    }

    /// For requests that are begun and not waited for at once: FILE_FLAG_OVERLAPPED.
    pub fn overlapped(mut self) -> Self {
        self.overlapped = true;
        self
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`Error::Host`] with the status of NT or of the driver: [`Error::status`]. [`Error::Failed`] when who opens has
    /// exited. [`Error::Stopped`].
    pub fn open(self) -> Result<File, Error> {
        let Self { bench, path, by, access, overlapped } = self;
        let who = match by {
            Some(who) => who,
            None => bench.shell()?.into(),
        };
        let caller = bench.caller(who)?;
        let result = bench.host.open(caller, &nt_path(&path), access, overlapped);
        let handle = bench.answer(result)?;
        Ok(File { process: caller.context.process, handle, overlapped })
    }
}

/// The path that the system gets for what a program writes, as `RtlDosPathNameToNtPathName` has it.
pub(crate) fn nt_path(path: &str) -> String {
    let device = path.strip_prefix(r"\\.\").or_else(|| path.strip_prefix(r"\\?\"));
    let drive = path.as_bytes().get(1) == Some(&b':');
    match device {
        Some(rest) => format!(r"\??\{rest}"),
        None if drive => format!(r"\??\{path}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_s_path_becomes_nt_s() {
        for (given, nt) in [
            (r"\\.\Edr", r"\??\Edr"),
            (r"\\?\C:\x", r"\??\C:\x"),
            (r"C:\x", r"\??\C:\x"),
            (r"\Device\Edr", r"\Device\Edr"),
        ] {
            assert_eq!(nt_path(given), nt);
        }
    }
}
