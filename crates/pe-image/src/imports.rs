//! What an image imports, and the slots that its imports are bound into.

use crate::error::PeError;
use crate::header::Headers;
use crate::layout::Layout;
use crate::limits::{MAX_IMPORT_MODULES, MAX_IMPORTS, MAX_NAME_BYTES};
use object::LittleEndian as LE;
use object::pe;
use std::fmt;

/// What an import is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ImportName {
    /// By name; `hint` is where the linker found it in the exporting module's name table.
    Name {
        /// The exported name.
        name: String,
        /// Index hint.
        hint: u16,
    },
    /// By ordinal.
    Ordinal(u16),
}

impl fmt::Display for ImportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name, .. } => f.write_str(name),
            Self::Ordinal(ordinal) => write!(f, "#{ordinal}"),
        }
    }
}

/// One import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// What it is called.
    pub name: ImportName,
    /// The 8-byte slot that gets its address (import address table).
    pub iat_rva: u32,
}

/// What is imported from one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportModule {
    /// The module's file name as the image spells it, such as `ntoskrnl.exe`.
    pub module: String,
    /// Its imports in the order of the table.
    pub imports: Vec<Import>,
}

/// Budgets that all tables of a file share, so that tables which overlap each other stay bounded.
struct Budget {
    imports: usize,
    name_bytes: usize,
}

/// The import directory.
pub(crate) fn read(headers: &Headers<'_>) -> Result<Vec<ImportModule>, PeError> {
    let Some(directory) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_IMPORT) else { return Ok(Vec::new()) };
    let layout = &headers.layout;
    let mut budget = Budget { imports: MAX_IMPORTS, name_bytes: MAX_NAME_BYTES };
    let mut modules = Vec::new();
    // The directory's size is not what ends the table: a descriptor of zeros does, as for NT.
    for rva in (directory.rva..=u32::MAX).step_by(size_of::<pe::ImageImportDescriptor>()) {
        let what = "the import directory";
        let descriptor: pe::ImageImportDescriptor = layout.pod::<_, 20>(rva, what, directory.at)?;
        if descriptor.is_null() || descriptor.name.get(LE) == 0 {
            break;
        }
        let at = layout.offset(rva);
        if modules.len() == MAX_IMPORT_MODULES {
            return Err(PeError::TooMany {
                what: "imported modules",
                offset: at,
                limit: MAX_IMPORT_MODULES as u64,
            });
        }
        let module = layout.name(descriptor.name.get(LE), "the name of an imported module", at)?.to_owned();
        let first = descriptor.first_thunk.get(LE);
        let names = match descriptor.original_first_thunk.get(LE) {
            0 => first,
            names => names,
        };
        let imports = thunks(layout, names, first, at, &mut budget)?;
        modules.push(ImportModule { module, imports });
    }
    Ok(modules)
}

/// The delay import directory. NT does not bind these at load; they are listed for people.
pub(crate) fn read_delayed(headers: &Headers<'_>) -> Result<Vec<ImportModule>, PeError> {
    let Some(directory) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT) else {
        return Ok(Vec::new());
    };
    let layout = &headers.layout;
    let mut budget = Budget { imports: MAX_IMPORTS, name_bytes: MAX_NAME_BYTES };
    let mut modules = Vec::new();
    for rva in (directory.rva..=u32::MAX).step_by(size_of::<pe::ImageDelayloadDescriptor>()) {
        let what = "the delay import directory";
        let descriptor: pe::ImageDelayloadDescriptor = layout.pod::<_, 32>(rva, what, directory.at)?;
        if descriptor.is_null() || descriptor.dll_name_rva.get(LE) == 0 {
            break;
        }
        let at = layout.offset(rva);
        if modules.len() == MAX_IMPORT_MODULES {
            return Err(PeError::TooMany {
                what: "delay-imported modules",
                offset: at,
                limit: MAX_IMPORT_MODULES as u64,
            });
        }
        let name = descriptor.dll_name_rva.get(LE);
        let module = layout.name(name, "the name of a delay-imported module", at)?.to_owned();
        let (names, slots) =
            (descriptor.import_name_table_rva.get(LE), descriptor.import_address_table_rva.get(LE));
        let imports = thunks(layout, names, slots, at, &mut budget)?;
        modules.push(ImportModule { module, imports });
    }
    Ok(modules)
}

/// One table of thunks; slot *i* of `slots` belongs to entry *i* of `names`.
fn thunks(
    layout: &Layout<'_>,
    names: u32,
    slots: u32,
    at: u64,
    budget: &mut Budget,
) -> Result<Vec<Import>, PeError> {
    let mut imports = Vec::new();
    for index in 0u32.. {
        let step = |rva: u32| index.checked_mul(8).and_then(|offset| rva.checked_add(offset));
        let outside = |what, rva| PeError::OutOfRange { what, offset: at, rva, size: 8 };
        let entry = step(names).ok_or_else(|| outside("an import name table", names))?;
        let thunk = layout.u64(entry, "an import name table", at)?;
        if thunk == 0 {
            break;
        }
        budget.imports = budget.imports.checked_sub(1).ok_or(PeError::TooMany {
            what: "imports",
            offset: at,
            limit: MAX_IMPORTS as u64,
        })?;
        let iat_rva = step(slots).filter(|&slot| layout.is_mapped(slot, 8));
        let iat_rva = iat_rva.ok_or_else(|| outside("a slot of an import address table", slots))?;
        imports.push(Import { name: name(layout, thunk, layout.offset(entry), budget)?, iat_rva });
    }
    Ok(imports)
}

fn name(layout: &Layout<'_>, thunk: u64, at: u64, budget: &mut Budget) -> Result<ImportName, PeError> {
    if thunk & pe::IMAGE_ORDINAL_FLAG64 != 0 {
        let [low, high, ..] = thunk.to_le_bytes();
        return Ok(ImportName::Ordinal(u16::from_le_bytes([low, high])));
    }
    let rva = u32::try_from(thunk).ok().filter(|rva| *rva <= 0x7FFF_FFFF);
    let rva = rva.ok_or(PeError::BadValue {
        what: "an import",
        offset: at,
        found: thunk,
        expected: "an RVA of 31 bits or an ordinal with the top bit set",
    })?;
    let hint = layout.array::<2>(rva).map(u16::from_le_bytes);
    let hint = hint.ok_or(PeError::OutOfRange { what: "an import's hint", offset: at, rva, size: 2 })?;
    let name = layout.name(rva + 2, "an import", at)?;
    budget.name_bytes = budget.name_bytes.checked_sub(name.len()).ok_or(PeError::TooMany {
        what: "bytes of import names",
        offset: at,
        limit: MAX_NAME_BYTES as u64,
    })?;
    Ok(ImportName::Name { name: name.to_owned(), hint })
}
