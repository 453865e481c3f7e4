//! The configuration manager: the registry, in memory.
//!
//! ```text
//!   ZwOpenKey … ──▶ key.rs value.rs query.rs ──▶ tree.rs (keys and values)
//!        │               answer.rs: into buffers      ▲
//!        ▼                                            │ hive.rs: what is there from the start
//!   callback.rs: CmRegisterCallback…      service.rs: set_service_value
//!   rtl_registry.rs: RtlQueryRegistryValues and its family
//! ```

mod answer;
pub mod callback;
mod hive;
pub(crate) mod instances;
pub mod key;
mod operation;
pub mod query;
pub mod rtl_registry;
mod service;
mod tree;
pub mod value;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Config;
pub use service::RegistryValue;

/// What the component keeps.
#[derive(Debug)]
pub(crate) struct State {
    tree: Mutex<tree::Tree>,
    /// What drivers registered.
    pub(crate) callbacks: crate::ob::interceptors::Table<callback::Callback>,
}

impl State {
    pub(crate) fn new(config: &Config) -> Self {
        let now = crate::ke::time::now().0;
        Self {
            tree: Mutex::new(hive::build(config.profile, now)),
            callbacks: crate::ob::interceptors::Table::default(),
        }
    }

    /// The registry. Held for a moment, never while driver code runs.
    fn tree(&self) -> MutexGuard<'_, tree::Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a driver's service, as DriverEntry is given it.
pub(crate) fn service_key(name: &str) -> String {
    format!(r"\Registry\Machine\System\CurrentControlSet\Services\{name}")
}

#[cfg(test)]
pub(crate) mod tests;
