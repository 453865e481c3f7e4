//! Files that want to hurt: the stand-in for the fuzz target in `cargo test`, and properties.

use pe_image::fuzzing::{Mutator, Outcome, Sample, check};
use proptest::prelude::*;

/// Mutations per sample; `CALLBOARD_SEEDS=first..end` chooses others, for long runs.
const SEEDS: std::ops::Range<u64> = 0..2500;

fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("CALLBOARD_SEEDS").ok();
    let parsed = given.as_deref().and_then(|text| {
        let (first, end) = text.split_once("..")?;
        Some(first.parse().ok()?..end.parse().ok()?)
    });
    parsed.unwrap_or(SEEDS)
}

fn corpus() -> Vec<Vec<u8>> {
    vec![Sample::paged().build(), Sample::flat().build()]
}

#[test]
fn good_files_map() {
    for bytes in corpus() {
        assert_eq!(check(&bytes), Outcome::Mapped);
    }
}

#[test]
fn seeded_mutations_keep_every_property() {
    let (mut mapped, mut refused) = (0u64, std::collections::BTreeSet::new());
    for seed in seeds() {
        for good in corpus() {
            let mut bytes = good;
            Mutator::new(seed).mutate(&mut bytes);
            match check(&bytes) {
                Outcome::Mapped => mapped += 1,
                Outcome::Refused(text) => {
                    refused.insert(text.split(['(', ':', '0']).next().unwrap_or_default().to_owned());
                }
                Outcome::Unmappable(_) => {}
            }
        }
    }
    // If nearly all were refused by the first check, or none, the mutations would prove nothing.
    assert!(mapped > 0 && refused.len() > 5, "{mapped} mapped, refused: {refused:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn arbitrary_bytes_are_refused_in_peace(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(matches!(check(&bytes), Outcome::Refused(_)));
    }

    #[test]
    fn any_part_of_a_driver_is_refused_in_peace(cut in 0usize..4096, flat in any::<bool>()) {
        let whole = if flat { Sample::flat() } else { Sample::paged() }.build();
        if cut < whole.len() {
            prop_assert!(matches!(check(&whole[..cut]), Outcome::Refused(_)));
        }
    }

    #[test]
    fn any_bytes_written_anywhere_keep_every_property(
        flat in any::<bool>(),
        writes in proptest::collection::vec((0usize..3072, any::<[u8; 4]>()), 1..6),
    ) {
        let mut bytes = if flat { Sample::flat() } else { Sample::paged() }.build();
        for (place, value) in writes {
            if let Some(there) = bytes.get_mut(place..place + 4) {
                there.copy_from_slice(&value);
            }
        }
        check(&bytes);
    }
}
