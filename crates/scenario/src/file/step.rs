//! One step of a scenario.

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{At, Bytes, Expect, Length, PowerStateName, Status};

/// One thing that happens, and what has to come of it. A step has one action, or only `expect`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A process is created.
    pub create: Option<At<Create>>,
    /// A suspended process starts to run: its executable and ntdll are mapped.
    pub resume: Option<At<String>>,
    /// A thread is created.
    pub thread: Option<At<Thread>>,
    /// A thread exits.
    pub exit_thread: Option<At<ExitThread>>,
    /// A process exits: its threads, then the process.
    pub exit: Option<At<Exit>>,
    /// An image is mapped into a process, or a kernel image is loaded.
    pub map: Option<At<Map>>,
    /// An image is unmapped. No driver is told of it.
    pub unmap: Option<At<Unmap>>,
    /// A device is opened, as with CreateFile; requests open it themselves when it is not open. A table says by whom, and gives
    /// the open file a name of its own.
    pub open: Option<At<Open>>,
    /// A device is closed, or an open file.
    pub close: Option<At<String>>,
    /// A device is sent a control code, as with DeviceIoControl.
    pub ioctl: Option<At<Control>>,
    /// A device is read from.
    pub read: Option<At<Read>>,
    /// A device is written to.
    pub write: Option<At<Write>>,
    /// A device is asked for something, and the answer is not waited for: the request stays pending until the driver completes
    /// it.
    pub begin: Option<At<Begin>>,
    /// A request that was begun is waited for: what has to come of it is expected here. Its status is STATUS_PENDING where
    /// nothing that could end it is left to happen.
    pub wait: Option<At<String>>,
    /// A request that was begun is cancelled, as with CancelIoEx; `wait` says how it ends.
    pub cancel: Option<At<String>>,
    /// The stack of a device is told to change its power state, or asked whether it could. The status is what its drivers end the
    /// request with.
    pub power: Option<At<Power>>,
    /// Time goes by: timers of drivers expire.
    pub advance: Option<At<Advance>>,
    /// Pool becomes low: the next allocation of a driver fails, or all from now on; or there is enough again.
    pub low_pool: Option<At<LowPool>>,
    /// A driver is loaded, one that has `later = true` or was unloaded.
    pub load: Option<At<String>>,
    /// A driver is unloaded.
    pub unload: Option<At<String>>,
    /// What has to come of the step; in a step of its own: what has to have happened since the scenario began.
    pub expect: Option<At<Expect>>,
}

/// A process.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// How other steps call the process.
    pub name: At<String>,
    /// Its executable: `'C:\Windows\System32\cmd.exe'`, or an NT path. Left out: its name cannot be found out.
    pub image: Option<At<String>>,
    /// Its command line; the image in quotes when left out.
    pub command_line: Option<String>,
    /// Whether its command line cannot be found out (drivers get NULL).
    #[serde(default)]
    pub without_command_line: bool,
    /// The process it inherits from; its creator when left out.
    pub parent: Option<At<String>>,
    /// The process whose thread creates it; the parent when left out, or else `shell`, which is always there.
    pub creator: Option<At<String>>,
    /// Whether it was there before the drivers: nobody is told of its creation.
    #[serde(default)]
    pub existing: bool,
    /// Whether its first thread waits for a `resume` step, so that no image is mapped yet.
    #[serde(default)]
    pub suspended: bool,
    /// Whether it is created in two steps, as with NtCreateProcessEx: drivers are told when its first thread is
    /// inserted, and the name it was opened by is not known.
    #[serde(default)]
    pub from_section: bool,
    /// The process whose thread inserts the first one (with `from_section`); its creator when left out.
    pub first_thread_by: Option<At<String>>,
    /// The process it is a clone of, as by a fork: nobody is told of a clone.
    pub clone_of: Option<At<String>>,
    /// What it is compiled for.
    #[serde(default)]
    pub architecture: Architecture,
    /// Which subsystem it belongs to.
    #[serde(default)]
    pub subsystem: Subsystem,
    /// Its id, a multiple of 4, which a process that has exited may have had.
    pub id: Option<u32>,
    /// Whether it inherits none of its parent's handles.
    #[serde(default)]
    pub without_inherited_handles: bool,
    /// Whether thread routines run at APC_LEVEL.
    #[serde(default)]
    pub apc_level: bool,
    /// Whether image routines run with all APCs disabled.
    #[serde(default)]
    pub all_apcs_disabled: bool,
    /// Whether names are counted strings without a NUL behind them.
    #[serde(default)]
    pub unterminated_names: bool,
    /// Whether the memory of the process is gone when a routine touches it.
    #[serde(default)]
    pub user_pages_gone: bool,
}

