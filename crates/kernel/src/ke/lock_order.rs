//! The order in which locks are acquired: a deadlock that could be is found without its happening (L-05, R-RM-08).
//!
//! Who acquires B while it holds A makes an edge from A to B. A way back from B to A means that two threads can wait
//! for each other for ever. A registration is a lock as well: who calls a routine holds it shared, and who removes the
//! routine waits for those. So "removes the routine under a lock which the routine takes" is one more circle, and so is
//! "two routines that remove each other" (R-RM-07).

use std::cell::RefCell;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ex::pool_site::Site;
use crate::hash::{HashMap, HashSet};
use crate::{Kernel, kernel, rule};

/// How many edges are kept; the order of locks beyond that is not looked at.
const MOST_EDGES: usize = 16 * 1024;
/// How many locks a thread can hold and still be followed.
const MOST_HELD: usize = 32;
/// Edges that a thread remembers to have made, so that it need not ask.
const RECENT: usize = 64;

/// What kind of lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A fast or a guarded mutex.
    FastMutex,
    /// An executive resource.
    Resource,
    /// A push lock.
    PushLock,
    /// A spin lock of any kind.
    SpinLock,
    /// A registered routine: called, or waited for by its removal.
    Routine,
}

/// A lock: its address, or the routine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    address: usize,
    kind: Kind,
    shared: bool,
}

/// What one thread holds, in order.
struct Thread {
    held: [Held; MOST_HELD],
    count: usize,
    recent: [(usize, usize); RECENT],
    /// The generation of the graph that `recent` belongs to.
    generation: u32,
}

const NOTHING: Held = Held { address: 0, kind: Kind::SpinLock, shared: false };

thread_local! {
    static THREAD: RefCell<Thread> = const {
        RefCell::new(Thread { held: [NOTHING; MOST_HELD], count: 0, recent: [(0, 0); RECENT], generation: 0 })
    };
}

/// One order that was seen.
#[derive(Clone, Copy, Debug)]
struct Edge {
    from: Held,
    to: Held,
    /// Where the second was acquired.
    site: Site,
}

impl Edge {
    /// Adds what was seen of the same two locks: exclusive use is what others have to wait for.
    fn widen(&mut self, from: Held, to: Held) {
        self.from.shared &= from.shared;
        self.to.shared &= to.shared;
    }
}

#[derive(Debug, Default)]
struct Graph {
    edges: HashMap<usize, Vec<Edge>>,
    count: usize,
    reported: HashSet<(usize, usize)>,
}

/// The order of locks of a kernel.
#[derive(Debug, Default)]
pub(crate) struct LockOrder {
    graph: Mutex<Graph>,
    /// Grows when edges are forgotten.
    generation: AtomicU32,
    /// How many edges there are.
    edges: AtomicU32,
}

/// Says that the thread is about to acquire a lock for which it may have to wait.
pub(crate) fn acquiring(address: usize, kind: Kind, shared: bool) {
    let to = Held { address, kind, shared };
    let mut found = None;
    THREAD.with_borrow_mut(|thread| {
        let order = &kernel().ke.lock_order;
        thread.refresh(order);
        for index in 0..thread.count {
            let from = thread.held[index];
            // One that is acquired again is no order; nothing that could wait is shared on both sides.
            if thread.held[..thread.count].iter().any(|held| held.address == address) {
                return;
            }
            if thread.remembers(from.address, address) {
                continue;
            }
            found = order.learn(from, to).or(found);
            thread.remember(from.address, address);
        }
    });
    if let Some(found) = found {
        report(kernel(), &found);
    }
}

/// Says that the thread has a lock now.
pub(crate) fn acquired(address: usize, kind: Kind, shared: bool) {
    THREAD.with_borrow_mut(|thread| {
        if let Some(place) = thread.held.get_mut(thread.count) {
            *place = Held { address, kind, shared };
            thread.count += 1;
        }
    });
}

/// Says that the thread has released a lock.
pub(crate) fn released(address: usize) {
    THREAD.with_borrow_mut(|thread| {
        let count = thread.count;
        if let Some(index) = thread.held[..count].iter().rposition(|held| held.address == address) {
            thread.held.copy_within(index + 1..count, index);
            thread.count -= 1;
        }
    });
}

