//! Bug checks: which one it is, and how it is written down.

use std::sync::atomic::Ordering;

use event::{Body, DriverId, Frame, Registers, Stop, StopKind};
use machine::supervisor::{Access, Origin};
use machine::{BugCheck, Irql};
use nt_abi::{CONTEXT, EXCEPTION_RECORD, Profile};

use crate::choices::UnloadedCodeAccess;
use crate::{Kernel, kernel};

/// PAGE_FAULT_IN_FREED_SPECIAL_POOL and PAGE_FAULT_BEYOND_END_OF_ALLOCATION: the kernel touched it.
const FREED_SPECIAL_POOL: u32 = 0xCC;
const BEYOND_END: u32 = 0xCD;
/// DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL and DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION: the driver did.
const DRIVER_FREED_SPECIAL_POOL: u32 = 0xD5;
const DRIVER_BEYOND_END: u32 = 0xD6;

/// UNEXPECTED_KERNEL_MODE_TRAP with its first parameter for a double fault: the stack is used up.
const DOUBLE_FAULT: (u32, u64) = (0x7F, 8);

/// What the processor asks, answered by the kernel that runs.
#[derive(Debug)]
pub(crate) struct KernelSupervisor;

impl machine::Supervisor for KernelSupervisor {
    fn unhandled_exception(
        &self,
        record: &EXCEPTION_RECORD,
        context: &CONTEXT,
        _origin: &Origin,
    ) -> BugCheck {
        // The kernel's own code touched what a driver gave it: special pool tells (0xCC, 0xCD).
        if let Some((written, address)) = access_violation(record)
            && let Some(touched) = kernel().ex.pool.touched(address)
        {
            let code = if touched.freed.is_some() { FREED_SPECIAL_POOL } else { BEYOND_END };
            let at = record.ExceptionAddress.addr() as u64;
            return BugCheck { code, parameters: [address as u64, written.into(), at, 0] };
        }
        let code = u64::from(machine::seh::record_code(record));
        let at = record.ExceptionAddress.addr() as u64;
        let context_at = std::ptr::from_ref(context).addr() as u64;
        // A system service runs for a thread of some process; everything else is a system thread (G.3).
        let in_system_thread = crate::ps::thread::current().is_none_or(|thread| thread.system);
        if in_system_thread {
            let record_at = std::ptr::from_ref(record).addr() as u64;
            BugCheck { code: 0x7E, parameters: [code, at, record_at, context_at] }
        } else {
            BugCheck { code: 0x3B, parameters: [code, at, context_at, 0] }
        }
    }

    fn page_fault(&self, address: u64, access: Access, rip: u64, irql: Irql) -> Option<BugCheck> {
        let at = usize::try_from(address).ok()?;
        if machine::images::find_unloaded(at).is_some() {
            // R-UNL-02, R-UNL-03: code of a driver that was unloaded too early.
            return Some(BugCheck { code: 0xCE, parameters: [address, unloaded_access(access), rip, 0] });
        }
        if let Some(touched) = kernel().ex.pool.touched(at) {
            if let Some(lent) = &touched.lent {
                used_after_call(lent, at - touched.start, rip);
            }
            let code = if touched.freed.is_some() { DRIVER_FREED_SPECIAL_POOL } else { DRIVER_BEYOND_END };
            let written = u64::from(access == Access::Write);
            return Some(BugCheck { code, parameters: [address, written, rip, 0] });
        }
        if irql >= Irql::DISPATCH {
            return Some(BugCheck {
                code: 0xD1,
                parameters: [address, irql.level().into(), access as u64, rip],
            });
        }
        // The half of the address space that is the kernel's: no handler catches a fault there (0x50).
        let kernel_half = address >= 0xFFFF_8000_0000_0000 && address != u64::MAX;
        kernel_half.then_some(BugCheck { code: 0x50, parameters: [address, encoded(access), rip, 2] })
    }

    fn user_fault(&self, address: u64, access: Access) -> bool {
        crate::mm::user::fault(address, access)
    }

