//! Which kernel routine a driver called, from the instruction that called it.
//!
//! The innermost level of a stack is often the kernel routine itself, an address inside this program that says
//! nothing to anybody. The driver's call goes through its import table, so the name can be had from there.

use event::Frame;
use machine::guarded::try_read;

use crate::export::EXPORTS;

/// Bytes of `call [rip + displacement]`, which is how an import is called.
const INDIRECT_CALL: u64 = 6;
/// Bytes of `call displacement`, by which a compiler that knows nothing of imports calls a thunk.
const DIRECT_CALL: u64 = 5;

/// Names the kernel routine at the top of a stack, where the level below it is a driver's.
pub(super) fn name_callee(frames: &mut [Frame<'static>]) {
    let [callee, caller, ..] = frames else { return };
    if callee.module.is_some() || caller.module.is_none() {
        return;
    }
    let Some(target) = called_from(caller.address) else { return };
    let found = EXPORTS.iter().find(|export| export.address.0.addr() as u64 == target);
    let Some(export) = found else { return };
    callee.module = Some(export.module.into());
    callee.symbol = Some(export.name.into());
    callee.offset = 0;
    callee.address = target;
}

/// What was called by the instruction before `return_address`.
fn called_from(return_address: u64) -> Option<u64> {
    through_pointer(return_address.checked_sub(INDIRECT_CALL)?, 0xFF, 0x15).or_else(|| {
        let call = return_address.checked_sub(DIRECT_CALL)?;
        if try_read::<u8>(call).ok()? != 0xE8 {
            return None;
        }
        let displacement = try_read::<i32>(call + 1).ok()?;
        through_pointer(return_address.wrapping_add_signed(displacement.into()), 0xFF, 0x25)
    })
}

/// The target of an instruction of two bytes and a displacement from its end, at which the target's address lies.
fn through_pointer(instruction: u64, first: u8, second: u8) -> Option<u64> {
    if [try_read::<u8>(instruction).ok()?, try_read::<u8>(instruction + 1).ok()?] != [first, second] {
        return None;
    }
    let displacement = try_read::<i32>(instruction + 2).ok()?;
    try_read::<u64>((instruction + INDIRECT_CALL).wrapping_add_signed(displacement.into())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    #[test]
    fn a_call_through_the_import_table_has_a_name() {
        with_kernel(Config::default(), |_, _| {
            let export = EXPORTS.iter().find(|export| export.name == "ExFreePoolWithTag").unwrap();
            // call [rip + 2]; two bytes of anything; the pointer.
            let mut code = vec![0xFF, 0x15, 2, 0, 0, 0, 0x90, 0x90];
            code.extend_from_slice(&(export.address.0.expose_provenance() as u64).to_le_bytes());
            let back = code.as_ptr().expose_provenance() as u64 + INDIRECT_CALL;
            let mut frames = [
                Frame { address: 1, ..Frame::default() },
                Frame { address: back, module: Some("a.sys".into()), ..Frame::default() },
            ];
            name_callee(&mut frames);
            assert_eq!(frames[0].symbol.as_deref(), Some("ExFreePoolWithTag"));
            // Nothing is said of what is not a call.
            frames[0] = Frame { address: 1, ..Frame::default() };
            frames[1].address += 1;
            name_callee(&mut frames);
            assert_eq!(frames[0].symbol, None);
        });
    }
}
