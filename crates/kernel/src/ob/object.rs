//! Objects: a header with the type and the reference count before each body, as on NT.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The kind of an object: what drivers know as `OBJECT_TYPE`, and import as `PsProcessType` and so on.
#[repr(C)]
#[derive(Debug)]
pub struct ObjectType {
    /// The type's name in the object manager: `Process`.
    pub name: &'static str,
    /// Bytes of a body, before the tail that a creation may ask for.
    pub size: usize,
    /// Called when the last reference is gone, before the memory is freed.
    ///
    /// Its argument is the body, which nobody else can reach any more.
    pub delete: Option<unsafe fn(*mut u8)>,
}

/// What stands before every body. Its size is a multiple of 16, so bodies are aligned as on NT.
#[repr(C, align(16))]
struct Header {
    /// References, handles included.
    pointers: AtomicI64,
    /// Open handles.
    handles: AtomicI64,
    kind: &'static ObjectType,
    /// Bytes of the body, with its tail.
    size: usize,
    /// Distinguishes an object from any other memory a driver might pass for one.
    magic: u64,
    /// A driver holds or has held a reference that is in the ledger.
    noted: AtomicBool,
}

const MAGIC: u64 = u64::from_le_bytes(*b"CbObject");
const HEADER: usize = size_of::<Header>();

fn layout(size: usize) -> Layout {
    // A body never exceeds a few pages, so this cannot overflow.
    Layout::from_size_align(HEADER + size, 16).unwrap_or(Layout::new::<Header>())
}

fn header_of<T>(body: *const T) -> *mut Header {
    body.cast::<u8>().wrapping_sub(HEADER).cast_mut().cast()
}

/// Makes an object with one reference. Its body, and `tail` bytes after it, are zero.
pub(crate) fn create<T>(kind: &'static ObjectType, tail: usize) -> NonNull<T> {
    debug_assert!(size_of::<T>() <= kind.size, "a {} is larger than its type says", kind.name);
    let size = kind.size + tail;
    let layout = layout(size);
    // SAFETY: the layout has a header's size at least, so it is not zero.
    let memory = unsafe { alloc_zeroed(layout) };
    let Some(memory) = NonNull::new(memory) else { handle_alloc_error(layout) };
    let header = Header {
        pointers: AtomicI64::new(1),
        handles: AtomicI64::new(0),
        kind,
        size,
        magic: MAGIC,
        noted: AtomicBool::new(false),
    };
    // SAFETY: freshly allocated for a header followed by the body, aligned to 16.
    unsafe { memory.cast::<Header>().write(header) };
    // SAFETY: the body follows the header within the allocation.
    unsafe { memory.add(HEADER).cast() }
}

/// The type of an object; `None` when there is no live object at `body`.
///
/// # Safety
/// The 48 bytes before `body` must be readable. A driver's pointer that is not readable faults here, and
/// becomes the stop that Windows would have, with the driver's call on the stack.
pub(crate) unsafe fn type_of<T>(body: *const T) -> Option<&'static ObjectType> {
    if body.is_null() || !body.cast::<u8>().addr().is_multiple_of(16) {
        return None;
    }
    let header = header_of(body);
    // SAFETY: readable by this function's contract; any bytes are a valid u64.
    let magic = unsafe { (&raw const (*header).magic).read() };
    // SAFETY: the magic says that `create` wrote this header and `dereference` has not cleared it.
    (magic == MAGIC).then(|| unsafe { (*header).kind })
}

/// Adds a reference and returns the new count.
///
/// # Safety
/// `body` must be an object that the caller holds a reference on.
pub(crate) unsafe fn reference<T>(body: *const T) -> i64 {
    // SAFETY: the caller's reference keeps the header alive.
    unsafe { (*header_of(body)).pointers.fetch_add(1, Ordering::Relaxed) + 1 }
}

/// Takes a reference away and returns how many are left; at none the object is deleted. A negative
/// answer means that there was none to take away: the caller has a bug check 0x18 to raise.
///
/// # Safety
/// `body` must be an object, and the reference must be the caller's to give up.
pub(crate) unsafe fn dereference<T>(body: *const T) -> i64 {
    let header = header_of(body);
    // SAFETY: the reference that is given up here kept the header alive until now.
    let left = unsafe { (*header).pointers.fetch_sub(1, Ordering::AcqRel) } - 1;
    if left == 0 {
        // SAFETY: that was the last reference, so nobody else can reach the object.
        unsafe { delete(header) };
    }
    left
}

/// Deletes an object.
///
/// # Safety
/// No reference may be left.
unsafe fn delete(header: *mut Header) {
    // SAFETY: made by `create`; not yet freed, by this function's contract.
    let (kind, size, noted) =
        unsafe { ((*header).kind, (*header).size, (*header).noted.load(Ordering::Relaxed)) };
    if noted {
        crate::kernel().ob.ledger.forget(header.addr() + HEADER);
    }
    if let Some(delete) = kind.delete {
        // SAFETY: the body follows its header, and is unreachable for others.
        unsafe { delete(header.cast::<u8>().add(HEADER)) };
    }
    // SAFETY: still allocated; a stale pointer of a driver must not pass for an object.
    unsafe { (*header).magic = 0 };
    // SAFETY: allocated by `create` with this layout.
    unsafe { dealloc(header.cast(), layout(size)) };
}

