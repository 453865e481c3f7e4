//! Any event.

use event::{
    Architecture, ClientId, Conditions, Event, EventKind, Image, Mapping, Name, Process, ProcessExit,
    ProcessId, Signature, Subsystem, Thread, ThreadExit, ThreadId, Time,
};
use nt_abi::NTSTATUS;
use proptest::option::of;
use proptest::prelude::*;

fn client() -> impl Strategy<Value = ClientId> {
    (any::<u32>(), any::<u32>())
        .prop_map(|(process, thread)| ClientId { process: ProcessId(process), thread: ThreadId(thread) })
}

/// Any text, among them such as act on terminals.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,40}", "(?s).{0,12}", "[\\x00-\\x1f\u{202e}\u{200b}\u{e0041}\"\\\\]{0,8}"]
}

fn name() -> impl Strategy<Value = Option<Name<'static>>> {
    of((text(), of(text())).prop_map(|(nt, host)| Name { nt: nt.into(), host: host.map(Into::into) }))
}

fn architecture() -> impl Strategy<Value = Architecture> {
    prop_oneof![Just(Architecture::X64), Just(Architecture::X86), Just(Architecture::Other)]
}

fn process() -> impl Strategy<Value = Process<'static>> {
    let ids = (any::<u32>(), any::<u32>(), client(), any::<u32>());
    let rest = (any::<bool>(), architecture(), any::<bool>(), any::<bool>(), any::<u64>(), any::<u64>());
    (ids, name(), of(text()), rest).prop_map(|(ids, image, command_line, rest)| Process {
        process: ProcessId(ids.0),
        parent: ProcessId(ids.1),
        creator: ids.2,
        first_thread: ThreadId(ids.3),
        image,
        command_line: command_line.map(Into::into),
        open_name_available: rest.0,
        architecture: rest.1,
        inherits_no_handles: rest.2,
        subsystem: if rest.3 { Subsystem::Wsl } else { Subsystem::Win32 },
        peb: rest.4,
        teb: rest.5,
    })
}

fn image() -> impl Strategy<Value = Image<'static>> {
    let mapping = prop_oneof![Just(Mapping::Image), Just(Mapping::NoExecute), Just(Mapping::Data)];
    let numbers = (any::<u32>(), any::<u64>(), any::<u64>(), any::<u8>(), any::<u8>());
    (numbers, name(), name(), architecture(), any::<bool>(), any::<bool>(), mapping).prop_map(
        |(numbers, name, file, architecture, partial, conflicting, mapping)| Image {
            process: ProcessId(numbers.0),
            name,
            file,
            base: numbers.1,
            size: numbers.2,
            architecture,
            partial,
            conflicting,
            mapping,
            signature: Signature { level: numbers.3, kind: numbers.4 },
        },
    )
}

fn kind() -> impl Strategy<Value = EventKind<'static>> {
    let status = any::<u32>().prop_map(NTSTATUS::from_u32);
    prop_oneof![
        process().prop_map(EventKind::ProcessPresent),
        process().prop_map(EventKind::ProcessClone),
        process().prop_map(EventKind::ProcessCreate),
        (any::<u32>(), status.clone()).prop_map(|(process, status)| {
            EventKind::ProcessExit(ProcessExit { process: ProcessId(process), status })
        }),
        (client(), any::<u64>()).prop_map(|(thread, teb)| EventKind::ThreadCreate(Thread { thread, teb })),
        (client(), status).prop_map(|(thread, status)| EventKind::ThreadExit(ThreadExit { thread, status })),
        image().prop_map(EventKind::ImageLoad),
    ]
}

/// Any event at any time.
pub(crate) fn event() -> impl Strategy<Value = Event<'static>> {
    let time = prop_oneof![any::<i64>(), 132_000_000_000_000_000..134_000_000_000_000_000_i64];
    (time, client(), kind(), any::<[bool; 4]>()).prop_map(|(time, context, kind, said)| Event {
        time: Time(time),
        context,
        kind,
        conditions: Conditions {
            apc_level: said[0],
            all_apcs_disabled: said[1],
            unterminated_names: said[2],
            user_pages_gone: said[3],
        },
    })
}

/// The `n`th of some ordinary events, which are told apart by their times.
pub(crate) fn ordinary(n: u64) -> Event<'static> {
    let process = ProcessId(4 * u32::try_from(n % 7 + 2).unwrap());
    let context = ClientId { process, thread: ThreadId(process.0 + 400) };
    let name = Some(Name::from_unix(format!("/usr/lib/library-{}.so", n % 13)));
    let kind = match n % 5 {
        0 => EventKind::ProcessCreate(Process {
            process,
            image: name,
            command_line: Some(format!("tool --number {n}").into()),
            ..Process::default()
        }),
        1 => EventKind::ThreadCreate(Thread::new(context)),
        2 | 3 => EventKind::ImageLoad(Image { process, name, base: n << 12, size: 4096, ..Image::default() }),
        _ => EventKind::ProcessExit(ProcessExit { process, status: NTSTATUS::from_u32(0) }),
    };
    let time = Time(133_000_000_000_000_000 + i64::try_from(n).unwrap() * 10_000);
    Event { time, context, kind, conditions: Conditions::default() }
}

/// An event of each kind, with each value of each enumeration, and no field that is nothing.
pub(crate) fn every_kind() -> Vec<Event<'static>> {
    let name = |nt: &'static str| Some(Name { nt: nt.into(), host: Some("C:\\x".into()) });
    let client = |n| ClientId { process: ProcessId(n), thread: ThreadId(n + 4) };
    let process = |architecture, subsystem| Process {
        process: ProcessId(40),
        parent: ProcessId(44),
        creator: client(48),
        first_thread: ThreadId(56),
        image: name("\\Device\\a"),
        command_line: Some("a b".into()),
        open_name_available: true,
        architecture,
        inherits_no_handles: true,
        subsystem,
        peb: 0x1000,
        teb: 0x2000,
    };
    let image = |mapping| Image {
        process: ProcessId(60),
        name: name("\\Device\\b"),
        file: name("\\Device\\c"),
        base: 0x7FFA_0000_0000,
        size: 0x3000,
        architecture: Architecture::X64,
        partial: true,
        conflicting: true,
        mapping,
        signature: Signature { level: 12, kind: 3 },
    };
    let status = NTSTATUS::from_u32(0xC000_0022);
    let kinds = [
        EventKind::ProcessPresent(process(Architecture::X64, Subsystem::Win32)),
        EventKind::ProcessClone(process(Architecture::X86, Subsystem::Wsl)),
        EventKind::ProcessCreate(process(Architecture::Other, Subsystem::Win32)),
        EventKind::ProcessExit(ProcessExit { process: ProcessId(64), status }),
        EventKind::ThreadCreate(Thread { thread: client(68), teb: 0x4000 }),
        EventKind::ThreadExit(ThreadExit { thread: client(76), status }),
        EventKind::ImageLoad(image(Mapping::Image)),
        EventKind::ImageLoad(image(Mapping::NoExecute)),
        EventKind::ImageLoad(image(Mapping::Data)),
    ];
    let conditions = Conditions {
        apc_level: true,
        all_apcs_disabled: false,
        unterminated_names: true,
        user_pages_gone: true,
    };
    let event = |kind| Event { time: Time(133_000_000_000_000_000), context: client(8), kind, conditions };
    kinds.into_iter().map(event).collect()
}
