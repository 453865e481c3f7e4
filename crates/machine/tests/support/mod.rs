//! What the tests of the machine share: a supervisor that catches stops, and driver code to run.
#![expect(dead_code, reason = "each test binary uses a part")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::multiple_unsafe_ops_per_block,
    reason = "helpers of tests: small numbers, committed images, and a failure is to be loud"
)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use machine::call::{abandon, run_abandonable};
use machine::images::{self, LoadedImage};
use machine::stop::stop_was_caught;
use machine::supervisor::{Access, Origin, Privileged};
use machine::{BugCheck, Irql, Processor, Stop, Supervisor};
use nt_abi::{CONTEXT, EXCEPTION_RECORD};

thread_local! {
    static STOP: RefCell<Option<Stop>> = const { RefCell::new(None) };
    static LOWERED: RefCell<Vec<(Irql, Irql)>> = const { RefCell::new(Vec::new()) };
    static PRIVILEGED: RefCell<Vec<Privileged>> = const { RefCell::new(Vec::new()) };
    static STOP_AGAIN: Cell<bool> = const { Cell::new(false) };
    static HOOK: Cell<Hook> = const { Cell::new(Hook::Mend) };
    static MENDS: Cell<u32> = const { Cell::new(0) };
    static FATAL: Cell<Option<u64>> = const { Cell::new(None) };
    static ORIGIN: RefCell<Option<Origin>> = const { RefCell::new(None) };
}

/// What the supervisor does about a fault in user space.
#[derive(Clone, Copy)]
pub(crate) enum Hook {
    /// Makes the page readable as often as [`mend`] says.
    Mend,
    /// Says that it is mended, although it is not.
    Lie,
    /// Faults itself.
    Fault,
}

pub(crate) struct TestSupervisor;

impl Supervisor for TestSupervisor {
    fn unhandled_exception(&self, record: &EXCEPTION_RECORD, _: &CONTEXT, origin: &Origin) -> BugCheck {
        ORIGIN.with_borrow_mut(|place| *place = Some(origin.clone()));
        let code = u64::from(record.ExceptionCode.as_u32());
        let [first, second, ..] = record.ExceptionInformation;
        let address = record.ExceptionAddress.addr() as u64;
        BugCheck { code: 0x1E, parameters: [code, address, first as u64, second as u64] }
    }

    fn stop(&self, stop: &Stop) -> ! {
        if STOP_AGAIN.get() {
            machine::bug_check(stop.code + 1, 1, 2, 3, 4);
        }
        STOP.with_borrow_mut(|place| *place = Some(stop.clone()));
        stop_was_caught();
        abandon(1);
        eprintln!("a stop that no test expected: {stop:#x?}");
        std::process::abort()
    }

    fn irql_lowered(&self, from: Irql, to: Irql) {
        LOWERED.with_borrow_mut(|list| list.push((from, to)));
    }

    fn refresh_shared_user_data(&self, page: &mut [u8; 4096]) {
        for (index, byte) in page.iter_mut().enumerate() {
            *byte = shared_byte(index);
        }
    }

    fn user_fault(&self, address: u64, _: Access) -> bool {
        match HOOK.get() {
            Hook::Mend => {}
            Hook::Lie => return true,
            Hook::Fault => {
                // SAFETY: none: to fault is what the test wants.
                let _ = unsafe { std::ptr::with_exposed_provenance::<u64>(0x20).read_volatile() };
            }
        }
        let left = MENDS.get();
        if left == 0 {
            return false;
        }
        MENDS.set(left - 1);
        make_readable(address);
        true
    }

    fn page_fault(&self, address: u64, access: Access, rip: u64, irql: Irql) -> Option<BugCheck> {
        (FATAL.get() == Some(address)).then(|| BugCheck {
            code: 0xD1,
            parameters: [address, u64::from(irql.level()), access as u64, rip],
        })
    }

    fn privileged(&self, what: Privileged, _rip: u64) {
        PRIVILEGED.with_borrow_mut(|list| list.push(what));
    }
}

/// What the test's KUSER_SHARED_DATA holds at an offset.
pub(crate) fn shared_byte(offset: usize) -> u8 {
    (offset as u8).wrapping_mul(7) ^ (offset >> 8) as u8 ^ 0x80
}

/// Attaches the thread with the test's supervisor.
pub(crate) fn start() -> Processor {
    machine::install_supervisor(&TestSupervisor);
    Processor::attach().unwrap()
}

/// Runs `body`; a stop in it is the result.
pub(crate) fn catch<R>(body: impl FnOnce() -> R) -> Result<R, Box<Stop>> {
    run_abandonable(body).map_err(|_| {
        machine::irql::set(Irql::PASSIVE);
        Box::new(STOP.take().expect("only stops abandon"))
    })
}

pub(crate) fn lowered() -> Vec<(Irql, Irql)> {
    LOWERED.take()
}

pub(crate) fn privileged() -> Vec<Privileged> {
    PRIVILEGED.take()
}

pub(crate) fn origin() -> Option<Origin> {
    ORIGIN.take()
}

/// How many user faults the supervisor mends from now on.
pub(crate) fn mend(count: u32) {
    MENDS.set(count);
}

/// What happens at the next faults in user space.
pub(crate) fn hook(hook: Hook) {
    HOOK.set(hook);
}

/// Whether reporting a stop stops again.
pub(crate) fn stop_again(again: bool) {
    STOP_AGAIN.set(again);
}

