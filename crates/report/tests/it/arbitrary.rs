//! Any record at all.

use event::*;
use nt_abi::NTSTATUS;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Text of drivers: ordinary, hostile and empty.
fn text() -> BoxedStrategy<String> {
    prop_oneof![
        "[ -~]{0,40}",
        any::<String>(),
        Just(String::new()),
        vec(
            prop_oneof![
                Just('\x1b'),
                Just('\u{9b}'),
                Just('\n'),
                Just('\r'),
                Just('\u{202e}'),
                Just('\u{7}'),
                Just('a'),
                Just('日'),
                Just('\u{301}'),
                Just(' '),
                Just('\u{e0041}'),
            ],
            0..30
        )
        .prop_map(String::from_iter),
    ]
    .boxed()
}

fn status() -> BoxedStrategy<NTSTATUS> {
    prop_oneof![Just(NTSTATUS(0)), Just(NTSTATUS::from_u32(0xC000_0022)), any::<i32>().prop_map(NTSTATUS)]
        .boxed()
}

/// Few ids, so that records meet.
fn process() -> BoxedStrategy<ProcessId> {
    prop_oneof![0..40_u32, any::<u32>()].prop_map(ProcessId).boxed()
}

fn client() -> BoxedStrategy<ClientId> {
    (process(), any::<u32>())
        .prop_map(|(process, thread)| ClientId { process, thread: ThreadId(thread) })
        .boxed()
}

fn driver() -> BoxedStrategy<DriverId> {
    prop_oneof![0..3_u32, any::<u32>()].prop_map(DriverId).boxed()
}

fn family() -> BoxedStrategy<Family> {
    prop_oneof![Just(Family::Process), Just(Family::Thread), Just(Family::Image)].boxed()
}

fn architecture() -> BoxedStrategy<Architecture> {
    prop_oneof![Just(Architecture::X64), Just(Architecture::X86), Just(Architecture::Other)].boxed()
}

fn name() -> BoxedStrategy<Name<'static>> {
    (text(), option::of(text()))
        .prop_map(|(nt, host)| Name { nt: nt.into(), host: host.map(Into::into) })
        .boxed()
}

fn frame() -> BoxedStrategy<Frame<'static>> {
    (any::<u64>(), option::of(text()), any::<u64>(), option::of(text()))
        .prop_map(|(address, module, offset, symbol)| Frame {
            address,
            module: module.map(Into::into),
            offset,
            symbol: symbol.map(Into::into),
        })
        .boxed()
}

fn a_process() -> BoxedStrategy<Process<'static>> {
    let subsystem = prop_oneof![Just(Subsystem::Win32), Just(Subsystem::Wsl)];
    let flags = (any::<bool>(), architecture(), subsystem, any::<bool>());
    (process(), process(), client(), any::<u32>(), option::of(name()), option::of(text()), flags)
        .prop_map(|(process, parent, creator, thread, image, command_line, flags)| {
            let (open_name_available, architecture, subsystem, inherits_no_handles) = flags;
            Process {
                process,
                parent,
                creator,
                first_thread: ThreadId(thread),
                image,
                command_line: command_line.map(Into::into),
                open_name_available,
                architecture,
                subsystem,
                inherits_no_handles,
                ..Process::default()
            }
        })
        .boxed()
}

fn image() -> BoxedStrategy<Image<'static>> {
    let place = (any::<u64>(), any::<u64>(), any::<bool>(), any::<bool>());
    let mapping = prop_oneof![Just(Mapping::Image), Just(Mapping::NoExecute), Just(Mapping::Data)];
    let signature = (any::<u8>(), any::<u8>()).prop_map(|(level, kind)| Signature { level, kind });
    let names = (option::of(name()), option::of(name()));
    (process(), names, architecture(), place, mapping, signature)
        .prop_map(|(process, (name, file), architecture, place, mapping, signature)| {
            let (base, size, partial, conflicting) = place;
            Image { process, name, file, base, size, architecture, partial, conflicting, mapping, signature }
        })
        .boxed()
}

fn event_kind() -> BoxedStrategy<EventKind<'static>> {
    prop_oneof![
        a_process().prop_map(EventKind::ProcessPresent),
        a_process().prop_map(EventKind::ProcessClone),
        a_process().prop_map(EventKind::ProcessCreate),
        (process(), status())
            .prop_map(|(process, status)| EventKind::ProcessExit(ProcessExit { process, status })),
        client().prop_map(|thread| EventKind::ThreadCreate(Thread::new(thread))),
        (client(), status())
            .prop_map(|(thread, status)| EventKind::ThreadExit(ThreadExit { thread, status })),
        image().prop_map(EventKind::ImageLoad),
    ]
    .boxed()
}

fn time() -> BoxedStrategy<Time> {
    prop_oneof![134_000_000_000_000_000..134_000_000_100_000_000_i64, any::<i64>()].prop_map(Time).boxed()
}

fn registration() -> BoxedStrategy<Body<'static>> {
    let flavour = prop_oneof![Just(Flavour::Plain), Just(Flavour::Ex), Just(Flavour::Ex2)];
    (driver(), family(), flavour, any::<u64>(), option::of(any::<u8>()), any::<bool>(), status())
        .prop_map(|(driver, family, flavour, routine, slot, removed, status)| Body::Registration {
            driver,
            family,
            flavour,
            routine,
            slot,
            removed,
            status,
        })
        .boxed()
}

fn notification() -> BoxedStrategy<Body<'static>> {
    (driver(), family(), any::<u8>(), any::<u64>(), any::<u64>(), option::of(status()))
        .prop_map(|(driver, family, slot, routine, elapsed, status)| {
            Body::Notification(Notification { driver, family, slot, routine, elapsed, status })
        })
        .boxed()
}

