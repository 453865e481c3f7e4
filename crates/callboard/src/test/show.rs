//! Results for people: a line for each test, what is wrong below it, and a bar while it goes on.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use scenario::{DiffLine, Failure, Scenario};

use super::jobs::Verdict;
use super::plan::Planned;
use super::{Reporter, Tally};

const GREEN: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const RED: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
const YELLOW: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));
const CYAN: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));
const ADDED: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const REMOVED: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
const DIM: Style = Style::new().dimmed();

/// Results on the standard output, the bar on the standard error.
pub(super) struct Show {
    /// Only where somebody looks.
    bar: Option<ProgressBar>,
    running: Vec<String>,
    /// What is said once more at the end.
    trouble: Vec<String>,
}

impl Show {
    pub(super) fn new(tests: &[Planned]) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(tests.len() as u64);
            let template = "     Running [{elapsed}] {bar:24} {pos}/{len} {wide_msg}";
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, running: Vec::new(), trouble: Vec::new() }
    }

    /// Writes while the bar is out of the way.
    fn write(&self, text: &[u8]) -> io::Result<()> {
        let write = || {
            let mut out = anstream::stdout().lock();
            out.write_all(text)?;
            out.flush()
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn tell(&self) {
        if let Some(bar) = &self.bar {
            bar.set_message(self.running.join(", "));
        }
    }
}

fn line(style: Style, word: &str, elapsed: Option<Duration>, test: &Planned) -> String {
    let time = match elapsed {
        Some(elapsed) => format!("{:>8.3}s", elapsed.as_secs_f64()),
        None => " ".repeat(9),
    };
    let (path, profile, name) = (test.path.display(), test.profile_name(), test.name());
    format!("{style}{word:>12}{style:#} [{time}] {CYAN}{path}{CYAN:#} {DIM}{profile}{DIM:#} {name}")
}

impl Reporter for Show {
    fn started(&mut self, test: &Planned) {
        self.running.push(test.name());
        self.tell();
    }

    fn ended(&mut self, test: &Planned, verdict: &Verdict) -> io::Result<()> {
        let name = test.name();
        if let Some(at) = self.running.iter().position(|running| *running == name) {
            self.running.remove(at);
        }
        self.tell();
        let mut text = Vec::new();
        match verdict {
            Verdict::Done(outcome) => {
                let (style, word) = if outcome.passed() { (GREEN, "PASS") } else { (RED, "FAIL") };
                let line = line(style, word, Some(outcome.elapsed), test);
                writeln!(text, "{line}")?;
                if let Ok(scenario) = &test.scenario {
                    for failure in &outcome.failures {
                        writeln!(text)?;
                        write_failure(&mut text, scenario, failure)?;
                    }
                }
                for note in &outcome.notes {
                    writeln!(text, "{:>12} {note}", format!("{YELLOW}note{YELLOW:#}"))?;
                }
                if !outcome.passed() {
                    writeln!(text)?;
                    self.trouble.push(line);
                }
            }
            Verdict::Skipped(why) => {
                writeln!(text, "{} ({why})", line(YELLOW, "SKIP", None, test))?;
            }
            Verdict::Bad(error) => {
                let line = line(RED, "BAD FILE", None, test);
                writeln!(text, "{line}\n\n{error}")?;
                self.trouble.push(line);
            }
            Verdict::Broken(error) => {
                let line = line(RED, "ERROR", None, test);
                writeln!(text, "{line}\n\ncallboard could not run it: {error}\n")?;
                self.trouble.push(line);
            }
        }
        self.write(&text)?;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        Ok(())
    }

    fn summary(&mut self, tally: &Tally) -> io::Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let run = tally.passed + tally.failed + tally.broken;
        let style = if tally.code() == callboard::exit::SUCCESS { GREEN } else { RED };
        let mut text = Vec::new();
        write!(
            text,
            "{DIM}{}{DIM:#}\n{style}{:>12}{style:#} [{:>8.3}s] ",
            "─".repeat(12),
            "Summary",
            tally.elapsed.as_secs_f64(),
        )?;
        match run {
            0 => write!(text, "no scenario was run")?,
            1 => write!(text, "1 scenario run: {} passed", tally.passed)?,
            _ => write!(text, "{run} scenarios run: {} passed", tally.passed)?,
        }
        let not_understood = if tally.bad == 1 { "file not understood" } else { "files not understood" };
        for (number, word) in [
            (tally.failed, "failed"),
            (tally.broken, "could not be run"),
            (tally.bad, not_understood),
            (tally.skipped, "skipped"),
            (tally.left_out, "not begun"),
        ] {
            if number > 0 {
                write!(text, ", {number} {word}")?;
            }
        }
        writeln!(text)?;
        for line in &self.trouble {
            writeln!(text, "{line}")?;
        }
        self.write(&text)
    }
}

/// The failure's text, with colours.
fn write_failure(text: &mut Vec<u8>, scenario: &Scenario, failure: &Failure) -> io::Result<()> {
    let plain = failure.text(scenario);
    let (missing, unexpected) = ("    - ", "    + ");
    for line in plain.lines() {
        let in_diff = |sign: &str, of: fn(&DiffLine) -> Option<&String>| {
            line.strip_prefix(sign)
                .is_some_and(|rest| failure.diff.iter().filter_map(of).any(|line| line == rest))
        };
        let style =
            if in_diff(missing, |line| if let DiffLine::Missing(text) = line { Some(text) } else { None }) {
                REMOVED
            } else if in_diff(unexpected, |line| {
                if let DiffLine::Unexpected(text) = line { Some(text) } else { None }
            }) {
                ADDED
            } else if line.starts_with("  help:") {
                YELLOW
            } else {
                Style::new()
            };
        writeln!(text, "  {style}{line}{style:#}")?;
    }
    Ok(())
}