/// Says that the thread calls a registered routine, and answers how many locks it holds, for [`left_since`].
pub(crate) fn routine_called(routine: usize) -> usize {
    let depth = THREAD.with_borrow(|thread| thread.count);
    acquired(routine, Kind::Routine, true);
    depth
}

/// Says that the thread is about to remove a routine, which waits until nobody runs it.
pub(crate) fn removing(routine: usize) {
    acquiring(routine, Kind::Routine, false);
}

/// The locks that the thread acquired since it held `depth`, which are forgotten: their addresses and what they are.
pub(crate) fn left_since(depth: usize) -> Vec<(usize, &'static str)> {
    THREAD.with_borrow_mut(|thread| {
        if thread.count <= depth {
            return Vec::new();
        }
        let left = thread.held[depth..thread.count].iter().filter(|held| held.kind != Kind::Routine);
        let left = left.map(|held| (held.address, name(held.kind))).collect();
        thread.count = depth;
        left
    })
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::FastMutex => "fast mutex",
        Kind::Resource => "resource",
        Kind::PushLock => "push lock",
        Kind::SpinLock => "spin lock",
        Kind::Routine => "notify routine",
    }
}

impl Thread {
    fn refresh(&mut self, order: &LockOrder) {
        let now = order.generation.load(Ordering::Relaxed);
        if self.generation != now {
            self.generation = now;
            self.recent = [(0, 0); RECENT];
        }
    }

    fn slot(from: usize, to: usize) -> usize {
        (from.rotate_right(7) ^ to.rotate_right(3)) % RECENT
    }

    fn remembers(&self, from: usize, to: usize) -> bool {
        self.recent[Self::slot(from, to)] == (from, to)
    }

    fn remember(&mut self, from: usize, to: usize) {
        self.recent[Self::slot(from, to)] = (from, to);
    }
}

/// A circle: what is held, what is acquired, and the edge by which another thread went the other way.
#[derive(Clone, Copy, Debug)]
struct Circle {
    from: Held,
    to: Held,
    back: Edge,
}

