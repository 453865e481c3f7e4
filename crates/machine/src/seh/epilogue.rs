//! Epilogues: recognised by their instructions, and carried out.
//!
//! The ABI allows exactly one form: an optional `add rsp, n` or `lea rsp, [frame + n]`, pops of preserved registers,
//! then a return or a jump out of the function.

use crate::guarded;
use crate::seh::context;
use crate::seh::table::{self, Function};
use crate::seh::unwind::{Info, UnwindError, root, undo_leaf};
use nt_abi::CONTEXT;

/// More than the longest epilogue: 8 bytes of `lea`, 8 pops of 2, a jump of 7.
const LONGEST: usize = 40;

/// If `pc` is in an epilogue, carries the rest of it out on `context` and answers `true`.
pub(crate) fn undo(
    base: u64,
    pc: u64,
    function: &Function,
    info: &Info,
    context: &mut CONTEXT,
) -> Result<bool, UnwindError> {
    let mut buffer = [0u8; LONGEST];
    let length = guarded::read_prefix(pc, &mut buffer);
    let code = &buffer[..length];
    let Some((mut at, change)) = stack_adjustment(code, info) else { return Ok(false) };
    let mut pops = [0usize; 16];
    let mut popped = 0;
    while let Some((register, size)) = pop(&code[at.min(code.len())..])
        && popped < pops.len()
    {
        pops[popped] = register;
        popped += 1;
        at += size;
    }
    let rest = &code[at.min(code.len())..];
    if !leaves(base, pc + at as u64, rest, function) {
        return Ok(false);
    }
    match change {
        Adjustment::None => {}
        Adjustment::Add(amount) => context.Rsp = context.Rsp.wrapping_add_signed(amount),
        Adjustment::Frame(offset) => {
            context.Rsp = context::general(context)[info.frame_register].wrapping_add_signed(offset);
        }
    }
    for &register in &pops[..popped] {
        let value = guarded::try_read(context.Rsp)?;
        context::general(context)[register] = value;
        context.Rsp = context.Rsp.wrapping_add(8);
    }
    undo_leaf(context)?;
    Ok(true)
}

enum Adjustment {
    None,
    Add(i64),
    Frame(i64),
}

/// The first instruction, if it releases the stack: its length and what it does. `None` for a `lea` that cannot be
/// part of an epilogue.
fn stack_adjustment(code: &[u8], info: &Info) -> Option<(usize, Adjustment)> {
    let byte = |value: u8| i64::from(value.cast_signed());
    let word = |bytes: [u8; 4]| i64::from(i32::from_le_bytes(bytes));
    Some(match *code {
        [0x48, 0x83, 0xC4, amount, ..] => (4, Adjustment::Add(byte(amount))),
        [0x48, 0x81, 0xC4, a, b, c, d, ..] => (7, Adjustment::Add(word([a, b, c, d]))),
        // lea rsp, [register + displacement]; with r12 as the base there is one byte more.
        [rex @ (0x48 | 0x49), 0x8D, form, ..] if form & 0x38 == 0x20 => {
            let register = usize::from(form & 7) + if rex == 0x49 { 8 } else { 0 };
            if info.frame_register == 0 || register != info.frame_register {
                return None;
            }
            let skip = usize::from(form & 7 == 4);
            match (form >> 6, code.get(3 + skip..)?) {
                (0, _) => (3 + skip, Adjustment::Frame(0)),
                (1, [offset, ..]) => (4 + skip, Adjustment::Frame(byte(*offset))),
                (2, [a, b, c, d, ..]) => (7 + skip, Adjustment::Frame(word([*a, *b, *c, *d]))),
                _ => return None,
            }
        }
        _ => (0, Adjustment::None),
    })
}

/// `pop r64` of a preserved register: which, and how long.
fn pop(code: &[u8]) -> Option<(usize, usize)> {
    match *code {
        [opcode @ 0x58..=0x5F, ..] if opcode != 0x5C => Some((usize::from(opcode - 0x58), 1)),
        [0x41, opcode @ 0x58..=0x5F, ..] => Some((usize::from(opcode - 0x58) + 8, 2)),
        _ => None,
    }
}

/// Whether the instruction at `pc` returns or jumps out of the function.
fn leaves(base: u64, pc: u64, code: &[u8], function: &Function) -> bool {
    let jump = |length: u64, distance: i64| pc.wrapping_add(length).wrapping_add_signed(distance);
    let target = match *code {
        [0xC3, ..] | [0xC2, _, _, ..] | [0xF3, 0xC3, ..] => return true,
        // jmp through memory or a register: a tail call; the prefix or RIP-relative form tells it from a switch.
        [0xFF, 0x25, ..] => return true,
        [0x48 | 0x49, 0xFF, form, ..] if form & 0x38 == 0x20 => return true,
        [0xEB, distance, ..] => jump(2, i64::from(distance.cast_signed())),
        [0xE9, a, b, c, d, ..] => jump(5, i64::from(i32::from_le_bytes([a, b, c, d]))),
        _ => return false,
    };
    let target_rva = target.wrapping_sub(base) as u32;
    if (function.begin..function.end).contains(&target_rva) {
        // To its own start is a call of itself in tail position.
        return target_rva == function.begin;
    }
    // A jump to another part of the same function is no epilogue.
    match table::lookup(target) {
        Some((image, Some(other))) if image.base as u64 == base => {
            root(base, other) != root(base, *function) || target_rva == root(base, *function)
        }
        _ => true,
    }
}
