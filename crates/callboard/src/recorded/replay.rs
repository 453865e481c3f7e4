//! `callboard replay`: recorded machines, told to drivers.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use callboard::replay::Played;
use callboard::report::{Fanout, Sink, SinkError};
use callboard::{Symbolise, exit};
use event::{Body, Change, Level, Notification, Record};

use super::answers::Answers;
use super::args::Replay;
use super::baseline::Baseline;
use super::difference::{self, Difference};
use super::files::Files;
use super::interrupt;
use super::lane::Heard;
use super::machine::{Ended, Machine};
use super::order::{Failed, Order};
use super::shown;
use super::stage::{self, Audience};
use crate::drivers::{self, DriverFile};
use crate::sinks::{self, Stream};
use crate::{Failure, Outcome, run};

/// How many differences of each kind are written to the standard error; all are among the records.
const SHOWN: usize = 20;

/// Replays them, and says with which exit code to end.
pub(crate) fn replay(arguments: &Replay) -> Outcome {
    let drivers = drivers::named(&arguments.drivers)?;
    run::options(&arguments.bench)?;
    let baseline = Baseline::read(&arguments.baseline)?;
    let others = baseline.as_ref().map_or(&[][..], Baseline::drivers);
    run::check_settings(&arguments.bench, &drivers.iter().chain(others).collect::<Vec<_>>())?;
    let files = Files::look(&arguments.recording.files)?;
    interrupt::watch();
    let read: Vec<_> = arguments.drivers.iter().chain(&arguments.baseline).map(PathBuf::as_path).collect();
    files.spare(&sinks::outputs(&arguments.output), &read)?;
    sinks::check_places(&arguments.output, Stream::Replay, None)?;
    let records = sinks::sinks(&arguments.output, Stream::Replay)?;
    // Reports have the times that were measured.
    let mut all = sinks::reports(&arguments.output)?;
    if arguments.timed {
        all.push(records);
    } else {
        all.push(Untimed(records));
    }
    let theatre = Theatre {
        arguments,
        drivers: &drivers,
        baseline: baseline.as_ref(),
        source: files.names(),
        order: Order::new(Symbolise::new(all)),
        totals: Mutex::default(),
    };
    let companies = (0..arguments.jobs.get()).map(|_| Company(&theatre)).collect();
    let account = stage::play(&files, &arguments.recording.options(), companies);
    let closed = theatre.order.finish();
    let totals = theatre.totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    let account = match account {
        // The stop itself was shown.
        Err(failure) if failure.code == exit::STOPPED && totals.answers.stopped.is_some() => {
            return Ok(exit::STOPPED);
        }
        other => other?,
    };
    match closed {
        // Whoever read the records has seen enough.
        Ok(()) | Err(Failed::Sink(SinkError::Closed { .. })) => {}
        Err(error) => return Err(Failure::new(exit::FAILED, error)),
    }
    if let Some(Baseline::Records(left)) = &baseline
        && totals.compared == 0
    {
        let left = left.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<_> = left.keys().map(|name| shown(name)).collect();
        let message = format!("no machine of the baseline is in this recording: it has {}", names.join(", "));
        return Err(Failure::new(exit::USAGE, message));
    }
    let slower = difference::slower(&totals.answers, &totals.baseline, arguments.slower_than);
    let mut out = anstream::stderr().lock();
    // Nobody can be told that the standard error is closed.
    let _ = files.notes.iter().try_for_each(|note| writeln!(out, "{note}"));
    let _ = totals.write(&mut out);
    if baseline.is_some() {
        let _ = totals.write_differences(&mut out, &slower);
    }
    drop(out);
    Ok(code(arguments, &totals, &slower, super::tell(&account, &files)))
}

/// The exit code: what is worst counts.
fn code(arguments: &Replay, totals: &Totals, slower: &[String], damaged: u8) -> u8 {
    if totals.answers.stopped.is_some() {
        exit::STOPPED
    } else if arguments.bench.fail_on_findings && totals.answers.findings > 0 {
        exit::FINDINGS
    } else if !totals.differences.is_empty() || !slower.is_empty() {
        exit::DIFFERENT
    } else {
        damaged
    }
}

