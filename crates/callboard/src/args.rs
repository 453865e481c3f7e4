//! What can be said on the command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use nt_abi::Profile;

use crate::recorded::args::{Events, Replay};
use crate::setting::Setting;
use crate::test::Test;

const EXIT_CODES: &str = "\
Exit codes:
  0-255  of `run`: the command's own exit code, or 128 + the signal that killed it
  1      of `test`: a scenario failed; of `exports`: no name is like that; of `replay` and `events`: a recording is damaged,
         what could be read was told
  2      the command line makes no sense, or a file is no scenario or recording
  119    of `replay`: something is different from the baseline
  120    a driver stopped the machine: bug check, hang, missing routine called
  121    a driver's file cannot be read, is no x64 driver, or cannot be loaded
  122    DriverEntry returned an error
  123    this machine does not permit tracing (see `callboard doctor`)
  124    there were findings, and --fail-on-findings was given
  125    callboard itself failed
  126    the command was refused by a driver, or cannot be executed
  127    the command was not found
  130    of `replay` and `events`: ^C ended it, what came of the recording until then was told";

const STRESS_EXAMPLES: &str = "\
Examples:
  callboard stress my-driver.sys
      1000 seeds, 60 seconds: ends at the first seed that finds something
  callboard stress my-driver.sys --seed 17
      what happens under seed 17, again

Exit codes:
  0    nothing was found
  2    the command line makes no sense
  120  the driver stopped the machine: bug check, hang
  121  the driver's file cannot be read, or is no x64 driver
  122  DriverEntry returned an error under every seed
  124  there were findings
  125  callboard itself failed";

const RUN_EXAMPLES: &str = "\
Examples:
  callboard run -- sh -c 'uname -a; ls /'
      watch a command through the built-in driver
  callboard run --set Deny='*/uname' -- sh -c 'uname -a || echo refused'
      let the built-in driver refuse a program
  callboard run my-driver.sys --format ndjson -o run.ndjson -- make -j2
      your driver, and every record to a file
  callboard run a.sys b.sys --set b:Mode:dword=1 -- ls
      two drivers; a REG_DWORD in the Parameters key of the second
  callboard run my-driver.sys --report sarif --report junit=results.xml --fail-on-findings -- make check
      for a build server: findings, and each rule as a test";

/// Runs unmodified Windows x64 kernel drivers on Linux and delivers process, thread and image notifications to them.
///
/// A driver (.sys) is loaded natively into a sandboxed process. It is told of every process, thread and image of
/// a command that runs on this machine, in the context and order the NT kernel would, and may refuse a process.
/// Callboard says what the driver did wrong.
#[derive(Debug, Parser)]
#[command(name = "callboard", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command and tell drivers of everything it does
    Run(Run),
    /// Run scenarios: files that say what happens and what drivers must do
    Test(Test),
    /// Replay recorded telemetry of Windows machines through drivers
    Replay(Replay),
    /// Show what happened on recorded machines, event by event, without any driver
    Events(Events),
    /// Show what a driver is: headers, imports, notify routines, exception handling
    Inspect(Inspect),
    /// Provoke a driver with seeded interleavings, missing names and low pool, until it does something wrong
    Stress(Stress),
    /// List the kernel routines that drivers can import
    Exports(Exports),
    /// Show the Windows versions that can be stood in for, and what differs between them
    Profiles(Profiles),
    /// List the rules that drivers are held to, or explain one
    Rules(Rules),
    /// Try what this machine allows, and say what is missing
    Doctor,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff) of callboard, or of one of its commands
    Man {
        /// The command: `run`, `inspect` …
        command: Option<String>,
    },
}

/// Run a command and tell drivers of everything it does.
///
/// Without a driver the built-in one is used: it prints a line for each notice, and refuses images that match its
/// Deny parameter. Records go to the standard error unless -o says otherwise, so that the command's own output
/// stays as it is. Programs started by the command are watched too, until the last of them has ended.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES, after_long_help = format!("{RUN_EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Run {
    /// Driver files (.sys), loaded in this order
    #[arg(value_name = "DRIVER.sys")]
    pub(crate) drivers: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) bench: BenchArguments,

    #[command(flatten)]
    pub(crate) output: OutputArguments,

    /// Record all events to a file too, for `callboard replay` and `callboard events`
    #[arg(long, value_name = "FILE.cbr")]
    pub(crate) record: Option<PathBuf>,

    /// Provoke the drivers as `callboard stress` does, with the choices of this seed: `seed=7`, or `7`
    #[arg(long, value_name = "seed=SEED", value_parser = seed)]
    pub(crate) stress: Option<u64>,

    /// The command, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Provoke a driver with seeded interleavings, missing names and low pool, until it does something wrong.
