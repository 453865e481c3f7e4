//! What was found already: a rule that is broken ten thousand times at one place is one finding.

use std::sync::{Mutex, PoisonError};

use event::{DriverId, Frame, Level};

use super::Rule;
use crate::Kernel;
use crate::hash::HashMap;

/// How many frames tell two places apart: enough for a helper routine that is called from several places.
const FRAMES: usize = 4;

/// A rule, who broke it, and where: addresses, innermost first, zero where the stack is shorter.
type Place = (&'static str, Option<DriverId>, [u64; FRAMES]);

/// What the rules keep.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// How often each was found.
    found: Mutex<HashMap<Place, u64>>,
}

impl State {
    /// Counts, and says whether it is the first time. What has no stack in a
    /// module is always new: nothing tells where it was.
    pub(crate) fn is_new(&self, rule: &'static Rule, driver: Option<DriverId>, stack: &[Frame<'_>]) -> bool {
        // A walk begins at a place of ours, which says nothing.
        let in_modules = || stack.iter().filter(|frame| frame.module.is_some()).map(|frame| frame.address);
        let mut frames = [0; FRAMES];
        for (kept, address) in frames.iter_mut().zip(in_modules()) {
            *kept = address;
        }
        if frames[0] == 0 {
            return true;
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let count = found.entry((rule.id, driver, frames)).or_default();
        *count += 1;
        *count == 1
    }

    /// The places of a driver that were found more than once, and how often; they are forgotten.
    fn take_repeated(&self, driver: DriverId) -> Vec<(&'static str, u64, u64)> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut repeated = Vec::new();
        found.retain(|(rule, of, frames), count| {
            let mine = *of == Some(driver);
            if mine && *count > 1 {
                repeated.push((*rule, frames[0], *count));
            }
            !mine
        });
        repeated.sort_unstable();
        repeated
    }
}

/// Says how often a driver that goes broke a rule at a place where it did so again and again.
pub(crate) fn report_repeated(kernel: &Kernel, driver: DriverId) {
    for (rule, address, count) in kernel.rules.take_repeated(driver) {
        let frame = crate::ke::stop::frame_at(address);
        let place = match &frame.module {
            Some(module) => format!("{module}+{:#x}", frame.offset),
            None => format!("{address:#x}"),
        };
        kernel.note(
            Level::Warning,
            &format!("{rule} was broken {count} times at {place}; the first is reported"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule;

    fn frame(address: u64) -> Frame<'static> {
        Frame { address, module: Some("some.sys".into()), offset: 0, symbol: None }
    }

    #[test]
    fn the_same_place_is_new_once() {
        let state = State::default();
        let driver = Some(DriverId(0));
        assert!(state.is_new(&rule::L_01, driver, &[frame(1), frame(2)]));
        assert!(!state.is_new(&rule::L_01, driver, &[frame(1), frame(2)]));
        assert!(state.is_new(&rule::L_02, driver, &[frame(1), frame(2)]), "another rule");
        assert!(state.is_new(&rule::L_01, driver, &[frame(1), frame(3)]), "another caller");
        assert!(state.is_new(&rule::L_01, Some(DriverId(1)), &[frame(1), frame(2)]), "another driver");
        assert!(state.is_new(&rule::L_01, driver, &[]) && state.is_new(&rule::L_01, driver, &[]), "no place");
        assert_eq!(state.take_repeated(DriverId(0)), [("L-01", 1, 2)]);
        assert!(state.is_new(&rule::L_01, driver, &[frame(1), frame(2)]), "forgotten with its driver");
    }
}
