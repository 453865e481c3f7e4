//! Handle tables: the kernel's, and one for every process that a driver opens handles in.
//!
//! As on NT the System process's table is the kernel's: a handle that is made there names the same entry with
//! and without the bits that mark a kernel handle.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::{DriverId, Leak, LeakKind, ProcessId};
use nt_abi::{
    HANDLE, KERNEL_HANDLE_MASK, NTSTATUS, OBJ_INHERIT, OBJ_KERNEL_HANDLE, STATUS_ACCESS_DENIED,
    STATUS_HANDLE_NOT_CLOSABLE, STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH,
};

use super::object::{self, Object};
use super::{ObjectType, Ref};
use crate::Kernel;
use crate::hash::HashMap;
use crate::ps::process::PROCESS_TYPE;
use crate::ps::thread::THREAD_TYPE;

/// The attribute of a handle that must not be closed: `OBJ_PROTECT_CLOSE`.
pub(crate) const PROTECT_CLOSE: u32 = 1;
/// Whose access counts: that of the kernel, which has every access.
pub(crate) const KERNEL_MODE: i8 = 0;
/// What a pseudo-handle grants.
const ALL: u32 = 0x001F_FFFF;

/// An open handle.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    /// What it names.
    pub(crate) object: Ref<Object>,
    /// The rights it was opened with.
    pub(crate) access: u32,
    /// `OBJ_INHERIT` and [`PROTECT_CLOSE`].
    pub(crate) attributes: u32,
    /// Whose code opened it.
    owner: Option<DriverId>,
    /// The address of the call that opened it, where a driver did: see [`Ledger::site`](super::ledger::Ledger::site).
    place: u64,
}

/// The handles of one process.
#[derive(Debug, Default)]
struct Table {
    entries: Vec<Option<Opened>>,
    free: Vec<usize>,
}

impl Table {
    fn insert(&mut self, entry: Opened) -> usize {
        let index = self.free.pop().unwrap_or(self.entries.len());
        if index == self.entries.len() {
            self.entries.push(Some(entry));
        } else {
            self.entries[index] = Some(entry);
        }
        (index + 1) * 4
    }

    fn get(&self, value: usize) -> Option<&Opened> {
        self.entries.get((value / 4).checked_sub(1)?)?.as_ref()
    }

    fn remove(&mut self, value: usize) -> Option<Opened> {
        let index = (value / 4).checked_sub(1)?;
        let entry = self.entries.get_mut(index)?.take()?;
        self.free.push(index);
        Some(entry)
    }
}

/// Every handle of the bench.
#[derive(Debug, Default)]
pub(crate) struct Handles(Mutex<HashMap<u32, Table>>);

/// Where a handle is: the id of the process in whose table, and its value there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    process: u32,
    value: usize,
}

fn current_process() -> u32 {
    crate::ps::thread::current().map_or(ProcessId::SYSTEM.0, |thread| thread.current_process().id.0)
}

/// Whether a handle is one of the kernel's: it is good in every process (`ObIsKernelHandle`).
pub(crate) fn is_kernel_handle(handle: HANDLE) -> bool {
    let value = handle.addr();
    // The pseudo-handles -1 to -6 have these bits as well and are none.
    value & KERNEL_HANDLE_MASK == KERNEL_HANDLE_MASK && value < usize::MAX - 5
}

fn place(handle: HANDLE) -> Place {
    // The two lowest bits are the owner's to use.
    let value = handle.addr() & !3;
    if is_kernel_handle(handle) {
        Place { process: ProcessId::SYSTEM.0, value: value & !KERNEL_HANDLE_MASK }
    } else {
        Place { process: current_process(), value }
    }
}

impl Handles {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Table>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a handle: in the kernel's table where `attributes` has `OBJ_KERNEL_HANDLE`, else in that of the
    /// current process. `access` is granted as it is, without generic rights.
    pub(crate) fn insert(&self, object: Ref<Object>, access: u32, attributes: u32) -> HANDLE {
        let kernel = attributes & OBJ_KERNEL_HANDLE != 0;
        let process = if kernel { ProcessId::SYSTEM.0 } else { current_process() };
        self.insert_into(process, kernel, object, access, attributes)
    }

