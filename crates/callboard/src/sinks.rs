//! Where the records of a run go.

use std::fs::Metadata;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use callboard::exit;
use callboard::report::human::{Human, Verbosity};
use callboard::report::{Fanout, Html, Junit, LineFile, Pace, Perfetto, Rule, Sarif, html, human, ndjson};
use kernel::rule::RULES;

use crate::Failure;
use crate::args::{Format, OutputArguments, Report, ReportFormat};

/// Where records come from, and so where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// A command that has the standard output for itself: to the standard error.
    Live,
    /// A recording: to the standard output.
    Replay,
}

/// The standard output, as a file is named.
const STDOUT: &str = "-";

/// The sinks that a command asks for, without its reports.
pub(crate) fn sinks(arguments: &OutputArguments, stream: Stream) -> Result<Fanout<'static>, Failure> {
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, 0) => Verbosity::Normal,
        (_, 1) => Verbosity::Verbose,
        _ => Verbosity::Everything,
    };
    let mut sinks = Fanout::new();
    let lines = ndjson_options(stream);
    match (&arguments.output, stream) {
        (None, Stream::Live) => match format(arguments) {
            Format::Human => sinks.push(terminal(arguments, verbosity)),
            Format::Ndjson => sinks.push(ndjson::Ndjson::new("the standard error", io::stderr(), lines)),
        },
        (None, Stream::Replay) => match format(arguments) {
            Format::Human => {
                let out = io::stdout();
                let width = terminal_width(&out);
                let options = human_options(arguments, verbosity, out.is_terminal(), width);
                let pace = lines.pace;
                let options = human::Options { pace, ..options };
                sinks.push(Human::new("the standard output", anstream::AutoStream::auto(out), options));
            }
            Format::Ndjson => sinks.push(ndjson::Ndjson::new("the standard output", io::stdout(), lines)),
        },
        (Some(path), _) if path == Path::new(STDOUT) => match format(arguments) {
            Format::Human => {
                let options =
                    human::Options { verbosity, ascii: arguments.ascii, ..human::Options::default() };
                sinks.push(Human::new("the standard output", io::stdout(), options));
            }
            Format::Ndjson => sinks.push(ndjson::Ndjson::new("the standard output", io::stdout(), lines)),
        },
        (Some(path), _) => {
            let file = create(path)?;
            let name = path.display().to_string();
            match format(arguments) {
                Format::Human => {
                    let options =
                        human::Options { verbosity, ascii: arguments.ascii, ..human::Options::default() };
                    sinks.push(Human::new(name, file, options));
                }
                Format::Ndjson => sinks.push(ndjson::Ndjson::new(name, file, lines)),
            }
            // The records are in the file; the terminal shows what should not be missed.
            sinks.push(terminal(arguments, Verbosity::Quiet));
        }
    }
    Ok(sinks)
}

/// The reports that a command asks for: each has a file, which is made now, or the standard output.
pub(crate) fn reports(arguments: &OutputArguments) -> Result<Fanout<'static>, Failure> {
    let mut sinks = Fanout::new();
    for Report { format, file } in &arguments.reports {
        let (name, out): (_, Box<dyn Write + Send>) = if file == Path::new(STDOUT) {
            ("the standard output".to_owned(), Box::new(io::stdout()))
        } else {
            (file.display().to_string(), Box::new(create(file)?))
        };
        match format {
            ReportFormat::Html => sinks.push(Html::new(name, out, html::Options::default())),
            ReportFormat::Sarif => sinks.push(Sarif::new(name, out, rules())),
            ReportFormat::Junit => sinks.push(Junit::new(name, out, rules())),
            ReportFormat::Perfetto => sinks.push(Perfetto::new(name, out)),
        }
    }
    Ok(sinks)
}

/// The catalogue, as reports explain it.
fn rules() -> Vec<Rule> {
    let explained = |rule: &&kernel::rule::Rule| Rule {
        id: rule.id,
        severity: rule.severity,
        title: rule.title,
        page: rule.page,
    };
    RULES.iter().map(explained).collect()
}

fn create(path: &Path) -> Result<LineFile, Failure> {
    LineFile::create(path)
        .map_err(|error| Failure::new(exit::USAGE, format_args!("cannot create {}: {error}", path.display())))
}

