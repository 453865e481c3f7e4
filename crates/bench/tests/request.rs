//! Requests that a program begins and does not wait for.

use std::time::Duration;

use bench::{
    Bench, Body, Clock, Driver, File, NTSTATUS, Profile, Request, STATUS_CANCELLED, STATUS_PENDING,
    STATUS_SUCCESS, Unload,
};

const INVERTED: &[u8] = include_bytes!("../../../drivers/bin/inverted.sys");
const DEVICE: &[u8] = include_bytes!("../../../drivers/bin/device.sys");
const PATH: &str = r"\\.\CallboardInverted";
const NEXT: u32 = 0x22_2000;
const COUNT: u32 = 0x22_2004;
const STUBBORN: u32 = 0x22_2008;
const PEND: u32 = 0x22_2010;
const SECOND: i64 = 10_000_000;

fn status(bits: u32) -> Option<NTSTATUS> {
    Some(NTSTATUS::from_u32(bits))
}

fn listening() -> (Bench, Driver, File) {
    let mut bench = Bench::new(Profile::Win11_24H2).expect("a host starts");
    let driver = bench.load_bytes("inverted", INVERTED).expect("the driver loads");
    let file = bench.file(PATH).overlapped().open().expect("its device opens");
    (bench, driver, file)
}

fn next(bench: &mut Bench, file: &File) -> Request {
    bench.begin_ioctl(file, NEXT, &[], 8).expect("a request is begun")
}

fn pending(bench: &mut Bench, file: &File) -> u32 {
    let count = bench.ioctl(file, COUNT, &[], 4).expect("a request ends").output;
    u32::from_le_bytes(count.try_into().expect("four bytes"))
}

fn prints(bench: &Bench, driver: Driver, line: &str) -> usize {
    bench.debug_lines(driver).iter().filter(|printed| **printed == line).count()
}

#[test]
fn r_dev_05_a_request_ends_when_its_driver_completes_it_for_an_event() {
    let (mut bench, driver, file) = listening();
    let request = next(&mut bench, &file);
    assert_eq!(bench.try_complete(&request).unwrap(), None);
    let process = bench.process(r"C:\x.exe").create().unwrap();
    let told = bench.try_complete(&request).unwrap().expect("it has ended");
    assert_eq!((told.status, told.information), (STATUS_SUCCESS, 8));
    assert_eq!(told.output, u64::from(process.id().0).to_le_bytes());
    assert_eq!(bench.wait(&request).unwrap(), told, "its end can be asked for again");
    assert_eq!(bench.cancel(&request).unwrap_err().status(), status(0xC000_0225), "it has ended");
    bench.process(r"C:\y.exe").create().unwrap();
    assert_eq!(prints(&bench, driver, "inverted: nobody listens"), 1);
}

#[test]
fn r_dev_05_two_requests_end_in_the_order_in_which_they_were_begun() {
    let (mut bench, _, file) = listening();
    let requests = [next(&mut bench, &file), bench.begin_read(&file, 0, 8).unwrap()];
    assert_eq!(pending(&mut bench, &file), 2, "another request is answered meanwhile");
    let processes = [r"C:\a.exe", r"C:\b.exe"].map(|path| bench.process(path).create().unwrap());
    for (request, process) in requests.iter().zip(processes) {
        assert_eq!(bench.wait(request).unwrap().output, u64::from(process.id().0).to_le_bytes());
    }
    let with = bench.begin_ioctl_with(&file, NEXT, &[], &[1; 8]).unwrap();
    let process = bench.process(r"C:\c.exe").create().unwrap();
    assert_eq!(bench.wait(&with).unwrap().output, u64::from(process.id().0).to_le_bytes());
    let written = bench.begin_write(&file, 0, b"abc").unwrap();
    assert_eq!(bench.try_complete(&written).unwrap().expect("at once").information, 3);
}

