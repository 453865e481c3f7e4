//! From the hook to the first request.

use std::panic::PanicHookInfo;
use std::sync::atomic::Ordering;

use super::recorder::RECORDER;
use super::worker::Host;
use crate::channel::Channel;
use crate::process::Start;
use crate::sandbox;

/// A host that could not say its reason otherwise leaves with one of these; the reason is in its last words.
const EXIT_SANDBOX: i32 = 71;
const EXIT_PANIC: i32 = 70;
/// A host that a bug check ended; the record of the stop is in its ring.
pub(crate) const EXIT_STOPPED: i32 = 72;

/// The life of a host. Called before `main` with one thread and the channel as standard input.
pub(crate) fn main(channel: Channel) -> ! {
    let channel: &'static Channel = Box::leak(Box::new(channel));
    let start = Start::from_bits(channel.start());
    close_files(start.debug);
    // SAFETY: a C string of at most 16 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"callboard-host".as_ptr()) };
    std::panic::set_hook(Box::new(move |panic| last_words(channel, panic)));
    RECORDER.open(channel);
    match sandbox::apply(start.policy, start.debug, channel.parent()) {
        Ok(report) => {
            let host: &'static Host = Box::leak(Box::new(Host::new(channel, start.executive, report)));
            prepare_for_threads();
            // What it takes to park is allocated now, and not while drivers are loaded: their addresses are to be the same in
            // each run.
            let _this = std::thread::current();
            if let Err(error) = host.start(0) {
                channel.say(&format!(
                    "cannot start a thread in the driver host: {error}; raise the limit on threads"
                ));
                exit(EXIT_SANDBOX)
            }
            // No driver runs on this thread: where its stack ends is written in a file of the system's.
            loop {
                std::thread::park();
            }
        }
        Err(why) => {
            channel.say(&why);
            exit(EXIT_SANDBOX)
        }
    }
}

/// What is cheap only while there is one thread.
fn prepare_for_threads() {
    // Registers for `membarrier`, for which the system lets all processors pass a quiet point (10 ms)
    // once there is a second thread.
    let _ = machine::platform();
    // Every thread would get a heap of its own, which grows by a system call per page.
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a property of the allocator.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Ends the process here and now: nothing of the program it was started as is to run.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor but, when debugging, the standard error. The channel stays mapped.
fn close_files(debug: bool) {
    let close = |first: u32, last: u32| {
        // SAFETY: nothing of this process uses a descriptor: no code of the program has run.
        let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if result < 0 {
            // Linux before 5.9. What was inherited beyond this is out of reach of the filter anyway.
            for fd in first..=last.min(1024) {
                // SAFETY: as above.
                unsafe { libc::close(fd.cast_signed()) };
            }
        }
    };
    close(0, 1);
    close(if debug { 3 } else { 2 }, u32::MAX);
}

/// A panic in the host is a defect of Callboard: say where, and end, because drivers' frames lie
/// between here and whoever could catch it.
fn last_words(channel: &Channel, panic: &PanicHookInfo<'_>) {
    let what = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    channel.say(&format!("a defect in Callboard: panic at {place}: {what}"));
    exit(EXIT_PANIC)
}

impl Channel {
    /// How the host is to start.
    fn start(&self) -> u32 {
        self.word32(crate::channel::header::START).load(Ordering::Acquire)
    }

    /// The process id of the bench's program.
    fn parent(&self) -> u32 {
        self.word32(crate::channel::header::PARENT).load(Ordering::Relaxed)
    }

    /// Leaves a reason behind.
    pub(super) fn say(&self, words: &str) {
        use crate::channel::header::{WORDS, WORDS_BYTES, WORDS_LENGTH};
        let bytes = words.as_bytes();
        let bytes = bytes.get(..WORDS_BYTES).unwrap_or(bytes);
        self.copy_in(WORDS, bytes);
        self.word64(WORDS_LENGTH).store(bytes.len() as u64, Ordering::Release);
    }
}
