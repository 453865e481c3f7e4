//! How deep a call of driver code went, as its stack tells afterwards.
//!
//! ```text
//!   entry ────────────────┐ the call
//!                         │ not looked at: a routine may use as much
//!   entry - from ═════════╡
//!                         │ painted before the call; a return address into the driver that lies here afterwards,
//!                         │ and that frames lead on from, was left by the driver's own frames
//!   entry - from - REACH ═╡
//!                         │ what looks at it runs below
//! ```
//!
//! Routines of the kernel that the driver calls run on the same stack and use more of it than those of Windows. So it does
//! not count that a word was written to: only a chain of frames that fits the driver's unwind data counts.

use std::ffi::c_void;

use nt_abi::CONTEXT;

use crate::call::edge_call3_noting;
use crate::images::{self, LoadedImage};
use crate::pcr::Kpcr;
use crate::seh::walk;
use crate::stop::StackFrame;

/// Bytes that are painted.
pub const REACH: usize = 16 * 1024;
/// How far below its caller the painted part is looked at from: below all of it.
const ASIDE: usize = 64 * 1024;
/// What has to be left of the stack below that.
const RESERVE: usize = 64 * 1024;
/// So many frames in a chain cannot be there by chance; a shorter chain has to begin at the call.
const CERTAIN: usize = 4;
/// Frames of a chain that are told.
const MOST_FRAMES: usize = 16;
/// How many words that point into the driver's image are looked at.
const MOST_TRIED: usize = 64;

/// What a call left deep in its stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// Bytes from the stack pointer of the call down to the deepest return address.
    pub depth: usize,
    /// The chain of return addresses, innermost first.
    pub frames: Vec<StackFrame>,
}

/// Calls driver code with three arguments, as [`crate::call3`] does, and answers what its frames left more than `from`
/// bytes below the call; `None` where they left nothing, and where the stack is too short to look.
///
/// Costs about two microseconds more than the call alone, and allocates only for an answer.
///
/// # Safety
/// See [`crate::call_driver`].
#[inline(never)]
pub unsafe fn call3(function: usize, a1: u64, a2: u64, a3: u64, from: usize) -> Option<Watermark> {
    let here = stack_pointer();
    let (low, _) = Kpcr::current().stack_limits();
    let image = images::find(function);
    let (Some(image), true) = (image, here > low + from + REACH + ASIDE + RESERVE) else {
        // SAFETY: promised by the caller.
        unsafe { crate::call3(function, a1, a2, a3) };
        return None;
    };
    let bottom = (here - from - REACH) & !7;
    // SAFETY: the words lie below the stack pointer by more than anything of this function reaches, and inside of the
    // stack, as was just seen.
    unsafe { paint(bottom, REACH / 8) };
    let mut entry = 0;
    // SAFETY: promised by the caller; `entry` outlives the call.
    unsafe { edge_call3_noting(a1, a2, a3, function, &raw mut entry) };
    let end = entry.saturating_sub(from) & !7;
    // SAFETY: what was painted; only looked at, in words, as nothing else runs on this stack meanwhile.
    let found = unsafe { first_in_range(bottom, end, image.base, image.size) };
    if found == 0 {
        return None;
    }
    let mut search = Search { image, at: found, end, entry, found: None };
    // SAFETY: the stack goes down that far, as was seen above, and `look` takes what it is given here.
    unsafe { call_aside(look, (&raw mut search).cast()) };
    search.found
}

/// What is looked for where.
struct Search {
    image: &'static LoadedImage,
    at: usize,
    end: usize,
    entry: usize,
    found: Option<Watermark>,
}

/// Goes through the words from the deepest on.
extern "C" fn look(search: *mut c_void) {
    // SAFETY: `call3` passes a search of its own, and waits.
    let search = unsafe { &mut *search.cast::<Search>() };
    for _ in 0..MOST_TRIED {
        // SAFETY: in the painted part, which nobody uses: this function runs far below.
        let word = unsafe { std::ptr::with_exposed_provenance::<u64>(search.at).read_volatile() };
        if let Some(frames) = chain(word, search.at, search.entry) {
            search.found = Some(Watermark { depth: search.entry - search.at, frames });
            return;
        }
        // SAFETY: as in `call3`.
        search.at =
            unsafe { first_in_range(search.at + 8, search.end, search.image.base, search.image.size) };
        if search.at == 0 {
            return;
        }
    }
}

