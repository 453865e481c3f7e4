//! Generic tables: `RTL_GENERIC_TABLE` and `RTL_AVL_TABLE`.
//!
//! The driver allocates, frees and compares elements; the table keeps them in order.

use std::ffi::c_void;
use std::ptr::{addr_of_mut, null_mut};

use export_macro::export;
use nt_abi::{
    GenericEqual, GenericLessThan, LIST_ENTRY, PVOID, RTL_AVL_TABLE, RTL_BALANCED_LINKS, RTL_GENERIC_TABLE,
    RTL_SPLAY_LINKS as Links, TableEmptyTree, TableFoundNode, TableInsertAsLeft, TableInsertAsRight,
};

use super::tree::{Place, Tree};

/// What differs between the two kinds of tables.
trait Table: Copy {
    /// Bytes of an element before what the driver stores in it.
    const HEADER: usize;
    unsafe fn tree(self) -> Tree;
    unsafe fn count(self) -> *mut u32;
    /// Addresses of the driver's routines: compare, allocate, free.
    unsafe fn routines(self) -> [usize; 3];
    /// Where an enumeration with a memory of its own goes on; null at the start.
    unsafe fn restart(self) -> *mut *mut Links;
    unsafe fn added(self, node: *mut Links);
    unsafe fn removing(self, node: *mut Links);
    fn address(self) -> u64;
}

type Splay = *mut RTL_GENERIC_TABLE;
type Avl = *mut RTL_AVL_TABLE;

impl Table for Splay {
    const HEADER: usize = size_of::<Links>() + size_of::<LIST_ENTRY>();

    unsafe fn tree(self) -> Tree {
        // SAFETY: the driver's table.
        Tree { root: unsafe { &raw mut (*self).TableRoot } }
    }

    unsafe fn count(self) -> *mut u32 {
        // SAFETY: the driver's table.
        unsafe { &raw mut (*self).NumberGenericTableElements }
    }

    unsafe fn routines(self) -> [usize; 3] {
        // SAFETY: the driver's table; the fields are pointers to code.
        unsafe {
            let first = (&raw const (*self).CompareRoutine).cast::<usize>();
            [*first, *first.add(1), *first.add(2)]
        }
    }

    unsafe fn restart(self) -> *mut *mut Links {
        // SAFETY: the driver's table; the field is used for this alone.
        unsafe { addr_of_mut!((*self).OrderedPointer).cast() }
    }

    unsafe fn added(self, node: *mut Links) {
        // SAFETY: the list entry follows the links, and goes to the end of the list.
        unsafe {
            let (entry, head) = (node.add(1).cast::<LIST_ENTRY>(), &raw mut (*self).InsertOrderList);
            (*entry).Flink = head;
            (*entry).Blink = (*head).Blink;
            (*(*head).Blink).Flink = entry;
            (*head).Blink = entry;
        }
    }

    unsafe fn removing(self, node: *mut Links) {
        // SAFETY: the list entry follows the links, and is in the list.
        unsafe {
            let entry = node.add(1).cast::<LIST_ENTRY>();
            (*(*entry).Blink).Flink = (*entry).Flink;
            (*(*entry).Flink).Blink = (*entry).Blink;
        }
    }

    fn address(self) -> u64 {
        self.expose_provenance() as u64
    }
}

impl Table for Avl {
    const HEADER: usize = size_of::<RTL_BALANCED_LINKS>();

    unsafe fn tree(self) -> Tree {
        // SAFETY: the driver's table.
        Tree { root: unsafe { addr_of_mut!((*self).BalancedRoot.RightChild).cast() } }
    }

    unsafe fn count(self) -> *mut u32 {
        // SAFETY: the driver's table.
        unsafe { &raw mut (*self).NumberGenericTableElements }
    }

