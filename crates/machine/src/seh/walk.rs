//! The stack of a stop: exact through driver frames, by looking for return addresses through ours.

use crate::processor::attached;
use crate::seh::table;
use crate::seh::unwind::{Info, undo_leaf, virtual_unwind};
use crate::seh::{Border, Borders};
use crate::stop::StackFrame;
use crate::{guarded, images};
use nt_abi::CONTEXT;

/// Frames that a report shows.
const MAX_FRAMES: usize = 64;
/// Words of the stack that are looked at for one return address.
const MAX_SCAN: usize = 64 * 1024;

/// The frames from a context outwards, innermost first. Never faults, whatever the stack looks like.
pub fn stack(context: &CONTEXT) -> Vec<StackFrame> {
    walk_from(context, true)
}

/// The frames from a context that a routine of ours captured in itself. It is no leaf: what lies at the bottom of its
/// frame is no return address, and may be an old one.
pub fn stack_of_captured(context: &CONTEXT) -> Vec<StackFrame> {
    walk_from(context, false)
}

fn walk_from(context: &CONTEXT, mut leaf: bool) -> Vec<StackFrame> {
    let mut frames = vec![StackFrame::at(context.Rip)];
    let mut walk = *context;
    if attached().is_none() {
        return frames;
    }
    let mut borders = Borders::here();
    // Whether the preserved registers are those of the frame; not so once a frame was found by scanning.
    let mut exact = true;
    while frames.len() < MAX_FRAMES {
        let stepped = match borders.at(walk.Rsp) {
            Border::Handler(active) | Border::Unwind(active) if exact => {
                // SAFETY: the dispatch that waits for its handler keeps the registers.
                walk = unsafe { *active.origin };
                true
            }
            Border::None => (leaf || images::find(walk.Rip as usize).is_some()) && step(&mut walk, exact),
            // Beyond the outermost call into driver code there is none.
            Border::Call if !borders.leave_call() => break,
            _ => false,
        };
        leaf = true;
        if !stepped {
            exact = false;
            let Some((slot, address)) = scan_for_frame(walk.Rsp, &borders) else { break };
            walk.Rip = address;
            walk.Rsp = slot + 8;
            borders.drop_below(walk.Rsp);
        }
        if images::find(walk.Rip as usize).is_some() {
            frames.push(StackFrame::at(walk.Rip));
        }
    }
    frames
}

/// One frame back; `false` when the tables do not know how.
pub(crate) fn step(walk: &mut CONTEXT, exact: bool) -> bool {
    let before = walk.Rsp;
    let pc = walk.Rip;
    let done = match table::lookup(pc) {
        Some((image, Some(function))) => {
            let base = image.base as u64;
            let framed = Info::read(base + u64::from(function.unwind & !1))
                .map_or(true, |info| info.frame_register != 0);
            (exact || !framed) && virtual_unwind(0, base, pc, function, walk).is_ok()
        }
        Some((_, None)) => undo_leaf(walk).is_ok(),
        // A call to nowhere, or a leaf routine of ours.
        None => {
            let caller = guarded::try_read::<u64>(walk.Rsp).ok();
            caller.is_some_and(|caller| images::find(caller as usize).is_some()) && undo_leaf(walk).is_ok()
        }
    };
    // A stack that does not shrink would be walked for ever.
    done && walk.Rsp > before
}

/// The nearest word at or above `rsp` that looks like a return address of a driver, and where it is.
fn scan(rsp: u64) -> Option<(u64, u64)> {
    let (_, high) = attached()?.stack_limits();
    let mut at = rsp.next_multiple_of(8);
    for _ in 0..MAX_SCAN {
        if at >= high as u64 {
            return None;
        }
        let value = guarded::try_read::<u64>(at).ok()?;
        if is_return_address(value) {
            return Some((at, value));
        }
        at += 8;
    }
    None
}

/// The nearest return address of a driver that frames lead on from. Frames of ours keep copies of the one that they work
/// for, and of others, from which nothing leads on; where nothing does from any, it is the nearest.
fn scan_for_frame(rsp: u64, borders: &Borders) -> Option<(u64, u64)> {
    const MOST_COPIES: usize = 8;
    let nearest = scan(rsp)?;
    let mut found = nearest;
    for _ in 0..MOST_COPIES {
        if leads_on(found, borders) {
            return Some(found);
        }
        match scan(found.0 + 8) {
            Some(next) => found = next,
            None => break,
        }
    }
    Some(nearest)
}

/// Whether a return address in a slot of the stack has another one, or a call into the driver, where its function's frame
/// ends. One whose frame is found by another register may have.
fn leads_on((slot, address): (u64, u64), borders: &Borders) -> bool {
    let mut walk = CONTEXT { Rip: address, Rsp: slot + 8, ..CONTEXT::default() };
    !step(&mut walk, false) || is_return_address(walk.Rip) || borders.has(walk.Rsp)
}

/// Whether the bytes before an address in a driver end in a call.
pub(crate) fn is_return_address(address: u64) -> bool {
    if images::find(address as usize).is_none() {
        return false;
    }
    let mut before = [0u8; 8];
    if guarded::read_prefix(address.wrapping_sub(8), &mut before) != before.len() {
        return false;
    }
    let form = |byte: u8| byte & 0x38 == 0x10;
    before[3] == 0xE8
        || (before[2] == 0xFF && form(before[3]))
        || (before[5] == 0xFF && form(before[6]))
        || (before[6] == 0xFF && form(before[7]))
        || (before[4] == 0xFF && form(before[5]))
}

/// The return address of the driver's call that the running routine works for, as far as the stack shows it: cheap,
/// and good enough for a ledger.
pub fn call_site() -> Option<u64> {
    let mut here = CONTEXT::default();
    crate::seh::context::capture_here(&mut here);
    nearest_driver_return(here.Rsp)
}

/// The return address of the driver's call that is nearest on the stack, if any.
pub(crate) fn nearest_driver_return(rsp: u64) -> Option<u64> {
    scan(rsp).map(|(_, address)| address)
}
