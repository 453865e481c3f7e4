//! Filters, instances and volumes, and the references that drivers take on them.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::{DriverId, StopKind};
use export_macro::export;
use nt_abi::{
    FLT_FILTER, FLT_INSTANCE, FLT_VOLUME, NTSTATUS, STATUS_FLT_DELETING_OBJECT, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
};

use crate::kernel;
use crate::ob::{self, ObjectType, Ref};

/// The type of registered minifilters.
pub(crate) static FILTER_TYPE: ObjectType =
    ObjectType { name: "Filter", size: size_of::<Filter>(), delete: Some(delete::<Filter>) };
/// The type of minifilters on a volume.
pub(crate) static INSTANCE_TYPE: ObjectType =
    ObjectType { name: "FilterInstance", size: size_of::<Instance>(), delete: Some(delete::<Instance>) };
/// The type of volumes.
pub(crate) static VOLUME_TYPE: ObjectType =
    ObjectType { name: "FilterVolume", size: size_of::<Volume>(), delete: Some(delete::<Volume>) };

/// How long is waited for references that nobody gives back, before that counts as a hang.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(30) } else { Duration::from_secs(10) };
/// In a [`Rundown`]: no new references.
const CLOSED: u32 = 1 << 31;

/// References that the end of an object waits for.
#[repr(transparent)]
#[derive(Debug, Default)]
pub(crate) struct Rundown(AtomicU32);

impl Rundown {
    /// Takes a reference; `false` where the object is being torn down.
    pub(crate) fn acquire(&self) -> bool {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (word & CLOSED == 0).then_some(word + 1)
            })
            .is_ok()
    }

    /// Gives a reference back; `false` where there was none.
    pub(crate) fn release(&self) -> bool {
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            (word & !CLOSED != 0).then(|| word - 1)
        });
        if taken == Ok(CLOSED | 1) {
            machine::platform().wake(&self.0, u32::MAX);
        }
        taken.is_ok()
    }

    /// Lets nobody take a reference any more; `false` where that was so before.
    pub(crate) fn close(&self) -> bool {
        self.0.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED == 0
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Waits until all references are back. As nobody can be called who would bring them, waiting too long is
    /// a stop that says `what` is missing.
    pub(crate) fn wait(&self, what: impl FnOnce(u32) -> String) {
        let began = machine::platform().now().monotonic;
        loop {
            let word = self.0.load(Ordering::Acquire);
            if word & !CLOSED == 0 {
                return;
            }
            let waited = Duration::from_nanos(machine::platform().now().monotonic.saturating_sub(began));
            let Some(left) = PATIENCE.checked_sub(waited).filter(|left| !left.is_zero()) else {
                let message = what(word & !CLOSED);
                kernel().finding(&crate::rule::L_14, &message, None);
                crate::ke::stop::without_bug_check(StopKind::Hang, &message)
            };
            machine::platform().block(&self.0, word, Some(left));
        }
    }
}

/// A context type that a filter registered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContextKind {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) size: usize,
    pub(crate) tag: u32,
    /// Addresses in the driver, or 0.
    pub(crate) cleanup: usize,
    pub(crate) allocate: usize,
    pub(crate) free: usize,
}

/// Addresses of a driver's routines, 0 where it has none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Callbacks {
    pub(crate) unload: usize,
    pub(crate) setup: usize,
    pub(crate) query_teardown: usize,
    pub(crate) teardown_start: usize,
    pub(crate) teardown_complete: usize,
}

/// A registered minifilter.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) rundown: Rundown,
    /// Whether FltStartFiltering was called.
    pub(crate) started: AtomicU32,
    pub(crate) owner: Option<DriverId>,
    pub(crate) name: Box<str>,
    pub(crate) instance_name: Box<str>,
    pub(crate) altitude: Box<str>,
    pub(crate) callbacks: Callbacks,
    pub(crate) contexts: Vec<ContextKind>,
    /// The DriverUnload that the driver had before the filter manager put its own there.
    pub(crate) driver_unload: nt_abi::PDRIVER_UNLOAD,
    instances: Mutex<Vec<Ref<Instance>>>,
}

impl Filter {
    /// Its instances.
    pub(crate) fn instances(&self) -> MutexGuard<'_, Vec<Ref<Instance>>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was unregistered, or is about to be.
    pub(crate) fn is_gone(&self) -> bool {
        self.rundown.is_closed()
    }
}

/// What [`Filter::make`] is told.
#[derive(Debug)]
pub(crate) struct NewFilter {
    pub(crate) owner: Option<DriverId>,
    pub(crate) name: Box<str>,
    pub(crate) instance_name: Box<str>,
    pub(crate) altitude: Box<str>,
    pub(crate) callbacks: Callbacks,
    pub(crate) contexts: Vec<ContextKind>,
    pub(crate) driver_unload: nt_abi::PDRIVER_UNLOAD,
}

