//! One notification table: up to 64 slots that are filled, emptied and walked, all at once.

use crate::domain::{Departed, Domain, address_of};
use crate::error::{RegisterError, RemoveError};
use crate::lock::Lock;
use crate::platform::Platform;
use crate::registration::{Family, Registration, Request};
use crate::sync::{AtomicPtr, AtomicU64, Ordering};
use crate::walker::{Frame, Walker};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hint::cold_path;
use core::ptr;

/// The most slots that any table has.
pub const MAX_SLOTS: usize = 64;

/// How many slots a table has (R-REG-05).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capacity(usize);

impl Capacity {
    /// 8 slots: all tables up to Windows XP and Server 2003; image tables up to Windows 8.1 without updates.
    pub const EIGHT: Self = Self(8);
    /// 64 slots: process tables since Windows Vista, all tables since Windows 10.
    pub const SIXTY_FOUR: Self = Self(MAX_SLOTS);

    /// Any number of slots from 1 to [`MAX_SLOTS`]; `None` outside.
    #[must_use]
    pub const fn new(slots: usize) -> Option<Self> {
        if slots >= 1 && slots <= MAX_SLOTS { Some(Self(slots)) } else { None }
    }

    /// The number of slots.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }
}

/// What a table says to a routine that is in it already (SEMANTICS A.3 and C1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicatePolicy {
    /// The second registration fails, as documented for process routines. The address alone counts, whatever
    /// the flavour: the documents speak of the routine.
    Reject,
    /// The second registration takes another slot and is called again, as observed; image and thread
    /// routines always do.
    Accept,
}

/// A notification table of family `F` on platform `P`.
///
/// Registering and removing take a small lock among themselves; walking takes none, allocates nothing and
/// writes to nothing that another walker reads.
pub struct Table<F: Family, P: Platform> {
    domain: Arc<Domain<P>>,
    capacity: Capacity,
    duplicates: DuplicatePolicy,
    /// The domain's address.
    home: usize,
    /// Where a walk may stop, and whether anything has changed: see [`end`].
    state: AtomicU64,
    /// What walks read. Each is null, or points to the registration that `held` keeps at the same index.
    slots: [AtomicPtr<Registration<F>>; MAX_SLOTS],
    /// What keeps the registrations alive, changed together with `slots`.
    held: Lock<Held<F>>,
}

/// A table's state: the index of the highest slot in use (6 bits, so that the compiler sees it in bounds),
/// whether any slot is in use (1 bit), and above those the number of changes, which comes round after 2^57 of
/// them: no call lasts that long.
const CHANGES_SHIFT: u32 = 7;
const IN_USE: u64 = MAX_SLOTS as u64;

/// One past the last slot that a walk has to look at; at least 1.
const fn end(state: u64) -> usize {
    let [low, ..] = state.to_le_bytes();
    (low as usize & (MAX_SLOTS - 1)) + 1
}

type Held<F> = [Option<Arc<Registration<F>>>; MAX_SLOTS];

impl<F: Family, P: Platform> Table<F, P> {
    /// An empty table that shares its walkers with the other tables of `domain`.
    ///
    /// The three families of NT have constructors of their own that know the policy; this one is for families
    /// that a user of the crate adds.
    #[must_use]
    pub fn with_policy(domain: &Arc<Domain<P>>, capacity: Capacity, duplicates: DuplicatePolicy) -> Self {
        Self {
            domain: Arc::clone(domain),
            capacity,
            duplicates,
            home: domain.home(),
            state: AtomicU64::new(0),
            slots: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            held: Lock::new(core::array::from_fn(|_| None)),
        }
    }

    /// Puts a routine into the lowest empty slot (R-REG-09) and returns what is there now.
    ///
    /// Calls may begin before this returns (R-RM-10). May be called from any thread, also from within a walk
    /// of this table; that walk then reaches the new registration if its slot is still ahead (R-RM-09).
    ///
    /// # Errors
    /// [`RegisterError::Full`], or [`RegisterError::Duplicate`] if the policy is to reject. The table is
    /// unchanged then (R-REG-11).
    pub fn register(&self, request: Request<F::Flavour>) -> Result<Registration<F>, RegisterError> {
        let Request { routine, flavour, flags, owner } = request;
        let mut held = self.held.lock(self.domain.platform());
        if self.duplicates == DuplicatePolicy::Reject
            && held.iter().flatten().any(|registration| registration.routine == routine)
        {
            return Err(RegisterError::Duplicate);
        }
        let free = held.iter().take(self.capacity.get()).position(Option::is_none);
        let slot = free.ok_or(RegisterError::Full)?;
        let id = self.domain.next_registration();
        let registration = Registration { id, slot, routine, flavour, flags, owner };
        let memory = Arc::new(registration);
        self.slots[slot].store(Arc::as_ptr(&memory).cast_mut(), Ordering::Release);
        held[slot] = Some(memory);
        self.changed(&held);
        Ok(registration)
    }

    /// Calls `call` for every registration, in slot order (R-RACE-01).
    ///
    /// A slot that is filled while the walk has not reached it is called, one that it has passed is not
    /// (R-RM-09, R-RACE-05); a slot that is emptied is either being called already, and then the removal
    /// waits, or is skipped (R-RACE-08). `call` may walk, register and remove. If it unwinds, the walk ends
    /// there and nothing stays marked.
    ///
    /// # Panics
    /// If `walker` belongs to another domain.
    #[inline]
    pub fn walk(&self, walker: &Walker<P>, call: impl FnMut(&Registration<F>)) {
        match walker.enter(self.home) {
            Some(frame) => self.walk_in(frame, call),
            None => walker.enter_nested(&self.domain, |frame| self.walk_in(frame, call)),
        }
    }

