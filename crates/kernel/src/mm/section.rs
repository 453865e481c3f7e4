//! Sections: memory that can be mapped, by itself or with the contents of a file.
//!
//! There is one address space, so every view of a section is its own memory. A file's contents are read when the
//! section is made, and what is written to a view stays in memory.

use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

use export_macro::export;
use nt_abi::*;

use super::pages::{Use, protection};
use crate::kernel;
use crate::ob::object::Object;
use crate::ob::{self, ObjectType, Ref};
use crate::ps::process::{Eprocess, PROCESS_TYPE};

/// The type of sections.
pub static SECTION_TYPE: ObjectType =
    ObjectType { name: "Section", size: size_of::<Section>(), delete: Some(delete) };

/// The type of sections. Source: public headers.
#[export(data)]
pub static MmSectionObjectType: &ObjectType = &SECTION_TYPE;

/// A section.
#[repr(C)]
#[derive(Debug)]
pub struct Section {
    /// Where its memory is; 0 for the section of physical memory, which has none of its own.
    base: usize,
    size: usize,
    attributes: u32,
    protect: u32,
}

/// Gives a section's memory back.
///
/// # Safety
/// Called by the object manager, once, with the body of a section that nobody else can reach.
unsafe fn delete(body: *mut u8) {
    // SAFETY: by this function's contract.
    let base = unsafe { (*body.cast::<Section>()).base };
    if base != 0 {
        kernel().mm.regions.unmap(base, Use::Section);
    }
}

/// A part of a section that is mapped.
#[derive(Debug)]
struct View {
    address: usize,
    size: usize,
    /// Keeps the memory as long as the view.
    section: Ref<Section>,
}

/// Every view.
#[derive(Debug, Default)]
pub(crate) struct Views(Mutex<Vec<View>>);

impl Views {
    fn lock(&self) -> MutexGuard<'_, Vec<View>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the view that holds an address. Sections share addresses among their views: the latest one ends.
    fn end(&self, address: usize) -> bool {
        let ended = {
            let mut views = self.lock();
            let holds = |view: &View| (view.address..view.address + view.size).contains(&address);
            views.iter().rposition(holds).map(|at| views.remove(at))
        };
        let Some(view) = ended else { return false };
        if view.section.base == 0 {
            // SAFETY: mapped for this view, and for nobody else.
            unsafe { super::physical::MmUnmapIoSpace(view.address, view.size) };
        }
        true
    }
}

impl Section {
    fn make(base: usize, size: usize, attributes: u32, protect: u32) -> Ref<Self> {
        let object: std::ptr::NonNull<Self> = ob::create(&SECTION_TYPE, 0);
        // SAFETY: new, of the right size, and nobody else has it.
        unsafe { object.write(Self { base, size, attributes, protect }) };
        // SAFETY: the one reference it was created with.
        unsafe { Ref::adopt(object) }
    }

    /// A section of fresh memory that begins with `contents`.
    fn with(contents: &[u8], size: usize, attributes: u32, protect: u32) -> Result<Ref<Self>, NTSTATUS> {
        let pages = kernel().mm.regions.map(size, Use::Section).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let count = contents.len().min(size);
        // SAFETY: fresh pages of that size.
        unsafe { pages.as_ptr().copy_from(contents.as_ptr(), count) };
        Ok(Self::make(pages.as_ptr().addr(), size, attributes, protect))
    }
}

/// Makes `\Device\PhysicalMemory`.
pub(crate) fn start(kernel: &crate::Kernel) {
    let section = Section::make(0, 1 << 46, SEC_RESERVE, PAGE_READWRITE);
    let path: Vec<u16> = r"\Device\PhysicalMemory".encode_utf16().collect();
    // A name space without \Device has no place for it.
    let _ = kernel.ob.names.create(&path, &section.erase(), true);
}

