//! Whether the names in a file are those of something, and its steps have one meaning.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use kernel::choices::{Choices, UnknownChoice};

use nt_abi::Profile;

use crate::file::{self, At, Begin, Create, Driver, Expect, Map, Open, Pattern, Power, Scenario, Step};
use crate::problem::Problem;
use crate::suggest;
use crate::wording;

/// How drivers begin that are not in a file.
pub(crate) const BUILT_IN: &str = "builtin:";
/// The one driver that is built in.
pub(crate) const SENSOR: &str = "builtin:sensor";
/// The process that creates what nobody is said to create, which is always there.
pub(crate) const SHELL: &str = "shell";
/// Where images of the kernel's own are mapped.
pub(crate) const KERNEL: &str = "kernel";

/// The longest watchdog and the longest step of time, in seconds: a year.
const LONGEST: u64 = 365 * 24 * 60 * 60;

/// How a driver is called: its name, or its file's.
pub(crate) fn driver_name(driver: &Driver) -> String {
    match &driver.name {
        Some(name) => name.to_string(),
        None => {
            let file = driver.file.strip_prefix(BUILT_IN).unwrap_or(&driver.file);
            let file = file.rsplit(['/', '\\']).next().unwrap_or(file);
            Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned()
        }
    }
}

/// Everything that makes no sense.
pub(crate) fn check(file: &Scenario) -> Vec<Problem> {
    let mut names = Names::default();
    names.scenario(file);
    for driver in &file.driver {
        names.driver(driver);
    }
    for step in &file.step {
        names.step(step);
    }
    if let Some(expect) = &file.expect {
        names.expect(expect, Of::Nothing);
    }
    if names.problems.is_empty() && file.driver.is_empty() && file.step.is_empty() {
        let help = "add a [[driver]] and a [[step]], or begin with `callboard test --init`";
        names.say(0..0, "nothing happens in this scenario", help);
    }
    names.problems
}

/// What an expectation is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// A step that creates a process.
    Create,
    /// A step that asks a device and gets its answer.
    Device,
    /// A step that asks a device and does not wait.
    Begin,
    /// Any other step.
    Other,
    /// No step: what happened so far.
    Nothing,
}

/// The names that are known so far.
#[derive(Default)]
struct Names {
    drivers: Vec<String>,
    processes: BTreeSet<String>,
    threads: BTreeSet<String>,
    requests: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Names {
    fn say(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(span, message).help(help));
    }

    fn scenario(&mut self, file: &Scenario) {
        if let (Some(one), Some(_)) = (&file.profile, &file.profiles) {
            self.say(one.span(), "there are both `profile` and `profiles`", "leave one of them out");
        }
        if let Some(several) = &file.profiles {
            if several.is_empty() {
                self.say(several.span(), "there is no profile", "name at least one, or leave `profiles` out");
            }
            for (index, profile) in several.iter().enumerate() {
                if profile.parse::<Profile>().is_err() {
                    let (message, help) = file::no_profile(profile);
                    self.say(profile.span(), message, help);
                } else if several[..index].iter().any(|other| **other == **profile) {
                    self.say(profile.span(), "this profile is there twice", "leave it out here");
                }
            }
        }
        if let Some(name) = &file.name
            && (name.trim().is_empty() || name.contains(char::is_control))
        {
            self.say(
                name.span(),
                "this is no name",
                "write what the scenario shows, in a few words on one line",
            );
        }
        for (name, value) in &file.choices {
            match Choices::default().set(name, value) {
                Ok(()) => {}
                Err(UnknownChoice::Name(_)) => {
                    let known: Vec<_> = Choices::ALL.iter().map(|choice| choice.name).collect();
                    let help = suggestion(name, &known, "`callboard profiles --choices` says what they are");
                    self.say(value.span(), format!("there is no choice `{name}`"), help);
                }
                Err(UnknownChoice::Value { known, .. }) => {
                    let help = format!("it can be {}", known.join(", "));
                    self.say(value.span(), format!("`{name}` cannot be `{}`", value.as_str()), help);
                }
            }
        }
        let watchdog = file.watchdog.map(|length| length.0.as_secs());
        if watchdog.is_some_and(|seconds| seconds > LONGEST) {
            let span = file.name.as_ref().map_or(0..0, At::span);
            self.say(span, "the watchdog is longer than a year", "write a shorter one");
        }
    }

