//! `callboard run`: a command on this machine, its life told to drivers.

use std::fs::File;
use std::path::{Path, PathBuf};

use callboard::host::{self, Bench, BenchError, BenchOptions};
use callboard::live::{self, LiveError};
use callboard::report::{SinkError, Summary};
use callboard::{LiveBench, Symbolise, exit};
use event::{Body, Level};
use nt_abi::{
    NTSTATUS, STATUS_DRIVER_ENTRYPOINT_NOT_FOUND, STATUS_INVALID_IMAGE_FORMAT, STATUS_INVALID_IMAGE_HASH,
};

use telemetry::recording::{self, Meta, Writer};

use crate::args::{BenchArguments, Run};
use crate::drivers::{self, DriverFile};
use crate::setting::TYPES;
use crate::sinks::{self, Stream};
use crate::{Failure, Outcome};

/// Runs it, and says with which exit code to end.
pub(crate) fn run(run: &Run) -> Outcome {
    let drivers = drivers::named(&run.drivers).map_err(|failure| with_hint(failure, &run.drivers))?;
    check_settings(&run.bench, &drivers.iter().collect::<Vec<_>>())?;
    let written: Vec<_> = sinks::outputs(&run.output).into_iter().chain(run.record.as_deref()).collect();
    sinks::spare(&written, &run.drivers.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    sinks::check_places(&run.output, Stream::Live, run.record.as_deref().map(|file| ("--record", file)))?;
    let mut summary = Summary::new();
    let mut outputs = sinks::sinks(&run.output, Stream::Live)?;
    outputs.push(sinks::reports(&run.output)?);
    outputs.push(&mut summary);
    let mut sink = Symbolise::new(outputs);
    let mut options = options(&run.bench)?;
    options.config.stress = run.stress;
    let mut bench = Bench::start(options).map_err(|error| Failure::new(exit::FAILED, error))?;
    let mut live = LiveBench::new(&mut bench, &mut sink);
    if let Some(path) = &run.record {
        live.record(recording(path, run)?);
    }
    live.add(Body::Start {
        version: env!("CARGO_PKG_VERSION").into(),
        profile: run.bench.profile.os.name().into(),
        machine: "".into(),
        command: run.command.iter().map(|word| word.to_string_lossy()).collect(),
    });
    say_gaps(&mut live);
    let loaded = load(&run.bench, &drivers, &mut live);
    let result = match loaded {
        Ok(()) => follow(run, &mut live),
        Err(failure) => Err(failure),
    };
    live.finish();
    if let Ok(ending) = &result {
        let (code, signal) = match *ending {
            live::Ending::Code(code) => (Some(i32::from(code)), None),
            live::Ending::Signal(signal) => (None, Some(signal)),
        };
        live.add(Body::CommandExit { code, signal });
    }
    let recorded = live.end_recording();
    let written = live.close();
    drop(sink);
    let ending = match result {
        // The stop itself was shown.
        Err(failure) if failure.code == exit::STOPPED && summary.stopped() => return Ok(exit::STOPPED),
        other => other?,
    };
    match written {
        // Whoever read the records has seen enough; the command's own code is what counts.
        Ok(()) | Err(SinkError::Closed { .. }) => {}
        Err(error) => return Err(Failure::new(exit::FAILED, error)),
    }
    if let (Err(error), Some(path)) = (recorded, &run.record) {
        return Err(Failure::new(exit::FAILED, format_args!("cannot write {}: {error}", path.display())));
    }
    Ok(if summary.stopped() {
        exit::STOPPED
    } else if run.bench.fail_on_findings && summary.findings() > 0 {
        exit::FINDINGS
    } else {
        ending.shell_code()
    })
}

/// A word that is no driver may be one of the command.
fn with_hint(failure: Failure, named: &[PathBuf]) -> Failure {
    let driver =
        |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sys"));
    match named.iter().find(|path| !path.exists()) {
        Some(path) if !driver(path) => {
            Failure::new(failure.code, format_args!("{failure}; the command to run goes after `--`"))
        }
        _ => failure,
    }
}

/// Begins a recording of the command.
fn recording(path: &Path, run: &Run) -> Result<Writer<File>, Failure> {
    let failed = |error| Failure::new(exit::USAGE, format_args!("cannot create {}: {error}", path.display()));
    let words: Vec<_> = run.command.iter().map(|word| word.to_string_lossy()).collect();
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let meta = Meta {
        machine: machine.trim().to_owned(),
        started: event::Time::now(),
        source: words.join(" "),
        producer: concat!("callboard ", env!("CARGO_PKG_VERSION")).into(),
    };
    let file = File::create(path).map_err(failed)?;
    Writer::new(file, &meta, recording::Options::default()).map_err(failed)
}

/// The machine that the arguments ask for.
pub(crate) fn options(arguments: &BenchArguments) -> Result<BenchOptions, Failure> {
    let mut options = BenchOptions::new(arguments.profile.os);
    options.watchdog = arguments.watchdog;
    for (name, value) in &arguments.choices {
        options.config.choices.set(name, value).map_err(|error| Failure::new(exit::USAGE, error))?;
    }
    options.config.pool = arguments.pool.into();
    options.config.force_integrity = arguments.force_integrity;
    if arguments.unsafe_no_sandbox {
        options.sandbox = host::sandbox::Policy::Off;
    }
    Ok(options)
}

/// A value for a service that no driver has would be written and never read: surely a mistake.
pub(crate) fn check_settings(arguments: &BenchArguments, drivers: &[&DriverFile]) -> Result<(), Failure> {
    for setting in &arguments.settings {
        let Some(service) = &setting.service else { continue };
        if !drivers.iter().any(|driver| driver.service.eq_ignore_ascii_case(service)) {
            let services: Vec<_> = drivers.iter().map(|driver| driver.service.as_str()).collect();
            let known = match services.as_slice() {
                [one] => format!("there is only {one}"),
                many => format!("there are {}", many.join(", ")),
            };
            let none = format!("no driver is named {service}; {known}");
            let message = match setting.name_or_type() {
                Some(word) => format!(
                    "--set {service}:{word}: there is no type `{word}`, only {}; or, if {service} is to be a driver: {none}",
                    TYPES.join(", ")
                ),
                None => format!("--set: {none}"),
            };
            return Err(Failure::new(exit::USAGE, message));
        }
    }
    Ok(())
}

/// What of the sandbox this machine lacks.
pub(crate) fn say_gaps(live: &mut LiveBench<'_>) {
    let gaps: Vec<_> = live.bench().sandbox().gaps().map(|(layer, why)| format!("{layer}: {why}")).collect();
    for gap in gaps {
        let text = format!("the sandbox of the drivers goes without {gap}");
        live.add(Body::Note { level: Level::Info, text: text.into() });
    }
}

/// What the loader itself answers; anything else is DriverEntry's.
const IMAGE_STATUSES: [NTSTATUS; 3] =
    [STATUS_INVALID_IMAGE_FORMAT, STATUS_DRIVER_ENTRYPOINT_NOT_FOUND, STATUS_INVALID_IMAGE_HASH];

/// Writes the settings and loads the drivers.
pub(crate) fn load(
    arguments: &BenchArguments,
    drivers: &[DriverFile],
    live: &mut LiveBench<'_>,
) -> Result<(), Failure> {
    let Some(last) = drivers.last() else { return Ok(()) };
    for setting in &arguments.settings {
        let service = setting.service.as_deref().unwrap_or(&last.service);
        live.bench()
            .set_value(service, &setting.name, setting.value.clone())
            .map_err(|error| Failure::new(exit::FAILED, error))?;
    }
    for driver in drivers {
        let loaded = live.bench().load(&driver.service, &driver.path.to_string_lossy(), &driver.bytes);
        live.drain();
        loaded.map_err(|error| {
            let code = match &error {
                BenchError::Load { status, .. } if !IMAGE_STATUSES.contains(status) => exit::ENTRY_FAILED,
                BenchError::Load { .. } | BenchError::TooLarge { .. } => exit::BAD_DRIVER,
                BenchError::Gone => exit::STOPPED,
                _ => exit::FAILED,
            };
            Failure::new(code, error)
        })?;
    }
    Ok(())
}

/// Runs the command to its end.
fn follow(run: &Run, live: &mut LiveBench<'_>) -> Result<live::Ending, Failure> {
    let Some((program, arguments)) = run.command.split_first() else {
        return Err(Failure::new(exit::USAGE, "there is no command after `--`"));
    };
    let command = live::Command::new(program, arguments);
    let mut notes = live.notes();
    let options = live::Options { observer: Some(&mut notes) };
    match live::run(&command, live, options) {
        Ok(outcome) => Ok(outcome.ending),
        Err(error) => {
            let code = match &error {
                LiveError::NotPermitted { .. } | LiveError::NoFilter { .. } => exit::NOT_PERMITTED,
                other => other.exit_code(),
            };
            Err(Failure::new(code, error))
        }
    }
}
