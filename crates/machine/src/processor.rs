//! Making an OS thread a processor, and undoing it.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pcr::{Kpcr, PAGE_SIZE, PRCB_OFFSET};
use crate::platform::PlatformError;
use crate::{fault, hosted::Hosted, platform::Platform, platform::Protection};

/// How many processors there can be: one group.
pub const MAX_PROCESSORS: u32 = 64;

/// The stack of the signal handlers. The supervisor's hooks run on it, therefore not small.
const SIGNAL_STACK: usize = 128 * 1024;
/// The stack that a stack overflow is reported on: symbols are looked up there.
pub(crate) const EMERGENCY_STACK: usize = 512 * 1024;

/// A thread cannot become a processor.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The thread is one already.
    #[error("this thread is attached already; attach once per thread")]
    AlreadyAttached,
    /// 64 threads are attached.
    #[error("64 threads run driver code already; let one of them end first")]
    TooMany,
    /// No memory for the region and its stacks.
    #[error(transparent)]
    Memory(#[from] PlatformError),
    /// The system did not accept GS or the signal stack.
    #[error("cannot set up the processor ({what}): {source}")]
    System {
        /// Which step failed.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

thread_local! {
    // Constant and without a destructor: reading it is one instruction, and safe in a signal handler.
    static ATTACHED: Cell<*const Kpcr> = const { Cell::new(ptr::null()) };
}

static NUMBERS: AtomicU64 = AtomicU64::new(0);
/// Regions whose thread has gone; kept, because a signal handler or a report may still look at one.
static SPARE: Mutex<Vec<Region>> = Mutex::new(Vec::new());

struct Region(NonNull<Kpcr>);

// SAFETY: a region is owned by whoever holds it; the cells in it are used by one thread at a time.
unsafe impl Send for Region {}

/// The thread is a processor as long as this lives.
#[derive(Debug)]
pub struct Processor {
    region: NonNull<Kpcr>,
    old_gs: u64,
    old_signal_stack: libc::stack_t,
    /// GS and signal stacks belong to the thread.
    not_send: PhantomData<*mut ()>,
}

impl Processor {
    /// Makes this OS thread a processor with the lowest free number: GS, signal stack, fault handlers.
    ///
    /// On the first thread of a process the C library finds the bounds of the stack in `/proc/self/maps`; in a
    /// sandbox without files, run drivers on other threads or attach before it is closed. The first attachment
    /// notes which code is our own: libraries that are loaded later count as a driver's.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn attach() -> Result<Processor, AttachError> {
        if is_attached() {
            return Err(AttachError::AlreadyAttached);
        }
        fault::install().map_err(|source| AttachError::System { what: "signal handlers", source })?;
        let number = take_number().ok_or(AttachError::TooMany)?;
        match Self::attach_as(number) {
            Ok(processor) => Ok(processor),
            Err(error) => {
                give_number(number);
                Err(error)
            }
        }
    }

    fn attach_as(number: u8) -> Result<Processor, AttachError> {
        let region = match SPARE.lock().map(|mut spare| spare.pop()) {
            Ok(Some(Region(region))) => region,
            _ => new_region()?,
        };
        // SAFETY: the region is ours alone from here on, and holds only cells.
        let kpcr = unsafe { region.as_ref() };
        let (low, high) =
            thread_stack().map_err(|source| AttachError::System { what: "stack limits", source })?;
        kpcr.private.stack_low.set(low);
        kpcr.private.stack_high.set(high);
        kpcr.prcb.number.set(u32::from(number));
        kpcr.prcb.legacy_number.set(number);
        kpcr.obsolete_number.set(number);

        let stack = libc::stack_t {
            ss_sp: region.as_ptr().cast::<u8>().wrapping_add(SIGNAL_STACK_START).cast(),
            ss_flags: 0,
            ss_size: SIGNAL_STACK,
        };
        let mut old_signal_stack =
            libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: both structures are ours; the stack is as long as said and lives as long as the region: for ever.
        if unsafe { libc::sigaltstack(&raw const stack, &raw mut old_signal_stack) } != 0 {
            return Err(AttachError::System {
                what: "signal stack",
                source: std::io::Error::last_os_error(),
            });
        }
        let old_gs = gs::base();
        gs::set_base(region.as_ptr().addr() as u64)
            .map_err(|source| AttachError::System { what: "GS base", source })?;
        ATTACHED.set(region.as_ptr());
        Ok(Processor { region, old_gs, old_signal_stack, not_send: PhantomData })
    }

    /// The region that GS points at.
    pub fn kpcr(&self) -> &Kpcr {
        // SAFETY: regions are never freed, and this one belongs to this thread.
        unsafe { self.region.as_ref() }
    }

    /// The number of this processor, 0 to 63.
    pub fn number(&self) -> u32 {
        self.kpcr().number()
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        let number = self.kpcr().prcb.legacy_number.get();
        // A driver's thread may end while its instructions are counted, and a trap after this has no handler.
        crate::preempt::disarm();
        ATTACHED.set(ptr::null());
        // What was there before can be put back; if not, the thread goes on without.
        let _ = gs::set_base(self.old_gs);
        // SAFETY: the old stack was this thread's before, by the system's own word.
        unsafe { libc::sigaltstack(&raw const self.old_signal_stack, ptr::null_mut()) };
        reset(self.region);
        if let Ok(mut spare) = SPARE.lock() {
            spare.push(Region(self.region));
        }
        give_number(number);
    }
}

/// Whether this OS thread is a processor. Works in a signal handler and whatever a driver did to GS.
#[inline]
pub fn is_attached() -> bool {
    !ATTACHED.get().is_null()
}

/// The region of this thread, or `None` when it is no processor. Does not trust GS.
#[inline]
pub fn attached() -> Option<&'static Kpcr> {
    let region = ATTACHED.get();
    // SAFETY: null or a region, which are never freed.
    unsafe { region.as_ref() }
}

