//! What can be said to `callboard test`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use nt_abi::Profile;

use crate::args::{Format, profile};

const EXAMPLES: &str = "\
Examples:
  callboard test --init
      write a scenario to begin with, scenario.toml
  callboard test scenario.toml
  callboard test scenarios/ 'more/**/*.toml' --junit results.xml
  callboard test scenarios/ -E word --os win7-sp1 --os win11-24h2

Exit codes:
  0    every scenario passed
  1    a scenario failed
  2    the command line makes no sense, or a file is no scenario
  125  callboard itself failed";

/// Run scenarios: files that say what happens and what drivers must do.
///
/// A scenario is a TOML file (docs/scenarios.md). Each runs on a machine of its own, so that what a driver does to one
/// changes no other. Results go to the standard output.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Test {
    /// Scenario files, directories with them, or patterns (`'**/*.toml'`); `scenarios`, or else `scenario.toml`, when left out
    #[arg(value_name = "FILE|DIR|GLOB")]
    pub(super) paths: Vec<PathBuf>,

    /// Only scenarios whose file or name contains this text; several: any of them
    #[arg(short = 'E', long = "filter", value_name = "TEXT")]
    pub(super) filters: Vec<String>,

    /// The filter is the whole name
    #[arg(long, requires = "filters")]
    pub(super) exact: bool,

    /// How many run beside each other; as many as there are processors when left out
    #[arg(short, long, value_name = "N")]
    pub(super) jobs: Option<NonZeroUsize>,

    /// Stand in for this Windows, whatever the files say; several: each of them
    #[arg(long = "os", value_name = "PROFILE", value_parser = profile)]
    pub(super) profiles: Vec<Profile>,

    /// Begin no other scenario once one has failed
    #[arg(long)]
    pub(super) fail_fast: bool,

    /// Say what would be run
    #[arg(long)]
    pub(super) list: bool,

    /// How results are written
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(super) format: Format,

    /// Also write results to a JUnit file
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,

    /// Write a scenario to begin with
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = super::init::STARTER, conflicts_with = "paths")]
    pub(super) init: Option<PathBuf>,

    /// Print the JSON schema of scenarios, for editors
    #[arg(long, conflicts_with_all = ["paths", "init"])]
    pub(super) schema: bool,

    /// Run drivers even where this machine cannot confine them (only for drivers that you trust)
    #[arg(long)]
    pub(super) unsafe_no_sandbox: bool,
}
