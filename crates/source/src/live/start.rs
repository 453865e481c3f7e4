//! What the kernel puts on the stack of a new image: its arguments and where its parts lie.
//!
//! Read before the first instruction of the image, so that nobody but the kernel has written there.

use super::{
    command::command_line,
    sys::{self, Pid},
};

/// How much of the stack is read at once: what `uname -a` needs with an ordinary environment.
const ENOUGH: usize = 16 << 10;

const AT_BASE: u64 = 7;
const AT_ENTRY: u64 = 9;

/// Where the parts of a new image lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// The entry point of the main image.
    pub(super) entry: u64,
    /// Where the ELF interpreter lies; 0 without one.
    pub(super) interpreter: u64,
    /// The arguments in one string.
    pub(super) command_line: Option<String>,
}

/// Reads what a process starts with. `stack` is its stack pointer at its first instruction.
pub(super) fn read(pid: Pid, stack: u64, wide: bool) -> Start {
    let mut block = vec![0; ENOUGH];
    let read = sys::read_memory(pid, stack, &mut block).unwrap_or(0);
    block.truncate(read);
    let (auxiliary, line) = parse(&block, stack, wide);
    let (entry, interpreter) = auxiliary
        .or_else(|| auxiliary_vector(&std::fs::read(format!("/proc/{pid}/auxv")).ok()?, wide))
        .unwrap_or_default();
    let command_line = line.or_else(|| {
        let text = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let text = text.strip_suffix(b"\0").unwrap_or(&text);
        (!text.is_empty()).then(|| command_line(text.split(|byte| *byte == 0)))
    });
    Start { entry, interpreter, command_line }
}

/// The words of a stack, 4 or 8 bytes each.
fn words(block: &[u8], wide: bool) -> impl Iterator<Item = u64> {
    let size = if wide { 8 } else { 4 };
    block
        .chunks_exact(size)
        .map(|bytes| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

/// Entry point and interpreter, and the command line, as far as they lie within the block.
fn parse(block: &[u8], stack: u64, wide: bool) -> (Option<(u64, u64)>, Option<String>) {
    let mut words_of_block = words(block, wide);
    let Some(count) = words_of_block.next().and_then(|count| usize::try_from(count).ok()) else {
        return (None, None);
    };
    let mut pointers = Vec::new();
    for _ in 0..count {
        match words_of_block.next() {
            Some(pointer) => pointers.push(pointer),
            None => return (None, None),
        }
    }
    let argument = |pointer: u64| {
        let at = usize::try_from(pointer.checked_sub(stack)?).ok()?;
        let rest = block.get(at..)?;
        rest.iter().position(|byte| *byte == 0).map(|end| &rest[..end])
    };
    let arguments: Option<Vec<_>> = pointers.into_iter().map(argument).collect();
    let line = arguments.filter(|all| !all.is_empty()).map(|all| command_line(all.into_iter()));
    // The null behind the arguments, the environment, the null behind that.
    words_of_block.next();
    let skipped = words_of_block.by_ref().take_while(|word| *word != 0).count();
    let size = if wide { 8 } else { 4 };
    let auxiliary = block
        .get((1 + count + 1 + skipped + 1).saturating_mul(size)..)
        .and_then(|rest| auxiliary_vector(rest, wide));
    (auxiliary, line)
}

/// Entry point and interpreter from an auxiliary vector, if its end is there.
fn auxiliary_vector(bytes: &[u8], wide: bool) -> Option<(u64, u64)> {
    let mut words = words(bytes, wide);
    let (mut entry, mut interpreter) = (0, 0);
    loop {
        match (words.next()?, words.next()?) {
            (0, _) => return Some((entry, interpreter)),
            (AT_ENTRY, value) => entry = value,
            (AT_BASE, value) => interpreter = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(words: &[u64], strings: &[u8], wide: bool) -> Vec<u8> {
        let mut block: Vec<u8> = Vec::new();
        for word in words {
            block.extend_from_slice(&word.to_le_bytes()[..if wide { 8 } else { 4 }]);
        }
        block.extend_from_slice(strings);
        block
    }

    #[test]
    fn r_pci_04_a_fresh_stack_is_read_at_either_width() {
        for (wide, size) in [(true, 8), (false, 4)] {
            let strings = 0x1000 + 13 * size;
            let words = [2, strings, strings + 3, 0, strings, 0, AT_ENTRY, 0x4711, AT_BASE, 0x8000, 0, 0, 99];
            let block = stack(&words, b"ls\0a b\0", wide);
            let line = Some(r#"ls "a b""#.to_owned());
            assert_eq!(parse(&block, 0x1000, wide), (Some((0x4711, 0x8000)), line));
        }
    }

    #[test]
    fn a_stack_that_is_cut_off_is_incomplete_and_no_panic() {
        let words = [2, 0x1000 + 104, 0x1000 + 107, 0, 0x1068, 0, AT_ENTRY, 1, AT_BASE, 2, 0, 0, 99];
        let block = stack(&words, b"ls\0a b\0", true);
        for length in 0..block.len() {
            let (auxiliary, line) = parse(&block[..length], 0x1000, true);
            assert_eq!(auxiliary.is_some(), length >= 12 * 8);
            assert!(line.is_none());
        }
        assert_eq!(parse(&u64::MAX.to_le_bytes(), 0, true), (None, None));
    }
}
