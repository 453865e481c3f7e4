//! The kernel as a whole: what it is made of, and how it starts.

use std::sync::atomic::{AtomicPtr, Ordering};

use crate::{Config, Recorder};

/// One kernel: the state of every component. There is one in a host.
#[expect(missing_debug_implementations, reason = "it holds the recorder, which is anything")]
pub struct Kernel {
    pub(crate) config: Config,
    pub(crate) recorder: &'static dyn Recorder,
    pub(crate) ps: crate::ps::State,
    pub(crate) io: crate::io::State,
    pub(crate) ob: crate::ob::State,
    pub(crate) ex: crate::ex::State,
    pub(crate) cm: crate::cm::State,
    pub(crate) ke: crate::ke::State,
    pub(crate) mm: crate::mm::State,
    pub(crate) flt: crate::flt::State,
    pub(crate) etw: crate::etw::State,
    pub(crate) po: crate::po::State,
    pub(crate) netio: crate::netio::State,
    pub(crate) rules: crate::rule::State,
}

static KERNEL: AtomicPtr<Kernel> = AtomicPtr::new(std::ptr::null_mut());

/// Starts a kernel and makes it the one that routines called from drivers act on. The calling thread
/// must be a processor of the machine. A kernel lives as long as its process: drivers hold its addresses.
pub fn boot(config: Config, recorder: &'static dyn Recorder) -> &'static Kernel {
    // A run that provokes has a scheduler of its own, which lets time pass as it likes.
    let clock = if config.stress.is_some() { crate::Clock::Real } else { config.clock };
    crate::ke::virtual_clock::choose(clock);
    let kernel: &'static Kernel = Box::leak(Box::new(Kernel {
        config,
        recorder,
        ps: crate::ps::State::new(&config),
        io: crate::io::State::new(&config),
        ob: crate::ob::State::new(&config),
        ex: crate::ex::State::new(&config),
        cm: crate::cm::State::new(&config),
        ke: crate::ke::State::new(&config),
        mm: crate::mm::State::new(&config),
        flt: crate::flt::State::new(&config),
        etw: crate::etw::State::new(&config),
        po: crate::po::State::new(&config),
        netio: crate::netio::State::new(&config),
        rules: crate::rule::State::default(),
    }));
    KERNEL.store(std::ptr::from_ref(kernel).cast_mut(), Ordering::Release);
    kernel.start();
    kernel
}

impl Kernel {
    fn start(&'static self) {
        // One supervisor serves every kernel of a process, as it asks for the one that runs.
        machine::install_supervisor(&crate::ke::stop::KernelSupervisor);
        crate::rtl::version::start(self.config.profile);
        crate::mm::lookup::start(self.config.profile);
        crate::ob::types::start(self);
        crate::io::device::start(self);
        crate::ke::virtual_clock::start(self);
        crate::stress::start(self);
    }

    /// Makes the calling thread, a processor, run the system thread of a lane: what drivers are loaded on, and what a
    /// notification borrows. The thread keeps it until it ends.
    pub fn adopt_lane(&self, lane: u32) {
        let thread = crate::ps::system_thread::adopt_lane(self, lane);
        machine::set_current_thread(thread.into_raw().cast());
    }

    /// The same for a thread that is no lane's.
    pub fn adopt_this_thread(&self) {
        let thread = crate::ps::system_thread::adopt(self);
        machine::set_current_thread(thread.into_raw().cast());
    }
}

/// The kernel that runs.
///
/// # Panics
/// Before [`boot`]: no driver code runs then.
pub(crate) fn kernel() -> &'static Kernel {
    // SAFETY: set once to a leaked box, or null.
    unsafe { KERNEL.load(Ordering::Acquire).as_ref() }.expect("a kernel routine was called before boot")
}
