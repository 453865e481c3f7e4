//! RVA → name, file and line: from a PDB beside the driver, else from the COFF symbols that MinGW
//! leaves in the file, else from the exports.

use crate::bytes::printable;
use crate::exports::ExportTarget;
use crate::file::PeFile;
use crate::section::Section;
use object::read::pe::PeFile64;
use object::{Object, ObjectSymbol, SymbolKind};
use pdb_addr2line::pdb::PDB;
use pdb_addr2line::{ContextPdbData, TypeFormatterFlags};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where names come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SymbolSource {
    /// A PDB.
    Pdb(PathBuf),
    /// The symbol table in the file.
    Coff,
    /// The export table.
    Exports,
}

/// What an address is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The function (or variable) it is in.
    pub name: String,
    /// Bytes from the start of that.
    pub offset: u32,
    /// Source file as the compiler named it.
    pub file: Option<String>,
    /// Line in it.
    pub line: Option<u32>,
}

/// Why a PDB beside the driver is not used, or used with doubt.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SymbolsError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The PDB.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no PDB that can be understood. Not used.
    #[error("{} is not usable: {why}", path.display())]
    Pdb {
        /// The PDB.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It belongs to another build. Not used: its names would be wrong.
    #[error("{} belongs to another build: its GUID is {found}, the driver's {expected}", path.display())]
    GuidMismatch {
        /// The PDB.
        path: PathBuf,
        /// GUID of the PDB.
        found: String,
        /// GUID in the driver.
        expected: String,
    },
    /// It is older than the driver. Used: the GUID is right.
    #[error("{} was written {found} times, the driver expects {expected}: names may be off", path.display())]
    AgeMismatch {
        /// The PDB.
        path: PathBuf,
        /// Age of the PDB.
        found: u32,
        /// Age in the driver.
        expected: u32,
    },
}

/// A name as its source has it: the end is not always known.
struct Start {
    start: u32,
    end: Option<u32>,
    name: String,
}

#[derive(Debug)]
struct Name {
    start: u32,
    end: u32,
    name: String,
}

/// Names for the addresses of one image.
pub struct Symbols {
    source: SymbolSource,
    warning: Option<SymbolsError>,
    names: Vec<Name>,
    pdb: Option<ContextPdbData<'static, 'static, File>>,
}

impl std::fmt::Debug for Symbols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Symbols")
            .field("source", &self.source)
            .field("names", &self.names.len())
            .finish_non_exhaustive()
    }
}

/// Names without types and arguments: a stack is read by people.
fn flags() -> TypeFormatterFlags {
    TypeFormatterFlags::default() | TypeFormatterFlags::NO_FUNCTION_RETURN | TypeFormatterFlags::NO_ARGUMENTS
}

impl Symbols {
    /// The best names for `file`, which was read from `driver`: of a PDB beside it (with the driver's
    /// file name, or the name that the driver itself gives), of its symbol table, of its exports.
    #[must_use]
    pub fn beside(driver: &Path, file: &PeFile<'_>) -> Self {
        let mut warning = None;
        if let Some(path) = find_pdb(driver, file) {
            match Self::from_pdb(&path, file) {
                Ok(symbols) => return symbols,
                Err(error) => warning = Some(error),
            }
        }
        Self { warning, ..Self::inside(file) }
    }

    /// The names that the file itself holds.
    #[must_use]
    pub fn inside(file: &PeFile<'_>) -> Self {
        let coff = coff_names(file);
        let (source, starts) = if coff.is_empty() {
            (SymbolSource::Exports, export_names(file))
        } else {
            (SymbolSource::Coff, coff)
        };
        Self { source, warning: None, names: with_ends(starts, file.sections()), pdb: None }
    }

