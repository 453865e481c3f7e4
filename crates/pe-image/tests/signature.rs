//! Embedded signatures: real ones, by another hand than ours (`data/sign.sh`), and damaged ones.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use pe_image::{PeFile, SignatureError, check_signature, parse};
use proptest::prelude::*;

const SIGNED: &[u8] = include_bytes!("data/signed.sys");
const SIGNED_SHA1: &[u8] = include_bytes!("data/signed-sha1.sys");
const UNSIGNED: &[u8] = include_bytes!("data/msvc.sys");

fn check(bytes: &[u8]) -> Result<(), SignatureError> {
    check_signature(&parse(bytes).unwrap())
}

/// Where the table of certificates is in a signed file, and the fields that signing changes.
fn places(file: &PeFile<'_>) -> (std::ops::Range<usize>, [std::ops::Range<usize>; 2]) {
    let (offset, size) = file.certificates.unwrap();
    let pe = u32::from_le_bytes(file.data()[0x3C..0x40].try_into().unwrap()) as usize;
    let directory = pe + 24 + 112 + 4 * 8;
    let checksum = pe + 24 + 64;
    (offset as usize..offset as usize + size as usize, [checksum..checksum + 4, directory..directory + 8])
}

/// The directory entry of a table.
fn entry(offset: usize, size: usize) -> [u8; 8] {
    let field = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    [field(offset), field(size)].concat().try_into().unwrap()
}

#[test]
fn r_int_04_a_signature_is_of_the_bytes_of_its_file() {
    for signed in [SIGNED, SIGNED_SHA1] {
        assert_eq!(check(signed), Ok(()));
    }
    assert_eq!(check(UNSIGNED), Err(SignatureError::Missing));
    assert!(parse(SIGNED).unwrap().force_integrity());
}

#[test]
fn r_int_04_any_other_byte_is_another_file() {
    let (table, unsigned) = places(&parse(SIGNED).unwrap());
    for at in 0..table.start {
        let mut bytes = SIGNED.to_vec();
        bytes[at] ^= 0x10;
        // What is no image any more is refused before anybody looks for a signature.
        let Ok(file) = parse(&bytes) else { continue };
        let checked = check_signature(&file);
        if unsigned[0].contains(&at) {
            assert_eq!(checked, Ok(()), "the checksum is not signed");
        } else {
            assert!(checked.is_err(), "{at:#x}");
        }
    }
    // Nor can anything be put behind it.
    for more in [1, 8, 4096] {
        let bytes = [SIGNED, &vec![0; more]].concat();
        assert!(matches!(check(&bytes), Err(SignatureError::OtherFile { .. })), "{more}");
    }
}

#[test]
fn r_int_04_another_files_signature_is_not_this_ones() {
    let signed = parse(SIGNED).unwrap();
    let (table, _) = places(&signed);
    let mut bytes = [UNSIGNED, &SIGNED[table.clone()]].concat();
    bytes[0x200] ^= 1;
    let (_, [_, directory]) = places(&signed);
    bytes[directory].copy_from_slice(&entry(UNSIGNED.len(), table.len()));
    let refused = check(&bytes).unwrap_err();
    assert!(matches!(refused, SignatureError::OtherFile { .. }), "{refused}");
    assert!(refused.to_string().contains("changed since it was signed"));
}

#[test]
fn r_int_04_the_signed_attributes_name_what_is_signed() {
    let (table, _) = places(&parse(SIGNED).unwrap());
    // The digest of the content, in the attribute with this identifier (1.2.840.113549.1.9.4).
    let identifier = [0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x04];
    let at = SIGNED.windows(identifier.len()).rposition(|window| window == identifier).unwrap();
    assert!(table.contains(&at));
    let mut bytes = SIGNED.to_vec();
    bytes[at + identifier.len() + 8] ^= 1;
    assert_eq!(check(&bytes), Err(SignatureError::OtherContent));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn r_int_04_a_hostile_table_is_refused_in_peace(
        sha1 in any::<bool>(),
        writes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        directory in proptest::option::of((any::<u32>(), any::<u32>())),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let good = if sha1 { SIGNED_SHA1 } else { SIGNED };
        let (table, [_, directory_entry]) = places(&parse(good).unwrap());
        let mut bytes = good.to_vec();
        for (at, value) in writes {
            bytes[table.start + at.index(table.len())] = value;
        }
        if let Some((offset, size)) = directory {
            // Half of the places are in the file.
            let near = |value: u32| if value.is_multiple_of(2) { value as usize } else { value as usize % good.len() };
            bytes[directory_entry].copy_from_slice(&entry(near(offset), near(size)));
        }
        if let Some(cut) = cut {
            bytes.truncate(table.start + cut.index(table.len()));
        }
        if let Ok(file) = parse(&bytes)
            && let Err(error) = check_signature(&file)
        {
            let text = error.to_string();
            prop_assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
        }
    }
}
