//! Numbers that look random, and a checksum.

use export_macro::export;

/// Steps a driver's seed and returns a number below 2^31 - 1.
///
/// # Safety
/// `seed` must be a variable of the driver's.
unsafe fn next(seed: *mut u32) -> u32 {
    const MOST: u64 = 0x7FFF_FFFF;
    // SAFETY: by this function's contract.
    unsafe {
        // Lehmer's generator, as the documents describe it: the same seeds give the same numbers, run after run.
        let stepped = (u64::from(seed.read_unaligned()) * 0x7FFF_FFED + 0x7FFF_FFC3) % MOST;
        let stepped = u32::try_from(stepped).unwrap_or(0);
        seed.write_unaligned(stepped);
        stepped
    }
}

/// Returns a number from 0 to 2^31 - 2 and steps the seed. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlRandom(seed: *mut u32) -> u32 {
    // SAFETY: the driver's seed.
    unsafe { next(seed) }
}

/// Returns a number from 0 to 2^31 - 2 and steps the seed. Source: DDI.
#[export(irql <= APC, since = Xp)]
pub unsafe extern "win64" fn RtlRandomEx(seed: *mut u32) -> u32 {
    // SAFETY: the driver's seed.
    unsafe { next(seed) }
}

/// Returns a uniform number and steps the seed. Source: public headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn RtlUniform(seed: *mut u32) -> u32 {
    // SAFETY: the driver's seed.
    unsafe { next(seed) }
}

/// Continues a CRC-32 (of IEEE 802.3) over bytes. Source: public symbol lists.
#[export(irql any, since = Win8)]
pub unsafe extern "win64" fn RtlComputeCrc32(partial: u32, data: *const u8, count: u32) -> u32 {
    let mut crc = !partial;
    // SAFETY: the driver's bytes.
    for &byte in unsafe { super::encode::bytes_at(data, count as usize) } {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc_32() {
        // SAFETY: bytes of the test.
        unsafe {
            assert_eq!(RtlComputeCrc32(0, b"123456789".as_ptr(), 9), 0xCBF4_3926);
            let half = RtlComputeCrc32(0, b"12345".as_ptr(), 5);
            assert_eq!(RtlComputeCrc32(half, b"6789".as_ptr(), 4), 0xCBF4_3926);
        }
    }

    #[test]
    fn a_seed_gives_the_same_numbers_every_time() {
        let run = || {
            let mut seed = 12345;
            // SAFETY: a variable of the test.
            (0..50).map(|_| unsafe { RtlRandomEx(&raw mut seed) }).collect::<Vec<_>>()
        };
        let numbers = run();
        assert_eq!(numbers, run());
        assert!(numbers.iter().all(|&number| number < 0x7FFF_FFFF));
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
