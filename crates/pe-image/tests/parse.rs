//! What a good file says, and what is said about a bad one.

use pe_image::bind::Symbol;
use pe_image::fuzzing::Sample;
use pe_image::imports::ImportName;
use pe_image::unwind::Trailer;
use pe_image::{ExportTarget, ForwardSymbol, Note, PeError, parse};

fn error(sample: &Sample) -> PeError {
    parse(&sample.build()).expect_err("the sample is broken")
}

/// Overwrites the little-endian `value` at `offset` of the finished file.
fn patched(sample: &Sample, offset: usize, value: &[u8]) -> Vec<u8> {
    let mut file = sample.build();
    file[offset..offset + value.len()].copy_from_slice(value);
    file
}

/// File offset of the optional header in every sample.
const OPTIONAL: usize = 0x80 + 24;

#[test]
fn everything_in_a_driver_is_read() {
    for sample in [Sample::paged(), Sample::flat()] {
        let bytes = sample.build();
        let file = parse(&bytes).unwrap();
        file.require_driver().unwrap();
        assert_eq!((file.subsystem, file.entry, file.image_base), (1, Some(sample.text), 0x1_4000_0000));
        assert!(file.force_integrity() && file.dynamic_base() && file.nx_compatible());
        assert!(!file.relocations_stripped() && file.checksum_ok());
        let names: Vec<_> = file.sections().iter().map(|section| section.name.as_str()).collect();
        assert_eq!(names, [".text", ".rdata", ".data", ".pdata", "INIT", ".reloc"]);

        let imports: Vec<_> = file
            .imports
            .iter()
            .flat_map(|m| {
                m.imports.iter().map(|i| (m.module.as_str(), i.name.to_string(), i.iat_rva - sample.rdata))
            })
            .collect();
        let nt = "ntoskrnl.exe";
        let expected = [
            (nt, "ExAllocatePool2".to_owned(), 0),
            (nt, "DbgPrint".to_owned(), 8),
            (nt, "#5".to_owned(), 16),
            ("HAL.dll", "KeStall".to_owned(), 0x20),
        ];
        assert_eq!(imports, expected);
        assert_eq!(file.imports[0].imports[1].name, ImportName::Name { name: "DbgPrint".into(), hint: 0x22 });
        assert_eq!(Symbol::from(&file.imports[0].imports[2].name), Symbol::Ordinal(5));

        assert_eq!(file.exports.module.as_deref(), Some("sample.sys"));
        assert_eq!(file.exports.len(), 3, "the gap is no export");
        assert_eq!(file.exports.by_name("Add").unwrap().target, ExportTarget::Rva(sample.text + 0x40));
        assert!(file.exports.by_name("add").is_none() && file.exports.by_ordinal(11).is_none());
        let forward = |symbol| ExportTarget::Forward { module: "other".into(), symbol };
        assert_eq!(
            file.exports.by_name("Fwd").unwrap().target,
            forward(ForwardSymbol::Name("Target".into()))
        );
        assert_eq!(file.exports.by_ordinal(13).unwrap().target, forward(ForwardSymbol::Ordinal(7)));

        let places: Vec<_> = file.relocations.iter().map(|r| (r.rva - sample.data, r.kind.size())).collect();
        assert_eq!(places, [(0x10, 8), (0x18, 4)]);
        assert_eq!(file.load_config.security_cookie, Some(sample.data));
        assert_eq!(file.load_config.guard_flags, 0x500);
        let view = file.code_view.as_ref().unwrap();
        assert_eq!((view.guid, view.age, view.path.as_str()), (*b"0123456789abcdef", 2, "s.pdb"));

        assert_eq!(file.functions.lookup(sample.text + 0x42).unwrap().begin, sample.text + 0x40);
        assert!(file.functions.lookup(sample.text + 0x43).is_none(), "between functions");
        assert!(file.functions.lookup(0).is_none());
        assert_eq!(file.functions_with_handlers(), 1);
        let unwind = file.layout().tail(file.functions.entries()[1].unwind).unwrap();
        let handler = Trailer::Handler { handler: sample.text, data: 12, exceptions: true, unwinds: false };
        assert_eq!(Trailer::read(unwind), Some(handler));
        let wx: Vec<_> = file.wx_sections().map(|section| section.name.as_str()).collect();
        assert_eq!(wx, ["INIT"]);
        assert!(file.sections()[4].discardable());
        assert_eq!(
            file.notes.iter().any(|note| matches!(note, Note::LowAlignment { .. })),
            sample.text == 0x400
        );
    }
}

