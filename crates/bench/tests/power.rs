//! Power requests, and what drivers make of them.

use bench::{Bench, Body, Driver, NTSTATUS, PowerState, Profile, STATUS_SUCCESS, StopKind, Unload, Value};

const POWER: &[u8] = include_bytes!("../../../drivers/bin/power.sys");
const DEVICE: &[u8] = include_bytes!("../../../drivers/bin/device.sys");

fn load(bench: &mut Bench, service: &str, mode: &str) -> Driver {
    bench.set_value(service, "Mode", Value::String(mode.into())).expect("a value is written");
    bench.load_bytes(service, POWER).expect("the driver loads")
}

/// A bus driver.
fn loaded(mode: &str) -> (Bench, Driver) {
    let mut bench = Bench::new(Profile::Win11_24H2).expect("a host starts");
    let driver = load(&mut bench, "bus", mode);
    (bench, driver)
}

#[test]
fn r_dev_06_a_stack_is_told_of_the_system_s_states_from_its_top() {
    let (mut bench, bus) = loaded("");
    let filter = load(&mut bench, "filter", "filter");
    for state in [PowerState::S3, PowerState::S0, PowerState::S5] {
        assert_eq!(bench.set_power(bus, state).unwrap(), STATUS_SUCCESS);
    }
    // STATUS_NOT_SUPPORTED until somebody sets another; from a system thread at PASSIVE_LEVEL, for the kernel.
    let set = |numbers: &str| format!("power: set system {numbers} status 0xc00000bb irql 0 mode 0");
    let told = [
        set("4 action 2 target 4 effective 4 current 1"),
        set("1 action 2 target 1 effective 1 current 4"),
        set("6 action 6 target 6 effective 6 current 1"),
    ];
    assert_eq!(bench.debug_lines(bus), told);
    let back = "power: back with 0x00000000";
    assert_eq!(bench.debug_lines(filter), told.each_ref().map(|line| [line, back]).concat());
}

#[test]
fn r_dev_01_a_driver_is_not_unloaded_under_another_s_device() {
    let (mut bench, bus) = loaded("");
    let filter = load(&mut bench, "filter", "filter");
    assert_eq!(bench.unload(bus).unwrap(), Unload::Pending);
    assert_eq!(bench.set_power(filter, PowerState::S3).unwrap(), STATUS_SUCCESS);
    assert_eq!(bench.unload(filter).unwrap(), Unload::Done);
    let unloaded =
        |record: &&bench::Record<'_>| matches!(record.body, Body::DriverUnload { elapsed: Some(_), .. });
    assert_eq!(bench.records().iter().filter(unloaded).count(), 2);
    bench.finish().unwrap();
    assert!(bench.findings().is_empty() && bench.leaks().is_empty(), "{:#?}", bench.records());
}

#[test]
fn r_dev_06_a_device_s_state_is_what_its_driver_says() {
    let (mut bench, driver) = loaded("");
    for state in [PowerState::D3, PowerState::D0] {
        assert_eq!(bench.set_power(r"\Device\CallboardPower", state).unwrap(), STATUS_SUCCESS);
    }
    let lines = bench.debug_lines(driver);
    assert_eq!((lines[1], lines[3]), ("power: D3, before D0", "power: D0, before D3"));
    assert!(lines[0].starts_with("power: set device 4 action 0 target 0"), "{lines:?}");
}

#[test]
fn r_dev_06_a_query_can_be_refused_and_changes_nothing() {
    let (mut bench, driver) = loaded("refuses");
    assert_eq!(bench.query_power(driver, PowerState::S3).unwrap(), NTSTATUS::from_u32(0x8000_0011));
    bench.set_power(driver, PowerState::S4).unwrap();
    let lines = bench.debug_lines(driver);
    assert!(
        lines[0].starts_with("power: query system 4 action 2 target 4 effective 4 current 1"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("power: set system 5 action 3 target 5 effective 5 current 1"), "{lines:?}");
}

#[test]
fn r_dev_06_what_no_driver_handles_has_the_status_of_the_io_manager() {
    let (mut bench, driver) = loaded("");
    let other = bench.load_bytes("device", DEVICE).unwrap();
    let unhandled = bench.set_power(other, PowerState::S3).unwrap();
    assert_eq!(unhandled, NTSTATUS::from_u32(0xC000_0010));
    assert_eq!(bench.set_power(r"\\.\CallboardDevice", PowerState::D0).unwrap(), unhandled);
    let missing = bench.set_power(r"\\.\Nobody", PowerState::S3).unwrap_err();
    assert_eq!(missing.status(), Some(NTSTATUS::from_u32(0xC000_0034)));
    bench.unload(driver).unwrap();
    let gone = bench.set_power(driver, PowerState::S3).unwrap_err();
    assert_eq!(gone.status(), Some(NTSTATUS::from_u32(0xC000_000E)));
}

#[test]
fn r_dev_06_a_request_that_is_kept_for_ten_minutes_is_a_stop() {
    let (mut bench, driver) = loaded("keeps");
    let before = bench.now().unwrap();
    let error = bench.set_power(driver, PowerState::S3).unwrap_err();
    let stop = error.stop().expect("the machine has stopped");
    assert_eq!((stop.kind, stop.code, stop.parameters[0]), (StopKind::BugCheck, 0x9F, 3));
    assert_eq!(stop.driver, Some(driver.id()));
    assert!(stop.message.contains("kept a power request for ten minutes"), "{}", stop.message);
    let at = bench.records().last().unwrap().time.0 - before.0;
    assert!((6_000_000_000..6_000_001_000).contains(&at), "{at}");
}
