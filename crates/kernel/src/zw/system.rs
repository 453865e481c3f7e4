//! `ZwQuerySystemInformation`.

use export_macro::export;
use nt_abi::{
    CLIENT_ID, NTSTATUS, RTL_PROCESS_MODULE_INFORMATION, STATUS_INFO_LENGTH_MISMATCH,
    STATUS_INVALID_INFO_CLASS, STATUS_SUCCESS, SYSTEM_CODEINTEGRITY_INFORMATION, SYSTEM_PROCESS_INFORMATION,
    SystemBasicInformation, SystemModuleInformation, SystemProcessInformation, UNICODE_STRING,
};

use super::process::bytes;
use crate::hash::HashMap;
use crate::ob::Ref;
use crate::ob::name::units;
use crate::ps::process::{Eprocess, PROCESS_TYPE};
use crate::ps::thread::{Ethread, THREAD_TYPE};
use crate::{Kernel, kernel};

/// Classes that `nt-abi` leaves out.
const TIME_OF_DAY: u32 = 3;
const KERNEL_DEBUGGER: u32 = 35;
const CODE_INTEGRITY: u32 = 103;
/// Bytes of a SYSTEM_THREAD_INFORMATION.
const THREAD: usize = 0x50;

/// SYSTEM_BASIC_INFORMATION.
fn basic() -> Vec<u8> {
    let processors = u8::try_from(machine::processor_count().clamp(1, 64)).unwrap_or(1);
    let pages: u32 = 0x10_0000;
    let mut answer = [0, 156_250, 4096, pages, 1, pages, 0x1_0000].map(u32::to_le_bytes).concat();
    answer.resize(0x20, 0);
    let mask = if processors == 64 { u64::MAX } else { (1 << processors) - 1 };
    for number in [0x1_0000u64, 0x7FFF_FFFE_FFFF, mask] {
        answer.extend(number.to_le_bytes());
    }
    answer.extend([processors, 0, 0, 0, 0, 0, 0, 0]);
    answer
}

/// SYSTEM_TIMEOFDAY_INFORMATION.
fn time_of_day() -> Vec<u8> {
    let machine::platform::Now { system_time, monotonic } = crate::ke::virtual_clock::reading();
    let boot = system_time - i64::try_from(monotonic / 100).unwrap_or(0);
    let mut answer = [boot, system_time, 0].map(i64::to_le_bytes).concat();
    answer.resize(0x30, 0);
    answer
}

/// One process with its threads; `address` is where the entry will be, as its name is pointed to.
fn process_entry(kernel: &Kernel, process: &Eprocess, threads: &[&Ref<Ethread>], address: usize) -> Vec<u8> {
    let handle = |id: u32| std::ptr::without_provenance_mut(id as usize);
    let name = process.image.as_ref().map(|image| units(image.file_name())).unwrap_or_default();
    let text = size_of::<SYSTEM_PROCESS_INFORMATION>() + threads.len() * THREAD;
    let length = u16::try_from(name.len() * 2).unwrap_or(u16::MAX - 1);
    let string = if name.is_empty() {
        UNICODE_STRING::default()
    } else {
        let buffer = std::ptr::without_provenance_mut(address + text);
        UNICODE_STRING { Length: length, MaximumLength: length + 2, Buffer: buffer }
    };
    let count = u32::try_from(threads.len()).unwrap_or(u32::MAX);
    let mut entry = bytes(&SYSTEM_PROCESS_INFORMATION {
        NumberOfThreads: count,
        NumberOfThreadsHighWatermark: count,
        CreateTime: process.create_time.0,
        ImageName: string,
        BasePriority: 8,
        UniqueProcessId: handle(process.id.0),
        InheritedFromUniqueProcessId: handle(process.parent.0),
        HandleCount: u32::try_from(kernel.ob.handles.count_of(process.id.0)).unwrap_or(u32::MAX),
        SessionId: u32::from(process.id != event::ProcessId::SYSTEM),
        UniqueProcessKey: process.id.0 as usize,
        ..SYSTEM_PROCESS_INFORMATION::zeroed()
    });
    for thread in threads {
        // Three times and a wait time, start address, client id, priorities, switches, state, reason.
        let mut part = [0, 0, thread.create_time.0, 0].map(i64::to_le_bytes).concat();
        part.extend(thread.start.to_le_bytes());
        part.extend(bytes(&CLIENT_ID {
            UniqueProcess: handle(process.id.0),
            UniqueThread: handle(thread.id.0),
        }));
        part.extend([8u32, 8, 0, 2].map(u32::to_le_bytes).concat());
        part.resize(THREAD, 0);
        entry.extend(part);
    }
    if !name.is_empty() {
        entry.extend(name.iter().chain(&[0]).flat_map(|unit| unit.to_le_bytes()));
    }
    entry
}

