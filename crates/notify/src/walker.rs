//! A thread's standing with the tables: what it is calling right now.

use crate::domain::Domain;
use crate::error::Deadlock;
use crate::platform::Platform;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

/// Levels of nested walks that one [`Post`] has marks for.
pub(crate) const MARKS: usize = 32;

/// The number of a walker, unique within its [`Domain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalkerId(pub u64);

impl fmt::Display for WalkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "walker {}", self.0)
    }
}

/// The part of a walker that removers look at: its in-flight marks and its bell.
///
/// Only the owner writes marks and only removers write `waiters`, so without a removal the lines of a
/// post stay in its owner's cache, unshared.
#[repr(align(64))]
pub(crate) struct Post {
    /// By depth of nesting, the address of the registration that is being called there, or `home`.
    marks: [AtomicUsize; MARKS],
    /// The address of the domain. No registration's address, so it is what a mark holds while nothing is
    /// called: a walk learns from one comparison that its thread is in no other walk and belongs to the
    /// table's domain.
    home: usize,
    /// How many removers wait for something on this post.
    waiters: AtomicU32,
    /// The bell: counts, and is slept on.
    bell: AtomicU32,
    pub(crate) walker: WalkerId,
}

impl Post {
    pub(crate) fn new(walker: WalkerId, home: usize) -> Self {
        Self {
            marks: core::array::from_fn(|_| AtomicUsize::new(home)),
            home,
            waiters: AtomicU32::new(0),
            bell: AtomicU32::new(0),
            walker,
        }
    }

    /// Whether a call of the registration at `address` is (or is about to be) in progress here.
    pub(crate) fn holds(&self, address: usize) -> bool {
        // Acquire: what the call did, and its last look at the registration, come before its mark went.
        self.marks.iter().any(|mark| mark.load(Ordering::Acquire) == address)
    }

    /// How many levels are in use. For the owner, who alone changes that.
    fn depth(&self) -> usize {
        self.marks.iter().take_while(|mark| mark.load(Ordering::Relaxed) != self.home).count()
    }

    /// The first mark that is not in use. For the owner, who alone changes that.
    fn free_mark(&self) -> Option<&AtomicUsize> {
        self.marks.get(self.depth())
    }

    /// Sleeps until no mark here is `address`. The caller has emptied the slot, said so in the table's state,
    /// and fenced.
    ///
    /// # Why no wake is lost
    /// Let *W* be the walker's store that takes the mark away, *L* the light fence after it, *H* the
    /// heavy fence below. If *L* is ordered before *H*, the check below sees *W* and does not sleep. Else
    /// what the walker loads after *L* sees everything before *H*:
    ///
    /// * First it loads the table's state. It differs from the one which the walker had when it read the
    ///   slot, since that one was from before the removal: with a later one it would have read an empty slot.
    ///   So the walker goes on to look at `waiters` (in [`Frame::attend`]; unwinding does so at once).
    /// * There it sees the increment below, and rings. The bell's count was read before the mark: had it
    ///   been the count after that ring, acquire would have shown *W* as well. So it was the one before, and
    ///   `block` either does not sleep on it or is woken.
    pub(crate) fn wait_until_released<P: Platform>(&self, address: usize, platform: &P) {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        platform.heavy_fence();
        loop {
            let rung = self.bell.load(Ordering::Acquire);
            if !self.holds(address) {
                break;
            }
            platform.block(&self.bell, rung);
        }
        self.waiters.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes `mark` away and tells the removers that wait here, if any, to look again.
    #[cold]
    #[inline(never)]
    fn attend<P: Platform>(&self, mark: &AtomicUsize, walker: &Walker<P>) {
        let platform = walker.domain.platform();
        mark.store(self.home, Ordering::Release);
        platform.light_fence();
        if self.waiters.load(Ordering::Relaxed) != 0 {
            self.bell.fetch_add(1, Ordering::Release);
            platform.wake_all(&self.bell);
        }
    }
}

/// One level of nesting of one walk: its mark on a post. Ends (also by unwinding) with the mark taken away.
pub(crate) struct Frame<'a, P: Platform> {
    walker: &'a Walker<P>,
    post: &'a Post,
    mark: &'a AtomicUsize,
}

impl<P: Platform> Frame<'_, P> {
    /// Replaces what this level is calling: from now on removers wait for `address` instead. The domain's
    /// address stands for no call.
    ///
    /// The walk looks next whether the table's state has changed. If not, then the slot that it read is as it
    /// was, and nobody waits for the mark that this overwrote; if so, it must [`attend`](Self::attend).
    #[inline(always)]
    pub(crate) fn announce(&self, address: usize) {
        // Release, because a remover that sees the previous mark gone may free what the previous call used.
        self.mark.store(address, Ordering::Release);
        self.walker.domain.platform().light_fence();
    }

    /// Takes the mark away and rings for the removers that wait here.
    ///
    /// The mark goes before the look at who waits: the registration that it names may be one that is being
    /// removed, and the state that the walk reads next would no longer tell.
    #[inline(always)]
    pub(crate) fn attend(&self) {
        self.post.attend(self.mark, self.walker);
    }

    /// The normal end, after the domain's address was announced and the table's state found unchanged.
    #[inline(always)]
    pub(crate) fn finish(self) {
        core::mem::forget(self);
    }
}

