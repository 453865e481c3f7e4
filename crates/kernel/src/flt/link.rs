//! What contexts hang on: setting, getting and deleting them.

use export_macro::export;
use nt_abi::{
    FILE_OBJECT, FLT_FILE_CONTEXT, FLT_FILTER, FLT_INSTANCE, FLT_INSTANCE_CONTEXT, FLT_STREAM_CONTEXT,
    FLT_STREAMHANDLE_CONTEXT, FLT_VOLUME, FLT_VOLUME_CONTEXT, NTSTATUS, STATUS_FLT_CONTEXT_ALREADY_DEFINED,
    STATUS_FLT_CONTEXT_ALREADY_LINKED, STATUS_FLT_DELETING_OBJECT, STATUS_INVALID_PARAMETER,
    STATUS_NOT_FOUND, STATUS_NOT_SUPPORTED, STATUS_SUCCESS,
};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::context::release;
use super::object::{Filter, Instance, behind};
use crate::kernel;

/// FLT_SET_CONTEXT_KEEP_IF_EXISTS; the other is FLT_SET_CONTEXT_REPLACE_IF_EXISTS, 0.
const KEEP: u32 = 1;

/// What a context hangs on. Addresses of filters and instances are never used again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// The volume, for a filter.
    Volume(usize),
    /// An instance.
    Instance(usize),
    /// A file or a stream, for an instance: type of context and folded name.
    Name(usize, u16, Box<[u16]>),
    /// An open file object, for an instance.
    Handle(usize, usize),
}

/// How many contexts hang on open files, so that closing one costs nothing where none does.
static HANDLES: AtomicUsize = AtomicUsize::new(0);

/// The key for a context of `kind` of an instance on a file.
///
/// # Safety
/// The pointers are a driver's.
unsafe fn on_file(instance: *mut FLT_INSTANCE, file: *mut FILE_OBJECT, kind: u16) -> Result<Key, NTSTATUS> {
    // SAFETY: by this function's contract.
    let instance: &Instance = unsafe { behind(instance) }?;
    // SAFETY: as above.
    let name = unsafe { super::name::name_of(file) }.ok_or(STATUS_NOT_SUPPORTED)?;
    let instance = std::ptr::from_ref(instance).addr();
    Ok(match kind {
        FLT_STREAMHANDLE_CONTEXT => Key::Handle(instance, file.addr()),
        _ => Key::Name(instance, kind, crate::ob::name::fold(&name).into()),
    })
}

/// The key for the context of an instance.
///
/// # Safety
/// The pointer is a driver's.
unsafe fn on_instance(instance: *mut FLT_INSTANCE) -> Result<Key, NTSTATUS> {
    // SAFETY: by this function's contract.
    unsafe { behind(instance) }.map(|instance: &Instance| Key::Instance(std::ptr::from_ref(instance).addr()))
}

/// The key for a filter's context of the volume.
///
/// # Safety
/// The pointers are a driver's.
unsafe fn on_volume(filter: *mut FLT_FILTER, volume: *mut FLT_VOLUME) -> Result<Key, NTSTATUS> {
    // SAFETY: by this function's contract.
    unsafe {
        behind(volume)?;
        behind(filter).map(|filter: &Filter| Key::Volume(std::ptr::from_ref(filter).addr()))
    }
}

/// Hangs a context on something.
///
/// # Safety
/// `old` is a driver's pointer, null or to be written to.
unsafe fn set(
    key: Result<Key, NTSTATUS>,
    kind: u16,
    operation: u32,
    new: usize,
    old: *mut usize,
) -> NTSTATUS {
    if !old.is_null() {
        // SAFETY: by this function's contract.
        unsafe { old.write(0) };
    }
    let key = match key {
        Ok(_) if operation > KEEP => return STATUS_INVALID_PARAMETER,
        Ok(key) => key,
        Err(status) => return status,
    };
    let mut table = kernel().flt.contexts.table();
    let before = table.linked.get(&key).copied();
    let Some(context) = table.live.get_mut(&new).filter(|context| context.kind.kind == kind) else {
        return STATUS_INVALID_PARAMETER;
    };
    if context.filter.is_gone() {
        return STATUS_FLT_DELETING_OBJECT;
    }
    if context.linked.is_some() {
        return STATUS_FLT_CONTEXT_ALREADY_LINKED;
    }
    if let Some(before) = before.filter(|_| operation == KEEP) {
        if !old.is_null() {
            table.reference(before);
            // SAFETY: by this function's contract.
            unsafe { old.write(before) };
        }
        return STATUS_FLT_CONTEXT_ALREADY_DEFINED;
    }
    context.linked = Some(key.clone());
    if matches!(key, Key::Handle(..)) && before.is_none() {
        HANDLES.fetch_add(1, Ordering::Relaxed);
    }
    table.reference(new);
    table.linked.insert(key, new);
    if let Some(before) = before {
        if let Some(context) = table.live.get_mut(&before) {
            context.linked = None;
        }
        drop(table);
        // The reference that the link had goes to the caller, or goes.
        if old.is_null() {
            release(before);
        } else {
            // SAFETY: by this function's contract.
            unsafe { old.write(before) };
        }
    }
    STATUS_SUCCESS
}