#[test]
fn a_driver_s_error_is_how_a_request_ends_and_the_io_manager_s_is_the_call_s() {
    let (mut bench, _, file) = listening();
    let unknown = bench.begin_ioctl(&file, 0x22_9998, &[], 0).unwrap();
    assert_eq!(bench.wait(&unknown).unwrap().status, NTSTATUS::from_u32(0xC000_0010));
    let short = bench.begin_ioctl(&file, NEXT, &[], 4).unwrap();
    bench.process(r"C:\x.exe").create().unwrap();
    let told = bench.wait(&short).unwrap();
    assert_eq!((told.status, told.output), (NTSTATUS::from_u32(0xC000_0023), Vec::new()));

    let reading = bench.file(PATH).access(0x8000_0000).overlapped().open().unwrap();
    let refused = bench.begin_write(&reading, 0, b"abc").unwrap_err();
    assert_eq!(refused.status(), status(0xC000_0022), "it is open for reading only");
    bench.close(reading).unwrap();
    assert_eq!(bench.begin_read(&reading, 0, 8).unwrap_err().status(), status(0xC000_0008));
    let synchronous = bench.open(PATH).unwrap();
    let error = bench.begin_ioctl(&synchronous, NEXT, &[], 8).unwrap_err();
    assert!(error.to_string().contains("overlapped().open()"), "{error}");
}

#[test]
fn r_dev_03_a_request_that_is_cancelled_ends_as_its_cancel_routine_says() {
    let (mut bench, driver, file) = listening();
    let (first, second) = (next(&mut bench, &file), next(&mut bench, &file));
    bench.cancel(&first).unwrap();
    let ended = bench.wait(&first).unwrap();
    assert_eq!((ended.status, ended.information, ended.output), (STATUS_CANCELLED, 0, Vec::new()));
    assert_eq!((prints(&bench, driver, "inverted: cancelled"), pending(&mut bench, &file)), (1, 1));
    let process = bench.process(r"C:\x.exe").create().unwrap();
    assert_eq!(bench.wait(&second).unwrap().output, u64::from(process.id().0).to_le_bytes());
    assert!(bench.findings().is_empty(), "{:#?}", bench.findings());
}

#[test]
fn r_dev_03_a_request_without_a_cancel_routine_outlives_its_cancelling() {
    let (mut bench, _, file) = listening();
    let request = bench.begin_ioctl(&file, STUBBORN, &[], 0).unwrap();
    bench.cancel(&request).unwrap();
    assert_eq!(bench.try_complete(&request).unwrap(), None);
    bench.process(r"C:\x.exe").create().unwrap();
    assert_eq!(bench.wait(&request).unwrap().status, STATUS_SUCCESS);
}

#[test]
fn waiting_for_what_will_not_come_is_an_error_and_no_time_passes() {
    let (mut bench, _, file) = listening();
    let request = next(&mut bench, &file);
    let before = bench.now().unwrap();
    let error = bench.wait(&request).unwrap_err();
    assert_eq!(error.status(), Some(STATUS_PENDING), "{error}");
    assert_eq!(bench.now().unwrap(), before);
    assert!(bench.stop().is_none());
    // It is the driver's still.
    let process = bench.process(r"C:\x.exe").create().unwrap();
    assert_eq!(bench.wait(&request).unwrap().output, u64::from(process.id().0).to_le_bytes());

    let synchronous = bench.open(PATH).unwrap();
    let error = bench.ioctl(&synchronous, NEXT, &[], 8).unwrap_err();
    assert_eq!(
        error.status(),
        Some(STATUS_PENDING),
        "a program that hangs is no machine that hangs: {error}"
    );
    assert!(bench.stop().is_none());
}

#[test]
fn waiting_moves_the_clock_to_what_is_due_and_no_further() {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    bench.load_bytes("device", DEVICE).unwrap();
    let file = bench.file(r"\\.\CallboardDevice").overlapped().open().unwrap();
    let before = bench.now().unwrap().0;
    let request = bench.begin_ioctl(&file, PEND, &3_600_000u32.to_le_bytes(), 0).unwrap();
    bench.advance(Duration::from_secs(3599)).unwrap();
    assert_eq!(bench.try_complete(&request).unwrap(), None);
    assert_eq!(bench.wait(&request).unwrap().status, STATUS_SUCCESS);
    let passed = bench.now().unwrap().0 - before;
    assert!((3600 * SECOND..3600 * SECOND + 1000).contains(&passed), "{passed}");

    let request = bench.begin_ioctl(&file, PEND, &1000u32.to_le_bytes(), 0).unwrap();
    bench.advance(Duration::from_secs(2)).unwrap();
    assert!(bench.try_complete(&request).unwrap().is_some(), "time that is let pass ends it as well");
}