/// Every process with its threads, as it is to be at `address`.
fn processes(kernel: &Kernel, address: usize) -> Vec<u8> {
    let threads = kernel.ps.cid.all::<Ethread>(&THREAD_TYPE);
    let mut by_process: HashMap<u32, Vec<&Ref<Ethread>>> = HashMap::default();
    for thread in &threads {
        by_process.entry(thread.process.id.0).or_default().push(thread);
    }
    let (mut all, mut last): (Vec<u8>, Option<usize>) = (Vec::new(), None);
    for process in kernel.ps.cid.all::<Eprocess>(&PROCESS_TYPE) {
        let at = all.len().next_multiple_of(8);
        if let Some(last) = last {
            all[last..last + 4].copy_from_slice(&u32::try_from(at - last).unwrap_or_default().to_le_bytes());
        }
        all.resize(at, 0);
        let threads = by_process.get(&process.id.0).map(Vec::as_slice).unwrap_or_default();
        all.extend(process_entry(kernel, &process, threads, address + at));
        last = Some(at);
    }
    all
}

/// The drivers that are loaded. The kernel itself is none: it is no image that a driver could read.
fn modules(kernel: &Kernel) -> Vec<u8> {
    let loaded: Vec<_> = kernel.io.all().filter(|driver| driver.is_loaded()).collect();
    let mut answer = u64::from(u32::try_from(loaded.len()).unwrap_or(u32::MAX)).to_le_bytes().to_vec();
    for (index, driver) in loaded.into_iter().enumerate() {
        let directory = r"\SystemRoot\System32\drivers\";
        let file = driver.path.rsplit(['/', '\\']).next().unwrap_or(&driver.path);
        let mut path = [0; 256];
        for (place, byte) in path[..255].iter_mut().zip(directory.bytes().chain(file.bytes())) {
            *place = byte;
        }
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        answer.extend(bytes(&RTL_PROCESS_MODULE_INFORMATION {
            ImageBase: std::ptr::without_provenance_mut(driver.base),
            ImageSize: u32::try_from(driver.size).unwrap_or(u32::MAX),
            LoadOrderIndex: index,
            InitOrderIndex: index,
            LoadCount: 1,
            OffsetToFileName: u16::try_from(directory.len()).unwrap_or_default(),
            FullPathName: path,
            ..RTL_PROCESS_MODULE_INFORMATION::zeroed()
        }));
    }
    answer
}

/// Returns information on the system: its processes, its drivers, its time. Source: public documentation.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQuerySystemInformation(
    class: u32,
    buffer: *mut u8,
    length: u32,
    told: *mut u32,
) -> NTSTATUS {
    let answer = match class {
        SystemBasicInformation => basic(),
        TIME_OF_DAY => time_of_day(),
        SystemProcessInformation => processes(kernel(), buffer.addr()),
        SystemModuleInformation => modules(kernel()),
        // No debugger is enabled, and none is there.
        KERNEL_DEBUGGER => vec![0, 1],
        // Code integrity is enabled.
        CODE_INTEGRITY => bytes(&SYSTEM_CODEINTEGRITY_INFORMATION { Length: 8, CodeIntegrityOptions: 1 }),
        _ => return STATUS_INVALID_INFO_CLASS,
    };
    // SAFETY: a driver's pointers; the buffer has `length` bytes.
    unsafe {
        if !told.is_null() {
            told.write_unaligned(u32::try_from(answer.len()).unwrap_or(u32::MAX));
        }
        if (length as usize) < answer.len() {
            return STATUS_INFO_LENGTH_MISMATCH;
        }
        buffer.copy_from_nonoverlapping(answer.as_ptr(), answer.len());
    }
    STATUS_SUCCESS
}

/// Returns information on the system. Source: public documentation.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn NtQuerySystemInformation(
    class: u32,
    buffer: *mut u8,
    length: u32,
    told: *mut u32,
) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { ZwQuerySystemInformation(class, buffer, length, told) }
}
