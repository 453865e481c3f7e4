//! A small run as a stream of records: every kind of record, made up but possible.
//!
//! Two drivers watch `sh -c 'uname -a || echo refused'` on a live bench. `sensor` refuses `uname`; `late`
//! was built without `/INTEGRITYCHECK`, breaks a rule and leaves a routine behind when it is unloaded,
//! which ends in a stop.

use event::*;
use nt_abi::{NTSTATUS, STATUS_ACCESS_DENIED, STATUS_SUCCESS};

/// 21 November 2026, 07:35:01.1234567 UTC.
const START: Time = Time(134_397_201_011_234_567);

const SENSOR: DriverId = DriverId(0);
const LATE: DriverId = DriverId(1);
const NOBODY: ClientId = ClientId { process: ProcessId(0), thread: ThreadId(0) };
const SYSTEM: ClientId = ClientId { process: ProcessId(4), thread: ThreadId(8) };
const CALLBOARD: ClientId = ClientId::from_linux(8409, 8409);
const SH: ClientId = ClientId::from_linux(8412, 8412);
const UNAME: ClientId = ClientId::from_linux(8413, 8413);

/// Process and thread routines of the two drivers.
const ROUTINE: u64 = 0xffff_f800_1000_1a40;
const LATE_ROUTINE: u64 = 0xffff_f800_2000_2140;

fn at(micros: i64, context: ClientId, body: Body<'_>) -> Record<'_> {
    Record { time: Time(START.0 + micros * 10), context, body }
}

fn event(micros: i64, context: ClientId, kind: EventKind<'_>) -> Record<'_> {
    at(
        micros,
        context,
        Body::Event(Event {
            time: Time(START.0 + micros * 10),
            context,
            kind,
            conditions: event::Conditions::default(),
        }),
    )
}

fn call(
    micros: i64,
    context: ClientId,
    driver: DriverId,
    family: Family,
    status: Option<NTSTATUS>,
) -> Record<'static> {
    let (routine, slot) = if driver == SENSOR { (ROUTINE, 0) } else { (LATE_ROUTINE, 1) };
    let elapsed = 2_140 + (micros.unsigned_abs() % 97) * 113;
    at(micros, context, Body::Notification(Notification { driver, family, slot, routine, elapsed, status }))
}

fn debug(micros: i64, context: ClientId, driver: DriverId, text: &str) -> Record<'_> {
    at(micros, context, Body::Debug { driver: Some(driver), component: 77, level: 3, text: text.into() })
}

fn register(
    micros: i64,
    driver: DriverId,
    family: Family,
    flavour: Flavour,
    status: NTSTATUS,
) -> Record<'static> {
    let (routine, place) = if driver == SENSOR { (ROUTINE, 0) } else { (LATE_ROUTINE, 1) };
    let slot = status.is_success().then_some(place);
    at(micros, SYSTEM, Body::Registration { driver, family, flavour, routine, slot, removed: false, status })
}

fn process<'a>(who: ClientId, parent: ClientId, path: &'a str, command_line: &'a str) -> Process<'a> {
    Process {
        process: who.process,
        parent: parent.process,
        creator: parent,
        first_thread: who.thread,
        image: Some(Name::from_unix(path)),
        command_line: Some(command_line.into()),
        open_name_available: true,
        architecture: Architecture::X64,
        ..Process::default()
    }
}

fn image(process: ClientId, path: &str, base: u64, size: u64) -> EventKind<'_> {
    EventKind::ImageLoad(Image {
        process: process.process,
        name: Some(Name::from_unix(path)),
        base,
        size,
        architecture: Architecture::X64,
        partial: false,
        conflicting: false,
        ..Image::default()
    })
}

fn frame<'a>(address: u64, module: &'a str, offset: u64, symbol: Option<&'a str>) -> Frame<'a> {
    Frame { address, module: Some(module.into()), offset, symbol: symbol.map(Into::into) }
}

fn load<'a>(micros: i64, driver: DriverId, name: &'a str, path: &'a str, missing: &[&'a str]) -> Record<'a> {
    let base = 0xffff_f800_1000_0000 + u64::from(driver.0) * 0x1000_0000;
    let missing = missing.iter().map(|&import| import.into()).collect();
    at(
        micros,
        SYSTEM,
        Body::DriverLoad { driver, name: name.into(), path: path.into(), base, size: 0xb000, missing },
    )
}

