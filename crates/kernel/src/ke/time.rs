//! The clock.

use std::mem::offset_of;

use event::Time;
use nt_abi::{KUSER_SHARED_DATA, Profile};

use super::virtual_clock;

/// The system time, by the bench's clock.
pub(crate) fn now() -> Time {
    Time(virtual_clock::reading().system_time)
}

/// Nanoseconds on a clock that never goes back, for measuring.
pub(crate) fn monotonic() -> u64 {
    if virtual_clock::is_on() { virtual_clock::reading().monotonic } else { machine::platform().monotonic() }
}

/// The same for measuring what drivers take.
pub(crate) fn stopwatch(kernel: &crate::Kernel) -> u64 {
    if kernel.config.timed { machine::platform().monotonic() } else { monotonic() }
}

/// 100 ns in a clock tick: 64 ticks a second.
pub(crate) const TICK: i64 = 156_250;
/// Milliseconds in a tick, as 8.24 fixed point: 15.625.
const TICK_MULTIPLIER: u32 = 0x0FA0_0000;

/// Fills in what drivers read inline from KUSER_SHARED_DATA: the clocks, and which Windows this is.
pub(crate) fn fill_shared_user_data(page: &mut [u8; machine::pcr::PAGE_SIZE], profile: Profile) {
    let machine::platform::Now { system_time, monotonic } = virtual_clock::reading();
    let interrupt_time = i64::try_from(monotonic / 100).unwrap_or(i64::MAX);
    put(page, offset_of!(KUSER_SHARED_DATA, TickCountMultiplier), &TICK_MULTIPLIER.to_le_bytes());
    put_time(page, offset_of!(KUSER_SHARED_DATA, InterruptTime), interrupt_time);
    put_time(page, offset_of!(KUSER_SHARED_DATA, SystemTime), system_time);
    put_time(page, offset_of!(KUSER_SHARED_DATA, TickCount), interrupt_time / TICK);
    put(page, offset_of!(KUSER_SHARED_DATA, NtBuildNumber), &profile.build().to_le_bytes());
    put(page, offset_of!(KUSER_SHARED_DATA, NtMajorVersion), &profile.major().to_le_bytes());
    put(page, offset_of!(KUSER_SHARED_DATA, NtMinorVersion), &profile.minor().to_le_bytes());
    put(page, offset_of!(KUSER_SHARED_DATA, NtProductType), &1u32.to_le_bytes());
    put(page, offset_of!(KUSER_SHARED_DATA, ProductTypeIsValid), &[1]);
    // PROCESSOR_ARCHITECTURE_AMD64.
    put(page, offset_of!(KUSER_SHARED_DATA, NativeProcessorArchitecture), &9u16.to_le_bytes());
    for (index, unit) in r"C:\Windows".encode_utf16().enumerate() {
        put(page, offset_of!(KUSER_SHARED_DATA, NtSystemRoot) + index * 2, &unit.to_le_bytes());
    }
}

/// A `KSYSTEM_TIME`: the high part twice, so that readers see when it changed under them.
fn put_time(page: &mut [u8], at: usize, time: i64) {
    let [low, high] = [time, time >> 32].map(|part| part.to_le_bytes());
    put(page, at, &low[..4]);
    put(page, at + 4, &high[..4]);
    put(page, at + 8, &high[..4]);
}

fn put(page: &mut [u8], at: usize, bytes: &[u8]) {
    page[at..at + bytes.len()].copy_from_slice(bytes);
}
