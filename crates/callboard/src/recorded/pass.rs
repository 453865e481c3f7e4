//! The records of all files, once from front to back for each machine.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use callboard::exit;
use callboard::replay::{Account, Normaliser, Options, Step, Which};
use indicatif::{ProgressBar, ProgressStyle};
use telemetry::{Fed, Feed};

use super::files::Files;
use crate::Failure;

/// Whether bars are drawn after so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many records are read between two looks at the clock.
const STRIDE: u64 = 1024;

/// Who is told of a machine.
pub(super) trait Audience {
    /// A machine begins; empty where the recording has no name for it.
    fn begin(&mut self, name: &str) -> Result<(), Failure>;
    /// What becomes of a record of it.
    fn step(&mut self, step: Step<'_>) -> Result<(), Failure>;
    /// Nothing more has come yet: who looks at what was told sees all of it.
    fn idle(&mut self) -> Result<(), Failure>;
    /// It ends.
    fn end(&mut self) -> Result<(), Failure>;
}

/// Tells of every machine that is asked for, one after the other, and says what was read.
pub(super) fn each_machine(
    files: &Files,
    options: &Options,
    audience: &mut dyn Audience,
) -> Result<Account, Failure> {
    let chosen = matches!(options.machines, Which::Named(_));
    let first = if chosen { options.machines.clone() } else { Which::First };
    let (mut account, machines) = one(files, Options { machines: first, ..options.clone() }, audience)?;
    if let Which::Named(name) = &options.machines
        && !machines.iter().any(|machine| machine.eq_ignore_ascii_case(name))
    {
        let known: Vec<_> = machines.iter().map(|name| shown(name)).collect();
        let message = format!("there is no machine {name}; there are {}", known.join(", "));
        return Err(Failure::new(exit::USAGE, message));
    }
    let others = if chosen { &[] } else { machines.get(1..).unwrap_or_default() };
    for name in others {
        let machines = Which::Named(name.clone());
        account.add(&one(files, Options { machines, ..options.clone() }, audience)?.0);
    }
    Ok(account)
}

/// A machine's name, for people.
pub(super) fn shown(name: &str) -> &str {
    if name.is_empty() { "(without a name)" } else { name }
}

/// Tells of one machine. Answers what was read, and the machines of the files.
fn one(
    files: &Files,
    options: Options,
    audience: &mut dyn Audience,
) -> Result<(Account, Vec<String>), Failure> {
    let mut pass = Pass { begun: false, failure: None, audience, read: 0, bar: None, since: Instant::now() };
    let mut normaliser = Normaliser::new(options);
    for (file, (part, format)) in files.parts.iter().enumerate() {
        let feed = Feed::open(part, *format).map_err(|error| Failure::new(exit::USAGE, error))?;
        for fed in feed {
            let out = &mut |step: Step<'_>| pass.step(step);
            match fed {
                Fed::Told(told) => normaliser.take(file, Ok(told), out),
                Fed::Rejected(rejected) => normaliser.take(file, Err(rejected), out),
                Fed::Event { number, machine, event } => normaliser.pass(file, number, &machine, event, out),
                Fed::Idle => {
                    normaliser.idle(out);
                    pass.audience.idle()?;
                }
            }
            pass.progress()?;
        }
    }
    normaliser.finish(&mut |step| pass.step(step));
    if let Some(bar) = &pass.bar {
        bar.finish_and_clear();
    }
    pass.failure.map_or(Ok(()), Err)?;
    if pass.begun {
        audience.end()?;
    }
    let machines = normaliser.machines().map(str::to_owned).collect();
    Ok((normaliser.account().clone(), machines))
}

/// One reading of all files.
struct Pass<'a> {
    begun: bool,
    failure: Option<Failure>,
    audience: &'a mut dyn Audience,
    read: u64,
    /// Where somebody looks, and it takes a while.
    bar: Option<ProgressBar>,
    since: Instant,
}

impl Pass<'_> {
    fn step(&mut self, step: Step<'_>) {
        if self.failure.is_none()
            && let Err(failure) = self.tell(step)
        {
            self.failure = Some(failure);
        }
    }

    fn tell(&mut self, step: Step<'_>) -> Result<(), Failure> {
        if let Step::Accepted(accepted) = &step
            && !std::mem::replace(&mut self.begun, true)
        {
            self.audience.begin(accepted.name)?;
        }
        self.audience.step(step)
    }

    /// Says how far it is, and stops when nobody can be told any more.
    fn progress(&mut self) -> Result<(), Failure> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.read += 1;
        if !self.read.is_multiple_of(STRIDE) {
            return Ok(());
        }
        if self.bar.is_none() && self.since.elapsed() > PATIENCE && std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            let template = "  {spinner} [{elapsed}] {human_pos} records, {per_sec}";
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.read);
        }
        Ok(())
    }
}
