//! File names: querying, counting and releasing them.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use export_macro::export;
use nt_abi::{
    FILE_OBJECT, FLT_CALLBACK_DATA, FLT_FILE_NAME_INFORMATION, FLT_FILE_NAME_NORMALIZED,
    FLT_FILE_NAME_QUERY_ALWAYS_ALLOW_CACHE_LOOKUP, FLT_FILE_NAME_QUERY_DEFAULT, FLT_FILE_NAME_SHORT,
    FLT_INSTANCE, HANDLE, NTSTATUS, STATUS_FLT_INVALID_NAME_REQUEST, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS,
    UNICODE_STRING,
};

use super::parse;
use crate::ex::pool::{Allocation, Kind, Tag};
use crate::hash::HashMap;
use crate::io::file::FILE_TYPE;
use crate::ob::ledger::Ledger;
use crate::ob::object::Object;
use crate::ob::{self, Ref};
use crate::{io, kernel};

const TAG: Tag = Tag(u32::from_le_bytes(*b"FMfn"));
/// A counted string holds no more units than this.
const MOST_UNITS: usize = 0x7FFF;

/// Every name information that is out.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// How many references there are on each.
    live: Mutex<HashMap<usize, u32>>,
    /// Which drivers have them.
    pub(super) ledger: Ledger,
}

impl Names {
    fn live(&self) -> MutexGuard<'_, HashMap<usize, u32>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of the file behind a file object, in device form; `None` where it is no open file on a volume.
///
/// # Safety
/// The pointer is a driver's.
pub(crate) unsafe fn name_of(file: *const FILE_OBJECT) -> Option<Vec<u16>> {
    // SAFETY: by this function's contract.
    let kind = unsafe { ob::type_of(file) }?;
    let file = NonNull::new(file.cast_mut().cast::<Object>()).filter(|_| std::ptr::eq(kind, &FILE_TYPE))?;
    // SAFETY: a live object, as its type says.
    let file = unsafe { Ref::share(file) };
    let mut units = io::file::path_of(kernel(), &file);
    units.truncate(MOST_UNITS);
    (!units.is_empty()).then_some(units)
}

/// Whether no APC is delivered to this thread, also no special one: then a file system's answer may never come.
fn all_apcs_disabled() -> bool {
    let special = crate::ps::thread::current()
        .is_some_and(|thread| crate::ke::region::ApcDisable::of(thread).special != 0);
    special || machine::irql::current() >= machine::Irql::APC
}

/// Makes a name information with one reference, for the driver that called `routine`.
fn make(
    name: &[u16],
    format: u32,
    routine: &'static str,
) -> Result<*mut FLT_FILE_NAME_INFORMATION, NTSTATUS> {
    let kernel = kernel();
    let head = size_of::<FLT_FILE_NAME_INFORMATION>();
    let size = head + (name.len() + 1) * 2;
    let memory = kernel
        .ex
        .pool
        .allocate(Allocation { size, tag: TAG, kind: Kind::Paged, owner: None }, true)
        .ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
    // SAFETY: the allocation has room for both, and its beginning is aligned to 16, which `head` is a multiple of 8 of.
    let information = unsafe {
        let units = memory.add(head).cast::<u16>().as_ptr();
        std::ptr::copy_nonoverlapping(name.as_ptr(), units, name.len());
        let parts = parse::parts(name, format == FLT_FILE_NAME_SHORT);
        let information = memory.cast::<FLT_FILE_NAME_INFORMATION>().as_ptr();
        information.write(FLT_FILE_NAME_INFORMATION {
            Size: u16::try_from(head).unwrap_or_default(),
            Format: format,
            Name: parse::string(units, &(0..name.len())),
            // The rest is there when it is asked for: see FltParseFileNameInformation.
            Volume: parse::string(units, &parts.volume),
            Share: parse::string(units, &parts.share),
            ..FLT_FILE_NAME_INFORMATION::default()
        });
        information
    };
    kernel.flt.names.live().insert(information.addr(), 1);
    kernel.flt.names.ledger.took(information.addr(), routine);
    Ok(information)
}

/// The form of a name that options ask for; the method of asking makes no difference here.
fn format_of(options: u32) -> Result<u32, NTSTATUS> {
    let (format, method) = (options & 0xFF, options & 0xFF00);
    let known = (FLT_FILE_NAME_NORMALIZED..=FLT_FILE_NAME_SHORT).contains(&format)
        && (method == 0
            || (FLT_FILE_NAME_QUERY_DEFAULT..=FLT_FILE_NAME_QUERY_ALWAYS_ALLOW_CACHE_LOOKUP)
                .contains(&method));
    if known { Ok(format) } else { Err(STATUS_INVALID_PARAMETER) }
}

/// Whether a name has the form that short names have: then it is its own.
fn is_short(name: &[u16]) -> bool {
    let text = String::from_utf16_lossy(name);
    let (base, extension) = text.split_once('.').unwrap_or((&text, ""));
    let plain =
        |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'()-@^_`{}~".contains(c));
    !base.is_empty() && base.len() <= 8 && extension.len() <= 3 && plain(base) && plain(extension)
}

/// Answers a query for the name of a file.
///
/// # Safety
/// The pointers are a driver's.
unsafe fn query(
    file: *const FILE_OBJECT,
    options: u32,
    routine: &'static str,
) -> Result<*mut FLT_FILE_NAME_INFORMATION, NTSTATUS> {
    let format = format_of(options)?;
    // SAFETY: by this function's contract.
    let name = unsafe { name_of(file) }.ok_or(STATUS_FLT_INVALID_NAME_REQUEST)?;
    if format == FLT_FILE_NAME_SHORT {
        let last = name.get(parse::parts(&name, false).last).unwrap_or_default();
        // The volume makes no 8.3 names, so only a file whose name is one has one.
        return if is_short(last) { make(last, format, routine) } else { Err(STATUS_OBJECT_NAME_NOT_FOUND) };
    }
    make(&name, format, routine)
}

/// Gives a driver what it asked for.
///
/// # Safety
/// `to` is a driver's pointer.
unsafe fn give(
    made: Result<*mut FLT_FILE_NAME_INFORMATION, NTSTATUS>,
    to: *mut *mut FLT_FILE_NAME_INFORMATION,
) -> NTSTATUS {
    let (information, status) = match made {
        Ok(information) => (information, STATUS_SUCCESS),
        Err(status) => (std::ptr::null_mut(), status),
    };
    // SAFETY: by this function's contract; a bad one faults as on Windows.
    unsafe { to.write(information) };
    status
}

/// Gets the name of the file that an operation is for. Source: DDI; L-09.
///
/// STATUS_FLT_INVALID_NAME_REQUEST where asking could deadlock: all APCs are disabled, or the thread is in a
/// file system already (`IoGetTopLevelIrp`).
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetFileNameInformation(
    data: *const FLT_CALLBACK_DATA,
    options: u32,
    returned: *mut *mut FLT_FILE_NAME_INFORMATION,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        let Some(iopb) = data.as_ref().and_then(|data| data.Iopb.as_ref()) else {
            return give(Err(STATUS_INVALID_PARAMETER), returned);
        };
        let busy = crate::ps::thread::current()
            .is_some_and(|thread| !thread.top_level_irp.load(Ordering::Relaxed).is_null());
        if busy || all_apcs_disabled() {
            return give(Err(STATUS_FLT_INVALID_NAME_REQUEST), returned);
        }
        give(query(iopb.TargetFileObject, options, "FltGetFileNameInformation"), returned)
    }
}