#[test]
fn files_that_are_something_else_are_called_what_they_are() {
    let found = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
    assert!(found(b"").contains("the file is empty"));
    assert!(found(b"#!/bin/sh\necho hello\n").contains("text (\"#!/bin/sh\\necho h\")"));
    assert!(found(b"\x7FELF\x02\x01\x01").contains("an ELF header"));
    assert!(found(&[0x90; 64]).contains("the bytes [90, 90, 90, 90]"));
    assert!(matches!(
        parse(b"MZ"),
        Err(PeError::Truncated { what: "the DOS header", needs: 64, has: 2, .. })
    ));
    let dos = patched(&Sample::paged(), 0x80, b"NE\0\0");
    assert_eq!(parse(&dos).unwrap_err(), PeError::DosExecutable { offset: 0x80, found: b"NE\0\0".to_vec() });
    let mut x86 = Sample::paged();
    x86.builder.machine = 0x014C;
    let text = error(&x86).to_string();
    assert!(text.contains("32-bit (x86)") && text.contains("offset 0x84"), "{text}");
    let mut arm = Sample::paged();
    arm.builder.machine = 0xAA64;
    assert!(matches!(error(&arm), PeError::WrongMachine { name: "ARM64", .. }));
    let pe32 = patched(&Sample::paged(), OPTIONAL, &0x010Bu16.to_le_bytes());
    assert_eq!(parse(&pe32).unwrap_err(), PeError::NotPe32Plus { magic: 0x10B, offset: OPTIONAL as u64 });
}

#[test]
fn a_user_mode_program_is_read_but_is_no_driver() {
    let mut sample = Sample::paged();
    sample.builder.subsystem = 3;
    let bytes = sample.build();
    let file = parse(&bytes).unwrap();
    assert!(file.notes.contains(&Note::NotNative { subsystem: 3 }));
    let error = file.require_driver().unwrap_err();
    assert_eq!(
        error,
        PeError::NotNative { subsystem: 3, name: "Windows console program", offset: OPTIONAL as u64 + 68 }
    );
}

