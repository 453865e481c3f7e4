//! How much of the kernel stack a notify routine uses (L-21), and what drivers are told of their stack.
//!
//! The stacks here are larger than those of Windows, so nothing happens to who uses too much. It is found by two means:
//!
//! ```text
//!   the gate   every kernel routine that is called more than ROUTINE_SHARE below the call   rule/call.rs
//!   the paint  frames that were deeper and called none: some calls of each routine          machine::watermark
//! ```

use std::cell::{Cell, RefCell};

use event::{Family, Frame};
use machine::Kpcr;

use crate::ex::pool_site::Site;
use crate::{kernel, rule, stress};

/// A kernel stack of x64. Source: "How do I keep my driver from running out of kernel-mode stack?".
pub(crate) const KERNEL_STACK: usize = 24 * 1024;
/// What the system call may have used of it when a driver is called: a third.
const SYSTEM_CALL: usize = KERNEL_STACK / 3;
/// What a notify routine may use, with the driver's own routines that it calls: half. The documentation counts on three
/// pages for a driver ("Using the Kernel Stack"); what is left is for the kernel routines that it calls.
pub(crate) const ROUTINE_SHARE: usize = KERNEL_STACK / 2;
/// What a driver has before it when it is called.
pub(crate) const ROOM: usize = KERNEL_STACK - SYSTEM_CALL;
/// The first calls of a routine on a processor are painted, and then one in so many.
const FIRST_PAINTED: u32 = 16;
const ONE_IN: u32 = 256;
/// Routines whose calls a processor counts at a time.
const COUNTED: usize = 64;

thread_local! {
    /// The deepest calls of kernel routines, for each routine that runs and went too deep: the outer ones first.
    static DEEPEST: RefCell<Vec<Deepest>> = const { RefCell::new(Vec::new()) };
    /// How often which routine was called, by its address.
    static CALLS: [Cell<(usize, u32)>; COUNTED] = const { [const { Cell::new((0, 0)) }; COUNTED] };
    /// What a driver has before it, where that is more than [`ROOM`].
    static EXPANDED: Cell<usize> = const { Cell::new(0) };
}

struct Deepest {
    /// The stack pointer that the routine was called with.
    entry: usize,
    depth: usize,
    site: Site,
}

/// Calls a notify routine, and reports it where it uses more than its share of the stack.
///
/// # Safety
/// As [`machine::call3`].
pub(crate) unsafe fn call_watched(family: Family, routine: usize, [first, second, third]: [u64; 3]) {
    let here = 0u8;
    let private = &Kpcr::current().private;
    let (watch, entries) = (&private.stack_watch, private.entries.get());
    // A little above the stack pointer of the call: `went_deep` knows it exactly.
    let limit = std::ptr::from_ref(&here).addr() - ROUTINE_SHARE;
    let before = watch.replace(limit);
    let mark = if is_painted(routine) {
        // SAFETY: promised by the caller.
        unsafe { machine::watermark::call3(routine, first, second, third, ROUTINE_SHARE) }
    } else {
        // SAFETY: promised by the caller.
        unsafe { machine::call3(routine, first, second, third) };
        None
    };
    let after = watch.replace(before);
    if after != limit
        && let Some(deepest) = DEEPEST.with_borrow_mut(Vec::pop)
    {
        report(family, deepest.depth, deepest.site.frames());
    } else if let Some(mark) = mark.filter(|_| private.entries.get() == entries) {
        // A driver that was called back in between would have left frames of its own, which are not the routine's.
        let frames = mark.frames.iter().map(|frame| super::stop::frame_at(frame.address));
        report(family, mark.depth, frames.collect());
    }
}

/// Whether this call is one of those that are painted. A stressed kernel steps through routines, which paint would not
/// survive; nothing about its stacks is different.
fn is_painted(routine: usize) -> bool {
    CALLS.with(|calls| {
        let counted = &calls[(routine >> 4) % COUNTED];
        let count = match counted.get() {
            (of, count) if of == routine => count,
            _ => 0,
        };
        counted.set((routine, count.wrapping_add(1)));
        (count < FIRST_PAINTED || count.is_multiple_of(ONE_IN)) && !stress::is_on()
    })
}

/// A driver calls a kernel routine with its stack pointer at `at`, which is below what this processor watches for.
#[cold]
pub(crate) fn went_deep(at: usize) {
    let processor = Kpcr::current();
    let (low, high) = processor.stack_limits();
    // Callbacks on the way, and stacks of the driver's own making, are not counted.
    let Some(entry) = machine::call::entry().filter(|_| (low..high).contains(&at)) else { return };
    let depth = entry.saturating_sub(at);
    if depth <= ROUTINE_SHARE || rule::call::purpose() == 0 {
        return;
    }
    let deepest = Deepest { entry, depth, site: Site::with_callers() };
    DEEPEST.with_borrow_mut(|all| match all.last_mut() {
        Some(last) if last.entry == entry => *last = deepest,
        _ => all.push(deepest),
    });
    processor.private.stack_watch.set(at);
}

