//! Why a registration or a removal failed, and which NTSTATUS that is.

use crate::registration::RegistrationRef;
use crate::walker::WalkerId;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;

/// Why [`register`](crate::Table::register) failed. A failed registration leaves no trace (R-REG-11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterError {
    /// Every slot is taken.
    ///
    /// NTSTATUS (R-REG-06): process `STATUS_INVALID_PARAMETER` (0xC000000D); image and thread
    /// `STATUS_INSUFFICIENT_RESOURCES` (0xC000009A).
    Full,
    /// The routine is in the table already and the table's [`DuplicatePolicy`](crate::DuplicatePolicy)
    /// rejects that.
    ///
    /// NTSTATUS: process `STATUS_INVALID_PARAMETER` (0xC000000D). Image and thread tables never say this.
    Duplicate,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the notification table is full: every slot holds a registration",
            Self::Duplicate => "the routine is registered in this table already",
        })
    }
}

impl core::error::Error for RegisterError {}

/// Why a removal did not end the way its caller wanted.
#[derive(Debug, Clone)]
pub enum RemoveError {
    /// No slot matches. The table is as it was.
    ///
    /// NTSTATUS: `STATUS_PROCEDURE_NOT_FOUND` (0xC000007A) in all three families; process is not documented
    /// and a flavour that differs counts as no match (SEMANTICS A.3, C2).
    NotRegistered,
    /// The registration was taken out of the table, but the wait for its calls would never end.
    ///
    /// No NTSTATUS: Windows never returns from this removal (R-RM-05). The caller decides whether to
    /// report and stop, or to block for ever — and then says so with
    /// [`Walker::stays_blocked`](crate::Walker::stays_blocked).
    Deadlock(Deadlock),
}

impl fmt::Display for RemoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegistered => f.write_str("no registration in this table matches"),
            Self::Deadlock(deadlock) => deadlock.fmt(f),
        }
    }
}

impl core::error::Error for RemoveError {}

/// One link of a deadlock: who waits for whom, because of which registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The walker that removes `registration` and waits for its calls to return.
    pub waiter: WalkerId,
    /// The registration that is being removed.
    pub registration: RegistrationRef,
    /// A walker that is inside a call of `registration`.
    pub holder: WalkerId,
}

/// The proof that a removal would wait for ever.
///
/// The first link is the removal that was refused; each link's holder is the next link's waiter;
/// the last holder is a waiter that came before. One link whose waiter is its holder is the
/// removal of a routine from within itself (R-RM-05); two are two routines that remove each other (R-RM-07).
/// When the last holder is not the first waiter, the refused removal is not part of the circle
/// but waits for a thread that is.
#[derive(Clone)]
pub struct Deadlock {
    pub(crate) chain: Vec<Wait>,
    /// Keeps the registration's address from being given to another one while this is looked at.
    pub(crate) registration: Arc<dyn Any + Send + Sync>,
}

impl Deadlock {
    /// The links, the refused removal first. Never empty.
    #[must_use]
    pub fn chain(&self) -> &[Wait] {
        &self.chain
    }

    /// Whether this is a routine that is removed from within its own call (R-RM-05).
    #[must_use]
    pub fn is_self_removal(&self) -> bool {
        matches!(self.chain.first(), Some(wait) if wait.waiter == wait.holder)
    }
}

impl fmt::Debug for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlock").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the removal would wait for ever:")?;
        for (index, wait) in self.chain.iter().enumerate() {
            let RegistrationRef { family, slot, routine, .. } = wait.registration;
            let separator = if index == 0 { "" } else { ";" };
            write!(
                f,
                "{separator} {} waits for the {family} routine {routine:#x} (slot {slot}), which {} is calling",
                wait.waiter, wait.holder
            )?;
        }
        Ok(())
    }
}