/// A page fault at this address is a stop.
pub(crate) fn fatal(address: Option<u64>) {
    FATAL.set(address);
}

pub(crate) fn make_readable(address: u64) {
    let page = (address & !4095) as *mut libc::c_void;
    // SAFETY: only pages that `unreadable_page` made are passed.
    assert_eq!(unsafe { libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_WRITE) }, 0);
}

fn map(length: usize, protection: i32) -> *mut u8 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping replaces nothing.
    let pages = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
    assert_ne!(pages, libc::MAP_FAILED);
    pages.cast()
}

/// A page that nobody can read yet; it holds 0x2A in its first word.
pub(crate) fn unreadable_page() -> u64 {
    let page = map(4096, libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: mapped just now.
    unsafe { page.cast::<u64>().write(0x2A) };
    // SAFETY: as above; no reference exists.
    assert_eq!(unsafe { libc::mprotect(page.cast(), 4096, libc::PROT_NONE) }, 0);
    page.addr() as u64
}

/// Machine code as a driver of its own; answers its address. Without tables all of it is leaf code.
pub(crate) fn driver_code(name: &str, code: &[u8]) -> usize {
    let pages = map(4096, libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: shorter than the page that was mapped just now.
    unsafe { pages.copy_from_nonoverlapping(code.as_ptr(), code.len()) };
    // SAFETY: as above; no reference exists.
    assert_eq!(unsafe { libc::mprotect(pages.cast(), 4096, libc::PROT_READ | libc::PROT_EXEC) }, 0);
    let image = LoadedImage {
        name: name.into(),
        base: pages.addr(),
        size: 4096,
        function_table: 0,
        function_count: 0,
        driver: 7,
    };
    // SAFETY: the page stays mapped.
    unsafe { images::register(image) }.unwrap();
    pages.addr()
}

/// A PE image, mapped as simply as the committed test images allow: no relocations, no W^X.
pub(crate) struct Driver {
    pub(crate) base: usize,
    exports: HashMap<String, usize>,
}

impl Driver {
    pub(crate) fn load(name: &str, file: &[u8], imports: &[(&str, usize)]) -> Driver {
        let u16_at = |at: usize| u16::from_le_bytes(file[at..at + 2].try_into().unwrap()) as usize;
        let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        let headers = u32_at(0x3C);
        let optional = headers + 24;
        let size = u32_at(optional + 56).next_multiple_of(4096);
        let directory =
            |index: usize| (u32_at(optional + 112 + index * 8), u32_at(optional + 116 + index * 8));
        assert_eq!(directory(5), (0, 0), "test images have no relocations");
        let memory = map(size, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC);
        let base = memory.addr();
        for index in 0..u16_at(headers + 6) {
            let section = optional + u16_at(headers + 20) + index * 40;
            let (rva, length, offset) = (u32_at(section + 12), u32_at(section + 16), u32_at(section + 20));
            let bytes = &file[offset..offset + length.min(size - rva)];
            // SAFETY: inside of the mapping by the line above.
            unsafe { memory.add(rva).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        }
        // SAFETY: `at` is an RVA from the image's own tables, which the linker made.
        let word = |at: usize| unsafe { memory.add(at).cast::<u32>().read_unaligned() } as usize;
        // SAFETY: as above.
        let text = |at: usize| {
            // SAFETY: as above; the linker ends names with a zero.
            let name = unsafe { std::ffi::CStr::from_ptr(memory.add(at).cast()) };
            name.to_str().unwrap().to_owned()
        };

        let mut descriptor = directory(1).0;
        while descriptor != 0 && word(descriptor + 12) != 0 {
            let (mut names, mut slots) = (word(descriptor), word(descriptor + 16));
            while word(names) != 0 {
                let wanted = text(word(names) + 2);
                let found = imports.iter().find(|(name, _)| *name == wanted);
                let address = found.unwrap_or_else(|| panic!("no import {wanted}")).1;
                // SAFETY: a slot of the import table.
                unsafe { memory.add(slots).cast::<usize>().write_unaligned(address) };
                (names, slots) = (names + 8, slots + 8);
            }
            descriptor += 20;
        }

        let export = directory(0).0;
        let (functions, names, ordinals) = (word(export + 28), word(export + 32), word(export + 36));
        let exports = (0..word(export + 24))
            .map(|index| {
                let ordinal = word(ordinals + index * 2) & 0xFFFF;
                (text(word(names + index * 4)), base + word(functions + ordinal * 4))
            })
            .collect();
        let (function_table, table_size) = directory(3);
        let image = LoadedImage {
            name: name.into(),
            base,
            size,
            function_table: function_table as u32,
            function_count: (table_size / 12) as u32,
            driver: 9,
        };
        // SAFETY: the image stays mapped, and nobody changes its tables.
        unsafe { images::register(image) }.unwrap();
        Driver { base, exports }
    }

    /// The address of an export.
    pub(crate) fn export(&self, name: &str) -> usize {
        self.exports[name]
    }

    /// Calls an export with up to three arguments.
    pub(crate) fn call(&self, name: &str, arguments: [u64; 3]) -> u64 {
        let [a1, a2, a3] = arguments;
        // SAFETY: the image's exports take at most three arguments of integer type.
        unsafe { machine::call3(self.export(name), a1, a2, a3) }
    }
}
