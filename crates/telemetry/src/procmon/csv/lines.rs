//! A CSV file cut into records, with no more than [`LIMIT`] bytes of it in memory.
//!
//! A record ends at the first end of a line outside of quotes. A file that was damaged may open a quote that nothing
//! closes: what it swallowed is given back from the next line on that begins as a record does, so that one damaged record
//! costs one record.

use std::io::{self, BufRead};

/// The longest record. A command line and an environment block have 32,767 characters each.
pub(super) const LIMIT: usize = 1 << 20;

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A record with its line end, or the last one without.
    Whole,
    /// The beginning of a record: a quote is not closed, and other records follow.
    Unclosed,
    /// The beginning of a record, at the end of the file.
    Cut,
    /// A line that is longer than any record.
    TooLong,
}

pub(super) struct Lines<R> {
    input: R,
    /// What is to be read once more before the input.
    again: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, again: Vec::new(), at: 0 }
    }

    /// Reads the next record; `None` at the end.
    pub(super) fn next(&mut self, record: &mut Vec<u8>) -> io::Result<Option<Shape>> {
        record.clear();
        let mut open = false;
        loop {
            let start = record.len();
            self.line(record)?;
            let line = &record[start..];
            open ^= memchr::memchr_iter(b'"', line).count() % 2 == 1;
            let ended = line.ends_with(b"\n");
            if record.is_empty() {
                return Ok(None);
            } else if ended && !open {
                return Ok(Some(Shape::Whole));
            } else if record.len() >= LIMIT {
                return self.too_long(record).map(Some);
            } else if !ended {
                return Ok(Some(if open { self.give_back(record) } else { Shape::Whole }));
            }
        }
    }

    /// Puts a record back, to be read once more.
    pub(super) fn put_back(&mut self, record: &[u8]) {
        self.again.drain(..self.at);
        self.at = 0;
        self.again.splice(..0, record.iter().copied());
    }

    /// Appends one line, or what of it still has room.
    fn line(&mut self, record: &mut Vec<u8>) -> io::Result<()> {
        while record.len() < LIMIT {
            let from_input = self.at == self.again.len();
            let bytes = match from_input {
                true => match self.input.fill_buf() {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    bytes => bytes?,
                },
                false => &self.again[self.at..],
            };
            let bytes = &bytes[..bytes.len().min(LIMIT - record.len())];
            let (used, ended) = match memchr::memchr(b'\n', bytes) {
                Some(end) => (end + 1, true),
                None => (bytes.len(), bytes.is_empty()),
            };
            record.extend_from_slice(&bytes[..used]);
            if from_input {
                self.input.consume(used);
            } else {
                self.at += used;
            }
            if ended {
                break;
            }
        }
        Ok(())
    }

    fn too_long(&mut self, record: &mut Vec<u8>) -> io::Result<Shape> {
        if record.contains(&b'\n') {
            return Ok(match self.give_back(record) {
                Shape::Cut => Shape::TooLong,
                shape => shape,
            });
        }
        // One line: what is left of it is passed over.
        let mut rest = Vec::new();
        loop {
            rest.clear();
            self.line(&mut rest)?;
            if rest.ends_with(b"\n") || rest.is_empty() {
                return Ok(Shape::TooLong);
            }
        }
    }

    /// Keeps the damaged record, and gives back what follows it.
    fn give_back(&mut self, record: &mut Vec<u8>) -> Shape {
        let begins = |end: &usize| record.get(end + 1) == Some(&b'"');
        match memchr::memchr_iter(b'\n', record).find(begins) {
            Some(end) => {
                let rest = record.split_off(end + 1);
                self.put_back(&rest);
                Shape::Unclosed
            }
            None => Shape::Cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(Shape, usize)> {
        let mut lines = Lines::new(io::BufReader::with_capacity(3, text));
        let mut record = Vec::new();
        std::iter::from_fn(|| lines.next(&mut record).unwrap().map(|shape| (shape, record.len()))).collect()
    }

    #[test]
    fn a_record_ends_outside_of_quotes() {
        assert_eq!(read(b""), []);
        assert_eq!(
            read(b"\"a\"\n\"b\nc\"\r\n\"d\""),
            [(Shape::Whole, 4), (Shape::Whole, 7), (Shape::Whole, 3)]
        );
        assert_eq!(read(b"\"a \"\"\nb\"\"\"\n"), [(Shape::Whole, 11)]);
    }

    #[test]
    fn an_open_quote_costs_one_record() {
        assert_eq!(
            read(b"\"a\",\"x\n\"b\"\n\"c\"\n"),
            [(Shape::Unclosed, 7), (Shape::Whole, 4), (Shape::Whole, 4)]
        );
        assert_eq!(read(b"\"a\"\n\"x\n;y\n;z"), [(Shape::Whole, 4), (Shape::Cut, 8)]);
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let long = vec![b'x'; 3 * LIMIT];
        let mut text = long.clone();
        text.extend_from_slice(b"\n\"b\"\n");
        assert_eq!(read(&text), [(Shape::TooLong, LIMIT), (Shape::Whole, 4)]);
        let mut text = b"\"a\n".to_vec();
        for _ in 0..2 * LIMIT / 4 {
            text.extend_from_slice(b";x\r\n");
        }
        text.extend_from_slice(b"\"b\"\n");
        let shapes = read(&text);
        assert_eq!(shapes[0], (Shape::TooLong, LIMIT));
        assert_eq!(shapes.last(), Some(&(Shape::Whole, 4)));
    }
}
