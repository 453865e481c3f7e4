//! `__C_specific_handler`: what compilers make of `__try`, `__except` and `__finally`.
//!
//! A function with such blocks has a scope table: ranges of its code, innermost first, each with a filter and the
//! address of its `__except` block, or with a `__finally` block alone.

use crate::call::{Edge, edge_call4};
use crate::guarded;
use crate::pcr::Kpcr;
use crate::seh::unwind_ex::{Start, Target, unwind};
use crate::seh::{disposition, record_code};
use nt_abi::{CONTEXT, DISPATCHER_CONTEXT, EXCEPTION_POINTERS, EXCEPTION_RECORD};

/// In place of a filter's address: the filter is the constant `EXCEPTION_EXECUTE_HANDLER`.
const ALWAYS: u32 = 1;
/// Scopes of one function; a table that claims more is damaged.
const MAX_SCOPES: u32 = 4096;

/// One range of a scope table, in offsets from the image's base.
#[derive(Clone, Copy, Debug)]
struct Scope {
    begin: u32,
    end: u32,
    /// Filter or termination handler.
    handler: u32,
    /// The `__except` block; 0 for `__finally`.
    target: u32,
}

impl Scope {
    fn read(table: u64, index: u32) -> Option<Scope> {
        let at = table + 4 + u64::from(index) * 16;
        Some(Scope {
            begin: guarded::try_read(at).ok()?,
            end: guarded::try_read(at + 4).ok()?,
            handler: guarded::try_read(at + 8).ok()?,
            target: guarded::try_read(at + 12).ok()?,
        })
    }

    fn contains(&self, rva: u32) -> bool {
        (self.begin..self.end).contains(&rva)
    }
}

/// The language handler of C functions with `__try`. Called by dispatch and unwind, also through handlers of the
/// driver's own (`__GSHandlerCheck_SEH`).
///
/// # Safety
/// The parameters are those that a language handler gets.
pub unsafe extern "win64" fn c_specific_handler(
    record: *mut EXCEPTION_RECORD,
    frame: u64,
    context: *mut CONTEXT,
    dispatcher: *mut DISPATCHER_CONTEXT,
) -> u32 {
    // SAFETY: promised by the caller.
    let (flags, told) = unsafe { ((*record).ExceptionFlags, *dispatcher) };
    let table = told.HandlerData.expose_provenance() as u64;
    let count = guarded::try_read::<u32>(table).unwrap_or(0).min(MAX_SCOPES);
    let pc = told.ControlPc.wrapping_sub(told.ImageBase) as u32;
    let search = flags & nt_abi::EXCEPTION_UNWIND == 0;
    for index in told.ScopeIndex..count {
        let Some(scope) = Scope::read(table, index) else { break };
        if !scope.contains(pc) {
            continue;
        }
        if search {
            if scope.target == 0 {
                continue;
            }
            match filter(&scope, told.ImageBase, record, context, frame) {
                0 => {}
                1.. => {
                    let target = Target {
                        frame,
                        ip: told.ImageBase + u64::from(scope.target),
                        // SAFETY: as above. What `GetExceptionCode` in the block reads.
                        value: u64::from(record_code(unsafe { &*record })),
                    };
                    // SAFETY: as above.
                    unwind(Start::Exception, target, Some(unsafe { &*record }))
                }
                ..0 => return disposition::CONTINUE_EXECUTION as u32,
            }
            continue;
        }
        let target = told.TargetIp.wrapping_sub(told.ImageBase) as u32;
        if flags & nt_abi::EXCEPTION_TARGET_UNWIND != 0 {
            // Control stays inside of this scope, or arrives at its own block: neither it nor those outside end.
            if scope.target == 0 && scope.contains(target) {
                break;
            }
            if scope.target != 0 && scope.target == target {
                break;
            }
        }
        if scope.target == 0 {
            // A handler that unwinds out of here must not be called again.
            // SAFETY: as above.
            unsafe { (*dispatcher).ScopeIndex = index + 1 };
            const ABNORMAL_TERMINATION: u64 = 1;
            call_block(scope.handler, told.ImageBase, ABNORMAL_TERMINATION, frame);
        }
    }
    disposition::CONTINUE_SEARCH as u32
}

/// Asks a filter; its sign is the answer.
fn filter(scope: &Scope, base: u64, record: *mut EXCEPTION_RECORD, context: *mut CONTEXT, frame: u64) -> i32 {
    if scope.handler == ALWAYS {
        return 1;
    }
    let mut pointers = EXCEPTION_POINTERS { ExceptionRecord: record, ContextRecord: context };
    let pointers = (&raw mut pointers).expose_provenance() as u64;
    call_block(scope.handler, base, pointers, frame) as i32
}

/// Calls a filter or a termination handler, which are functions of two parameters, through an edge of the same kind
/// as the one that this handler was called through: a fault in the block belongs to the same exception.
fn call_block(rva: u32, base: u64, first: u64, frame: u64) -> u64 {
    let edge = Kpcr::current().private.edge.get();
    // SAFETY: language handlers are called through an edge, whose frame waits for us.
    let Edge { kind, data, .. } = unsafe { &*edge };
    // SAFETY: the scope table of the image names the block.
    unsafe { edge_call4(first, frame, 0, 0, (base + u64::from(rva)) as usize, *kind, *data) }
}
