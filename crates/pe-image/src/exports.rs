//! What an image exports: by name, by ordinal, forwarded to other modules.

use crate::error::PeError;
use crate::header::{Directory, Headers};
use crate::layout::Layout;
use crate::limits::{MAX_EXPORTS, MAX_NAME_BYTES};
use object::LittleEndian as LE;
use object::pe;
use std::collections::HashMap;
use std::fmt;

/// What a forwarder names in the other module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardSymbol {
    /// `module.name`
    Name(String),
    /// `module.#ordinal`
    Ordinal(u16),
}

impl fmt::Display for ForwardSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ordinal(ordinal) => write!(f, "#{ordinal}"),
        }
    }
}

/// Where an export leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ExportTarget {
    /// Code or data of this image.
    Rva(u32),
    /// An export of another module.
    Forward {
        /// The module as the forwarder spells it: mostly without an extension.
        module: String,
        /// What is meant there.
        symbol: ForwardSymbol,
    },
}

/// One export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its ordinal, the table's base included.
    pub ordinal: u32,
    /// Its names in the order of the table: none if it is exported by ordinal only.
    pub names: Vec<String>,
    /// Where it leads.
    pub target: ExportTarget,
}

/// The exports of an image.
#[derive(Debug, Clone, Default)]
pub struct ExportTable {
    /// The module's name as its linker wrote it.
    pub module: Option<String>,
    exports: Vec<Export>,
    by_name: HashMap<String, usize>,
}

impl ExportTable {
    /// The exports in ascending order of their ordinals.
    pub fn iter(&self) -> std::slice::Iter<'_, Export> {
        self.exports.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exports.len()
    }

    /// Whether nothing is exported.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exports.is_empty()
    }

    /// The export called `name`; case matters, as in NT.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Export> {
        self.exports.get(*self.by_name.get(name)?)
    }

    /// The export with this ordinal.
    #[must_use]
    pub fn by_ordinal(&self, ordinal: u32) -> Option<&Export> {
        let index = self.exports.binary_search_by_key(&ordinal, |export| export.ordinal).ok()?;
        self.exports.get(index)
    }
}

impl<'t> IntoIterator for &'t ExportTable {
    type Item = &'t Export;
    type IntoIter = std::slice::Iter<'t, Export>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The export directory.
pub(crate) fn read(headers: &Headers<'_>) -> Result<ExportTable, PeError> {
    let Some(directory) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_EXPORT) else {
        return Ok(ExportTable::default());
    };
    let layout = &headers.layout;
    let table: pe::ImageExportDirectory =
        layout.pod::<_, 40>(directory.rva, "the export directory", directory.at)?;
    let at = layout.offset(directory.rva);
    let mut reader = Reader { layout, directory, at, base: table.base.get(LE), name_bytes: MAX_NAME_BYTES };
    let module = match table.name.get(LE) {
        0 => None,
        rva => Some(layout.name(rva, "the module name of the exports", at)?.to_owned()),
    };
    let (exports, slots) = reader.addresses(&table)?;
    let mut result = ExportTable { module, exports, by_name: HashMap::new() };
    reader.names(&table, &slots, &mut result)?;
    Ok(result)
}

struct Reader<'l, 'a> {
    layout: &'l Layout<'a>,
    directory: Directory,
    at: u64,
    base: u32,
    name_bytes: usize,
}

impl Reader<'_, '_> {
    fn count(&self, count: u32, what: &'static str) -> Result<u64, PeError> {
        if count > MAX_EXPORTS {
            return Err(PeError::TooMany { what, offset: self.at, limit: MAX_EXPORTS.into() });
        }
        Ok(count.into())
    }

    /// The exports, and for every slot of the address table the index of its export (gaps have none).
    fn addresses(
        &mut self,
        table: &pe::ImageExportDirectory,
    ) -> Result<(Vec<Export>, Vec<Option<usize>>), PeError> {
        let count = self.count(table.number_of_functions.get(LE), "exports")?;
        if count == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        let what = "the export address table";
        let bytes = self.layout.slice(table.address_of_functions.get(LE), count * 4, what, self.at)?;
        let (mut exports, mut slots) = (Vec::new(), Vec::new());
        for (entry, index) in bytes.chunks_exact(4).zip(0u32..) {
            let rva = u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
            if rva == 0 {
                slots.push(None);
                continue;
            }
            let ordinal = self.base.checked_add(index).ok_or(PeError::BadValue {
                what: "the ordinal base of the exports",
                offset: self.at + 16,
                found: self.base.into(),
                expected: "a base that leaves room for every ordinal",
            })?;
            slots.push(Some(exports.len()));
            exports.push(Export { ordinal, names: Vec::new(), target: self.target(rva)? });
        }
        Ok((exports, slots))
    }

    /// An address inside the export directory is no code: it is the text of a forwarder.
    fn target(&mut self, rva: u32) -> Result<ExportTarget, PeError> {
        let Directory { rva: start, size, .. } = self.directory;
        if rva < start || rva - start >= size {
            if !self.layout.is_mapped(rva, 1) {
                return Err(PeError::OutOfRange { what: "an export", offset: self.at, rva, size: 1 });
            }
            return Ok(ExportTarget::Rva(rva));
        }
        let text = self.name(rva, "a forwarder")?;
        let bad = |why| PeError::BadName { what: "a forwarder", offset: self.layout.offset(rva), why };
        // The last dot: module names may hold dots, names of functions do not.
        let (module, symbol) = text.rsplit_once('.').ok_or_else(|| bad("no dot between module and name"))?;
        let symbol = match symbol.strip_prefix('#') {
            Some(digits) => {
                ForwardSymbol::Ordinal(digits.parse().map_err(|_| bad("an ordinal that is no number"))?)
            }
            None => ForwardSymbol::Name(symbol.to_owned()),
        };
        Ok(ExportTarget::Forward { module: module.to_owned(), symbol })
    }

    fn names(
        &mut self,
        table: &pe::ImageExportDirectory,
        slots: &[Option<usize>],
        result: &mut ExportTable,
    ) -> Result<(), PeError> {
        let count = self.count(table.number_of_names.get(LE), "names of exports")?;
        if count == 0 {
            return Ok(());
        }
        let names =
            self.layout.slice(table.address_of_names.get(LE), count * 4, "the export name table", self.at)?;
        let ordinals = table.address_of_name_ordinals.get(LE);
        let ordinals = self.layout.slice(ordinals, count * 2, "the export ordinal table", self.at)?;
        for (name, ordinal) in names.chunks_exact(4).zip(ordinals.chunks_exact(2)) {
            let rva = u32::from_le_bytes([name[0], name[1], name[2], name[3]]);
            let slot = u16::from_le_bytes([ordinal[0], ordinal[1]]);
            let name = self.name(rva, "an export")?;
            let index = slots.get(usize::from(slot)).copied().flatten().ok_or(PeError::BadValue {
                what: "an entry of the export ordinal table",
                offset: self.at,
                found: slot.into(),
                expected: "the index of an export",
            })?;
            if let Some(export) = result.exports.get_mut(index) {
                export.names.push(name.clone());
            }
            result.by_name.entry(name).or_insert(index);
        }
        Ok(())
    }

    fn name(&mut self, rva: u32, what: &'static str) -> Result<String, PeError> {
        let name = self.layout.name(rva, what, self.at)?;
        self.name_bytes = self.name_bytes.checked_sub(name.len()).ok_or(PeError::TooMany {
            what: "bytes of export names",
            offset: self.at,
            limit: MAX_NAME_BYTES as u64,
        })?;
        Ok(name.to_owned())
    }
}
