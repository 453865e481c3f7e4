//! `ProbeForRead`, `ProbeForWrite`: whether an address that a program gave is one of user memory.
//!
//! Drivers run in ring 3 here, so what is system memory on Windows lies below `MmUserProbeAddress` too. The images of
//! drivers and the kernel stack are known, and are refused as they are on Windows; pool memory passes.

use nt_abi::{CONTEXT, EXCEPTION_RECORD, NTSTATUS, STATUS_ACCESS_VIOLATION, STATUS_DATATYPE_MISALIGNMENT};

use super::lookup::MmUserProbeAddress;

/// What an exception record says of an access.
const WRITE: usize = 1;
const READ: usize = 0;

/// Whether all bytes of a range that is not empty are user memory.
pub(crate) fn is_user(address: u64, length: u64) -> bool {
    let Some(last) = address.checked_add(length - 1) else { return false };
    if last >= MmUserProbeAddress.get() as u64 {
        return false;
    }
    let Ok(start) = usize::try_from(address) else { return false };
    let (low, high) = machine::pcr::Kpcr::current().stack_limits();
    machine::images::find(start).is_none() && !(low..high).contains(&start)
}

fn check(address: u64, length: u64, alignment: u64) -> Result<(), NTSTATUS> {
    if length == 0 {
        return Ok(());
    }
    if address & (alignment & 0xFFFF_FFFF).saturating_sub(1) != 0 {
        return Err(STATUS_DATATYPE_MISALIGNMENT);
    }
    if is_user(address, length) { Ok(()) } else { Err(STATUS_ACCESS_VIOLATION) }
}

fn raise(status: NTSTATUS, access: usize, address: u64, caller: &CONTEXT) -> ! {
    let mut record = EXCEPTION_RECORD {
        ExceptionCode: status,
        ExceptionFlags: nt_abi::EXCEPTION_NONCONTINUABLE,
        ExceptionAddress: std::ptr::without_provenance_mut(usize::try_from(caller.Rip).unwrap_or(0)),
        ..EXCEPTION_RECORD::default()
    };
    if status == STATUS_ACCESS_VIOLATION {
        record.NumberParameters = 2;
        record.ExceptionInformation[0] = access;
        record.ExceptionInformation[1] = usize::try_from(address).unwrap_or(usize::MAX);
    }
    machine::seh::entry::raise(&record, caller)
}

extern "win64" fn probe_read(
    address: u64,
    length: u64,
    alignment: u64,
    _a4: u64,
    caller: &mut CONTEXT,
) -> u64 {
    if let Err(status) = check(address, length, alignment) {
        raise(status, READ, address, caller);
    }
    0
}

extern "win64" fn probe_write(
    address: u64,
    length: u64,
    alignment: u64,
    _a4: u64,
    caller: &mut CONTEXT,
) -> u64 {
    if let Err(status) = check(address, length, alignment) {
        raise(status, WRITE, address, caller);
    }
    if length == 0 {
        return 0;
    }
    // One byte of each page is written back as it is: a page that cannot be written raises.
    let (mut at, last) = (address, address + (length - 1));
    while at <= last {
        if let Err(bad) = touch(at) {
            raise(STATUS_ACCESS_VIOLATION, WRITE, bad, caller);
        }
        at = (at & !0xFFF) + 0x1000;
    }
    0
}

/// Reads a byte and writes it back.
fn touch(at: u64) -> Result<(), u64> {
    let byte: u8 = machine::guarded::try_read(at).map_err(|_| at)?;
    // SAFETY: the driver says that it is memory it may write, and gets its own value back.
    unsafe { machine::guarded::try_write(at, byte) }.map_err(|_| at)
}

machine::raising_entry! {
    /// Raises an exception unless a range is user memory and aligned; touches none of it. Source: DDI.
    ///
    /// An empty range always passes. Parameters: address, length, alignment.
    #[export_macro::export(irql <= APC)]
    pub fn ProbeForRead => probe_read
}

machine::raising_entry! {
    /// Raises an exception unless a range is user memory, aligned and writable. Source: DDI.
    ///
    /// An empty range always passes. Parameters: address, length, alignment.
    #[export_macro::export(irql <= APC)]
    pub fn ProbeForWrite => probe_write
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::{Records, stops, with_kernel};

    fn entries() -> [usize; 2] {
        [(ProbeForRead as *const ()).expose_provenance(), (ProbeForWrite as *const ()).expose_provenance()]
    }

    fn raised(records: &Records, entry: usize, address: u64, length: u64, alignment: u64) -> u64 {
        let stop = stops(records, || {
            // SAFETY: three parameters, as documented.
            unsafe { machine::call3(entry, address, length, alignment) };
        });
        stop.parameters[0] & 0xFFFF_FFFF
    }

    #[test]
    fn good_memory_passes_and_stays_as_it_is() {
        with_kernel(Config::default(), |_, _| {
            let memory = vec![7u8; 10_000];
            for entry in entries() {
                // SAFETY: three parameters, as documented.
                unsafe {
                    machine::call3(entry, memory.as_ptr().expose_provenance() as u64, 10_000, 1);
                    machine::call3(entry, u64::MAX, 0, 8);
                }
            }
            assert!(memory.iter().all(|&byte| byte == 7));
        });
    }

    #[test]
    fn bad_memory_raises() {
        with_kernel(Config::default(), |_, records| {
            let local = 0u64;
            let stack = (&raw const local).addr() as u64;
            for entry in entries() {
                assert_eq!(raised(records, entry, 0x1_0002, 4, 4), 0x8000_0002);
                for (address, length) in
                    [(0xFFFF_8000_0000_0000, 8), (0x7FFF_FFFF_0000 - 4, 8), (u64::MAX - 3, 16), (stack, 8)]
                {
                    assert_eq!(raised(records, entry, address, length, 1), 0xC000_0005, "{address:#x}");
                }
            }
            // Reading is not tried, writing is.
            // SAFETY: three parameters, as documented.
            unsafe { machine::call3(entries()[0], 0x1_0000, 8, 1) };
            assert_eq!(raised(records, entries()[1], 0x1_0000, 8, 1), 0xC000_0005);
        });
    }
}