/// The contents of an open file.
fn read_file(file: HANDLE) -> Result<Vec<u8>, NTSTATUS> {
    let (mut block, mut standard) = (IO_STATUS_BLOCK::default(), FILE_STANDARD_INFORMATION::default());
    let length = u32::try_from(size_of::<FILE_STANDARD_INFORMATION>()).unwrap_or(0);
    // SAFETY: structures of ours, of the sizes that are said.
    let status = unsafe {
        let to = (&raw mut standard).cast();
        crate::zw::information::ZwQueryInformationFile(
            file,
            &raw mut block,
            to,
            length,
            FileStandardInformation,
        )
    };
    if !status.is_success() {
        return Err(STATUS_INVALID_FILE_FOR_SECTION);
    }
    let size = u32::try_from(standard.EndOfFile).map_err(|_| STATUS_SECTION_TOO_BIG)?;
    let mut contents = vec![0; size as usize];
    if size == 0 {
        return Ok(contents);
    }
    let offset = 0i64;
    // SAFETY: as above.
    let status = unsafe {
        let (to, none) = (contents.as_mut_ptr(), std::ptr::null());
        crate::zw::file::ZwReadFile(
            file,
            null_mut(),
            0,
            none,
            &raw mut block,
            to,
            size,
            &raw const offset,
            std::ptr::null(),
        )
    };
    if status.is_success() { Ok(contents) } else { Err(status) }
}

/// An image as it is laid out in memory, not relocated and not bound.
fn lay_out(contents: &[u8]) -> Result<Vec<u8>, NTSTATUS> {
    let file = pe_image::parse(contents).map_err(|_| STATUS_INVALID_IMAGE_FORMAT)?;
    let size = file.size_of_image as usize;
    let mut image = vec![0; size];
    let mut put = |at: usize, from: &[u8]| {
        if let Some(room) = image.get_mut(at..) {
            let count = room.len().min(from.len());
            room[..count].copy_from_slice(&from[..count]);
        }
    };
    put(0, &contents[..contents.len().min(file.size_of_headers as usize)]);
    for section in file.sections() {
        let (start, size) = (section.raw_offset as usize, section.raw_size as usize);
        put(section.rva as usize, contents.get(start..start.saturating_add(size)).unwrap_or_default());
    }
    Ok(image)
}

/// Makes the section that a driver describes.
///
/// # Safety
/// `maximum` is null or a driver's variable.
unsafe fn describe(
    maximum: *const i64,
    protect: u32,
    attributes: u32,
    file: HANDLE,
) -> Result<Ref<Section>, NTSTATUS> {
    if protection(protect).is_none() {
        return Err(STATUS_INVALID_PAGE_PROTECTION);
    }
    // SAFETY: by this function's contract.
    let maximum = if maximum.is_null() { 0 } else { unsafe { maximum.read_unaligned() } };
    let maximum = usize::try_from(maximum).map_err(|_| STATUS_INVALID_PARAMETER)?;
    if file.is_null() {
        // Memory of the paging file needs a size, and is no image.
        if maximum == 0 || attributes & (SEC_COMMIT | SEC_RESERVE) == 0 {
            return Err(STATUS_INVALID_PARAMETER_4);
        }
        if attributes & SEC_IMAGE != 0 {
            return Err(STATUS_INVALID_FILE_FOR_SECTION);
        }
        return Section::with(&[], maximum, attributes, protect);
    }
    let contents = read_file(file)?;
    if contents.is_empty() && maximum == 0 {
        return Err(STATUS_MAPPED_FILE_SIZE_ZERO);
    }
    if attributes & SEC_IMAGE != 0 {
        let image = lay_out(&contents)?;
        return Section::with(&image, image.len(), attributes, protect);
    }
    let size = if maximum == 0 { contents.len() } else { maximum };
    if size > contents.len() && protect & (PAGE_READWRITE | PAGE_EXECUTE_READWRITE) == 0 {
        return Err(STATUS_SECTION_TOO_BIG);
    }
    Section::with(&contents, size, attributes | SEC_FILE, protect)
}

/// Makes a section and opens a handle to it. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwCreateSection(
    handle: *mut HANDLE,
    desired: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    maximum: *const i64,
    protect: u32,
    allocation: u32,
    file: HANDLE,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        let section = match describe(maximum, protect, allocation, file) {
            Ok(section) => section.erase(),
            Err(status) => return status,
        };
        if attributes.is_null() {
            let access = ob::access::granted(desired, &ob::access::OTHER);
            handle.write_unaligned(kernel().ob.handles.insert(section, access, 0));
            return STATUS_SUCCESS;
        }
        crate::zw::directory::create(handle, desired, attributes, &SECTION_TYPE, || section)
    }
}

/// Makes a section, without a handle. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn MmCreateSection(
    section: *mut *mut Section,
    _desired: u32,
    _attributes: *const OBJECT_ATTRIBUTES,
    maximum: *const i64,
    protect: u32,
    allocation: u32,
    file: HANDLE,
    _file_object: *mut FILE_OBJECT,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        match describe(maximum, protect, allocation, file) {
            Ok(made) => section.write_unaligned(crate::ob::ledger::hand_out(made, "MmCreateSection")),
            Err(status) => return status,
        }
    }
    STATUS_SUCCESS
}

