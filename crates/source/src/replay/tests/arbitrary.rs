//! Any sequence of records: nothing is lost, nothing told twice, and nothing told in an order that NT has not.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use telemetry::{DriverLoad, Log, Reason, RecordId, Rejected, Unique};

use super::super::Told as Event;
use super::*;

fn id() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![
        1 => Just(None),
        1 => any::<u32>().prop_map(Some),
        20 => (0..6u32).prop_map(|id| Some(id * 4)),
    ]
}

fn unique() -> impl Strategy<Value = Option<Unique>> {
    prop_oneof![Just(None), (0..4u32).prop_map(|number| Some(format!("guid-{number}").as_str().into()))]
}

fn path() -> impl Strategy<Value = Option<String>> {
    let paths = [
        "",
        r"C:\bin\a.exe",
        r"C:\bin\b.exe",
        r"C:\Windows\System32\ntdll.dll",
        r"C:\x.dll",
        "é",
        r"\Device\Mup\s\a.exe",
    ];
    prop::option::of(prop::sample::select(paths.to_vec()).prop_map(str::to_owned))
}

prop_compose! {
    fn subject()(process in id(), unique in unique(), image in path()) -> Subject {
        Subject { process, unique, image: image.map(Into::into) }
    }
}

fn what() -> impl Strategy<Value = What> {
    let create = || {
        (subject(), subject(), id(), id(), any::<Option<bool>>()).prop_map(
            |(subject, parent, by, thread, is_32_bit)| ProcessCreate {
                subject,
                parent,
                creator: (by, thread),
                command_line: None,
                is_32_bit,
            },
        )
    };
    let thread = || {
        (subject(), id(), id()).prop_map(|(subject, thread, by)| ThreadEvent {
            subject,
            thread,
            by,
            status: None,
        })
    };
    let image = (subject(), id(), path()).prop_map(|(subject, thread, path)| ImageLoad {
        subject,
        thread,
        path,
        base: None,
        size: None,
    });
    prop_oneof![
        4 => create().prop_map(What::ProcessCreate),
        1 => create().prop_map(What::ProcessPresent),
        3 => subject().prop_map(|subject| What::ProcessExit(ProcessExit { subject, status: None })),
        3 => thread().prop_map(What::ThreadCreate),
        2 => thread().prop_map(What::ThreadExit),
        4 => image.prop_map(What::ImageLoad),
        1 => path().prop_map(|path| What::DriverLoad(DriverLoad { path, base: None, size: None })),
    ]
}

fn time() -> impl Strategy<Value = Option<Time>> {
    prop_oneof![
        1 => Just(None),
        1 => any::<i64>().prop_map(|time| Some(Time(time))),
        20 => (0..60i64).prop_map(|time| Some(Time(time))),
    ]
}

fn record_id() -> impl Strategy<Value = Option<RecordId>> {
    let log = prop::sample::select(vec![Log::Sysmon, Log::Security]);
    prop::option::of((log, 1..30u64).prop_map(|(log, number)| RecordId { log, number }))
}

type Record = (Option<String>, Option<Time>, Option<RecordId>, What);

