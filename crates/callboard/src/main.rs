//! The command line: see `callboard --help`. What each command does is in the file of its name.
#![forbid(unsafe_code)]

mod args;
mod doctor;
mod drivers;
mod inspect;
mod listing;
mod patterns;
mod profiles;
mod recorded;
mod rules;
mod run;
mod setting;
mod sinks;
mod stressing;
mod test;

use std::io::Write;
use std::process::ExitCode;

use callboard::exit;
use clap::{CommandFactory, Parser};

use args::{Arguments, Command};

/// What a command ends with: its exit code, or why it could not do its work.
type Outcome = Result<u8, Failure>;

/// Why a command could not do its work, with the exit code that says so.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn new(code: u8, message: impl std::fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| refuse(&error));
    let outcome = match arguments.command {
        Command::Run(run) => run::run(&run),
        Command::Replay(replay) => recorded::replay::replay(&replay),
        Command::Events(events) => recorded::events::events(&events),
        Command::Stress(arguments) => stressing::stress(&arguments),
        Command::Inspect(inspect) => inspect::inspect(&inspect),
        Command::Exports(exports) => listing::exports(&exports),
        Command::Test(test) => test::test(&test),
        Command::Profiles(profiles) => profiles::profiles(&profiles),
        Command::Rules(rules) => rules::rules(&rules),
        Command::Doctor => doctor::doctor(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "callboard", &mut script);
            std::io::stdout().write_all(&script).map_err(written).map(|()| exit::SUCCESS)
        }
        Command::Man { command } => man(command.as_deref()),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        // Whoever read the output has seen enough, as with `| head`.
        Err(failure) if failure.code == exit::SUCCESS => ExitCode::SUCCESS,
        Err(failure) => {
            let style = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
            // Nobody can be told that the standard error is closed.
            let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {failure}");
            ExitCode::from(failure.code)
        }
    }
}

/// Ends with what is wrong with the arguments, and with what is most often meant.
fn refuse(error: &clap::Error) -> ! {
    let words: Vec<_> = std::env::args_os().collect();
    let forgotten = error.kind() == clap::error::ErrorKind::MissingRequiredArgument
        && words.get(1).is_some_and(|word| word == "run")
        && !words.iter().any(|word| word == "--");
    let words: Vec<_> = words.iter().skip(2).map(|word| word.to_string_lossy()).collect();
    if forgotten && let Some(meant) = meant(&words) {
        // Nobody can be told that the standard error is closed.
        let _ = error.print();
        let _ = writeln!(anstream::stderr(), "\nThe command to run goes after `--`: callboard run {meant}");
        std::process::exit(error.exit_code());
    }
    error.exit()
}

/// What was most likely meant by the words behind `run`, without its options: drivers, and a command.
fn meant(words: &[std::borrow::Cow<'_, str>]) -> Option<String> {
    let is_driver = |word: &str| word.to_lowercase().ends_with(".sys");
    let behind = words.iter().rposition(|word| is_driver(word)).map_or(0, |last| last + 1);
    let drivers = words.iter().filter(|word| is_driver(word)).map(|word| format!("{word} "));
    let rest = &words[behind..];
    let is_option = |word: &str| word.starts_with('-');
    // Behind an option may stand its value: then only the last word is surely one of the command.
    let command = if words.iter().any(|word| is_option(word)) {
        rest.iter().rev().find(|word| !is_option(word)).map(ToString::to_string)
    } else {
        Some(rest.join(" ")).filter(|command| !command.is_empty())
    };
    let drivers: String = drivers.collect();
    match command {
        Some(command) => Some(format!("{drivers}-- {command}")),
        None if drivers.is_empty() => None,
        None => Some(format!("{drivers}-- COMMAND")),
    }
}

fn man(command: Option<&str>) -> Outcome {
    let mut all = Arguments::command();
    all.build();
    let shown = match command {
        None => all,
        Some(name) => {
            let found = all.find_subcommand(name).cloned();
            let found =
                found.ok_or_else(|| Failure::new(exit::USAGE, format_args!("there is no command {name}")))?;
            let title = format!("callboard-{}", found.get_name());
            found.display_name(title)
        }
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(shown).render(&mut page).map_err(written)?;
    std::io::stdout().write_all(&page).map_err(written)?;
    Ok(exit::SUCCESS)
}

/// Writes what programs read to the standard output.
fn json<T: serde::Serialize>(entries: &T) -> Outcome {
    let text = serde_json::to_string_pretty(entries).map_err(|error| written(error.into()))?;
    writeln!(std::io::stdout(), "{text}").map_err(written)?;
    Ok(exit::SUCCESS)
}

/// The standard output cannot be written.
fn written(error: std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Failure::new(exit::SUCCESS, error);
    }
    Failure::new(exit::FAILED, format_args!("cannot write to the standard output: {error}"))
}
