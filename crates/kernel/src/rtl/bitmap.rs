//! Bitmaps in memory of the driver's.

use export_macro::export;
use nt_abi::RTL_BITMAP;

/// The answer for nothing found.
const NONE: u32 = u32::MAX;

/// The bits of a bitmap. All methods are unsafe for one reason: its memory is the driver's.
#[derive(Clone, Copy)]
struct Bits {
    buffer: *mut u32,
    size: u32,
}

impl Bits {
    unsafe fn of(map: *const RTL_BITMAP) -> Self {
        // SAFETY: the driver's bitmap.
        let map = unsafe { map.read_unaligned() };
        Self { buffer: map.Buffer, size: map.SizeOfBitMap }
    }

    unsafe fn get(self, index: u32) -> bool {
        // SAFETY: within the bitmap, as callers see to.
        unsafe { self.buffer.add(index as usize / 32).read_unaligned() >> (index % 32) & 1 != 0 }
    }

    unsafe fn set(self, start: u32, count: u32, value: bool) {
        for index in start..start.saturating_add(count).min(self.size) {
            // SAFETY: within the bitmap.
            unsafe {
                let word = self.buffer.add(index as usize / 32);
                let (old, bit) = (word.read_unaligned(), 1 << (index % 32));
                word.write_unaligned(if value { old | bit } else { old & !bit });
            }
        }
    }

    /// Whether all bits of a range, which must not be empty nor leave the bitmap, have a value.
    unsafe fn are(self, start: u32, count: u32, value: bool) -> bool {
        let end = start.checked_add(count).filter(|&end| end <= self.size && count != 0);
        // SAFETY: within the bitmap.
        end.is_some_and(|end| (start..end).all(|index| unsafe { self.get(index) } == value))
    }

    /// The first run of `count` bits with a value, from a hint on and then from the start.
    unsafe fn find(self, count: u32, hint: u32, value: bool) -> u32 {
        let hint = if hint < self.size { hint } else { 0 };
        if count == 0 {
            return hint & !7;
        }
        // SAFETY: within the bitmap.
        unsafe {
            self.search(hint, self.size, count, value).or_else(|| self.search(0, self.size, count, value))
        }
        .unwrap_or(NONE)
    }

    unsafe fn search(self, from: u32, to: u32, count: u32, value: bool) -> Option<u32> {
        let mut run = 0;
        for index in from..to {
            // SAFETY: within the bitmap.
            run = if unsafe { self.get(index) } == value { run + 1 } else { 0 };
            if run == count {
                return Some(index + 1 - count);
            }
        }
        None
    }

    /// The longest run of bits with a value: start and length.
    unsafe fn longest(self, value: bool) -> (u32, u32) {
        let (mut best, mut run) = ((0, 0), 0);
        for index in 0..self.size {
            // SAFETY: within the bitmap.
            run = if unsafe { self.get(index) } == value { run + 1 } else { 0 };
            if run > best.1 {
                best = (index + 1 - run, run);
            }
        }
        best
    }

    unsafe fn count(self, value: bool) -> u32 {
        // SAFETY: within the bitmap.
        u32::try_from((0..self.size).filter(|&index| unsafe { self.get(index) } == value).count())
            .unwrap_or(0)
    }
}

/// Describes a bitmap; its bits stay as they are. Source: DDI.
#[export(irql any)]
pub unsafe extern "win64" fn RtlInitializeBitMap(map: *mut RTL_BITMAP, buffer: *mut u32, size: u32) {
    // SAFETY: the driver's structure.
    unsafe { map.write_unaligned(RTL_BITMAP { SizeOfBitMap: size, Buffer: buffer }) };
}

