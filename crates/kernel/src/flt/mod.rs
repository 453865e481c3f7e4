//! The filter manager: FLTMGR.SYS, as far as drivers that watch processes use it.
//!
//! ```text
//!   filter.rs  FltRegisterFilter … FltUnregisterFilter      object.rs  filters, instances, volumes, references
//!   attach.rs  instances on the volume                      volume.rs  what a volume is asked
//!   name.rs    FltGetFileNameInformation…  ──▶ parse.rs     context.rs contexts ──▶ attach to what: link.rs
//!   port.rs    communication ports                          security.rs  their descriptors
//!   file.rs    files   data.rs  callback data   lock.rs  push locks   misc.rs  the rest
//! ```
//!
//! There is one volume, `VOLUME`, with NTFS on it. File operations are no events of a bench, so no pre- and
//! post-operation callback is ever called; filters, instances, contexts, names and ports are real.

pub mod attach;
pub mod context;
pub mod data;
pub mod file;
pub mod filter;
pub mod link;
pub mod lock;
pub mod misc;
pub mod name;
pub mod object;
pub mod parse;
pub mod port;
pub mod security;
pub mod volume;

#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{Body, Leak, LeakKind};

use crate::io::Driver;
use crate::ob::Ref;
use crate::{Config, Kernel};

/// The one volume.
pub(crate) const VOLUME: &str = r"\Device\HarddiskVolume1";

/// What the filter manager keeps.
#[derive(Debug)]
pub(crate) struct State {
    /// Every filter that was ever registered: an address that a driver kept too long must not become another one's.
    filters: Mutex<Vec<Ref<object::Filter>>>,
    volume: Ref<object::Volume>,
    pub(crate) contexts: context::Contexts,
    pub(crate) names: name::Names,
    pub(crate) ports: port::Ports,
}

impl State {
    pub(crate) fn new(_: &Config) -> Self {
        Self {
            filters: Mutex::default(),
            volume: object::Volume::make(VOLUME),
            contexts: context::Contexts::default(),
            names: name::Names::default(),
            ports: port::Ports::default(),
        }
    }

    fn filters(&self) -> MutexGuard<'_, Vec<Ref<object::Filter>>> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a driver's image imports from the filter manager.
pub(crate) fn uses_filter_manager(file: &pe_image::PeFile<'_>) -> bool {
    let all = file.imports.iter().chain(&file.delay_imports);
    all.into_iter().any(|module| module.module.eq_ignore_ascii_case("FLTMGR.SYS"))
}

/// Gives a minifilter the registry entries of an installation, where nobody has: without, FltRegisterFilter fails.
pub(crate) fn install(kernel: &Kernel, driver: &Driver) {
    let Some(altitude) = kernel.make_instances_key(&driver.name, driver.id.0) else { return };
    let text = format!(
        "{} is a minifilter whose service has no Instances key: it got one with the altitude {altitude}",
        driver.name
    );
    kernel.note(event::Level::Info, &text);
}

/// Says what an unloaded driver left with the filter manager (L-14, L-18).
pub(crate) fn report_leaks(kernel: &Kernel, driver: &Driver) {
    let leak = |what: String, count: u64| {
        kernel.record(Body::Leak(Leak {
            driver: driver.id,
            kind: LeakKind::Other,
            what: what.into(),
            count,
            bytes: 0,
        }));
    };
    for filter in
        kernel.flt.filters().iter().filter(|filter| filter.owner == Some(driver.id) && !filter.is_gone())
    {
        leak(format!("minifilter {}", filter.name), 1);
        let message = format!(
            "{} was unloaded with its minifilter still registered; the filter manager goes on calling freed code: call \
             FltUnregisterFilter in the FilterUnloadCallback, and when DriverEntry fails",
            driver.name
        );
        kernel.finding_of(
            Some(driver.id),
            &crate::rule::L_18,
            &message,
            Some(crate::ke::stop::unloaded_code(0)),
        );
    }
    let contexts = kernel.flt.contexts.owned_by(driver.id);
    if contexts > 0 {
        leak("filter context that was never released with FltReleaseContext".into(), contexts);
    }
    for left in kernel.flt.names.ledger.take_of(driver.id, |_| {}) {
        let names = left.count();
        leak("file name information that was never released".into(), names);
        let message = format!(
            "the driver was unloaded with {names} file name information that {} at {} gave it and that it has not released: \
             call FltReleaseFileNameInformation once for each",
            left.routine, left.site
        );
        kernel.finding_at(Some(driver.id), &crate::rule::L_14, &message, None, left.site.frames());
    }
    for port in kernel.flt.ports.owned_by(driver.id) {
        leak(format!("communication port {port}"), 1);
    }
}
