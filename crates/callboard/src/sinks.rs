//! Where the records of a run go.

use std::io::{self, IsTerminal};
use std::path::Path;

use callboard::exit;
use callboard::report::human::{Human, Verbosity};
use callboard::report::{Fanout, LineFile, Pace, human, ndjson};

use crate::Failure;
use crate::args::{Format, Run};

/// The sinks that `run` asks for.
pub(crate) fn sinks(run: &Run) -> Result<Fanout<'static>, Failure> {
    let verbosity = match (run.quiet, run.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, 0) => Verbosity::Normal,
        (_, 1) => Verbosity::Verbose,
        _ => Verbosity::Everything,
    };
    let mut sinks = Fanout::new();
    match &run.output {
        None => match format(run) {
            Format::Human => sinks.push(terminal(run, verbosity)),
            Format::Ndjson => sinks.push(ndjson::Ndjson::new("the standard error", io::stderr(), live())),
        },
        Some(path) if path == Path::new("-") => match format(run) {
            Format::Human => {
                let options = human::Options { verbosity, ascii: run.ascii, ..human::Options::default() };
                sinks.push(Human::new("the standard output", io::stdout(), options));
            }
            Format::Ndjson => sinks.push(ndjson::Ndjson::new("the standard output", io::stdout(), live())),
        },
        Some(path) => {
            let file = LineFile::create(path).map_err(|error| {
                Failure::new(exit::USAGE, format_args!("cannot create {}: {error}", path.display()))
            })?;
            let name = path.display().to_string();
            match format(run) {
                Format::Human => {
                    let options = human::Options { verbosity, ascii: run.ascii, ..human::Options::default() };
                    sinks.push(Human::new(name, file, options));
                }
                Format::Ndjson => sinks.push(ndjson::Ndjson::new(name, file, live())),
            }
            // The records are in the file; the terminal shows what should not be missed.
            sinks.push(terminal(run, Verbosity::Quiet));
        }
    }
    Ok(sinks)
}

/// The format that was asked for, or that the file's name asks for.
fn format(run: &Run) -> Format {
    let extension = run.output.as_deref().and_then(Path::extension);
    let by_name = match extension {
        Some(extension) if extension == "ndjson" || extension == "jsonl" => Format::Ndjson,
        _ => Format::Human,
    };
    run.format.unwrap_or(by_name)
}

/// Whether the locale says that the terminal shows more than ASCII; one that says nothing is believed to.
fn shows_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
    locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

fn live() -> ndjson::Options {
    ndjson::Options { live: true, pace: Pace::EveryRecord }
}

/// The timeline on the standard error, with colours and a width where that is a terminal.
fn terminal(run: &Run, verbosity: Verbosity) -> Human<anstream::AutoStream<io::Stderr>> {
    let is_terminal = io::stderr().is_terminal();
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let options = human::Options {
        verbosity,
        // `anstream` takes colours out again where nobody would see them.
        colour: true,
        ascii: run.ascii || is_terminal && !shows_unicode(),
        width: if is_terminal { terminal_width().or(columns) } else { None },
        pace: Pace::EveryRecord,
    };
    Human::new("the standard error", anstream::AutoStream::auto(io::stderr()), options)
}

/// The columns of the terminal behind the standard error.
fn terminal_width() -> Option<usize> {
    let (terminal_size::Width(columns), _) = terminal_size::terminal_size_of(io::stderr())?;
    Some(columns.into())
}
