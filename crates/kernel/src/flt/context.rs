//! Contexts: memory that a minifilter hangs on an object, counted, with a callback before it is freed.
//!
//! What is known of a context is kept apart from it, by its address, as with pool memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use event::DriverId;
use export_macro::export;
use nt_abi::{
    FLT_FILTER, FLT_VOLUME_CONTEXT, NTSTATUS, STATUS_FLT_CONTEXT_ALLOCATION_NOT_FOUND,
    STATUS_FLT_DELETING_OBJECT, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

use super::link::Key;
use super::object::{ContextKind, Filter, behind};
use crate::ex::pool::{Allocation, Kind, Tag};
use crate::hash::HashMap;
use crate::io::driver::as_driver;
use crate::kernel;
use crate::ob::Ref;

/// FLTFL_CONTEXT_REGISTRATION_NO_EXACT_SIZE_MATCH.
const NO_EXACT_SIZE: u16 = 1;
/// FLT_VARIABLE_SIZED_CONTEXTS.
const VARIABLE_SIZE: usize = usize::MAX;
/// The bit of a pool type that tells paged from nonpaged.
const PAGED: u32 = 1;

/// What is known of a context.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) filter: Ref<Filter>,
    pub(crate) kind: ContextKind,
    references: u32,
    /// What it hangs on.
    pub(crate) linked: Option<Key>,
}

/// Every context.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    table: Mutex<Table>,
}

/// The contexts by address, and by what they hang on.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) live: HashMap<usize, Context>,
    pub(crate) linked: HashMap<Key, usize>,
}

impl Contexts {
    /// The table. Never held while driver code runs.
    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many contexts a driver's filters have.
    pub(crate) fn owned_by(&self, driver: DriverId) -> u64 {
        self.table().live.values().filter(|one| one.filter.owner == Some(driver)).count() as u64
    }

    /// How many contexts a filter has.
    pub(crate) fn of_filter(&self, filter: &Filter) -> usize {
        self.table().live.values().filter(|one| std::ptr::eq(one.filter.as_ptr(), filter)).count()
    }
}

impl Table {
    /// Adds a reference; `false` where there is no such context.
    pub(crate) fn reference(&mut self, context: usize) -> bool {
        self.live.get_mut(&context).map(|one| one.references += 1).is_some()
    }
}

/// Gives a reference up; the last one calls the cleanup callback and frees the context. `false` where there is
/// no such context.
pub(crate) fn release(context: usize) -> bool {
    let mut table = kernel().flt.contexts.table();
    let Some(one) = table.live.get_mut(&context) else { return false };
    one.references -= 1;
    if one.references > 0 {
        return true;
    }
    let gone = table.live.remove(&context);
    drop(table);
    if let Some(gone) = gone {
        free(context, &gone);
    }
    true
}

/// Calls the cleanup callback and frees the memory.
fn free(context: usize, gone: &Context) {
    let (owner, kind) = (gone.filter.owner, gone.kind);
    if kind.cleanup != 0 {
        as_driver(owner, kind.cleanup as u64, || {
            // SAFETY: what the driver said its callback is; a wrong address faults as the driver's fault.
            unsafe { machine::call2(kind.cleanup, context as u64, kind.kind.into()) }
        });
    }
    if kind.free == 0 {
        // SAFETY: allocated from the pool by `FltAllocateContext`, and freed once, as it has left the table.
        unsafe { crate::ex::pool_routines::ExFreePoolWithTag(context, 0) };
    } else {
        as_driver(owner, kind.free as u64, || {
            // SAFETY: as above.
            unsafe { machine::call2(kind.free, context as u64, kind.kind.into()) }
        });
    }
    gone.filter.rundown.release();
}

/// Allocates a context of a registered type, with one reference. Its memory is not zeroed. Source: DDI.
///
/// STATUS_FLT_CONTEXT_ALLOCATION_NOT_FOUND where the filter has registered no such type and size;
/// STATUS_FLT_DELETING_OBJECT once the filter is unregistered.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltAllocateContext(
    filter: *mut FLT_FILTER,
    context_type: u16,
    size: usize,
    pool_type: u32,
    returned: *mut usize,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    let filter = match unsafe { behind(filter) } {
        Ok(filter) => filter,
        Err(status) => return status,
    };
    let paged = pool_type & PAGED != 0;
    if size == 0 || size > usize::from(u16::MAX) || (paged && context_type == FLT_VOLUME_CONTEXT) {
        return STATUS_INVALID_PARAMETER;
    }
    let fits = |kind: &&ContextKind| {
        kind.kind == context_type
            && (kind.size == VARIABLE_SIZE
                || kind.size == size
                || (kind.flags & NO_EXACT_SIZE != 0 && size <= kind.size))
    };
    let Some(&kind) = filter.contexts.iter().find(fits) else {
        return STATUS_FLT_CONTEXT_ALLOCATION_NOT_FOUND;
    };
    let kernel = kernel();
    let own = kernel.flt.filters().iter().find(|one| std::ptr::eq(one.as_ptr(), filter)).cloned();
    let Some(own) = own.filter(|filter| filter.rundown.acquire()) else { return STATUS_FLT_DELETING_OBJECT };
    let memory = if kind.allocate == 0 {
        let pool = if paged { Kind::Paged } else { Kind::NonPaged };
        // Without an owner: what is left of it is reported as a context, not as pool memory.
        let what = Allocation { size, tag: Tag(kind.tag), kind: pool, owner: None };
        crate::ex::allocate(what, false).map_or(0, |memory| memory.as_ptr().addr())
    } else {
        let memory = as_driver(filter.owner, kind.allocate as u64, || {
            // SAFETY: what the driver said its routine is; a wrong address faults as the driver's fault.
            unsafe { machine::call3(kind.allocate, pool_type.into(), size as u64, context_type.into()) }
        });
        usize::try_from(memory).unwrap_or_default()
    };
    if memory == 0 {
        own.rundown.release();
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    kernel
        .flt
        .contexts
        .table()
        .live
        .insert(memory, Context { filter: own, kind, references: 1, linked: None });
    // SAFETY: the driver's pointer.
    unsafe { returned.write(memory) };
    STATUS_SUCCESS
}

/// Adds a reference to a context. Source: DDI.
#[export(irql <= DISPATCH, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltReferenceContext(context: usize) {
    if !kernel().flt.contexts.table().reference(context) {
        complain("FltReferenceContext");
    }
}

/// Gives a reference to a context back; the last one frees it. Source: DDI.
#[export(irql <= DISPATCH, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltReleaseContext(context: usize) {
    if !release(context) {
        complain("FltReleaseContext");
    }
}

fn complain(routine: &str) {
    let message = format!(
        "{routine} was given what is no context, or one whose last reference is gone: release a context once for each \
         FltAllocateContext, FltReferenceContext and successful FltGetXxxContext"
    );
    kernel().finding(&crate::rule::L_14, &message, None);
}
