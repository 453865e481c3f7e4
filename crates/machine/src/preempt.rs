//! Preemption after a number of a driver's instructions: how two routines are made to meet between two of them.
//!
//! [`arm`] sets the trap flag, so that each instruction is followed by a trap. The handler counts those of drivers and
//! calls the hook after the last one. Instructions of our own on the way are stepped over, up to a limit: a
//! routine of the kernel that a driver calls in between is not the place to be preempted in.

use std::sync::OnceLock;

use crate::fault::cpu::{Cpu, TRAP_FLAG};
use crate::pcr::Kpcr;
use crate::processor::attached;

/// How many of our own instructions are stepped through before the flag is given up.
const OWN_LIMIT: u32 = 500;

/// What is left to count; nothing while not armed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Preempt {
    /// Instructions of drivers.
    driver: u32,
    /// Instructions of our own.
    own: u32,
}

static HOOK: OnceLock<fn() -> u32> = OnceLock::new();

/// Sets what is called when the count has come to its end, once per process. It runs in a signal handler that has
/// interrupted driver code, on the preempted thread, may block, and answers after how many more instructions
/// it wants to be called again (0: not at all).
pub fn set_hook(hook: fn() -> u32) {
    let _ = HOOK.set(hook);
}

/// Preempts this thread after `instructions` of drivers' code. Does nothing on a thread that is no processor.
pub fn arm(instructions: u32) {
    let Some(kpcr) = attached() else { return };
    if instructions == 0 {
        return;
    }
    kpcr.private.preempt.set(Preempt { driver: instructions, own: OWN_LIMIT });
    // SAFETY: sets the trap flag of this thread; the handler of the trap is installed, as the thread is attached.
    unsafe {
        std::arch::asm!("pushfq", "or qword ptr [rsp], {flag}", "popfq", flag = const TRAP_FLAG as i32);
    };
}

/// Ends the counting.
pub fn disarm() {
    let Some(kpcr) = attached() else { return };
    // SAFETY: clears the trap flag of this thread, which nobody else sets outside of the handler.
    unsafe {
        std::arch::asm!("pushfq", "and qword ptr [rsp], {flag}", "popfq", flag = const !(TRAP_FLAG as i32));
    };
    // The instruction that clears the flag is the last that traps.
    kpcr.private.preempt.set(Preempt::default());
}

/// Ends the counting for a while, and answers what was left: [`arm`] goes on with it.
pub fn pause() -> u32 {
    let left = attached().map_or(0, |kpcr| kpcr.private.preempt.get().driver);
    if left != 0 {
        disarm();
    }
    left
}

/// A trap after one instruction; `false` when it is not of our making.
pub(crate) fn stepped(kpcr: &Kpcr, cpu: &mut Cpu) -> bool {
    let left = &kpcr.private.preempt;
    let mut now = left.get();
    // A single instruction that is executed elsewhere has the flag for itself; and an order to stop wins.
    if now.own == 0 || kpcr.private.step.get().active || kpcr.private.signal_depth.get() != 0 {
        left.set(Preempt::default());
        return false;
    }
    if crate::images::find(cpu.rip as usize).is_some() {
        now.driver = now.driver.saturating_sub(1);
        if now.driver == 0 {
            left.set(Preempt::default());
            kpcr.private.signal_depth.set(1);
            now.driver = HOOK.get().map_or(0, |hook| hook());
            kpcr.private.signal_depth.set(0);
            now.own = if now.driver == 0 { 0 } else { OWN_LIMIT };
        }
    } else {
        now.own -= 1;
    }
    let goes_on = now.own != 0 && now.driver != 0;
    left.set(if goes_on { now } else { Preempt::default() });
    if !goes_on {
        cpu.rflags &= !TRAP_FLAG;
    }
    true
}