fn finding() -> BoxedStrategy<Body<'static>> {
    let severity = prop_oneof![Just(Severity::Warning), Just(Severity::Error)];
    let bug_check = option::of((0..0x200_u32, any::<[u64; 4]>()));
    (text(), severity, option::of(driver()), text(), bug_check, vec(frame(), 0..20))
        .prop_map(|(rule, severity, driver, message, bug_check, stack)| {
            Body::Finding(Finding {
                rule: rule.into(),
                severity,
                driver,
                message: message.into(),
                bug_check,
                stack,
            })
        })
        .boxed()
}

fn stop() -> BoxedStrategy<Body<'static>> {
    let kind = prop_oneof![
        Just(StopKind::BugCheck),
        Just(StopKind::Hang),
        Just(StopKind::Unimplemented),
        Just(StopKind::HostDied)
    ];
    let registers = option::of((any::<u64>(), any::<u32>(), any::<u8>()));
    (kind, 0..0x200_u32, any::<[u64; 4]>(), option::of(driver()), text(), registers, vec(frame(), 0..20))
        .prop_map(|(kind, code, parameters, driver, message, registers, stack)| {
            let registers = registers
                .map(|(rip, eflags, irql)| Box::new(Registers { rip, eflags, irql, ..Registers::default() }));
            Body::Stop(Stop { kind, code, parameters, driver, message: message.into(), registers, stack })
        })
        .boxed()
}

fn leak() -> BoxedStrategy<Body<'static>> {
    let kind = prop_oneof![
        Just(LeakKind::Pool),
        Just(LeakKind::Device),
        Just(LeakKind::SymbolicLink),
        Just(LeakKind::Routine),
        Just(LeakKind::Thread),
        Just(LeakKind::Handle),
        Just(LeakKind::Other)
    ];
    (driver(), kind, text(), any::<u64>(), any::<u64>())
        .prop_map(|(driver, kind, what, count, bytes)| {
            Body::Leak(Leak { driver, kind, what: what.into(), count, bytes })
        })
        .boxed()
}

fn of_driver() -> BoxedStrategy<Body<'static>> {
    prop_oneof![
        (driver(), text(), text(), any::<u64>(), any::<u64>(), vec(text(), 0..6)).prop_map(
            |(driver, name, path, base, size, missing)| Body::DriverLoad {
                driver,
                name: name.into(),
                path: path.into(),
                base,
                size,
                missing: missing.into_iter().map(Into::into).collect(),
            }
        ),
        (driver(), status(), any::<u64>()).prop_map(|(driver, status, elapsed)| Body::DriverStart {
            driver,
            status,
            elapsed
        }),
        (driver(), option::of(any::<u64>()))
            .prop_map(|(driver, elapsed)| Body::DriverUnload { driver, elapsed }),
        (option::of(driver()), any::<u32>(), any::<u32>(), text()).prop_map(
            |(driver, component, level, text)| {
                Body::Debug { driver, component, level, text: text.into() }
            }
        ),
        (driver(), family(), any::<[u64; 3]>()).prop_map(|(driver, family, [calls, total, longest])| {
            Body::Timing(Timing { driver, family, calls, total, longest })
        }),
        (driver(), any::<[u64; 4]>()).prop_map(|(driver, [paged, most, nonpaged, most_nonpaged])| {
            Body::PoolUsage(PoolUsage {
                driver,
                paged: PoolPeak { allocations: paged, peak: most },
                nonpaged: PoolPeak { allocations: nonpaged, peak: most_nonpaged },
            })
        }),
    ]
    .boxed()
}

fn of_run() -> BoxedStrategy<Body<'static>> {
    let level = prop_oneof![Just(Level::Info), Just(Level::Warning)];
    prop_oneof![
        (text(), text(), text(), vec(text(), 0..4)).prop_map(|(version, profile, machine, command)| {
            Body::Start {
                version: version.into(),
                profile: profile.into(),
                machine: machine.into(),
                command: command.into_iter().map(Into::into).collect(),
            }
        }),
        (process(), text()).prop_map(|(process, text)| Body::Difference {
            change: event::Change::FindingGone,
            process,
            text: text.into()
        }),
        (level, text()).prop_map(|(level, text)| Body::Note { level, text: text.into() }),
        (option::of(any::<i32>()), option::of(any::<i32>()))
            .prop_map(|(code, signal)| Body::CommandExit { code, signal }),
        Just(Body::End),
    ]
    .boxed()
}

/// A record of any kind and content.
pub(crate) fn record() -> BoxedStrategy<Record<'static>> {
    let conditions = any::<[bool; 4]>();
    let conditions =
        conditions.prop_map(|[apc_level, all_apcs_disabled, unterminated_names, user_pages_gone]| {
            Conditions { apc_level, all_apcs_disabled, unterminated_names, user_pages_gone }
        });
    let event = (time(), client(), event_kind(), conditions)
        .prop_map(|(time, context, kind, conditions)| Body::Event(Event { time, context, kind, conditions }));
    let verdict = (process(), status(), option::of(driver()))
        .prop_map(|(process, status, driver)| Body::Verdict { process, status, driver });
    let termination = (process(), status(), option::of(driver()))
        .prop_map(|(process, status, driver)| Body::Termination { process, status, driver });
    let doubt = (process(), process()).prop_map(|(process, because)| Body::Doubt { process, because });
    let body = prop_oneof![
        4 => event, 1 => doubt, 1 => verdict, 1 => termination, 2 => of_driver(), 1 => of_run(), 1 => registration(), 1 => notification(),
        1 => finding(), 1 => stop(), 1 => leak(),
    ];
    let context = prop_oneof![Just(ClientId::default()), client()];
    (time(), context, body).prop_map(|(time, context, body)| Record { time, context, body }).boxed()
}
