//! The whole file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{At, Expect, Length, ProfileName, RegistryValue, Status, Step};

/// A scenario: drivers are loaded, things happen, and the drivers must have done what is expected.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What the scenario shows, in a few words: `refuses cmd from Word`. The file's name when left out.
    pub name: Option<At<String>>,
    /// The Windows that is stood in for; win11-24h2 when left out.
    pub profile: Option<At<ProfileName>>,
    /// Several Windows versions: the scenario is run once for each.
    #[schemars(with = "Option<Vec<ProfileName>>")]
    pub profiles: Option<At<Vec<At<String>>>>,
    /// Why the scenario is not run for now.
    pub skip: Option<String>,
    /// How pool memory is given out.
    #[serde(default)]
    pub pool: Pool,
    /// Whether drivers count as linked with /INTEGRITYCHECK, whatever their headers say.
    #[serde(default)]
    pub force_integrity: bool,
    /// Points that documents leave open: `{ duplicate-process-routine = "accept" }`; `callboard profiles --choices`
    /// lists them.
    #[serde(default)]
    pub choices: BTreeMap<String, At<String>>,
    /// The seed of a run that provokes: awkward interleavings, missing names, low pool.
    pub stress: Option<u64>,
    /// How long a routine may run before the machine is stopped: `2s`. 10 s when left out.
    pub watchdog: Option<Length>,
    /// The drivers, loaded in this order before the first step.
    #[serde(default)]
    pub driver: Vec<At<Driver>>,
    /// What happens, one after the other.
    #[serde(default)]
    pub step: Vec<At<Step>>,
    /// What has to hold at the end, after every driver was unloaded.
    pub expect: Option<At<Expect>>,
}

/// How pool memory is given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// As fast as can be: an overrun is found when the memory is freed.
    #[default]
    Fast,
    /// With guard pages: an overrun and a use after free are found at the instruction.
    Special,
}

/// A driver.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    /// The `.sys` file, relative to the scenario's file; `builtin:sensor` is the driver that is built in.
    pub file: At<String>,
    /// How steps call the driver, and the name of its service; the file's name without `.sys` when left out.
    pub name: Option<At<String>>,
    /// Values of the Parameters key of its service: text is a REG_SZ, a number a REG_DWORD, a list of texts a
    /// REG_MULTI_SZ.
    #[serde(default)]
    pub values: BTreeMap<String, RegistryValue>,
    /// Whether the driver waits for a `load` step.
    #[serde(default)]
    pub later: bool,
    /// What loading it has to end with: the status of DriverEntry, or of the loader. Success when left out.
    pub status: Option<At<Status>>,
}
