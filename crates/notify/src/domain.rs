//! The tables that are walked by the same threads, and who of those waits for whom.

use crate::error::{Deadlock, Wait};
use crate::lock::Lock;
use crate::platform::Platform;
use crate::registration::{RegistrationId, RegistrationRef};
use crate::sync::{AtomicU64, Ordering};
use crate::walker::{Post, WalkerId};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;

/// What the tables of one kernel share: the roster of walkers, the removals in progress, the platform.
///
/// Removals in different tables can wait for each other (a process routine removes an image routine which
/// removes the process routine), so tables whose routines can meet on a thread belong to one domain.
pub struct Domain<P: Platform> {
    platform: P,
    numbers: AtomicU64,
    roster: Lock<Roster>,
}

/// A registration that left its table but may be in use. Its address is what walkers' marks hold.
#[derive(Clone)]
pub(crate) struct Departed {
    pub(crate) address: usize,
    pub(crate) who: RegistrationRef,
    pub(crate) memory: Arc<dyn Any + Send + Sync>,
}

/// A thread that waits in a removal.
struct Blocked {
    walker: WalkerId,
    waits_for: Departed,
}

/// Everything that is looked at and changed under the domain's lock.
struct Roster {
    posts: Vec<Arc<Post>>,
    blocked: Vec<Blocked>,
    /// Left over by removals that found a deadlock: to be freed when no mark holds them any more.
    abandoned: Vec<Departed>,
}

impl<P: Platform> Domain<P> {
    /// A domain without walkers on the given platform.
    #[must_use]
    pub fn new(platform: P) -> Arc<Self> {
        Arc::new(Self {
            platform,
            numbers: AtomicU64::new(1),
            roster: Lock::new(Roster { posts: Vec::new(), blocked: Vec::new(), abandoned: Vec::new() }),
        })
    }

    /// The platform given to [`new`](Self::new).
    #[inline(always)]
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// Which removals are waiting at this moment, and for whom: for the report of a host that hangs.
    ///
    /// A removal that waits for several walkers gives one [`Wait`] each.
    #[must_use]
    pub fn waits(&self) -> Vec<Wait> {
        let roster = self.roster.lock(&self.platform);
        let mut waits = Vec::new();
        for Blocked { walker, waits_for } in &roster.blocked {
            let held_by = |post: &&Arc<Post>| post.holds(waits_for.address);
            waits.extend(roster.posts.iter().filter(held_by).map(|post| Wait {
                waiter: *walker,
                registration: waits_for.who,
                holder: post.walker,
            }));
        }
        waits
    }

