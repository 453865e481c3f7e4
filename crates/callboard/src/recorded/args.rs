//! What can be said to `events` and `replay`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use callboard::replay::{self, Drive, Strictness, Which};
use clap::{ArgAction, Args};

use crate::args::{BenchArguments, Format, OutputArguments};

const EVENTS_EXAMPLES: &str = "\
Examples:
  callboard events host42.evtx
      every process, thread and image of a Sysmon log, in order
  callboard events day.json --format ndjson -o day.ndjson
      the same as lines of JSON, for programs (docs/recordings.md)
  callboard events day.json.zip --strict --machine HOST42
      of one machine, without anything that had to be made up
  tail -f sysmon.json | callboard events -
      as it happens

At the end the standard error says what was read and what became of it; accepted and rejected is read.

Exit codes:
  0    all of it could be read
  1    some of it is damaged; what could be read was told
  2    the command line makes no sense, or a file is no recording
  125  callboard itself failed";

const REPLAY_EXAMPLES: &str = "\
Examples:
  callboard replay host42.evtx --driver edr.sys
      what your driver says to last month's processes, and how long it takes
  callboard replay day.json --driver edr.sys --withhold
      and what a refused process and its descendants did is not told
  callboard replay day.json --driver edr-v2.sys --baseline edr-v1.sys
      what the new version refuses that the old one did not, and which of its routines became slower
  callboard replay trace.pml --set Deny='*\\powershell.exe' --speed 10
      the built-in driver, ten times as fast as it happened

Exit codes:
  0    all of it could be read and was told
  1    some of the recording is damaged; what could be read was told
  2    the command line makes no sense, or a file is no recording
  119  something is different from the --baseline
  120  a driver stopped the machine: bug check, hang, missing routine called
  121  a driver's file cannot be read, is no x64 driver, or cannot be loaded
  122  DriverEntry returned an error
  124  there were findings, and --fail-on-findings was given
  125  callboard itself failed";

// No documentation comment: clap would take it for the command's.
#[derive(Debug, Args)]
pub(crate) struct RecordingArguments {
    /// Recordings: EVTX, JSON, Procmon's CSV and PML, Callboard's own and their lines, also in zip or gzip; folders of
    /// them, and patterns such as 'logs/**/*.evtx'; `-` is standard input, told as it comes
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Only this machine; without it every machine of the recording, one after the other
    #[arg(long, value_name = "NAME")]
    pub(crate) machine: Option<String>,

    /// Reject records that are incomplete, out of order, or of processes that were never seen being created
    #[arg(long)]
    pub(crate) strict: bool,

    /// The device of a drive letter [default: C: is \Device\HarddiskVolume1, D: is 2 …]
    #[arg(long = "drive", value_name = r"X:=\Device\NAME")]
    pub(crate) drives: Vec<Drive>,
}

impl RecordingArguments {
    pub(super) fn options(&self) -> replay::Options {
        replay::Options {
            strictness: if self.strict { Strictness::Strict } else { Strictness::Lenient },
            drives: self.drives.iter().cloned().collect(),
            machines: self.machine.clone().map_or(Which::All, Which::Named),
            ..replay::Options::default()
        }
    }
}

/// Show what happened on recorded machines, event by event, without any driver.
///
/// Records are put in order, machines told apart, ids that were used again are other processes, and what no record tells
/// but must have been is told and counted: the events are the ones that `replay` tells drivers of.
#[derive(Debug, Args)]
#[command(after_help = EVENTS_EXAMPLES)]
pub(crate) struct Events {
    #[command(flatten)]
    pub(crate) recording: RecordingArguments,

    /// How events are written [default: ndjson into a file that ends in .ndjson or .jsonl, human otherwise]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// Write them to a file (`-` is the standard output)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Show less: no threads
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub(crate) quiet: bool,
}

/// Replay recorded telemetry of Windows machines through drivers.
///
/// Each machine of the recording is a bench of its own, into which the drivers are loaded; its clock is the recording's.
/// They are told of every process, thread and image in NT's order and contexts, and what they answer is shown. The same
/// recording gives the same records, byte for byte; what drivers took is in the summary on the standard error.
/// A refused process did run when it was recorded: what it and its descendants did is marked as what would not have happened.
#[derive(Debug, Args)]
#[command(after_help = REPLAY_EXAMPLES)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) recording: RecordingArguments,

    /// Driver files (.sys), loaded in this order; the built-in driver when left out
    #[arg(long = "driver", value_name = "DRIVER.sys")]
    pub(crate) drivers: Vec<PathBuf>,

    /// How fast: `max`, `real` as it happened, or a number of times that
    #[arg(long, value_name = "SPEED", default_value = "max", value_parser = speed)]
    pub(crate) speed: Speed,

    /// Do not tell drivers of what would not have happened, as they refused or terminated the process
    #[arg(long)]
    pub(crate) withhold: bool,

    /// Compare with this: other drivers that are told the same, in this order, or the records of an earlier replay of the
    /// same recording (`--format ndjson -o FILE`)
    ///
    /// What is refused, found or stopped now and was not before, or the other way round, is among the records and in the
    /// summary, and routines that take longer are in the summary. Any of it gives exit code 119.
    #[arg(long, value_name = "DRIVER.sys|RECORDS.ndjson")]
    pub(crate) baseline: Vec<PathBuf>,

    /// A routine is slower than the baseline's where half of its calls take so many times as long
    #[arg(long, value_name = "TIMES", default_value = "1.5", value_parser = times, requires = "baseline")]
    pub(crate) slower_than: f64,

    /// How many machines are replayed at once; what is shown stays one machine after the other
    #[arg(short, long, value_name = "COUNT", default_value = "1")]
    pub(crate) jobs: NonZeroUsize,

    /// Leave in the records how long each routine took, so that they differ from run to run
    #[arg(long)]
    pub(crate) timed: bool,

    #[command(flatten)]
    pub(crate) output: OutputArguments,

    #[command(flatten)]
    pub(crate) bench: BenchArguments,
}

fn times(text: &str) -> Result<f64, String> {
    let times: f64 =
        text.strip_suffix(['x', '×']).unwrap_or(text).parse().map_err(|_| "not a number".to_owned())?;
    if times.is_finite() && times >= 1.0 { Ok(times) } else { Err("a number of times, 1 or more".into()) }
}

/// How fast a recording is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Speed(pub(crate) Option<f64>);

fn speed(text: &str) -> Result<Speed, String> {
    match text {
        "max" => Ok(Speed(None)),
        "real" => Ok(Speed(Some(1.0))),
        times => {
            let times: f64 = times
                .strip_suffix(['x', '×'])
                .unwrap_or(times)
                .parse()
                .map_err(|_| "it is max, real, or a number of times".to_owned())?;
            if times.is_finite() && times > 0.0 {
                Ok(Speed(Some(times)))
            } else {
                Err("not a speed above 0".into())
            }
        }
    }
}