/// How many processors there are now.
pub fn processor_count() -> u32 {
    NUMBERS.load(Ordering::SeqCst).count_ones()
}

fn take_number() -> Option<u8> {
    let taken = NUMBERS.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |set| {
        (set != u64::MAX).then(|| set | (1 << set.trailing_ones()))
    });
    taken.ok().and_then(|before| u8::try_from(before.trailing_ones()).ok())
}

fn give_number(number: u8) {
    NUMBERS.fetch_and(!(1 << (number & 63)), Ordering::SeqCst);
}

// The mapping: region, shadow page, guard, signal stack, guard, emergency stack.
const SHADOW_PAGE: usize = size_of::<Kpcr>();
const SIGNAL_GUARD: usize = SHADOW_PAGE + PAGE_SIZE;
const SIGNAL_STACK_START: usize = SIGNAL_GUARD + PAGE_SIZE;
const EMERGENCY_GUARD: usize = SIGNAL_STACK_START + SIGNAL_STACK;
pub(crate) const EMERGENCY_STACK_START: usize = EMERGENCY_GUARD + PAGE_SIZE;
const MAPPING: usize = EMERGENCY_STACK_START + EMERGENCY_STACK;

fn new_region() -> Result<NonNull<Kpcr>, PlatformError> {
    let hosted = Hosted::instance();
    let mapping = hosted.map_pages(MAPPING)?;
    for guard in [SIGNAL_GUARD, EMERGENCY_GUARD] {
        // SAFETY: the guard is a page inside of the mapping.
        let start = unsafe { mapping.add(guard) };
        // SAFETY: nobody uses the page yet, and nobody will.
        unsafe { hosted.protect_pages(start, PAGE_SIZE, Protection::None) }?;
    }
    let region = mapping.cast::<Kpcr>();
    initialise(region);
    Ok(region)
}

/// Gives a used region back its first state.
fn reset(region: NonNull<Kpcr>) {
    let start = region.as_ptr().cast::<libc::c_void>();
    // Most pages were never touched: dropping them is cheaper than writing zeros, and gives the memory back.
    // SAFETY: region and shadow page are ours, private and anonymous; all zero is a valid value of both.
    if unsafe { libc::madvise(start, SIGNAL_GUARD, libc::MADV_DONTNEED) } != 0 {
        // SAFETY: as above.
        unsafe { ptr::write_bytes(start.cast::<u8>(), 0, SIGNAL_GUARD) };
    }
    initialise(region);
}

/// Gives a region of zeros the values that a fresh processor has.
fn initialise(region: NonNull<Kpcr>) {
    let start = region.as_ptr().cast::<u8>();
    // SAFETY: mapped, all zero is a valid value, and only cells inside.
    let kpcr = unsafe { region.as_ref() };
    kpcr.self_pointer.set(region.as_ptr());
    kpcr.used_self.set(region.as_ptr());
    kpcr.current_prcb.set(start.wrapping_add(PRCB_OFFSET).cast());
    kpcr.major_version.set(1);
    kpcr.minor_version.set(1);
    kpcr.stall_scale_factor.set(2000);
    kpcr.prcb.mxcsr.set(0x1F80);
    kpcr.private.interrupts.set(1);
    kpcr.private.shadow_page.set(start.wrapping_add(SHADOW_PAGE));
    kpcr.private.emergency_stack.set(start.wrapping_add(MAPPING).addr());
}