/// Gets the context that hangs on something, with a reference.
///
/// # Safety
/// `returned` is a driver's pointer, to be written to.
unsafe fn get(key: Result<Key, NTSTATUS>, returned: *mut usize) -> NTSTATUS {
    // SAFETY: by this function's contract.
    unsafe { returned.write(0) };
    let key = match key {
        Ok(key) => key,
        Err(status) => return status,
    };
    let mut table = kernel().flt.contexts.table();
    let Some(&context) = table.linked.get(&key) else { return STATUS_NOT_FOUND };
    table.reference(context);
    // SAFETY: as above.
    unsafe { returned.write(context) };
    STATUS_SUCCESS
}

/// Takes a context off what it hangs on; its reference goes to the caller, or goes.
///
/// # Safety
/// `old` is a driver's pointer, null or to be written to.
unsafe fn delete(key: Result<Key, NTSTATUS>, old: *mut usize) -> NTSTATUS {
    if !old.is_null() {
        // SAFETY: by this function's contract.
        unsafe { old.write(0) };
    }
    let key = match key {
        Ok(key) => key,
        Err(status) => return status,
    };
    let Some(context) = unlink(&key) else { return STATUS_NOT_FOUND };
    if old.is_null() {
        release(context);
    } else {
        // SAFETY: by this function's contract.
        unsafe { old.write(context) };
    }
    STATUS_SUCCESS
}

/// Takes a context off; whoever calls has its reference now.
fn unlink(key: &Key) -> Option<usize> {
    let mut table = kernel().flt.contexts.table();
    let context = table.linked.remove(key)?;
    if matches!(key, Key::Handle(..)) {
        HANDLES.fetch_sub(1, Ordering::Relaxed);
    }
    if let Some(one) = table.live.get_mut(&context) {
        one.linked = None;
    }
    Some(context)
}

fn unlink_where(goes: impl Fn(&Key) -> bool) {
    let keys: Vec<Key> =
        kernel().flt.contexts.table().linked.keys().filter(|key| goes(key)).cloned().collect();
    for context in keys.iter().filter_map(unlink) {
        release(context);
    }
}

/// Takes all contexts off an instance that is torn down.
pub(crate) fn unlink_instance(instance: &Instance) {
    let at = std::ptr::from_ref(instance).addr();
    unlink_where(|key| match key {
        Key::Instance(instance) | Key::Name(instance, ..) | Key::Handle(instance, _) => *instance == at,
        Key::Volume(_) => false,
    });
}

/// Takes a filter's context off the volume.
pub(crate) fn unlink_filter(filter: &Filter) {
    let at = std::ptr::from_ref(filter).addr();
    unlink_where(|key| *key == Key::Volume(at));
}

/// A file object is closed, or stands for another file from now on: what hangs on it is released.
pub(crate) fn file_closed(file: usize) {
    if HANDLES.load(Ordering::Relaxed) > 0 {
        unlink_where(|key| matches!(key, Key::Handle(_, at) if *at == file));
    }
}

