//! Who holds what: the references that drivers took, by whom, by which routine and where (L-14).
//!
//! A driver may keep a reference for as long as it is there itself, so nothing is said before it is unloaded. What it
//! gives back, it gives back of what it took last: calls are mostly nested. One that another driver gives back, to
//! which it was passed, is taken off whoever took it.
//!
//! Only calls of drivers write here. An object says itself whether it is in the ledger, so that the end of one that is
//! not costs nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{Body, DriverId, Leak, LeakKind};

use super::object::{self, Object};
use super::{ObjectType, Ref};
use crate::Kernel;
use crate::ex::pool_site::Site;
use crate::hash::HashMap;
use crate::ps::process::{Eprocess, PROCESS_TYPE};
use crate::ps::thread::{Ethread, THREAD_TYPE};

/// References of one driver on one thing, taken at one place.
#[derive(Clone, Copy, Debug)]
struct Held {
    driver: DriverId,
    routine: &'static str,
    /// The address of the call: see [`Ledger::site`].
    place: u64,
    count: u64,
}

#[derive(Debug, Default)]
struct Books {
    /// What is held, by its address; what was taken last is last.
    held: HashMap<usize, Vec<Held>>,
    /// Each call that ever took something, with those who called it the first time.
    sites: HashMap<u64, Site>,
}

/// What drivers hold.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Books>);

/// What a driver still holds of what it took at one place.
#[derive(Debug)]
pub(crate) struct Left {
    /// By which routine.
    pub(crate) routine: &'static str,
    /// Where.
    pub(crate) site: Site,
    /// On what: addresses, each with the number of references.
    pub(crate) on: Vec<(usize, u64)>,
}

impl Left {
    /// How many references.
    pub(crate) fn count(&self) -> u64 {
        self.on.iter().map(|(_, count)| count).sum()
    }
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current driver took a reference by `routine` on what is at `address`. `false` where no driver runs.
    pub(crate) fn took(&self, address: usize, routine: &'static str) -> bool {
        let Some(driver) = crate::io::current_driver() else { return false };
        let place = self.place();
        let mut books = self.books();
        let held = books.held.entry(address).or_default();
        let same = |held: &Held| (held.driver, held.routine, held.place) == (driver, routine, place);
        let before = held.iter().position(same).map_or(0, |at| held.remove(at).count);
        held.push(Held { driver, routine, place, count: before + 1 });
        true
    }

    /// The current driver gave a reference back. `false` where no driver had any.
    pub(crate) fn gave_back(&self, address: usize) -> bool {
        let driver = crate::io::current_driver();
        let mut books = self.books();
        let Some(held) = books.held.get_mut(&address) else { return false };
        let own = held.iter().rposition(|held| Some(held.driver) == driver);
        let Some(at) = own.or(held.len().checked_sub(1)) else { return false };
        held[at].count -= 1;
        if held[at].count == 0 {
            held.remove(at);
        }
        if held.is_empty() {
            books.held.remove(&address);
        }
        true
    }

    /// What is at `address` is no more: nothing holds it, whatever was noted.
    pub(crate) fn forget(&self, address: usize) {
        self.books().held.remove(&address);
    }

    /// The address of the call that is under way, kept with those who called it; 0 where none is.
    pub(crate) fn place(&self) -> u64 {
        let call = Site::call_only().call();
        if call != 0 && !self.books().sites.contains_key(&call) {
            // The walk takes its time, and is done once for each call.
            let site = Site::with_callers();
            self.books().sites.insert(call, site);
        }
        call
    }

    /// Where a call was made, by the address of [`Ledger::place`].
    pub(crate) fn site(&self, place: u64) -> Site {
        self.books().sites.get(&place).copied().unwrap_or_default()
    }

    /// What a driver holds, by place; it is forgotten. `look` is shown what each address is at before that.
    pub(crate) fn take_of(&self, driver: DriverId, mut look: impl FnMut(usize)) -> Vec<Left> {
        let mut books = self.books();
        let mut left = BTreeMap::<(u64, &'static str), Vec<(usize, u64)>>::new();
        books.held.retain(|&address, held| {
            for held in held.iter().filter(|held| held.driver == driver) {
                look(address);
                left.entry((held.place, held.routine)).or_default().push((address, held.count));
            }
            held.retain(|held| held.driver != driver);
            !held.is_empty()
        });
        let site = |place| books.sites.get(&place).copied().unwrap_or_default();
        left.into_iter().map(|((place, routine), on)| Left { routine, site: site(place), on }).collect()
    }
}

/// Hands a reference out to the driver that asked for it by `routine`, and has to give it back.
pub(crate) fn hand_out<T>(object: Ref<T>, routine: &'static str) -> *mut T {
    let body = object.into_raw();
    if crate::kernel().ob.ledger.took(body.expose_provenance(), routine) {
        // SAFETY: the reference that is handed out keeps the object alive.
        unsafe { object::set_noted(body) };
    }
    body
}

/// A driver gives a reference back. `false` where no driver has any to give: it would be somebody else's. What the
/// kernel gives back itself is always its own.
///
/// # Safety
/// `body` must be a live object.
pub(crate) unsafe fn given_back<T>(body: *const T) -> bool {
    // SAFETY: by this function's contract.
    let noted = unsafe { object::is_noted(body) };
    (noted && crate::kernel().ob.ledger.gave_back(body.addr())) || crate::io::current_driver().is_none()
}

/// The routine that gives back what another one took.
fn way_back(routine: &str) -> &'static str {
    match routine {
        "PsReferencePrimaryToken" => "PsDereferencePrimaryToken",
        "SeCaptureSubjectContext" => "SeReleaseSubjectContext",
        _ => "ObDereferenceObject",
    }
}

