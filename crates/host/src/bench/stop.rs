//! A dead host as the last record of its bench.

use event::{Body, ClientId, DriverId, Frame, Record, Stop, StopKind, Time};

use super::shared::Shared;
use crate::channel::InFlight;
use crate::process::{Death, Reason, Watched};

/// A loaded driver, as the records told of it.
#[derive(Clone, Debug)]
pub(super) struct Module {
    pub(super) driver: DriverId,
    pub(super) name: String,
    pub(super) base: u64,
    pub(super) size: u64,
}

/// The record that ends a bench whose host left none itself.
pub(super) fn record(shared: &Shared, death: Death, modules: &[Module], time: Time) -> Record<'static> {
    let words = shared.last_words();
    let (kind, routine, message) = match shared.reason().get() {
        Some(Reason::Hang { limit, routine }) => {
            let who = describe(*routine, modules);
            let message = format!(
                "{who} did not return within {} s, so the driver host was ended; look for a loop or a wait that nobody \
                 ends, or raise the watchdog's limit",
                limit / 1000
            );
            (StopKind::Hang, *routine, message)
        }
        Some(Reason::Damaged(damage)) => {
            let routine = shared.in_flight();
            let message = format!(
                "a driver wrote over the memory that the driver host shares with the bench ({damage}), so the host was \
                 ended; the last to run was {}",
                describe(routine, modules)
            );
            (StopKind::HostDied, routine, message)
        }
        Some(Reason::Closed) => (StopKind::HostDied, None, "the bench was closed".into()),
        None => {
            let routine = shared.in_flight();
            let words = words.map(|words| format!("; it said: {words}")).unwrap_or_default();
            let running = match routine {
                Some(_) => format!(" in {}", describe(routine, modules)),
                None => String::new(),
            };
            (StopKind::HostDied, routine, format!("the driver host {death}{running}{words}"))
        }
    };
    let stack = routine.map(|routine| frame(routine.routine, modules)).into_iter().collect();
    let stop = Stop {
        kind,
        code: 0,
        parameters: [0; 4],
        driver: routine.map(|routine| DriverId(routine.driver)),
        message: message.into(),
        registers: None,
        stack,
    };
    Record { time, context: ClientId::default(), body: Body::Stop(stop) }
}

fn describe(routine: Option<InFlight>, modules: &[Module]) -> String {
    let Some(routine) = routine else { return "a request".into() };
    let what = match routine.family {
        Some(0) => "process routine",
        Some(1) => "thread routine",
        Some(2) => "image routine",
        _ => "routine",
    };
    let frame = frame(routine.routine, modules);
    match frame.module {
        Some(module) => format!("the {what} {module}+{:#x}", frame.offset),
        None => format!("the {what} at {:#x} of driver {}", routine.routine, routine.driver),
    }
}

fn frame(address: u64, modules: &[Module]) -> Frame<'static> {
    let module = modules.iter().find(|module| address.wrapping_sub(module.base) < module.size);
    Frame {
        address,
        module: module.map(|module| module.name.clone().into()),
        offset: module.map_or(0, |module| address - module.base),
        symbol: None,
    }
}
