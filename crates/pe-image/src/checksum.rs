//! The checksum of the optional header.

/// The checksum of a file: the 16-bit words added with the carry folded back, the stored checksum
/// at `field` counted as zero, plus the file's length (PE format, "CheckSum").
pub(crate) fn compute(data: &[u8], field: usize) -> u32 {
    // Split around the field so that the long runs stay simple enough to be vectorised. An odd offset,
    // which no linker writes, makes the halves swap their byte order; adding per byte handles it.
    let end = field.saturating_add(4);
    let (before, after) = (data.get(..field).unwrap_or(data), data.get(end..).unwrap_or(&[]));
    let mut sum = words(before);
    sum += if end.is_multiple_of(2) { words(after) } else { swapped(after) };
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    u32::try_from((sum + data.len() as u64) & 0xFFFF_FFFF).unwrap_or(0)
}

/// The little-endian words of `bytes`, the first byte being a low one.
fn words(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks_exact(2);
    let last = pairs.remainder().first().map_or(0, |&byte| u64::from(byte));
    pairs.map(|pair| u64::from(u16::from_le_bytes([pair[0], pair[1]]))).sum::<u64>() + last
}

/// As [`words`], the first byte being a high one.
fn swapped(bytes: &[u8]) -> u64 {
    bytes.split_first().map_or(0, |(&first, rest)| (u64::from(first) << 8) + words(rest))
}

#[cfg(test)]
mod tests {
    use super::compute;

    #[test]
    fn words_fold_and_the_field_does_not_count() {
        assert_eq!(compute(&[1, 0, 2, 0, 0xFF, 0xFF, 0xFF, 0xFF], 4), 3 + 8);
        // 0xFFFF + 2 carries once.
        assert_eq!(compute(&[0xFF, 0xFF, 2, 0], 100), 2 + 4);
        // The same bytes count the same whether the field starts on an even offset or not.
        assert_eq!(compute(&[1, 9, 9, 9, 9, 2, 3, 4], 1), 1 + 0x0200 + 0x0403 + 8);
        // An odd length counts the last byte alone.
        assert_eq!(compute(&[1, 0, 7], 100), 8 + 3);
    }
}