/// What something is compiled for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// x86-64.
    #[default]
    X64,
    /// 32-bit x86: a WoW64 process or image.
    X86,
}

/// Which subsystem a process belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Subsystem {
    /// An ordinary process.
    #[default]
    Win32,
    /// A pico process of the Windows Subsystem for Linux, version 1.
    Wsl,
}

/// A thread.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Thread {
    /// How other steps call the thread.
    pub name: At<String>,
    /// The process it runs in.
    #[serde(rename = "in")]
    pub process: At<String>,
    /// The process that creates it, for a remote thread; its own when left out.
    pub by: Option<At<String>>,
    /// Whether thread routines run at APC_LEVEL.
    #[serde(default)]
    pub apc_level: bool,
}

/// The end of a thread.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExitThread {
    /// Which thread.
    pub thread: At<String>,
    /// Its exit status; 0 when left out.
    pub status: Option<Status>,
    /// Whether thread routines run at APC_LEVEL.
    #[serde(default)]
    pub apc_level: bool,
}

/// The end of a process: its name, or a table with its status.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Exit {
    /// Its name.
    Name(String),
    /// Its name and status.
    Table(ExitTable),
}

/// The end of a process with a status.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExitTable {
    /// Which process.
    pub process: String,
    /// Its exit status; 0 when left out.
    pub status: Option<Status>,
}

impl Exit {
    /// Which process.
    pub fn process(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Table(table) => &table.process,
        }
    }
}

impl<'de> Deserialize<'de> for Exit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Exit;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a process, or `{ process = \"…\", status = … }`")
            }

            fn visit_str<E>(self, text: &str) -> Result<Exit, E> {
                Ok(Exit::Name(text.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Exit, A::Error> {
                ExitTable::deserialize(MapAccessDeserializer::new(map)).map(Exit::Table)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// An image that is mapped.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// The process it is mapped into; `kernel` for an image of the kernel's own.
    #[serde(rename = "in")]
    pub process: At<String>,
    /// The file. Left out: its name cannot be found out (routines get NULL).
    pub image: Option<At<String>>,
    /// What the file is called by now, where that name is stale: the file object has this one. Not for kernel images.
    pub file: Option<At<String>>,
    /// The process that maps it, for a remote view; its own when left out.
    pub by: Option<At<String>>,
    /// How it is mapped.
    #[serde(default, rename = "as")]
    pub mapping: MapAs,
    /// Where; the next free address when left out.
    pub base: Option<u64>,
    /// How many bytes of address space; 0x20000 when left out.
    pub size: Option<u64>,
    /// What it is compiled for; what its process is compiled for when left out.
    pub architecture: Option<Architecture>,
    /// Whether the view maps only a part of the image.
    #[serde(default)]
    pub partial: bool,
    /// Whether it is of another architecture than its process runs.
    #[serde(default)]
    pub conflicting: bool,
    /// How it is signed.
    pub signature: Option<Signature>,
    /// What it begins with, as drivers read it at ImageBase; PE headers when left out. Not for kernel images.
    pub contents: Option<Bytes>,
    /// Whether image routines run with all APCs disabled.
    #[serde(default)]
    pub all_apcs_disabled: bool,
    /// Whether names are counted strings without a NUL behind them.
    #[serde(default)]
    pub unterminated_names: bool,
    /// Whether the memory of the process is gone when a routine touches it.
    #[serde(default)]
    pub user_pages_gone: bool,
}

/// How a file is mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MapAs {
    /// As an executable image.
    #[default]
    Image,
    /// As an image that cannot be executed (SEC_IMAGE_NO_EXECUTE): nobody is told, but under Windows 7, which maps it as
    /// an executable image.
    NoExecute,
    /// As data: nobody is told.
    Data,
}

/// How an image is signed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// SE_SIGNING_LEVEL, 0 to 15.
    pub level: u8,
    /// SE_IMAGE_SIGNATURE_TYPE, 0 to 7.
    #[serde(rename = "type")]
    pub kind: u8,
}

/// The end of a mapping.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unmap {
    /// The process.
    #[serde(rename = "in")]
    pub process: At<String>,
    /// The image, as it was mapped.
    pub image: At<String>,
}

