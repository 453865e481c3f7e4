//! Exports that lead to exports of other modules.

use crate::bind::Symbol;
use crate::exports::ForwardSymbol;
use crate::limits::MAX_FORWARDS;
use crate::mapped::MappedImage;
use crate::{Export, ExportTarget};
use thiserror::Error;

/// What a module answers when it is asked for one of its exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The address.
    Address(usize),
    /// Ask there instead.
    Forward {
        /// The other module as the forwarder spells it, mostly without an extension.
        module: String,
        /// What is meant there.
        symbol: ForwardSymbol,
    },
    /// The module has no such export.
    NoExport,
    /// There is no such module.
    NoModule,
}

/// The modules that there are: the kernel's own table and mapped images.
pub trait Modules {
    /// Asks `module` for `symbol`. Names of modules are compared without regard to case, and a name
    /// without an extension means the module whose name begins with it.
    fn lookup(&self, module: &str, symbol: Symbol<'_>) -> Lookup;
}

/// An export that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ForwardError {
    /// A module that does not exist.
    #[error("{module} is not loaded (needed for {symbol})")]
    NoModule {
        /// The module.
        module: String,
        /// What was wanted.
        symbol: String,
    },
    /// A module without the export.
    #[error("{module} does not export {symbol}")]
    NoExport {
        /// The module.
        module: String,
        /// What was wanted.
        symbol: String,
    },
    /// Forwarders that lead in a circle, or through more modules than any sane chain.
    #[error("forwarders of {module}!{symbol} do not end after {MAX_FORWARDS} steps")]
    Endless {
        /// Where the chain began.
        module: String,
        /// What was wanted there.
        symbol: String,
    },
}

/// The address of `symbol` of `module`, through as many forwarders as it takes.
///
/// # Errors
/// [`ForwardError`] names the module at which the chain ends, or the start of one that does not end.
pub fn resolve(
    modules: &(impl Modules + ?Sized),
    module: &str,
    symbol: Symbol<'_>,
) -> Result<usize, ForwardError> {
    let mut at = (module.to_owned(), OwnedSymbol::from(symbol));
    // Counting finds circles too, at the price of a few more lookups.
    for _ in 0..=MAX_FORWARDS {
        let (module, symbol) = &at;
        match modules.lookup(module, symbol.borrow()) {
            Lookup::Address(address) => return Ok(address),
            Lookup::Forward { module, symbol } => at = (module, symbol.into()),
            Lookup::NoExport => {
                return Err(ForwardError::NoExport {
                    module: module.clone(),
                    symbol: symbol.borrow().to_string(),
                });
            }
            Lookup::NoModule => {
                return Err(ForwardError::NoModule {
                    module: module.clone(),
                    symbol: symbol.borrow().to_string(),
                });
            }
        }
    }
    Err(ForwardError::Endless { module: module.to_owned(), symbol: symbol.to_string() })
}

impl MappedImage {
    /// What this image answers when it is asked for `symbol`.
    #[must_use]
    pub fn lookup(&self, symbol: Symbol<'_>) -> Lookup {
        let export = match symbol {
            Symbol::Name { name, .. } => self.exports().by_name(name),
            Symbol::Ordinal(ordinal) => self.exports().by_ordinal(ordinal.into()),
        };
        match export {
            None => Lookup::NoExport,
            Some(Export { target: ExportTarget::Rva(rva), .. }) => {
                self.address(*rva).map_or(Lookup::NoExport, Lookup::Address)
            }
            Some(Export { target: ExportTarget::Forward { module, symbol }, .. }) => {
                Lookup::Forward { module: module.clone(), symbol: symbol.clone() }
            }
        }
    }
}

enum OwnedSymbol {
    Name(String, u16),
    Ordinal(u16),
}

impl OwnedSymbol {
    fn borrow(&self) -> Symbol<'_> {
        match self {
            Self::Name(name, hint) => Symbol::Name { name, hint: *hint },
            Self::Ordinal(ordinal) => Symbol::Ordinal(*ordinal),
        }
    }
}

impl From<Symbol<'_>> for OwnedSymbol {
    fn from(symbol: Symbol<'_>) -> Self {
        match symbol {
            Symbol::Name { name, hint } => Self::Name(name.to_owned(), hint),
            Symbol::Ordinal(ordinal) => Self::Ordinal(ordinal),
        }
    }
}

impl From<ForwardSymbol> for OwnedSymbol {
    fn from(symbol: ForwardSymbol) -> Self {
        match symbol {
            ForwardSymbol::Name(name) => Self::Name(name, 0),
            ForwardSymbol::Ordinal(ordinal) => Self::Ordinal(ordinal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    struct Table(HashMap<(&'static str, &'static str), Lookup>);

    impl Modules for Table {
        fn lookup(&self, module: &str, symbol: Symbol<'_>) -> Lookup {
            if !self.0.keys().any(|(known, _)| *known == module) {
                return Lookup::NoModule;
            }
            let wanted = symbol.to_string();
            let found = self.0.iter().find(|((known, name), _)| *known == module && *name == wanted);
            found.map_or(Lookup::NoExport, |(_, lookup)| lookup.clone())
        }
    }

    fn forward(module: &str, symbol: ForwardSymbol) -> Lookup {
        Lookup::Forward { module: module.into(), symbol }
    }

    fn named(name: &str) -> Symbol<'_> {
        Symbol::Name { name, hint: 0 }
    }

    #[test]
    fn forwarders_are_followed_to_their_end() {
        let table = Table(HashMap::from([
            (("a", "f"), forward("b", ForwardSymbol::Ordinal(7))),
            (("b", "#7"), forward("c", ForwardSymbol::Name("g".into()))),
            (("c", "g"), Lookup::Address(0x1234)),
            (("a", "gone"), forward("c", ForwardSymbol::Name("h".into()))),
            (("a", "nowhere"), forward("d", ForwardSymbol::Name("h".into()))),
            (("a", "x"), forward("b", ForwardSymbol::Name("y".into()))),
            (("b", "y"), forward("a", ForwardSymbol::Name("x".into()))),
        ]));
        assert_eq!(resolve(&table, "a", named("f")), Ok(0x1234));
        assert_eq!(resolve(&table, "b", Symbol::Ordinal(7)), Ok(0x1234));
        let no_export = ForwardError::NoExport { module: "c".into(), symbol: "h".into() };
        assert_eq!(resolve(&table, "a", named("gone")), Err(no_export));
        let no_module = ForwardError::NoModule { module: "d".into(), symbol: "h".into() };
        assert_eq!(resolve(&table, "a", named("nowhere")), Err(no_module));
        let endless = ForwardError::Endless { module: "a".into(), symbol: "x".into() };
        assert_eq!(resolve(&table, "a", named("x")), Err(endless));
    }
}