    fn stop(&self, stop: &machine::Stop) -> ! {
        kernel().stop(stop)
    }

    fn irql_lowered(&self, from: Irql, to: Irql) {
        super::irql_lowered(from, to);
    }

    fn refresh_shared_user_data(&self, page: &mut [u8; machine::pcr::PAGE_SIZE]) {
        super::time::fill_shared_user_data(page, kernel().config.profile);
    }
}

/// Whether an access violation wrote, and where; `None` for any other exception.
fn access_violation(record: &EXCEPTION_RECORD) -> Option<(bool, usize)> {
    const ACCESS_VIOLATION: u32 = 0xC000_0005;
    let is_one = machine::seh::record_code(record) == ACCESS_VIOLATION && record.NumberParameters >= 2;
    is_one.then(|| (record.ExceptionInformation[0] == 1, record.ExceptionInformation[1]))
}

/// The bug check that a call of code at `address` ends in when its driver is unloaded (R-UNL-02, R-UNL-03). 0 where
/// nobody knows which code it will be.
pub(crate) fn unloaded_code(address: u64) -> (u32, [u64; 4]) {
    (0xCE, [address, unloaded_access(Access::Execute), address, 0])
}

/// How an access to unloaded code is written in bug check 0xCE (C8).
fn unloaded_access(access: Access) -> u64 {
    match kernel().config.choices.unloaded_code_access {
        UnloadedCodeAccess::Execute => encoded(access),
        UnloadedCodeAccess::Documented => u64::from(access == Access::Write),
    }
}

/// How an access is written in bug check 0x50 on x64: what is executed has a number of its own since Windows 10.
fn encoded(access: Access) -> u64 {
    if kernel().config.profile < Profile::Win10_1507 {
        return u64::from(access == Access::Write);
    }
    match access {
        Access::Read => 0,
        Access::Write => 2,
        Access::Execute => 0x10,
    }
}

/// What runs beside a notify routine that stops the machine, where that is a likely cause: L-19, L-20.
fn moment(driver: Option<DriverId>) -> &'static str {
    let driver = driver.and_then(|id| kernel().io.driver(id));
    let Some(running) = driver.map(|driver| &driver.running) else { return "" };
    let in_routine = crate::rule::call::running_routine().is_some();
    if in_routine && running.unload.load(Ordering::Relaxed) {
        "; this notify routine runs while DriverUnload does, which may have torn down what it needs: remove the routine first \
         (L-20)"
    } else if in_routine && running.entry.load(Ordering::Relaxed) {
        "; this notify routine runs before DriverEntry has returned, which may not have initialised yet what it needs: register \
         the routine last (L-19)"
    } else {
        ""
    }
}

impl Kernel {
    fn stop(&self, stop: &machine::Stop) -> ! {
        let mut message = match &stop.exception {
            Some(exception) => {
                let status = nt_abi::NTSTATUS::from_u32(exception.code);
                let at = frame(&machine::stop::StackFrame::at(exception.address));
                format!("{status} at {at}{}", touched(exception))
            }
            None => meaning(stop.code, stop.parameters).to_owned(),
        };
        if let Some(site) = stop.exception.as_ref().and_then(|exception| exception.call_site.as_ref()) {
            message.push_str(&format!(", in a kernel routine called from {}", frame(site)));
        }
        let driver = crate::io::driver::from_tag(stop.driver);
        if stop.exception.is_some() && crate::ps::follows_poison(&stop.registers.general) {
            let stack = named(&stop.stack);
            self.finding_at(driver, &crate::rule::L_15, POISON_FOLLOWED, None, stack);
            message.push_str(&format!("; {POISON_FOLLOWED} (L-15)"));
        }
        if (stop.code, stop.parameters[0]) == DOUBLE_FAULT {
            super::stack_use::used_up(named(&stop.stack));
        }
        message.push_str(moment(driver));
        if let Some(told) = pool_address(stop).and_then(|address| self.ex.pool.describe(address)) {
            message.push_str(&format!("; {told}"));
        }
        self.record(Body::Stop(Stop {
            kind: StopKind::BugCheck,
            code: stop.code,
            parameters: stop.parameters,
            driver,
            message: message.into(),
            registers: Some(Box::new(registers(stop))),
            stack: named(&stop.stack),
        }));
        self.recorder.halt()
    }
}

