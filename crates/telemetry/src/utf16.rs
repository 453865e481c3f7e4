//! Text of 16-bit units as UTF-8, told by its byte order mark or by how an object begins.

use std::io::{self, Read};

/// Text as UTF-8, whichever of the two it is.
pub(crate) struct Narrow<R> {
    input: R,
    /// What was read and not yet given out, and how much of it was.
    ready: Vec<u8>,
    given: usize,
    units: Option<Units>,
    started: bool,
}

/// What is carried from one read to the next.
struct Units {
    big_endian: bool,
    odd: Option<u8>,
    high: Option<u16>,
}

impl<R: Read> Narrow<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, ready: Vec::new(), given: 0, units: None, started: false }
    }

    fn start(&mut self) -> io::Result<()> {
        (&mut self.input).take(4).read_to_end(&mut self.ready)?;
        self.started = true;
        let order = match self.ready[..] {
            [0xFF, 0xFE, ..] => Some((false, 2)),
            [0xFE, 0xFF, ..] => Some((true, 2)),
            [first, 0, second, 0] if first != 0 && second != 0 => Some((false, 0)),
            [0, first, 0, second] if first != 0 && second != 0 => Some((true, 0)),
            _ => None,
        };
        if let Some((big_endian, mark)) = order {
            let mut units = Units { big_endian, odd: None, high: None };
            let text = units.narrow(&self.ready[mark..]);
            self.ready = text;
            self.units = Some(units);
        }
        Ok(())
    }
}

impl Units {
    fn narrow(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.len());
        let bytes = self.odd.take().into_iter().chain(bytes.iter().copied());
        let mut first = None;
        let mut units = Vec::new();
        for byte in bytes {
            match first.take() {
                None => first = Some(byte),
                Some(one) if self.big_endian => units.push(u16::from_be_bytes([one, byte])),
                Some(one) => units.push(u16::from_le_bytes([one, byte])),
            }
        }
        self.odd = first;
        let mut units: Vec<u16> = self.high.take().into_iter().chain(units).collect();
        // A pair may be parted by where the read ended.
        if let Some(0xD800..=0xDBFF) = units.last() {
            self.high = units.pop();
        }
        for character in char::decode_utf16(units) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        text
    }

    /// What is left when no more comes.
    fn end(&mut self) -> Vec<u8> {
        let left = self.odd.take().is_some() | self.high.take().is_some();
        if left { "\u{FFFD}".as_bytes().to_vec() } else { Vec::new() }
    }
}

impl<R: Read> Read for Narrow<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.started {
            self.start()?;
        }
        while self.given == self.ready.len() {
            let Some(units) = &mut self.units else { return self.input.read(into) };
            let mut bytes = [0; 8 << 10];
            let read = self.input.read(&mut bytes)?;
            self.ready = if read > 0 { units.narrow(&bytes[..read]) } else { units.end() };
            self.given = 0;
            if read == 0 && self.ready.is_empty() {
                return Ok(0);
            }
        }
        let ready = &self.ready[self.given..];
        let length = ready.len().min(into.len());
        into[..length].copy_from_slice(&ready[..length]);
        self.given += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = into.len().min(1);
            self.0.read(&mut into[..most])
        }
    }

    #[test]
    fn either_order_with_or_without_a_mark_is_the_same_text() {
        let text = "{\"a\":\"é𝄞\"}";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = |mark: [u8; 2], rest: &[u8]| [&mark, rest].concat();
        for bytes in [
            text.as_bytes().to_vec(),
            little.clone(),
            big.clone(),
            marked([0xFF, 0xFE], &little),
            marked([0xFE, 0xFF], &big),
        ] {
            let mut read = String::new();
            Narrow::new(Drops(&bytes)).read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
        let mut cut = String::new();
        Narrow::new(Drops(&little[..little.len() - 1])).read_to_string(&mut cut).unwrap();
        assert!(cut.ends_with('\u{FFFD}'));
    }
}
