//! What a bench asks its host and what it is told, as messages of a lane.

use std::borrow::Cow;

use event::{ClientId, DriverId, ProcessId, Time};
use kernel::{Config, LowPool, PowerState, PowerTarget};
use nt_abi::NTSTATUS;
use serde::{Deserialize, Serialize};

use crate::sandbox::Report;

/// A value of a service's `Parameters` key in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value<'a> {
    /// `REG_DWORD`.
    Dword(u32),
    /// `REG_QWORD`.
    Qword(u64),
    /// `REG_SZ`.
    String(Cow<'a, str>),
    /// `REG_EXPAND_SZ`.
    ExpandString(Cow<'a, str>),
    /// `REG_MULTI_SZ`.
    MultiString(Vec<Cow<'a, str>>),
    /// `REG_BINARY`.
    Binary(Cow<'a, [u8]>),
}

/// A process creation that ended with an error status (R-VETO-03).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The refused process.
    pub process: ProcessId,
    /// What its creation ends with.
    pub status: NTSTATUS,
    /// The driver that wrote the status last.
    pub driver: Option<DriverId>,
}

/// What a program asks of a file it has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Io {
    /// `DeviceIoControl` with that code.
    Control(u32),
    /// `ReadFile` at that offset.
    Read(i64),
    /// `WriteFile` at that offset.
    Write(i64),
    /// `CloseHandle`.
    Close,
}

/// Who asks, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The thread that asks: its process's handles count, and drivers run in its context.
    pub context: ClientId,
    /// When it asks; a virtual clock goes there.
    pub time: Time,
}

/// What a bench asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request<'a> {
    /// Start. The first request of a host, on lane 0, there before the host is.
    Boot(Config),
    /// Say what of the sandbox is in force; nothing needs to have booted.
    Probe,
    /// Write a registry value.
    SetValue {
        /// The service.
        service: &'a str,
        /// The value's name.
        name: &'a str,
        /// The value.
        #[serde(borrow)]
        value: Value<'a>,
    },
    /// Load the image that lies at the start of the staging area.
    Load {
        /// The service's name.
        name: &'a str,
        /// The file it came from.
        path: &'a str,
        /// Its length in bytes.
        length: u64,
    },
    /// Deliver events: so many, encoded one after the other behind this message, so that the host
    /// can take one at a time and allocates nothing.
    Deliver {
        /// Which delivery of the lane: its number in their order.
        number: u32,
        /// How many.
        count: u32,
        /// Go on behind an event of which a process came to an end: its creation was refused, or a driver terminated one.
        whole: bool,
    },
    /// Unload a driver.
    Unload {
        /// Which.
        driver: DriverId,
    },
    /// Say which devices a driver has.
    Devices {
        /// Which driver.
        driver: DriverId,
    },
    /// Open a device or a file, as a program.
    Open {
        /// Who.
        caller: Caller,
        /// The full NT path.
        path: &'a str,
        /// The access that is asked for.
        access: u32,
        /// FILE_FLAG_OVERLAPPED.
        overlapped: bool,
    },
    /// Ask something of an open file. The lane's transfer area holds the first buffer and, behind it, the second.
    Io {
        /// Who.
        caller: Caller,
        /// The handle.
        file: u64,
        /// What.
        what: Io,
        /// Bytes in the first buffer.
        input: u32,
        /// Bytes in the second.
        output: u32,
        /// Do not wait for the end.
        begin: bool,
    },
    /// Ask for the end of a request that was begun.
    Result {
        /// Its number.
        request: u64,
        /// Wait for it, for a while.
        wait: bool,
        /// Bytes in its second buffer.
        output: u32,
    },
    /// Cancel a request that was begun.
    Cancel {
        /// Who cancels it.
        caller: Caller,
        /// Its number.
        request: u64,
    },
    /// Send a power request to stacks of devices.
    Power {
        /// When; a virtual clock goes there.
        time: Time,
        /// To which stacks.
        #[serde(borrow)]
        target: PowerTarget<'a>,
        /// Only ask whether it could be.
        query: bool,
        /// The state.
        state: PowerState,
    },
    /// Move a virtual clock to a time, with all that is due until then. A time that is past only asks.
    Advance(Time),
    /// Make pool low from now on, or plentiful again.
    LowPool(LowPool),
    /// Unload every driver, look for leaks, sum up, end.
    Finish,
}

/// What a host writes into a ring; `R` is a record, or a reference to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message<R> {
    /// A record.
    Record(R),
    /// The record of an event that the bench has sent: it has it, and is not sent it back.
    Told {
        /// The record's time.
        time: Time,
        /// The record's context.
        context: ClientId,
        /// The event.
        event: Place,
    },
}

/// Where an event is among those that a lane was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The number of its delivery.
    pub(crate) delivery: u32,
    /// Its place in that; the first is 0.
    pub(crate) index: u32,
}

/// What a bench is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// To `Boot` and `Probe`.
    Booted(Report),
    /// To `SetValue`, `Unload`, `Cancel`, `LowPool` and `Finish`.
    Done,
    /// To `Load`.
    Loaded(DriverId),
    /// To `Advance`: what the clock says.
    Time(Time),
    /// To `Devices`: their full NT paths, as many as fit.
    Devices(Vec<String>),
    /// To `Open`: the handle.
    Opened(u64),
    /// To `Io` that begins only: the number of the request.
    Begun(u64),
    /// To `Unload`: its devices are in use, and it is unloaded when they are not any more.
    UnloadPending,
    /// To `Io` and `Result`: the request is pending.
    Pending {
        /// Nobody is left who could end it.
        hopeless: bool,
    },
    /// To `Io`, `Result` and `Power`: how it ended. The transfer area holds the second buffer of the first two.
    Completed {
        /// The status.
        status: NTSTATUS,
        /// The number that came with it.
        information: u64,
    },
    /// To `Load`, `Unload`, `Open`, `Io` that begins only, `Result`, `Cancel` and `Power`: it did not work.
    Failed {
        /// With which status, where there is one: DriverEntry's, or the loader's.
        status: NTSTATUS,
        /// Why, and what to do.
        message: String,
    },
    /// To `Deliver`.
    Delivered {
        /// The first refusal.
        refused: Option<Refusal>,
        /// How many events were delivered.
        count: u32,
        /// A driver has terminated a process since this was last said.
        terminated: bool,
    },
    /// The request could not be read or makes no sense here.
    Rejected(String),
}