/// The frames that lead on from a return address at `at`, if they fit: until so many that it is certain, or to the call
/// that was made at `entry`.
fn chain(word: u64, at: usize, entry: usize) -> Option<Vec<StackFrame>> {
    let mut registers = CONTEXT { Rip: word, Rsp: at as u64 + 8, ..CONTEXT::default() };
    let mut frames = Vec::new();
    while walk::is_return_address(registers.Rip) {
        if frames.len() < MOST_FRAMES {
            frames.push(StackFrame::at(registers.Rip));
        }
        // Only the stack pointer is known, so frames that are found by another register end the chain.
        if !walk::step(&mut registers, false) {
            break;
        }
        if registers.Rsp == entry as u64 {
            return Some(frames);
        }
    }
    (frames.len() >= CERTAIN).then_some(frames)
}

#[inline(always)]
fn stack_pointer() -> usize {
    let here: usize;
    // SAFETY: copies a register.
    unsafe { std::arch::asm!("mov {}, rsp", out(reg) here, options(nomem, nostack, preserves_flags)) };
    here
}

/// Writes zero to `words` words from `bottom` on.
///
/// # Safety
/// Nobody uses them.
#[unsafe(naked)]
unsafe extern "C" fn paint(bottom: usize, words: usize) {
    std::arch::naked_asm!("mov rcx, rsi", "xor eax, eax", "cld", "rep stosq", "ret")
}

/// The lowest word in `start..end` whose value lies in the `size` bytes from `base` on; 0 where there is none.
///
/// # Safety
/// The words are readable.
#[unsafe(naked)]
unsafe extern "C" fn first_in_range(start: usize, end: usize, base: usize, size: usize) -> usize {
    std::arch::naked_asm!(
        "2:",
        "cmp rdi, rsi",
        "jae 3f",
        "mov rax, [rdi]",
        "sub rax, rdx",
        "cmp rax, rcx",
        "jb 4f",
        "add rdi, 8",
        "jmp 2b",
        "3:",
        "xor edi, edi",
        "4:",
        "mov rax, rdi",
        "ret",
    )
}

/// Calls `look` with its stack far below, so that what lies in between stays as it is.
///
/// # Safety
/// The stack goes down by [`ASIDE`] and what `look` needs; `look` takes `data`.
#[unsafe(naked)]
unsafe extern "C" fn call_aside(look: extern "C" fn(*mut c_void), data: *mut c_void) {
    std::arch::naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "mov rax, rdi",
        "mov rdi, rsi",
        "sub rsp, {aside}",
        "and rsp, -16",
        "call rax",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
        aside = const ASIDE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Processor;

    #[test]
    fn the_lowest_word_of_a_range_is_found() {
        let words = [1usize, 0x5000, 0x4FFF, 0x4000, 0x4001];
        let (start, end) = (words.as_ptr().expose_provenance(), words.as_ptr_range().end.expose_provenance());
        // SAFETY: the words of this test.
        unsafe {
            assert_eq!(first_in_range(start, end, 0x4000, 0x1000), start + 16);
            assert_eq!(first_in_range(start + 24, end, 0x4000, 0x1000), start + 24);
            assert_eq!(first_in_range(start, start + 16, 0x4000, 0x1000), 0);
        }
    }

    #[test]
    fn who_looks_leaves_what_is_painted_alone() {
        extern "C" fn scribble(at: *mut c_void) {
            let here = [1u8; 4096];
            // SAFETY: the word of this test.
            unsafe { at.cast::<usize>().write(std::hint::black_box(&here).as_ptr().addr()) };
        }
        let mut used = 0usize;
        // SAFETY: a test's stack has a megabyte at least.
        unsafe { call_aside(scribble, (&raw mut used).cast()) };
        assert!((&raw const used).addr() - used > ASIDE);
    }

    #[test]
    fn code_of_no_image_is_called_and_nothing_said_of_it() {
        unsafe extern "win64" fn add(a1: u64, a2: u64, sum: *mut u64) {
            // SAFETY: the test's memory.
            unsafe { sum.write(a1 + a2) };
        }
        let _processor = Processor::attach().unwrap();
        let mut sum = 0u64;
        let to = (&raw mut sum).expose_provenance() as u64;
        // SAFETY: a function of this test with its arguments.
        let mark = unsafe { call3((add as *const ()).expose_provenance(), 40, 2, to, 12 * 1024) };
        assert_eq!((mark, sum), (None, 42));
    }
}
