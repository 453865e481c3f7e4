//! What is in memory after a file is mapped.

use pe_image::bind::Symbol;
use pe_image::forward::Lookup;
use pe_image::fuzzing::Sample;
use pe_image::map::DEFAULT_SECURITY_COOKIE;
use pe_image::{
    ForwardError, ForwardSymbol, GUARD_SIZE, MapError, MapOptions, MappedImage, Modules, Note, Placement,
    Protection, Resolution, parse, resolve,
};

fn at(sample: &Sample, options: &MapOptions) -> MappedImage {
    let bytes = sample.build();
    let mut next = 0x1111_0000;
    let mut resolver = |_: &str, symbol: Symbol<'_>| {
        next += 1;
        if symbol == Symbol::Ordinal(5) { Resolution::Missing(next) } else { Resolution::Address(next) }
    };
    parse(&bytes).expect("the sample is right").map(options, &mut resolver).expect("it can be mapped")
}

fn mapped(sample: &Sample) -> MappedImage {
    at(sample, &MapOptions { security_cookie: Some(0xFFFF_1234_5678_9ABC), ..MapOptions::default() })
}

fn long(image: &MappedImage, rva: u32) -> u64 {
    let mut bytes = [0; 8];
    assert!(image.copy(rva, &mut bytes), "RVA {rva:#x} can be read");
    u64::from_le_bytes(bytes)
}

/// The permissions that the operating system gives for `address`, such as `r-xp`.
fn permissions(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
    let line = maps.lines().find(|line| {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let parse = |text| usize::from_str_radix(text, 16).unwrap_or(0);
        range.is_some_and(|(start, end)| (parse(start)..parse(end)).contains(&address))
    });
    line.and_then(|line| line.split(' ').nth(1)).unwrap_or("none").to_owned()
}

#[test]
fn sections_are_copied_and_the_rest_is_zero() {
    for sample in [Sample::paged(), Sample::flat()] {
        let image = mapped(&sample);
        assert_eq!(
            image.constant_bytes(0).map(|bytes| &bytes[..2]),
            (sample.text != 0x400).then_some(&b"MZ"[..])
        );
        let mut code = [0; 3];
        assert!(image.copy(sample.text + 0x40, &mut code));
        assert_eq!(code, [0x33, 0xC0, 0xC3]);
        assert_eq!(long(&image, sample.data + 0x100), 0);
    }
    let sample = Sample::paged();
    assert_eq!(
        long(&mapped(&sample), sample.data + 0x17F8),
        0,
        "behind the file's bytes, inside the section"
    );
}

#[test]
fn relocations_add_the_distance_to_the_preferred_base() {
    for sample in [Sample::paged(), Sample::flat()] {
        let image = mapped(&sample);
        let text = image.base() as u64 + u64::from(sample.text);
        assert_eq!(long(&image, sample.data + 0x10), text);
        assert_eq!(long(&image, sample.data + 0x18), text & 0xFFFF_FFFF, "HIGHLOW holds the low half");
        assert!(!image.notes().iter().any(|note| matches!(note, Note::NotRelocatable { .. })));
    }
}

#[test]
fn stripped_relocations_prefer_the_preferred_base() {
    let mut sample = Sample::paged();
    sample.builder.characteristics |= 1;
    sample.builder.directories[5] = (0, 0);
    // An odd corner of the address space, so that tests running beside this one do not meet here.
    sample.builder.image_base = 0x2_7000_0000;
    let expected = |image: &MappedImage| {
        image.notes().iter().any(|note| matches!(note, Note::NotRelocatable { preferred: 0x2_7000_0000, .. }))
    };
    // Addresses in the file are for the old base: leave those out that would now be outside.
    sample.builder.directories[10] = (0, 0);
    let there = mapped(&sample);
    assert_eq!(there.base(), 0x2_7000_0000);
    assert!(!expected(&there));
    let elsewhere = mapped(&sample);
    assert_ne!(elsewhere.base(), 0x2_7000_0000, "taken by the first");
    assert!(expected(&elsewhere));
    assert_eq!(long(&elsewhere, sample.data + 0x10), 0x1_4000_0000 + u64::from(sample.text), "not relocated");
}

