//! Processes and threads by id: NT's table of client ids.
//!
//! Ids are multiples of 4 from one number space (R-CB-02). The table is a tree of three levels whose
//! nodes are made on demand and kept; an entry is a pointer with a lock in its lowest bit, as in NT's own
//! handle tables, so that a lookup can take its reference before a removal gives up the table's.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::ob::{self, ObjectType, Ref};

const FANOUT: usize = 1024;
const LOCKED: usize = 1;

type Leaf = [AtomicUsize; FANOUT];
type Middle = [AtomicPtr<Leaf>; FANOUT];

/// Processes and threads by id.
#[derive(Debug)]
pub struct CidTable {
    root: Box<[AtomicPtr<Middle>; FANOUT]>,
}

/// An entry, held locked.
struct Locked<'a> {
    entry: &'a AtomicUsize,
    value: usize,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.entry.store(self.value, Ordering::Release);
    }
}

fn lock(entry: &AtomicUsize) -> Locked<'_> {
    loop {
        let value = entry.load(Ordering::Relaxed) & !LOCKED;
        if entry.compare_exchange_weak(value, value | LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return Locked { entry, value };
        }
        std::hint::spin_loop();
    }
}

impl CidTable {
    /// An empty table.
    pub(crate) fn new() -> Self {
        Self { root: Box::new([const { AtomicPtr::new(std::ptr::null_mut()) }; FANOUT]) }
    }

    fn entry(&self, id: u32) -> Option<&AtomicUsize> {
        let [high, middle, low] = places(id)?;
        // SAFETY: nodes are published whole and never freed while the table lives.
        let middle_node = unsafe { self.root[high].load(Ordering::Acquire).as_ref()? };
        // SAFETY: as above.
        let leaf = unsafe { middle_node[middle].load(Ordering::Acquire).as_ref()? };
        Some(&leaf[low])
    }

    fn entry_or_make(&self, id: u32) -> Option<&AtomicUsize> {
        let [high, middle, low] = places(id)?;
        let middle_node = node(&self.root[high], || [const { AtomicPtr::new(std::ptr::null_mut()) }; FANOUT]);
        let leaf = node(&middle_node[middle], || [const { AtomicUsize::new(0) }; FANOUT]);
        Some(&leaf[low])
    }

    /// The object of that type with that id, with a reference.
    pub(crate) fn lookup<T>(&self, id: u32, kind: &'static ObjectType) -> Option<Ref<T>> {
        let entry = lock(self.entry(id)?);
        let body = NonNull::new(std::ptr::with_exposed_provenance_mut::<T>(entry.value))?;
        // SAFETY: a pointer in the table has the table's reference, and the lock keeps it there.
        let of_kind = unsafe { ob::type_of(body.as_ptr()) }.is_some_and(|found| std::ptr::eq(found, kind));
        // SAFETY: as above; bodies of this type are `T` by the caller's pairing of the two.
        of_kind.then(|| unsafe { Ref::share(body) })
    }

    /// Every object of a type, in order of ids, each with a reference.
    pub(crate) fn all<T>(&self, kind: &'static ObjectType) -> Vec<Ref<T>> {
        let mut all = Vec::new();
        for (high, middle) in self.root.iter().enumerate() {
            // SAFETY: nodes are published whole and never freed while the table lives.
            let Some(middle) = (unsafe { middle.load(Ordering::Acquire).as_ref() }) else { continue };
            for (at, leaf) in
                middle.iter().enumerate().filter(|(_, leaf)| !leaf.load(Ordering::Acquire).is_null())
            {
                // SAFETY: as above.
                let Some(leaf) = (unsafe { leaf.load(Ordering::Acquire).as_ref() }) else { continue };
                let used = |(_, entry): &(usize, &AtomicUsize)| entry.load(Ordering::Relaxed) != 0;
                let index = |low: usize| (high * FANOUT + at) * FANOUT + low;
                let ids = leaf
                    .iter()
                    .enumerate()
                    .filter(used)
                    .filter_map(|(low, _)| u32::try_from(index(low) * 4).ok());
                all.extend(ids.filter_map(|id| self.lookup(id, kind)));
            }
        }
        all
    }

