//! The list of loaded images: `PsLoadedModuleList`, and what `DRIVER_OBJECT::DriverSection` points to.

use std::cell::UnsafeCell;
use std::sync::{Mutex, PoisonError};

use export_macro::export;
use nt_abi::{DRIVER_OBJECT, ERESOURCE, LDR_DATA_TABLE_ENTRY, LIST_ENTRY, UNICODE_STRING};

use super::Driver;
use crate::Kernel;
use crate::ob::name::units;

/// The bit of an entry's flags that says that the image asked for its integrity to be checked (R-INT-02).
const INTEGRITY: u32 = 0x20;

/// A variable that drivers walk and change by their own rules.
#[repr(transparent)]
#[derive(Debug)]
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: the kernel changes it while drivers are loaded and unloaded, one at a time; drivers look after themselves.
unsafe impl<T> Sync for Shared<T> {}

/// The head of the list of loaded images. Source: public symbol lists.
#[export(data)]
pub static PsLoadedModuleList: Shared<LIST_ENTRY> = Shared(UnsafeCell::new(LIST_ENTRY::zeroed()));

/// The lock of the list of loaded images. Source: public symbol lists.
#[export(data)]
pub static PsLoadedModuleResource: Shared<ERESOURCE> = Shared(UnsafeCell::new(ERESOURCE::zeroed()));

/// An entry with the names it points to.
#[repr(C)]
#[derive(Debug)]
struct Module {
    entry: LDR_DATA_TABLE_ENTRY,
    full: Vec<u16>,
    base: Vec<u16>,
}

/// The entries of loaded drivers, by where their images are.
#[derive(Debug, Default)]
pub(crate) struct Modules(Mutex<Vec<(usize, usize)>>);

/// Makes the list empty.
pub(crate) fn start() {
    let head = PsLoadedModuleList.0.get();
    // SAFETY: a kernel starts before it loads anything.
    unsafe {
        head.write(LIST_ENTRY { Flink: head, Blink: head });
        crate::ex::resource::ExInitializeResourceLite(PsLoadedModuleResource.0.get());
    }
}

fn string_of(units: &mut [u16]) -> UNICODE_STRING {
    let bytes = u16::try_from(units.len() * 2).unwrap_or(u16::MAX - 1);
    UNICODE_STRING { Length: bytes - 2, MaximumLength: bytes, Buffer: units.as_mut_ptr() }
}

/// Adds a driver to the list, and lets its object point to the entry.
pub(super) fn add(kernel: &Kernel, driver: &Driver, entry: usize) {
    let file = driver.path.rsplit(['/', '\\']).next().unwrap_or(&driver.path);
    let text = |text: String| units(&text).into_iter().chain([0]).collect::<Vec<_>>();
    let mut module = Box::new(Module {
        entry: LDR_DATA_TABLE_ENTRY {
            DllBase: std::ptr::with_exposed_provenance_mut(driver.base),
            EntryPoint: std::ptr::with_exposed_provenance_mut(entry),
            SizeOfImage: u32::try_from(driver.size).unwrap_or(u32::MAX),
            // Processed and mapped by the system, as debuggers show the entries of drivers.
            Flags: 0x0900_4000 | if driver.force_integrity { INTEGRITY } else { 0 },
            LoadCount: 1,
            ..LDR_DATA_TABLE_ENTRY::zeroed()
        },
        full: text(format!(r"\SystemRoot\System32\drivers\{file}")),
        base: text(file.to_owned()),
    });
    module.entry.FullDllName = string_of(&mut module.full);
    module.entry.BaseDllName = string_of(&mut module.base);
    let module = Box::into_raw(module);
    let object: *mut DRIVER_OBJECT = driver.object.as_ptr();
    // SAFETY: the list's members are entries of loaded drivers, and drivers are loaded one at a time.
    unsafe {
        let (head, link) = (PsLoadedModuleList.0.get(), &raw mut (*module).entry.InLoadOrderLinks);
        let last = (*head).Blink;
        link.write(LIST_ENTRY { Flink: head, Blink: last });
        (*last).Flink = link;
        (*head).Blink = link;
        (*object).DriverSection = module.cast();
    }
    let mut modules = kernel.io.modules.0.lock().unwrap_or_else(PoisonError::into_inner);
    modules.push((driver.base, module.expose_provenance()));
}

/// Takes a driver out of the list.
pub(super) fn remove(kernel: &Kernel, driver: &Driver) {
    let mut modules = kernel.io.modules.0.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(at) = modules.iter().position(|(base, _)| *base == driver.base) else { return };
    let (_, module) = modules.swap_remove(at);
    let module: *mut Module = std::ptr::with_exposed_provenance_mut(module);
    // SAFETY: made by `add` and not removed yet; a driver that took its entry out of the list has left it pointing to
    // its neighbours or to itself.
    unsafe {
        let link = &raw mut (*module).entry.InLoadOrderLinks;
        let LIST_ENTRY { Flink: next, Blink: previous } = link.read();
        if !next.is_null() && !previous.is_null() && (*next).Blink == link && (*previous).Flink == link {
            (*next).Blink = previous;
            (*previous).Flink = next;
        }
        (*driver.object.as_ptr()).DriverSection = std::ptr::null_mut();
        drop(Box::from_raw(module));
    }
}

/// Whether a driver's image counts as one whose integrity was asked to be checked: by the bit in its entry, which a
/// driver can change (R-INT-02).
pub(crate) fn is_checked(kernel: &Kernel, driver: &Driver) -> bool {
    let modules = kernel.io.modules.0.lock().unwrap_or_else(PoisonError::into_inner);
    let module = modules.iter().find(|(base, _)| *base == driver.base).map(|(_, module)| *module);
    let Some(module) = module else { return driver.force_integrity };
    let module: *const Module = std::ptr::with_exposed_provenance(module);
    // SAFETY: an entry of a loaded driver; the driver may write to it, so it is read as memory.
    unsafe { (&raw const (*module).entry.Flags).read_volatile() & INTEGRITY != 0 }
}
