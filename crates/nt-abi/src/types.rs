//! The few basic types that everything else is made of.

use core::ffi::c_void;

/// A pointer to anything.
pub type PVOID = *mut c_void;
/// An entry of a handle table, or a process or thread id where NT types ids as handles.
pub type HANDLE = *mut c_void;
/// One byte; zero is false, and drivers do pass values other than 1.
pub type BOOLEAN = u8;
/// A signed 64-bit number. The union of the headers has no other use on x64.
pub type LARGE_INTEGER = i64;
/// An unsigned 64-bit number.
pub type ULARGE_INTEGER = u64;
/// A mask of rights to an object.
pub type ACCESS_MASK = u32;
/// Interrupt request level.
pub type KIRQL = u8;
/// Set of processors in one group.
pub type KAFFINITY = usize;
/// [`KernelMode`](crate::KernelMode) or [`UserMode`](crate::UserMode).
pub type KPROCESSOR_MODE = i8;
/// A `wchar_t` of Windows: one UTF-16 code unit.
pub type WCHAR = u16;

/// False as NT's routines return it.
pub const FALSE: BOOLEAN = 0;
/// True as NT's routines return it.
pub const TRUE: BOOLEAN = 1;

nt_consts! { "Pseudo handle (pointer-sized, as the value of a `HANDLE`)", isize;
    NT_CURRENT_PROCESS = -1,
    NT_CURRENT_THREAD = -2,
    NT_CURRENT_SESSION = -3,
}

/// The bit that marks a handle of the kernel's own table (`ObKernelHandle`), with all bits above it.
pub const KERNEL_HANDLE_MASK: usize = 0xFFFF_FFFF_8000_0000;

/// A type whose every bit pattern of the right size is a valid value: integers, raw pointers,
/// optional function pointers, and `repr(C)` compounds of these.
///
/// Such a value can be read from a driver's memory whatever the driver put there.
///
/// # Safety
/// No bit pattern of the type's size may be an invalid value (so no `bool`, reference or `enum`).
/// A function pointer that was read is valid as a value only; that says nothing about calling it.
pub unsafe trait Plain: Copy + 'static {}

macro_rules! plain {
    ($($t:ty)*) => { $(
        // SAFETY: every bit pattern of an integer is a value of it.
        unsafe impl Plain for $t {}
    )* };
}
plain! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }

// SAFETY: any address is a valid raw pointer.
unsafe impl<T: 'static> Plain for *mut T {}
// SAFETY: any address is a valid raw pointer.
unsafe impl<T: 'static> Plain for *const T {}
// SAFETY: an array has no bytes but those of its elements.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

macro_rules! plain_functions {
    ($( ($($arg:ident)*) )*) => { $(
        // SAFETY: null is `None`, anything else is `Some`.
        unsafe impl<R: 'static, $($arg: 'static),*> Plain for Option<unsafe extern "win64" fn($($arg),*) -> R> {}
    )* };
}
plain_functions! { () (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H)
(A B C D E F G H I) (A B C D E F G H I J) }

/// Declares a structure that drivers may only hold a pointer to.
macro_rules! opaque {
    ($( $(#[$meta:meta])* $name:ident )*) => { $(
        $(#[$meta])*
        ///
        /// Opaque: drivers only pass pointers to it.
        #[repr(C)]
        #[derive(Debug)]
        pub struct $name {
            _opaque: [u8; 0],
            _not_send: core::marker::PhantomData<*mut u8>,
        }
    )* };
}
pub(crate) use opaque;
