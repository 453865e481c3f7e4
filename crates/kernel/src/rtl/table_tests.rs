//! Tables with elements of one number.

use std::alloc::{Layout, alloc, dealloc};

use super::*;
use crate::Config;
use crate::testing::with_kernel;

unsafe extern "win64" fn compare(_: PVOID, left: PVOID, right: PVOID) -> u32 {
    // SAFETY: elements of the tests.
    match unsafe { (*left.cast::<u32>()).cmp(&*right.cast::<u32>()) } {
        std::cmp::Ordering::Less => GenericLessThan,
        std::cmp::Ordering::Equal => GenericEqual,
        std::cmp::Ordering::Greater => nt_abi::GenericGreaterThan,
    }
}

/// Room for an element of any of the two kinds.
const ELEMENT: Layout = match Layout::from_size_align(64, 16) {
    Ok(layout) => layout,
    Err(_) => panic!("it is a layout"),
};

unsafe extern "win64" fn allocate(_: PVOID, size: u32) -> PVOID {
    assert!(size as usize <= ELEMENT.size());
    // SAFETY: the layout is not empty.
    unsafe { alloc(ELEMENT) }.cast()
}

unsafe extern "win64" fn free(_: PVOID, element: PVOID) {
    // SAFETY: from `allocate`.
    unsafe { dealloc(element.cast(), ELEMENT) };
}

fn number(element: PVOID) -> Option<u32> {
    // SAFETY: null or an element of the tests.
    unsafe { element.cast::<u32>().as_ref() }.copied()
}

/// Numbers that are all different, in no order.
fn numbers() -> impl Iterator<Item = u32> {
    (0..1000u32).map(|i| i * 617 % 1009)
}

#[test]
fn an_avl_table_keeps_its_elements_in_order() {
    with_kernel(Config::default(), |_, _| {
        let mut table = RTL_AVL_TABLE::default();
        let table = &raw mut table;
        let mut new = 9;
        // SAFETY: the table of the test, with the routines above.
        unsafe {
            RtlInitializeGenericTableAvl(table, Some(compare), Some(allocate), Some(free), null_mut());
            assert_eq!(RtlIsGenericTableEmptyAvl(table), 1);
            for value in numbers() {
                let element = RtlInsertElementGenericTableAvl(
                    table,
                    (&raw const value).cast_mut().cast(),
                    4,
                    &raw mut new,
                );
                assert_eq!((number(element), new), (Some(value), 1));
            }
            let again = 5;
            RtlInsertElementGenericTableAvl(table, (&raw const again).cast_mut().cast(), 4, &raw mut new);
            assert_eq!((new, RtlNumberGenericTableElementsAvl(table)), (0, 1000));
            let mut sorted: Vec<u32> = numbers().collect();
            sorted.sort_unstable();
            let mut seen = Vec::new();
            let mut key = null_mut();
            while let Some(value) = number(RtlEnumerateGenericTableWithoutSplayingAvl(table, &raw mut key)) {
                seen.push(value);
            }
            assert_eq!(seen, sorted);
            assert_eq!(number(RtlGetElementGenericTableAvl(table, 17)), Some(sorted[17]));
            assert!(RtlGetElementGenericTableAvl(table, 1000).is_null());
            let missing = 2000u32;
            assert!(RtlLookupElementGenericTableAvl(table, (&raw const missing).cast_mut().cast()).is_null());
            // Every element is deleted while it is enumerated.
            let mut restart = 1;
            while let Some(value) = number(RtlEnumerateGenericTableAvl(table, restart)) {
                restart = 0;
                assert_eq!(RtlDeleteElementGenericTableAvl(table, (&raw const value).cast_mut().cast()), 1);
                assert_eq!(RtlDeleteElementGenericTableAvl(table, (&raw const value).cast_mut().cast()), 0);
            }
            assert_eq!(RtlNumberGenericTableElementsAvl(table), 0);
        }
    });
}

#[test]
fn a_splay_table_also_knows_the_order_of_adding() {
    with_kernel(Config::default(), |_, _| {
        let mut table = RTL_GENERIC_TABLE::default();
        let table = &raw mut table;
        // SAFETY: the table of the test, with the routines above.
        unsafe {
            RtlInitializeGenericTable(table, Some(compare), Some(allocate), Some(free), null_mut());
            let (mut node, mut how) = (null_mut(), 9);
            for value in [30u32, 10, 20] {
                let buffer: PVOID = (&raw const value).cast_mut().cast();
                assert!(
                    RtlLookupElementGenericTableFull(table, buffer, &raw mut node, &raw mut how).is_null()
                );
                let added = RtlInsertElementGenericTableFull(table, buffer, 4, null_mut(), node, how);
                assert_eq!(number(added), Some(value));
            }
            let by_number = (0..4).map(|index| number(RtlGetElementGenericTable(table, index)));
            assert!(by_number.eq([Some(30), Some(10), Some(20), None]));
            let in_order =
                (0..4u8).map(|index| number(RtlEnumerateGenericTable(table, u8::from(index == 0))));
            assert!(in_order.eq([Some(10), Some(20), Some(30), None]));
            for value in [10u32, 30, 20] {
                assert_eq!(RtlDeleteElementGenericTable(table, (&raw const value).cast_mut().cast()), 1);
            }
            assert_eq!(RtlIsGenericTableEmpty(table), 1);
            assert!(RtlGetElementGenericTable(table, 0).is_null());
        }
    });
}
