//! What a finding, a stop or a leak is as a result.

use std::collections::{BTreeMap, HashMap};

use event::{ClientId, DriverId, Event, EventKind, Finding, Frame, Leak, Record, Stop, StopKind};
use nt_abi::BugCheckCode;

use super::log::{
    self, Address, Artifact, BugCheck, Location, Logical, Outcome, Physical, Properties, Stack,
};
use super::text::uri;
use crate::json::{Address as Hex, Code, Moment};
use crate::names::Names;
use crate::rule::Rule;
use crate::{frame, words};

/// The rule of all stops: their own ids are below it, as in `STOP/0x000000CE`.
pub(super) const STOP: &str = "STOP";
/// The rule of all leaks: their own ids are below it, as in `LEAK/pool`.
pub(super) const LEAK: &str = "LEAK";

/// What two runs of one driver say of the same mistake; the version is of how it is made.
const FINGERPRINT: &str = "callboardPlace/v1";

/// The files that drivers were loaded from.
pub(super) type Drivers = HashMap<DriverId, String>;

/// A record, and all that is known around it.
pub(super) struct Scene<'a> {
    pub(super) record: &'a Record<'a>,
    pub(super) names: &'a Names,
    pub(super) drivers: &'a Drivers,
    pub(super) rules: &'a [Rule],
    pub(super) machine: Option<String>,
    /// What drivers were being told in this context.
    pub(super) event: Option<&'a str>,
}

impl<'a> Scene<'a> {
    /// The result that a record is, if it is one.
    pub(super) fn result(self) -> Option<Outcome<'a>> {
        match &self.record.body {
            event::Body::Finding(finding) => Some(self.finding(finding)),
            event::Body::Stop(stop) => Some(self.stop(stop)),
            event::Body::Leak(leak) => Some(self.leak(leak)),
            _ => None,
        }
    }

    fn finding(&self, finding: &'a Finding<'a>) -> Outcome<'a> {
        let bug_check = finding.bug_check.map(|(code, parameters)| bug_check(code, parameters));
        Outcome {
            level: log::level(finding.severity),
            properties: Properties { bug_check, ..self.properties(finding.driver) },
            ..self.outcome(
                finding.rule.as_ref(),
                finding.rule.as_ref().into(),
                &finding.message,
                finding.driver,
                &finding.stack,
            )
        }
    }

    fn stop(&self, stop: &'a Stop<'a>) -> Outcome<'a> {
        let checked = stop.kind == StopKind::BugCheck || stop.code != 0;
        let what = if checked { Code(stop.code).to_string() } else { words::stop_kind(stop.kind).to_owned() };
        let name = if checked { BugCheckCode(stop.code).to_string() } else { what.replace('_', " ") };
        let message = format!("{name}: {}", stop.message);
        let bug_check = checked.then(|| bug_check(stop.code, stop.parameters));
        Outcome {
            properties: Properties { bug_check, ..self.properties(stop.driver) },
            ..self.outcome(STOP, format!("{STOP}/{what}"), &message, stop.driver, &stop.stack)
        }
    }

    fn leak(&self, leak: &'a Leak<'a>) -> Outcome<'a> {
        let kind = words::leak_kind(leak.kind);
        let driver = self.names.driver(leak.driver).unwrap_or("the driver");
        let message = format!("{driver} left behind {}", words::left_behind(leak));
        let told = log::Leak { kind, what: &leak.what, count: leak.count, bytes: leak.bytes };
        let id = format!("{LEAK}/{kind}");
        let mut outcome = Outcome {
            level: "warning",
            properties: Properties { leak: Some(told), ..self.properties(Some(leak.driver)) },
            ..self.outcome(LEAK, id, &message, Some(leak.driver), &[])
        };
        // What was left is all that tells two leaks of a driver apart.
        outcome.partial_fingerprints.entry(FINGERPRINT).and_modify(|it| it.push_str(&leak.what));
        outcome
    }

    fn outcome(
        &self,
        rule: &str,
        rule_id: String,
        message: &str,
        driver: Option<DriverId>,
        stack: &[Frame<'_>],
    ) -> Outcome<'a> {
        let file = driver.and_then(|driver| self.drivers.get(&driver)).map(|path| file_name(path));
        let culprit = frame::culprit(stack, file);
        let location = match culprit {
            Some(frame) => self.location(frame, driver),
            None => {
                Location { physical_location: self.physical(driver, None), logical_locations: Vec::new() }
            }
        };
        let nowhere = location.physical_location.is_none() && location.logical_locations.is_empty();
        let frames: Vec<_> = stack
            .iter()
            .map(|frame| log::Frame {
                location: self.location(frame, driver),
                module: frame.module.as_deref().map(str::to_owned),
                properties: log::At { address: Hex(frame.address) },
            })
            .collect();
        Outcome {
            rule_index: log::index(self.rules, rule),
            level: "error",
            message: message.into(),
            locations: (!nowhere).then_some([location]),
            stacks: (!frames.is_empty()).then_some([Stack { frames }]),
            partial_fingerprints: BTreeMap::from([(FINGERPRINT, fingerprint(&rule_id, culprit, file))]),
            properties: self.properties(driver),
            rule_id,
        }
    }

    /// The file of the driver, with a place in it.
    fn physical(&self, driver: Option<DriverId>, address: Option<Address>) -> Option<Physical> {
        let path = self.drivers.get(&driver?)?;
        (!path.is_empty()).then(|| Physical { artifact_location: Artifact { uri: uri(path) }, address })
    }

    fn location(&self, frame: &Frame<'_>, driver: Option<DriverId>) -> Location {
        let module = frame::module(frame);
        let symbol = frame.symbol.as_deref();
        let qualified =
            |name: &str| module.map_or_else(|| name.to_owned(), |module| format!("{module}!{name}"));
        let logical = match (frame::function(frame), module) {
            (Some(function), _) => Some(Logical {
                name: function.to_owned(),
                fully_qualified_name: qualified(function),
                kind: "function",
            }),
            (None, Some(module)) => Some(Logical {
                name: module.to_owned(),
                fully_qualified_name: module.to_owned(),
                kind: "module",
            }),
            (None, None) => None,
        };
        // Whose file it is: the one it is about, where two have files of the same name.
        let is_of = |path: &str| module.is_some_and(|module| module.eq_ignore_ascii_case(file_name(path)));
        let owner = driver
            .filter(|driver| self.drivers.get(driver).is_some_and(|path| is_of(path)))
            .or_else(|| self.drivers.iter().filter(|(_, path)| is_of(path)).map(|(driver, _)| *driver).min());
        let address = u32::try_from(frame.offset).ok().map(|relative_address| Address {
            relative_address,
            name: symbol.map(str::to_owned),
            fully_qualified_name: symbol.map_or_else(|| frame::line(frame), qualified),
            kind: "instruction",
        });
        Location {
            physical_location: self.physical(owner, address),
            logical_locations: logical.into_iter().collect(),
        }
    }

    fn properties(&self, driver: Option<DriverId>) -> Properties<'a> {
        let ClientId { process, thread } = self.record.context;
        let somebody = self.record.context != ClientId::default();
        let process = somebody.then(|| log::Process {
            pid: process.0,
            tid: thread.0,
            name: self.names.process(process),
        });
        Properties {
            machine: self.machine.clone(),
            time: Moment(self.record.time),
            elapsed_ns: self.names.elapsed(self.record.time),
            driver: driver.and_then(|driver| self.names.driver(driver)),
            process,
            event: self.event,
            bug_check: None,
            leak: None,
        }
    }
}

