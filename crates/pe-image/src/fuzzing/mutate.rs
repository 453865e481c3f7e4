//! Seeded mutations: the same seed always makes the same file.

/// Makes hostile files of good ones.
#[derive(Debug, Clone)]
pub struct Mutator {
    state: u64,
}

/// Values that break arithmetic more often than others.
const NASTY: [u32; 16] = [
    0,
    1,
    2,
    7,
    0xFF,
    0xFFF,
    0x1000,
    0x7FFF,
    0xFFFF,
    0x0001_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_F000,
    0xFFFF_FFF8,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
];

impl Mutator {
    /// A sequence of mutations.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 }
    }

    /// Up to `limit` (exclusive; 0 gives 0). xorshift64*.
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let wide = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16;
        usize::try_from(wide).unwrap_or(0).checked_rem(limit).unwrap_or(0)
    }

    /// A place: often in the headers, where one value moves everything else.
    fn place(&mut self, len: usize) -> usize {
        match self.below(3) {
            0 => self.below(len.min(0x300)),
            _ => self.below(len),
        }
    }

    fn nasty(&mut self, len: usize) -> u32 {
        match self.below(3) {
            0 => u32::try_from(self.below(len + 16)).unwrap_or(0),
            _ => NASTY[self.below(NASTY.len())],
        }
    }

    /// Changes `bytes` by one to eight mutations.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(8) {
            self.once(bytes);
        }
    }

    fn once(&mut self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        let at = self.place(len);
        match self.below(12) {
            0 => bytes.truncate(at),
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            2 => {
                let value = self.below(256);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(value).unwrap_or(0);
                }
            }
            3 => {
                let end = (at + self.below(64)).min(len);
                bytes.get_mut(at..end).unwrap_or(&mut []).fill(if self.below(2) == 0 { 0 } else { 0xFF });
            }
            4 => {
                // Part of the file over another part: tables that overlap or point at each other.
                let from = self.place(len);
                let count = self.below(64).min(len - at.min(len)).min(len - from.min(len));
                bytes.copy_within(from..from + count, at);
            }
            5 => bytes.resize(len + self.below(0x1000), 0x41),
            6 => {
                let value = u16::try_from(self.nasty(len) & 0xFFFF).unwrap_or(0);
                write(bytes, at & !1, &value.to_le_bytes());
            }
            _ => {
                let value = self.nasty(len);
                write(bytes, at & !3, &value.to_le_bytes());
            }
        }
    }
}

fn write(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}