#[test]
fn waiting_beside_a_timer_that_always_ticks_comes_to_an_end() {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    bench.load_bytes("device", DEVICE).unwrap();
    bench.load_bytes("inverted", INVERTED).unwrap();
    let ticking = bench.open(r"\\.\CallboardDevice").unwrap();
    bench.ioctl(&ticking, 0x22_2020, &3_600_000u32.to_le_bytes(), 0).unwrap();
    let file = bench.file(PATH).overlapped().open().unwrap();
    let request = next(&mut bench, &file);
    // 60,000 hours of the machine.
    assert_eq!(bench.wait(&request).unwrap_err().status(), Some(STATUS_PENDING));
}

#[test]
fn r_dev_04_closing_a_file_has_its_driver_end_its_requests_and_then_close_it() {
    let (mut bench, driver, file) = listening();
    let other = bench.file(PATH).overlapped().open().unwrap();
    let (mine, another) = (next(&mut bench, &file), next(&mut bench, &other));
    bench.close(file).unwrap();
    assert_eq!(bench.wait(&mine).unwrap().status, STATUS_CANCELLED);
    assert_eq!(bench.debug_lines(driver), ["inverted: cleanup", "inverted: close"]);
    assert_eq!(bench.try_complete(&another).unwrap(), None, "it is another file's");
}

#[test]
fn r_dev_04_a_file_is_not_closed_before_its_last_request_has_ended() {
    let (mut bench, driver, file) = listening();
    let request = bench.begin_ioctl(&file, STUBBORN, &[], 0).unwrap();
    bench.close(file).unwrap();
    assert_eq!(bench.debug_lines(driver), ["inverted: cleanup"]);
    bench.process(r"C:\x.exe").create().unwrap();
    assert_eq!(bench.wait(&request).unwrap().status, STATUS_SUCCESS);
    assert_eq!(prints(&bench, driver, "inverted: close"), 1);
}

#[test]
fn r_dev_02_a_process_that_exits_takes_its_requests_with_it() {
    let (mut bench, driver, mine) = listening();
    let service = bench.process(r"C:\service.exe").create().unwrap();
    let file = bench.file(PATH).by(service).overlapped().open().unwrap();
    let (request, kept) = (next(&mut bench, &file), next(&mut bench, &mine));
    bench.exit_process(&service, STATUS_SUCCESS).unwrap();
    assert_eq!(bench.wait(&request).unwrap().status, STATUS_CANCELLED);
    // The thread's requests are cancelled when it exits, before the process's files are closed.
    let lines = bench.debug_lines(driver);
    assert_eq!(lines[lines.len() - 3..], ["inverted: cancelled", "inverted: cleanup", "inverted: close"]);
    assert_eq!(bench.try_complete(&kept).unwrap(), None, "it is another program's");
    assert!(bench.begin_ioctl(&file, NEXT, &[], 8).is_err(), "the program is gone");
}

#[test]
fn r_dev_02_a_thread_that_exits_takes_its_own_requests_with_it() {
    let (mut bench, driver, _) = listening();
    let service = bench.process(r"C:\service.exe").create().unwrap();
    let file = bench.file(PATH).by(service).overlapped().open().unwrap();
    let first = bench.first_thread(&service).unwrap();
    bench.create_thread(&service, service).unwrap();
    let request = next(&mut bench, &file);
    bench.exit_thread(&first, STATUS_SUCCESS).unwrap();
    assert_eq!(bench.wait(&request).unwrap().status, STATUS_CANCELLED);
    assert_eq!(prints(&bench, driver, "inverted: cleanup"), 0, "the process has it open");
    let other = next(&mut bench, &file);
    assert_eq!(bench.try_complete(&other).unwrap(), None);
}

