//! The list of loaded images: `PsLoadedModuleList`, and what `DRIVER_OBJECT::DriverSection` points to.

use std::cell::UnsafeCell;
use std::sync::{Mutex, PoisonError};

use export_macro::export;
use nt_abi::{
    DRIVER_OBJECT, ERESOURCE, KLDR_DATA_TABLE_ENTRY, LDRP_IMAGE_INTEGRITY_FORCED, LIST_ENTRY, UNICODE_STRING,
};
use pe_image::PeFile;

use super::Driver;
use crate::Kernel;
use crate::ob::name::units;

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
    entry: KLDR_DATA_TABLE_ENTRY,
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
pub(super) fn add(kernel: &Kernel, driver: &Driver, image: &PeFile<'_>, entry: usize) {
    let file = driver.path.rsplit(['/', '\\']).next().unwrap_or(&driver.path);
    let text = |text: String| units(&text).into_iter().chain([0]).collect::<Vec<_>>();
    let functions = &image.functions;
    let table = std::ptr::with_exposed_provenance_mut(driver.base + functions.rva as usize);
    let table_size = functions.entries().len() * size_of::<nt_abi::RUNTIME_FUNCTION>();
    let mut module = Box::new(Module {
        entry: KLDR_DATA_TABLE_ENTRY {
            ExceptionTable: if functions.rva == 0 { std::ptr::null_mut() } else { table },
            ExceptionTableSize: u32::try_from(table_size).unwrap_or(u32::MAX),
            DllBase: std::ptr::with_exposed_provenance_mut(driver.base),
            EntryPoint: std::ptr::with_exposed_provenance_mut(entry),
            SizeOfImage: u32::try_from(driver.size).unwrap_or(u32::MAX),
            // Processed and mapped by the system, as debuggers show the entries of drivers.
            Flags: 0x0900_4000 | if driver.force_integrity { LDRP_IMAGE_INTEGRITY_FORCED } else { 0 },
            LoadCount: 1,
            CheckSum: image.checksum,
            SizeOfImageNotRounded: image.size_of_image,
            TimeDateStamp: image.timestamp,
            ..KLDR_DATA_TABLE_ENTRY::zeroed()
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
    unsafe { (&raw const (*module).entry.Flags).read_volatile() & LDRP_IMAGE_INTEGRITY_FORCED != 0 }
}

#[cfg(test)]
mod tests {
    use nt_abi::{NTSTATUS, STATUS_ACCESS_DENIED, STATUS_SUCCESS};

    use super::*;
    use crate::Config;
    use crate::ps::set::{PsSetCreateProcessNotifyRoutineEx, PsSetCreateThreadNotifyRoutineEx};
    use crate::testing::with_kernel;

    const MINIMAL: &[u8] = include_bytes!("../../../../drivers/bin/minimal.sys");
    const WITHOUT_INTEGRITY: &[u8] = include_bytes!("../../../../drivers/bin/loader-flag.sys");

    fn entry_of(driver: &Driver) -> *mut KLDR_DATA_TABLE_ENTRY {
        // SAFETY: the object of a loaded driver.
        unsafe { (*driver.object.as_ptr()).DriverSection.cast() }
    }

    fn register(routine: usize) -> [NTSTATUS; 2] {
        // SAFETY: kernel routines called as a driver would.
        unsafe {
            let both =
                [PsSetCreateProcessNotifyRoutineEx(routine, 0), PsSetCreateThreadNotifyRoutineEx(0, routine)];
            PsSetCreateProcessNotifyRoutineEx(routine, 1);
            both
        }
    }

    #[test]
    fn r_int_02_an_entry_says_where_its_image_is_and_what_its_header_holds() {
        with_kernel(Config::default(), |kernel, _| {
            let id = kernel.load_driver("minimal", "minimal.sys", MINIMAL).unwrap();
            let (driver, file) = (kernel.io.driver(id).unwrap(), pe_image::parse(MINIMAL).unwrap());
            // SAFETY: the driver is loaded, and does nothing.
            let entry = unsafe { entry_of(driver).read() };
            assert_eq!((entry.DllBase.addr(), entry.SizeOfImage as usize), (driver.base, driver.size));
            assert_eq!(entry.EntryPoint.addr(), driver.base + file.entry.unwrap() as usize);
            assert_eq!((entry.CheckSum, entry.TimeDateStamp), (file.checksum, file.timestamp));
            assert_eq!(entry.ExceptionTable.addr(), driver.base + file.functions.rva as usize);
            assert_eq!(entry.ExceptionTableSize as usize, file.functions.entries().len() * 12);
            assert_eq!(entry.Flags & 0x20, 0x20);
        });
    }

    #[test]
    fn r_int_02_the_ex_forms_go_by_the_bit_in_the_loader_entry() {
        with_kernel(Config::default(), |kernel, _| {
            let id = kernel.load_driver("minimal", "minimal.sys", MINIMAL).unwrap();
            let driver = kernel.io.driver(id).unwrap();
            let entry = entry_of(driver);
            let routine = driver.base + 0x1000;
            assert_eq!(register(routine), [STATUS_SUCCESS; 2]);
            // SAFETY: the entry of a loaded driver, written as that driver would.
            unsafe { (*entry).Flags &= !0x20 };
            assert_eq!(register(routine), [STATUS_ACCESS_DENIED; 2]);
            // SAFETY: as above.
            unsafe { (*entry).Flags |= 0x20 };
            assert_eq!(register(routine), [STATUS_SUCCESS; 2]);
        });
    }

    #[test]
    fn r_int_02_a_driver_can_be_made_to_count_as_linked_with_it() {
        let first = |config| {
            with_kernel(config, |kernel, records| {
                kernel.load_driver("loader-flag", "loader-flag.sys", WITHOUT_INTEGRITY).unwrap();
                records.lines()
            })
        };
        let lines = first(Config { force_integrity: true, ..Config::default() });
        assert_eq!(lines[0], "loader-flag: as-loaded flag=1 status=0x00000000");
        assert_eq!(first(Config::default())[0], "loader-flag: as-loaded flag=0 status=0xC0000022");
    }
}
