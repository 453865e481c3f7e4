//! Interrupt request levels.
//!
//! A level belongs to the processor, and a processor is the OS thread that runs the driver code, so
//! raising it stops nobody else: what a level protects against (DPCs, APCs, the scheduler) is done by
//! the kernel, which looks at the level before it delivers anything.

use crate::pcr::Kpcr;
use crate::supervisor::supervisor;

/// An interrupt request level, 0 to 15.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Irql(u8);

impl Irql {
    /// Nothing is blocked.
    pub const PASSIVE: Irql = Irql(0);
    /// APCs are blocked.
    pub const APC: Irql = Irql(1);
    /// The scheduler and DPCs are blocked; pageable memory must not be touched.
    pub const DISPATCH: Irql = Irql(2);
    /// The lowest level of a device's interrupt.
    pub const DEVICE_LOWEST: Irql = Irql(3);
    /// The highest level of a device's interrupt.
    pub const DEVICE_HIGHEST: Irql = Irql(11);
    /// The clock's interrupt.
    pub const CLOCK: Irql = Irql(13);
    /// Interrupts between processors.
    pub const IPI: Irql = Irql(14);
    /// Everything is blocked.
    pub const HIGH: Irql = Irql(15);

    /// The level with this number; only the low 4 bits count, as in CR8.
    pub const fn new(level: u8) -> Irql {
        Irql(level & 15)
    }

    /// The number of the level.
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl std::fmt::Debug for Irql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Irql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("PASSIVE_LEVEL"),
            1 => f.write_str("APC_LEVEL"),
            2 => f.write_str("DISPATCH_LEVEL"),
            level @ 3..=11 => write!(f, "DIRQL {level}"),
            12 => f.write_str("SYNCH_LEVEL"),
            13 => f.write_str("CLOCK_LEVEL"),
            14 => f.write_str("IPI_LEVEL"),
            _ => f.write_str("HIGH_LEVEL"),
        }
    }
}

/// The level of this processor. The thread must be attached.
#[inline]
pub fn current() -> Irql {
    Irql(Kpcr::current().private.irql.get())
}

/// Raises the level and answers the old one. A level that is lower than the present one is set all the
/// same: whether that is a finding (`IRQL_NOT_GREATER_OR_EQUAL`) is for the caller to judge.
#[inline]
pub fn raise(to: Irql) -> Irql {
    let old = current();
    set(to);
    old
}

/// Sets the level and, when that lowers it, tells the supervisor, which runs what the old level blocked.
#[inline]
pub fn lower(to: Irql) {
    let from = current();
    set(to);
    if from > to
        && let Some(supervisor) = supervisor()
    {
        supervisor.irql_lowered(from, to);
    }
}

/// Sets the level, and its mirror that drivers see, without telling anybody.
#[inline]
pub fn set(to: Irql) {
    let kpcr = Kpcr::current();
    kpcr.private.irql.set(to.0);
    kpcr.irql.set(to.0);
}