/// Where a command writes: none of it may be a file that it reads, which would be empty before it is read.
pub(crate) fn spare(outputs: &[&Path], inputs: &[&Path]) -> Result<(), Failure> {
    let file =
        |path: &Path| std::fs::metadata(path).ok().filter(Metadata::is_file).map(|it| (it.dev(), it.ino()));
    let read: Vec<_> = inputs.iter().filter_map(|path| Some((file(path)?, path))).collect();
    for output in outputs {
        let Some(written) = file(output) else { continue };
        if let Some((_, input)) = read.iter().find(|(input, _)| *input == written) {
            let message = format!(
                "{} is read, and {} is the same file: write somewhere else",
                input.display(),
                output.display()
            );
            return Err(Failure::new(exit::USAGE, message));
        }
    }
    Ok(())
}

/// The files that a command writes.
pub(crate) fn outputs(arguments: &OutputArguments) -> Vec<&Path> {
    let reports = arguments.reports.iter().map(|report| report.file.as_path());
    arguments.output.as_deref().into_iter().chain(reports).collect()
}

/// No two outputs are written to one place: neither could be read. `more` is what a command writes besides, by its option.
pub(crate) fn check_places(
    arguments: &OutputArguments,
    stream: Stream,
    more: Option<(&str, &Path)>,
) -> Result<(), Failure> {
    let records = match (&arguments.output, stream) {
        (None, Stream::Replay) => Some(Path::new(STDOUT)),
        (None, Stream::Live) => None,
        (Some(path), _) => Some(path.as_path()),
    };
    let reports = arguments.reports.iter().map(|report| ("--report", report.file.as_path()));
    let mut taken: Vec<(&str, &Path)> = records.map(|file| ("the records", file)).into_iter().collect();
    for (option, file) in reports.chain(more) {
        if let Some((other, _)) = taken.iter().find(|(_, earlier)| *earlier == file) {
            let other = if *other == "--report" { "another report" } else { other };
            let message = if file == Path::new(STDOUT) {
                format!(
                    "{option} and {other} both want the standard output: give one of them a file (records: -o FILE)"
                )
            } else {
                format!("{option} and {other} both want {}: give one of them another file", file.display())
            };
            return Err(Failure::new(exit::USAGE, message));
        }
        taken.push((option, file));
    }
    Ok(())
}

/// The format that was asked for, or that the file's name asks for.
pub(crate) fn format(arguments: &OutputArguments) -> Format {
    let extension = arguments.output.as_deref().and_then(Path::extension);
    let by_name = match extension {
        Some(extension) if extension == "ndjson" || extension == "jsonl" => Format::Ndjson,
        _ => Format::Human,
    };
    arguments.format.unwrap_or(by_name)
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

/// Whether ids are those of Linux, and whether each record is written at once: what is replayed can be had again.
fn ndjson_options(stream: Stream) -> ndjson::Options {
    match stream {
        Stream::Live => ndjson::Options { live: true, pace: Pace::EveryRecord },
        Stream::Replay => ndjson::Options { live: false, pace: Pace::Blocks },
    }
}

/// The timeline on the standard error, with colours and a width where that is a terminal.
fn terminal(arguments: &OutputArguments, verbosity: Verbosity) -> Human<anstream::AutoStream<io::Stderr>> {
    let out = io::stderr();
    let width = terminal_width(&out);
    let options = human_options(arguments, verbosity, out.is_terminal(), width);
    Human::new("the standard error", anstream::AutoStream::auto(out), options)
}

fn human_options(
    arguments: &OutputArguments,
    verbosity: Verbosity,
    is_terminal: bool,
    width: Option<usize>,
) -> human::Options {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    human::Options {
        verbosity,
        // `anstream` takes colours out again where nobody would see them.
        colour: true,
        ascii: arguments.ascii || is_terminal && !shows_unicode(),
        width: if is_terminal { width.or(columns) } else { None },
        pace: Pace::EveryRecord,
    }
}

/// The columns of the terminal behind an output.
fn terminal_width(out: &impl AsFd) -> Option<usize> {
    let (terminal_size::Width(columns), _) = terminal_size::terminal_size_of(out)?;
    Some(columns.into())
}