    unsafe fn routines(self) -> [usize; 3] {
        // SAFETY: the driver's table; the fields are pointers to code.
        unsafe {
            let first = (&raw const (*self).CompareRoutine).cast::<usize>();
            [*first, *first.add(1), *first.add(2)]
        }
    }

    unsafe fn restart(self) -> *mut *mut Links {
        // SAFETY: the driver's table.
        unsafe { addr_of_mut!((*self).RestartKey).cast() }
    }

    unsafe fn added(self, _: *mut Links) {}

    unsafe fn removing(self, _: *mut Links) {
        // SAFETY: the driver's table.
        unsafe { (*self).DeleteCount = (*self).DeleteCount.wrapping_add(1) };
    }

    fn address(self) -> u64 {
        self.expose_provenance() as u64
    }
}

/// What the driver stores in an element.
fn data<T: Table>(node: *mut Links) -> PVOID {
    if node.is_null() { null_mut() } else { node.wrapping_byte_add(T::HEADER).cast() }
}

/// Finds the place of what a driver describes, with the driver's comparison.
unsafe fn find<T: Table>(table: T, buffer: PVOID) -> Place {
    // SAFETY: the driver's table and its routines, called as documented.
    unsafe {
        let [compare, ..] = table.routines();
        table.tree().find(|node| {
            let element = data::<T>(node).expose_provenance() as u64;
            let answer = machine::call3(compare, table.address(), buffer.expose_provenance() as u64, element);
            match u32::try_from(answer & 0xFFFF_FFFF).unwrap_or(0) {
                GenericLessThan => -1,
                GenericEqual => 0,
                _ => 1,
            }
        })
    }
}

unsafe fn insert_at<T: Table>(table: T, buffer: PVOID, size: u32, new: *mut u8, place: Place) -> PVOID {
    // SAFETY: the driver's table, element and variable.
    unsafe {
        let (node, is_new) = match place {
            Place::Found(node) => (node, false),
            place => {
                let [_, allocate, _] = table.routines();
                let bytes = T::HEADER as u64 + u64::from(size);
                let memory = machine::call2(allocate, table.address(), bytes);
                let node: *mut Links =
                    std::ptr::with_exposed_provenance_mut(usize::try_from(memory).unwrap_or(0));
                if !node.is_null() {
                    node.cast::<u8>().write_bytes(0, T::HEADER);
                    data::<T>(node).cast::<u8>().copy_from(buffer.cast(), size as usize);
                    table.tree().insert(node, place);
                    table.added(node);
                    *table.count() += 1;
                }
                (node, !node.is_null())
            }
        };
        if !new.is_null() {
            new.write(u8::from(is_new));
        }
        data::<T>(node)
    }
}

unsafe fn delete<T: Table>(table: T, buffer: PVOID) -> u8 {
    // SAFETY: the driver's table and its routines.
    unsafe {
        let Place::Found(node) = find(table, buffer) else { return 0 };
        // An enumeration that stands here goes on behind the one before.
        if *table.restart() == node {
            *table.restart() = table.tree().previous(node);
        }
        table.tree().remove(node);
        table.removing(node);
        *table.count() -= 1;
        let [_, _, free] = table.routines();
        machine::call2(free, table.address(), node.expose_provenance() as u64);
    }
    1
}

unsafe fn lookup_full<T: Table>(table: T, buffer: PVOID, node: *mut *mut c_void, result: *mut u32) -> PVOID {
    // SAFETY: the driver's table and variables.
    unsafe {
        let (at, how, found) = match find(table, buffer) {
            Place::Empty => (null_mut(), TableEmptyTree, null_mut()),
            Place::Found(at) => (at, TableFoundNode, data::<T>(at)),
            Place::LeftOf(at) => (at, TableInsertAsLeft, null_mut()),
            Place::RightOf(at) => (at, TableInsertAsRight, null_mut()),
        };
        node.write_unaligned(at.cast());
        result.write_unaligned(how);
        found
    }
}