#[test]
fn r_dev_02_an_exit_waits_five_minutes_for_a_request_that_does_not_end_and_says_so() {
    let (mut bench, _, _) = listening();
    let service = bench.process(r"C:\service.exe").create().unwrap();
    let file = bench.file(PATH).by(service).overlapped().open().unwrap();
    let request = bench.begin_ioctl(&file, STUBBORN, &[], 0).unwrap();
    let before = bench.now().unwrap().0;
    bench.exit_process(&service, STATUS_SUCCESS).unwrap();
    let passed = bench.now().unwrap().0 - before;
    assert!((300 * SECOND..300 * SECOND + 1000).contains(&passed), "{passed}");
    let given_up =
        |body: &Body<'_>| matches!(body, Body::Note { text, .. } if text.contains("within five minutes"));
    assert_eq!(bench.records().iter().filter(|record| given_up(&record.body)).count(), 1);
    assert_eq!(bench.try_complete(&request).unwrap(), None);
    bench.process(r"C:\x.exe").create().unwrap();
    assert_eq!(bench.wait(&request).unwrap().status, STATUS_SUCCESS);
}

#[test]
fn r_dev_01_a_driver_is_unloaded_when_nobody_has_its_device_open_any_more() {
    let (mut bench, driver, file) = listening();
    let request = next(&mut bench, &file);
    assert_eq!(bench.unload(driver).unwrap(), Unload::Pending);
    assert_eq!(bench.unload(driver).unwrap(), Unload::Pending, "again");
    assert_eq!(bench.open(PATH).unwrap_err().status(), status(0xC000_000E), "it can be opened no more");
    assert_eq!(pending(&mut bench, &file), 1, "what is open reaches it");
    let process = bench.process(r"C:\x.exe").create().unwrap();
    assert_eq!(bench.wait(&request).unwrap().output, u64::from(process.id().0).to_le_bytes());
    let last = next(&mut bench, &file);
    bench.close(file).unwrap();
    assert_eq!(bench.wait(&last).unwrap().status, STATUS_CANCELLED);
    let lines = bench.debug_lines(driver);
    assert_eq!(lines, ["inverted: cleanup", "inverted: close", "inverted: unloaded"]);
    bench.process(r"C:\y.exe").create().unwrap();
    bench.finish().unwrap();
    assert!(bench.findings().is_empty() && bench.leaks().is_empty(), "{:#?}", bench.records());
}

#[test]
fn at_the_end_programs_end_before_drivers_are_unloaded() {
    let (mut bench, driver, file) = listening();
    let request = next(&mut bench, &file);
    let service = bench.process(r"C:\service.exe").create().unwrap();
    let other = bench.file(PATH).by(service).overlapped().open().unwrap();
    bench.begin_ioctl(&other, NEXT, &[], 8).unwrap();
    assert!(bench.try_complete(&request).unwrap().is_some());
    bench.finish().unwrap();
    let lines = bench.debug_lines(driver);
    assert_eq!(
        lines,
        [
            "inverted: cancelled",
            "inverted: cleanup",
            "inverted: close",
            "inverted: cleanup",
            "inverted: close",
            "inverted: unloaded"
        ]
    );
    assert!(bench.findings().is_empty() && bench.leaks().is_empty(), "{:#?}", bench.records());
}

#[test]
fn the_same_calls_have_the_same_records() {
    let run = || {
        let (mut bench, _, file) = listening();
        let requests: Vec<_> = (0..3).map(|_| next(&mut bench, &file)).collect();
        bench.process(r"C:\a.exe").create().unwrap();
        bench.cancel(&requests[1]).unwrap();
        assert!(bench.wait(&requests[2]).is_err());
        bench.close(file).unwrap();
        bench.finish().unwrap();
        // Where an image lies is the system's choice.
        let text = |record: &bench::Record<'_>| match &record.body {
            Body::DriverLoad { name, .. } => format!("{:?} load {name}", record.time),
            _ => format!("{record:?}"),
        };
        bench.records().iter().map(text).collect::<Vec<_>>()
    };
    let first = run();
    for _ in 0..3 {
        assert_eq!(run(), first);
    }
}

#[test]
fn on_a_real_clock_a_request_ends_as_well() {
    let mut bench = Bench::builder().clock(Clock::Real).start().unwrap();
    bench.load_bytes("device", DEVICE).unwrap();
    let file = bench.file(r"\\.\CallboardDevice").overlapped().open().unwrap();
    let request = bench.begin_ioctl(&file, PEND, &150u32.to_le_bytes(), 0).unwrap();
    assert_eq!(bench.wait(&request).unwrap().status, STATUS_SUCCESS);
}