/// All that the companies share.
struct Theatre<'a> {
    arguments: &'a Replay,
    drivers: &'a [DriverFile],
    baseline: Option<&'a Baseline>,
    source: String,
    order: Arc<Order<Symbolise<Fanout<'static>>>>,
    totals: Mutex<Totals>,
}

/// What all machines came to.
#[derive(Default)]
struct Totals {
    played: Played,
    /// Events that nobody was told of, since the host was dead.
    undelivered: u64,
    answers: Answers,
    baseline: Answers,
    /// Machines that are in a baseline of records too.
    compared: u64,
    /// How many, and the first of them.
    differences: BTreeMap<Change, (u64, Vec<String>)>,
}

impl Totals {
    fn add(&mut self, ended: Ended) {
        self.played.add(ended.played);
        self.undelivered += ended.undelivered;
        self.answers.add(ended.answers);
    }

    fn differ(&mut self, machine: &str, differences: Vec<Difference>) {
        for Difference { change, process, text } in differences {
            let (count, first) = self.differences.entry(change).or_default();
            *count += 1;
            if first.len() < SHOWN {
                let process = if process.0 == 0 { String::new() } else { format!("{process} ") };
                first.push(format!("{}: {process}{text}", shown(machine)));
            }
        }
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        self.answers.write(out)?;
        let Played { events, doubtful, doubtful_processes, withheld, terminated, .. } = self.played;
        let (told, present) = (self.answers.told, self.answers.present);
        write!(out, "{told} events told")?;
        if present > 0 {
            let were = if present == 1 { "process was" } else { "processes were" };
            write!(out, "; {present} {were} there before")?;
        }
        let untold = events.saturating_sub(told + present);
        if untold > 0 {
            write!(out, "; {untold} events are of refused processes, of which NT does not tell")?;
        }
        if terminated > 0 {
            write!(out, "; {terminated} processes were terminated by drivers")?;
        }
        if doubtful > 0 {
            write!(out, "; {doubtful} events of the recording would not have happened")?;
        }
        if doubtful_processes > 0 {
            write!(
                out,
                ", nor would {doubtful_processes} processes that refused or terminated ones started"
            )?;
        }
        if withheld > 0 {
            write!(out, "; {withheld} events were withheld")?;
        }
        if self.undelivered > 0 {
            let why =
                if self.answers.stopped.is_some() { "the machine had stopped" } else { "it was interrupted" };
            write!(out, "; {} told to nobody, as {why}", self.undelivered)?;
        }
        writeln!(out)
    }

    fn write_differences(&self, out: &mut impl Write, slower: &[String]) -> std::io::Result<()> {
        if self.differences.is_empty() && slower.is_empty() {
            return writeln!(out, "no difference from the baseline");
        }
        writeln!(out, "different from the baseline")?;
        for (change, (count, first)) in &self.differences {
            writeln!(out, "  {} {count}", words(*change))?;
            first.iter().try_for_each(|text| writeln!(out, "    {}", super::escaped(text)))?;
            if *count > first.len() as u64 {
                writeln!(out, "    and {} more, which are among the records", count - first.len() as u64)?;
            }
        }
        if !slower.is_empty() {
            writeln!(out, "  slower {}", slower.len())?;
            slower.iter().try_for_each(|text| writeln!(out, "    {}", super::escaped(text)))?;
        }
        Ok(())
    }
}

fn words(change: Change) -> &'static str {
    match change {
        Change::RefusalNew => "refused now",
        Change::RefusalGone => "not refused any more",
        Change::RefusalOther => "refused with another status",
        Change::FindingNew => "findings of other rules",
        Change::FindingGone => "rules not broken any more",
        Change::StopNew => "machines that stop now",
        Change::StopGone => "machines that do not stop any more",
    }
}