/// Lowest usable address of this OS thread's stack, and the first address above it.
fn thread_stack() -> std::io::Result<(usize, usize)> {
    // SAFETY: all zero is a valid value of the C structure.
    let mut attributes: libc::pthread_attr_t = unsafe { std::mem::zeroed() };
    // SAFETY: the thread is this one, the structure is ours.
    let rc = unsafe { libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) };
    if rc != 0 {
        return Err(std::io::Error::from_raw_os_error(rc));
    }
    let (mut low, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the attributes were filled just now; the results are ours.
    let rc = unsafe { libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut size) };
    // SAFETY: filled by pthread_getattr_np and not used any more.
    unsafe { libc::pthread_attr_destroy(&raw mut attributes) };
    if rc != 0 {
        return Err(std::io::Error::from_raw_os_error(rc));
    }
    Ok((low.addr(), low.addr() + size))
}

/// The base of GS: by instruction where the system allows it, by system call where not.
mod gs {
    use std::sync::OnceLock;

    const ARCH_SET_GS: libc::c_long = 0x1001;
    const ARCH_GET_GS: libc::c_long = 0x1004;
    /// `AT_HWCAP2`, bit 1: the FSGSBASE instructions may be used in ring 3.
    const HWCAP2_FSGSBASE: libc::c_ulong = 2;

    fn by_instruction() -> bool {
        static USABLE: OnceLock<bool> = OnceLock::new();
        // SAFETY: reads a value that the system passed to the process at its start.
        *USABLE.get_or_init(|| unsafe { libc::getauxval(libc::AT_HWCAP2) } & HWCAP2_FSGSBASE != 0)
    }

    pub(super) fn base() -> u64 {
        let mut base = 0u64;
        if by_instruction() {
            // SAFETY: the system said that the instruction may be used; it reads one register.
            unsafe {
                std::arch::asm!("rdgsbase {}", out(reg) base, options(nomem, nostack, preserves_flags))
            };
        } else {
            // SAFETY: the result is ours to be written.
            unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_GET_GS, &raw mut base) };
        }
        base
    }

    pub(super) fn set_base(base: u64) -> std::io::Result<()> {
        if by_instruction() {
            // SAFETY: nothing but driver code and this crate uses GS on x86-64 Linux; glibc uses FS.
            unsafe { std::arch::asm!("wrgsbase {}", in(reg) base, options(nostack, preserves_flags)) };
            return Ok(());
        }
        // SAFETY: as above; the kernel refuses addresses that are not of user space.
        let rc = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, base) };
        if rc == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::irql::{self, Irql};

    #[test]
    fn drivers_find_the_fields_they_read_inline() {
        let processor = Processor::attach().unwrap();
        let thread = processor.number() as usize + 0x1000;
        crate::pcr::set_current_thread(ptr::without_provenance_mut(thread));
        let (current, number): (u64, u32);
        // SAFETY: GS points at the region of this thread.
        unsafe { std::arch::asm!("mov {}, gs:[0x188]", out(reg) current, options(nostack, readonly)) };
        // SAFETY: as above.
        unsafe { std::arch::asm!("mov {:e}, gs:[0x1A4]", out(reg) number, options(nostack, readonly)) };
        assert_eq!(current, thread as u64);
        assert_eq!(number, processor.number());
        irql::raise(Irql::DISPATCH);
        let mirror: u8;
        // SAFETY: as above.
        unsafe { std::arch::asm!("mov {}, gs:[0x50]", out(reg_byte) mirror, options(nostack, readonly)) };
        assert_eq!(mirror, 2);
    }

    #[test]
    fn a_thread_is_attached_once_and_can_come_back() {
        assert!(!is_attached());
        let before = gs::base();
        let first = Processor::attach().unwrap();
        assert!(is_attached());
        assert!(matches!(Processor::attach(), Err(AttachError::AlreadyAttached)));
        irql::raise(Irql::HIGH);
        drop(first);
        assert!(!is_attached());
        assert_eq!(gs::base(), before);
        let _second = Processor::attach().unwrap();
        assert_eq!(irql::current(), Irql::PASSIVE);
    }

    #[test]
    fn the_stack_limits_enclose_a_local() {
        let processor = Processor::attach().unwrap();
        let (low, high) = processor.kpcr().stack_limits();
        let here = (&raw const processor).addr();
        assert!(low < here && here < high);
    }
}
