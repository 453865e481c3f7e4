//! Binding: who imports what, and from whom.

use crate::imports::ImportName;
use std::fmt;

/// What an image asks another module for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Symbol<'a> {
    /// By name, with the linker's hint.
    Name {
        /// The name; case matters.
        name: &'a str,
        /// Index hint.
        hint: u16,
    },
    /// By ordinal.
    Ordinal(u16),
}

impl<'a> From<&'a ImportName> for Symbol<'a> {
    fn from(name: &'a ImportName) -> Self {
        match name {
            ImportName::Name { name, hint } => Self::Name { name, hint: *hint },
            ImportName::Ordinal(ordinal) => Self::Ordinal(*ordinal),
        }
    }
}

impl fmt::Display for Symbol<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name, .. } => f.write_str(name),
            Self::Ordinal(ordinal) => write!(f, "#{ordinal}"),
        }
    }
}

/// The answer to an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The routine or variable.
    Address(usize),
    /// Nobody implements it: this address stands in for it, and the image remembers that it is missing.
    Missing(usize),
}

/// Who knows the addresses of imports.
pub trait Resolver {
    /// The address of `symbol` of `module`, which is spelled as the image spells it (mostly lower
    /// case with its extension, but neither is certain).
    fn resolve(&mut self, module: &str, symbol: Symbol<'_>) -> Resolution;
}

impl<F: FnMut(&str, Symbol<'_>) -> Resolution> Resolver for F {
    fn resolve(&mut self, module: &str, symbol: Symbol<'_>) -> Resolution {
        self(module, symbol)
    }
}

/// An import that nobody implements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingImport {
    /// The module.
    pub module: String,
    /// What is missing.
    pub name: ImportName,
    /// RVA of its slot.
    pub iat_rva: u32,
}
