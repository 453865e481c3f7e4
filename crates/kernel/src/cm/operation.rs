//! The operations that callbacks are told of: their classes, and their structures where `nt-abi` has none.

use std::mem::offset_of;

use nt_abi::*;

use super::callback::Operation;

/// `RegNtPreQueryKey`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct QueryKey {
    pub(super) object: PVOID,
    pub(super) class: u32,
    pub(super) information: PVOID,
    pub(super) length: u32,
    pub(super) result: *mut u32,
    pub(super) call_context: PVOID,
    pub(super) object_context: PVOID,
    pub(super) reserved: PVOID,
}

/// `RegNtPreEnumerateKey` and `RegNtPreEnumerateValueKey`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Enumerate {
    pub(super) object: PVOID,
    pub(super) index: u32,
    pub(super) class: u32,
    pub(super) information: PVOID,
    pub(super) length: u32,
    pub(super) result: *mut u32,
    pub(super) call_context: PVOID,
    pub(super) object_context: PVOID,
    pub(super) reserved: PVOID,
}

const _: () = assert!(size_of::<QueryKey>() == 0x40 && size_of::<Enumerate>() == 0x40);

macro_rules! operations {
    ($( $name:ident: $before:ident, $after:ident, $of:ident . $call:ident $object:ident; )*) => { $(
        pub(super) const $name: Operation = Operation {
            classes: ($before, $after),
            contexts: (offset_of!($of, $call), offset_of!($of, $object)),
        };
    )* };
}

operations! {
    DELETE_KEY: RegNtPreDeleteKey, RegNtPostDeleteKey, REG_DELETE_KEY_INFORMATION.CallContext ObjectContext;
    FLUSH_KEY: RegNtPreFlushKey, RegNtPostFlushKey, REG_DELETE_KEY_INFORMATION.CallContext ObjectContext;
    CLOSE_KEY: RegNtPreKeyHandleClose, RegNtPostKeyHandleClose, REG_DELETE_KEY_INFORMATION.CallContext ObjectContext;
    SET_VALUE: RegNtPreSetValueKey, RegNtPostSetValueKey, REG_SET_VALUE_KEY_INFORMATION.CallContext ObjectContext;
    DELETE_VALUE: RegNtPreDeleteValueKey, RegNtPostDeleteValueKey, REG_DELETE_VALUE_KEY_INFORMATION.CallContext ObjectContext;
    RENAME_KEY: RegNtPreRenameKey, RegNtPostRenameKey, REG_RENAME_KEY_INFORMATION.CallContext ObjectContext;
    ENUMERATE_KEY: RegNtPreEnumerateKey, RegNtPostEnumerateKey, Enumerate.call_context object_context;
    ENUMERATE_VALUE: RegNtPreEnumerateValueKey, RegNtPostEnumerateValueKey, Enumerate.call_context object_context;
    QUERY_KEY: RegNtPreQueryKey, RegNtPostQueryKey, QueryKey.call_context object_context;
    QUERY_VALUE: RegNtPreQueryValueKey, RegNtPostQueryValueKey, REG_QUERY_VALUE_KEY_INFORMATION.CallContext ObjectContext;
    CREATE_KEY: RegNtPreCreateKeyEx, RegNtPostCreateKeyEx, REG_CREATE_KEY_INFORMATION.CallContext RootObjectContext;
    OPEN_KEY: RegNtPreOpenKeyEx, RegNtPostOpenKeyEx, REG_CREATE_KEY_INFORMATION.CallContext RootObjectContext;
}
