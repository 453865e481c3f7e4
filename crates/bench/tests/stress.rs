//! Devices under stress: what programs ask of them takes part in the schedule, and a seed is a run.

use bench::{Bench, Body, Error, STATUS_CANCELLED, STATUS_SUCCESS};

const INVERTED: &[u8] = include_bytes!("../../../drivers/bin/inverted.sys");
const DEVICE: &[u8] = include_bytes!("../../../drivers/bin/device.sys");
const NEXT: u32 = 0x22_2000;

/// What happens under a seed, with requests that end at once, later, and not by themselves.
fn run(seed: u64) -> Result<Vec<String>, Error> {
    let mut bench = Bench::builder().stress(seed).start()?;
    // DriverEntry may fail for want of memory.
    let drivers = [("inverted", INVERTED), ("device", DEVICE)];
    let loaded = drivers.map(|(service, image)| bench.load_bytes(service, image).is_ok());
    if loaded == [true, true] {
        let device = bench.open(r"\\.\CallboardDevice")?;
        let file = bench.file(r"\\.\CallboardInverted").overlapped().open()?;
        let requests: Vec<_> =
            (0..3).map(|_| bench.begin_ioctl(&file, NEXT, &[], 8)).collect::<Result<_, _>>()?;
        assert_eq!(bench.ioctl(&device, 0x22_2000, b"abc", 8)?.output, b"cba");
        // A timer of the driver's completes it.
        assert_eq!(bench.ioctl(&device, 0x22_2010, &20u32.to_le_bytes(), 0)?.status, STATUS_SUCCESS);
        let process = bench.process(r"C:\x.exe").create()?;
        assert_eq!(bench.wait(&requests[0])?.status, STATUS_SUCCESS);
        if bench.try_complete(&requests[2])?.is_none() {
            bench.cancel(&requests[2])?;
            assert_eq!(bench.wait(&requests[2])?.status, STATUS_CANCELLED);
        }
        bench.close(device)?;
        bench.exit_process(&process, STATUS_SUCCESS)?;
    }
    bench.finish()?;
    assert!(bench.findings().is_empty(), "seed {seed}: {:#?}", bench.findings());
    // Where an image lies is the system's choice.
    let text = |record: &bench::Record<'_>| match &record.body {
        Body::DriverLoad { name, .. } => format!("{:?} load {name}", record.time),
        _ => format!("{record:?}"),
    };
    Ok(bench.records().iter().map(text).collect())
}

#[test]
fn r_dev_07_requests_of_programs_take_part_in_the_schedule() {
    for seed in [3, 4, 5, 6, 7, 8] {
        let (first, second) = (run(seed).unwrap(), run(seed).unwrap());
        assert_eq!(first, second, "seed {seed}");
    }
    assert_ne!(run(3).unwrap(), run(5).unwrap());
}