/// The end by unwinding.
impl<P: Platform> Drop for Frame<'_, P> {
    #[inline(always)]
    fn drop(&mut self) {
        self.attend();
    }
}

/// A thread that walks tables, removes registrations, or both.
///
/// Every thread has one of its own (it is `Send` but not `Sync`), also a thread that only removes: a removal
/// must know whose calls it is waiting *from* to recognise a deadlock. Making one takes a lock and
/// allocates; using it does neither. Dropping it takes it off the domain's roster.
///
/// A walk may be started from within a walk, to any depth (R-RACE-04). The first 32 levels have their marks
/// in place; each further 32 cost one allocation and the domain's lock when they are first reached, and are
/// kept.
///
/// ```compile_fail,E0277
/// # use notify::{Walker, platform::Spin};
/// fn share<T: Sync>() {}
/// share::<Walker<Spin>>(); // two threads would write each other's marks
/// ```
pub struct Walker<P: Platform> {
    domain: Arc<Domain<P>>,
    post: Arc<Post>,
    /// Posts for levels beyond the first `MARKS`, each on the roster under the same number.
    deep: RefCell<Vec<Arc<Post>>>,
}

impl<P: Platform> Walker<P> {
    /// A walker for the calling thread on the tables of `domain`.
    #[must_use]
    pub fn new(domain: &Arc<Domain<P>>) -> Self {
        let walker = domain.next_walker();
        let post = domain.enlist(walker);
        Self { domain: Arc::clone(domain), post, deep: RefCell::new(Vec::new()) }
    }

    /// This walker's number, as it appears in [`Wait`](crate::Wait).
    #[must_use]
    pub fn id(&self) -> WalkerId {
        self.post.walker
    }

    /// How many walks this thread is inside of at the moment.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.post.depth() + self.deep.borrow().iter().map(|post| post.depth()).sum::<usize>()
    }

    /// The domain whose tables this walker can walk.
    #[must_use]
    pub fn domain(&self) -> &Arc<Domain<P>> {
        &self.domain
    }

    /// Declares that this thread never returns from the removal that failed with `deadlock`.
    ///
    /// For callers that reproduce what Windows does (R-RM-05) by blocking the thread for ever. Later removals
    /// that would wait for this thread are then told so, in place of waiting as well.
    pub fn stays_blocked(&self, deadlock: &Deadlock) {
        self.domain.strand(self.id(), deadlock);
    }

    /// Panics unless this walker belongs to `domain`: a remover there would not look at its marks.
    pub(crate) fn check(&self, domain: &Arc<Domain<P>>) {
        assert!(Arc::ptr_eq(&self.domain, domain), "the walker belongs to another domain than the table");
    }

    /// The outermost level, if this thread is in no walk yet and belongs to the domain at `home`.
    ///
    /// There is no counter of levels to keep: whoever is inside a call has its mark set.
    #[inline(always)]
    pub(crate) fn enter(&self, home: usize) -> Option<Frame<'_, P>> {
        let [outermost, ..] = &self.post.marks;
        let fits = outermost.load(Ordering::Relaxed) == home;
        fits.then(|| Frame { walker: self, post: &self.post, mark: outermost })
    }

    /// Runs `walk` at the next level below the outermost. Panics if this walker belongs to another domain.
    #[inline(never)]
    pub(crate) fn enter_nested(&self, domain: &Arc<Domain<P>>, walk: impl FnOnce(Frame<'_, P>)) {
        self.check(domain);
        if let Some(mark) = self.post.free_mark() {
            return walk(Frame { walker: self, post: &self.post, mark });
        }
        let with_room = self.deep.borrow().iter().find(|post| post.free_mark().is_some()).cloned();
        let post = with_room.unwrap_or_else(|| {
            let post = self.domain.enlist(self.id());
            self.deep.borrow_mut().push(Arc::clone(&post));
            post
        });
        let Some(mark) = post.free_mark() else { unreachable!("a new post has free marks") };
        walk(Frame { walker: self, post: &post, mark });
    }
}

impl<P: Platform> Drop for Walker<P> {
    fn drop(&mut self) {
        self.domain.dismiss(self.id());
    }
}

impl<P: Platform> fmt::Debug for Walker<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walker").field("id", &self.id()).field("depth", &self.depth()).finish_non_exhaustive()
    }
}