/// Plays one machine after the other.
struct Company<'a>(&'a Theatre<'a>);

impl Company<'_> {
    fn totals(&self) -> std::sync::MutexGuard<'_, Totals> {
        self.0.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both machines at the same time: what slows one down slows the other down too.
    fn start(
        &self,
        place: usize,
        name: &str,
        time: event::Time,
    ) -> Result<(Machine, Option<Machine>), Failure> {
        let Theatre { arguments, drivers, baseline, source, order, .. } = self.0;
        let about = (name, source.as_str());
        let before = match baseline {
            Some(Baseline::Drivers(drivers)) => {
                let nobody = Box::new(Fanout::new());
                let started = Machine::start(arguments, drivers, about, time, nobody);
                Some(started.map_err(|(failure, _)| {
                    // What it is a baseline for has not run: this is no stop of the machine.
                    let code = if failure.code == exit::STOPPED { exit::ENTRY_FAILED } else { failure.code };
                    Failure::new(code, format_args!("the baseline: {failure}"))
                })?)
            }
            _ => None,
        };
        match Machine::start(arguments, drivers, about, time, Box::new(order.machine(place))) {
            Ok(now) => Ok((now, before)),
            Err((failure, ended)) => {
                self.totals().add(*ended);
                Err(failure)
            }
        }
    }

    fn end(&self, name: &str, mut now: Machine, before: Option<Machine>) -> Result<(), Failure> {
        now.finish();
        let before = before.map(|mut before| {
            before.finish();
            before.close(&[]).1.answers
        });
        let before = match self.0.baseline {
            Some(Baseline::Records(machines)) => {
                let known = machines.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                let told = now.answers().created;
                let text = match &known {
                    None => Some(format!("the baseline has no machine {}: nothing is compared", shown(name))),
                    Some(before) if before.created != told && before.stopped.is_none() => Some(format!(
                        "the baseline was told of {} processes, and here there are {told}: it is of another recording, or \
                         what was withheld differs",
                        before.created
                    )),
                    Some(_) => None,
                };
                if let Some(text) = text {
                    now.note(Level::Warning, &text);
                }
                self.totals().compared += u64::from(known.is_some());
                known
            }
            _ => before,
        };
        let differences =
            before.as_ref().map(|before| difference::on_machine(&now.answers(), before)).unwrap_or_default();
        let (closed, ended) = now.close(&differences);
        let mut totals = self.totals();
        totals.add(ended);
        totals.baseline.add(before.unwrap_or_default());
        totals.differ(name, differences);
        drop(totals);
        closed.map_err(|error| super::events::failed(&error))
    }
}

impl Audience for Company<'_> {
    fn machine(
        &mut self,
        place: usize,
        name: &str,
        heard: &mut dyn Iterator<Item = Heard>,
    ) -> Result<(), Failure> {
        let mut machines: Option<(Machine, Option<Machine>)> = None;
        for heard in heard {
            let events = match (heard, &mut machines) {
                (Heard::Events(events), _) => events,
                (Heard::Quiet, None) => continue,
                (Heard::Quiet, Some((now, before))) => {
                    now.quiet();
                    before.iter_mut().for_each(Machine::quiet);
                    continue;
                }
            };
            let Some(first) = events.first() else { continue };
            let (now, before) = match &mut machines {
                Some(machines) => machines,
                None => machines.insert(self.start(place, name, first.time)?),
            };
            if let Some(before) = before {
                before.play(events.clone());
            }
            now.play(events);
        }
        machines.map_or(Ok(()), |(now, before)| self.end(name, now, before))
    }
}

/// Takes out of records what differs from run to run: how long routines took.
struct Untimed<S>(S);

impl<S: Sink> Sink for Untimed<S> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        let Body::Notification(notification) = record.body else { return self.0.record(record) };
        let body = Body::Notification(Notification { elapsed: 0, ..notification });
        self.0.record(&Record { time: record.time, context: record.context, body })
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.0.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.0.finish()
    }
}
