//! What still works when nothing else does: a line on standard error and the end.
//!
//! Only system calls that are safe in a signal handler; no memory is allocated, no lock is taken.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::stop::BugCheck;

/// Exit status of a process whose stop could not be reported.
const EXIT_STATUS: i32 = 134;

/// How long reporting a stop may take before the process is killed, in seconds.
const REPORT_SECONDS: u32 = 20;

/// The system's id of this thread.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    u32::try_from(unsafe { libc::gettid() }).unwrap_or(u32::MAX)
}

/// Makes this thread the one that stops. A second stop on the same thread ends the process; other threads
/// wait here for its end, which the alarm makes certain.
pub(crate) fn claim_stop(stopping: &AtomicU32, check: BugCheck) {
    let me = thread_id();
    // Twice as long as the first one may take: it is gone for some other reason then.
    for _ in 0..2000 * REPORT_SECONDS {
        match stopping.compare_exchange(0, me, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {
                // SAFETY: only sets a timer, whose signal ends the process unless somebody handles it.
                unsafe { libc::alarm(REPORT_SECONDS) };
                return;
            }
            Err(owner) if owner == me => die(check, "a stop while stopping"),
            // The thread that came first ends the process (or is a test that goes on).
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    die(check, "another thread stopped first and did not end the process")
}

/// The stop was caught by a test: let the process live.
pub(crate) fn disarm() {
    // SAFETY: clears the timer of `claim_stop`.
    unsafe { libc::alarm(0) };
}

/// Writes one line and ends the process.
pub(crate) fn die(check: BugCheck, why: &str) -> ! {
    let mut line = Line { bytes: [0; 256], length: 0 };
    line.text("callboard: stop 0x");
    line.hex(u64::from(check.code));
    for parameter in check.parameters {
        line.text(" 0x");
        line.hex(parameter);
    }
    line.text(" (");
    line.text(why);
    line.text(")\n");
    // SAFETY: the bytes are ours and initialised.
    unsafe { libc::write(2, line.bytes.as_ptr().cast(), line.length) };
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(EXIT_STATUS) }
}

struct Line {
    bytes: [u8; 256],
    length: usize,
}

impl Line {
    fn text(&mut self, text: &str) {
        for &byte in text.as_bytes() {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
    }

    fn hex(&mut self, value: u64) {
        let digits = (64 - value.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            let nibble = (value >> (4 * digit)) & 15;
            let nibble = usize::try_from(nibble).unwrap_or(0);
            self.text(&"0123456789ABCDEF"[nibble..=nibble]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_hexadecimal() {
        let mut line = Line { bytes: [0; 256], length: 0 };
        line.hex(0);
        line.text(" ");
        line.hex(0xD1);
        line.text(" ");
        line.hex(u64::MAX);
        assert_eq!(&line.bytes[..line.length], b"0 D1 FFFFFFFFFFFFFFFF");
    }
}
