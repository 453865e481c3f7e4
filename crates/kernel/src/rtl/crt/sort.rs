//! Sorting, searching, and numbers that look random.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};

use export_macro::export;

/// Calls the driver's comparison.
///
/// # Safety
/// `compare` must be a C comparison routine, and both elements valid for it.
unsafe fn compare_by(compare: usize, left: *const u8, right: *const u8) -> i32 {
    // SAFETY: by this function's contract.
    let answer =
        unsafe { machine::call2(compare, left.expose_provenance() as u64, right.expose_provenance() as u64) };
    let [a, b, c, d, ..] = answer.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// Sorts an array with a comparison of the driver's.
#[export(irql any)]
pub unsafe extern "win64" fn qsort(base: *mut u8, count: usize, size: usize, compare: usize) {
    if count < 2 || size == 0 {
        return;
    }
    // Heap sort: in place, and never outside of the array whatever the comparison answers.
    // SAFETY: all indices stay below `count`.
    unsafe {
        let swap =
            |a: usize, b: usize| std::ptr::swap_nonoverlapping(base.add(a * size), base.add(b * size), size);
        let sift = |mut root: usize, end: usize| {
            while 2 * root + 1 < end {
                let mut child = 2 * root + 1;
                if child + 1 < end
                    && compare_by(compare, base.add(child * size), base.add((child + 1) * size)) < 0
                {
                    child += 1;
                }
                if compare_by(compare, base.add(root * size), base.add(child * size)) >= 0 {
                    break;
                }
                swap(root, child);
                root = child;
            }
        };
        (0..count / 2).rev().for_each(|root| sift(root, count));
        for end in (1..count).rev() {
            swap(0, end);
            sift(0, end);
        }
    }
}

/// Finds a key in a sorted array; null where it is not.
#[export(irql any)]
pub unsafe extern "win64" fn bsearch(
    key: *const u8,
    base: *const u8,
    count: usize,
    size: usize,
    compare: usize,
) -> *const c_void {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        let element = base.wrapping_add(middle * size);
        // SAFETY: the element lies in the driver's array.
        match unsafe { compare_by(compare, key, element) } {
            0 => return element.cast(),
            order if order < 0 => high = middle,
            _ => low = middle + 1,
        }
    }
    std::ptr::null()
}

static SEED: AtomicU32 = AtomicU32::new(1);

/// Starts the sequence of `rand`.
#[export(irql any)]
pub unsafe extern "win64" fn srand(seed: u32) {
    SEED.store(seed, Ordering::Relaxed);
}

/// Returns the next number, 0 to 32767, of a sequence that is always the same.
#[export(irql any)]
pub unsafe extern "win64" fn rand() -> i32 {
    // The linear congruence of Microsoft's library, so that drivers see the numbers they know.
    let step = |seed: u32| seed.wrapping_mul(214_013).wrapping_add(2_531_011);
    let before =
        SEED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seed| Some(step(seed))).unwrap_or(0);
    (step(before) >> 16 & 0x7FFF).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    unsafe extern "win64" fn by_value(left: *const u32, right: *const u32) -> i32 {
        // SAFETY: elements of the test's array.
        unsafe { (*left).cmp(&*right) as i32 }
    }

    #[test]
    fn sorted_and_found_with_a_drivers_comparison() {
        with_kernel(Config::default(), |_, _| {
            let compare = (by_value as *const ()).expose_provenance();
            let mut values: Vec<u32> = (0..100u32).map(|i| i * 37 % 101).collect();
            // SAFETY: arrays of the test.
            unsafe { qsort(values.as_mut_ptr().cast(), values.len(), 4, compare) };
            assert!(values.is_sorted());
            let start = values.as_ptr().cast::<u8>();
            for (key, found) in [(values[42], true), (1000, false)] {
                // SAFETY: as above.
                let at = unsafe { bsearch((&raw const key).cast(), start, values.len(), 4, compare) };
                assert_eq!(!at.is_null(), found);
                // SAFETY: not null, so an element.
                assert!(!found || unsafe { at.cast::<u32>().read() } == key);
            }
        });
    }

    #[test]
    fn rand_is_the_known_sequence() {
        // SAFETY: no pointers.
        unsafe {
            srand(1);
            assert_eq!([rand(), rand(), rand()], [41, 18467, 6334]);
        }
    }
}
