//! Drivers as real tools link them; see `data/build.sh`.

use object::read::pe::{ExportTarget, PeFile64};
use object::{NameOrOrdinal, Object, ObjectSection};
use pe_image::bind::Symbol;
use pe_image::fuzzing::{Mutator, Outcome, check};
use pe_image::map::DEFAULT_SECURITY_COOKIE;
use pe_image::symbols::SymbolSource;
use pe_image::{MapOptions, Note, Protection, Resolution, Symbols, SymbolsError, parse};
use std::fs;
use std::path::PathBuf;

const MSVC: &[u8] = include_bytes!("data/msvc.sys");
const MINGW: &[u8] = include_bytes!("data/mingw.sys");
const FLAT: &[u8] = include_bytes!("data/flat.sys");

/// The PDB of [`MSVC`]: total length, then blocks of 64 bytes, each behind its number.
fn pdb() -> Vec<u8> {
    let sparse = include_bytes!("data/msvc.pdb.sparse");
    let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    let mut whole = vec![0; number(sparse)];
    for block in sparse[4..].chunks_exact(68) {
        let at = number(block) * 64;
        let end = (at + 64).min(whole.len());
        whole[at..end].copy_from_slice(&block[4..4 + end - at]);
    }
    whole
}

/// A directory with the driver and `pdb` beside it.
fn installed(pdb: &[u8], pdb_name: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let driver = directory.path().join("renamed.sys");
    fs::write(&driver, MSVC).expect("the driver can be written");
    fs::write(directory.path().join(pdb_name), pdb).expect("the PDB can be written");
    (directory, driver)
}

#[test]
fn drivers_of_every_linker_are_read_and_mapped() {
    for bytes in [MSVC, MINGW, FLAT] {
        let file = parse(bytes).unwrap();
        file.require_driver().unwrap();
        assert!(file.checksum_ok());
        let names: Vec<_> = file.imports[0].imports.iter().map(|import| import.name.to_string()).collect();
        assert_eq!((file.imports.len(), file.imports[0].module.as_str()), (1, "ntoskrnl.exe"));
        // The drivers of MinGW have no __try.
        let expected = ["DbgPrint", "ExAllocatePool2", "ExFreePoolWithTag", "__C_specific_handler"];
        let guarded = bytes == MSVC;
        assert_eq!(names, expected[..if guarded { 4 } else { 3 }]);
        assert_eq!(file.functions_with_handlers(), usize::from(guarded));
        assert!(file.exports.by_name("CallboardAdd").is_some());
        assert!(!file.relocations.is_empty());
        assert!(file.functions.lookup(file.entry.unwrap()).is_some(), "DriverEntry has unwind data");
        assert!(
            !file.notes.iter().any(|note| matches!(note, Note::Overlay { .. } | Note::Unreadable { .. }))
        );
        assert_eq!(check(bytes), Outcome::Mapped);
    }
    assert!(parse(MSVC).unwrap().force_integrity() && !parse(MINGW).unwrap().force_integrity());
}

#[test]
fn another_reader_sees_the_same_tables() {
    for bytes in [MSVC, MINGW, FLAT] {
        let (file, other) = (parse(bytes).unwrap(), PeFile64::parse(bytes).unwrap());
        let theirs = other.imports().unwrap().map(|import| {
            let import = import.unwrap();
            let NameOrOrdinal::Name(name) = import.name() else { panic!("imported by ordinal") };
            (text(import.library()), text(name))
        });
        let ours = file
            .imports
            .iter()
            .flat_map(|m| m.imports.iter().map(|i| (m.module.clone(), i.name.to_string())));
        assert!(theirs.eq(ours));
        let table = other.export_table().unwrap().unwrap();
        let theirs = table.exports().unwrap().into_iter().map(|export| {
            let ExportTarget::Address(rva) = export.target else { panic!("a forwarder") };
            (u32::from(export.ordinal.0), export.name.map(text), rva)
        });
        let ours = file.exports.iter().map(|export| {
            let pe_image::ExportTarget::Rva(rva) = export.target else { panic!("a forwarder") };
            (export.ordinal, export.names.first().cloned(), rva)
        });
        // It lists the gaps too.
        assert!(theirs.filter(|(_, _, rva)| *rva != 0).eq(ours));
        let theirs: Vec<_> = other
            .data_directories()
            .relocation_blocks(bytes, &other.section_table())
            .unwrap()
            .unwrap()
            .flat_map(|block| block.unwrap().map(|r| r.virtual_address))
            .collect();
        assert_eq!(theirs, file.relocations.iter().map(|r| r.rva).collect::<Vec<_>>());
        for section in other.sections() {
            let ours =
                file.sections().iter().find(|s| u64::from(s.rva) + file.image_base == section.address());
            assert_eq!(ours.unwrap().name, section.name().unwrap());
        }
    }
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(bytes.as_ref()).into_owned()
}