/// Gets the name of an open file, without looking whether asking could deadlock. Source: DDI; R-II-04, L-09.
///
/// STATUS_FLT_INVALID_NAME_REQUEST where the file object is not open.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetFileNameInformationUnsafe(
    file: *const FILE_OBJECT,
    _instance: *mut FLT_INSTANCE,
    options: u32,
    returned: *mut *mut FLT_FILE_NAME_INFORMATION,
) -> NTSTATUS {
    if all_apcs_disabled() {
        let message = "FltGetFileNameInformationUnsafe while all APCs are disabled can deadlock: test \
                       KeAreAllApcsDisabled first, and query the name from a work item where it is TRUE";
        kernel().finding(&crate::rule::L_09, message, None);
    }
    // SAFETY: the driver's pointers.
    unsafe { give(query(file, options, "FltGetFileNameInformationUnsafe"), returned) }
}

/// Gets the name that a rename or a hard link would give a file. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetDestinationFileNameInformation(
    _instance: *mut FLT_INSTANCE,
    file: *const FILE_OBJECT,
    root: HANDLE,
    name: *const u16,
    bytes: u32,
    options: u32,
    returned: *mut *mut FLT_FILE_NAME_INFORMATION,
) -> NTSTATUS {
    // SAFETY: the driver's pointers.
    unsafe {
        let made = destination(file, root, name, bytes).and_then(|name| {
            let format = format_of(options)?;
            // There is no short form of a name that is not there yet, and it was not opened by any.
            match format {
                FLT_FILE_NAME_SHORT => Err(STATUS_INVALID_PARAMETER),
                _ => make(&name, format, "FltGetDestinationFileNameInformation"),
            }
        });
        give(made, returned)
    }
}

