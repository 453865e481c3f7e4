//! Structured exception handling with compiled driver code; see `data/README.md`.

mod support;

use std::sync::OnceLock;

use machine::seh::{c_specific::c_specific_handler, exports};
use nt_abi::CONTEXT;
use support::{Driver, catch, make_readable, start, unreadable_page};

const ACCESS_VIOLATION: u64 = 0xC000_0005;
const BAD: u64 = 0x10;

extern "win64" fn fault(address: u64, _a2: u64, _a3: u64, _a4: u64, _caller: &mut CONTEXT) -> u64 {
    let pointer = std::ptr::with_exposed_provenance::<u64>(usize::try_from(address).unwrap_or(0));
    // SAFETY: none: to fault is what the test wants, and what the entry is for.
    unsafe { pointer.read_volatile() }
}

machine::raising_entry! {
    /// Reads through its parameter.
    fn rust_that_faults => fault
}

unsafe extern "win64" fn make_page_readable(page: u64) {
    make_readable(page);
}

unsafe extern "win64" fn call_back(function: usize, argument: u64) -> u64 {
    // SAFETY: the driver passes a function of its own with one argument.
    unsafe { machine::call1(function, argument) }
}

fn driver() -> &'static Driver {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(|| {
        let imports = [
            ("__C_specific_handler", c_specific_handler as *const () as usize),
            ("RtlRaiseException", exports::rtl_raise_exception as *const () as usize),
            ("ExRaiseStatus", exports::ex_raise_status as *const () as usize),
            ("memcpy", machine::crt::memcpy as *const () as usize),
            ("MakeReadable", make_page_readable as *const () as usize),
            ("RustThatFaults", rust_that_faults as *const () as usize),
            ("RtlCaptureContext", machine::seh::context::capture as *const () as usize),
            ("RtlLookupFunctionEntry", exports::rtl_lookup_function_entry as *const () as usize),
            ("RtlVirtualUnwind", exports::rtl_virtual_unwind as *const () as usize),
            ("RtlUnwindEx", machine::seh::unwind_ex::rtl_unwind_ex as *const () as usize),
            ("RtlCaptureStackBackTrace", exports::rtl_capture_stack_back_trace as *const () as usize),
            ("RtlPcToFileHeader", exports::rtl_pc_to_file_header as *const () as usize),
            ("CallBack", call_back as *const () as usize),
        ];
        Driver::load("seh.sys", include_bytes!("data/seh.sys"), &imports)
    })
}

/// One test at a time inside of the image: it has global variables.
static IMAGE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn call(name: &str, arguments: [u64; 3]) -> u64 {
    let _one_at_a_time = IMAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _processor = start();
    match catch(|| driver().call(name, arguments)) {
        Ok(result) => {
            assert!(!machine::call::inside_driver_call(), "an edge was left behind");
            result
        }
        Err(stop) => panic!("{name} stopped: {stop:#x?}"),
    }
}

fn pointer<T>(value: &T) -> u64 {
    std::ptr::from_ref(value).expose_provenance() as u64
}

#[test]
fn a_constant_filter_takes_the_exception() {
    assert_eq!(call("Simple", [pointer(&5u64), 0, 0]), 5);
    assert_eq!(call("Simple", [BAD, 0, 0]), ACCESS_VIOLATION);
    assert_eq!(call("Simple", [1 << 62, 0, 0]), ACCESS_VIOLATION);
}

#[test]
fn a_filter_that_refuses_passes_the_exception_on() {
    let mut out = [0u64; 4];
    let result = call("Nested", [BAD, (&raw mut out).expose_provenance() as u64, 0]);
    assert_eq!(result, 1001);
    assert_eq!(out, [ACCESS_VIOLATION, 2, 0, BAD]);
    let value = 7u64;
    // 5 + 4 + 3 + 2 + 1 + 0 from the frames, the value, 1 and 100.
    assert_eq!(call("Nested", [pointer(&value), (&raw mut out).expose_provenance() as u64, 0]), 123);
}

#[test]
fn a_non_canonical_address_is_reported_as_all_ones() {
    let mut out = [0u64; 4];
    call("Nested", [1 << 60, (&raw mut out).expose_provenance() as u64, 0]);
    assert_eq!(out, [ACCESS_VIOLATION, 2, 0, u64::MAX]);
}

#[test]
fn termination_handlers_run_between_filter_and_handler() {
    assert_eq!(call("Finally", [BAD, 0, 0]), 0x01_07_03_05_08);
    assert_eq!(call("Finally", [pointer(&1u64), 0, 0]), 0x01_02_04_06);
}

#[test]
fn a_filter_can_mend_and_continue() {
    assert_eq!(call("Continue", [unreadable_page(), 0, 0]), 0x2A + 77);
}

#[test]
fn a_fault_in_an_imported_leaf_routine_is_caught_at_its_call() {
    for count in [1, 15, 16, 100, 500] {
        assert_eq!(call("CopyFrom", [BAD, count, 0]), ACCESS_VIOLATION, "{count} bytes");
    }
    let bytes = [0x5Au8; 500];
    assert_eq!(call("CopyFrom", [pointer(&bytes), 500, 0]), 0x5A);
}

#[test]
fn a_raised_status_arrives() {
    assert_eq!(call("Raise", [0xC000_0022, 0, 0]), 0xC000_0022);
}

#[test]
fn a_routine_that_stands_in_for_its_caller_faults_there() {
    assert_eq!(call("KernelFault", [BAD, 0, 0]), ACCESS_VIOLATION);
    assert_eq!(call("KernelFault", [pointer(&1u64), 0, 0]), 0);
}

