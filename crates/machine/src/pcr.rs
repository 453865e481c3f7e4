//! The processor control region: what GS points at while driver code runs.
//!
//! ```text
//!   0x0000  KPCR    the fields that drivers and their compilers read inline
//!   0x0180  KPRCB   current thread (`gs:[0x188]`), processor number (gs:[0x184], gs:[0x1A4])
//!   0xC000  ours    IRQL, call edge, stack limits, owner, states of the fault handler
//! ```
//!
//! Offsets that drivers use are those of the public headers and of what compilers emit; everything
//! between them reads as zero. One region belongs to one OS thread; see [`crate::processor`].

use std::cell::{Cell, UnsafeCell};
use std::ffi::c_void;
use std::mem::offset_of;

use crate::call::{AbandonPoint, Edge};
use crate::fault::cpu::Cpu;
use crate::fault::step::Step;
use crate::preempt::Preempt;
use crate::seh::entry::Anchor;

/// Where the processor control block starts in the region.
pub const PRCB_OFFSET: usize = 0x180;
/// Where our own part starts in the region: behind the largest KPCR that Windows has had.
pub const PRIVATE_OFFSET: usize = 0xC000;
/// Size of a page, here and for drivers.
pub const PAGE_SIZE: usize = 4096;

/// What GS points at. All zero is a valid value.
#[repr(C, align(4096))]
pub struct Kpcr {
    /// `GdtBase`.
    pub gdt_base: Cell<u64>,
    /// `TssBase`.
    pub tss_base: Cell<u64>,
    /// `UserRsp`.
    pub user_rsp: Cell<u64>,
    /// `Self`: the address of this structure (`gs:[0x18]`).
    pub self_pointer: Cell<*const Kpcr>,
    /// `CurrentPrcb` (`gs:[0x20]`).
    pub current_prcb: Cell<*const Kprcb>,
    lock_array: Cell<u64>,
    /// `Used_Self` (`gs:[0x30]`).
    pub used_self: Cell<*const Kpcr>,
    /// `IdtBase`.
    pub idt_base: Cell<u64>,
    unused0: [u64; 2],
    /// `Irql` (`gs:[0x50]`): a mirror of the level, for drivers that look here.
    pub irql: Cell<u8>,
    second_level_cache_associativity: u8,
    /// `ObsoleteNumber` (`gs:[0x52]`).
    pub obsolete_number: Cell<u8>,
    fill0: u8,
    unused1: [u32; 3],
    /// `MajorVersion`: 1.
    pub major_version: Cell<u16>,
    /// `MinorVersion`: 1.
    pub minor_version: Cell<u16>,
    /// `StallScaleFactor`: megahertz, for drivers that stall by counting.
    pub stall_scale_factor: Cell<u32>,
    unused2: [u64; 35],
    /// `Prcb`.
    pub prcb: Kprcb,
    rest: UnsafeCell<[u8; PRIVATE_OFFSET - PRCB_OFFSET - size_of::<Kprcb>()]>,
    /// Ours; drivers have no business here.
    pub private: Private,
}

/// The start of the processor control block.
#[repr(C)]
pub struct Kprcb {
    /// `MxCsr`: the value that a driver starts with.
    pub mxcsr: Cell<u32>,
    /// `LegacyNumber` (`gs:[0x184]`).
    pub legacy_number: Cell<u8>,
    bytes: [u8; 3],
    /// `CurrentThread` (`gs:[0x188]`): a `KTHREAD`.
    pub current_thread: Cell<*mut c_void>,
    /// `NextThread`.
    pub next_thread: Cell<*mut c_void>,
    /// `IdleThread`.
    pub idle_thread: Cell<*mut c_void>,
    nesting_level: u8,
    bytes1: [u8; 3],
    /// `Number` (`gs:[0x1A4]`).
    pub number: Cell<u32>,
}

/// The part of the region that is ours.
#[repr(C)]
pub struct Private {
    /// The innermost call into driver code that has not returned; null outside of any.
    pub(crate) edge: Cell<*mut Edge>,
    /// The innermost kernel routine that stands in for its caller when it faults.
    pub(crate) anchor: Cell<*mut Anchor>,
    /// Where [`crate::call::abandon`] goes.
    pub(crate) abandon: Cell<*mut AbandonPoint>,
    /// Lowest usable address of the stack.
    pub(crate) stack_low: Cell<usize>,
    /// First address above the stack.
    pub(crate) stack_high: Cell<usize>,
    /// First address above the stack that a stack overflow is reported on.
    pub(crate) emergency_stack: Cell<usize>,
    /// The page that accesses to KUSER_SHARED_DATA are served from.
    pub(crate) shadow_page: Cell<*mut u8>,
    /// For the supervisor.
    pub supervisor_data: Cell<*mut c_void>,
    /// The driver whose code runs now, as the supervisor numbers them; 0 is none.
    pub driver: Cell<u64>,
    /// How many fault handlers are active; more than one means that the handler faulted.
    pub(crate) signal_depth: Cell<u32>,
    /// The instruction that is being executed by itself, if any.
    pub(crate) step: Cell<Step>,
    /// How many instructions until this processor is preempted.
    pub(crate) preempt: Cell<Preempt>,
    /// The page fault that was retried last, and how often: instruction, address, count.
    pub(crate) retried: Cell<(u64, u64, u32)>,
    /// The registers of the exception that was continued last without any change to them, and how often.
    pub(crate) unchanged: Cell<(Cpu, u32)>,
    /// What drivers wrote to the debug registers, for reading back.
    pub(crate) debug_registers: [Cell<u64>; 8],
    /// Interrupts are enabled, as `cli` and `sti` leave it (1 from the start).
    pub(crate) interrupts: Cell<u8>,
    /// The level.
    pub(crate) irql: Cell<u8>,
    /// What the supervisor calls the driver for, in bits of its own; 0 is nothing in particular.
    pub purpose: Cell<u8>,
    /// The stack pointer below which the supervisor wants to see a driver's calls; 0 is none.
    pub stack_watch: Cell<usize>,
    /// How often the supervisor has entered a driver.
    pub entries: Cell<u32>,
}

