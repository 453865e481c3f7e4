//! How a kernel is to be: which Windows, which answers to what documents leave open, which instruments.

use event::Time;
use nt_abi::Profile;
use serde::{Deserialize, Serialize};

use crate::choices::Choices;

/// How a kernel is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The Windows that is stood in for.
    pub profile: Profile,
    /// The answers to contested points.
    pub choices: Choices,
    /// How pool memory is given out.
    pub pool: Pool,
    /// Which allocations of drivers fail, from the beginning on.
    pub low_pool: LowPool,
    /// What drivers see as time.
    pub clock: Clock,
    /// Whether routines are timed by the machine's own clock also where drivers see a virtual one, on which they take none.
    pub timed: bool,
    /// Whether every driver counts as linked with /INTEGRITYCHECK, whatever its header says (R-INT-02).
    pub force_integrity: bool,
    /// The seed of a run that provokes: awkward interleavings, missing names, low pool. `None` is a quiet run.
    pub stress: Option<u64>,
}

/// How pool memory is given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pool {
    /// As fast as can be: overruns are found when the memory is freed.
    #[default]
    Fast,
    /// Each allocation ends at a guard page and is unmapped when freed: overruns and uses after free are found at
    /// the instruction.
    Special,
}

/// Which allocations of pool memory fail, of those that drivers make or cause: first some succeed, then some fail, then
/// all succeed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LowPool {
    /// How many succeed first.
    pub after: u32,
    /// How many fail then; [`u32::MAX`] is all that follow.
    pub failures: u32,
}

impl LowPool {
    /// There is enough for everybody.
    pub const PLENTY: Self = Self { after: 0, failures: 0 };
    /// The next allocation fails.
    pub const NEXT: Self = Self { after: 0, failures: 1 };
    /// Every allocation fails.
    pub const ALL: Self = Self { after: 0, failures: u32::MAX };
}

/// What drivers see as time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clock {
    /// The machine's own clock.
    #[default]
    Real,
    /// A clock that stands at `start` until an event or the bench moves it: the same in every run.
    Virtual {
        /// Where it begins.
        start: Time,
    },
}