    /// Opens a handle in the table of a process.
    pub(crate) fn insert_into(
        &self,
        process: u32,
        kernel: bool,
        object: Ref<Object>,
        access: u32,
        attributes: u32,
    ) -> HANDLE {
        // SAFETY: `object` keeps it alive.
        unsafe { object::count_handle(object.as_ptr(), 1) };
        let attributes = attributes & (OBJ_INHERIT | PROTECT_CLOSE);
        let owner = crate::io::current_driver();
        // Handles of programs are opened without any driver.
        let place = owner.map_or(0, |_| crate::kernel().ob.ledger.place());
        let entry = Opened { object, access, attributes, owner, place };
        let value = self.lock().entry(process).or_default().insert(entry);
        std::ptr::without_provenance_mut(if kernel { value | KERNEL_HANDLE_MASK } else { value })
    }

    /// What a handle names, with a reference; pseudo-handles name the current process and thread.
    pub(crate) fn get(&self, handle: HANDLE) -> Option<Opened> {
        if let Some(object) = pseudo(handle) {
            return Some(Opened { object, access: ALL, attributes: 0, owner: None, place: 0 });
        }
        let at = place(handle);
        self.lock().get(&at.process)?.get(at.value).cloned()
    }

    /// What a handle of a type names, whose bodies are `T`.
    ///
    /// # Errors
    /// STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH. Rights are not looked at: see [`Handles::check`].
    pub(crate) fn lookup<T>(&self, handle: HANDLE, kind: &'static ObjectType) -> Result<Ref<T>, NTSTATUS> {
        self.get(handle).ok_or(STATUS_INVALID_HANDLE)?.object.of(kind).ok_or(STATUS_OBJECT_TYPE_MISMATCH)
    }

    /// What a handle names, where its type and its rights are those asked for. The kernel itself has every right to
    /// whatever it has a handle to; callers of user mode reach no kernel handles.
    ///
    /// # Errors
    /// STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED.
    pub(crate) fn check(
        &self,
        handle: HANDLE,
        kind: Option<&'static ObjectType>,
        access: u32,
        mode: i8,
    ) -> Result<Opened, NTSTATUS> {
        if mode != KERNEL_MODE && is_kernel_handle(handle) {
            return Err(STATUS_INVALID_HANDLE);
        }
        let opened = self.get(handle).ok_or(STATUS_INVALID_HANDLE)?;
        if kind.is_some_and(|kind| !std::ptr::eq(kind, opened.object.kind())) {
            return Err(STATUS_OBJECT_TYPE_MISMATCH);
        }
        if mode != KERNEL_MODE && access & !opened.access != 0 {
            return Err(STATUS_ACCESS_DENIED);
        }
        Ok(opened)
    }

    /// Changes a handle's attributes. `false` where there is no such handle.
    pub(crate) fn set_attributes(&self, handle: HANDLE, attributes: u32) -> bool {
        let at = place(handle);
        let mut tables = self.lock();
        let entry = tables
            .get_mut(&at.process)
            .and_then(|table| table.entries.get_mut((at.value / 4).checked_sub(1)?)?.as_mut());
        entry.map(|entry| entry.attributes = attributes & (OBJ_INHERIT | PROTECT_CLOSE)).is_some()
    }

    /// Takes a handle out of its table.
    ///
    /// # Errors
    /// STATUS_INVALID_HANDLE, STATUS_HANDLE_NOT_CLOSABLE.
    fn take(&self, handle: HANDLE) -> Result<Opened, NTSTATUS> {
        let at = place(handle);
        let mut tables = self.lock();
        let table = tables.get_mut(&at.process).ok_or(STATUS_INVALID_HANDLE)?;
        let entry = table.get(at.value).ok_or(STATUS_INVALID_HANDLE)?;
        if entry.attributes & PROTECT_CLOSE != 0 {
            return Err(STATUS_HANDLE_NOT_CLOSABLE);
        }
        table.remove(at.value).ok_or(STATUS_INVALID_HANDLE)
    }

    /// Closes a handle; the last one to an object tells its component.
    ///
    /// # Errors
    /// As NT: STATUS_INVALID_HANDLE, STATUS_HANDLE_NOT_CLOSABLE.
    pub(crate) fn close(&self, handle: HANDLE) -> Result<(), NTSTATUS> {
        // The table is not locked while the object is told and perhaps deleted: both may run driver code.
        closed(self.take(handle)?);
        Ok(())
    }