    /// The names of a PDB.
    ///
    /// # Errors
    /// [`SymbolsError`] if it cannot be read or belongs to another build. A wrong age is only
    /// remembered, see [`Self::warning`].
    pub fn from_pdb(path: &Path, file: &PeFile<'_>) -> Result<Self, SymbolsError> {
        let reader = File::open(path).map_err(|source| SymbolsError::Io { path: path.into(), source })?;
        // The PDB reader is not made for hostile files; a driver's report must not die of its PDB.
        let read = catch_unwind(AssertUnwindSafe(|| read_pdb(path, reader, file)));
        read.unwrap_or_else(|_| Err(SymbolsError::Pdb { path: path.into(), why: "it is broken".into() }))
    }

    /// Where the names come from.
    #[must_use]
    pub fn source(&self) -> &SymbolSource {
        &self.source
    }

    /// What was wrong with the PDB, if anything.
    #[must_use]
    pub fn warning(&self) -> Option<&SymbolsError> {
        self.warning.as_ref()
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether nothing has a name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// What `rva` is in. Opens the PDB's line tables anew: for a whole stack use [`Self::lookup_all`].
    #[must_use]
    pub fn lookup(&self, rva: u32) -> Option<Location> {
        self.lookup_all(&[rva]).pop().flatten()
    }

    /// What each of `rvas` is in.
    #[must_use]
    pub fn lookup_all(&self, rvas: &[u32]) -> Vec<Option<Location>> {
        let mut found: Vec<_> = rvas.iter().map(|&rva| self.name(rva)).collect();
        if let Some(pdb) = &self.pdb {
            // What the line tables say before they turn out to be broken is kept.
            let _ = catch_unwind(AssertUnwindSafe(|| add_lines(pdb, rvas, &mut found)));
        }
        found
    }

    fn name(&self, rva: u32) -> Option<Location> {
        let after = self.names.partition_point(|name| name.start <= rva);
        let name = self.names.get(after.checked_sub(1)?).filter(|name| rva < name.end)?;
        Some(Location { name: name.name.clone(), offset: rva - name.start, file: None, line: None })
    }
}

fn read_pdb(path: &Path, reader: File, file: &PeFile<'_>) -> Result<Symbols, SymbolsError> {
    let broken = |why: String| SymbolsError::Pdb { path: path.into(), why };
    let mut pdb = PDB::open(reader).map_err(|error| broken(error.to_string()))?;
    let information = pdb.pdb_information().map_err(|error| broken(error.to_string()))?;
    let stored_age = pdb.debug_information().ok().and_then(|dbi| dbi.age()).unwrap_or(information.age);
    let mut warning = None;
    if let Some(expected) = &file.code_view {
        let (a, b, c, d) = expected.guid_fields();
        let (fa, fb, fc, fd) = information.guid.as_fields();
        if (a, b, c, &d) != (fa, fb, fc, fd) {
            let (found, expected) = (information.guid.to_string(), expected.guid_text());
            return Err(SymbolsError::GuidMismatch { path: path.into(), found, expected });
        }
        if stored_age < expected.age {
            warning = Some(SymbolsError::AgeMismatch {
                path: path.into(),
                found: stored_age,
                expected: expected.age,
            });
        }
    }
    let data = ContextPdbData::try_from_pdb(pdb).map_err(|error| broken(error.to_string()))?;
    let context =
        data.make_context_with_formatter_flags(flags()).map_err(|error| broken(error.to_string()))?;
    let named = context.functions().filter_map(|function| {
        let (start, end) = (function.start_rva, function.end_rva);
        function.name.map(|name| Start { start, end, name: printable(name.as_bytes()) })
    });
    let names = with_ends(named.collect(), file.sections());
    drop(context);
    Ok(Symbols { source: SymbolSource::Pdb(path.into()), warning, names, pdb: Some(data) })
}

fn add_lines(pdb: &ContextPdbData<'static, 'static, File>, rvas: &[u32], found: &mut [Option<Location>]) {
    let Ok(context) = pdb.make_context_with_formatter_flags(flags()) else { return };
    for (rva, location) in rvas.iter().zip(found) {
        let (Some(location), Ok(Some(frames))) = (location, context.find_frames(*rva)) else { continue };
        // The innermost frame holds the line that was being executed, inlined or not.
        if let Some(frame) = frames.frames.first() {
            location.file = frame.file.as_ref().map(|file| printable(file.as_bytes()));
            location.line = frame.line;
        }
    }
}

/// The PDB beside the driver, whatever the case of its name.
fn find_pdb(driver: &Path, file: &PeFile<'_>) -> Option<PathBuf> {
    let directory = driver.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let own = driver.with_extension("pdb").file_name().map(OsStr::to_owned);
    let recorded = file.code_view.as_ref().map(|view| OsStr::new(view.file_name()).to_owned());
    let candidates: Vec<_> = recorded.into_iter().chain(own).filter(|name| !name.is_empty()).collect();
    let exact = candidates.iter().map(|name| directory.join(name)).find(|path| path.is_file());
    exact.or_else(|| {
        let same = |name: &OsStr| candidates.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
        let entries = fs::read_dir(directory).ok()?.filter_map(Result::ok);
        entries.map(|entry| entry.path()).find(|path| path.file_name().is_some_and(same) && path.is_file())
    })
}

fn coff_names(file: &PeFile<'_>) -> Vec<Start> {
    let Ok(object) = PeFile64::parse(file.data()) else { return Vec::new() };
    let useful = |kind| matches!(kind, SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown);
    let symbols =
        object.symbols().filter(|s| s.is_definition() && useful(s.kind()) && s.section_index().is_some());
    let mut functions_first: Vec<_> = symbols.collect();
    functions_first.sort_by_key(|symbol| symbol.kind() != SymbolKind::Text);
    let names = functions_first
        .into_iter()
        .filter_map(|symbol| {
            let rva = u32::try_from(symbol.address().checked_sub(file.image_base)?).ok()?;
            let name = symbol.name().ok()?;
            // Section names and the linker's own marks hide the functions that begin with them.
            let noise = name.is_empty()
                || name.starts_with('.')
                || name.starts_with("__imp_")
                || (name.starts_with("__") && symbol.kind() != SymbolKind::Text)
                || name.len() > 512
                || name.contains(char::is_control);
            (!noise && file.layout().section(rva).is_some()).then(|| Start {
                start: rva,
                end: None,
                name: name.to_owned(),
            })
        })
        .take(crate::limits::MAX_FUNCTIONS);
    names.collect()
}

fn export_names(file: &PeFile<'_>) -> Vec<Start> {
    let named = file.exports.iter().filter_map(|export| match export.target {
        ExportTarget::Rva(start) => {
            let name = export.names.first().cloned().unwrap_or_else(|| format!("#{}", export.ordinal));
            Some(Start { start, end: None, name })
        }
        ExportTarget::Forward { .. } => None,
    });
    // Better than nothing at the place that every stack begins with.
    let entry = file.entry.map(|start| Start { start, end: None, name: "entry point".to_owned() });
    named.chain(entry).collect()
}

/// A name reaches to its own end, else to the next one, at most to the end of its section. The first
/// name of a place wins.
fn with_ends(mut starts: Vec<Start>, sections: &[Section]) -> Vec<Name> {
    starts.sort_by_key(|name| name.start);
    starts.dedup_by_key(|name| name.start);
    let nexts: Vec<u32> = starts.iter().skip(1).map(|name| name.start).chain([u32::MAX]).collect();
    let limit = |rva: u32| {
        let section = sections.iter().find(|section| section.contains(rva));
        section.map_or(rva, |section| u32::try_from(section.end()).unwrap_or(u32::MAX))
    };
    let ended = starts.into_iter().zip(nexts).map(|(Start { start, end, name }, next)| {
        let end = end.unwrap_or(next).min(next).min(limit(start));
        Name { start, end, name }
    });
    ended.collect()
}
