//! What must hold for every file, good, broken or hostile.

use crate::bind::{Resolution, Symbol};
use crate::exports::ExportTarget;
use crate::limits::{MAX_IMPORTS, MAX_NAME_BYTES};
use crate::map::MapOptions;
use crate::mapped::MappedImage;
use crate::{PeFile, Symbols, parse};

/// How far a file got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Refused with this message.
    Refused(String),
    /// Parsed, but the address space refused it.
    Unmappable(String),
    /// Mapped.
    Mapped,
}

/// Parses `bytes`, maps what parses, and asks everything there is to ask.
///
/// # Panics
/// If a property does not hold: that is a defect of this crate.
pub fn check(bytes: &[u8]) -> Outcome {
    let file = match parse(bytes) {
        Ok(file) => file,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
            return Outcome::Refused(text);
        }
    };
    parsed(&file, bytes);
    if let Err(error) = crate::check_signature(&file) {
        let text = error.to_string();
        assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
    }
    let mut asked = 0usize;
    let mut resolver = |_: &str, symbol: Symbol<'_>| {
        asked += 1;
        match symbol {
            Symbol::Name { name, .. } if name.len().is_multiple_of(2) => Resolution::Missing(0x1000 + asked),
            _ => Resolution::Address(0x2000 + asked),
        }
    };
    let options = MapOptions { security_cookie: Some(0x1234_5678_9ABC), ..MapOptions::default() };
    let image = match file.map(&options, &mut resolver) {
        Ok(image) => image,
        Err(error) => {
            let inconsistent = matches!(error, crate::MapError::Inconsistent { .. });
            assert!(!inconsistent, "parse let through what map cannot do: {error}");
            return Outcome::Unmappable(error.to_string());
        }
    };
    assert_eq!(asked, file.imports.iter().map(|module| module.imports.len()).sum::<usize>());
    mapped(&file, &image);
    symbols(&file);
    let (base, size) = (image.base(), image.size());
    let retired = image.retire().expect("taking access away needs nothing");
    assert!(retired.contains(base) && !retired.contains(base + size));
    Outcome::Mapped
}

fn parsed(file: &PeFile<'_>, bytes: &[u8]) {
    assert_eq!(file.machine, 0x8664);
    assert!(file.mapped_size() >= file.size_of_image && file.mapped_size() - file.size_of_image < 0x1000);
    let mut end = 0u64;
    for section in file.sections() {
        assert!(u64::from(section.rva) >= end, "sections ascend");
        end = section.end();
        assert!(end <= file.mapped_size().into(), "sections are inside the image");
        assert!(u64::from(section.raw_offset) + u64::from(section.raw_size) <= bytes.len() as u64);
    }
    for modules in [&file.imports, &file.delay_imports] {
        assert!(modules.iter().map(|module| module.imports.len()).sum::<usize>() <= MAX_IMPORTS);
        for import in modules.iter().flat_map(|module| &module.imports) {
            assert!(import.iat_rva + 8 <= file.mapped_size());
        }
    }
    let names = file.exports.iter().flat_map(|export| &export.names);
    assert!(names.map(String::len).sum::<usize>() <= MAX_NAME_BYTES);
    // More places than the file has bytes for would be made up.
    assert!(file.relocations.iter().count() <= bytes.len() / 2);
    assert!(file.functions.entries().len() <= bytes.len() / 12);
    assert!(file.functions.entries().is_sorted_by_key(|entry| entry.begin));
    let _ = file.functions_with_handlers();
    if file.require_driver().is_ok() {
        assert!(file.entry.is_some() && file.subsystem == 1);
    }
    file.notes.iter().for_each(|note| assert!(!note.to_string().contains(char::is_control)));
    // Every RVA, mapped or not, can be asked for.
    for rva in probes(file.mapped_size()) {
        let tail = file.layout().tail(rva);
        assert!(tail.is_none_or(|tail| tail.len() <= bytes.len()));
        assert!(file.layout().offset(rva) <= bytes.len() as u64);
    }
}

fn mapped(file: &PeFile<'_>, image: &MappedImage) {
    assert!(image.base().is_multiple_of(0x1000));
    assert_eq!(image.size(), file.mapped_size() as usize);
    let executable = |rva: u32| image.protection(rva).is_some_and(|p| p.execute);
    if let Some(entry) = image.entry() {
        let rva = image.rva(entry).expect("the entry point is in the image");
        assert!(executable(rva), "the entry point can be executed");
    }
    let wx_allowed = file.wx_sections().next().is_some() || file.layout().flat;
    assert!(wx_allowed || image.writable_executable().next().is_none(), "W^X");
    for section in file.sections().iter().filter(|section| section.virtual_size != 0) {
        let protection = image.protection(section.rva).expect("a section can be read");
        let wanted = section.protection();
        assert!(!wanted.write || protection.write);
        assert!(!wanted.execute || protection.execute);
        assert!(file.layout().flat || protection == wanted);
    }
    for entry in image.functions().entries() {
        let found = image.functions().lookup(entry.begin).expect("a function contains its first byte");
        assert!(found.contains(entry.begin));
    }
    for export in image.exports() {
        if let ExportTarget::Rva(rva) = export.target {
            assert!(image.address(rva).is_some_and(|address| image.contains(address)));
        }
        assert_eq!(image.exports().by_ordinal(export.ordinal), Some(export));
        for name in &export.names {
            // Two exports may claim one name; the first wins.
            assert!(image.export(name).is_some_and(|found| found.names.contains(name)));
            let _ = image.lookup(Symbol::Name { name, hint: 0 });
        }
    }
    for rva in probes(file.mapped_size()) {
        let mut bytes = [0; 16];
        let copied = image.copy(rva, &mut bytes);
        let constant = image.constant_bytes(rva);
        if let Some(tail) = constant {
            assert!(!image.protection(rva).is_none_or(|p| p.write));
            // Touches the last byte: a slice too long would fault here.
            assert!(tail.last().is_some());
            assert!(!copied || tail.len() < 16 || tail[..16] == bytes);
        }
        assert!(image.protection(rva).is_some() || constant.is_none());
    }
}

fn symbols(file: &PeFile<'_>) {
    let symbols = Symbols::inside(file);
    for rva in probes(file.mapped_size()) {
        if let Some(location) = symbols.lookup(rva) {
            assert!(location.offset <= rva);
        }
    }
}

/// RVAs on and around the edges of pages, and behind the image.
fn probes(size: u32) -> impl Iterator<Item = u32> {
    let step = (size / 64).next_multiple_of(0x1000).max(0x1000);
    let edges = (0..size).step_by(step as usize).flat_map(|page| [page.saturating_sub(8), page, page + 1]);
    edges.chain([size.saturating_sub(1), size, size.saturating_add(0x1000), u32::MAX])
}