#[test]
fn an_exception_in_a_termination_handler_collides_and_is_caught_outside() {
    assert_eq!(call("Collide", [BAD, 0, 0]), (0xC000_1234 << 32) | 0x01_02_04);
}

#[test]
fn an_exception_in_a_filter_is_a_nested_one() {
    let result = call("FilterFault", [BAD, 0, 0]);
    assert_eq!(result >> 32, 0xC000_5678);
    // The filter is asked twice: for the first exception, and, refusing, for its own.
    assert_eq!(result & 0xFFFF_FFFF, 0x01_01_03);
}

#[test]
fn a_filter_that_always_faults_ends_as_an_unhandled_exception() {
    let _one_at_a_time = IMAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _processor = start();
    let stop = catch(|| driver().call("Hopeless", [BAD, 0, 0])).unwrap_err();
    assert_eq!((stop.code, stop.parameters[0]), (0x1E, 0xC000_0009));
    // The way back leads through every one of the nested exceptions.
    assert_eq!(stop.exception.map(|exception| exception.code), Some(0xC000_0009));
    assert!(!machine::call::inside_driver_call());
}

#[test]
fn a_filter_that_continues_for_ever_is_unhandled_in_the_end() {
    let _one_at_a_time = IMAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _processor = start();
    let stop = catch(|| driver().call("Stubborn", [BAD, 0, 0])).unwrap_err();
    assert_eq!((stop.code, stop.parameters[0], stop.parameters[3]), (0x1E, ACCESS_VIOLATION, BAD));
}

#[test]
fn termination_handlers_run_when_a_block_is_left() {
    assert_eq!(call("Leave", [5, 0, 0]), 0x01_02_03_02_02);
}

#[test]
fn a_driver_raises_exceptions_of_its_own() {
    assert_eq!(call("RaiseOwn", [0xE000_0001, 42, 0]), 5142, "continued behind the call");
    assert_eq!(call("RaiseOwn", [0xE000_0002, 43, 0]), 6143, "handled");
}

#[test]
fn a_driver_can_unwind_by_itself() {
    assert_eq!(call("LongUnwind", [0; 3]), (1 << 32) | 0x01_03);
}

#[test]
fn a_driver_can_look_at_its_own_stack() {
    // back_trace and BackTrace; the call is in the image.
    assert_eq!(call("BackTrace", [0; 3]), 21);
    assert_eq!(call("BackTrace", [3, 0, 0]), 3051);
}

#[test]
fn a_handler_can_raise_again() {
    assert_eq!(call("Rethrow", [BAD, 0, 0]), (ACCESS_VIOLATION << 32) | 0xC000_000D);
}

#[test]
fn division_faults_are_told_apart() {
    let minimum = u64::from(i32::MIN.cast_unsigned());
    assert_eq!(call("Divide", [7, 0, 0]), 0xC000_0094);
    assert_eq!(call("Divide", [minimum, u64::from(u32::MAX), 0]), 0xC000_0095);
    assert_eq!(call("Divide", [21, 3, 0]), 7);
}

#[test]
fn preserved_registers_are_restored_in_the_handler() {
    assert_eq!(call("Registers", [BAD, 12, 34]), 1_123_411);
}

#[test]
fn frames_of_dynamic_size_unwind() {
    assert_eq!(call("Dynamic", [BAD, 1000, 0]), ACCESS_VIOLATION + 9);
    assert_eq!(call("Dynamic", [pointer(&40u64), 64, 0]), 41);
}

#[test]
fn a_call_back_handles_its_own_exceptions() {
    assert_eq!(call("Reenter", [BAD, 1, 0]), 15);
}

#[test]
fn an_exception_does_not_cross_the_kernel() {
    let _one_at_a_time = IMAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _processor = start();
    let stop = catch(|| driver().call("Reenter", [BAD, 0, 0])).unwrap_err();
    assert_eq!(stop.code, 0x1E);
    assert_eq!(stop.parameters[0], ACCESS_VIOLATION);
    // The stack goes on beyond the kernel: inner_unhandled calls read_at by a jump, then comes Reenter.
    let outer = driver().export("Reenter") as u64;
    assert!(
        stop.stack.iter().any(|frame| (outer..outer + 0x40).contains(&frame.address)),
        "{:#x?}",
        stop.stack
    );
}

#[test]
fn a_stop_knows_the_stack_through_the_driver() {
    let _one_at_a_time = IMAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let processor = start();
    processor.kpcr().set_driver(3);
    let stop = catch(|| driver().call("Unhandled", [BAD, 0, 0])).unwrap_err();
    assert_eq!((stop.code, stop.parameters[0], stop.parameters[3]), (0x1E, ACCESS_VIOLATION, BAD));
    assert_eq!(stop.driver, 3);
    assert_eq!(stop.registers.general[1], BAD, "rcx held the address");
    let modules: Vec<_> = stop.stack.iter().map(|frame| frame.module.as_deref()).collect();
    // read_at, read_deep four times over, Unhandled.
    assert_eq!(modules, [Some("seh.sys"); 6]);
    assert!(stop.stack.last().unwrap().address > driver().export("Unhandled") as u64);
    let exception = stop.exception.unwrap();
    assert_eq!((exception.code, exception.information), (0xC000_0005, vec![0, BAD]));
}

#[test]
fn endless_recursion_is_a_double_fault_although_there_is_a_handler() {
    let _one_at_a_time = IMAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _processor = start();
    let stop = catch(|| driver().call("Overflow", [0; 3])).unwrap_err();
    assert_eq!((stop.code, stop.parameters[0]), (0x7F, 8));
    assert!(stop.stack.len() > 10);
}
