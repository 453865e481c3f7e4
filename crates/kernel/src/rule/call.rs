//! What is looked at when a driver calls the kernel: the IRQL, and what the call is for.
//!
//! ```text
//!   driver ──call──▶ gate ── IRQL as it may be, nothing to check in this callback, not too deep? ──yes──▶ routine
//!                      └──no──▶ slow gate ──▶ check() ──▶ findings ──▶ routine
//! ```
//! A gate is made for each export. It is some comparisons with memory that GS points at and a jump:
//! it leaves no frame and changes no register, so a routine sees its caller as if there were no gate. Routines that
//! the kernel calls itself are called without one, as only drivers are held to rules.

use std::fmt::Write as _;

use event::Family;
use machine::Irql;

use super::Rule;
use super::category::Category;
use crate::export::{Export, IrqlRule};
use crate::kernel;

/// A process routine runs (`Private::purpose`).
pub(crate) const PROCESS: u8 = 1;
/// A thread routine runs.
pub(crate) const THREAD: u8 = 2;
/// An image routine runs.
pub(crate) const IMAGE: u8 = 4;
/// Any of them.
pub(crate) const NOTIFICATION: u8 = PROCESS | THREAD | IMAGE;
/// A set-power request is handled.
pub(crate) const POWER: u8 = 8;
/// A routine that runs for one of them has queued a work item.
const QUEUED: u8 = 0x80;

/// DRIVER_VERIFIER_DETECTED_VIOLATION.
const VERIFIER: u32 = 0xC4;
/// Its parameter for a routine that was called at a wrong IRQL.
const WRONG_IRQL: u64 = 0xE5;
/// For a system service that was not called at PASSIVE_LEVEL with special kernel APCs enabled.
const SERVICE_NOT_PASSIVE: u64 = 0xE6;

/// The body of a gate: `(routine, export, name, IRQL rule)`.
macro_rules! gate {
    ($routine:ident, $export:ident, $name:literal, $irql:expr) => {
        ::std::arch::naked_asm!(
            "cmp byte ptr gs:[{irql}], {limit}",
            "jae 2f",
            "test byte ptr gs:[{purpose}], {purposes}",
            "jnz 2f",
            "cmp rsp, gs:[{watch}]",
            "jb 2f",
            "jmp {routine}",
            "2:",
            "lea r10, [rip + {export}]",
            "lea r11, [rip + {routine}]",
            "jmp {slow}",
            irql = const machine::pcr::IRQL_OFFSET,
            purpose = const machine::pcr::PURPOSE_OFFSET,
            watch = const machine::pcr::STACK_WATCH_OFFSET,
            limit = const crate::rule::call::limit($name, $irql),
            purposes = const crate::rule::category::of($name).purposes(),
            routine = sym $routine,
            export = sym $export,
            slow = sym crate::rule::call::slow_gate,
        )
    };
}
pub(crate) use gate;

/// The lowest IRQL at which a call has to be looked at; 0 is every call.
pub(crate) const fn limit(name: &str, irql: IrqlRule) -> u8 {
    match (super::category::of(name), irql) {
        // Nothing is looked at, as the routine does it better: no level is as high.
        (Category::SeesItself, _) => 16,
        // The state of the APCs is looked at, which no gate can see.
        (Category::File, _) | (_, IrqlRule::Exactly(1..)) => 0,
        (_, IrqlRule::AtMost(level)) => level + 1,
        (_, IrqlRule::Exactly(0)) => 1,
        (_, IrqlRule::Any) => 16,
    }
}

/// Has a call looked at (export in r10), and makes it (routine in r11).
#[unsafe(naked)]
pub(crate) unsafe extern "win64" fn slow_gate() {
    // From the stack pointer: 0x00 homes, 0x20 parameters, 0x48 routine, 0x50 parameters in vector registers.
    std::arch::naked_asm!(
        "sub rsp, 0x98",
        "mov [rsp + 0x20], rcx",
        "mov [rsp + 0x28], rdx",
        "mov [rsp + 0x30], r8",
        "mov [rsp + 0x38], r9",
        "mov [rsp + 0x40], rax",
        "mov [rsp + 0x48], r11",
        "movups [rsp + 0x50], xmm0",
        "movups [rsp + 0x60], xmm1",
        "movups [rsp + 0x70], xmm2",
        "movups [rsp + 0x80], xmm3",
        "mov rcx, r10",
        "mov rdx, [rsp + 0x98]",
        "lea r8, [rsp + 0x98]",
        "call {check}",
        "mov rcx, [rsp + 0x20]",
        "mov rdx, [rsp + 0x28]",
        "mov r8, [rsp + 0x30]",
        "mov r9, [rsp + 0x38]",
        "mov rax, [rsp + 0x40]",
        "mov r11, [rsp + 0x48]",
        "movups xmm0, [rsp + 0x50]",
        "movups xmm1, [rsp + 0x60]",
        "movups xmm2, [rsp + 0x70]",
        "movups xmm3, [rsp + 0x80]",
        "add rsp, 0x98",
        "jmp r11",
        check = sym check,
    )
}