unsafe fn step<T: Table>(table: T, from: *mut *mut Links) -> PVOID {
    // SAFETY: the driver's table; `from` holds null or a node of it.
    unsafe {
        let next = if (*from).is_null() { table.tree().first() } else { table.tree().next(*from) };
        if !next.is_null() {
            *from = next;
        }
        data::<T>(next)
    }
}

fn place_of(node: *mut c_void, result: u32) -> Place {
    match result {
        TableFoundNode => Place::Found(node.cast()),
        TableInsertAsLeft => Place::LeftOf(node.cast()),
        TableInsertAsRight => Place::RightOf(node.cast()),
        _ => Place::Empty,
    }
}

macro_rules! tables {
    ($( $kind:ty: $insert:ident $insert_full:ident $delete:ident $lookup:ident $lookup_full:ident $enumerate:ident
        $enumerate_plain:ident $number:ident $empty:ident; )*) => { $(
        /// Adds a copy of an element unless an equal one is there; returns the one in the table. Source: DDI.
        #[export(irql <= DISPATCH)]
        pub unsafe extern "win64" fn $insert(table: $kind, buffer: PVOID, size: u32, new: *mut u8) -> PVOID {
            // SAFETY: the driver's table and routines.
            unsafe { insert_at(table, buffer, size, new, find(table, buffer)) }
        }

        /// Adds an element where a full lookup found its place. Source: DDI of the file system headers.
        #[export(irql <= DISPATCH)]
        pub unsafe extern "win64" fn $insert_full(
            table: $kind, buffer: PVOID, size: u32, new: *mut u8, node: *mut c_void, result: u32,
        ) -> PVOID {
            // SAFETY: the driver's table and routines.
            unsafe { insert_at(table, buffer, size, new, place_of(node, result)) }
        }

        /// Deletes the element that is equal to one; says whether there was one. Source: DDI.
        #[export(irql <= DISPATCH)]
        pub unsafe extern "win64" fn $delete(table: $kind, buffer: PVOID) -> u8 {
            // SAFETY: the driver's table and routines.
            unsafe { delete(table, buffer) }
        }

        /// Returns the element that is equal to one, or null. Source: DDI.
        #[export(irql <= DISPATCH)]
        pub unsafe extern "win64" fn $lookup(table: $kind, buffer: PVOID) -> PVOID {
            // SAFETY: the driver's table and routines.
            match unsafe { find(table, buffer) } {
                Place::Found(node) => data::<$kind>(node),
                _ => null_mut(),
            }
        }

        /// Returns the element that is equal to one, and where it is or would be. Source: DDI of the file system headers.
        #[export(irql <= DISPATCH)]
        pub unsafe extern "win64" fn $lookup_full(
            table: $kind, buffer: PVOID, node: *mut *mut c_void, result: *mut u32,
        ) -> PVOID {
            // SAFETY: the driver's table and variables.
            unsafe { lookup_full(table, buffer, node, result) }
        }

        /// Returns the elements in order, one with each call; null behind the last. Source: DDI.
        #[export(irql <= DISPATCH)]
        pub unsafe extern "win64" fn $enumerate(table: $kind, restart: u8) -> PVOID {
            // SAFETY: the driver's table, which remembers where it is.
            unsafe {
                if restart != 0 {
                    *table.restart() = null_mut();
                }
                step(table, table.restart())
            }
        }

        /// Returns the elements in order, from where the driver remembers; null behind the last. Source: DDI.
        #[export(irql <= DISPATCH)]
        pub unsafe extern "win64" fn $enumerate_plain(table: $kind, restart: *mut *mut Links) -> PVOID {
            // SAFETY: the driver's table and variable.
            unsafe { step(table, restart) }
        }

        /// Returns how many elements a table has. Source: DDI.
        #[export(irql <= DISPATCH)]
        pub unsafe extern "win64" fn $number(table: $kind) -> u32 {
            // SAFETY: the driver's table.
            unsafe { *table.count() }
        }

        /// Says whether a table is empty. Source: DDI.
        #[export(irql <= DISPATCH)]
        pub unsafe extern "win64" fn $empty(table: $kind) -> u8 {
            // SAFETY: the driver's table.
            u8::from(unsafe { *table.count() } == 0)
        }
    )* };
}