#[test]
fn imports_are_bound_in_order_and_missing_ones_remembered() {
    for sample in [Sample::paged(), Sample::flat()] {
        let image = mapped(&sample);
        let slots = [0, 8, 16, 0x20].map(|slot| long(&image, sample.rdata + slot));
        assert_eq!(slots, [0x1111_0001, 0x1111_0002, 0x1111_0003, 0x1111_0004]);
        assert_eq!(long(&image, sample.rdata + 24), 0, "the end of the table stays");
        let missing: Vec<_> =
            image.missing().iter().map(|m| (m.module.as_str(), m.name.to_string())).collect();
        assert_eq!(missing, [("ntoskrnl.exe", "#5".to_owned())]);
        assert_eq!(image.missing()[0].iat_rva, sample.rdata + 16);
    }
}

#[test]
fn the_default_cookie_is_replaced_and_no_other() {
    let sample = Sample::paged();
    assert_eq!(long(&mapped(&sample), sample.data), 0x1234_5678_9ABC, "cut to 48 bits");
    assert_eq!(long(&at(&sample, &MapOptions::default()), sample.data), DEFAULT_SECURITY_COOKIE);
    for useless in [0, DEFAULT_SECURITY_COOKIE, 0xABCD << 48] {
        let options = MapOptions { security_cookie: Some(useless), ..MapOptions::default() };
        let cookie = long(&at(&sample, &options), sample.data);
        assert!(cookie != 0 && cookie != DEFAULT_SECURITY_COOKIE);
    }
    let mut own = Sample::paged();
    own.builder.section(".data").data[..8].copy_from_slice(&77u64.to_le_bytes());
    assert_eq!(long(&mapped(&own), own.data), 77);
}

#[test]
fn pages_have_the_rights_of_their_sections_and_no_more() {
    let sample = Sample::paged();
    let image = mapped(&sample);
    let here = |rva: u32| permissions(image.base() + rva as usize);
    assert_eq!(here(0), "r--p");
    assert_eq!(here(sample.text), "r-xp");
    assert_eq!(here(sample.rdata), "r--p");
    assert_eq!(here(sample.data), "rw-p");
    assert_eq!(here(sample.data + 0x1000), "rw-p");
    assert_eq!(here(sample.pdata), "r--p");
    assert_eq!(here(sample.init), "rwxp", "INIT asks for both");
    assert_eq!(here(sample.text + 0x1000), "---p", "between sections");
    assert_eq!(image.writable_executable().collect::<Vec<_>>(), [(0xD000, 0xE000)]);
    assert_eq!(image.protection(sample.text), Some(Protection::READ_EXECUTE));
    assert_eq!(image.protection(sample.text + 0x1000), None);
    assert_eq!(image.section(sample.data + 0x17FF).unwrap().name, ".data");
    assert!(image.section(sample.data + 0x1800).is_none());
}

#[test]
fn sections_that_share_a_page_share_their_rights() {
    let sample = Sample::flat();
    let image = mapped(&sample);
    // .text at 0x400 … .pdata at 0xA00, INIT at 0xC00, .reloc at 0xE00: one page.
    assert_eq!(permissions(image.base()), "rwxp");
    assert_eq!(image.size(), 0x1000);
    let mut long = Sample::flat();
    long.builder.size_of_image = 0x3000;
    let image = mapped(&long);
    assert_eq!(permissions(image.base() + 0x1000), "r--p");
}

#[test]
fn guards_surround_the_image() {
    let image = mapped(&Sample::paged());
    let (base, end) = (image.base(), image.base() + image.size());
    for address in [base - GUARD_SIZE, base - 1, end, end + GUARD_SIZE - 1] {
        assert_eq!(permissions(address), "---p", "{address:#x} of {base:#x}..{end:#x}");
    }
}

