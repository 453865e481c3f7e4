//! The one export table: every routine and variable that drivers can import.
//!
//! An entry is made by [`export_macro::export`] next to the routine itself. Import binding
//! (`mm::sysload`), `MmGetSystemRoutineAddress` and `callboard exports` all read this table.

use std::fmt;
use std::sync::LazyLock;

use nt_abi::Since;

use crate::Config;
use crate::hash::HashMap;

/// Every exported routine and variable, in no order.
#[linkme::distributed_slice]
pub static EXPORTS: [Export];

/// One routine or variable that drivers can import.
#[derive(Debug)]
pub struct Export {
    /// The module that exports it, as its file name.
    pub module: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Where it is.
    pub address: Address,
    /// What it is.
    pub kind: Kind,
    /// The IRQL it may be called at.
    pub irql: IrqlRule,
    /// Whether it is assembly, of which nobody sees that it returns.
    pub naked: bool,
    /// The first Windows that has it.
    pub since: Since,
    /// The first sentence of its documentation.
    pub summary: &'static str,
    /// Names and types of its parameters.
    pub parameters: &'static [(&'static str, &'static str)],
    /// Where it is written.
    pub source: &'static str,
}

/// Where an export is.
#[derive(Clone, Copy)]
pub struct Address(pub *const ());

// SAFETY: the pointer is only ever an address to hand to drivers; nobody in the table reads through it.
unsafe impl Sync for Address {}
// SAFETY: as above.
unsafe impl Send for Address {}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}", self.0)
    }
}

/// What an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A routine, called with the Microsoft x64 convention.
    Code,
    /// A variable: drivers import its address.
    Data,
}

/// The IRQL a routine may be called at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqlRule {
    /// Any level.
    Any,
    /// That level or lower.
    AtMost(u8),
    /// That level only.
    Exactly(u8),
}

impl IrqlRule {
    /// Whether a call at `irql` keeps the rule.
    pub const fn allows(self, irql: u8) -> bool {
        match self {
            Self::Any => true,
            Self::AtMost(level) => irql <= level,
            Self::Exactly(level) => irql == level,
        }
    }
}

impl fmt::Display for IrqlRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, level) = match self {
            Self::Any => return f.write_str("any level"),
            Self::AtMost(level) => ("<= ", level),
            Self::Exactly(level) => ("", level),
        };
        let name = match level {
            0 => "PASSIVE_LEVEL",
            1 => "APC_LEVEL",
            2 => "DISPATCH_LEVEL",
            15 => "HIGH_LEVEL",
            other => return write!(f, "{sign}{other}"),
        };
        write!(f, "{sign}{name}")
    }
}

/// What the table says about a name.
#[derive(Clone, Copy, Debug)]
pub enum Lookup {
    /// It is there.
    Found(&'static Export),
    /// It exists, but not in this version of Windows (R-REG-01).
    NotInProfile(&'static Export),
    /// Callboard does not have it.
    Unknown,
}

/// Modules whose exports are the kernel's own, whatever a driver calls them.
fn canonical_module(module: &str) -> String {
    let module = module.to_ascii_lowercase();
    match module.as_str() {
        // The names the kernel image has had, and its companion: all one table here.
        "ntkrnlpa.exe" | "ntkrnlmp.exe" | "ntkrpamp.exe" | "hal.dll" | "ntoskrnl" | "hal" => {
            "ntoskrnl.exe".into()
        }
        _ => module,
    }
}

static INDEX: LazyLock<HashMap<(String, &'static str), &'static Export>> = LazyLock::new(|| {
    EXPORTS.iter().map(|export| ((canonical_module(export.module), export.name), export)).collect()
});

/// Looks a name up in a module, as a kernel of that configuration has it.
pub fn lookup(module: &str, name: &str, config: &Config) -> Lookup {
    match INDEX.get(&(canonical_module(module), name)) {
        Some(export) if config.choices.has(config.profile, export) => Lookup::Found(export),
        Some(export) => Lookup::NotInProfile(export),
        None => Lookup::Unknown,
    }
}

/// Every export in order of module and name.
pub fn sorted() -> Vec<&'static Export> {
    let mut all: Vec<_> = EXPORTS.iter().collect();
    all.sort_by_key(|export| (canonical_module(export.module), export.name));
    all
}

/// What drivers get for a name of the newest Windows.
#[cfg(test)]
pub(crate) fn address_of(module: &str, name: &str) -> *const () {
    match lookup(module, name, &Config::default()) {
        Lookup::Found(export) => export.address.0,
        other => panic!("{name}: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use nt_abi::Profile;

    use super::*;

    #[test]
    fn no_name_is_exported_twice() {
        assert_eq!(INDEX.len(), EXPORTS.len());
    }

    #[test]
    fn r_reg_01_c16_a_routine_of_a_later_windows_is_not_found() {
        let config = |profile| Config { profile, ..Config::default() };
        let name = "PsSetLoadImageNotifyRoutineEx";
        let found = lookup("ntoskrnl.exe", name, &config(Profile::Win10_1709));
        assert!(matches!(found, Lookup::Found(_)));
        let mut early = config(Profile::Win10_1703);
        assert!(matches!(lookup("NTOSKRNL.EXE", name, &early), Lookup::NotInProfile(_)));
        assert!(matches!(lookup("ntoskrnl.exe", "NoSuchRoutine", &Config::default()), Lookup::Unknown));
        // C16: the column of the server says 1607.
        early.choices.set("newest-routines", "server").unwrap();
        assert!(matches!(lookup("ntoskrnl.exe", name, &early), Lookup::Found(_)));
        // Its other half can be seen on 1607 only, which no client's column names.
        let process = "PsSetCreateProcessNotifyRoutineEx2";
        early.profile = Profile::Win10_1607;
        assert!(matches!(lookup("ntoskrnl.exe", process, &early), Lookup::Found(_)));
        let by_client = config(Profile::Win10_1607);
        assert!(matches!(lookup("ntoskrnl.exe", process, &by_client), Lookup::NotInProfile(_)));
        assert!(matches!(lookup("ntoskrnl.exe", "PsIsHostSilo", &by_client), Lookup::Found(_)));
        early.profile = Profile::Win10_1507;
        assert!(matches!(lookup("ntoskrnl.exe", name, &early), Lookup::NotInProfile(_)));
    }
}