impl Filter {
    /// Makes one.
    pub(crate) fn make(new: NewFilter) -> Ref<Self> {
        made(
            &FILTER_TYPE,
            Self {
                rundown: Rundown::default(),
                started: AtomicU32::new(0),
                owner: new.owner,
                name: new.name,
                instance_name: new.instance_name,
                altitude: new.altitude,
                callbacks: new.callbacks,
                contexts: new.contexts,
                driver_unload: new.driver_unload,
                instances: Mutex::default(),
            },
        )
    }
}

/// A minifilter on a volume.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) rundown: Rundown,
    pub(crate) name: Box<str>,
    /// Alive for ever: see [`super::State`].
    pub(crate) filter: Ref<Filter>,
    pub(crate) volume: Ref<Volume>,
}

impl Instance {
    /// Makes one.
    pub(crate) fn make(name: &str, filter: Ref<Filter>, volume: Ref<Volume>) -> Ref<Self> {
        made(&INSTANCE_TYPE, Self { rundown: Rundown::default(), name: name.into(), filter, volume })
    }
}

/// A volume.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Volume {
    pub(crate) rundown: Rundown,
    pub(crate) name: Box<str>,
}

impl Volume {
    /// Makes one.
    pub(crate) fn make(name: &str) -> Ref<Self> {
        made(&VOLUME_TYPE, Self { rundown: Rundown::default(), name: name.into() })
    }
}

fn made<T>(kind: &'static ObjectType, body: T) -> Ref<T> {
    let object: NonNull<T> = ob::create(kind, 0);
    // SAFETY: new, of the right size, and nobody else has it; the reference is the one it was created with.
    unsafe {
        object.write(body);
        Ref::adopt(object)
    }
}

/// Drops what an object holds.
///
/// # Safety
/// Called by the object manager, once, with the body of an object that nobody else can reach.
unsafe fn delete<T>(body: *mut u8) {
    // SAFETY: by this function's contract.
    unsafe { body.cast::<T>().drop_in_place() };
}

/// An object of the filter manager as drivers know it: an opaque pointer that is one of ours or no good.
pub(crate) trait Opaque {
    /// What is behind it.
    type Body: 'static;
    /// Its type.
    const KIND: &'static ObjectType;
}

impl Opaque for FLT_FILTER {
    type Body = Filter;
    const KIND: &'static ObjectType = &FILTER_TYPE;
}

impl Opaque for FLT_INSTANCE {
    type Body = Instance;
    const KIND: &'static ObjectType = &INSTANCE_TYPE;
}

impl Opaque for FLT_VOLUME {
    type Body = Volume;
    const KIND: &'static ObjectType = &VOLUME_TYPE;
}

/// What a driver's pointer points to; STATUS_INVALID_PARAMETER where it is no such object.
///
/// # Safety
/// The pointer is a driver's: a live object of any kind, or what faults as on Windows. The answer must not be used
/// after the routine that was called with it.
pub(crate) unsafe fn behind<'a, T: Opaque>(pointer: *const T) -> Result<&'a T::Body, NTSTATUS> {
    // SAFETY: by this function's contract.
    let kind = unsafe { ob::type_of(pointer) };
    if kind.is_some_and(|kind| std::ptr::eq(kind, T::KIND)) {
        // SAFETY: an object of this kind has such a body.
        Ok(unsafe { &*pointer.cast::<T::Body>() })
    } else {
        Err(STATUS_INVALID_PARAMETER)
    }
}

/// The rundown of a filter, an instance or a volume.
///
/// # Safety
/// As for [`behind`].
unsafe fn rundown<'a>(object: *const u8) -> Option<&'a Rundown> {
    // SAFETY: by this function's contract.
    let kind = unsafe { ob::type_of(object) }?;
    let one_of = [&FILTER_TYPE, &INSTANCE_TYPE, &VOLUME_TYPE].into_iter().any(|one| std::ptr::eq(kind, one));
    // SAFETY: bodies of these three begin with it.
    one_of.then(|| unsafe { &*object.cast::<Rundown>() })
}

/// Takes a reference on a filter, an instance or a volume; STATUS_FLT_DELETING_OBJECT while it is torn down. Source: DDI.
#[export(irql <= DISPATCH, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltObjectReference(object: *const u8) -> NTSTATUS {
    // SAFETY: the driver's pointer.
    match unsafe { rundown(object) } {
        None => STATUS_INVALID_PARAMETER,
        Some(rundown) if rundown.acquire() => STATUS_SUCCESS,
        Some(_) => STATUS_FLT_DELETING_OBJECT,
    }
}

/// Gives back a reference on a filter, an instance or a volume. Source: DDI.
#[export(irql <= DISPATCH, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltObjectDereference(object: *const u8) {
    // SAFETY: the driver's pointer.
    let released = unsafe { rundown(object) }.is_some_and(Rundown::release);
    if !released {
        let message = "FltObjectDereference gave back a reference that nobody holds: call it once for each \
                       FltObjectReference and for each routine that returns a referenced filter, instance or volume";
        kernel().finding(&crate::rule::L_14, message, None);
    }
}
