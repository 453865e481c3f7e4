//! The object manager: objects with reference counts, handles, and the name space.
//!
//! ```text
//!   object.rs  header, types, reference counts      handle.rs  handle tables
//!   name.rs    the directory of names               attributes.rs  OBJECT_ATTRIBUTES
//!   reference.rs  the Ob… routines on references    types.rs       PsProcessType and the other types
//!   open.rs    opening by pointer and by name       close.rs       ZwClose
//!   query.rs   names and types of objects           access.rs      generic rights
//!   callback.rs  ObRegisterCallbacks                interceptors.rs  callbacks in order of altitude
//!   ledger.rs  the references that drivers hold     leaks.rs       what an unloaded one left behind
//! ```

pub(crate) mod access;
pub(crate) mod attributes;
pub mod callback;
pub mod close;
pub(crate) mod handle;
pub(crate) mod interceptors;
pub(crate) mod leaks;
pub(crate) mod ledger;
pub mod name;
pub mod object;
pub mod open;
pub mod query;
pub mod reference;
pub mod types;

pub use object::{ObjectType, Ref};
pub(crate) use object::{create, dereference, type_of};

use crate::Config;

/// What the object manager keeps.
#[derive(Debug)]
pub(crate) struct State {
    /// Every open handle.
    pub(crate) handles: handle::Handles,
    /// The references that drivers hold.
    pub(crate) ledger: ledger::Ledger,
    /// The name space.
    pub(crate) names: name::Names,
    /// What `ObRegisterCallbacks` registered.
    pub(crate) callbacks: interceptors::Table<callback::Registration>,
}

impl State {
    pub(crate) fn new(_: &Config) -> Self {
        Self {
            handles: handle::Handles::default(),
            ledger: ledger::Ledger::default(),
            names: name::Names::new(),
            callbacks: interceptors::Table::default(),
        }
    }
}

#[cfg(test)]
mod tests;