///
/// Each seed is a fresh bench with processes of its own: some live inside of the driver's calls that register
/// routines, some while it is unloaded, and between any two of its kernel calls another processor may go on. The same
/// seed does the same again. What is provoked may all happen on Windows; docs/stress.md lists it.
#[derive(Debug, Args)]
#[command(after_help = STRESS_EXAMPLES)]
pub(crate) struct Stress {
    /// The driver's file; the built-in driver when left out
    #[arg(value_name = "DRIVER.sys")]
    pub(crate) driver: Option<PathBuf>,

    /// One seed only, and show everything that happens
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "first", "time", "jobs"])]
    pub(crate) seed: Option<u64>,

    /// How many seeds are tried
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub(crate) seeds: u64,

    /// The seed to begin with
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(crate) first: u64,

    /// No new seed is tried after so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) time: Duration,

    /// How many seeds are tried at once
    #[arg(short, long, value_name = "COUNT", default_value_t = 2)]
    pub(crate) jobs: usize,

    #[command(flatten)]
    pub(crate) profile: ProfileArgument,

    /// Run the driver even where this machine cannot confine it (only for a driver that you trust)
    #[arg(long)]
    pub(crate) unsafe_no_sandbox: bool,
}

/// Show what a driver is: headers, imports, notify routines, exception handling.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The driver's file; the built-in driver when left out
    #[arg(value_name = "DRIVER.sys")]
    pub(crate) driver: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) profile: ProfileArgument,

    /// How it is written
    #[arg(long, value_enum, default_value_t = Listing::Human)]
    pub(crate) format: Listing,
}

/// List the kernel routines that drivers can import, with the first Windows that has each and the IRQL it may be
/// called at.
#[derive(Debug, Args)]
pub(crate) struct Exports {
    /// Only names that contain one of these, whatever their case
    #[arg(value_name = "TEXT")]
    pub(crate) names: Vec<String>,

    /// Only what this Windows has
    #[arg(long, value_name = "PROFILE", value_parser = profile)]
    pub(crate) os: Option<Profile>,

    /// How it is written
    #[arg(long, value_enum, default_value_t = Listing::Human)]
    pub(crate) format: Listing,
}

/// Show the Windows versions that can be stood in for: all of the oldest, and what each changes of the one before.
#[derive(Debug, Args)]
pub(crate) struct Profiles {
    /// Only these, each in full
    #[arg(value_name = "PROFILE", value_parser = profile)]
    pub(crate) profiles: Vec<Profile>,

    /// List the points that documents leave open, and how each can be decided with `run --choose`
    #[arg(long, conflicts_with = "profiles")]
    pub(crate) choices: bool,

    /// How it is written
    #[arg(long, value_enum, default_value_t = Listing::Human)]
    pub(crate) format: Listing,
}

/// List the rules that drivers are held to, or explain one: why it is a rule, what Windows does, how it is found.
#[derive(Debug, Args)]
pub(crate) struct Rules {
    /// Show the pages of these, such as L-06, which may also be written l6
    #[arg(value_name = "RULE")]
    pub(crate) rules: Vec<String>,

    /// How it is written
    #[arg(long, value_enum, default_value_t = Listing::Human)]
    pub(crate) format: Listing,
}

// No documentation comment: clap would take it for the command's.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Write a value to the Parameters key of a driver's service before it is loaded
    ///
    /// TYPE is sz (the default), expand, multi (items separated by `;`), dword, qword or binary (hex digits).
    /// Without SERVICE it is the last driver's; a driver's service is named as its file, without .sys.
    #[arg(long = "set", value_name = "[SERVICE:]NAME[:TYPE]=VALUE")]
    pub(crate) settings: Vec<Setting>,

    #[command(flatten)]
    pub(crate) profile: ProfileArgument,

    /// Stop a driver whose routine has not returned after so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) watchdog: Duration,

    /// Decide a point that documents leave open (`callboard profiles --choices` lists them)
    #[arg(long = "choose", value_name = "NAME=VALUE", value_parser = choice)]
    pub(crate) choices: Vec<Chosen>,

    /// How pool memory is given out
    #[arg(long, value_enum, default_value_t = PoolArgument::Fast)]
    pub(crate) pool: PoolArgument,

    /// Treat drivers as if they were linked with /INTEGRITYCHECK, which the Ex registration routines ask for
    #[arg(long)]
    pub(crate) force_integrity: bool,

    /// End with exit code 124 when a driver broke a rule
    #[arg(long)]
    pub(crate) fail_on_findings: bool,

    /// Run drivers even where this machine cannot confine them (only for drivers that you trust)
    #[arg(long)]
    pub(crate) unsafe_no_sandbox: bool,
}