/// Sets, gets and deletes for one kind of context on files.
macro_rules! file_contexts {
    ($(
        $kind:ident:
        $(#[$on_set:meta])* $set:ident
        $(#[$on_get:meta])* $get:ident
        $(#[$on_delete:meta])* $delete:ident
    )*) => { $(
        $(#[$on_set])*
        #[export(irql <= APC, module = "FLTMGR.SYS")]
        pub unsafe extern "win64" fn $set(
            instance: *mut FLT_INSTANCE,
            file: *mut FILE_OBJECT,
            operation: u32,
            context: usize,
            old: *mut usize,
        ) -> NTSTATUS {
            // SAFETY: the driver's pointers.
            unsafe { set(on_file(instance, file, $kind), $kind, operation, context, old) }
        }

        $(#[$on_get])*
        #[export(irql <= APC, module = "FLTMGR.SYS")]
        pub unsafe extern "win64" fn $get(
            instance: *mut FLT_INSTANCE,
            file: *mut FILE_OBJECT,
            returned: *mut usize,
        ) -> NTSTATUS {
            // SAFETY: the driver's pointers.
            unsafe { get(on_file(instance, file, $kind), returned) }
        }

        $(#[$on_delete])*
        #[export(irql <= APC, module = "FLTMGR.SYS")]
        pub unsafe extern "win64" fn $delete(
            instance: *mut FLT_INSTANCE,
            file: *mut FILE_OBJECT,
            old: *mut usize,
        ) -> NTSTATUS {
            // SAFETY: the driver's pointers.
            unsafe { delete(on_file(instance, file, $kind), old) }
        }
    )* };
}

file_contexts! {
    FLT_FILE_CONTEXT:
    /// Hangs a context on a file, for an instance. Source: DDI.
    FltSetFileContext
    /// Gets the context of a file, with a reference; STATUS_NOT_FOUND where it has none. Source: DDI.
    FltGetFileContext
    /// Takes the context off a file. Source: DDI.
    FltDeleteFileContext
    FLT_STREAM_CONTEXT:
    /// Hangs a context on a stream, for an instance. Source: DDI.
    FltSetStreamContext
    /// Gets the context of a stream, with a reference; STATUS_NOT_FOUND where it has none. Source: DDI.
    FltGetStreamContext
    /// Takes the context off a stream. Source: DDI.
    FltDeleteStreamContext
    FLT_STREAMHANDLE_CONTEXT:
    /// Hangs a context on a file object, for an instance. Source: DDI.
    FltSetStreamHandleContext
    /// Gets the context of a file object, with a reference; STATUS_NOT_FOUND where it has none. Source: DDI.
    FltGetStreamHandleContext
    /// Takes the context off a file object. Source: DDI.
    FltDeleteStreamHandleContext
}

/// Hangs a context on an instance. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltSetInstanceContext(
    instance: *mut FLT_INSTANCE,
    operation: u32,
    context: usize,
    old: *mut usize,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe { set(on_instance(instance), FLT_INSTANCE_CONTEXT, operation, context, old) }
}

/// Gets the context of an instance, with a reference; STATUS_NOT_FOUND where it has none. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetInstanceContext(
    instance: *mut FLT_INSTANCE,
    returned: *mut usize,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe { get(on_instance(instance), returned) }
}

/// Takes the context off an instance. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltDeleteInstanceContext(
    instance: *mut FLT_INSTANCE,
    old: *mut usize,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe { delete(on_instance(instance), old) }
}

/// Hangs a context on a volume, for the filter that allocated it. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltSetVolumeContext(
    volume: *mut FLT_VOLUME,
    operation: u32,
    context: usize,
    old: *mut usize,
) -> NTSTATUS {
    let filter = kernel().flt.contexts.table().live.get(&context).map(|context| context.filter.clone());
    let Some(filter) = filter else { return STATUS_INVALID_PARAMETER };
    // SAFETY: the driver's pointers.
    unsafe { set(on_volume(filter.as_ptr().cast(), volume), FLT_VOLUME_CONTEXT, operation, context, old) }
}

/// Gets a filter's context of a volume, with a reference; STATUS_NOT_FOUND where it has none. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetVolumeContext(
    filter: *mut FLT_FILTER,
    volume: *mut FLT_VOLUME,
    returned: *mut usize,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe { get(on_volume(filter, volume), returned) }
}

/// Takes a filter's context off a volume. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltDeleteVolumeContext(
    filter: *mut FLT_FILTER,
    volume: *mut FLT_VOLUME,
    old: *mut usize,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe { delete(on_volume(filter, volume), old) }
}

/// Takes a context off whatever it hangs on; it is freed with its last reference. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltDeleteContext(context: usize) {
    let key = kernel().flt.contexts.table().live.get(&context).and_then(|context| context.linked.clone());
    if let Some(context) = key.as_ref().and_then(unlink) {
        release(context);
    }
}