macro_rules! bitmaps {
    ($( $(#[$meta:meta])* $name:ident($($parameter:ident: $kind:ty),*) $(-> $result:ty)? = |$bits:ident| $act:expr; )*) => { $(
        $(#[$meta])*
        #[export(irql any)]
        pub unsafe extern "win64" fn $name(map: *const RTL_BITMAP, $($parameter: $kind),*) $(-> $result)? {
            // SAFETY: the driver's bitmap.
            unsafe {
                let $bits = Bits::of(map);
                $act
            }
        }
    )* };
}

bitmaps! {
    /// Sets bits. Source: DDI.
    RtlSetBits(start: u32, count: u32) = |bits| bits.set(start, count, true);
    /// Sets one bit. Source: DDI.
    RtlSetBit(index: u32) = |bits| bits.set(index, 1, true);
    /// Clears bits. Source: DDI.
    RtlClearBits(start: u32, count: u32) = |bits| bits.set(start, count, false);
    /// Clears one bit. Source: DDI.
    RtlClearBit(index: u32) = |bits| bits.set(index, 1, false);
    /// Sets all bits. Source: DDI.
    RtlSetAllBits() = |bits| bits.set(0, bits.size, true);
    /// Clears all bits. Source: DDI.
    RtlClearAllBits() = |bits| bits.set(0, bits.size, false);
    /// Returns one bit. Source: DDI.
    RtlTestBit(index: u32) -> u8 = |bits| u8::from(index < bits.size && bits.get(index));
    /// Returns one bit. Source: DDI.
    RtlCheckBit(index: u32) -> u8 = |bits| u8::from(index < bits.size && bits.get(index));
    /// Says whether all bits of a range are set. Source: DDI.
    RtlAreBitsSet(start: u32, count: u32) -> u8 = |bits| u8::from(bits.are(start, count, true));
    /// Says whether all bits of a range are clear. Source: DDI.
    RtlAreBitsClear(start: u32, count: u32) -> u8 = |bits| u8::from(bits.are(start, count, false));
    /// Returns how many bits are set. Source: DDI.
    RtlNumberOfSetBits() -> u32 = |bits| bits.count(true);
    /// Returns how many bits are clear. Source: DDI.
    RtlNumberOfClearBits() -> u32 = |bits| bits.count(false);
    /// Returns where a run of clear bits begins, or all ones. Source: DDI.
    RtlFindClearBits(count: u32, hint: u32) -> u32 = |bits| bits.find(count, hint, false);
    /// Returns where a run of set bits begins, or all ones. Source: DDI.
    RtlFindSetBits(count: u32, hint: u32) -> u32 = |bits| bits.find(count, hint, true);
    /// Finds a run of clear bits and sets it. Source: DDI.
    RtlFindClearBitsAndSet(count: u32, hint: u32) -> u32 = |bits| {
        let start = bits.find(count, hint, false);
        if start != NONE {
            bits.set(start, count, true);
        }
        start
    };
    /// Finds a run of set bits and clears it. Source: DDI.
    RtlFindSetBitsAndClear(count: u32, hint: u32) -> u32 = |bits| {
        let start = bits.find(count, hint, true);
        if start != NONE {
            bits.set(start, count, false);
        }
        start
    };
    /// Returns the longest run of clear bits. Source: DDI.
    RtlFindLongestRunClear(start: *mut u32) -> u32 = |bits| {
        let (at, length) = bits.longest(false);
        start.write_unaligned(at);
        length
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_set_and_cleared() {
        let mut words = [0u32; 3];
        let mut map = RTL_BITMAP::default();
        let map = &raw mut map;
        // SAFETY: the bitmap of the test.
        unsafe {
            RtlInitializeBitMap(map, words.as_mut_ptr(), 70);
            RtlSetBits(map, 30, 10);
            RtlSetBit(map, 69);
            assert_eq!((RtlNumberOfSetBits(map), RtlNumberOfClearBits(map)), (11, 59));
            assert_eq!(
                (RtlAreBitsSet(map, 30, 10), RtlAreBitsSet(map, 30, 11), RtlAreBitsClear(map, 0, 0)),
                (1, 0, 0)
            );
            assert_eq!(RtlFindClearBits(map, 29, 35), 40);
            assert_eq!(RtlFindClearBits(map, 30, 35), 0);
            assert_eq!(RtlFindClearBits(map, 31, 0), NONE);
            assert_eq!(RtlFindClearBitsAndSet(map, 30, 0), 0);
            assert_eq!(RtlFindSetBits(map, 40, 0), 0);
            let mut start = 0;
            assert_eq!((RtlFindLongestRunClear(map, &raw mut start), start), (29, 40));
            assert_eq!(RtlFindSetBitsAndClear(map, 5, 32), 32);
            assert_eq!((RtlTestBit(map, 32), RtlTestBit(map, 31), RtlTestBit(map, 70)), (0, 1, 0));
            RtlSetAllBits(map);
            assert_eq!(RtlNumberOfClearBits(map), 0);
        }
        assert_eq!(words[2], 0x3F, "bits behind the end stay");
    }
}
