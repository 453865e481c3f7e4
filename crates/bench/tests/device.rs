//! What programs do with a driver's device.

use bench::{Bench, Driver, File, NTSTATUS, Profile, STATUS_SUCCESS};

const DEVICE: &[u8] = include_bytes!("../../../drivers/bin/device.sys");

fn open() -> (Bench, Driver, File) {
    let mut bench = Bench::new(Profile::Win11_24H2).expect("a host starts");
    let driver = bench.load_bytes("device", DEVICE).expect("the driver loads");
    let file = bench.open(r"\\.\CallboardDevice").expect("its device opens");
    (bench, driver, file)
}

#[test]
fn each_method_has_its_buffers() {
    let (mut bench, _, file) = open();
    let reversed = bench.ioctl(&file, 0x22_2000, b"abc", 8).unwrap();
    assert_eq!(
        (reversed.status, reversed.information, reversed.output),
        (STATUS_SUCCESS, 3, b"cba".to_vec())
    );
    let sum = bench.ioctl_with(&file, 0x22_2005, &[], &[1, 2, 200]).unwrap();
    assert_eq!((sum.status, sum.information), (STATUS_SUCCESS, 203));
    let filled = bench.ioctl(&file, 0x22_200A, &[7], 5).unwrap();
    assert_eq!(filled.output, [7; 5]);
    let copied = bench.ioctl(&file, 0x22_200F, &[1, 2, 3, 4], 3).unwrap();
    assert_eq!(copied.output, [1, 2, 3]);
    let large = vec![0x5A; 1 << 20];
    assert_eq!(bench.ioctl(&file, 0x22_2000, &large, large.len()).unwrap().output, large);
    assert!(bench.ioctl(&file, 0x22_2000, &[], 5 << 20).is_err(), "more than a bench takes");
}

#[test]
fn a_driver_s_error_is_the_program_s_answer() {
    let (mut bench, _, file) = open();
    let answer = bench.ioctl(&file, 0x22_2000, b"abc", 2).unwrap();
    assert_eq!((answer.status, answer.output), (NTSTATUS::from_u32(0xC000_0023), Vec::new()));
    let unknown = bench.ioctl(&file, 0x22_3000, &[], 0).unwrap();
    assert_eq!(unknown.status, NTSTATUS::from_u32(0xC000_0010));
    let missing = bench.open(r"\\.\Nobody").unwrap_err();
    assert_eq!(missing.status(), Some(NTSTATUS::from_u32(0xC000_0034)));
}

#[test]
fn reading_and_writing_have_an_offset_and_a_length() {
    let (mut bench, driver, file) = open();
    assert_eq!(bench.read(&file, 250, 8).unwrap().output, [250, 251, 252, 253, 254, 255, 0, 1]);
    assert_eq!(bench.write(&file, 0, &[9, 8]).unwrap().information, 2);
    assert!(bench.debug_lines(driver).contains(&"device: written 2, first 0x09"));
}

#[test]
fn a_program_s_file_is_its_own_and_closes_with_it() {
    let (mut bench, driver, _) = open();
    let program = bench.process(r"C:\x.exe").create().unwrap();
    let file = bench.open_by(program, r"\Device\CallboardDevice", 0x8000_0000).unwrap();
    let guarded = bench.ioctl(&file, 0x22_A01C, &[], 0).unwrap();
    assert_eq!(guarded.status, NTSTATUS::from_u32(0xC000_0022), "it is open for reading only");
    bench.exit_process(&program, STATUS_SUCCESS).unwrap();
    let by = |what: &str, mode| format!("device: {what} by {} mode {mode}", program.id());
    let lines = bench.debug_lines(driver);
    assert_eq!(lines[lines.len() - 3..], [by("create", 1), by("cleanup", 0), by("close", 0)]);
    assert!(bench.ioctl(&file, 0x22_2000, &[], 0).is_err(), "the program is gone");
}

#[test]
fn a_closed_file_is_none() {
    let (mut bench, _, file) = open();
    bench.close(file).unwrap();
    assert_eq!(bench.close(file).unwrap_err().status(), Some(NTSTATUS::from_u32(0xC000_0008)));
    let answer = bench.ioctl(&file, 0x22_2000, &[], 0).unwrap();
    assert_eq!(answer.status, NTSTATUS::from_u32(0xC000_0008));
    bench.finish().unwrap();
    assert!(bench.leaks().is_empty(), "{:?}", bench.leaks());
}

#[test]
fn a_pended_request_is_waited_for() {
    let (mut bench, _, file) = open();
    let answer = bench.ioctl(&file, 0x22_2010, &5u32.to_le_bytes(), 0).unwrap();
    assert_eq!(answer.status, STATUS_SUCCESS);
}