fn record() -> impl Strategy<Value = Result<Record, Reason>> {
    let machine =
        prop::option::of(prop::sample::select(vec!["A".to_owned(), "a".to_owned(), "B".to_owned()]));
    prop_oneof![
        1 => prop::sample::select(Reason::ALL.to_vec()).prop_map(Err),
        15 => (machine, time(), record_id(), what()).prop_map(Ok),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    (0..12usize, 0..40u64, any::<bool>()).prop_map(|(window, span, strict)| Options {
        window,
        span: Duration::from_nanos(span * 100),
        strictness: if strict { Strictness::Strict } else { Strictness::Lenient },
        ..Options::default()
    })
}

/// Everything that comes out.
#[derive(Debug, Default, PartialEq)]
struct Everything {
    by_machine: BTreeMap<usize, Vec<Event>>,
    accepted: Vec<(u64, Vec<Event>)>,
    rejected: Vec<u64>,
    account: Account,
}

type Records = Vec<Result<Record, Reason>>;

fn everything(options: &Options, records: &Records) -> Everything {
    let mut normaliser = Normaliser::new(options.clone());
    let mut all = Everything::default();
    let mut out = |step: Step<'_>| match step {
        Step::Accepted(accepted) => {
            all.by_machine.entry(accepted.machine).or_default().extend_from_slice(accepted.events);
            all.accepted.push((accepted.number, accepted.events.to_vec()));
        }
        Step::Passed(_) => unreachable!("there are no events among records"),
        Step::Rejected(rejection) => all.rejected.push(rejection.number),
    };
    for (number, record) in (1..).zip(records.clone()) {
        let record = match record {
            Ok((machine, time, record_id, what)) => {
                let machine = machine.map(Into::into);
                Ok(Told { number, machine, time, record_id, what })
            }
            Err(reason) => Err(Rejected { number, reason, detail: String::new() }),
        };
        normaliser.take(0, record.map(Box::new), &mut out);
    }
    normaliser.finish(&mut out);
    all.account = normaliser.account().clone();
    all
}

/// Whether a record's own event says what the record says.
fn is_of(what: &What, event: &EventKind<'_>) -> bool {
    match (what, event) {
        (What::ProcessCreate(create), EventKind::ProcessCreate(process))
        | (What::ProcessPresent(create), EventKind::ProcessPresent(process)) => {
            create.subject.process.is_none_or(|id| process.process.0 == id)
                && create.parent.process.unwrap_or(0) == process.parent.0
        }
        (What::ProcessExit(exit), EventKind::ProcessExit(event)) => {
            exit.subject.process.is_none_or(|id| event.process.0 == id)
        }
        (What::ThreadCreate(thread), EventKind::ThreadCreate(event)) => {
            thread.thread == Some(event.thread.thread.0)
        }
        (What::ThreadExit(thread), EventKind::ThreadExit(event)) => {
            thread.thread == Some(event.thread.thread.0)
        }
        (What::ImageLoad(load), EventKind::ImageLoad(event)) => {
            load.subject.process.is_none_or(|id| event.process.0 == id)
        }
        (What::DriverLoad(_), EventKind::ImageLoad(event)) => event.process.0 == 0,
        _ => false,
    }
}

/// A process as a driver could follow it.
struct Life {
    created: bool,
    threads: BTreeSet<u32>,
    images: u32,
    name: Option<String>,
}