    /// The walk, as long as nobody registers or removes meanwhile.
    #[inline(always)]
    fn walk_in(&self, frame: Frame<'_, P>, mut call: impl FnMut(&Registration<F>)) {
        let state = self.state.load(Ordering::Acquire);
        let mut ahead = self.slots[..end(state)].iter();
        while let Some(slot) = ahead.next() {
            let found = slot.load(Ordering::Acquire);
            if found.is_null() {
                // The mark of the call before stays: nothing runs until the next mark.
                cold_path();
                continue;
            }
            frame.announce(found.addr());
            if self.state.load(Ordering::Acquire) != state {
                cold_path();
                return self.walk_on(frame, state, ahead.len() + 1, call);
            }
            // SAFETY: the slot held `found` when `state` was the table's state, and still was after the mark
            // and the fence. So whoever empties the slot sees the mark (`Domain::run_down`) and keeps the
            // registration until the mark is gone, which is after this call.
            call(unsafe { &*found });
        }
        frame.announce(self.home);
        if self.state.load(Ordering::Acquire) != state {
            cold_path();
            return self.walk_on(frame, state, 0, call);
        }
        frame.finish();
    }

    /// The rest of a walk that has seen the table change when `left` slots of the old state were still ahead:
    /// from there on, with the new state.
    #[cold]
    #[inline(never)]
    fn walk_on(&self, frame: Frame<'_, P>, old: u64, left: usize, mut call: impl FnMut(&Registration<F>)) {
        let mut next = end(old) - left;
        loop {
            frame.attend();
            let state = self.state.load(Ordering::Acquire);
            while next < end(state) {
                let found = self.slots[next].load(Ordering::Acquire);
                if !found.is_null() {
                    frame.announce(found.addr());
                    if self.state.load(Ordering::Acquire) != state {
                        break;
                    }
                    // SAFETY: as in `walk_in`.
                    call(unsafe { &*found });
                }
                next += 1;
            }
            if next >= end(state) {
                frame.announce(self.home);
                if self.state.load(Ordering::Acquire) == state {
                    return frame.finish();
                }
            }
        }
    }

    /// Removes the registration in the lowest slot that `matches` (R-REG-14): empties the slot, then returns
    /// when every call of *that* registration that had begun has returned (R-RM-01, R-RM-02, R-RM-04).
    ///
    /// The wait sleeps and has no timeout (R-RM-03). `matches` runs under the table's lock: it should only
    /// look.
    ///
    /// # Errors
    /// [`RemoveError::NotRegistered`] if nothing matches; the table is unchanged then.
    /// [`RemoveError::Deadlock`] if the wait would never end because the calling thread is itself, directly
    /// or through others, what it would wait for: the slot has been emptied then.
    ///
    /// # Panics
    /// If `walker` belongs to another domain.
    pub fn remove_where(
        &self,
        walker: &Walker<P>,
        matches: impl Fn(&Registration<F>) -> bool,
    ) -> Result<Registration<F>, RemoveError> {
        walker.check(&self.domain);
        let memory = self.take(matches).ok_or(RemoveError::NotRegistered)?;
        let registration = *memory;
        let departed = Departed { address: address_of(&memory), who: registration.erased(), memory };
        self.domain.run_down(walker.id(), &departed).map_err(RemoveError::Deadlock)?;
        Ok(registration)
    }

    /// Empties the lowest slot that matches. What was in it may still be in use.
    fn take(&self, matches: impl Fn(&Registration<F>) -> bool) -> Option<Arc<Registration<F>>> {
        let mut held = self.held.lock(self.domain.platform());
        let slot = held.iter().position(|entry| entry.as_ref().is_some_and(|found| matches(found)))?;
        let memory = held[slot].take();
        self.slots[slot].store(ptr::null_mut(), Ordering::Release);
        self.changed(&held);
        memory
    }

    /// Publishes that the slots have changed. Called after the slot was written, with the lock held.
    fn changed(&self, held: &Held<F>) {
        let highest = held.iter().rposition(Option::is_some);
        let changes = (self.state.load(Ordering::Relaxed) >> CHANGES_SHIFT).wrapping_add(1);
        let state = changes << CHANGES_SHIFT | highest.map_or(0, |highest| highest as u64 | IN_USE);
        self.state.store(state, Ordering::Release);
    }

    /// What is registered at this moment, in slot order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Registration<F>> {
        let held = self.held.lock(self.domain.platform());
        held.iter().flatten().map(|registration| **registration).collect()
    }

    /// What `owner` has registered at this moment, in slot order: a driver that unloads must have nothing
    /// here (R-UNL-01).
    #[must_use]
    pub fn owned_by(&self, owner: u64) -> Vec<Registration<F>> {
        let mut all = self.snapshot();
        all.retain(|registration| registration.owner == owner);
        all
    }

    /// How many slots are in use at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.lock(self.domain.platform()).iter().flatten().count()
    }

    /// Whether no slot is in use at this moment. Lock-free: good for skipping the making of an event nobody
    /// hears.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.state.load(Ordering::Acquire) & IN_USE == 0
    }

    /// How many slots there are.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// The domain that the table shares with others.
    #[must_use]
    pub fn domain(&self) -> &Arc<Domain<P>> {
        &self.domain
    }
}

impl<F: Family, P: Platform> fmt::Debug for Table<F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("family", &F::NAME)
            .field("capacity", &self.capacity.get())
            .field("registrations", &self.len())
            .finish_non_exhaustive()
    }
}
