//! Where an object ends, by its brackets and strings.

use memchr::{memchr, memchr2};

/// An object that is followed by its brackets, over as many bytes as come.
#[derive(Default)]
pub(super) struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// Whether each of the innermost 128 brackets is one of an array.
    arrays: u128,
    /// The last byte that is no blank.
    last: u8,
    /// Whether only blanks came since the last line ended.
    at_line_start: bool,
}

pub(super) enum Step {
    /// They end within the object.
    More,
    /// The object ends here.
    Done(usize),
    /// It cannot go on here.
    Broken(usize),
}

impl Scan {
    /// Goes on with these bytes.
    pub(super) fn on(&mut self, bytes: &[u8]) -> Step {
        let mut at = 0;
        while at < bytes.len() {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                match self.string(&bytes[at..]) {
                    Ok(length) => at += length,
                    Err(newline) => return Step::Broken(at + newline),
                }
                continue;
            }
            let byte = bytes[at];
            match byte {
                b'\n' => self.at_line_start = true,
                b' ' | b'\t' | b'\r' => {}
                _ => {
                    if byte == b'{' && self.at_line_start && !self.may_open() {
                        return Step::Broken(at);
                    }
                    self.at_line_start = false;
                    self.last = byte;
                    match byte {
                        b'"' => self.in_string = true,
                        b'{' | b'[' => {
                            self.depth += 1;
                            self.arrays = self.arrays << 1 | u128::from(byte == b'[');
                        }
                        b'}' | b']' => {
                            self.depth -= 1;
                            self.arrays >>= 1;
                            if self.depth == 0 {
                                return Step::Done(at + 1);
                            }
                        }
                        _ => {}
                    }
                }
            }
            at += 1;
        }
        Step::More
    }

    /// The rest of a string: its length, or where a line ends in it, which no string has.
    fn string(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        let end = memchr2(b'"', b'\\', bytes);
        if let Some(newline) = memchr(b'\n', &bytes[..end.unwrap_or(bytes.len())]) {
            return Err(newline);
        }
        match end {
            Some(end) if bytes[end] == b'"' => {
                self.in_string = false;
                Ok(end + 1)
            }
            Some(end) => {
                self.escaped = true;
                Ok(end + 1)
            }
            None => Ok(bytes.len()),
        }
    }

    /// Whether an object can begin here, within another.
    fn may_open(&self) -> bool {
        match self.last {
            b':' | b'[' => true,
            b',' => self.arrays & 1 == 1 || self.depth > 128,
            _ => self.depth == 0,
        }
    }
}
