//! The three families of notification routines that the NT kernel has, and what differs between them.

use crate::domain::Domain;
use crate::error::RemoveError;
use crate::platform::Platform;
use crate::registration::{Family, Registration};
use crate::table::{Capacity, DuplicatePolicy, Table};
use crate::walker::Walker;
use alloc::sync::Arc;

/// Process routines: plain, Ex and Ex2 share one table (R-REG-08).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {}

/// Image routines: plain and Ex share one table (R-REG-08).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {}

/// Thread routines: the plain ones and both types of the Ex form share one table (R-REG-08).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thread {}

/// By which routine a process routine was registered; its prototype follows from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProcessFlavour {
    /// `PsSetCreateProcessNotifyRoutine`.
    Plain,
    /// `PsSetCreateProcessNotifyRoutineEx`.
    Ex,
    /// `PsSetCreateProcessNotifyRoutineEx2` (type `PsCreateProcessNotifySubsystems`).
    Ex2,
}

/// By which routine an image routine was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageFlavour {
    /// `PsSetLoadImageNotifyRoutine`: its flags are 0.
    Plain,
    /// `PsSetLoadImageNotifyRoutineEx`.
    Ex,
}

/// By which routine, and for which type, a thread routine was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThreadFlavour {
    /// `PsSetCreateThreadNotifyRoutine`.
    Plain,
    /// `PsSetCreateThreadNotifyRoutineEx` with `PsCreateThreadNotifyNonSystem` (0).
    NonSystem,
    /// `PsSetCreateThreadNotifyRoutineEx` with `PsCreateThreadNotifySubsystems` (1).
    Subsystems,
}

impl Family for Process {
    type Flavour = ProcessFlavour;
    const NAME: &'static str = "process";
}

impl Family for Image {
    type Flavour = ImageFlavour;
    const NAME: &'static str = "image";
}

impl Family for Thread {
    type Flavour = ThreadFlavour;
    const NAME: &'static str = "thread";
}

/// The table of process routines.
pub type ProcessTable<P> = Table<Process, P>;
/// The table of image routines.
pub type ImageTable<P> = Table<Image, P>;
/// The table of thread routines.
pub type ThreadTable<P> = Table<Thread, P>;

impl<P: Platform> Table<Process, P> {
    /// An empty table of process routines. Documents and observation differ about duplicates (C1), so the
    /// caller chooses.
    #[must_use]
    pub fn new(domain: &Arc<Domain<P>>, capacity: Capacity, duplicates: DuplicatePolicy) -> Self {
        Self::with_policy(domain, capacity, duplicates)
    }

    /// Removes the lowest registration of `routine` that was made with the same `flavour`
    /// (SEMANTICS A.3); waits as [`remove_where`](Self::remove_where) does.
    ///
    /// # Errors
    /// As [`remove_where`](Self::remove_where).
    ///
    /// # Panics
    /// If `walker` belongs to another domain.
    pub fn remove(
        &self,
        walker: &Walker<P>,
        routine: usize,
        flavour: ProcessFlavour,
    ) -> Result<Registration<Process>, RemoveError> {
        self.remove_where(walker, |found| found.routine == routine && found.flavour == flavour)
    }
}

impl<P: Platform> Table<Image, P> {
    /// An empty table of image routines. Duplicates are accepted.
    #[must_use]
    pub fn new(domain: &Arc<Domain<P>>, capacity: Capacity) -> Self {
        Self::with_policy(domain, capacity, DuplicatePolicy::Accept)
    }

    /// Removes the lowest registration of `routine`, whichever form made it (R-REG-15); waits as
    /// [`remove_where`](Self::remove_where) does.
    ///
    /// # Errors
    /// As [`remove_where`](Self::remove_where).
    ///
    /// # Panics
    /// If `walker` belongs to another domain.
    pub fn remove(&self, walker: &Walker<P>, routine: usize) -> Result<Registration<Image>, RemoveError> {
        self.remove_where(walker, |found| found.routine == routine)
    }
}

impl<P: Platform> Table<Thread, P> {
    /// An empty table of thread routines. Duplicates are accepted.
    #[must_use]
    pub fn new(domain: &Arc<Domain<P>>, capacity: Capacity) -> Self {
        Self::with_policy(domain, capacity, DuplicatePolicy::Accept)
    }

    /// Removes the lowest registration of `routine`, whichever form made it (R-REG-15); waits as
    /// [`remove_where`](Self::remove_where) does.
    ///
    /// # Errors
    /// As [`remove_where`](Self::remove_where).
    ///
    /// # Panics
    /// If `walker` belongs to another domain.
    pub fn remove(&self, walker: &Walker<P>, routine: usize) -> Result<Registration<Thread>, RemoveError> {
        self.remove_where(walker, |found| found.routine == routine)
    }
}