    /// Closes every handle of a process that has exited.
    pub(crate) fn process_gone(&self, process: u32) {
        let table = self.lock().remove(&process);
        table.into_iter().flat_map(|table| table.entries).flatten().for_each(closed);
    }

    /// Takes every file out that programs have open, by process, in the order of their handles.
    pub(crate) fn take_files_of_programs(&self) -> Vec<(u32, Opened)> {
        let is_programs = |entry: &Opened| {
            entry.owner.is_none() && std::ptr::eq(entry.object.kind(), &crate::io::file::FILE_TYPE)
        };
        let mut taken = Vec::new();
        for (&process, table) in self.lock().iter_mut().filter(|(id, _)| **id != ProcessId::SYSTEM.0) {
            for index in 0..table.entries.len() {
                if table.entries[index].as_ref().is_some_and(is_programs) {
                    taken.extend(table.remove((index + 1) * 4).map(|entry| (process, entry)));
                }
            }
        }
        // The order of a table of tables is nobody's.
        taken.sort_by_key(|(process, _)| *process);
        taken
    }

    /// Says which handles a driver left open, in every table, and forgets whose they were.
    pub(crate) fn report_leaks(&self, kernel: &Kernel, driver: DriverId) {
        let mut left = BTreeMap::<(&'static str, u64), u64>::new();
        for entry in self.lock().values_mut().flat_map(|table| table.entries.iter_mut().flatten()) {
            if entry.owner != Some(driver) {
                continue;
            }
            entry.owner = None;
            *left.entry((entry.object.kind().name, entry.place)).or_default() += 1;
        }
        for ((kind, place), count) in left {
            let what = format!("handle to an object of type {kind}: close it with ZwClose").into();
            kernel.record(event::Body::Leak(Leak { driver, kind: LeakKind::Handle, what, count, bytes: 0 }));
            let site = kernel.ob.ledger.site(place);
            let message = format!(
                "the driver was unloaded with {count} handle(s) to objects of type {kind} open that it opened at {site}: call \
                 ZwClose once for each"
            );
            kernel.finding_at(Some(driver), &crate::rule::L_14, &message, None, site.frames());
        }
    }

    /// How many handles a process has open.
    pub(crate) fn count_of(&self, process: u32) -> usize {
        self.lock().get(&process).map_or(0, |table| table.entries.iter().flatten().count())
    }
}

/// Tells the component of an object that a handle to it was closed.
pub(crate) fn closed(entry: Opened) {
    // SAFETY: the entry's reference keeps the object alive.
    let left = unsafe { object::count_handle(entry.object.as_ptr(), -1) };
    let kind = entry.object.kind();
    if std::ptr::eq(kind, &crate::cm::key::KEY_TYPE) {
        crate::cm::key::handle_closed(&entry.object);
    } else if std::ptr::eq(kind, &crate::io::file::FILE_TYPE) && left == 0 {
        crate::io::file::last_handle_closed(&entry.object);
    }
    if left == 0 {
        crate::kernel().ob.names.last_handle_closed(&entry.object);
    }
}

/// What a pseudo-handle names: -1 the current process, -2 the current thread.
fn pseudo(handle: HANDLE) -> Option<Ref<Object>> {
    let thread = crate::ps::thread::current()?;
    match handle.addr().cast_signed() {
        nt_abi::NT_CURRENT_PROCESS => share(std::ptr::from_ref(thread.current_process()), &PROCESS_TYPE),
        nt_abi::NT_CURRENT_THREAD => share(std::ptr::from_ref(thread), &THREAD_TYPE),
        _ => None,
    }
}

fn share<T>(object: *const T, kind: &'static ObjectType) -> Option<Ref<Object>> {
    let object = std::ptr::NonNull::new(object.cast_mut())?;
    // SAFETY: the current thread and its process are alive.
    let found = unsafe { super::type_of(object.as_ptr()) }?;
    // SAFETY: as above.
    std::ptr::eq(found, kind).then(|| unsafe { Ref::share(object) }.erase())
}