/// What is said of a pointer that came from memory which was overwritten when its call had returned.
const POISON_FOLLOWED: &str = "a register holds 0xDEADDEADDEADDEAD, which is what a notify routine was given and what was \
    overwritten when the routines had returned: copy what is needed later; --pool special finds the first use";

/// L-15: an argument of a notify routine was used when its call had returned.
fn used_after_call(lent: &crate::ex::pool_special::Lent, offset: usize, rip: u64) {
    let message = format!(
        "byte {offset} of the {} of process {} is used after the routines that it was for have returned: it was valid during the \
         call only; copy what is needed later",
        lent.what, lent.process
    );
    // Those who called it stand in the stop that follows.
    let stack = vec![frame_at(rip)];
    kernel().finding_at(crate::io::current_driver(), &crate::rule::L_15, &message, None, stack);
}

/// The address of pool memory that a stop is about.
fn pool_address(stop: &machine::Stop) -> Option<usize> {
    let [first, second, third, fourth] = stop.parameters;
    let address = match (stop.code, first) {
        (0xC2, 0x07) => fourth,
        (0xC2, 0x09) => fourth,
        (0xC2, 0x0A | 0x46) => second,
        (0xC4, 0x11 | 0x12 | 0x15 | 0x17) => fourth,
        (0x19, _) => second,
        (0xC1, _) if second != 0 => second,
        (0xC1 | FREED_SPECIAL_POOL | BEYOND_END | DRIVER_FREED_SPECIAL_POOL | DRIVER_BEYOND_END, _) => first,
        (0xC7, _) => third,
        // Whatever else faulted may have followed a pointer to memory that was freed.
        _ => stop.exception.as_ref().and_then(|exception| exception.information.get(1).copied())?,
    };
    usize::try_from(address).ok()
}

/// Whether an address is a program's memory: drivers and their pool lie in the same half of the address space here.
fn is_of_a_program(address: u64) -> bool {
    let Ok(at) = usize::try_from(address) else { return false };
    crate::mm::probe::is_user(address, 1)
        && machine::images::find(at).is_none()
        && machine::images::find_unloaded(at).is_none()
        && kernel().ex.pool.describe(at).is_none()
        && crate::mm::user::is_there(address)
}

/// What a page fault did to which address.
fn touched(exception: &machine::stop::StopException) -> String {
    let [how, address] = exception.information[..] else { return String::new() };
    let how = match how {
        0 => "reading",
        1 => "writing to",
        8 => "executing",
        _ => return String::new(),
    };
    let hint = if address < 0x1_0000 {
        ", a null pointer or a field of one: test it before use (L-16)"
    } else if crate::rule::call::running_routine().is_some() && is_of_a_program(address) {
        ", memory of user mode, which may be gone at any moment: touch it under __try only (L-07)"
    } else {
        ""
    };
    format!(", {how} {address:#x}{hint}")
}