/// Opens a named section. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwOpenSection(
    handle: *mut HANDLE,
    desired: u32,
    attributes: *const OBJECT_ATTRIBUTES,
) -> NTSTATUS {
    let none = std::ptr::null();
    // SAFETY: the driver's pointers.
    unsafe { ob::open::ObOpenObjectByName(attributes, Some(&SECTION_TYPE), 0, none, desired, none, handle) }
}

/// Maps a part of a section; a size of 0 is all that follows the offset.
fn map(section: &Ref<Section>, wanted: usize, offset: u64, size: usize) -> Result<(usize, usize), NTSTATUS> {
    let offset = usize::try_from(offset).map_err(|_| STATUS_INVALID_VIEW_SIZE)?;
    let left = section.size.checked_sub(offset).filter(|&left| left != 0).ok_or(STATUS_INVALID_VIEW_SIZE)?;
    let size = if size == 0 { left } else { size };
    if size > left.next_multiple_of(PAGE_SIZE) {
        return Err(STATUS_INVALID_VIEW_SIZE);
    }
    let address = if section.base == 0 {
        // SAFETY: mapping touches nothing.
        let mapped = unsafe { super::physical::MmMapIoSpace(offset as u64, size, 0) };
        if mapped.is_null() {
            return Err(STATUS_NO_MEMORY);
        }
        mapped.expose_provenance()
    } else {
        section.base + offset
    };
    if wanted != 0 && wanted != address {
        return Err(STATUS_CONFLICTING_ADDRESSES);
    }
    let size = size.next_multiple_of(PAGE_SIZE);
    kernel().mm.views.lock().push(View { address, size, section: section.clone() });
    Ok((address, size))
}

/// Maps a part of a section as a driver describes it.
///
/// # Safety
/// The pointers are a driver's; `offset` may be null.
unsafe fn map_for(section: &Ref<Section>, base: *mut usize, offset: *mut i64, size: *mut usize) -> NTSTATUS {
    // SAFETY: by this function's contract.
    unsafe {
        let at = if offset.is_null() { 0 } else { offset.read_unaligned() };
        // A view begins at a multiple of the granularity; where it may not, it moves down to one of a page.
        let at = at.cast_unsigned() & !(PAGE_SIZE as u64 - 1);
        match map(section, base.read_unaligned(), at, size.read_unaligned()) {
            Ok((address, length)) => {
                base.write_unaligned(address);
                size.write_unaligned(length);
                if !offset.is_null() {
                    offset.write_unaligned(at.cast_signed());
                }
                STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }
}

/// The process behind a handle, if `routine` can reach its memory, and may (R-LOCK-01).
pub(crate) fn reachable(process: HANDLE, routine: &str) -> Result<(), NTSTATUS> {
    let process: Ref<Eprocess> = kernel().ob.handles.lookup(process, &PROCESS_TYPE)?;
    crate::ps::user_memory(&process, routine);
    if super::access::has_memory(&process) { Ok(()) } else { Err(STATUS_NOT_SUPPORTED) }
}

/// Maps a part of a section into a process: the System process or the current one. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwMapViewOfSection(
    section: HANDLE,
    process: HANDLE,
    base: *mut usize,
    _zero_bits: usize,
    _commit: usize,
    offset: *mut i64,
    size: *mut usize,
    inherit: u32,
    _allocation: u32,
    protect: u32,
) -> NTSTATUS {
    if inherit != ViewShare && inherit != ViewUnmap {
        return STATUS_INVALID_PARAMETER;
    }
    if protection(protect).is_none() {
        return STATUS_INVALID_PAGE_PROTECTION;
    }
    let found = kernel().ob.handles.lookup::<Section>(section, &SECTION_TYPE);
    let reached = reachable(process, "ZwMapViewOfSection");
    let (Ok(section), Ok(())) = (&found, reached) else {
        return found.err().or(reached.err()).unwrap_or(STATUS_INVALID_HANDLE);
    };
    // What the section does not allow, its views do not.
    let writes = PAGE_READWRITE | PAGE_EXECUTE_READWRITE;
    if section.attributes & SEC_IMAGE == 0 && protect & writes != 0 && section.protect & writes == 0 {
        return STATUS_SECTION_PROTECTION;
    }
    // SAFETY: the driver's pointers.
    unsafe { map_for(section, base, offset, size) }
}

/// Ends the view that holds an address. Source: DDI.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwUnmapViewOfSection(process: HANDLE, address: usize) -> NTSTATUS {
    match reachable(process, "ZwUnmapViewOfSection") {
        Err(status) => status,
        Ok(()) if kernel().mm.views.end(address) => STATUS_SUCCESS,
        Ok(()) => STATUS_NOT_MAPPED_VIEW,
    }
}