/// What one machine tells, checked event by event.
fn check(events: &[Event]) -> Result<(), TestCaseError> {
    let mut lives: HashMap<u32, Life> = HashMap::new();
    let mut due: Option<(u32, u32)> = None;
    for Event { event, .. } in events {
        let id = event.process().0;
        if let Some((process, thread)) = due.take() {
            let follows = matches!(&event.kind, EventKind::ThreadCreate(it) if (it.thread.process.0, it.thread.thread.0) == (process, thread));
            prop_assert!(follows, "the first thread follows its process, and not {event:?}");
        }
        let is_system = id == 0 || id == 4;
        let born = |process: &event::Process<'_>, created| Life {
            created,
            threads: [process.first_thread.0].into(),
            images: 0,
            name: process.image.as_ref().map(|name| name.file_name().to_lowercase()),
        };
        match &event.kind {
            EventKind::ProcessPresent(process) => {
                prop_assert!(is_system || !lives.contains_key(&id), "{id} is there already");
                if !is_system {
                    lives.insert(id, born(process, false));
                }
            }
            EventKind::ProcessCreate(process) => {
                prop_assert!(!is_system);
                prop_assert!(lives.get(&id).is_none_or(|life| !life.created), "{id} lives");
                lives.insert(id, born(process, true));
                due = Some((id, process.first_thread.0));
            }
            EventKind::ProcessClone(_) => prop_assert!(false, "no recording tells of clones"),
            EventKind::ProcessExit(_) => {
                let life = lives.remove(&id);
                prop_assert!(life.is_some(), "{id} does not live");
                prop_assert!(life.is_some_and(|life| life.threads.is_empty()), "{id} has threads");
                prop_assert_eq!(event.context.process.0, id);
            }
            _ if is_system => {}
            kind => {
                let life = lives.get_mut(&id);
                prop_assert!(life.is_some(), "{id} does not live: {event:?}");
                let Some(life) = life else { continue };
                match kind {
                    EventKind::ThreadCreate(it) => {
                        life.threads.insert(it.thread.thread.0);
                    }
                    EventKind::ThreadExit(it) => {
                        life.threads.remove(&it.thread.thread.0);
                    }
                    EventKind::ImageLoad(image) if life.created => {
                        let name = image.name.as_ref().map(|name| name.file_name().to_lowercase());
                        let is_main = life.name.is_none() || name == life.name;
                        prop_assert!(life.images > 0 || is_main, "the main image is the first: {event:?}");
                        life.images += 1;
                    }
                    _ => {}
                }
            }
        }
        let context = event.context.process.0;
        let ends = matches!(event.kind, EventKind::ProcessExit(_));
        prop_assert!(ends || context == 4 || lives.contains_key(&context), "nobody is {context}: {event:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_record_is_told_once_or_rejected_once(options in options(), records in prop::collection::vec(record(), 0..40)) {
        let all = everything(&options, &records);
        let mut numbers: Vec<_> = all.rejected.iter().copied().chain(all.accepted.iter().map(|(number, _)| *number)).collect();
        numbers.sort_unstable();
        prop_assert_eq!(numbers, (1..=records.len() as u64).collect::<Vec<_>>());
        prop_assert_eq!(all.account.read, records.len() as u64);
        prop_assert_eq!(all.account.accepted, all.accepted.len() as u64);
        prop_assert_eq!(all.account.rejections(), all.rejected.len() as u64);
        for (number, events) in &all.accepted {
            let recorded: Vec<_> = events.iter().filter(|told| told.recorded).collect();
            prop_assert_eq!(recorded.len(), 1, "{:?}", events);
            let Ok((.., what)) = &records[usize::try_from(*number).unwrap_or(0) - 1] else { panic!("told: {number}") };
            prop_assert!(is_of(what, &recorded[0].event.kind), "{:?} for {:?}", recorded, what);
        }
        let made = all.accepted.iter().flat_map(|(_, events)| events).filter(|told| !told.recorded).count() as u64;
        let ids = all.account.synthesised.get(&super::super::Synthesis::ProcessId).copied().unwrap_or(0);
        prop_assert_eq!(all.account.synthesised.values().sum::<u64>() - ids, made, "each is counted");
    }

    #[test]
    fn what_its_log_has_numbered_is_told_once_however_often_it_comes(
        options in options(),
        mut records in prop::collection::vec(record(), 0..40),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        for (number, record) in (1..).zip(&mut records) {
            if let Ok((_, time, id, _)) = record {
                *time = Some(Time(time.map_or(0, |time| time.0.rem_euclid(60))));
                *id = Some(RecordId { log: Log::Sysmon, number });
            }
        }
        let once = everything(&options, &records);
        let mut more = records.clone();
        if !records.is_empty() {
            more.extend(again.iter().map(|index| index.get(&records).clone()));
        }
        let twice = everything(&options, &more);
        prop_assert_eq!(&once.accepted, &twice.accepted);
        prop_assert_eq!(twice.account.read, twice.account.accepted + twice.account.rejections());
    }

    #[test]
    fn r_ord_01_r_ord_06_each_machine_tells_lives_in_their_order(options in options(), records in prop::collection::vec(record(), 0..40)) {
        let all = everything(&options, &records);
        for events in all.by_machine.values() {
            check(events)?;
        }
        prop_assert_eq!(&all, &everything(&options, &records), "the same again");
    }
}