    /// Puts an object in, with a reference of the table's own. `false` when the id is taken or none at all.
    pub(crate) fn insert<T>(&self, id: u32, object: &Ref<T>) -> bool {
        let Some(entry) = self.entry_or_make(id) else { return false };
        let mut entry = lock(entry);
        if entry.value != 0 {
            return false;
        }
        entry.value = object.clone().into_raw().expose_provenance();
        true
    }

    /// Takes an object out again and gives up the table's reference. `false` when it is not there.
    pub(crate) fn remove<T>(&self, id: u32, object: &Ref<T>) -> bool {
        let Some(entry) = self.entry(id) else { return false };
        let mut entry = lock(entry);
        if entry.value != object.as_ptr().addr() {
            return false;
        }
        entry.value = 0;
        drop(entry);
        // SAFETY: the table's reference, taken in `insert`; `object` itself keeps the body alive.
        unsafe { ob::dereference(object.as_ptr()) };
        true
    }
}

/// The node behind `place`, made when there is none yet.
fn node<T>(place: &AtomicPtr<T>, make: impl FnOnce() -> T) -> &T {
    let found = place.load(Ordering::Acquire);
    let node = if found.is_null() {
        let made = Box::into_raw(Box::new(make()));
        match place.compare_exchange(found, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made,
            Err(other) => {
                // SAFETY: `made` was not published.
                drop(unsafe { Box::from_raw(made) });
                other
            }
        }
    } else {
        found
    };
    // SAFETY: published whole, and never freed while the table lives.
    unsafe { &*node }
}

/// Where an id is on each level; `None` for 0 and for numbers that are not ids.
fn places(id: u32) -> Option<[usize; 3]> {
    if id == 0 || !id.is_multiple_of(4) {
        return None;
    }
    let index = (id / 4) as usize;
    Some([index / (FANOUT * FANOUT), index / FANOUT % FANOUT, index % FANOUT])
}

impl Drop for CidTable {
    fn drop(&mut self) {
        for middle in
            self.root.iter().map(|place| place.load(Ordering::Relaxed)).filter(|node| !node.is_null())
        {
            // SAFETY: made by `node`; the table is being dropped, so nobody else looks.
            let middle = unsafe { Box::from_raw(middle) };
            for leaf in
                middle.iter().map(|place| place.load(Ordering::Relaxed)).filter(|node| !node.is_null())
            {
                // SAFETY: as above. Objects still in the table live on with the references others hold.
                drop(unsafe { Box::from_raw(leaf) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static KIND: ObjectType = ObjectType { name: "Test", size: 8, delete: None };
    static OTHER: ObjectType = ObjectType { name: "Other", size: 8, delete: None };

    fn object() -> Ref<u64> {
        // SAFETY: a new object with one reference, given away here.
        unsafe { Ref::adopt(ob::create(&KIND, 0)) }
    }

    #[test]
    fn r_cb_02_only_multiples_of_four_are_ids() {
        let table = CidTable::new();
        let object = object();
        for id in [0, 1, 6, 4_000_003] {
            assert!(!table.insert(id, &object), "{id}");
        }
        for id in [4, 8, 4096, 0xFFFF_FFFC] {
            assert!(table.insert(id, &object), "{id}");
            assert!(!table.insert(id, &object), "{id} twice");
            assert!(table.lookup::<u64>(id, &KIND).is_some());
            assert!(table.lookup::<u64>(id, &OTHER).is_none());
            assert!(table.remove(id, &object));
            assert!(table.lookup::<u64>(id, &KIND).is_none());
        }
    }

    #[test]
    fn a_lookup_holds_its_own_reference() {
        let table = CidTable::new();
        let made = object();
        table.insert(8, &made);
        let found = table.lookup::<u64>(8, &KIND).unwrap();
        assert!(table.remove(8, &made));
        assert!(!table.remove(8, &made));
        drop(made);
        assert_eq!(*found, 0);
    }

    #[test]
    fn lookups_and_removals_race_without_losing_references() {
        let table = CidTable::new();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if let Some(found) = table.lookup::<u64>(8, &KIND) {
                            assert_eq!(*found, 0);
                        }
                    }
                });
            }
            for _ in 0..20_000 {
                let made = object();
                assert!(table.insert(8, &made));
                assert!(table.remove(8, &made));
            }
        });
    }
}