/// Says that an object is in the ledger of what drivers hold: its end is told there.
///
/// # Safety
/// As for [`reference`].
pub(crate) unsafe fn set_noted<T>(body: *const T) {
    // SAFETY: the caller's reference keeps the header alive.
    unsafe { (*header_of(body)).noted.store(true, Ordering::Relaxed) };
}

/// Whether an object is or was in the ledger of what drivers hold.
///
/// # Safety
/// As for [`reference`].
pub(crate) unsafe fn is_noted<T>(body: *const T) -> bool {
    // SAFETY: the caller's reference keeps the header alive.
    unsafe { (*header_of(body)).noted.load(Ordering::Relaxed) }
}

/// How many references an object has.
///
/// # Safety
/// As for [`reference`].
pub(crate) unsafe fn pointer_count<T>(body: *const T) -> i64 {
    // What others did with the references they have given up has happened for who finds itself alone.
    // SAFETY: the caller's reference keeps the header alive.
    unsafe { (*header_of(body)).pointers.load(Ordering::Acquire) }
}

/// Adds `by` (1 or -1) to the count of open handles and returns the new count.
///
/// # Safety
/// As for [`reference`].
pub(crate) unsafe fn count_handle<T>(body: *const T, by: i64) -> i64 {
    // SAFETY: the caller's reference keeps the header alive.
    unsafe { (*header_of(body)).handles.fetch_add(by, Ordering::Relaxed) + by }
}

/// How many handles are open to an object.
///
/// # Safety
/// As for [`reference`].
pub(crate) unsafe fn handle_count<T>(body: *const T) -> i64 {
    // SAFETY: the caller's reference keeps the header alive.
    unsafe { (*header_of(body)).handles.load(Ordering::Relaxed) }
}

/// The body of an object of whatever type.
#[repr(C)]
#[derive(Debug)]
pub struct Object {
    _contents: [u8; 0],
}

impl Ref<Object> {
    /// The object's type.
    pub(crate) fn kind(&self) -> &'static ObjectType {
        // SAFETY: the reference keeps the header alive, and `create` has filled it in.
        unsafe { (*header_of(self.as_ptr())).kind }
    }

    /// The same reference to an object of type `kind`, whose bodies are `T`; `None` where it is of another one.
    pub(crate) fn of<T>(self, kind: &'static ObjectType) -> Option<Ref<T>> {
        // SAFETY: the reference goes from one to the other; the caller pairs the type with its body.
        std::ptr::eq(self.kind(), kind)
            .then(|| unsafe { Ref::adopt(NonNull::new_unchecked(self.into_raw().cast())) })
    }
}

/// A counted reference to an object, given up when dropped.
#[derive(Debug)]
pub struct Ref<T>(NonNull<T>);

// SAFETY: a reference is a counted pointer; the bodies that are shared this way are themselves `Sync`.
unsafe impl<T: Sync> Send for Ref<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Ref<T> {}

impl<T> Ref<T> {
    /// Takes over a reference that the caller holds.
    ///
    /// # Safety
    /// `body` must be an object of type `T`, and the reference the caller's to give away.
    pub(crate) unsafe fn adopt(body: NonNull<T>) -> Self {
        Self(body)
    }

    /// Adds a reference of its own.
    ///
    /// # Safety
    /// `body` must be an object of type `T` that stays alive during the call.
    pub(crate) unsafe fn share(body: NonNull<T>) -> Self {
        // SAFETY: alive, by this function's contract.
        unsafe { reference(body.as_ptr()) };
        Self(body)
    }

    /// The body, for handing to drivers.
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }

    /// The same reference to an object of whatever type.
    pub(crate) fn erase(self) -> Ref<Object> {
        // SAFETY: the reference goes from one to the other; any body is an `Object`, which is without contents.
        unsafe { Ref::adopt(NonNull::new_unchecked(self.into_raw().cast())) }
    }

    /// Gives the reference to whoever takes the pointer.
    pub(crate) fn into_raw(self) -> *mut T {
        std::mem::ManuallyDrop::new(self).as_ptr()
    }
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        // SAFETY: `self` keeps the object alive.
        unsafe { Self::share(self.0) }
    }
}

impl<T> std::ops::Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the reference keeps the object alive, and bodies are only shared.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Ref<T> {
    fn drop(&mut self) {
        // SAFETY: this reference is ours and is given up here, once.
        unsafe { dereference(self.0.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    static DELETED: AtomicUsize = AtomicUsize::new(0);
    static KIND: ObjectType = ObjectType { name: "Test", size: 24, delete: Some(deleted) };

    unsafe fn deleted(_: *mut u8) {
        DELETED.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn an_object_lives_as_long_as_its_references() {
        let object = create::<[u64; 3]>(&KIND, 8).as_ptr();
        assert_eq!(object.addr() % 16, 0);
        // SAFETY: `object` is alive until its last reference is given up.
        unsafe {
            assert_eq!(*object, [0; 3]);
            assert!(type_of(object).is_some_and(|kind| kind.name == "Test"));
            assert_eq!(reference(object), 2);
            assert_eq!(dereference(object), 1);
            assert_eq!(DELETED.load(Ordering::Relaxed), 0);
            assert_eq!(dereference(object), 0);
        }
        assert_eq!(DELETED.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn other_memory_is_not_an_object() {
        let memory = [0u128; 8];
        // SAFETY: 64 bytes before the pointer lie in `memory`.
        assert!(unsafe { type_of(&raw const memory[4]) }.is_none());
    }
}