/// Puts a destination's name together.
///
/// # Safety
/// The pointers are a driver's.
unsafe fn destination(
    file: *const FILE_OBJECT,
    root: HANDLE,
    name: *const u16,
    bytes: u32,
) -> Result<Vec<u16>, NTSTATUS> {
    let units = bytes as usize / 2;
    if name.is_null() || units == 0 || units > MOST_UNITS || !bytes.is_multiple_of(2) {
        return Err(STATUS_OBJECT_NAME_INVALID);
    }
    // SAFETY: by this function's contract.
    let given = unsafe { std::slice::from_raw_parts(name, units) };
    let text = String::from_utf16_lossy(given);
    if let Some(rest) = text.strip_prefix(r"\??\C:").or_else(|| text.strip_prefix(r"\DosDevices\C:")) {
        return Ok(format!("{}{rest}", super::VOLUME).encode_utf16().collect());
    }
    if given.first() == Some(&u16::from(b'\\')) {
        return Ok(given.to_vec());
    }
    let directory = if root.is_null() {
        // SAFETY: as above.
        let name = unsafe { name_of(file) }.ok_or(STATUS_FLT_INVALID_NAME_REQUEST)?;
        let end = parse::parts(&name, false).last.start;
        name.get(..end).unwrap_or_default().to_vec()
    } else {
        let root = kernel().ob.handles.lookup::<FILE_OBJECT>(root, &FILE_TYPE)?;
        // SAFETY: the reference keeps the file object alive.
        let mut name = unsafe { name_of(root.as_ptr()) }.ok_or(STATUS_FLT_INVALID_NAME_REQUEST)?;
        name.push(u16::from(b'\\'));
        name
    };
    Ok(directory.iter().chain(given).copied().take(MOST_UNITS).collect())
}

/// Gets the name that tunneling gave a file instead of the one in a name information: none, as nothing is tunneled
/// here. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltGetTunneledName(
    _data: *const FLT_CALLBACK_DATA,
    information: *const FLT_FILE_NAME_INFORMATION,
    returned: *mut *mut FLT_FILE_NAME_INFORMATION,
) -> NTSTATUS {
    // SAFETY: the driver's pointer.
    unsafe { returned.write(std::ptr::null_mut()) };
    if information.is_null() { STATUS_INVALID_PARAMETER } else { STATUS_SUCCESS }
}

/// Adds a reference to a name information. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltReferenceFileNameInformation(information: *mut FLT_FILE_NAME_INFORMATION) {
    const ROUTINE: &str = "FltReferenceFileNameInformation";
    let names = &kernel().flt.names;
    let known = names.live().get_mut(&information.addr()).map(|count| *count += 1);
    match known {
        Some(()) => _ = names.ledger.took(information.addr(), ROUTINE),
        None => complain(ROUTINE),
    }
}

/// Gives a reference to a name information back; the last one frees it. Source: DDI; L-14.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltReleaseFileNameInformation(information: *mut FLT_FILE_NAME_INFORMATION) {
    let names = &kernel().flt.names;
    let mut live = names.live();
    let Some(count) = live.get_mut(&information.addr()) else {
        drop(live);
        complain("FltReleaseFileNameInformation");
        return;
    };
    names.ledger.gave_back(information.addr());
    *count -= 1;
    if *count == 0 {
        names.ledger.forget(information.addr());
        live.remove(&information.addr());
        drop(live);
        // SAFETY: allocated from the pool by `make`, and freed once, as it has left the ledger.
        unsafe { crate::ex::pool_routines::ExFreePoolWithTag(information.addr(), TAG.0) };
    }
}

fn complain(routine: &str) {
    let message = format!(
        "{routine} was given what is no file name information, or one whose last reference is gone: release it \
         once for each query that succeeded"
    );
    kernel().finding(&crate::rule::L_14, &message, None);
}

/// The whole of a counted string, for volumes and ports.
pub(crate) fn fits(text: &str, to: &mut UNICODE_STRING) -> bool {
    let units: Vec<u16> = text.encode_utf16().collect();
    let bytes = units.len() * 2;
    if usize::from(to.MaximumLength) < bytes || to.Buffer.is_null() {
        return false;
    }
    // SAFETY: the buffer has as many bytes as the string says; a driver's that has not faults as on Windows.
    unsafe { std::ptr::copy_nonoverlapping(units.as_ptr(), to.Buffer, units.len()) };
    to.Length = u16::try_from(bytes).unwrap_or_default();
    true
}
