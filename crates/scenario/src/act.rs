//! Doing what a step says.

use std::collections::BTreeMap;

use bench::{Bench, Driver, Error, File, Process, Request, Thread, Unload, View};
use event::{Body, EventKind};
use nt_abi::{NTSTATUS, STATUS_SUCCESS};

use crate::Scenario;
use crate::file::{self, Architecture, Create, LowPool, MapAs, Step, Subsystem};
use crate::resolve::{self, KERNEL, SHELL};
use crate::run::Acted;
use crate::story::Names;

/// What whoever asked for it is told.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The status; `None` where the machine stopped first.
    pub(crate) status: Option<NTSTATUS>,
    /// The driver that refused it.
    pub(crate) by: Option<String>,
    /// Why, where it did not work.
    pub(crate) why: Option<String>,
    /// IoStatus.Information.
    pub(crate) information: u64,
    /// The bytes that came back.
    pub(crate) output: Vec<u8>,
}

impl Answer {
    pub(crate) fn success() -> Self {
        Self { status: Some(STATUS_SUCCESS), ..Self::default() }
    }
}

/// A bench with the names of a scenario.
pub(crate) struct Machine<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) bench: Bench,
    pub(crate) names: Names,
    sensor: &'a [u8],
    processes: BTreeMap<String, Process>,
    threads: BTreeMap<String, Thread>,
    pub(crate) drivers: BTreeMap<String, Driver>,
    /// By process and image, as the scenario writes them; those of one file in the order of mapping.
    views: BTreeMap<(String, String), Vec<View>>,
    /// By the device's name.
    pub(crate) files: BTreeMap<String, File>,
    /// Those that were begun, by name.
    pub(crate) requests: BTreeMap<String, Request>,
    /// The names of those that are pending now.
    pub(crate) pending: Vec<String>,
}

impl<'a> Machine<'a> {
    /// The shell is there before any driver, whether it is needed or not: what drivers see is then the same.
    pub(crate) fn new(scenario: &'a Scenario, mut bench: Bench, sensor: &'a [u8]) -> Result<Self, Error> {
        let mut names = Names::default();
        names.process(bench.shell()?.id(), 0, SHELL);
        Ok(Self {
            scenario,
            bench,
            names,
            sensor,
            processes: BTreeMap::new(),
            threads: BTreeMap::new(),
            drivers: BTreeMap::new(),
            views: BTreeMap::new(),
            files: BTreeMap::new(),
            requests: BTreeMap::new(),
            pending: Vec::new(),
        })
    }