    /// This domain's address, as marks hold it.
    pub(crate) fn home(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    pub(crate) fn next_registration(&self) -> RegistrationId {
        RegistrationId(self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn next_walker(&self) -> WalkerId {
        WalkerId(self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// Puts a new post on the roster.
    pub(crate) fn enlist(&self, walker: WalkerId) -> Arc<Post> {
        let post = Arc::new(Post::new(walker, self.home()));
        self.roster.lock(&self.platform).posts.push(Arc::clone(&post));
        post
    }

    /// Takes all posts of a walker off the roster. It is in no walk, so they hold nothing.
    pub(crate) fn dismiss(&self, walker: WalkerId) {
        let mut roster = self.roster.lock(&self.platform);
        roster.posts.retain(|post| post.walker != walker);
        roster.blocked.retain(|blocked| blocked.walker != walker);
        roster.sweep();
    }

    /// Notes that `walker` waits for ever for what `deadlock` is about.
    pub(crate) fn strand(&self, walker: WalkerId, deadlock: &Deadlock) {
        let Some(first) = deadlock.chain.first() else { return };
        let memory = Arc::clone(&deadlock.registration);
        let waits_for = Departed { address: address_of(&memory), who: first.registration, memory };
        self.roster.lock(&self.platform).blocked.push(Blocked { walker, waits_for });
    }

    /// Waits until no call of a registration that was taken out of its table is in progress.
    ///
    /// # Why nothing is missed
    /// The slot was emptied, then the table's state was changed, then the heavy fence *H* passed. A walk that
    /// calls the registration has read the state, read the slot, stored its mark, passed a light fence *L*
    /// and found the state as it was. If *L* is ordered before *H*, the look at the marks below sees that
    /// mark. If *H* is ordered before *L*, the walk's second look sees the changed state; its first look did
    /// not, or acquire would have shown it the emptied slot; so it does not call and starts over. There is no
    /// third outcome (R-RACE-08), and no mark that counts can appear later: who is not seen here never calls.
    /// A post that is enlisted after the look got the lock after it, so its owner sees the emptied slot too.
    ///
    /// # Why every circle is found
    /// A circle is closed by the last of its threads to enter `blocked`, which happens under the lock. All
    /// the others are there already, and what they hold they marked before they took the lock, so the last
    /// one sees all of it; two removers that close a circle together are ordered by the lock. What a blocked
    /// thread marks it is really calling (a thread between mark and check is running, not blocked), so there
    /// are no false circles either.
    pub(crate) fn run_down(&self, walker: WalkerId, departed: &Departed) -> Result<(), Deadlock> {
        self.platform.heavy_fence();
        let holders = {
            let mut roster = self.roster.lock(&self.platform);
            roster.sweep();
            let holders = roster.holders(departed.address);
            if holders.is_empty() {
                return Ok(());
            }
            let mut search = Search { roster: &roster, chain: Vec::new(), cleared: Vec::new() };
            if search.finds_circle(walker, departed) {
                let chain = search.chain;
                roster.abandoned.push(departed.clone());
                return Err(Deadlock { chain, registration: Arc::clone(&departed.memory) });
            }
            roster.blocked.push(Blocked { walker, waits_for: departed.clone() });
            holders
        };
        for post in &holders {
            post.wait_until_released(departed.address, &self.platform);
        }
        let mut roster = self.roster.lock(&self.platform);
        roster.blocked.retain(|blocked| blocked.walker != walker);
        Ok(())
    }
}

impl Roster {
    fn holders(&self, address: usize) -> Vec<Arc<Post>> {
        self.posts.iter().filter(|post| post.holds(address)).cloned().collect()
    }

    /// Lets go of abandoned registrations that no walker is calling any more.
    fn sweep(&mut self) {
        let Self { posts, abandoned, .. } = self;
        abandoned.retain(|departed| posts.iter().any(|post| post.holds(departed.address)));
    }
}

/// A depth-first look along "waits for" from a removal that is about to wait.
struct Search<'a> {
    roster: &'a Roster,
    /// The way from the start to where the search is.
    chain: Vec<Wait>,
    /// Walkers from which no circle is reached.
    cleared: Vec<WalkerId>,
}

impl Search<'_> {
    /// Whether `waiter`, waiting for `departed`, gets into a circle; if so the chain is left in place.
    fn finds_circle(&mut self, waiter: WalkerId, departed: &Departed) -> bool {
        for post in self.roster.posts.iter().filter(|post| post.holds(departed.address)) {
            let holder = post.walker;
            self.chain.push(Wait { waiter, registration: departed.who, holder });
            if self.chain.iter().any(|wait| wait.waiter == holder) {
                return true;
            }
            if !self.cleared.contains(&holder) {
                for blocked in self.roster.blocked.iter().filter(|blocked| blocked.walker == holder) {
                    if self.finds_circle(holder, &blocked.waits_for) {
                        return true;
                    }
                }
                self.cleared.push(holder);
            }
            self.chain.pop();
        }
        false
    }
}

/// The address that marks on this registration hold.
pub(crate) fn address_of<T: ?Sized>(memory: &Arc<T>) -> usize {
    Arc::as_ptr(memory).cast::<()>().addr()
}

impl<P: Platform> fmt::Debug for Domain<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roster = self.roster.lock(&self.platform);
        f.debug_struct("Domain")
            .field("posts", &roster.posts.len())
            .field("blocked", &roster.blocked.len())
            .field("abandoned", &roster.abandoned.len())
            .finish_non_exhaustive()
    }
}
