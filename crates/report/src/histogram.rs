//! How long many calls took, in a fixed amount of memory.

/// Parts of a power of two that are told apart: a value is known to a sixteenth.
const PARTS: usize = 16;
/// As many powers of two as there are, but for the first ones, where each value has a place of its own.
const PLACES: usize = PARTS * 61;

/// Times, to a sixteenth of each.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64; PLACES]>,
    calls: u64,
    longest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; PLACES]), calls: 0, longest: 0 }
    }
}

fn place(nanos: u64) -> usize {
    let power = nanos.max(1).ilog2();
    let shift = power.saturating_sub(PARTS.ilog2());
    let part = usize::try_from(nanos >> shift).unwrap_or(0);
    shift as usize * PARTS + part
}

/// The longest time in a place.
fn longest(place: usize) -> u64 {
    if place < 2 * PARTS {
        return place as u64;
    }
    let shift = place / PARTS - 1;
    let part = (place - shift * PARTS) as u64;
    ((part + 1) << shift).wrapping_sub(1)
}

impl Histogram {
    /// Counts one more.
    pub fn add(&mut self, nanos: u64) {
        if let Some(count) = self.counts.get_mut(place(nanos)) {
            *count += 1;
        }
        self.calls += 1;
        self.longest = self.longest.max(nanos);
    }

    /// Adds all calls of another.
    pub fn add_all(&mut self, other: &Self) {
        for (count, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count += theirs;
        }
        self.calls += other.calls;
        self.longest = self.longest.max(other.longest);
    }

    /// How many were counted.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// The longest of all.
    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// What so many of a hundred calls did not exceed.
    pub fn percentile(&self, percent: u64) -> u64 {
        let wanted = (self.calls * percent).div_ceil(100);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return longest(place).min(self.longest);
            }
        }
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_place_that_is_a_sixteenth_wide_at_most() {
        for nanos in (0..100_000).chain([u64::MAX, u64::MAX / 2, 1 << 40]) {
            let place = place(nanos);
            assert!(place < PLACES, "{nanos}");
            let most = longest(place);
            assert!(most >= nanos && most - nanos <= nanos / 16, "{nanos} is in {place}, up to {most}");
        }
    }

    #[test]
    fn percentiles_are_of_the_calls() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50), 0);
        (1..=100).for_each(|nanos| histogram.add(nanos * 1000));
        assert_eq!((histogram.calls(), histogram.longest()), (100, 100_000));
        let (half, most) = (histogram.percentile(50), histogram.percentile(99));
        assert!((50_000..54_000).contains(&half), "{half}");
        assert!((99_000..=100_000).contains(&most), "{most}");
    }
}
