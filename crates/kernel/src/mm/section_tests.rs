//! Sections as drivers use them.

use super::*;
use crate::Config;
use crate::ob::close::ZwClose;
use crate::testing::with_kernel;

/// The memory at an address of a view.
fn at(address: usize) -> *mut u8 {
    std::ptr::with_exposed_provenance_mut(address)
}

/// ZwCurrentProcess().
fn me() -> HANDLE {
    std::ptr::without_provenance_mut(usize::MAX)
}

fn create(size: i64, protect: u32, attributes: u32) -> (NTSTATUS, HANDLE) {
    let mut handle = null_mut();
    let none = std::ptr::null();
    // SAFETY: variables of the test.
    let status = unsafe {
        ZwCreateSection(
            &raw mut handle,
            SECTION_ALL_ACCESS,
            none,
            &raw const size,
            protect,
            attributes,
            null_mut(),
        )
    };
    (status, handle)
}

fn view(section: HANDLE, offset: i64, size: usize, protect: u32) -> Result<(usize, usize), NTSTATUS> {
    let (mut base, mut offset, mut size) = (0, offset, size);
    // SAFETY: variables of the test.
    let status = unsafe {
        let (base, offset, size) = (&raw mut base, &raw mut offset, &raw mut size);
        ZwMapViewOfSection(section, me(), base, 0, 0, offset, size, ViewUnmap, 0, protect)
    };
    if status.is_success() { Ok((base, size)) } else { Err(status) }
}

#[test]
fn views_share_the_memory_of_their_section() {
    with_kernel(Config::default(), |kernel, _| {
        let (status, section) = create(100_000, PAGE_READWRITE, SEC_COMMIT);
        assert_eq!(status, STATUS_SUCCESS);
        let (whole, size) = view(section, 0, 0, PAGE_READWRITE).unwrap();
        assert_eq!(size, 102_400);
        let (part, size) = view(section, 65_536, 100, PAGE_READONLY).unwrap();
        assert_eq!((part, size), (whole + 65_536, 4096));
        // SAFETY: within the views; handles and views are given back.
        unsafe {
            *at(whole + 65_540) = 7;
            assert_eq!(*at(part + 4), 7);
            assert_eq!(ZwClose(section), STATUS_SUCCESS);
            assert_eq!(ZwUnmapViewOfSection(me(), part), STATUS_SUCCESS);
            assert_eq!(*at(whole + 65_540), 7, "a view keeps the memory");
            assert_eq!(ZwUnmapViewOfSection(me(), whole), STATUS_SUCCESS);
            assert_eq!(ZwUnmapViewOfSection(me(), whole), STATUS_NOT_MAPPED_VIEW);
        }
        assert!(kernel.mm.regions.find(whole).is_none());
    });
}

#[test]
fn what_cannot_be_made_or_mapped_is_refused() {
    with_kernel(Config::default(), |_, _| {
        assert_eq!(create(0, PAGE_READWRITE, SEC_COMMIT).0, STATUS_INVALID_PARAMETER_4);
        assert_eq!(create(4096, 3, SEC_COMMIT).0, STATUS_INVALID_PAGE_PROTECTION);
        assert_eq!(create(4096, PAGE_READONLY, SEC_IMAGE | SEC_COMMIT).0, STATUS_INVALID_FILE_FOR_SECTION);
        let section = create(4096, PAGE_READONLY, SEC_COMMIT).1;
        assert_eq!(view(section, 0, 0, PAGE_READWRITE), Err(STATUS_SECTION_PROTECTION));
        assert_eq!(view(section, 4096, 0, PAGE_READONLY), Err(STATUS_INVALID_VIEW_SIZE));
        assert_eq!(view(section, 0, 4097, PAGE_READONLY), Err(STATUS_INVALID_VIEW_SIZE));
        let mut told = [0u64; 3];
        // SAFETY: variables of the test.
        unsafe {
            assert_eq!(ZwQuerySection(section, 0, told.as_mut_ptr(), 24, null_mut()), STATUS_SUCCESS);
            ZwClose(section);
        }
        assert_eq!(told, [0, SEC_COMMIT.into(), 4096]);
    });
}

#[test]
fn physical_memory_is_a_section() {
    with_kernel(Config::default(), |_, _| {
        let path: Vec<u16> = r"\Device\PhysicalMemory".encode_utf16().collect();
        let bytes = u16::try_from(path.len() * 2).unwrap();
        let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: path.as_ptr().cast_mut() };
        let attributes = OBJECT_ATTRIBUTES {
            Length: u32::try_from(size_of::<OBJECT_ATTRIBUTES>()).unwrap(),
            ObjectName: &raw const name,
            Attributes: OBJ_KERNEL_HANDLE,
            ..OBJECT_ATTRIBUTES::default()
        };
        let mut section = null_mut();
        // SAFETY: variables of the test; what is mapped is unmapped.
        unsafe {
            let status = ZwOpenSection(&raw mut section, SECTION_ALL_ACCESS, &raw const attributes);
            assert_eq!(status, STATUS_SUCCESS);
            let (base, size) = view(section, 0xF_0000, 0x1_0000, PAGE_READWRITE).unwrap();
            assert_eq!((size, *at(base)), (0x1_0000, 0));
            assert_eq!(ZwUnmapViewOfSection(me(), base), STATUS_SUCCESS);
            ZwClose(section);
        }
    });
}