impl LockOrder {
    fn lock(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an edge, and answers the circle that it closes, the first time.
    fn learn(&self, from: Held, to: Held) -> Option<Circle> {
        let mut graph = self.lock();
        let count = graph.count;
        let edges = graph.edges.entry(from.address).or_default();
        match edges.iter_mut().find(|edge| edge.to.address == to.address) {
            Some(edge) => edge.widen(from, to),
            None if count >= MOST_EDGES => return None,
            None => {
                edges.push(Edge { from, to, site: Site::with_callers() });
                graph.count += 1;
                self.edges.fetch_add(1, Ordering::Relaxed);
            }
        }
        let back = graph.way_back(from, to)?;
        let pair = (from.address.min(to.address), from.address.max(to.address));
        graph.reported.insert(pair).then_some(Circle { from, to, back })
    }

    /// Forgets the locks in a range of memory, which holds something else from now on.
    pub(crate) fn forget(&self, range: &Range<usize>) {
        if self.edges.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut graph = self.lock();
        let before = graph.count;
        graph.edges.retain(|from, edges| {
            edges.retain(|edge| !range.contains(&edge.to.address));
            !range.contains(from) && !edges.is_empty()
        });
        graph.count = graph.edges.values().map(Vec::len).sum();
        graph.reported.retain(|(one, other)| !range.contains(one) && !range.contains(other));
        let now = u32::try_from(graph.count).unwrap_or(u32::MAX);
        self.edges.store(now, Ordering::Relaxed);
        if before != graph.count {
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Graph {
    /// The edge that arrives at `from` on a way from `to`, where each on the way really has to wait for the next.
    fn way_back(&self, from: Held, to: Held) -> Option<Edge> {
        let mut seen = HashSet::default();
        let mut open = vec![to];
        while let Some(here) = open.pop() {
            if !seen.insert(here.address) {
                continue;
            }
            for edge in self.edges.get(&here.address).into_iter().flatten() {
                // Two who share a lock do not wait for each other.
                if here.shared && edge.from.shared {
                    continue;
                }
                if edge.to.address == from.address {
                    if edge.to.shared && from.shared {
                        continue;
                    }
                    return Some(*edge);
                }
                open.push(edge.to);
            }
        }
        None
    }
}

fn show(held: Held) -> String {
    if held.kind == Kind::Routine {
        let frame = crate::ke::stop::frame_at(held.address as u64);
        let module = frame.module.unwrap_or_default();
        return format!("the notify routine {module}+{:#x}", frame.offset);
    }
    format!("the {} at {:#x}", name(held.kind), held.address)
}

fn report(kernel: &Kernel, circle: &Circle) {
    let Circle { from, to, back } = circle;
    let (held, wanted) = (show(*from), show(*to));
    let message = match (from.kind, to.kind) {
        (_, Kind::Routine) => format!(
            "{wanted} is removed while {held} is held, and it takes that itself, at {}: the removal waits for the routine and the \
             routine for the lock; release the lock before you remove the routine",
            back.site
        ),
        (Kind::Routine, _) => format!(
            "{held} takes {wanted}, under which it was removed at {}: the removal waits for the routine and the routine for the \
             lock; release the lock before you remove the routine",
            back.site
        ),
        _ => format!(
            "{wanted} is acquired while {held} is held; the other order was taken to {} while {} was held, at {}: two threads \
             that do both wait for each other for ever; acquire them in one order everywhere",
            show(back.to),
            show(back.from),
            back.site
        ),
    };
    kernel.finding(&rule::LOCK_01, &message, Some((0xC4, [0x1001, to.address as u64, 0, 0])));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    fn hold(address: usize, shared: bool) {
        acquiring(address, Kind::FastMutex, shared);
        acquired(address, Kind::FastMutex, shared);
    }

    fn found(act: impl FnOnce(&'static Kernel)) -> Vec<String> {
        with_kernel(Config::default(), |kernel, records| {
            act(kernel);
            left_since(0);
            // The next kernel of this thread knows nothing of the edges that this one was told.
            THREAD.with_borrow_mut(|thread| thread.recent = [(0, 0); RECENT]);
            records.findings()
        })
    }

    #[test]
    fn l_05_both_orders_are_a_finding_without_a_deadlock() {
        let found = found(|_| {
            for _ in 0..2 {
                for order in [[0x1000, 0x2000], [0x2000, 0x1000]] {
                    order.iter().for_each(|&lock| hold(lock, false));
                    order.iter().rev().for_each(|&lock| released(lock));
                }
            }
        });
        assert_eq!(found, ["LOCK-01"], "once");
    }

    #[test]
    fn a_circle_of_three_is_found() {
        let found = found(|_| {
            for order in [[0x1000, 0x2000], [0x2000, 0x3000], [0x3000, 0x1000]] {
                order.iter().for_each(|&lock| hold(lock, false));
                order.iter().for_each(|&lock| released(lock));
            }
        });
        assert_eq!(found, ["LOCK-01"]);
    }

    #[test]
    fn one_order_shared_locks_and_locks_that_are_gone_are_well() {
        let found = found(|kernel| {
            for _ in 0..2 {
                hold(0x1000, false);
                hold(0x2000, false);
                hold(0x1000, false);
                released(0x1000);
                released(0x2000);
                released(0x1000);
            }
            for order in [[0x3000, 0x4000], [0x4000, 0x3000]] {
                order.iter().for_each(|&lock| hold(lock, true));
                order.iter().for_each(|&lock| released(lock));
            }
            kernel.ke.lock_order.forget(&(0x1000..0x1008));
            hold(0x2000, false);
            hold(0x1000, false);
        });
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn r_rm_08_a_removal_under_a_lock_of_the_routine_is_found_in_either_order() {
        let call = || {
            let before = routine_called(0x9000);
            hold(0x1000, false);
            released(0x1000);
            assert_eq!(left_since(before), []);
        };
        let remove = || {
            hold(0x1000, false);
            removing(0x9000);
            released(0x1000);
        };
        let one = found(|_| {
            call();
            remove();
        });
        let other = found(|_| {
            remove();
            call();
        });
        assert_eq!((one.as_slice(), other.as_slice()), (&["LOCK-01".to_owned()][..], one.as_slice()));
    }

    #[test]
    fn r_rm_07_routines_that_remove_each_other_are_found() {
        let found = found(|_| {
            for (runs, removes) in [(0x8000, 0x9000), (0x9000, 0x8000)] {
                let before = routine_called(runs);
                removing(removes);
                left_since(before);
            }
        });
        assert_eq!(found, ["LOCK-01"]);
    }
}