tables! {
    *mut RTL_GENERIC_TABLE: RtlInsertElementGenericTable RtlInsertElementGenericTableFull
        RtlDeleteElementGenericTable RtlLookupElementGenericTable RtlLookupElementGenericTableFull
        RtlEnumerateGenericTable RtlEnumerateGenericTableWithoutSplaying RtlNumberGenericTableElements
        RtlIsGenericTableEmpty;
    *mut RTL_AVL_TABLE: RtlInsertElementGenericTableAvl RtlInsertElementGenericTableFullAvl
        RtlDeleteElementGenericTableAvl RtlLookupElementGenericTableAvl RtlLookupElementGenericTableFullAvl
        RtlEnumerateGenericTableAvl RtlEnumerateGenericTableWithoutSplayingAvl RtlNumberGenericTableElementsAvl
        RtlIsGenericTableEmptyAvl;
}

/// Makes an empty table. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn RtlInitializeGenericTable(
    table: *mut RTL_GENERIC_TABLE,
    compare: nt_abi::PRTL_GENERIC_COMPARE_ROUTINE,
    allocate: nt_abi::PRTL_GENERIC_ALLOCATE_ROUTINE,
    free: nt_abi::PRTL_GENERIC_FREE_ROUTINE,
    context: PVOID,
) {
    // SAFETY: the driver's memory.
    unsafe {
        table.write(RTL_GENERIC_TABLE {
            CompareRoutine: compare,
            AllocateRoutine: allocate,
            FreeRoutine: free,
            TableContext: context,
            ..RTL_GENERIC_TABLE::default()
        });
        let head = &raw mut (*table).InsertOrderList;
        head.write(LIST_ENTRY { Flink: head, Blink: head });
    }
}

/// Makes an empty table of the AVL form. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn RtlInitializeGenericTableAvl(
    table: *mut RTL_AVL_TABLE,
    compare: nt_abi::PRTL_GENERIC_COMPARE_ROUTINE,
    allocate: nt_abi::PRTL_GENERIC_ALLOCATE_ROUTINE,
    free: nt_abi::PRTL_GENERIC_FREE_ROUTINE,
    context: PVOID,
) {
    // SAFETY: the driver's memory.
    unsafe {
        table.write(RTL_AVL_TABLE {
            CompareRoutine: compare,
            AllocateRoutine: allocate,
            FreeRoutine: free,
            TableContext: context,
            ..RTL_AVL_TABLE::default()
        });
        (*table).BalancedRoot.Parent = &raw mut (*table).BalancedRoot;
    }
}

/// Returns the element with a number, in the order in which they were added. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn RtlGetElementGenericTable(table: *mut RTL_GENERIC_TABLE, index: u32) -> PVOID {
    // SAFETY: the driver's table, whose list has as many entries as it counts.
    unsafe {
        if index >= (*table).NumberGenericTableElements {
            return null_mut();
        }
        let first = (*table).InsertOrderList.Flink;
        let entry = (0..index).fold(first, |entry, _| (*entry).Flink);
        entry.add(1).cast()
    }
}

/// Returns the element with a number, in order. Source: DDI.
#[export(irql <= DISPATCH, since = Xp)]
pub unsafe extern "win64" fn RtlGetElementGenericTableAvl(table: *mut RTL_AVL_TABLE, index: u32) -> PVOID {
    // SAFETY: the driver's table.
    unsafe {
        if index >= (*table).NumberGenericTableElements {
            return null_mut();
        }
        let tree = table.tree();
        data::<Avl>((0..index).fold(tree.first(), |node, _| tree.next(node)))
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