/// What is seen of an object that is still referenced.
#[derive(Clone, Copy)]
struct Seen {
    kind: &'static ObjectType,
    /// A process or thread that is no more but for its references.
    exited: bool,
}

/// # Safety
/// `address` must be that of a live object.
unsafe fn see(address: usize) -> Option<Seen> {
    let body = std::ptr::with_exposed_provenance::<Object>(address);
    // SAFETY: by this function's contract, here and for the bodies of the two types.
    unsafe {
        let kind = object::type_of(body)?;
        let exited = if std::ptr::eq(kind, &PROCESS_TYPE) {
            (*body.cast::<Eprocess>()).exit_time().0 != 0
        } else if std::ptr::eq(kind, &THREAD_TYPE) {
            (*body.cast::<Ethread>()).exit_time().0 != 0
        } else {
            false
        };
        Some(Seen { kind, exited })
    }
}

/// Says which references an unloaded driver has not given back, for each place where it took some.
pub(crate) fn report(kernel: &Kernel, driver: DriverId) {
    let mut seen = HashMap::default();
    let left = kernel.ob.ledger.take_of(driver, |address| {
        // SAFETY: what is in the ledger is referenced, and the ledger is locked while it is looked at.
        seen.extend(unsafe { see(address) }.map(|seen| (address, seen)));
    });
    for left in left {
        let mut kinds = BTreeMap::<&str, (u64, u64, u64)>::new();
        for (address, count) in &left.on {
            let Some(seen) = seen.get(address) else { continue };
            let sum = kinds.entry(seen.kind.name).or_default();
            *sum = (sum.0 + count, sum.1 + 1, sum.2 + u64::from(seen.exited));
        }
        for (kind, (count, objects, exited)) in kinds {
            of_kind(kernel, driver, &left, kind, count, objects, exited);
        }
    }
}

fn of_kind(
    kernel: &Kernel,
    driver: DriverId,
    left: &Left,
    kind: &str,
    count: u64,
    objects: u64,
    exited: u64,
) {
    let back = way_back(left.routine);
    kernel.record(Body::Leak(Leak {
        driver,
        kind: LeakKind::Other,
        what: format!("reference on an object of type {kind}: give it back with {back}").into(),
        count,
        bytes: 0,
    }));
    let dead = match exited {
        0 => String::new(),
        _ => format!(" ({exited} of them exited, and cannot be freed)"),
    };
    let message = format!(
        "the driver was unloaded with {count} reference(s) on {objects} object(s) of type {kind}{dead} that {} at {} took \
         and nobody gave back: call {back} once for each",
        left.routine, left.site
    );
    kernel.finding_at(Some(driver), &crate::rule::L_14, &message, None, left.site.frames());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_driver<T>(driver: u32, run: impl FnOnce() -> T) -> T {
        crate::io::driver::as_driver(Some(DriverId(driver)), 0, run)
    }

    fn left(ledger: &Ledger, driver: u32) -> Vec<(&'static str, Vec<(usize, u64)>)> {
        let left = ledger.take_of(DriverId(driver), |_| {});
        left.into_iter().map(|left| (left.routine, left.on)).collect()
    }

    #[test]
    fn l_14_what_is_taken_last_is_given_back_first() {
        crate::testing::with_kernel(crate::Config::default(), |_, _| {
            let ledger = Ledger::default();
            as_driver(1, || {
                assert!(ledger.took(8, "kept"));
                assert!(ledger.took(8, "returned") && ledger.took(8, "returned"));
                ledger.gave_back(8);
                ledger.gave_back(8);
            });
            assert_eq!(left(&ledger, 1), [("kept", vec![(8, 1)])]);
            assert!(left(&ledger, 1).is_empty(), "said once");
            assert!(!ledger.took(8, "nobody"), "no driver runs");
        });
    }

    #[test]
    fn l_14_each_driver_gives_its_own_back_and_one_that_has_none_anothers() {
        crate::testing::with_kernel(crate::Config::default(), |_, _| {
            let ledger = Ledger::default();
            as_driver(1, || ledger.took(8, "first"));
            as_driver(2, || ledger.took(8, "second"));
            as_driver(1, || ledger.gave_back(8));
            as_driver(3, || ledger.gave_back(16));
            assert!(left(&ledger, 1).is_empty());
            as_driver(3, || ledger.gave_back(8));
            assert!(left(&ledger, 2).is_empty(), "it was passed on");
            as_driver(3, || ledger.gave_back(8));

            as_driver(1, || ledger.took(8, "gone"));
            ledger.forget(8);
            assert!(left(&ledger, 1).is_empty());
        });
    }
}
