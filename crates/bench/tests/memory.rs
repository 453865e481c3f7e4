//! What drivers read of the processes they are told of.

use bench::{Architecture, Bench, Profile, STATUS_SUCCESS};

const READER: &[u8] = include_bytes!("../../../drivers/bin/reads-image.sys");

#[test]
fn r_img_02_r_exit_01_images_have_headers_or_what_a_test_gives_them() {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    let reader = bench.load_bytes("reader", READER).unwrap();
    let process = bench.process(r"C:\Windows\System32\cmd.exe").create().unwrap();
    bench.image(&process, r"C:\own.dll").contents(b"\x7fELF\x01\x02\x03\x04").map().unwrap();
    let old = bench.process(r"C:\old.exe").architecture(Architecture::X86).create().unwrap();
    bench.exit_process(&process, STATUS_SUCCESS).unwrap();
    bench.exit_process(&old, STATUS_SUCCESS).unwrap();
    bench.finish().unwrap();
    assert!(bench.stop().is_none());

    let lines = bench.debug_lines(reader);
    let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    // "MZ", and "\x7fELF" where the test said so; the 32-bit process has two ntdll.dll and three of WoW64's.
    assert_eq!(count("magic=0x00005A4D next"), 2 + 6, "{lines:#?}");
    assert_eq!(count("magic=0x464C457F next=0x04030201"), 1, "{lines:#?}");
    assert_eq!(count("exit"), 2);
    assert_eq!(count("magic=0x00005A4D valid=1"), 2, "{lines:#?}");
}