/// A device that is opened: its path, or a table.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Open {
    /// Its path: `'\\.\Edr'`.
    Path(String),
    /// Its path, and more.
    Table(OpenTable),
}

/// A device that is opened, and by whom.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenTable {
    /// The device: `'\\.\Edr'`.
    pub device: String,
    /// How other steps call the open file, where they write a device; the device when left out.
    pub name: Option<String>,
    /// The process that opens it, whose exit closes it; `shell` when left out.
    pub by: Option<At<String>>,
    /// With which access.
    #[serde(default)]
    pub access: Access,
}

/// With which access a device is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// GENERIC_READ and GENERIC_WRITE.
    #[default]
    ReadWrite,
    /// GENERIC_READ.
    Read,
    /// GENERIC_WRITE.
    Write,
    /// No access but what everybody may ask for: enough for control codes of FILE_ANY_ACCESS.
    Any,
}

impl Open {
    /// The device.
    pub fn device(&self) -> &str {
        match self {
            Self::Path(device) => device,
            Self::Table(table) => &table.device,
        }
    }

    /// How other steps call the open file.
    pub fn name(&self) -> &str {
        match self {
            Self::Table(OpenTable { name: Some(name), .. }) => name,
            _ => self.device(),
        }
    }
}

impl<'de> Deserialize<'de> for Open {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Open;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the path of a device, or `{ device = \"…\", by = \"…\" }`")
            }

            fn visit_str<E>(self, text: &str) -> Result<Open, E> {
                Ok(Open::Path(text.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Open, A::Error> {
                OpenTable::deserialize(MapAccessDeserializer::new(map)).map(Open::Table)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A control code sent to a device.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// The device: `'\\.\Edr'`; or the name that an `open` step gave to the open file.
    pub device: At<String>,
    /// The control code: 0x222000.
    pub code: u32,
    /// What is sent.
    #[serde(default)]
    pub input: Bytes,
    /// How many bytes the answer may have; 4096 when left out.
    pub output_size: Option<u32>,
    /// What the second buffer holds, for a code of METHOD_IN_DIRECT or METHOD_NEITHER: as many bytes as it has.
    pub output_buffer: Option<Bytes>,
}

/// Bytes read from a device.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The device: `'\\.\Edr'`; or the name that an `open` step gave to the open file.
    pub device: At<String>,
    /// How many bytes are asked for; 4096 when left out.
    pub size: Option<u32>,
    /// Where they begin; 0 when left out.
    #[serde(default)]
    pub offset: i64,
}

/// Bytes written to a device.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The device: `'\\.\Edr'`; or the name that an `open` step gave to the open file.
    pub device: At<String>,
    /// What is written.
    pub input: Bytes,
    /// Where; 0 when left out.
    #[serde(default)]
    pub offset: i64,
}

/// A request to a device that is not waited for: a control code, or `read`, or `write`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// How `wait` and `cancel` call the request.
    pub name: At<String>,
    /// The device: `'\\.\Edr'`. It is opened for overlapped requests.
    pub device: At<String>,
    /// The control code: 0x222000.
    pub code: Option<At<u32>>,
    /// What is sent with the control code.
    #[serde(default)]
    pub input: Bytes,
    /// How many bytes the answer to the control code may have; 4096 when left out.
    pub output_size: Option<u32>,
    /// What the second buffer of the control code holds, for METHOD_IN_DIRECT or METHOD_NEITHER.
    pub output_buffer: Option<Bytes>,
    /// How many bytes are read.
    pub read: Option<At<u32>>,
    /// What is written.
    pub write: Option<At<Bytes>>,
    /// Where it is read or written; 0 when left out.
    #[serde(default)]
    pub offset: i64,
}

/// A power request: to one device or to those of a driver, to set a state or to ask for it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// The device: `'\\.\Edr'`, or an NT path.
    pub device: Option<At<String>>,
    /// The driver whose devices are meant.
    pub driver: Option<At<String>>,
    /// The state to change to (IRP_MN_SET_POWER).
    pub set: Option<At<PowerStateName>>,
    /// The state that is asked for (IRP_MN_QUERY_POWER).
    pub query: Option<At<PowerStateName>>,
}

/// Which allocations of drivers fail. What a driver registers needs pool as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LowPool {
    /// The next one.
    Next,
    /// All from now on.
    All,
    /// None.
    Off,
}

/// Time that goes by.
pub type Advance = Length;
