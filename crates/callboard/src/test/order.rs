//! In which order tests are told of: as they end, but those of one file in the order of their Windows versions.

use std::collections::BTreeMap;

use super::jobs::Verdict;
use super::plan::Planned;

/// The tests that are over and wait for one of the same file before them.
pub(super) struct Order {
    /// For each test the first of its file.
    first: Vec<usize>,
    /// For the first of each file: the test that is told of next.
    next: BTreeMap<usize, usize>,
    waiting: BTreeMap<usize, Verdict>,
}

impl Order {
    pub(super) fn new(tests: &[Planned]) -> Self {
        let mut first: Vec<usize> = Vec::with_capacity(tests.len());
        for (index, test) in tests.iter().enumerate() {
            let same = index > 0 && tests[index - 1].path == test.path;
            first.push(if same { first[index - 1] } else { index });
        }
        let next = first.iter().map(|first| (*first, *first)).collect();
        Self { first, next, waiting: BTreeMap::new() }
    }

    /// A test is over: those that can be told of now.
    pub(super) fn ended(&mut self, index: usize, verdict: Verdict) -> Vec<(usize, Verdict)> {
        self.waiting.insert(index, verdict);
        let first = self.first[index];
        let next = self.next.entry(first).or_insert(first);
        let mut ready = Vec::new();
        while self.first.get(*next) == Some(&first)
            && let Some(verdict) = self.waiting.remove(next)
        {
            ready.push((*next, verdict));
            *next += 1;
        }
        ready
    }
}
