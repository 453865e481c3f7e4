//! A busy machine, made up: as many events as one asks for, with two drivers, refusals, findings and lines.

use event::*;
use nt_abi::{NTSTATUS, STATUS_ACCESS_DENIED, STATUS_SUCCESS};
use report::Sink;

const START: Time = Time(134_397_201_011_234_567);
const SENSOR: DriverId = DriverId(0);
const LATE: DriverId = DriverId(1);

const PROGRAMS: [(&str, &str, u64); 8] = [
    (r"C:\Windows\System32\cmd.exe", "cmd.exe /c build.cmd /m:2", 3),
    (r"C:\Program Files\Git\bin\git.exe", "git status --porcelain=v2 --branch", 9),
    (r"C:\Windows\System32\svchost.exe", "svchost.exe -k netsvcs -p -s Schedule", 14),
    (r"C:\Tools\MSVC\bin\cl.exe", "cl.exe /nologo /O2 /c source.c /Foobj.o", 6),
    (r"C:\Tools\MSVC\bin\link.exe", "link.exe /OUT:app.exe obj.o kernel32.lib", 7),
    (
        r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
        "powershell.exe -NoProfile -File a.ps1",
        21,
    ),
    (r"C:\Windows\System32\conhost.exe", r"\??\C:\Windows\system32\conhost.exe 0xffffffff -ForceV1", 8),
    (r"C:\Users\ann\Downloads\setup_שלום.exe", "\"C:\\Users\\ann\\Downloads\\setup_שלום.exe\" /S", 5),
];
const LIBRARIES: [&str; 10] = [
    "ntdll",
    "kernel32",
    "KernelBase",
    "msvcrt",
    "rpcrt4",
    "sechost",
    "advapi32",
    "user32",
    "win32u",
    "gdi32full",
];

/// Hands records to a sink, by a clock of its own.
struct Stage<'s> {
    sink: &'s mut dyn Sink,
    time: Time,
    context: ClientId,
    events: u64,
    /// A generator of numbers: any will do, as long as they are the same each time.
    seed: u64,
}

impl Stage<'_> {
    fn next(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    fn say(&mut self, body: Body<'_>) {
        self.sink.record(&Record { time: self.time, context: self.context, body }).unwrap();
    }

    fn happen(&mut self, kind: EventKind<'_>, family: Family) {
        let step = self.next(40_000);
        self.time.0 += i64::try_from(step).unwrap();
        self.events += 1;
        let (time, context) = (self.time, self.context);
        self.say(Body::Event(Event { time, context, kind, conditions: Conditions::default() }));
        for driver in [SENSOR, LATE] {
            let elapsed = 900 + self.next(9_000) + u64::from(driver.0) * 2_000;
            self.say(Body::Notification(Notification {
                driver,
                family,
                slot: 0,
                routine: 0,
                elapsed,
                status: None,
            }));
        }
    }
}

fn client(id: u32) -> ClientId {
    ClientId { process: ProcessId(id), thread: ThreadId(id + 4) }
}

/// Gives a sink a run of about so many events, up to its end.
pub(crate) fn crowd(sink: &mut dyn Sink, events: u64) {
    let mut stage = Stage { sink, time: START, context: ClientId::default(), events: 0, seed: 7 };
    let command = ["cmd", "/c", "build all"].map(Into::into).to_vec();
    stage.say(Body::Start {
        version: "0.1.0".into(),
        profile: "win11-24h2".into(),
        machine: "".into(),
        command,
    });
    for (driver, name) in [(SENSOR, "sensor"), (LATE, "late")] {
        let (base, size) = (0xffff_f800_1000_0000 + u64::from(driver.0) * 0x10_0000, 0xb000);
        let path = format!(r"C:\Windows\System32\drivers\{name}.sys");
        stage.say(Body::DriverLoad {
            driver,
            name: name.into(),
            path: path.into(),
            base,
            size,
            missing: vec![],
        });
        stage.say(Body::DriverStart { driver, status: STATUS_SUCCESS, elapsed: 612_400 });
    }
    let present = Process { process: ProcessId(4), image: None, ..Process::default() };
    stage.happen(EventKind::ProcessPresent(present), Family::Process);
    let mut living: Vec<u32> = vec![4];
    let mut next_id = 100;
    while stage.events < events {
        let turn = usize::try_from(stage.next(8)).unwrap();
        let (path, line, images) = PROGRAMS[turn];
        let near = usize::try_from(stage.next(6)).unwrap();
        let parent = living[living.len().saturating_sub(1 + near)];
        // Ids come again, as they do.
        next_id = if next_id > 30_000 { 100 } else { next_id + 4 };
        let id = next_id;
        stage.context = client(parent);
        let process = Process {
            process: ProcessId(id),
            parent: ProcessId(parent),
            creator: client(parent),
            image: Some(Name::from_nt(path)),
            command_line: Some(line.into()),
            ..Process::default()
        };
        stage.happen(EventKind::ProcessCreate(process), Family::Process);
        if turn == 7 && stage.next(4) == 0 {
            stage.say(Body::Debug {
                driver: Some(SENSOR),
                component: 77,
                level: 3,
                text: format!("{path} is denied").into(),
            });
            let (process, status) = (ProcessId(id), STATUS_ACCESS_DENIED);
            stage.say(Body::Verdict { process, status, driver: Some(SENSOR) });
            continue;
        }
        living.push(id);
        stage.happen(EventKind::ThreadCreate(Thread::new(client(id))), Family::Thread);
        stage.context = client(id);
        for number in 0..=images {
            let base = 0x7ffc_0000_0000 + number * 0x20_0000;
            let library =
                format!(r"C:\Windows\System32\{}.dll", LIBRARIES[usize::try_from(number % 10).unwrap()]);
            let name = Some(Name::from_nt(if number == 0 { path } else { &library }));
            let image = Image { process: ProcessId(id), name, base, size: 0x1f_8000, ..Image::default() };
            stage.happen(EventKind::ImageLoad(image), Family::Image);
        }
        if stage.next(200) == 0 {
            stage.say(Body::Finding(Finding {
                rule: "L-15".into(),
                severity: Severity::Error,
                driver: Some(LATE),
                message: "IMAGE_INFO was read after the image routine had returned. It is on the caller's stack and \
                          gone by then: copy what you need inside the routine."
                    .into(),
                bug_check: Some((0x50, [0xffff_9d80_0012_3040, 0, 0xffff_f800_2000_21a4, 2])),
                stack: vec![Frame {
                    address: 0xffff_f800_2000_21a4,
                    module: Some("late.sys".into()),
                    offset: 0x21a4,
                    symbol: Some("LogWorker+0x64".into()),
                }],
            }));
        }
        while living.len() > 40 {
            let gone = living.remove(1 + usize::try_from(stage.next(20)).unwrap());
            stage.context = client(gone);
            let thread = ThreadExit { thread: client(gone), status: STATUS_SUCCESS };
            stage.happen(EventKind::ThreadExit(thread), Family::Thread);
            let status = NTSTATUS(i32::try_from(stage.next(9) / 8).unwrap());
            stage.happen(
                EventKind::ProcessExit(ProcessExit { process: ProcessId(gone), status }),
                Family::Process,
            );
        }
    }
    stage.context = ClientId::default();
    stage.say(Body::Leak(Leak {
        driver: LATE,
        kind: LeakKind::Pool,
        what: "tag 'Late'".into(),
        count: 2,
        bytes: 160,
    }));
    stage.say(Body::DriverUnload { driver: LATE, elapsed: Some(14_200) });
    stage.say(Body::CommandExit { code: Some(1), signal: None });
    stage.say(Body::End);
}
