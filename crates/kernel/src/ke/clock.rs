//! The clock as drivers ask for it.

use export_macro::export;

use super::time::{TICK, monotonic, now};

/// Ticks of the performance counter in a second, as on Windows 10.
const COUNTER_FREQUENCY: i64 = 10_000_000;

/// Units of 100 ns since boot.
fn interrupt_time() -> u64 {
    monotonic() / 100
}

/// Stores the system time: units of 100 ns since 1601, UTC. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeQuerySystemTime(time: *mut i64) {
    // SAFETY: the driver's variable.
    unsafe { time.write(now().0) };
}

/// Stores the system time, exact to 100 ns. Source: DDI.
#[export(irql any, since = Win8)]
pub unsafe extern "win64" fn KeQuerySystemTimePrecise(time: *mut i64) {
    // SAFETY: the driver's variable.
    unsafe { time.write(now().0) };
}

/// Returns a counter for measuring, and stores how often it counts in a second. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeQueryPerformanceCounter(frequency: *mut i64) -> i64 {
    // SAFETY: the driver's variable, or null.
    if let Some(frequency) = unsafe { frequency.as_mut() } {
        *frequency = COUNTER_FREQUENCY;
    }
    i64::try_from(interrupt_time()).unwrap_or(i64::MAX)
}

/// Returns the time since boot in units of 100 ns. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeQueryInterruptTime() -> u64 {
    interrupt_time()
}

/// Returns the time since boot in units of 100 ns, and stores the performance counter. Source: DDI.
#[export(irql any, since = Win8)]
pub unsafe extern "win64" fn KeQueryInterruptTimePrecise(counter: *mut u64) -> u64 {
    let time = interrupt_time();
    // SAFETY: the driver's variable.
    unsafe { counter.write(time) };
    time
}

/// Returns the time since boot in units of 100 ns, without the time asleep: this machine never sleeps. Source: DDI.
#[export(irql any, since = Win7)]
pub unsafe extern "win64" fn KeQueryUnbiasedInterruptTime() -> u64 {
    interrupt_time()
}

/// Stores how many clock ticks there were since boot. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeQueryTickCount(count: *mut i64) {
    // SAFETY: the driver's variable.
    unsafe { count.write(i64::try_from(interrupt_time()).unwrap_or(i64::MAX) / TICK) };
}

/// Returns the units of 100 ns in a clock tick. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeQueryTimeIncrement() -> u32 {
    u32::try_from(TICK).unwrap_or(u32::MAX)
}

/// Keeps the processor busy for some microseconds. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn KeStallExecutionProcessor(microseconds: u32) {
    if super::virtual_clock::is_on() {
        super::virtual_clock::pass(i64::from(microseconds) * 10);
        return;
    }
    let until = monotonic().saturating_add(u64::from(microseconds) * 1000);
    while monotonic() < until {
        std::hint::spin_loop();
    }
}

/// Turns a system time into local time, which is UTC here. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn ExSystemTimeToLocalTime(system: *const i64, local: *mut i64) {
    // SAFETY: the driver's variables.
    unsafe { local.write(system.read()) };
}

/// Turns a local time, which is UTC here, into system time. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn ExLocalTimeToSystemTime(local: *const i64, system: *mut i64) {
    // SAFETY: the driver's variables.
    unsafe { system.write(local.read()) };
}

/// Returns the units of 100 ns in a clock tick, whatever is asked for: the tick does not change here. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn ExSetTimerResolution(_desired: u32, _set: u8) -> u32 {
    u32::try_from(TICK).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn the_clocks_agree() {
        with_kernel(Config::default(), |_, _| {
            let (mut ticks, mut frequency, mut time) = (0, 0, 0);
            // SAFETY: locals.
            unsafe {
                let before = KeQueryInterruptTime();
                KeStallExecutionProcessor(50);
                KeQueryTickCount(&raw mut ticks);
                let counter = KeQueryPerformanceCounter(&raw mut frequency);
                assert!(counter.cast_unsigned() >= before + 500);
                assert!(ticks.cast_unsigned() >= before / u64::from(KeQueryTimeIncrement()));
                KeQuerySystemTimePrecise(&raw mut time);
                let mut local = 0;
                ExSystemTimeToLocalTime(&raw const time, &raw mut local);
                assert_eq!((local, frequency), (time, 10_000_000));
            }
        });
    }
}
