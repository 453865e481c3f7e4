//! What signals do to the tracer while it watches a command.
//!
//! | signal | while the command runs | while only others outlive it |
//! |---|---|---|
//! | SIGINT, SIGQUIT | ignored: a terminal sends them to the command as well | ends the watch |
//! | SIGTERM, SIGHUP | passed on to the command | ends the watch |
//! | SIGTSTP, SIGTTIN, SIGTTOU | ignored: the tracer stops when the command has stopped | as ever |

use std::{
    sync::atomic::{AtomicBool, AtomicI32, Ordering},
    time::Duration,
};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

use super::sys::{self, Pid};

/// The command's process while it lives, else 0.
static COMMAND: AtomicI32 = AtomicI32::new(0);
/// The tracer's thread, 0 when nobody watches.
static WATCHER: AtomicI32 = AtomicI32::new(0);
/// Whether the watch is to end.
static END: AtomicBool = AtomicBool::new(false);

const TERMINAL: [Signal; 2] = [Signal::SIGINT, Signal::SIGQUIT];
const POLITE: [Signal; 2] = [Signal::SIGTERM, Signal::SIGHUP];
const JOB: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];

/// How soon a request to end the watch is heard at the latest.
const PATIENCE: Duration = Duration::from_millis(50);

/// Calls nothing but `kill`, which is async-signal-safe.
extern "C" fn on_signal(signal: i32) {
    let command = COMMAND.load(Ordering::Acquire);
    if command > 0 {
        sys::kill(command, signal);
    } else {
        END.store(true, Ordering::Release);
    }
}

/// Interrupts the watcher's wait once the watch is to end, again and again: it may just not wait yet.
fn interrupt_when_ended(watcher: Pid) {
    while WATCHER.load(Ordering::Acquire) == watcher {
        if END.load(Ordering::Acquire) {
            sys::kill_thread(watcher, libc::SIGTERM);
        }
        std::thread::sleep(PATIENCE);
    }
}

/// The dispositions of this process for as long as it watches; put back when dropped.
///
/// There is one set per process: of several watches at once the first has them.
#[derive(Debug)]
pub(super) struct Signals {
    saved: Vec<(Signal, SigAction)>,
    mine: bool,
}

fn set(signal: Signal, handler: SigHandler, flags: SaFlags) -> Option<SigAction> {
    let action = SigAction::new(handler, flags, SigSet::empty());
    // SAFETY: the only handler that is ever passed is `on_signal`, which is async-signal-safe.
    unsafe { sigaction(signal, &action) }.ok()
}

impl Signals {
    /// Takes the signals over on behalf of a command that has been started.
    pub(super) fn take(command: Pid) -> Self {
        let me = sys::own_thread();
        let mine = WATCHER.compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire).is_ok();
        let mut signals = Self { saved: Vec::new(), mine };
        if mine {
            END.store(false, Ordering::Release);
            COMMAND.store(command, Ordering::Release);
            let ignored = TERMINAL.into_iter().chain(JOB).map(|signal| (signal, SigHandler::SigIgn));
            let handled = POLITE.map(|signal| (signal, SigHandler::Handler(on_signal)));
            for (signal, handler) in ignored.chain(handled) {
                if let Some(before) = set(signal, handler, SaFlags::SA_RESTART) {
                    // Who started us with nohup wants it to stay so.
                    if matches!(before.handler(), SigHandler::SigIgn) {
                        set(signal, SigHandler::SigIgn, SaFlags::empty());
                    }
                    signals.saved.push((signal, before));
                }
            }
        }
        signals
    }

    /// The command has ended, and others live on.
    pub(super) fn outlived(&self) {
        if !self.mine {
            return;
        }
        COMMAND.store(0, Ordering::Release);
        for (signal, before) in &self.saved {
            if matches!(before.handler(), SigHandler::SigIgn) {
                continue;
            }
            if JOB.contains(signal) {
                set(*signal, before.handler(), SaFlags::empty());
            } else {
                // Not to be restarted: the wait is to end.
                set(*signal, SigHandler::Handler(on_signal), SaFlags::empty());
            }
        }
        let watcher = sys::own_thread();
        std::thread::spawn(move || interrupt_when_ended(watcher));
    }

    /// Whether the watch is to end. Only ever true once the command was outlived.
    pub(super) fn ended(&self) -> bool {
        self.mine && END.load(Ordering::Acquire)
    }

    /// Stops this process as the command was stopped, until it is continued. In a process group that
    /// nobody could continue the kernel does not stop it, which is right.
    pub(super) fn stop_with_the_command(&self) {
        if !self.mine {
            return;
        }
        set(Signal::SIGTSTP, SigHandler::SigDfl, SaFlags::empty());
        let _ = raise(Signal::SIGTSTP);
        set(Signal::SIGTSTP, SigHandler::SigIgn, SaFlags::empty());
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if !self.mine {
            return;
        }
        COMMAND.store(0, Ordering::Release);
        for (signal, before) in &self.saved {
            // SAFETY: puts back what was there before this watch.
            let _ = unsafe { sigaction(*signal, before) };
        }
        WATCHER.store(0, Ordering::Release);
    }
}
