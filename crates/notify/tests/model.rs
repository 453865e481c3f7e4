//! Random histories of a table against the plainest table there is.
#![cfg(not(miri))]

mod support;

use notify::platform::Portable;
use notify::{
    Capacity, Domain, DuplicatePolicy, ProcessFlavour, ProcessTable, RegisterError, RemoveError, Walker,
};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Register(usize, ProcessFlavour),
    Remove(usize, ProcessFlavour),
    Walk,
    /// A walk in which the call of slot `.0` takes a step of its own: registers, or removes another routine.
    WalkAnd(usize, Inner),
}

#[derive(Debug, Clone, Copy)]
enum Inner {
    Register(usize, ProcessFlavour),
    Remove(usize, ProcessFlavour),
}

type Slots = Vec<Option<(usize, ProcessFlavour)>>;

/// SEMANTICS A.2 and A.3, word for word.
struct Naive {
    slots: Slots,
    duplicates: DuplicatePolicy,
}

impl Naive {
    fn register(&mut self, routine: usize, flavour: ProcessFlavour) -> Result<usize, RegisterError> {
        if self.duplicates == DuplicatePolicy::Reject
            && self.slots.iter().flatten().any(|found| found.0 == routine)
        {
            return Err(RegisterError::Duplicate);
        }
        for (slot, entry) in self.slots.iter_mut().enumerate() {
            if entry.is_none() {
                *entry = Some((routine, flavour));
                return Ok(slot);
            }
        }
        Err(RegisterError::Full)
    }

    fn find(&self, routine: usize, flavour: ProcessFlavour) -> Option<usize> {
        self.slots.iter().position(|entry| *entry == Some((routine, flavour)))
    }

    /// The slot that was emptied.
    fn remove(&mut self, routine: usize, flavour: ProcessFlavour) -> Option<usize> {
        let slot = self.find(routine, flavour)?;
        self.slots[slot] = None;
        Some(slot)
    }
}

fn flavours() -> impl Strategy<Value = ProcessFlavour> {
    prop_oneof![Just(ProcessFlavour::Plain), Just(ProcessFlavour::Ex), Just(ProcessFlavour::Ex2)]
}

fn steps() -> impl Strategy<Value = Step> {
    let inner = prop_oneof![
        (1..12_usize, flavours()).prop_map(|(routine, flavour)| Inner::Register(routine, flavour)),
        (1..12_usize, flavours()).prop_map(|(routine, flavour)| Inner::Remove(routine, flavour)),
    ];
    prop_oneof![
        4 => (1..12_usize, flavours()).prop_map(|(routine, flavour)| Step::Register(routine, flavour)),
        3 => (1..12_usize, flavours()).prop_map(|(routine, flavour)| Step::Remove(routine, flavour)),
        1 => Just(Step::Walk),
        2 => (0..8_usize, inner).prop_map(|(slot, inner)| Step::WalkAnd(slot, inner)),
    ]
}

/// Does the same to both and says what was called, or what differs.
struct Pair {
    table: ProcessTable<Portable>,
    walker: Walker<Portable>,
    naive: Naive,
}

impl Pair {
    fn register(&mut self, routine: usize, flavour: ProcessFlavour) {
        let real = self.table.register(support::process(routine, flavour)).map(|found| found.slot);
        assert_eq!(real, self.naive.register(routine, flavour));
    }

    fn remove(&mut self, calling: Option<usize>, routine: usize, flavour: ProcessFlavour) {
        let myself = calling.is_some() && self.naive.find(routine, flavour) == calling;
        let real = self.table.remove(&self.walker, routine, flavour);
        match (real, self.naive.remove(routine, flavour)) {
            (Ok(found), Some(slot)) => assert!(!myself && found.slot == slot),
            (Err(RemoveError::NotRegistered), None) => {}
            (Err(RemoveError::Deadlock(deadlock)), Some(_)) => assert!(myself && deadlock.is_self_removal()),
            (real, naive) => panic!("removed {real:?}, expected {naive:?}"),
        }
    }

    fn walk_and(&mut self, at: usize, inner: Inner) {
        let (table, mut called, mut expected) = (&self.table, Vec::new(), Vec::new());
        // The naive walk looks at each slot when its turn comes.
        let mut real_steps = Vec::new();
        table.walk(&self.walker, |found| {
            called.push((found.slot, found.routine, found.flavour));
            if found.slot == at {
                real_steps.push(match inner {
                    Inner::Register(routine, flavour) => {
                        table.register(support::process(routine, flavour)).map(|found| found.slot).ok()
                    }
                    Inner::Remove(routine, flavour) => match table.remove(&self.walker, routine, flavour) {
                        Ok(found) => Some(found.slot),
                        Err(RemoveError::NotRegistered) => None,
                        Err(RemoveError::Deadlock(deadlock)) => {
                            assert!(deadlock.is_self_removal());
                            Some(at)
                        }
                    },
                });
            }
        });
        let mut naive_steps = Vec::new();
        for slot in 0..self.naive.slots.len() {
            if let Some((routine, flavour)) = self.naive.slots[slot] {
                expected.push((slot, routine, flavour));
                if slot == at {
                    naive_steps.push(match inner {
                        Inner::Register(routine, flavour) => self.naive.register(routine, flavour).ok(),
                        Inner::Remove(routine, flavour) => self.naive.remove(routine, flavour),
                    });
                }
            }
        }
        assert_eq!(called, expected);
        assert_eq!(real_steps, naive_steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn a_table_is_what_the_semantics_say(
        history in prop::collection::vec(steps(), 1..80),
        slots in 1..9_usize,
        reject in any::<bool>(),
    ) {
        let duplicates = if reject { DuplicatePolicy::Reject } else { DuplicatePolicy::Accept };
        let domain = Domain::new(Portable);
        let table = ProcessTable::new(&domain, Capacity::new(slots).unwrap(), duplicates);
        let naive = Naive { slots: vec![None; slots], duplicates };
        let mut pair = Pair { table, walker: Walker::new(&domain), naive };
        for step in history {
            match step {
                Step::Register(routine, flavour) => pair.register(routine, flavour),
                Step::Remove(routine, flavour) => pair.remove(None, routine, flavour),
                // No slot has that number: a walk with nothing else going on.
                Step::Walk => pair.walk_and(usize::MAX, Inner::Remove(0, ProcessFlavour::Plain)),
                Step::WalkAnd(slot, inner) => pair.walk_and(slot, inner),
            }
            let snapshot = pair.table.snapshot();
            let real: Vec<_> = snapshot.iter().map(|found| (found.slot, found.routine, found.flavour)).collect();
            let slots = pair.naive.slots.iter().enumerate();
            let naive: Vec<_> = slots
                .filter_map(|(slot, entry)| entry.map(|(routine, flavour)| (slot, routine, flavour)))
                .collect();
            prop_assert_eq!(&real, &naive);
            prop_assert_eq!(pair.table.len(), naive.len());
            prop_assert_eq!(pair.table.is_empty(), naive.is_empty());
        }
    }
}