// No documentation comment either.
#[derive(Debug, Args)]
pub(crate) struct OutputArguments {
    /// How records are written [default: ndjson into a file that ends in .ndjson or .jsonl, human otherwise]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// Write records to a file (`-` is the standard output); the terminal then shows only trouble
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Write a report too, when all is over (docs/reports.md); may be given several times
    ///
    /// FORMAT is html (a page for a browser: the process tree over time, and what went wrong), sarif (findings for editors
    /// and build servers), junit (each driver and rule as a test) or perfetto (a time line for ui.perfetto.dev). Without
    /// FILE it is callboard.html, callboard.sarif, callboard.junit.xml or callboard.perfetto.json in the current
    /// directory; `-` is the standard output.
    #[arg(long = "report", value_name = "FORMAT[=FILE]", value_parser = report)]
    pub(crate) reports: Vec<Report>,

    /// Show only refusals, findings, stops and failures
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Show more: threads and single calls (-v), everything (-vv)
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Draw with ASCII characters only
    #[arg(long)]
    pub(crate) ascii: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ProfileArgument {
    /// The Windows that is stood in for
    #[arg(long = "os", value_name = "PROFILE", default_value = "win11-24h2", value_parser = profile)]
    pub(crate) os: Profile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A timeline for people
    Human,
    /// One JSON object a line (docs/ndjson.md)
    Ndjson,
}

/// A report that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) format: ReportFormat,
    /// Where to; `-` is the standard output.
    pub(crate) file: PathBuf,
}

/// What a report is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportFormat {
    Html,
    Sarif,
    Junit,
    Perfetto,
}

impl ReportFormat {
    /// Each with its name, and the name of its file unless another is given.
    const ALL: &[(Self, &str, &str)] = &[
        (Self::Html, "html", "callboard.html"),
        (Self::Sarif, "sarif", "callboard.sarif"),
        (Self::Junit, "junit", "callboard.junit.xml"),
        (Self::Perfetto, "perfetto", "callboard.perfetto.json"),
    ];
}

/// How pool memory is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PoolArgument {
    /// Fast: overruns are found when memory is freed
    Fast,
    /// Each allocation ends at a guard page and is made inaccessible when freed: overruns and uses after free are
    /// found at the instruction
    Special,
}

impl From<PoolArgument> for host::Pool {
    fn from(argument: PoolArgument) -> Self {
        match argument {
            PoolArgument::Fast => Self::Fast,
            PoolArgument::Special => Self::Special,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listing {
    /// For people
    Human,
    /// For programs
    Json,
}

pub(crate) fn profile(text: &str) -> Result<Profile, String> {
    text.parse().map_err(|_| {
        let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.name()).collect();
        format!("there is no such profile; there are {}", names.join(", "))
    })
}

/// A switch that was thrown: its name and its value.
pub(crate) type Chosen = (String, String);

fn choice(text: &str) -> Result<Chosen, String> {
    let (name, value) = text.split_once('=').ok_or("it is written NAME=VALUE")?;
    kernel::Choices::default().set(name, value).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), value.to_owned()))
}

fn report(text: &str) -> Result<Report, String> {
    let (word, file) = text.split_once('=').map_or((text, None), |(word, file)| (word, Some(file)));
    let Some(&(format, _, usual)) = ReportFormat::ALL.iter().find(|(_, name, _)| *name == word) else {
        let names: Vec<_> = ReportFormat::ALL.iter().map(|(_, name, _)| *name).collect();
        return Err(format!("there is no such report; there are {}", names.join(", ")));
    };
    match file {
        Some("") => Err(format!("it has no file: write {word}=FILE, or {word} for {usual}")),
        file => Ok(Report { format, file: file.unwrap_or(usual).into() }),
    }
}

fn seed(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix("seed=").unwrap_or(text);
    number
        .parse()
        .map_err(|_| "not a seed: write seed=7; for many seeds there is `callboard stress`".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 =
        text.strip_suffix('s').unwrap_or(text).parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "not a number of seconds above 0".to_owned())
}