    fn driver(&mut self, driver: &At<Driver>) {
        let name = driver_name(driver);
        let span = driver.name.as_ref().map_or_else(|| driver.file.span(), At::span);
        if driver.file.starts_with(BUILT_IN) && driver.file.as_str() != SENSOR {
            let message = format!("there is no built-in driver `{}`", driver.file.as_str());
            self.say(driver.file.span(), message, format!("there is `{SENSOR}`"));
        }
        if name.is_empty() || name.contains(|c: char| c.is_control() || "\\/:".contains(c)) {
            self.say(
                span,
                "this driver has no usable name",
                "add `name = \"…\"`, without slashes and colons",
            );
        } else if self.drivers.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
            self.say(span, format!("two drivers are named `{name}`"), "give one of them another `name`");
        }
        self.drivers.push(name);
    }

    fn step(&mut self, step: &At<Step>) {
        let actions = actions(step);
        if let [_, (second, span), ..] = actions.as_slice() {
            let message = format!("a step does one thing, and this one also has `{second}`");
            self.say(span.clone(), message, "put it into a [[step]] of its own");
        }
        if actions.is_empty() && step.expect.is_none() {
            let help = "write one action, as `create = { … }`, or `expect = { … }`, below [[step]]";
            self.say(step.span(), "this step does nothing", help);
        }
        // In the order of time: a process is there once its creation was written.
        if let Some(create) = &step.create {
            self.create(create);
        }
        for process in [&step.resume].into_iter().flatten() {
            self.process(process);
        }
        if let Some(thread) = &step.thread {
            self.process(&thread.process);
            self.maybe_process(thread.by.as_ref());
            if !self.threads.insert(thread.name.to_string()) {
                self.say(thread.name.span(), "there is already a thread of this name", "choose another name");
            }
        }
        if let Some(exit) = &step.exit_thread {
            let name = exit.thread.as_str();
            if !self.threads.contains(name) {
                let known: Vec<_> = self.threads.iter().map(String::as_str).collect();
                let help = suggestion(name, &known, "create it before, in a step `thread = { … }`");
                self.say(exit.thread.span(), format!("there is no thread `{name}`"), help);
            }
        }
        if let Some(exit) = &step.exit {
            self.process_named(exit.process(), exit.span());
        }
        if let Some(map) = &step.map {
            self.map(map);
        }
        if let Some(unmap) = &step.unmap {
            self.process(&unmap.process);
            self.path(Some(&unmap.image));
        }
        if let Some(Open::Table(table)) = step.open.as_deref() {
            self.maybe_process(table.by.as_ref());
        }
        if let Some(power) = &step.power {
            self.power(power);
        }
        if let Some(begin) = &step.begin {
            self.begin(begin);
        }
        for request in [&step.wait, &step.cancel].into_iter().flatten() {
            self.request(request, request.span());
        }
        for driver in [&step.load, &step.unload].into_iter().flatten() {
            self.driver_named(driver);
        }
        if let Some(advance) = &step.advance
            && advance.0.as_secs() > LONGEST
        {
            self.say(advance.span(), "this is longer than a year", "write a shorter length");
        }
        if let Some(expect) = &step.expect {
            let of = if step.create.is_some() || step.thread.is_some() {
                Of::Create
            } else if [step.ioctl.is_some(), step.read.is_some(), step.write.is_some(), step.wait.is_some()]
                .contains(&true)
            {
                Of::Device
            } else if step.begin.is_some() {
                Of::Begin
            } else if actions.is_empty() {
                Of::Nothing
            } else {
                Of::Other
            };
            self.expect(expect, of);
        }
    }

    /// A path that Windows could give.
    fn path(&mut self, path: Option<&At<String>>) {
        if let Some(path) = path
            && let Some((message, help)) = wording::path(path)
        {
            self.say(path.span(), message, help);
        }
    }

    fn create(&mut self, create: &Create) {
        self.path(create.image.as_ref());
        for process in [&create.parent, &create.creator, &create.first_thread_by, &create.clone_of] {
            self.maybe_process(process.as_ref());
        }
        if create.image.is_none() && create.clone_of.is_none() && create.command_line.is_none() {
            let help =
                "add `image = 'C:\\…'`; a process whose name cannot be found out has a `command_line` only";
            self.say(create.name.span(), "this process has no image", help);
        }
        if let Some(by) = &create.first_thread_by
            && !create.from_section
        {
            let help = "add `from_section = true`, or leave it out";
            self.say(by.span(), "the first thread is inserted by the creator, unless from a section", help);
        }
        let name = create.name.as_str();
        if name == SHELL || name == KERNEL {
            self.say(create.name.span(), format!("`{name}` is always there"), "choose another name");
        } else if !self.processes.insert(name.to_owned()) {
            self.say(
                create.name.span(),
                format!("there is already a process `{name}`"),
                "choose another name",
            );
        }
    }

    fn map(&mut self, map: &Map) {
        self.path(map.image.as_ref());
        self.path(map.file.as_ref());
        if map.process.as_str() != KERNEL {
            self.process(&map.process);
        }
        self.maybe_process(map.by.as_ref());
        if map.process.as_str() == KERNEL && map.contents.is_some() {
            let help = "leave out `contents`, or map it into a process";
            self.say(map.process.span(), "a kernel image has no contents of a scenario's choice", help);
        }
        if map.process.as_str() == KERNEL && map.file.is_some() {
            let help = "leave out `file`, or map it into a process";
            self.say(map.process.span(), "a kernel image is called as it is loaded", help);
        }
        if let Some(signature) = map.signature
            && (signature.level > 15 || signature.kind > 7)
        {
            self.say(
                map.process.span(),
                "there is no such signature",
                "`level` is 0 to 15 and `type` is 0 to 7",
            );
        }
    }

    fn expect(&mut self, expect: &At<Expect>, of: Of) {
        let nowhere = "it belongs to the step whose outcome it is";
        if let (Some(status), Of::Nothing) = (&expect.status, of) {
            self.say(status.span(), "there is no step that this status could be of", nowhere);
        }
        if let Some(by) = &expect.by {
            if of != Of::Create {
                self.say(by.span(), "only the creation of a process is refused by a driver", nowhere);
            }
            if expect.status.is_none() {
                let help = "add the status that the driver writes, as `status = \"STATUS_ACCESS_DENIED\"`";
                self.say(by.span(), "a refusal has a status", help);
            }
            self.driver_named(by);
        }
        for span in [expect.information.as_ref().map(At::span), expect.output.as_ref().map(At::span)]
            .into_iter()
            .flatten()
        {
            if of != Of::Device {
                let help =
                    if of == Of::Begin { "write it in the step that waits for the request" } else { nowhere };
                self.say(span, "only `ioctl`, `read`, `write` and `wait` have this", help);
            }
        }
        if let Some(pending) = &expect.pending {
            for name in pending.iter() {
                self.request(name, pending.span());
            }
        }
        for rule in expect.findings.as_deref().into_iter().flatten() {
            if let Some((message, help)) = wording::rule(rule) {
                self.say(rule.span(), message, help);
            }
        }
        for line in expect.notices.as_deref().into_iter().flatten() {
            if let Some((message, help)) = wording::notice(line, &self.drivers) {
                self.say(line.span(), message, help);
            }
        }
        for pattern in [&expect.debug, &expect.no_debug].into_iter().flatten().flatten() {
            if let Some(why) = pattern.problem() {
                let message = format!("this is no regular expression: {why}");
                self.say(pattern.span(), message, "text between slashes is one");
            }
        }
        if let Some(stop) = &expect.stop {
            let table = stop.table();
            if table.parameters.is_some_and(|parameters| parameters.len() > 4) {
                self.say(stop.span(), "a bug check has four parameters", "write four, with \"*\" for any");
            }
            if let Some(why) = table.message.as_ref().and_then(Pattern::problem) {
                let message = format!("this is no regular expression: {why}");
                self.say(stop.span(), message, "text between slashes is one");
            }
            if let Some(driver) = table.driver {
                self.driver_at(&driver, stop.span());
            }
        }
    }

    /// One of several keys has to be there, and only one.
    fn one_of<const N: usize>(
        &mut self,
        keys: [(&'static str, Option<Range<usize>>); N],
        none: (Range<usize>, &str, &str),
        several: (&str, &str),
    ) {
        let there = in_order(keys);
        match there.as_slice() {
            [] => self.say(none.0, none.1, none.2),
            [_] => {}
            [_, (second, span), ..] => {
                let message = format!("{}, and this one also has `{second}`", several.0);
                self.say(span.clone(), message, several.1);
            }
        }
    }

    fn power(&mut self, power: &At<Power>) {
        self.one_of(
            [
                ("device", power.device.as_ref().map(At::span)),
                ("driver", power.driver.as_ref().map(At::span)),
            ],
            (power.span(), "nobody is told of this", "add `device = '\\\\.\\…'` or `driver = \"…\"`"),
            ("a power request has one target", "leave one of them out, or add a step"),
        );
        self.one_of(
            [("set", power.set.as_ref().map(At::span)), ("query", power.query.as_ref().map(At::span))],
            (power.span(), "this power request has no state", "add `set = \"S3\"` or `query = \"S3\"`"),
            ("a power request sets a state or asks for one", "add a step for the other one"),
        );
        if let Some(driver) = &power.driver {
            self.driver_named(driver);
        }
    }

    fn begin(&mut self, begin: &Begin) {
        self.one_of(
            [
                ("code", begin.code.as_ref().map(At::span)),
                ("read", begin.read.as_ref().map(At::span)),
                ("write", begin.write.as_ref().map(At::span)),
            ],
            (
                begin.name.span(),
                "this request asks for nothing",
                "add `code = 0x222000`, `read = 16` or `write = \"…\"`",
            ),
            ("a request asks for one thing", "begin two requests, in two steps"),
        );
        if !self.requests.insert(begin.name.to_string()) {
            self.say(begin.name.span(), "there is already a request of this name", "choose another name");
        }
    }

    fn request(&mut self, name: &str, span: Range<usize>) {
        if !self.requests.contains(name) {
            let known: Vec<_> = self.requests.iter().map(String::as_str).collect();
            let help = suggestion(name, &known, "begin it before, in a step `begin = { … }`");
            self.say(span, format!("there is no request `{name}`"), help);
        }
    }

    fn maybe_process(&mut self, name: Option<&At<String>>) {
        if let Some(name) = name {
            self.process(name);
        }
    }

    fn process(&mut self, name: &At<String>) {
        self.process_named(name, name.span());
    }

    fn process_named(&mut self, name: &str, span: Range<usize>) {
        if name == SHELL || self.processes.contains(name) {
            return;
        }
        let known: Vec<_> = self.processes.iter().map(String::as_str).chain([SHELL]).collect();
        let help = suggestion(name, &known, "create it in a step before this one");
        self.say(span, format!("there is no process `{name}`"), help);
    }

    fn driver_named(&mut self, name: &At<String>) {
        self.driver_at(name, name.span());
    }

    fn driver_at(&mut self, name: &str, span: Range<usize>) {
        if self.drivers.iter().any(|driver| driver == name) {
            return;
        }
        let known: Vec<_> = self.drivers.iter().map(String::as_str).collect();
        let help = suggestion(name, &known, "add it as a [[driver]]");
        self.say(span, format!("there is no driver `{name}`"), help);
    }
}

fn suggestion(wrong: &str, known: &[&str], otherwise: &str) -> String {
    match suggest::closest(wrong, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => otherwise.to_owned(),
        None => format!("{}; {otherwise}", wording::there_is(known)),
    }
}

/// The actions of a step, with their places.
fn actions(step: &Step) -> Vec<(&'static str, Range<usize>)> {
    in_order([
        ("create", step.create.as_ref().map(At::span)),
        ("resume", step.resume.as_ref().map(At::span)),
        ("thread", step.thread.as_ref().map(At::span)),
        ("exit_thread", step.exit_thread.as_ref().map(At::span)),
        ("exit", step.exit.as_ref().map(At::span)),
        ("map", step.map.as_ref().map(At::span)),
        ("unmap", step.unmap.as_ref().map(At::span)),
        ("open", step.open.as_ref().map(At::span)),
        ("close", step.close.as_ref().map(At::span)),
        ("ioctl", step.ioctl.as_ref().map(At::span)),
        ("read", step.read.as_ref().map(At::span)),
        ("write", step.write.as_ref().map(At::span)),
        ("begin", step.begin.as_ref().map(At::span)),
        ("wait", step.wait.as_ref().map(At::span)),
        ("cancel", step.cancel.as_ref().map(At::span)),
        ("power", step.power.as_ref().map(At::span)),
        ("advance", step.advance.as_ref().map(At::span)),
        ("low_pool", step.low_pool.as_ref().map(At::span)),
        ("load", step.load.as_ref().map(At::span)),
        ("unload", step.unload.as_ref().map(At::span)),
    ])
}

/// The keys that are there, with their places, in the order of the file.
fn in_order<const N: usize>(
    keys: [(&'static str, Option<Range<usize>>); N],
) -> Vec<(&'static str, Range<usize>)> {
    let mut all: Vec<_> = keys.into_iter().filter_map(|(name, span)| Some((name, span?))).collect();
    all.sort_by_key(|(_, span)| span.start);
    all
}