/// A driver's pointer to a section, with a reference.
///
/// # Safety
/// As for `ob::reference::share`.
unsafe fn shared(section: *mut Object) -> Result<Ref<Section>, NTSTATUS> {
    // SAFETY: by this function's contract.
    unsafe { ob::reference::share(section) }.of(&SECTION_TYPE).ok_or(STATUS_OBJECT_TYPE_MISMATCH)
}

/// Maps a section into system space. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmMapViewInSystemSpace(
    section: *mut Object,
    base: *mut usize,
    size: *mut usize,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        base.write_unaligned(0);
        match shared(section) {
            Ok(section) => map_for(&section, base, null_mut(), size),
            Err(status) => status,
        }
    }
}

/// Maps a part of a section into system space. Source: DDI of the file system headers.
#[export(irql <= APC, since = Win10_1507)]
pub unsafe extern "win64" fn MmMapViewInSystemSpaceEx(
    section: *mut Object,
    base: *mut usize,
    size: *mut usize,
    offset: *mut i64,
    _flags: usize,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        base.write_unaligned(0);
        match shared(section) {
            Ok(section) => map_for(&section, base, offset, size),
            Err(status) => status,
        }
    }
}

/// Ends a view in system space. Source: DDI of the file system headers.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmUnmapViewInSystemSpace(address: usize) -> NTSTATUS {
    if kernel().mm.views.end(address) { STATUS_SUCCESS } else { STATUS_NOT_MAPPED_VIEW }
}

/// Maps a part of a section into a process, by pointers. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn MmMapViewOfSection(
    section: *mut Object,
    process: &Eprocess,
    base: *mut usize,
    _zero_bits: usize,
    _commit: usize,
    offset: *mut i64,
    size: *mut usize,
    _inherit: u32,
    _allocation: u32,
    _protect: u32,
) -> NTSTATUS {
    if !super::access::has_memory(process) {
        return STATUS_NOT_SUPPORTED;
    }
    // SAFETY: the driver's pointers.
    unsafe {
        match shared(section) {
            Ok(section) => map_for(&section, base, offset, size),
            Err(status) => status,
        }
    }
}

/// Ends a view in a process, by pointers. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn MmUnmapViewOfSection(_process: &Eprocess, address: usize) -> NTSTATUS {
    if kernel().mm.views.end(address) { STATUS_SUCCESS } else { STATUS_NOT_MAPPED_VIEW }
}

/// Returns what a section is: class 0, base, attributes and size. Source: public symbol lists.
#[export(irql == PASSIVE)]
pub unsafe extern "win64" fn ZwQuerySection(
    section: HANDLE,
    class: u32,
    buffer: *mut u64,
    length: usize,
    told: *mut usize,
) -> NTSTATUS {
    /// SECTION_BASIC_INFORMATION.
    const BASIC: usize = 24;
    let section: Ref<Section> = match kernel().ob.handles.lookup(section, &SECTION_TYPE) {
        Ok(section) => section,
        Err(status) => return status,
    };
    if class != 0 {
        return STATUS_INVALID_INFO_CLASS;
    }
    if length < BASIC {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    // SAFETY: the driver's buffer.
    unsafe {
        buffer.write_unaligned(0);
        buffer.add(1).write_unaligned(section.attributes.into());
        buffer.add(2).write_unaligned(section.size as u64);
        if !told.is_null() {
            told.write_unaligned(BASIC);
        }
    }
    STATUS_SUCCESS
}

/// Says whether a file may be deleted or truncated, as no image of it is mapped: it may. Source: DDI.
#[export(irql <= APC)]
pub unsafe extern "win64" fn MmFlushImageSection(_pointers: PVOID, _kind: u32) -> u8 {
    1
}

/// Says whether a program has a writable view of a file: none has. Source: DDI.
#[export(irql <= APC, since = Vista)]
pub unsafe extern "win64" fn MmDoesFileHaveUserWritableReferences(_pointers: PVOID) -> u32 {
    0
}

#[cfg(test)]
#[path = "section_tests.rs"]
mod tests;