/// Looks at a call of `export` that returns to `caller`, made with the stack pointer at `stack`, and reports the rules that
/// it breaks.
extern "win64" fn check(export: &'static Export, caller: u64, stack: usize) {
    if !machine::call::inside_driver_call() {
        return;
    }
    if stack < machine::Kpcr::current().private.stack_watch.get() {
        crate::ke::stack_use::went_deep(stack);
    }
    let category = super::category::of(export.name);
    let irql = machine::irql::current();
    if !export.irql.allows(irql.level()) {
        wrong_irql(export, category, irql, caller);
    } else if category == Category::File && special_apcs_disabled() {
        apcs_disabled(export, irql, caller);
    }
    let purpose = purpose();
    if purpose & category.purposes() != 0 {
        super::category::at_wrong_time(export.name, category, purpose);
    }
}

/// L-10, L-11: the level.
fn wrong_irql(export: &Export, category: Category, irql: Irql, caller: u64) {
    let mut message = format!("{} was called at {irql} and may be called at {}", export.name, export.irql);
    let purpose = purpose();
    if purpose == THREAD && irql == Irql::APC {
        message.push_str("; a thread routine may run at APC_LEVEL, so queue such work to a worker thread");
    } else {
        // Infallible: it is a string.
        let _ = write!(message, "; lower the IRQL before, or release the lock that raised it");
    }
    let (rule, code): (&'static Rule, u64) = if category == Category::File {
        (&super::L_10, SERVICE_NOT_PASSIVE)
    } else {
        (&super::L_11, ddi_rule(export))
    };
    let level = irql.level().into();
    let parameters = match code {
        SERVICE_NOT_PASSIVE => [code, caller, level, special_apcs_disabled().into()],
        WRONG_IRQL => [code, level, 0, 0],
        // A DDI rule: the others are reserved.
        _ => [code, 0, 0, 0],
    };
    kernel().finding(rule, &message, Some((VERIFIER, parameters)));
}

/// The routines that the rule IrqlPsPassive is for: the Ex forms came after it.
const PS_PASSIVE: [&str; 6] = [
    "PsCreateSystemThread",
    "PsGetVersion",
    "PsSetCreateProcessNotifyRoutine",
    "PsSetCreateThreadNotifyRoutine",
    "PsSetLoadImageNotifyRoutine",
    "PsTerminateSystemThread",
];

/// The number of Driver Verifier's own rule for a routine that was called at a wrong IRQL (G.4).
fn ddi_rule(export: &Export) -> u64 {
    let passive = export.irql == IrqlRule::Exactly(0);
    match export.name.as_bytes() {
        [b'Z', b'w', ..] | [b'N', b't', ..] if passive => 0x2001F,
        [b'O', b'b', ..] if passive => 0x2001B,
        _ if PS_PASSIVE.contains(&export.name) => 0x2001C,
        _ => WRONG_IRQL,
    }
}

/// L-10: the APCs.
fn apcs_disabled(export: &Export, irql: Irql, caller: u64) {
    let message = format!(
        "{} was called with all APCs disabled: it waits for a special kernel APC, which cannot come; call it outside of \
         guarded regions, and queue it to a worker thread where KeAreAllApcsDisabled says TRUE",
        export.name
    );
    let check = (VERIFIER, [SERVICE_NOT_PASSIVE, caller, irql.level().into(), 1]);
    kernel().finding(&super::L_10, &message, Some(check));
}

fn special_apcs_disabled() -> bool {
    use std::sync::atomic::Ordering::Relaxed;
    crate::ps::thread::current().is_some_and(|thread| thread.kthread.special_apc_disable.load(Relaxed) != 0)
}

/// A routine of a family, in words.
pub(crate) const fn routine_of(family: Family) -> &'static str {
    match family {
        Family::Process => "a process notify routine",
        Family::Thread => "a thread notify routine",
        Family::Image => "an image notify routine",
    }
}

/// What the driver is called for on this processor: one of the bits of notifications, or [`POWER`], or 0.
pub(crate) fn purpose() -> u8 {
    machine::Kpcr::current().private.purpose.get() & (NOTIFICATION | POWER)
}

/// The driver that has just been entered on this processor handles a set-power request (PO-01), until it is left.
pub(crate) fn handles_set_power() {
    machine::Kpcr::current().private.purpose.set(POWER);
}

/// The notify routine that runs on this processor, in words.
pub(crate) fn running_routine() -> Option<&'static str> {
    if !machine::is_attached() {
        return None;
    }
    match purpose() {
        PROCESS => Some(routine_of(Family::Process)),
        THREAD => Some(routine_of(Family::Thread)),
        IMAGE => Some(routine_of(Family::Image)),
        _ => None,
    }
}

/// Keeps that a driver has queued a work item, until the routine that did it returns.
pub(crate) fn work_queued() {
    if machine::is_attached() {
        let purpose = &machine::Kpcr::current().private.purpose;
        if purpose.get() & NOTIFICATION != 0 {
            purpose.set(purpose.get() | QUEUED);
        }
    }
}

/// L-04: says it of a routine that waits for what a work item may signal, after it has queued one itself, and answers
/// whether it is one.
pub(crate) fn waits_after_queueing() -> bool {
    if !machine::is_attached() || machine::Kpcr::current().private.purpose.get() & QUEUED == 0 {
        return false;
    }
    let message = "a notify routine queues a work item and then waits; the system waits with it, and hangs where all \
                   worker threads wait likewise: return, and let the work item finish what the routine began";
    kernel().finding(&super::L_04, message, None);
    true
}

/// The bit of a family.
pub(crate) const fn purpose_of(family: Option<Family>) -> u8 {
    match family {
        None => 0,
        Some(Family::Process) => PROCESS,
        Some(Family::Thread) => THREAD,
        Some(Family::Image) => IMAGE,
    }
}