/// A bug check in words, where there is more to say than its name.
fn meaning(code: u32, parameters: [u64; 4]) -> &'static str {
    match (code, parameters[0]) {
        (0xC2, 0x06 | 0x07) => "pool memory was freed twice: clear the pointer when you free it",
        (0xC2, 0x08) => "pool memory was allocated at an IRQL that its pool is not there for",
        (0xC2, 0x09) => "pool memory was freed at an IRQL that its pool is not there for",
        (0xC2, 0x0A) => "pool memory was freed with another tag than it was allocated with",
        (0xC2, 0x46) => "what was freed is no pool memory",
        (0xC1, _) if parameters[3] == 0x20 => "what was freed is no pool memory",
        (0xC1, _) if parameters[3] == 0x23 => {
            "the bytes before a pool allocation were written to: the driver wrote before its beginning"
        }
        (0x19, 0x3) => "pool memory was written to after it was freed; --pool special finds the instruction",
        (0xC1 | 0x19, _) => {
            "the bytes behind a pool allocation were written to: the driver wrote past its end"
        }
        (0xC4, 0x01 | 0x02) => "pool memory was allocated at an IRQL that its pool is not there for",
        (0xC4, 0x11 | 0x12) => "pool memory was freed at an IRQL that its pool is not there for",
        (0xC4, 0x15) | (0xC7, _) => {
            "pool memory was freed with a timer in it that is set: call KeCancelTimer before you free it"
        }
        (0xC4, 0x17) => {
            "pool memory was freed with a resource in it: call ExDeleteResourceLite before you free it"
        }
        (0x9F, 3) => {
            "a driver has kept a power request for ten minutes: it must pass it down or complete it, also when it was pended"
        }
        (0x44, _) => {
            "IO-01: a request was completed that had been completed already: complete it in one place"
        }
        (0x7F, 8) => "the kernel stack is used up: endless recursion, or frames that are too large",
        (0x18, _) => "an object was dereferenced more often than it was referenced",
        (0x139, 2) => "a stack cookie was overwritten: a buffer on the stack overflowed",
        (0x139, 3) => "a linked list is corrupt: an entry was removed twice, or its memory was freed",
        (0xCE, _) => "code of an unloaded driver was called: it left something registered or queued",
        _ => "the kernel or the driver itself stopped the machine",
    }
}

fn frame(at: &machine::stop::StackFrame) -> String {
    match &at.module {
        Some(module) => format!("{module}+{:#x}", at.offset),
        None => format!("{:#x}", at.address),
    }
}

fn frame_of(frame: &machine::stop::StackFrame) -> Frame<'static> {
    Frame {
        address: frame.address,
        module: frame.module.as_deref().map(|module| module.to_owned().into()),
        offset: frame.offset,
        symbol: None,
    }
}

/// An address, by the driver image it lies in.
pub(crate) fn frame_at(address: u64) -> Frame<'static> {
    frame_of(&machine::stop::StackFrame::at(address))
}

fn registers(stop: &machine::Stop) -> Registers {
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] =
        stop.registers.general;
    Registers {
        rip: stop.registers.rip,
        rsp,
        rbp,
        rax,
        rbx,
        rcx,
        rdx,
        rsi,
        rdi,
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
        eflags: u32::try_from(stop.registers.rflags).unwrap_or(u32::MAX),
        irql: stop.irql.level(),
    }
}

/// The stack of the driver that called the kernel, innermost first; empty where no driver runs.
pub(crate) fn driver_stack() -> Vec<Frame<'static>> {
    if !machine::is_attached() || !machine::call::inside_driver_call() {
        return Vec::new();
    }
    let mut here = CONTEXT::default();
    machine::seh::context::capture_here(&mut here);
    named(&machine::seh::walk::stack_of_captured(&here))
}

/// A stack as reports show it.
fn named(stack: &[machine::stop::StackFrame]) -> Vec<Frame<'static>> {
    let mut frames: Vec<_> = stack.iter().map(frame_of).collect();
    super::call_site::name_callee(&mut frames);
    frames
}

/// The end of a bench for a reason that Windows has no bug check for: it would hang, or Callboard cannot go on.
pub(crate) fn without_bug_check(kind: StopKind, message: &str) -> ! {
    without_bug_check_at(kind, message, driver_stack())
}

/// The same with the stack of when it began.
pub(crate) fn without_bug_check_at(kind: StopKind, message: &str, stack: Vec<Frame<'static>>) -> ! {
    let kernel = kernel();
    kernel.record(Body::Stop(Stop {
        kind,
        code: 0,
        parameters: [0; 4],
        driver: crate::io::current_driver(),
        message: message.into(),
        registers: None,
        stack,
    }));
    kernel.recorder.halt()
}