/// The records, in order.
pub(crate) fn story() -> Vec<Record<'static>> {
    let ok = STATUS_SUCCESS;
    let command = ["sh", "-c", "uname -a || echo refused"].map(Into::into).to_vec();
    let missing = ["ntoskrnl.exe!KeQueryHardwareCounterFrequency", "FLTMGR.SYS!FltGetRoutineAddress"];
    let process_call =
        |micros, context, driver, status| call(micros, context, driver, Family::Process, status);
    let image_call = |micros, context, driver| call(micros, context, driver, Family::Image, None);
    let thread_call = |micros, context, driver| call(micros, context, driver, Family::Thread, None);
    vec![
        at(0, NOBODY, Body::Start { version: "0.1.0".into(), profile: "win11-24h2".into(), machine: "".into(), command }),
        event(92, NOBODY, EventKind::ProcessPresent(process(CALLBOARD, NOBODY, "/usr/bin/callboard", "callboard run"))),
        load(184, SENSOR, "sensor", "/usr/lib/callboard/sensor.sys", &[]),
        register(702, SENSOR, Family::Process, Flavour::Ex2, ok),
        register(731, SENSOR, Family::Thread, Flavour::Ex, ok),
        register(748, SENSOR, Family::Image, Flavour::Ex, ok),
        debug(760, SYSTEM, SENSOR, "watching, 1 name is denied"),
        at(801, SYSTEM, Body::DriverStart { driver: SENSOR, status: ok, elapsed: 612_400 }),
        load(1_020, LATE, "late", "/home/ann/drivers/late.sys", &missing),
        register(1_340, LATE, Family::Process, Flavour::Ex, STATUS_ACCESS_DENIED),
        register(1_361, LATE, Family::Image, Flavour::Plain, ok),
        at(1_377, SYSTEM, Body::DriverStart { driver: LATE, status: ok, elapsed: 355_000 }),
        at(1_390, NOBODY, Body::Note {
            level: Level::Warning,
            text: "late.sys has no IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY: link it with /INTEGRITYCHECK".into(),
        }),
        at(1_395, NOBODY, Body::Note { level: Level::Info, text: "symbols of late.sys come from late.pdb".into() }),
        event(3_120, CALLBOARD, EventKind::ProcessCreate(process(
            SH, CALLBOARD, "/usr/bin/dash", "sh -c 'uname -a || echo refused'",
        ))),
        process_call(3_131, CALLBOARD, SENSOR, Some(ok)),
        at(3_135, CALLBOARD, Body::Verdict { process: SH.process, status: ok, driver: None }),
        event(3_140, CALLBOARD, EventKind::ThreadCreate(Thread::new(SH))),
        thread_call(3_148, CALLBOARD, SENSOR),
        event(3_190, SH, image(SH, "/usr/bin/dash", 0x5581_c2a0_0000, 0x21000)),
        image_call(3_199, SH, SENSOR),
        image_call(3_205, SH, LATE),
        event(3_260, SH, image(SH, "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", 0x7f3a_9040_0000, 0x37000)),
        image_call(3_268, SH, SENSOR),
        image_call(3_277, SH, LATE),
        event(3_702, SH, image(SH, "/usr/lib/x86_64-linux-gnu/libc.so.6", 0x7f3a_9020_0000, 0x1e9000)),
        image_call(3_711, SH, SENSOR),
        image_call(3_725, SH, LATE),
        debug(3_726, SH, LATE, "libc.so.6 at 00007F3A90200000"),
        at(3_731, SH, Body::Finding(Finding {
            rule: "L-15".into(),
            severity: Severity::Error,
            driver: Some(LATE),
            message: "IMAGE_INFO was read after the image routine had returned. It is on the caller's stack and gone \
                      by then: copy what you need inside the routine."
                .into(),
            bug_check: Some((0x50, [0xffff_9d80_0012_3040, 0, 0xffff_f800_2000_21a4, 2])),
            stack: vec![
                frame(0xffff_f800_2000_21a4, "late.sys", 0x21a4, Some("LogWorker+0x64")),
                frame(0xffff_f800_0040_1210, "ntoskrnl.exe", 0x40_1210, Some("ExpWorkerThread+0x40")),
            ],
        })),
        event(4_702, SH, EventKind::ProcessClone(Process {
            image: None, command_line: None, open_name_available: false, ..process(UNAME, SH, "", "")
        })),
        event(4_900, SH, EventKind::ProcessCreate(process(UNAME, SH, "/usr/bin/uname", "uname -a"))),
        debug(4_925, SH, SENSOR, "uname is denied"),
        process_call(4_931, SH, SENSOR, Some(STATUS_ACCESS_DENIED)),
        at(4_935, SH, Body::Verdict { process: UNAME.process, status: STATUS_ACCESS_DENIED, driver: Some(SENSOR) }),
        event(5_100, UNAME, EventKind::ProcessExit(ProcessExit { process: UNAME.process, status: NTSTATUS(126) })),
        process_call(5_109, UNAME, SENSOR, None),
        at(5_895, SH, Body::Termination { process: SH.process, status: ok, driver: Some(LATE) }),
        at(5_896, NOBODY, Body::Doubt { process: SH.process, because: SH.process }),
        event(5_900, SH, EventKind::ThreadExit(ThreadExit { thread: SH, status: ok })),
        thread_call(5_908, SH, SENSOR),
        event(5_911, SH, EventKind::ProcessExit(ProcessExit { process: SH.process, status: ok })),
        process_call(5_919, SH, SENSOR, None),
        at(6_040, NOBODY, Body::Difference {
            change: event::Change::RefusalNew,
            process: UNAME.process,
            text: "refused with 0xC0000022 (STATUS_ACCESS_DENIED) by sensor; the baseline did not".into(),
        }),
        at(6_050, NOBODY, Body::CommandExit { code: Some(0), signal: None }),
        at(6_210, SYSTEM, Body::Leak(Leak {
            driver: LATE, kind: LeakKind::Pool, what: "tag 'Late'".into(), count: 2, bytes: 160,
        })),
        at(6_220, SYSTEM, Body::Leak(Leak {
            driver: LATE, kind: LeakKind::Routine, what: "image routine in slot 1, late.sys+0x2140".into(), count: 1, bytes: 0,
        })),
        at(6_225, SYSTEM, Body::PoolUsage(PoolUsage {
            driver: LATE,
            paged: PoolPeak { allocations: 12, peak: 6_144 },
            nonpaged: PoolPeak { allocations: 3, peak: 240 },
        })),
        at(6_231, SYSTEM, Body::DriverUnload { driver: LATE, elapsed: Some(14_200) }),
        at(6_300, SYSTEM, Body::Registration {
            driver: SENSOR, family: Family::Process, flavour: Flavour::Ex2, routine: ROUTINE, slot: Some(0), removed: true,
            status: ok,
        }),
        at(6_400, SYSTEM, Body::Stop(Stop {
            kind: StopKind::BugCheck,
            code: 0xCE,
            parameters: [LATE_ROUTINE, 0x10, LATE_ROUTINE, 0],
            driver: Some(LATE),
            message: "late was unloaded with its image routine still registered, and the next image called it. Call \
                      PsRemoveLoadImageNotifyRoutine in DriverUnload."
                .into(),
            registers: Some(Box::new(Registers {
                rip: LATE_ROUTINE, rsp: 0xffff_9d80_0012_2f88, rcx: 0xffff_9d80_0012_3040, eflags: 0x10246, irql: 1,
                ..Registers::default()
            })),
            stack: vec![
                Frame { address: LATE_ROUTINE, module: Some("<unloaded late.sys>".into()), offset: 0x2140, symbol: None },
                frame(0xffff_f800_0052_0080, "ntoskrnl.exe", 0x52_0080, Some("PsCallImageNotifyRoutines+0x80")),
                Frame { address: 0xffff_f800_0000_0010, ..Frame::default() },
            ],
        })),
        at(6_410, NOBODY, Body::Timing(Timing {
            driver: LATE, family: Family::Image, calls: 3, total: 22_310, longest: 9_870,
        })),
        at(6_500, NOBODY, Body::End),
    ]
}