const _: () = {
    assert!(offset_of!(Kpcr, self_pointer) == 0x18);
    assert!(offset_of!(Kpcr, current_prcb) == 0x20);
    assert!(offset_of!(Kpcr, used_self) == 0x30);
    assert!(offset_of!(Kpcr, irql) == 0x50);
    assert!(offset_of!(Kpcr, obsolete_number) == 0x52);
    assert!(offset_of!(Kpcr, major_version) == 0x60);
    assert!(offset_of!(Kpcr, stall_scale_factor) == 0x64);
    assert!(offset_of!(Kpcr, prcb) == PRCB_OFFSET);
    assert!(PRCB_OFFSET + offset_of!(Kprcb, legacy_number) == 0x184);
    assert!(PRCB_OFFSET + offset_of!(Kprcb, current_thread) == 0x188);
    assert!(PRCB_OFFSET + offset_of!(Kprcb, number) == 0x1A4);
    assert!(offset_of!(Kpcr, private) == PRIVATE_OFFSET);
};

/// Offset from GS of the edge, for the assembly of the call trampolines.
pub const EDGE_OFFSET: usize = PRIVATE_OFFSET + offset_of!(Private, edge);
/// Offset from GS of the level, for code that compares it in place.
pub const IRQL_OFFSET: usize = PRIVATE_OFFSET + offset_of!(Private, irql);
/// Offset from GS of [`Private::purpose`], for code that tests it in place.
pub const PURPOSE_OFFSET: usize = PRIVATE_OFFSET + offset_of!(Private, purpose);
/// Offset from GS of [`Private::stack_watch`], for code that compares it in place.
pub const STACK_WATCH_OFFSET: usize = PRIVATE_OFFSET + offset_of!(Private, stack_watch);
/// Offset from GS of the anchor, for the assembly of the raising entries.
pub const ANCHOR_OFFSET: usize = PRIVATE_OFFSET + offset_of!(Private, anchor);

impl Kpcr {
    /// The region of this thread, which must be attached (see [`crate::is_attached`]).
    ///
    /// The reference stays valid when the thread detaches: regions are kept for the next thread.
    #[inline]
    pub fn current() -> &'static Kpcr {
        let address: *const Kpcr;
        // SAFETY: reads one word; while the thread is attached GS points at a region whose first words are set.
        unsafe {
            std::arch::asm!("mov {}, gs:[0x18]", out(reg) address, options(nostack, pure, readonly, preserves_flags))
        };
        // SAFETY: the region's own pointer, set when it was made; regions are never freed, and hold only cells
        // that no other thread touches.
        unsafe { &*address }
    }

    /// The number of this processor, 0 to 63.
    #[inline]
    pub fn number(&self) -> u32 {
        self.prcb.number.get()
    }

    /// The `KTHREAD` that this processor runs.
    #[inline]
    pub fn current_thread(&self) -> *mut c_void {
        self.prcb.current_thread.get()
    }

    /// Makes another `KTHREAD` the current one and answers the old one.
    #[inline]
    pub fn set_current_thread(&self, thread: *mut c_void) -> *mut c_void {
        self.prcb.current_thread.replace(thread)
    }

    /// Sets the driver whose code runs now (owner of pool and of debug output) and answers the old one.
    #[inline]
    pub fn set_driver(&self, driver: u64) -> u64 {
        self.private.driver.replace(driver)
    }

    /// Lowest usable address of this thread's stack, and the first address above it.
    #[inline]
    pub fn stack_limits(&self) -> (usize, usize) {
        (self.private.stack_low.get(), self.private.stack_high.get())
    }

    /// Says that the thread runs on another stack now, and answers the old limits.
    ///
    /// These are the bounds of real memory, with a guard below: a trap within 24 KiB of the lower one is reported
    /// as a stack overflow, because handlers run on what is left. A model of NT's small kernel stacks belongs
    /// elsewhere.
    pub fn set_stack_limits(&self, low: usize, high: usize) -> (usize, usize) {
        (self.private.stack_low.replace(low), self.private.stack_high.replace(high))
    }
}

impl std::fmt::Debug for Kpcr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kpcr")
            .field("number", &self.number())
            .field("irql", &self.private.irql.get())
            .field("current_thread", &self.current_thread())
            .field("driver", &self.private.driver.get())
            .finish_non_exhaustive()
    }
}

/// The `KTHREAD` that this processor runs. The thread must be attached.
#[inline]
pub fn current_thread() -> *mut c_void {
    Kpcr::current().current_thread()
}

/// Makes another `KTHREAD` the current one and answers the old one. The thread must be attached.
#[inline]
pub fn set_current_thread(thread: *mut c_void) -> *mut c_void {
    Kpcr::current().set_current_thread(thread)
}