fn report(family: Family, depth: usize, stack: Vec<Frame<'static>>) {
    let message = format!(
        "{} uses {depth} bytes of kernel stack, of which there are {KERNEL_STACK} for the system call that it runs in, for itself \
         and for what it calls: keep within {ROUTINE_SHARE}, hold large records in pool memory, and bound recursions",
        rule::call::routine_of(family)
    );
    kernel().finding_at(crate::io::current_driver(), &rule::L_21, &message, None, stack);
}

/// A stack is used up for real (0x7F): says so where a notify routine has done it.
pub(crate) fn used_up(stack: Vec<Frame<'static>>) {
    if rule::call::purpose() == 0 {
        return;
    }
    let message = "a notify routine has used up the kernel stack; hold large records in pool memory, and bound recursions";
    kernel().finding_at(crate::io::current_driver(), &rule::L_21, message, None, stack);
}

/// Where the kernel stack of the running driver would begin and end on Windows. It is counted anew for each call into a
/// driver, as what lies between two of them is ours and larger than Windows's own.
pub(crate) fn limits() -> (usize, usize) {
    let room = EXPANDED.get().max(ROOM);
    match machine::call::entry() {
        Some(entry) => {
            let low = entry.saturating_sub(room) & !(machine::pcr::PAGE_SIZE - 1);
            (low, low + (room + SYSTEM_CALL).next_multiple_of(machine::pcr::PAGE_SIZE))
        }
        None => Kpcr::current().stack_limits(),
    }
}

/// Runs a driver's routine that has at least `size` bytes of stack before it.
pub(crate) fn expanded<T>(size: usize, run: impl FnOnce() -> T) -> T {
    let before = EXPANDED.replace(size);
    let result = run();
    EXPANDED.set(before);
    result
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use nt_abi::KEVENT;

    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    /// A routine that calls a kernel routine, as drivers do, with `frame` bytes in between.
    unsafe extern "win64" fn routine(frame: usize, event: *mut KEVENT, _: usize) {
        #[inline(never)]
        fn below<const SIZE: usize>(event: *mut KEVENT) {
            let mut record = [1u8; SIZE];
            black_box(&mut record);
            let reset = crate::export::address_of("ntoskrnl.exe", "KeResetEvent");
            // SAFETY: the routine as drivers call it.
            let reset: unsafe extern "win64" fn(*mut KEVENT) -> i32 = unsafe { std::mem::transmute(reset) };
            // SAFETY: the test's event.
            unsafe { reset(event) };
            black_box(&mut record);
        }
        if frame > ROUTINE_SHARE { below::<{ ROUTINE_SHARE + 1024 }>(event) } else { below::<4096>(event) }
    }

    fn found(frame: usize, family: Option<Family>) -> Vec<String> {
        with_kernel(Config::default(), |_, records| {
            let mut event = KEVENT::default();
            let event = (&raw mut event).expose_provenance() as u64;
            let routine = (routine as *const ()).expose_provenance();
            let before = crate::io::enter_driver(None, 0, family);
            // SAFETY: a routine of this test with its arguments.
            unsafe { call_watched(Family::Thread, routine, [frame as u64, event, 0]) };
            crate::io::leave_driver(before);
            assert_eq!(Kpcr::current().private.stack_watch.get(), 0);
            records.findings()
        })
    }

    #[test]
    fn l_21_a_kernel_routine_that_is_called_far_down_the_stack_is_found() {
        assert_eq!(found(ROUTINE_SHARE + 1, Some(Family::Thread)), ["L-21"]);
        assert_eq!(found(ROUTINE_SHARE, Some(Family::Thread)), [""; 0], "not so far");
        assert_eq!(found(ROUTINE_SHARE + 1, None), [""; 0], "not in a notify routine");
    }

    #[test]
    fn l_21_the_first_calls_are_painted_and_some_later_ones() {
        let painted: Vec<_> = (0..600).filter(|_| is_painted(0x1230)).collect();
        assert_eq!(painted, (0..16).chain([256, 512]).collect::<Vec<_>>());
        assert!(is_painted(0x1230 + 16 * COUNTED), "another routine in the same place");
        assert!(is_painted(0x1230), "which counts from the beginning again");
    }
}