#[test]
fn images_can_be_shared_between_threads() {
    fn shareable<T: Send + Sync>(_: &T) {}
    let file = parse(MSVC).unwrap();
    shareable(&file);
    shareable(
        &file.map(&MapOptions::default(), &mut |_: &str, _: Symbol<'_>| Resolution::Address(1)).unwrap(),
    );
}

#[test]
fn the_checksum_is_that_of_the_linker() {
    let file = parse(MINGW).unwrap();
    assert_ne!(file.checksum, 0);
    assert_eq!(file.checksum, file.computed_checksum);
}

#[test]
fn the_version_resource_is_read() {
    for bytes in [MSVC, MINGW] {
        let version = parse(bytes).unwrap().version.unwrap();
        assert_eq!(version.file_version, Some([1, 2, 3, 4]));
        assert_eq!(version.get("CompanyName"), Some("Callboard"));
        assert_eq!(version.get("FileDescription"), Some("A driver to be mapped"));
        assert_eq!(version.get("Nothing"), None);
    }
    assert_eq!(parse(FLAT).unwrap().version, None);
}

#[test]
fn absolute_addresses_follow_the_image() {
    for bytes in [MSVC, MINGW, FLAT] {
        let file = parse(bytes).unwrap();
        let image =
            file.map(&MapOptions::default(), &mut |_: &str, _: Symbol<'_>| Resolution::Address(1)).unwrap();
        for relocation in file.relocations.iter() {
            let mut pointer = [0; 8];
            assert!(image.copy(relocation.rva, &mut pointer));
            let target = usize::from_le_bytes(pointer);
            assert!(image.contains(target), "{target:#x} is not in {:#x}", image.base());
        }
    }
}

#[test]
fn the_cookie_of_a_load_configuration_is_set() {
    let file = parse(MSVC).unwrap();
    let options = MapOptions { security_cookie: Some(42), ..MapOptions::default() };
    let image = file.map(&options, &mut |_: &str, _: Symbol<'_>| Resolution::Address(1)).unwrap();
    let rva = file.load_config.security_cookie.unwrap();
    let raw = file.layout().tail(rva).unwrap();
    assert_eq!(raw[..8], DEFAULT_SECURITY_COOKIE.to_le_bytes());
    let mut cookie = [0; 8];
    assert!(image.copy(rva, &mut cookie));
    assert_eq!(cookie, 42u64.to_le_bytes());
}

#[test]
fn flat_images_keep_code_executable_and_data_writable() {
    let file = parse(FLAT).unwrap();
    assert_eq!(file.section_alignment, 0x40);
    let image =
        file.map(&MapOptions::default(), &mut |_: &str, _: Symbol<'_>| Resolution::Address(1)).unwrap();
    assert_eq!(image.protection(0), Some(Protection { write: true, execute: true }));
    let entry = file.entry.unwrap();
    let mut code = [0; 8];
    assert!(image.copy(entry, &mut code));
    assert_eq!(&FLAT[entry as usize..entry as usize + 8], code, "RVA and file offset are one");
}

#[test]
fn names_come_from_the_pdb_by_either_name_in_any_case() {
    // The driver was renamed: msvc.pdb is the name that it records, renamed.pdb is its own.
    for name in ["msvc.pdb", "MSVC.PDB", "renamed.pdb", "Renamed.Pdb"] {
        let (directory, driver) = installed(&pdb(), name);
        let file = parse(MSVC).unwrap();
        let symbols = Symbols::beside(&driver, &file);
        assert_eq!(*symbols.source(), SymbolSource::Pdb(directory.path().join(name)));
        assert!(symbols.warning().is_none());
        let entry = file.entry.unwrap();
        let [inside, before] = [entry + 9, 0].map(|rva| symbols.lookup(rva));
        let inside = inside.unwrap();
        assert_eq!((inside.name.as_str(), inside.offset), ("DriverEntry", 9));
        assert!(inside.file.as_deref().unwrap().ends_with("driver.c"), "{inside:?}");
        assert_eq!(inside.line, Some(53));
        assert_eq!(before, None);
        // The second function; the whole stack at once.
        let add = file.exports.by_name("CallboardAdd").unwrap();
        let pe_image::ExportTarget::Rva(add) = add.target else { panic!("not a forwarder") };
        let stack = symbols.lookup_all(&[add, entry, u32::MAX]);
        let names: Vec<_> = stack.iter().map(|l| l.as_ref().map(|l| l.name.as_str())).collect();
        assert_eq!(names, [Some("CallboardAdd"), Some("DriverEntry"), None]);
    }
}

#[test]
fn a_pdb_of_another_build_is_not_used() {
    let mut driver = MSVC.to_vec();
    let guid = driver.windows(4).position(|bytes| bytes == b"RSDS").unwrap() + 4;
    driver[guid] ^= 1;
    let (_directory, path) = installed(&pdb(), "msvc.pdb");
    let symbols = Symbols::beside(&path, &parse(&driver).unwrap());
    assert!(matches!(symbols.warning(), Some(SymbolsError::GuidMismatch { .. })));
    assert_eq!(*symbols.source(), SymbolSource::Exports);

    let mut older = MSVC.to_vec();
    older[guid + 16] = 9;
    let symbols = Symbols::beside(&path, &parse(&older).unwrap());
    assert!(matches!(symbols.warning(), Some(SymbolsError::AgeMismatch { found: 1, expected: 9, .. })));
    assert!(matches!(symbols.source(), SymbolSource::Pdb(_)));
}

#[test]
fn a_broken_pdb_is_a_warning() {
    let good = pdb();
    let file = parse(MSVC).unwrap();
    for bytes in [&b"not a PDB"[..], &good[..0x2000], &[]] {
        let (_directory, driver) = installed(bytes, "msvc.pdb");
        let symbols = Symbols::beside(&driver, &file);
        assert!(matches!(symbols.warning(), Some(SymbolsError::Pdb { .. })));
        assert_eq!(symbols.lookup(file.entry.unwrap()).unwrap().name, "entry point");
    }
}

#[test]
fn mutated_pdbs_do_not_harm() {
    let (directory, driver) = installed(&pdb(), "msvc.pdb");
    let file = parse(MSVC).unwrap();
    let rvas = [file.entry.unwrap(), file.entry.unwrap() + 20];
    let mut used = 0;
    for seed in 0..60 {
        let mut bytes = pdb();
        let mut mutator = Mutator::new(seed);
        (0..20).for_each(|_| mutator.mutate(&mut bytes));
        fs::write(directory.path().join("msvc.pdb"), &bytes).unwrap();
        let symbols = Symbols::beside(&driver, &file);
        used += usize::from(matches!(symbols.source(), SymbolSource::Pdb(_)));
        assert_eq!(symbols.lookup_all(&rvas).len(), 2);
    }
    assert!(used < 60, "some mutations must have hit");
}

#[test]
fn names_come_from_the_coff_symbols_of_mingw() {
    let file = parse(MINGW).unwrap();
    let symbols = Symbols::inside(&file);
    assert_eq!(*symbols.source(), SymbolSource::Coff);
    let location = symbols.lookup(file.entry.unwrap() + 3).unwrap();
    assert_eq!((location.name.as_str(), location.offset), ("DriverEntry", 3));
    // A static function, which no export would name.
    assert!(
        file.functions.entries().iter().any(|f| symbols.lookup(f.begin).is_some_and(|l| l.name == "helper"))
    );
}

#[test]
fn stripped_drivers_have_their_exports_as_names() {
    let file = parse(FLAT).unwrap();
    let symbols = Symbols::inside(&file);
    assert_eq!(*symbols.source(), SymbolSource::Exports);
    assert_eq!(symbols.lookup(file.entry.unwrap()).unwrap().name, "entry point");
}

#[test]
fn mutations_of_real_drivers_keep_every_property() {
    for seed in 0..400 {
        for good in [MSVC, MINGW, FLAT] {
            let mut bytes = good.to_vec();
            Mutator::new(seed).mutate(&mut bytes);
            check(&bytes);
        }
    }
}
