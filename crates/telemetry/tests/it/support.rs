//! A day on a made-up machine, and how tests read what is told of it.

use telemetry::oracle::Entry;
use telemetry::{Reason, Rejected, Told, What, open_bytes};

pub(crate) const SYSMON: (&str, &str) = ("Microsoft-Windows-Sysmon", "Microsoft-Windows-Sysmon/Operational");
pub(crate) const SECURITY: (&str, &str) = ("Microsoft-Windows-Security-Auditing", "Security");

/// 2020-10-23 16:58:01.123, and as Sysmon writes it.
pub(crate) const TIME: u64 = 132_479_458_811_230_000;
pub(crate) const UTC: &str = "2020-10-23 16:58:01.123";

pub(crate) fn entry(
    (provider, channel): (&'static str, &'static str),
    id: u16,
    fields: &[(&'static str, &str)],
) -> Entry {
    let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Entry { provider, channel, id, computer: "HOST42.example.ORG".into(), time: TIME, fields }
}

pub(crate) fn guid(number: u32) -> String {
    format!("{{0000ABCD-0000-0000-0000-{number:012X}}}")
}

pub(crate) fn create(process: u32) -> Entry {
    entry(
        SYSMON,
        1,
        &[
            ("RuleName", "-"),
            ("UtcTime", UTC),
            ("ProcessGuid", &guid(process)),
            ("ProcessId", &process.to_string()),
            ("Image", "C:\\Windows\\a b\\ünï.exe"),
            ("CommandLine", "\"C:\\a.exe\" /x:\"<&>\" \t'"),
            ("ParentProcessGuid", &guid(4)),
            ("ParentProcessId", "4"),
            ("ParentImage", "-"),
        ],
    )
}

pub(crate) fn load(process: u32, path: &str) -> Entry {
    entry(
        SYSMON,
        7,
        &[
            ("UtcTime", UTC),
            ("ProcessGuid", &guid(process)),
            ("ProcessId", &process.to_string()),
            ("Image", "C:\\a.exe"),
            ("ImageLoaded", path),
            ("Signed", "true"),
        ],
    )
}

pub(crate) fn exit(process: u32) -> Entry {
    entry(
        SYSMON,
        5,
        &[
            ("UtcTime", UTC),
            ("ProcessGuid", &guid(process)),
            ("ProcessId", &process.to_string()),
            ("Image", "C:\\a.exe"),
        ],
    )
}

pub(crate) fn driver(path: &str) -> Entry {
    entry(SYSMON, 6, &[("UtcTime", UTC), ("ImageLoaded", path), ("Hashes", "-")])
}

pub(crate) fn created(process: u32) -> Entry {
    entry(
        SECURITY,
        4688,
        &[
            ("SubjectUserName", "-"),
            ("NewProcessId", &format!("{process:#x}")),
            ("NewProcessName", "C:\\Windows\\b.exe"),
            ("ProcessId", "0x4"),
            ("CommandLine", ""),
            ("ParentProcessName", "C:\\Windows\\c.exe"),
        ],
    )
}

pub(crate) fn exited(process: u32) -> Entry {
    entry(
        SECURITY,
        4689,
        &[
            ("Status", "0xc0000005"),
            ("ProcessId", &format!("{process:#x}")),
            ("ProcessName", "C:\\Windows\\b.exe"),
        ],
    )
}

pub(crate) fn other() -> Entry {
    entry(SYSMON, 3, &[("UtcTime", UTC), ("ProcessGuid", &guid(9)), ("ProcessId", "9")])
}

/// So many events of all kinds, each of another process.
pub(crate) fn day(count: u32) -> Vec<Entry> {
    (1..=count)
        .map(|number| match number % 6 {
            0 => other(),
            1 => create(number),
            2 => load(number, "C:\\Windows\\System32\\ntdll.dll"),
            3 => driver("C:\\d.sys"),
            4 => exit(number),
            _ => created(number),
        })
        .collect()
}

pub(crate) fn read(bytes: &[u8]) -> Vec<Result<Told, Rejected>> {
    open_bytes("a file", bytes).unwrap().collect()
}

/// What was told, without its numbers.
pub(crate) fn whats(records: &[Result<Told, Rejected>]) -> Vec<What> {
    records.iter().flatten().map(|told| told.what.clone()).collect()
}

/// The kinds of what was told, and the reasons of what was not.
pub(crate) fn kinds(records: &[Result<Told, Rejected>]) -> Vec<&'static str> {
    records
        .iter()
        .map(|record| match record {
            Ok(told) => match told.what {
                What::ProcessCreate(_) => "create",
                What::ProcessPresent(_) => "present",
                What::ProcessExit(_) => "exit",
                What::ThreadCreate(_) => "thread",
                What::ThreadExit(_) => "thread-exit",
                What::ImageLoad(_) => "image",
                What::DriverLoad(_) => "driver",
            },
            Err(rejected) => rejected.reason.name(),
        })
        .collect()
}

pub(crate) fn count(records: &[Result<Told, Rejected>], reason: Reason) -> usize {
    records.iter().filter(|record| record.as_ref().is_err_and(|rejected| rejected.reason == reason)).count()
}
