//! One frame back, by the unwind codes of x64.
//!
//! Nothing that is read is trusted: stack and tables are read through [`crate::guarded`], chains are bounded, and a
//! frame that cannot be undone is an error, never a fault.

use crate::guarded::{self, BadAddress};
use crate::seh::context;
use crate::seh::epilogue;
use crate::seh::table::Function;
use nt_abi::CONTEXT;

/// The handler wants exceptions (first phase).
pub const FLAG_EHANDLER: u8 = 1;
/// The handler wants unwinds (second phase).
pub const FLAG_UHANDLER: u8 = 2;
const FLAG_CHAINED: u8 = 4;

/// Chained parts of one function; compilers make two or three.
const MAX_CHAIN: usize = 32;

/// What one step back found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwound {
    /// Address of the language handler, when the function has one of the wanted kind and is neither in its
    /// prologue nor in an epilogue.
    pub handler: Option<u64>,
    /// Address of the handler's data.
    pub handler_data: u64,
    /// The frame: what handlers know the function's stack by.
    pub establisher: u64,
}

/// A frame cannot be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwindError {
    /// Stack or unwind data is not readable.
    #[error("unwinding a frame: {0}")]
    Memory(#[from] BadAddress),
    /// The unwind data makes no sense.
    #[error("the unwind information at {0:#x} is damaged: {1}")]
    Damaged(u64, &'static str),
}

/// Header and codes of an UNWIND_INFO.
#[derive(Debug)]
pub(crate) struct Info {
    address: u64,
    flags: u8,
    pub(crate) prologue: u8,
    pub(crate) frame_register: usize,
    frame_offset: u64,
    count: usize,
    codes: [u16; 256],
}

impl Info {
    pub(crate) fn read(address: u64) -> Result<Info, UnwindError> {
        let [first, prologue, count, frame] = guarded::try_read::<u32>(address)?.to_le_bytes();
        if !matches!(first & 7, 1 | 2) {
            return Err(UnwindError::Damaged(address, "its version is neither 1 nor 2"));
        }
        let mut info = Info {
            address,
            flags: first >> 3,
            prologue,
            frame_register: usize::from(frame & 15),
            frame_offset: u64::from(frame >> 4) * 16,
            count: usize::from(count),
            codes: [0; 256],
        };
        let codes = info.codes.as_mut_ptr().cast();
        // SAFETY: at most 255 codes of two bytes into an array of 256.
        unsafe {
            guarded::try_copy(codes, std::ptr::with_exposed_provenance(address as usize + 4), info.count * 2)
        }?;
        Ok(info)
    }

    /// Address of what follows the codes: handler and its data, or the chained entry.
    fn tail(&self) -> u64 {
        self.address + 4 + (self.count.next_multiple_of(2) * 2) as u64
    }

    /// The entry that this one continues.
    fn chained(&self) -> Result<Option<Function>, UnwindError> {
        if self.flags & FLAG_CHAINED == 0 {
            return Ok(None);
        }
        Function::read(self.tail())
            .map(Some)
            .ok_or(UnwindError::Damaged(self.address, "its chained entry is unreadable"))
    }

    fn codes(&self) -> Codes<'_> {
        Codes { info: self, at: 0 }
    }
}

/// One undoable operation of a prologue.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Push(usize),
    Allocate(u64),
    SetFrame,
    Save(usize, u64),
    SaveVector(usize, u64),
    MachineFrame(bool),
    Nothing,
}

struct Codes<'a> {
    info: &'a Info,
    at: usize,
}

impl Codes<'_> {
    fn slot(&mut self) -> Option<u64> {
        let value = *self.info.codes[..self.info.count].get(self.at)?;
        self.at += 1;
        Some(u64::from(value))
    }

    /// The next operation with the offset in the prologue behind which it is in force.
    fn next(&mut self) -> Result<Option<(u32, Operation)>, UnwindError> {
        let Some(code) = self.slot() else { return Ok(None) };
        let (offset, operation, argument) = (code as u32 & 0xFF, (code >> 8) & 15, (code >> 12) as usize);
        let short =
            |slot: Option<u64>| slot.ok_or(UnwindError::Damaged(self.info.address, "a code is cut off"));
        let decoded = match operation {
            0 => Operation::Push(argument),
            1 if argument == 0 => Operation::Allocate(short(self.slot())? * 8),
            1 => {
                let low = short(self.slot())?;
                let short = |slot: Option<u64>| {
                    slot.ok_or(UnwindError::Damaged(self.info.address, "a code is cut off"))
                };
                Operation::Allocate(low | (short(self.slot())? << 16))
            }
            2 => Operation::Allocate(argument as u64 * 8 + 8),
            3 => Operation::SetFrame,
            4 => Operation::Save(argument, self.operand()? * 8),
            5 => Operation::Save(argument, self.far_operand()?),
            // Version 2 describes its epilogues here; they are recognised by their instructions instead.
            6 => Operation::Nothing,
            8 => Operation::SaveVector(argument, self.operand()? * 16),
            9 => Operation::SaveVector(argument, self.far_operand()?),
            10 => Operation::MachineFrame(argument != 0),
            _ => return Err(UnwindError::Damaged(self.info.address, "a code has an unknown operation")),
        };
        Ok(Some((offset, decoded)))
    }

    fn operand(&mut self) -> Result<u64, UnwindError> {
        self.slot().ok_or(UnwindError::Damaged(self.info.address, "a code is cut off"))
    }

    fn far_operand(&mut self) -> Result<u64, UnwindError> {
        Ok(self.operand()? | (self.operand()? << 16))
    }
}

