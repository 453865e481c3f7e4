//! How structures and constants are declared, so that every layout is written down and checked.

/// Declares `repr(C)` structures and unions with the offset of every field and the size of the whole.
///
/// The offsets are the point: a field that is not where the header puts it fails the build, and the
/// documentation shows them.
macro_rules! nt_struct {
    ($( $(#[$meta:meta])* $kind:ident $name:ident : $size:literal {
        $( $(#[$field_meta:meta])* $offset:literal $field:ident : $type:ty ),* $(,)?
    } )*) => { $(
        $(#[$meta])*
        #[doc = concat!("\n\nSize ", stringify!($size), ".")]
        #[repr(C)]
        #[derive(Clone, Copy)]
        pub $kind $name {
            $( $(#[$field_meta])* #[doc = concat!("\nOffset ", stringify!($offset), ".")] pub $field: $type, )*
        }

        const _: () = {
            assert!(size_of::<$name>() == $size, concat!("size of ", stringify!($name)));
            $( assert!(
                core::mem::offset_of!($name, $field) == $offset,
                concat!("offset of ", stringify!($name), "::", stringify!($field))
            ); )*
            const fn fields_are_plain<T: $crate::types::Plain>() {}
            $( fields_are_plain::<$type>(); )*
        };

        // SAFETY: `repr(C)` and, as checked just above, made of plain fields only.
        unsafe impl $crate::types::Plain for $name {}

        impl $name {
            /// All bytes zero, which is a valid value of every type of this crate.
            pub const fn zeroed() -> Self {
                // SAFETY: the type is `Plain`, for which every bit pattern is valid.
                unsafe { core::mem::zeroed() }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::zeroed()
            }
        }

        nt_struct!(@debug $kind $name $($field)*);
    )* };
    (@debug struct $name:ident $($field:ident)*) => {
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($name))$( .field(stringify!($field), &self.$field) )*.finish()
            }
        }
    };
    // Which member of a union is live is known to its owner only.
    (@debug union $name:ident $($field:ident)*) => {
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

/// Declares a group of constants of one type; the group's text becomes the documentation of each.
///
/// With `fn name` after the type, also the function that turns a value of the group back into its name.
macro_rules! nt_consts {
    ($about:literal, $type:ty $(, fn $lookup:ident)? ; $( $(#[$meta:meta])* $name:ident = $value:expr ),* $(,)?) => {
        $(
            #[doc = concat!($about, ": `", stringify!($value), "`.\n\n")]
            $(#[$meta])*
            pub const $name: $type = $value;
        )*
        nt_consts!(@lookup $about, $type, [$($lookup)?] $($name)*);
    };
    (@lookup $about:literal, $type:ty, [] $($name:ident)*) => {};
    (@lookup $about:literal, $type:ty, [$lookup:ident] $($name:ident)*) => {
        #[doc = concat!("The NT name of a value of: ", $about, ".")]
        pub const fn $lookup(value: $type) -> Option<&'static str> {
            match value {
                $( $name => Some(stringify!($name)), )*
                _ => None,
            }
        }
    };
}
