//! [`dbg_print!`](crate::dbg_print) and [`dbg_error!`](crate::dbg_error): lines for the kernel debugger.

use core::ffi::CStr;
use core::fmt::{self, Write as _};

use crate::nt;

/// How important a line is. Windows shows [`Level::Error`] always, the others when the mask of
/// component `IHVDRIVER` has their bit (see the README).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Level {
    /// `DPFLTR_ERROR_LEVEL`
    Error = 0,
    /// `DPFLTR_INFO_LEVEL`
    Info = 3,
}

/// `DPFLTR_IHVDRIVER_ID`: drivers by hardware makers and everybody else.
const COMPONENT: u32 = 77;

/// One call of `DbgPrintEx` carries 512 bytes; this leaves room for what a debugger puts around it.
const ROOM: usize = 508;
const CUT: &str = "…";

/// Prints one line of formatted text at information level; a newline is added. Text beyond 500 bytes
/// is cut, and ends in `…`.
///
/// Needs no heap. IRQL: as the values that are formatted allow; the print itself ≤ DIRQL.
#[macro_export]
macro_rules! dbg_print {
    ($($argument:tt)*) => {
        $crate::macros::line($crate::Level::Info, ::core::format_args!($($argument)*))
    };
}

/// As [`dbg_print!`](crate::dbg_print), at error level, which Windows shows without being asked to.
#[macro_export]
macro_rules! dbg_error {
    ($($argument:tt)*) => {
        $crate::macros::line($crate::Level::Error, ::core::format_args!($($argument)*))
    };
}

#[doc(hidden)]
pub fn line(level: Level, text: fmt::Arguments<'_>) {
    let mut line = Line::new();
    // A formatting error means that the line is full, which `finish` shows.
    let _ = line.write_fmt(text);
    nt::debug_output(COMPONENT, level as u32, line.finish());
}

/// A line under construction, always valid UTF-8 without NUL.
struct Line {
    bytes: [u8; ROOM],
    used: usize,
    cut: bool,
}

impl Line {
    const fn new() -> Self {
        Self { bytes: [0; ROOM], used: 0, cut: false }
    }

    fn push(&mut self, text: &str) {
        self.bytes[self.used..self.used + text.len()].copy_from_slice(text.as_bytes());
        self.used += text.len();
    }

    fn finish(&mut self) -> &CStr {
        if self.cut {
            self.push(CUT);
        }
        self.push("\n\0");
        // A NUL inside, which `write_str` keeps out, would only end the line early.
        CStr::from_bytes_until_nul(&self.bytes[..self.used]).unwrap_or(c"\n")
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.cut {
            return Err(fmt::Error);
        }
        for c in text.chars() {
            let c = if c == '\0' { char::REPLACEMENT_CHARACTER } else { c };
            let end = self.used + c.len_utf8();
            if end > ROOM - CUT.len() - "\n\0".len() {
                self.cut = true;
                return Err(fmt::Error);
            }
            c.encode_utf8(&mut self.bytes[self.used..end]);
            self.used = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut line = Line::new();
        let _ = line.write_str(text);
        line.finish().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_line_ends_with_one_newline() {
        assert_eq!(shown("a=1"), "a=1\n");
    }

    #[test]
    fn percent_signs_are_text() {
        assert_eq!(shown("100%s"), "100%s\n");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let long = shown(&"é".repeat(600));
        assert!(long.len() < ROOM);
        assert!(long.ends_with("é…\n"));
        assert_eq!(shown(&"a".repeat(503)), format!("{}\n", "a".repeat(503)));
        assert_eq!(shown(&"a".repeat(504)), format!("{}…\n", "a".repeat(503)));
    }

    #[test]
    fn nothing_follows_a_cut() {
        let mut line = Line::new();
        let _ = write!(line, "{}tail", "é".repeat(300));
        assert!(!line.finish().to_str().unwrap().contains("tail"));
    }

    #[test]
    fn a_nul_does_not_end_the_line() {
        assert_eq!(shown("a\0b"), "a\u{FFFD}b\n");
    }
}