#[test]
fn addresses_can_be_chosen() {
    let options = MapOptions { placement: Placement::At(0x5_1230_0000), ..MapOptions::default() };
    let sample = Sample::paged();
    let image = at(&sample, &options);
    assert_eq!(image.base(), 0x5_1230_0000);
    assert_eq!(image.entry(), Some(0x5_1230_0000 + sample.text as usize));
    assert!(image.contains(0x5_1230_0000) && !image.contains(0x5_122F_FFFF));
    assert_eq!(image.rva(image.base() + image.size()), None);
    let bytes = sample.build();
    let again = parse(&bytes).unwrap().map(&options, &mut |_: &str, _: Symbol<'_>| Resolution::Address(1));
    assert!(matches!(again, Err(MapError::Reserve { address: Some(_), .. })));
    let crooked = MapOptions { placement: Placement::At(0x5_1234_5678), ..MapOptions::default() };
    let refused = parse(&bytes).unwrap().map(&crooked, &mut |_: &str, _: Symbol<'_>| Resolution::Address(1));
    assert!(matches!(refused, Err(MapError::BadAddress { address: 0x5_1234_5678 })));
}

#[test]
fn functions_are_found_by_address() {
    let sample = Sample::paged();
    let image = mapped(&sample);
    let function = image.function(image.base() + sample.text as usize + 0x41).unwrap();
    assert_eq!((function.begin, function.unwind), (sample.text + 0x40, sample.rdata + 0xE4));
    assert!(image.function(image.base() - 1).is_none());
    let unwind = image.constant_bytes(function.unwind).unwrap();
    assert_eq!(unwind[..4], [0x09, 4, 1, 0]);
}

#[test]
fn r_unl_02_a_retired_range_stays_reserved_without_access() {
    let image = mapped(&Sample::paged());
    let (base, size) = (image.base(), image.size());
    let retired = image.retire().unwrap();
    assert_eq!((retired.base(), retired.size(), retired.rva(base + 0x1234)), (base, size, Some(0x1234)));
    for rva in (0..size).step_by(0x1000) {
        assert_eq!(permissions(base + rva), "---p");
    }
    let options = MapOptions { placement: Placement::At(base), ..MapOptions::default() };
    let bytes = Sample::paged().build();
    let again = parse(&bytes).unwrap().map(&options, &mut |_: &str, _: Symbol<'_>| Resolution::Address(1));
    assert!(matches!(again, Err(MapError::Reserve { .. })), "nothing else can be mapped there");
}

#[test]
fn a_dropped_image_is_unmapped() {
    let options = MapOptions { placement: Placement::At(0x5_4560_0000), ..MapOptions::default() };
    let first = at(&Sample::paged(), &options);
    drop(first);
    assert_eq!(at(&Sample::paged(), &options).base(), 0x5_4560_0000);
}

#[test]
fn a_leaked_image_can_be_retired_too() {
    let image: &'static MappedImage = mapped(&Sample::paged()).leak();
    // SAFETY: nothing runs in the image, and nothing is borrowed from it.
    unsafe { image.retire_shared() }.unwrap();
    assert_eq!(permissions(image.base()), "---p");
    assert!(image.constant_bytes(0).is_none() && !image.copy(0, &mut [0]));
    assert!(image.export("Add").is_some(), "what was read from the file stays");
}

struct Loaded<'i>(&'i MappedImage);

impl Modules for Loaded<'_> {
    fn lookup(&self, module: &str, symbol: Symbol<'_>) -> Lookup {
        match module {
            "sample.sys" => self.0.lookup(symbol),
            "other" if symbol == Symbol::Ordinal(7) => Lookup::Address(0x7777),
            // Target leads back to where it came from.
            "other" => {
                Lookup::Forward { module: "sample.sys".into(), symbol: ForwardSymbol::Name("Fwd".into()) }
            }
            _ => Lookup::NoModule,
        }
    }
}

#[test]
fn forwarders_of_images_are_followed() {
    let sample = Sample::paged();
    let image = mapped(&sample);
    let modules = Loaded(&image);
    let named = |name| resolve(&modules, "sample.sys", Symbol::Name { name, hint: 0 });
    assert_eq!(named("Add"), Ok(image.base() + sample.text as usize + 0x40));
    assert_eq!(named("Ord"), Ok(0x7777));
    assert_eq!(resolve(&modules, "sample.sys", Symbol::Ordinal(13)), Ok(0x7777));
    assert!(matches!(named("Fwd"), Err(ForwardError::Endless { .. })));
    assert!(matches!(named("Nothing"), Err(ForwardError::NoExport { .. })));
}
