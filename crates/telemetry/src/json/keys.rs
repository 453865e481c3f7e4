//! The meanings of the keys that came before: a log has the same few keys in every event.

use super::shape::{Meaning, Place, meaning};

/// So many are remembered, each in the place that its hash gives it.
const SLOTS: usize = 512;
/// Longer ones are looked up each time.
const LONGEST: usize = 32;

/// What keys mean, remembered; by default, nothing is.
#[derive(Debug, Default)]
pub(crate) struct Keys(Vec<Slot>);

#[derive(Clone, Copy, Debug)]
struct Slot {
    place: Place,
    length: usize,
    key: [u8; LONGEST],
    meaning: Meaning,
}

impl Keys {
    pub(crate) fn new() -> Self {
        // No key is as long as an unused one is said to be.
        let unused =
            Slot { place: Place::Top, length: usize::MAX, key: [0; LONGEST], meaning: Meaning::NONE };
        Self(vec![unused; SLOTS])
    }

    /// As [`meaning`].
    pub(crate) fn meaning(&mut self, place: Place, key: &str) -> Meaning {
        let (length, mut padded) = (key.len(), [0; LONGEST]);
        if length > LONGEST {
            return meaning(place, key);
        }
        padded[..length].copy_from_slice(key.as_bytes());
        let Some(slot) = self.0.get_mut(hash(place, &padded)) else { return meaning(place, key) };
        if slot.place != place || slot.length != length || slot.key != padded {
            *slot = Slot { place, length, key: padded, meaning: meaning(place, key) };
        }
        slot.meaning
    }
}

fn hash(place: Place, key: &[u8; LONGEST]) -> usize {
    let words = key.as_chunks::<8>().0;
    let mixed = words.iter().fold(place as u64, |mixed, word| {
        (mixed ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
    });
    usize::try_from(mixed >> 40).unwrap_or(0) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_it_means() {
        let mut keys = Keys::new();
        let names =
            ["", "ProcessId", "ProcessID", "process_id", "winlog", "winlog.event_id", "Image\0", "Image"];
        let long = "winlog.event_data.ParentProcessGuidAndMore";
        for round in 0..3 {
            for number in 0..2_000 {
                keys.meaning(Place::Top, &format!("other{number}"));
                for name in names.into_iter().chain([long]) {
                    for place in [Place::Top, Place::Data, Place::Winlog] {
                        assert_eq!(keys.meaning(place, name), meaning(place, name), "{round} {name}");
                    }
                }
            }
        }
    }
}