    /// What a step does, in words; `None` when it only expects.
    pub(crate) fn action(&self, step: &Step) -> Option<String> {
        if let Some(create) = &step.create {
            return Some(format!("create {}", create.name.as_str()));
        }
        if let Some(map) = &step.map {
            let image = map.image.as_deref().map_or("an image without a name", String::as_str);
            return Some(format!("map {image} in {}", map.process.as_str()));
        }
        let one = |verb: &str, what: &str| Some(format!("{verb} {what}"));
        match step {
            Step { resume: Some(process), .. } => one("resume", process),
            Step { thread: Some(thread), .. } => one("thread", &thread.name),
            Step { exit_thread: Some(exit), .. } => one("exit_thread", &exit.thread),
            Step { exit: Some(exit), .. } => one("exit", exit.process()),
            Step { unmap: Some(unmap), .. } => one("unmap", &unmap.image),
            Step { open: Some(open), .. } => one("open", open.name()),
            Step { close: Some(device), .. } => one("close", device),
            Step { ioctl: Some(control), .. } => {
                Some(format!("ioctl {:#x} to {}", control.code, control.device.as_str()))
            }
            Step { read: Some(read), .. } => one("read", &read.device),
            Step { write: Some(write), .. } => one("write", &write.device),
            Step { begin: Some(begin), .. } => {
                Some(format!("begin {} of {}", begin.name.as_str(), begin.device.as_str()))
            }
            Step { wait: Some(request), .. } => one("wait", request),
            Step { cancel: Some(request), .. } => one("cancel", request),
            Step { power: Some(power), .. } => {
                let whom = power.device.as_deref().or(power.driver.as_deref());
                let (verb, state) = match (&power.set, &power.query) {
                    (None, Some(state)) => ("query", Some(state)),
                    (state, _) => ("set", state.as_ref()),
                };
                let state = state.map(|state| state.0.to_string()).unwrap_or_default();
                Some(format!("power {verb} {state} of {}", whom.map_or("", String::as_str)))
            }
            Step { advance: Some(length), .. } => {
                Some(format!("advance {}", humantime::format_duration(length.0)))
            }
            Step { low_pool: Some(low), .. } => Some(match **low {
                LowPool::Next => "the next allocation fails".to_owned(),
                LowPool::All => "pool is low".to_owned(),
                LowPool::Off => "there is enough pool".to_owned(),
            }),
            Step { load: Some(driver), .. } => one("load", driver),
            Step { unload: Some(driver), .. } => one("unload", driver),
            _ => None,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Why it cannot be done, in a sentence for the author.
    pub(crate) fn act(&mut self, step: &Step) -> Acted {
        if let Some(create) = &step.create {
            return self.create(create);
        }
        if let Some(process) = &step.resume {
            let process = self.process(process)?;
            return Ok(answer(self.bench.resume(&process)));
        }
        if let Some(thread) = &step.thread {
            return self.thread(thread);
        }
        if let Some(exit) = &step.exit_thread {
            let name = exit.thread.as_str();
            let Some(thread) = self.threads.get(name).copied() else {
                return Err(format!("the thread `{name}` was not created"));
            };
            let before = self.bench.conditions();
            self.bench.set_conditions(event::Conditions { apc_level: exit.apc_level, ..before });
            let status = exit.status.map_or(STATUS_SUCCESS, |status| status.0);
            let result = self.bench.exit_thread(&thread, status);
            self.bench.set_conditions(before);
            return Ok(answer(result));
        }
        if let Some(exit) = &step.exit {
            let process = self.process(exit.process())?;
            let status = match &**exit {
                file::Exit::Table(table) => table.status.map_or(STATUS_SUCCESS, |status| status.0),
                file::Exit::Name(_) => STATUS_SUCCESS,
            };
            return Ok(answer(self.bench.exit_process(&process, status)));
        }
        if let Some(map) = &step.map {
            return self.map(map);
        }
        if let Some(unmap) = &step.unmap {
            let key = (unmap.process.to_string(), unmap.image.to_string());
            let Some(view) = self.views.get_mut(&key).and_then(Vec::pop) else {
                return Err(format!(
                    "`{}` was not mapped into `{}` by a `map` step before this one",
                    unmap.image.as_str(),
                    unmap.process.as_str()
                ));
            };
            return Ok(answer(self.bench.unmap_image(&view)));
        }
        if let Some(name) = &step.load {
            let found =
                self.scenario.file.driver.iter().find(|driver| resolve::driver_name(driver) == name.as_str());
            return found
                .map(|driver| self.load(driver))
                .ok_or_else(|| format!("there is no `{}`", name.as_str()));
        }
        if let Some(name) = &step.unload {
            let Some(driver) = self.drivers.get(name.as_str()).copied() else {
                return Err(format!("the driver `{}` is not loaded", name.as_str()));
            };
            let unloaded = self.bench.unload(driver);
            if matches!(unloaded, Ok(Unload::Done)) {
                self.drivers.remove(name.as_str());
            }
            return Ok(answer(unloaded));
        }
        self.ask_device(step)
    }

    fn process(&mut self, name: &str) -> Result<Process, String> {
        if name == SHELL {
            return self.bench.shell().map_err(|error| error.to_string());
        }
        self.processes
            .get(name)
            .copied()
            .ok_or_else(|| format!("the process `{name}` was refused, so it is not there"))
    }

    pub(crate) fn maybe(&mut self, name: Option<&file::At<String>>) -> Result<Option<Process>, String> {
        name.map(|name| self.process(name)).transpose()
    }

    /// Loads a driver, with its values.
    pub(crate) fn load(&mut self, driver: &file::Driver) -> Answer {
        let name = resolve::driver_name(driver);
        for (key, value) in &driver.values {
            if let Err(error) = self.bench.set_value(&name, key, value.0.clone()) {
                return failed(&error);
            }
        }
        let from = self.bench.records().len();
        let result = match self.scenario.driver_path(driver) {
            Some(path) => self.bench.load(&name, path),
            None => self.bench.load_bytes(&name, self.sensor),
        };
        self.bench.collect();
        let ids = self.bench.records()[from..].iter().filter_map(|record| match &record.body {
            Body::DriverLoad { driver, name: service, .. } if *service == name => Some(*driver),
            _ => None,
        });
        for id in ids {
            self.names.driver(id, &name);
        }
        match result {
            Ok(driver) => {
                self.drivers.insert(name, driver);
                Answer::success()
            }
            Err(error) => failed(&error),
        }
    }

    fn create(&mut self, create: &Create) -> Acted {
        let parent = self.maybe(create.parent.as_ref())?;
        let creator = self.maybe(create.creator.as_ref())?;
        let first_thread_by = self.maybe(create.first_thread_by.as_ref())?;
        let clone_of = self.maybe(create.clone_of.as_ref())?;
        let mut builder = self.bench.process(create.image.as_deref().map_or("", String::as_str));
        if create.image.is_none() && clone_of.is_none() {
            builder = builder.without_name();
        }
        if let Some(line) = &create.command_line {
            builder = builder.command_line(line);
        }
        if create.without_command_line {
            builder = builder.without_command_line();
        }
        if let Some(parent) = parent {
            builder = builder.parent(parent);
        }
        if let Some(creator) = creator {
            builder = builder.creator(creator);
        }
        builder = builder.architecture(architecture(create.architecture)).subsystem(match create.subsystem {
            Subsystem::Win32 => event::Subsystem::Win32,
            Subsystem::Wsl => event::Subsystem::Wsl,
        });
        if create.suspended {
            builder = builder.suspended();
        }
        if create.unterminated_names {
            builder = builder.unterminated_names();
        }
        if create.user_pages_gone {
            builder = builder.user_pages_gone();
        }
        if create.apc_level {
            builder = builder.at_apc_level();
        }
        if create.all_apcs_disabled {
            builder = builder.all_apcs_disabled();
        }
        if create.without_inherited_handles {
            builder = builder.without_inherited_handles();
        }
        if let Some(id) = create.id {
            builder = builder.id(id);
        }
        if create.existing {
            builder = builder.existing();
        }
        if create.from_section {
            builder = builder.from_section();
        }
        if let Some(by) = first_thread_by {
            builder = builder.first_thread_by(by);
        }
        if let Some(original) = clone_of {
            builder = builder.clone_of(&original);
        }
        match builder.create() {
            Ok(process) => {
                self.processes.insert(create.name.to_string(), process);
                Ok(Answer::success())
            }
            Err(error) => Ok(failed(&error)),
        }
    }

    fn thread(&mut self, thread: &file::Thread) -> Acted {
        let process = self.process(&thread.process)?;
        let by = self.maybe(thread.by.as_ref())?;
        let mut builder = self.bench.thread(&process);
        if let Some(by) = by {
            builder = builder.by(by);
        }
        if thread.apc_level {
            builder = builder.at_apc_level();
        }
        match builder.create() {
            Ok(made) => {
                self.names.thread(made.id().thread, &thread.name);
                self.threads.insert(thread.name.to_string(), made);
                Ok(Answer::success())
            }
            Err(error) => Ok(failed(&error)),
        }
    }

    fn map(&mut self, map: &file::Map) -> Acted {
        let path = map.image.as_deref().map_or("", String::as_str);
        let result = if map.process.as_str() == KERNEL {
            let mut builder = self.bench.kernel_image(path);
            if map.image.is_none() {
                builder = builder.without_name();
            }
            if let Some(signature) = map.signature {
                builder = builder.signature(signature.level, signature.kind);
            }
            if let Some(base) = map.base {
                builder = builder.base(base);
            }
            if let Some(size) = map.size {
                builder = builder.size(size);
            }
            builder.load()
        } else {
            let process = self.process(&map.process)?;
            let by = self.maybe(map.by.as_ref())?;
            let mut builder = self.bench.image(&process, path);
            if map.image.is_none() {
                builder = builder.without_name();
            }
            if let Some(file) = &map.file {
                builder = builder.file(file);
            }
            if let Some(by) = by {
                builder = builder.by(by);
            }
            if let Some(architecture) = map.architecture {
                builder = builder.architecture(self::architecture(architecture));
            }
            match map.mapping {
                MapAs::Image => {}
                MapAs::NoExecute => builder = builder.no_execute(),
                MapAs::Data => builder = builder.data(),
            }
            if map.partial {
                builder = builder.partial();
            }
            if map.conflicting {
                builder = builder.conflicting();
            }
            if let Some(signature) = map.signature {
                builder = builder.signature(signature.level, signature.kind);
            }
            if let Some(base) = map.base {
                builder = builder.base(base);
            }
            if let Some(size) = map.size {
                builder = builder.size(size);
            }
            if let Some(contents) = &map.contents {
                builder = builder.contents(&contents.0);
            }
            if map.all_apcs_disabled {
                builder = builder.all_apcs_disabled();
            }
            if map.unterminated_names {
                builder = builder.unterminated_names();
            }
            if map.user_pages_gone {
                builder = builder.user_pages_gone();
            }
            builder.map()
        };
        match result {
            Ok(view) => {
                self.views.entry((map.process.to_string(), path.to_owned())).or_default().push(view);
                Ok(Answer::success())
            }
            Err(error) => Ok(failed(&error)),
        }
    }

    /// Gives the names of a step to what its records tell of: also to a process that was refused.
    pub(crate) fn name(&mut self, step: &Step, from: usize) {
        let Some(create) = &step.create else { return };
        if let Some(process) = self.processes.get(create.name.as_str()) {
            self.names.process(process.id(), from, &create.name);
            return;
        }
        // It was refused, so that only the records know its id.
        let created = self.bench.records()[from..].iter().rev().find_map(|record| match &record.body {
            Body::Event(event) => match &event.kind {
                EventKind::ProcessCreate(process) | EventKind::ProcessPresent(process) => {
                    Some(process.process)
                }
                _ => None,
            },
            _ => None,
        });
        if let Some(id) = created {
            self.names.process(id, from, &create.name);
        }
    }
}

fn architecture(architecture: Architecture) -> event::Architecture {
    match architecture {
        Architecture::X64 => event::Architecture::X64,
        Architecture::X86 => event::Architecture::X86,
    }
}

/// What a call of the bench came to.
pub(crate) fn answer<T>(result: Result<T, Error>) -> Answer {
    match result {
        Ok(_) => Answer::success(),
        Err(error) => failed(&error),
    }
}

pub(crate) fn failed(error: &Error) -> Answer {
    Answer {
        status: error.status(),
        by: error.refused().and_then(|refused| refused.service.clone()),
        why: Some(error.to_string()),
        ..Answer::default()
    }
}