/// `RtlVirtualUnwind`: changes `context` from the registers in a function to those of its caller at the return.
///
/// `wanted` is [`FLAG_EHANDLER`], [`FLAG_UHANDLER`] or 0.
///
/// # Errors
/// See [`UnwindError`]; the context is then partly changed.
pub fn virtual_unwind(
    wanted: u8,
    base: u64,
    pc: u64,
    function: Function,
    context: &mut CONTEXT,
) -> Result<Unwound, UnwindError> {
    // An odd address is that of another entry to use instead.
    let function = if function.unwind & 1 == 1 {
        let other = base + u64::from(function.unwind & !1);
        Function::read(other).ok_or(UnwindError::Damaged(other, "the entry it refers to is unreadable"))?
    } else {
        function
    };
    let mut info = Info::read(base + u64::from(function.unwind))?;
    let offset = (pc.wrapping_sub(base) as u32).wrapping_sub(function.begin);
    let in_prologue = offset < u32::from(info.prologue);
    let establisher = establisher(&info, offset, context)?;

    if !in_prologue && epilogue::undo(base, pc, &function, &info, context)? {
        return Ok(Unwound { handler: None, handler_data: 0, establisher });
    }

    let mut machine_frame = false;
    let mut limit = in_prologue.then_some(offset);
    for _ in 0..MAX_CHAIN {
        let mut codes = info.codes();
        while let Some((at, operation)) = codes.next()? {
            if limit.is_none_or(|limit| at <= limit) {
                machine_frame |= undo(operation, &info, establisher, context)?;
            }
        }
        let Some(parent) = info.chained()? else {
            if !machine_frame {
                context.Rip = guarded::try_read(context.Rsp)?;
                context.Rsp = context.Rsp.wrapping_add(8);
            }
            let handled = limit.is_none() && info.flags & wanted != 0;
            let handler =
                if handled { Some(base + u64::from(guarded::try_read::<u32>(info.tail())?)) } else { None };
            return Ok(Unwound { handler, handler_data: info.tail() + 4, establisher });
        };
        info = Info::read(base + u64::from(parent.unwind))?;
        // A part starts where its parent's prologue is long done.
        limit = None;
    }
    Err(UnwindError::Damaged(info.address, "its chain does not end"))
}

/// The stack pointer of the function's body, from the frame register once that is set.
fn establisher(info: &Info, offset: u32, context: &mut CONTEXT) -> Result<u64, UnwindError> {
    let rsp = context.Rsp;
    if info.frame_register == 0 {
        return Ok(rsp);
    }
    let by_register = context::general(context)[info.frame_register].wrapping_sub(info.frame_offset);
    if offset >= u32::from(info.prologue) || info.flags & FLAG_CHAINED != 0 {
        return Ok(by_register);
    }
    let mut codes = info.codes();
    while let Some((at, operation)) = codes.next()? {
        if matches!(operation, Operation::SetFrame) {
            return Ok(if offset >= at { by_register } else { rsp });
        }
    }
    Ok(rsp)
}

/// Undoes one operation; `true` when the return address came with a machine frame.
fn undo(operation: Operation, info: &Info, frame: u64, context: &mut CONTEXT) -> Result<bool, UnwindError> {
    let rsp = context.Rsp;
    match operation {
        Operation::Push(register) => {
            context::general(context)[register] = guarded::try_read(rsp)?;
            // A pushed stack pointer would be the one before the push; no compiler pushes it.
            context.Rsp = rsp.wrapping_add(8);
        }
        Operation::Allocate(size) => context.Rsp = rsp.wrapping_add(size),
        Operation::SetFrame => {
            context.Rsp = context::general(context)[info.frame_register].wrapping_sub(info.frame_offset);
        }
        Operation::Save(register, offset) => {
            let value = guarded::try_read(frame.wrapping_add(offset))?;
            context::general(context)[register] = value;
        }
        Operation::SaveVector(register, offset) => {
            context::vectors(context)[register] = guarded::try_read::<u128>(frame.wrapping_add(offset))?;
        }
        Operation::MachineFrame(with_error_code) => {
            let at = rsp.wrapping_add(if with_error_code { 8 } else { 0 });
            context.Rip = guarded::try_read(at)?;
            context.Rsp = guarded::try_read(at.wrapping_add(24))?;
            return Ok(true);
        }
        Operation::Nothing => {}
    }
    Ok(false)
}

/// Undoes a leaf: the return address is on top of the stack.
///
/// # Errors
/// [`UnwindError::Memory`] when the stack is not readable.
pub fn undo_leaf(context: &mut CONTEXT) -> Result<(), UnwindError> {
    context.Rip = guarded::try_read(context.Rsp)?;
    context.Rsp = context.Rsp.wrapping_add(8);
    Ok(())
}

/// First byte of the function that a part belongs to, from the image's base.
pub(crate) fn root(base: u64, mut function: Function) -> u32 {
    for _ in 0..MAX_CHAIN {
        match Info::read(base + u64::from(function.unwind & !1)).and_then(|info| info.chained()) {
            Ok(Some(parent)) => function = parent,
            _ => break,
        }
    }
    function.begin
}