/// Rule, image and place: the function where it is known, so that it outlives a new build of the driver.
fn fingerprint(rule_id: &str, culprit: Option<&Frame<'_>>, file: Option<&str>) -> String {
    let module = culprit.and_then(frame::module).or(file).unwrap_or_default().to_ascii_lowercase();
    let place = culprit.map_or_else(String::new, |frame| {
        frame::function(frame).map_or_else(|| format!("+{:#x}", frame.offset), str::to_owned)
    });
    format!("{rule_id}|{module}|{place}")
}

fn bug_check(code: u32, parameters: [u64; 4]) -> BugCheck {
    BugCheck { code: Code(code), name: BugCheckCode(code).name(), parameters: parameters.map(Hex) }
}

/// A path's last part, in either form of path.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// An event in a few words: `image_load libc.so.6 in process 33652`.
pub(super) fn event(event: &Event<'_>, doubtful: bool) -> String {
    let name = match &event.kind {
        EventKind::ProcessPresent(process)
        | EventKind::ProcessClone(process)
        | EventKind::ProcessCreate(process) => process.image.as_ref(),
        EventKind::ImageLoad(image) => image.name.as_ref(),
        EventKind::ProcessExit(_) | EventKind::ThreadCreate(_) | EventKind::ThreadExit(_) => None,
    };
    let kind = words::event_type(&event.kind);
    let name = name.map_or_else(String::new, |name| format!(" {}", name.for_people()));
    let doubt = if doubtful { ", which would not have happened" } else { "" };
    format!("{kind}{name} in process {}{doubt}", event.process())
}