#[test]
fn truncated_files_say_where_and_how_much() {
    let bytes = Sample::paged().build();
    // Whatever the length, a part of the file is never taken for the whole.
    for len in 0..bytes.len() {
        assert!(parse(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
    }
    let cut = |len: usize| parse(&bytes[..len]).unwrap_err();
    assert_eq!(cut(0x82), PeError::Truncated { what: "the PE signature", offset: 0x80, needs: 4, has: 2 });
    assert_eq!(cut(0x90), PeError::Truncated { what: "the file header", offset: 0x84, needs: 20, has: 12 });
    assert_eq!(
        cut(0xA0),
        PeError::Truncated { what: "the optional header", offset: 0x98, needs: 112, has: 8 }
    );
    assert_eq!(
        cut(0x120),
        PeError::Truncated { what: "the data directories", offset: 0x108, needs: 128, has: 24 }
    );
    assert_eq!(
        cut(0x200),
        PeError::Truncated { what: "the section table", offset: 0x188, needs: 240, has: 120 }
    );
    let whole = bytes.len() as u64;
    let expected = PeError::SectionBeyondFile {
        section: ".reloc".into(),
        offset: 0x188 + 5 * 40,
        start: whole - 0x200,
        end: whole,
        file_len: whole - 1,
    };
    assert_eq!(cut(bytes.len() - 1), expected);
}

#[test]
fn sections_must_fit_file_image_and_each_other() {
    let mut overlap = Sample::paged();
    overlap.builder.section(".text").virtual_size = 0x3001;
    let expected = PeError::SectionsOverlap {
        first: ".text".into(),
        second: ".rdata".into(),
        offset: 0x188 + 40,
        rva: 0x4000,
        end: 0x5000,
    };
    assert_eq!(error(&overlap), expected);
    let mut outside = Sample::paged();
    outside.builder.size_of_image = outside.reloc;
    assert!(matches!(error(&outside), PeError::SectionOutsideImage { section, .. } if section == ".reloc"));
    let mut crooked = Sample::paged();
    crooked.builder.section(".text").rva = 0x1010;
    assert!(matches!(error(&crooked), PeError::BadAlignment { value: 0x1010, offset: 0x194, .. }));
    let mut headers = Sample::paged();
    headers.builder.size_of_headers = 0x2000;
    assert!(matches!(error(&headers), PeError::SectionsOverlap { first, .. } if first == "the headers"));
    let raw = patched(&Sample::flat(), 0x188 + 20, &0x480u32.to_le_bytes());
    let expected = PeError::LowAlignment { section: ".text".into(), offset: 0x188, rva: 0x400, raw: 0x480 };
    assert_eq!(parse(&raw).unwrap_err(), expected);
}

#[test]
fn absurd_fields_are_refused() {
    let with = |change: fn(&mut pe_image::fuzzing::Builder)| {
        let mut sample = Sample::paged();
        change(&mut sample.builder);
        error(&sample)
    };
    assert!(matches!(with(|b| b.size_of_image = 0x2000_1000), PeError::ImageSize { size: 0x2000_1000, .. }));
    assert!(matches!(with(|b| b.size_of_image = 0), PeError::ImageSize { size: 0, .. }));
    assert!(matches!(
        with(|b| b.section_alignment = 0),
        PeError::BadAlignment { what: "SectionAlignment", .. }
    ));
    assert!(matches!(
        with(|b| b.section_alignment = 0x1800),
        PeError::BadAlignment { what: "SectionAlignment", .. }
    ));
    assert!(matches!(
        with(|b| b.section_alignment = 0x400),
        PeError::BadAlignment { what: "FileAlignment", .. }
    ));
    assert_eq!(with(|b| b.entry = 0x90_0000), PeError::EntryOutsideImage { entry: 0x90_0000, offset: 0xA8 });
    let entry = with(|b| b.entry = 0x7010);
    assert_eq!(entry, PeError::EntryNotExecutable { entry: 0x7010, offset: 0xA8, section: ".data".into() });
    assert!(matches!(
        with(|b| b.directories[1].0 = 0x80_0000),
        PeError::OutOfRange { what: "the import directory", .. }
    ));
    assert!(matches!(
        with(|b| b.directories[0].0 = 0x80_0000),
        PeError::OutOfRange { what: "the export directory", .. }
    ));
    assert!(matches!(
        with(|b| b.directories[5].1 = 0x8000),
        PeError::OutOfRange { what: "the relocation directory", .. }
    ));
    let functions = with(|b| b.directories[3].1 = 0x8000);
    assert!(matches!(functions, PeError::OutOfRange { size: 0x8000, .. }), "{functions}");
}

#[test]
fn broken_tables_are_refused_at_their_offset() {
    // The export directory is at .rdata + 0x100; 0x14 is the number of functions.
    let mut exports = Sample::paged();
    exports.builder.section(".rdata").data[0x114..0x118].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(error(&exports), PeError::TooMany { what: "exports", limit: 65_536, .. }));
    let mut name = Sample::paged();
    name.builder.section(".rdata").data[0x144] = 9;
    assert!(matches!(
        error(&name),
        PeError::BadValue { what: "an entry of the export ordinal table", found: 9, .. }
    ));
    let mut forward = Sample::paged();
    forward.builder.section(".rdata").data[0x178..0x180].copy_from_slice(b"other_#7");
    assert!(matches!(error(&forward), PeError::BadName { what: "a forwarder", .. }));
    let mut block = Sample::paged();
    block.builder.section(".reloc").data[4] = 17;
    assert!(matches!(
        error(&block),
        PeError::BadValue { what: "the size of a relocation block", found: 17, .. }
    ));
    let mut kind = Sample::paged();
    kind.builder.section(".reloc").data[9] = 0x70;
    assert!(matches!(error(&kind), PeError::BadValue { what: "the type of a relocation", found: 7, .. }));
    let mut place = Sample::paged();
    place.builder.section(".reloc").data[..4].copy_from_slice(&0x70_0000u32.to_le_bytes());
    assert!(matches!(error(&place), PeError::OutOfRange { what: "a relocation", rva: 0x70_0010, .. }));
    let mut slot = Sample::paged();
    slot.builder.section("INIT").data[16..20].copy_from_slice(&0x90_0000u32.to_le_bytes());
    assert!(matches!(error(&slot), PeError::OutOfRange { what: "a slot of an import address table", .. }));
    let mut cookie = Sample::paged();
    cookie.builder.section(".rdata").data[0x98..0xA0].copy_from_slice(&0x10u64.to_le_bytes());
    assert!(matches!(
        error(&cookie),
        PeError::BadValue { what: "the address of the security cookie", found: 0x10, .. }
    ));
}

#[test]
fn import_tables_that_never_end_are_bounded() {
    // Every descriptor points at the same long table of thunks: the product is what would hurt.
    let mut sample = Sample::paged();
    let init = sample.init;
    let section = sample.builder.section("INIT");
    section.virtual_size = 0x3000;
    section.data = vec![0; 0x3000];
    for index in 0..200usize {
        let fields = [init + 0x1000, 0, 0, init + 0x2F00, init + 0x1000];
        let bytes: Vec<u8> = fields.iter().flat_map(|field: &u32| field.to_le_bytes()).collect();
        section.data[index * 20..index * 20 + 20].copy_from_slice(&bytes);
    }
    for at in (0x1000..0x2E00).step_by(8) {
        section.data[at..at + 8].copy_from_slice(&(1u64 << 63 | 1).to_le_bytes());
    }
    section.data[0x2F00] = b'm';
    assert!(matches!(error(&sample), PeError::TooMany { what: "imports", .. }));
}

#[test]
fn a_broken_debug_directory_does_not_stop_a_driver() {
    let mut sample = Sample::paged();
    sample.builder.directories[6].0 = 0x90_0000;
    let bytes = sample.build();
    let file = parse(&bytes).unwrap();
    assert_eq!(file.code_view, None);
    assert!(
        file.notes.iter().any(|note| matches!(note, Note::Unreadable { what: "the debug directory", .. }))
    );
}

#[test]
fn r_int_01_force_integrity_is_one_bit_at_its_documented_offset() {
    for bit in 0..16u16 {
        // PE header + 24 + 70.
        let bytes = patched(&Sample::paged(), OPTIONAL + 70, &(1u16 << bit).to_le_bytes());
        assert_eq!(parse(&bytes).unwrap().force_integrity(), 1u16 << bit == 0x0080);
    }
}

#[test]
fn what_is_appended_is_noted_unless_it_is_a_certificate() {
    let mut sample = Sample::paged();
    let len = u32::try_from(sample.build().len()).unwrap();
    let mut appended = sample.build();
    appended.extend([7; 24]);
    let file = parse(&appended).unwrap();
    assert!(file.notes.contains(&Note::Overlay { offset: len.into(), len: 24 }));
    assert_eq!(file.certificates, None);

    sample.builder.directories[4] = (len, 24);
    let mut signed = sample.build();
    signed.extend([7; 24]);
    let file = parse(&signed).unwrap();
    assert_eq!(file.certificates, Some((len, 24)));
    assert!(!file.notes.iter().any(|note| matches!(note, Note::Overlay { .. })));
    let cut = &signed[..signed.len() - 1];
    assert!(
        parse(cut)
            .unwrap()
            .notes
            .iter()
            .any(|note| matches!(note, Note::Unreadable { what: "the certificates", .. }))
    );
}

#[test]
fn a_wrong_checksum_is_noted() {
    let right = Sample::paged().build();
    let sum = parse(&right).unwrap().computed_checksum;
    let field = OPTIONAL + 64;
    let signed = patched(&Sample::paged(), field, &sum.to_le_bytes());
    assert!(parse(&signed).unwrap().checksum_ok());
    let wrong = patched(&Sample::paged(), field, &(sum ^ 1).to_le_bytes());
    let file = parse(&wrong).unwrap();
    assert!(!file.checksum_ok());
    assert!(file.notes.contains(&Note::Checksum { stored: sum ^ 1, computed: sum }));
}

#[test]
fn an_unsorted_function_table_is_sorted_and_nonsense_left_out() {
    let mut sample = Sample::paged();
    let (text, rdata) = (sample.text, sample.rdata);
    let pdata = sample.builder.section(".pdata");
    pdata.data.rotate_left(12);
    let nonsense = [text + 8, text + 4, rdata + 0xE0];
    pdata.data.extend(nonsense.iter().flat_map(|field| field.to_le_bytes()));
    pdata.virtual_size = 36;
    sample.builder.directories[3].1 = 36;
    let bytes = sample.build();
    let file = parse(&bytes).unwrap();
    assert!(file.notes.contains(&Note::FunctionTable { dropped: 1, sorted: false }));
    let begins: Vec<_> = file.functions.entries().iter().map(|entry| entry.begin).collect();
    assert_eq!(begins, [text, text + 0x40]);
}
