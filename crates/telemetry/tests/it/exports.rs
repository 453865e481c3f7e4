//! Events as stores and PowerShell export them, and text that is made to do harm.

use std::io::{self, Read};

use proptest::prelude::*;
use telemetry::oracle::check_json;
use telemetry::{Feed, Reason, Told, What, look_live};

use crate::support::*;

/// A creation, exits and what is of another kind, on lines.
fn events(count: u32) -> Vec<String> {
    (1..=count)
        .map(|number| {
            let id = [1, 5, 3][number as usize % 3];
            format!(
                "{{\"SourceName\":\"Microsoft-Windows-Sysmon\",\"EventID\":{id},\"ProcessId\":{number},\"Computer\":\"H\",\"UtcTime\":\"{UTC}\",\
                 \"Image\":\"C:\\\\x {{[\\\"]}}\",\"Data\":[{{}}]}}"
            )
        })
        .collect()
}

fn told(text: &str) -> Vec<What> {
    whats(&read(text.as_bytes()))
}

/// Seven events in what stores put around them.
fn wrapped() -> [String; 8] {
    let events = events(7);
    let array = events.join(",");
    let hits: Vec<_> = events
        .iter()
        .map(|event| format!("{{\"_index\":\"i\",\"_score\":1.0,\"_source\":{event}}}"))
        .collect();
    let hits = hits.join(",\n  ");
    let results: Vec<_> = events
        .iter()
        .map(|event| format!("{{\"time\":\"2020\",\"category\":\"x\",\"properties\":{event}}}"))
        .collect();
    [
        format!(
            "{{\"took\":3,\"timed_out\":false,\"_shards\":{{\"total\":1}},\"hits\":{{\"total\":{{\"value\":7,\"relation\":\"eq\"}},\"max_score\":1.0,\"hits\":[{hits}]}}}}"
        ),
        format!(
            "{{\n  \"hits\": {{\n \"hits\": [\n  {hits}\n ]\n }},\n \"aggregations\": {{\"a\":{{\"buckets\":[{{\"key\":1}}]}}}}\n}}\n"
        ),
        format!("{{\"records\":[{array}]}}"),
        format!("{{\"records\":[{}]}}", results.join(",")),
        format!(
            "{{\"@odata.context\":\"https://x/$metadata\",\"value\":[{array}],\"@odata.nextLink\":\"https://x\"}}"
        ),
        format!("{{\"value\":[{array}],\"Count\":7}}"),
        format!("{{\"Events\":[{array}]}}"),
        format!(
            "{{\"preview\":false,\"init_offset\":0,\"messages\":[{{\"type\":\"DEBUG\",\"text\":\"x\"}}],\"fields\":[{{\"name\":\"_time\"}}],\"results\":[{array}],\"highlighted\":{{}}}}"
        ),
    ]
}

/// What the fuzzer begins with.
pub(crate) fn seeds() -> Vec<String> {
    let mut seeds = wrapped().to_vec();
    seeds.push(of_powershell(
        &["\"-\"", "\"2020-10-23 16:58:01.123\"", "\"g\"", "4"],
        "\"ProcessId: 8\"",
        "\"1/2/2020 1:00:00 PM\"",
    ));
    seeds
}

#[test]
fn arrays_in_objects_hold_what_lines_hold() {
    let lines = told(&events(7).join("\n"));
    assert_eq!(lines.len(), 5);
    for text in wrapped() {
        let records = read(text.as_bytes());
        assert_eq!(whats(&records), lines, "{text}");
        assert_eq!((records.len(), count(&records, Reason::OtherKind)), (7, 2), "{text}");
        // Page after page, each on a line or not.
        assert_eq!(read(format!("{text}\n{text}{text}").as_bytes()).len(), 21, "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_around_an_array_is_no_record(
        before in proptest::collection::vec(("[a-dA-D]{1,5}", "[0-9]{1,5}|\"[ -~&&[^\"\\\\]]{0,9}\"|\\{\"x\":\\[[0-9],\\{\\}\\]\\}|\\[\\]|null"), 0..4),
        after in proptest::collection::vec(("[a-dA-D]{1,5}", "[0-9]{1,5}|\"[ -~&&[^\"\\\\]]{0,9}\"|\\{\"x\":\\[[0-9],\\{\\}\\]\\}|\\[\\]|null"), 0..4),
        count in 1_u32..9,
        blank in "[ \t\r\n]{0,2}",
        key in "hits|Records|value|events|results",
    ) {
        let members = |members: &[(String, String)]| members.iter().map(|(key, value)| format!("\"{key}\":{blank}{value}{blank},")).collect::<String>();
        let after: String = after.iter().map(|(key, value)| format!("{blank},\"{key}\":{value}")).collect();
        let events = events(count);
        let text = format!("{{{}\"{key}\":[{blank}{}{blank}]{after}}}", members(&before), events.join(","));
        let records = read(text.as_bytes());
        prop_assert_eq!(records.len(), events.len(), "{}", text);
        prop_assert_eq!(whats(&records), told(&events.join("\n")));
        // Cut anywhere, what stands before is told, and all that is counted comes once.
        for end in (2..text.len()).step_by(7) {
            let (accepted, rejected) = check_json(&text.as_bytes()[..end]);
            prop_assert!(accepted + rejected <= records.len() as u64 + 1);
        }
    }
}

/// `Get-WinEvent | ConvertTo-Json` of a creation, in the layout of a version of Sysmon.
fn of_powershell(values: &[&str], message: &str, time: &str) -> String {
    let values: Vec<_> = values.iter().map(|value| format!("{{\"Value\":{value}}}")).collect();
    format!(
        "{{\r\n  \"Message\": {message},\r\n  \"Id\": 1,\r\n  \"Version\": 5,\r\n  \"Qualifiers\": null,\r\n  \"RecordId\": 7,\r\n  \"ProviderName\": \"Microsoft-Windows-Sysmon\",\r\n  \
         \"LogName\": \"Microsoft-Windows-Sysmon/Operational\",\r\n  \"ProcessId\": 2948,\r\n  \"ThreadId\": 3,\r\n  \"MachineName\": \"HOST42\",\r\n  \
         \"UserId\": {{\"BinaryLength\": 12, \"Value\": \"S-1-5-18\"}},\r\n  \"TimeCreated\": {time},\r\n  \"Properties\": [{}]\r\n}}",
        values.join(",")
    )
}

#[test]
fn what_powershell_says_of_sysmons_creation_is_read_by_its_place() {
    let guid = "\"0000abcd-0000-0000-0000-000000000007\"";
    let parent = "\"0000abcd-0000-0000-0000-000000000004\"";
    let start = ["\"2020-10-23 16:58:01.123\"", guid, "420", "\"C:\\\\x.exe\""];
    let version = ["\"1.0\"", "\"d\"", "\"p\"", "\"c\""];
    let end = [
        "\"x /1\"",
        "\"C:\\\\\"",
        "\"u\"",
        guid,
        "999",
        "1",
        "\"High\"",
        "\"SHA1=0\"",
        parent,
        "4",
        "\"C:\\\\p.exe\"",
        "\"p /2\"",
    ];
    let layouts: [Vec<&str>; 5] = [
        [&start[..], &end].concat(),
        [&start[..], &version, &end].concat(),
        [&["\"-\""], &start[..], &version, &end].concat(),
        [&["\"r\""], &start[..], &version, &["\"x.exe\""], &end].concat(),
        [&["\"\""], &start[..], &version, &["\"x.exe\""], &end, &["\"u\""]].concat(),
    ];
    let message = "\"Process Create:\\r\\nUtcTime: 2020-10-23 16:58:01.123\\r\\nProcessGuid: {0000ABCD-0000-0000-0000-000000000007}\\r\\nProcessId: 420\\r\\n\
        Image: C:\\\\x.exe\\r\\nCommandLine: x /1\\r\\nParentProcessGuid: {0000ABCD-0000-0000-0000-000000000004}\\r\\nParentProcessId: 4\\r\\nParentImage: C:\\\\p.exe\\r\\nParentCommandLine: p /2\"";
    let five = "\"\\/Date(1603472281123)\\/\"";
    let mut texts: Vec<_> = layouts.iter().map(|layout| of_powershell(layout, "null", five)).collect();
    texts.push(of_powershell(&layouts[3], message, "\"2020-10-23T18:58:01.123+02:00\""));
    // Of a version that nobody knows, and deeper than it was asked for: the message says it.
    texts.push(of_powershell(&layouts[3][..20], message, five));
    let shallow = "\"System.Diagnostics.Eventing.Reader.EventProperty\"";
    texts.push(
        of_powershell(&[], message, five)
            .replace("\"Properties\": []", &format!("\"Properties\": [{shallow},{shallow}]")),
    );
    texts.push(format!("[\r\n{}\r\n]", texts[4]));
    for text in &texts {
        let records = read(text.as_bytes());
        let [Ok(Told { what: What::ProcessCreate(create), machine, time, .. })] = &records[..] else {
            panic!("{text} {records:?}")
        };
        assert_eq!(create.subject.process, Some(420), "{text}");
        assert_eq!(create.subject.unique, Some("0000abcd-0000-0000-0000-000000000007".into()));
        assert_eq!(create.subject.image.as_deref(), Some("C:\\x.exe"));
        assert_eq!(create.command_line.as_deref(), Some("x /1"), "{text}");
        assert_eq!(
            (create.parent.process, create.parent.image.as_deref()),
            (Some(4), Some("C:\\p.exe")),
            "{text}"
        );
        assert_eq!(
            (machine.as_deref(), time.map(|time| time.0)),
            (Some("host42"), Some(132_479_458_811_230_000))
        );
    }
    // Neither: the process that wrote the log is not taken for the one it tells of.
    let neither = of_powershell(&["1", "2"], "\"ein Text\"", five);
    assert_eq!(kinds(&read(neither.as_bytes())), ["no-process"]);
}

#[test]
fn the_other_events_are_read_by_their_places_too() {
    let guid = "\"0000abcd-0000-0000-0000-000000000007\"";
    let kinds_of = |id: u32, log: &str, values: &[&str]| {
        let text = of_powershell(values, "null", "\"2020-10-23T16:58:01Z\"")
            .replace("\"Id\": 1,", &format!("\"Id\": {id},"))
            .replace("Microsoft-Windows-Sysmon", log);
        let mut records = read(text.as_bytes());
        assert_eq!(records.len(), 1);
        records.remove(0)
    };
    let sysmon = "Microsoft-Windows-Sysmon";
    let Ok(exit) = kinds_of(
        5,
        sysmon,
        &["\"-\"", "\"2020-10-23 16:58:01.123\"", guid, "420", "\"C:\\\\x.exe\"", "\"u\""],
    ) else {
        panic!()
    };
    assert!(matches!(&exit.what, What::ProcessExit(exit) if exit.subject.process == Some(420)), "{exit:?}");
    let Ok(driver) = kinds_of(
        6,
        sysmon,
        &[
            "\"-\"",
            "\"2020-10-23 16:58:01.123\"",
            "\"C:\\\\d.sys\"",
            "\"h\"",
            "\"true\"",
            "\"s\"",
            "\"Valid\"",
        ],
    ) else {
        panic!()
    };
    assert!(
        matches!(&driver.what, What::DriverLoad(driver) if driver.path.as_deref() == Some("C:\\d.sys")),
        "{driver:?}"
    );
    let image = [
        "\"-\"",
        "\"2020-10-23 16:58:01.123\"",
        guid,
        "420",
        "\"C:\\\\x.exe\"",
        "\"C:\\\\y.dll\"",
        "\"1\"",
        "\"d\"",
        "\"p\"",
        "\"c\"",
        "\"o\"",
        "\"h\"",
        "\"true\"",
        "\"s\"",
        "\"Valid\"",
        "\"u\"",
    ];
    let Ok(image) = kinds_of(7, sysmon, &image) else { panic!() };
    assert!(
        matches!(&image.what, What::ImageLoad(image) if image.path.as_deref() == Some("C:\\y.dll")),
        "{image:?}"
    );

    let security = "Microsoft-Windows-Security-Auditing";
    let sid = "{\"BinaryLength\":12,\"AccountDomainSid\":null,\"Value\":\"S-1-5-18\"}";
    let all = [
        sid,
        "\"u\"",
        "\"d\"",
        "999",
        "420",
        "\"C:\\\\x.exe\"",
        "\"%%1936\"",
        "4",
        "\"x /1\"",
        sid,
        "\"-\"",
        "\"-\"",
        "0",
        "\"C:\\\\p.exe\"",
        sid,
    ];
    for (count, line, parent) in
        [(8, None, None), (9, Some("x /1"), None), (15, Some("x /1"), Some("C:\\p.exe"))]
    {
        let Ok(Told { what: What::ProcessCreate(create), .. }) = kinds_of(4688, security, &all[..count])
        else {
            panic!("{count}")
        };
        assert_eq!((create.subject.process, create.parent.process), (Some(420), Some(4)));
        assert_eq!((create.command_line.as_deref(), create.parent.image.as_deref()), (line, parent));
    }
    let Ok(Told { what: What::ProcessExit(exit), .. }) =
        kinds_of(4689, security, &[sid, "\"u\"", "\"d\"", "999", "3221225477", "420", "\"C:\\\\x.exe\""])
    else {
        panic!()
    };
    assert_eq!((exit.subject.process, exit.status), (Some(420), Some(0xC000_0005)));

    let old = "{\"EventID\":4688,\"MachineName\":\"H\",\"Data\":[],\"Index\":1,\"Source\":\"Microsoft-Windows-Security-Auditing\",\"InstanceId\":4688,\
        \"ReplacementStrings\":[\"S-1-5-18\",\"u\",\"d\",\"0x3e7\",\"0x1a4\",\"C:\\\\x.exe\",\"%%1936\",\"0x4\"],\"TimeGenerated\":\"\\/Date(1603472281000)\\/\"}";
    let records = read(old.as_bytes());
    let [Ok(Told { what: What::ProcessCreate(create), time: Some(_), .. })] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!((create.subject.process, create.parent.process), (Some(420), Some(4)));
}

#[test]
fn a_date_that_may_be_two_is_none_until_another_says_which() {
    let line = |time: &str| {
        format!(
            "{{\"EventID\":4688,\"Channel\":\"Security\",\"Time\":\"{time}\",\"NewProcessId\":\"0x8\",\"ProcessId\":\"0x4\"}}\n"
        )
    };
    let text: String =
        ["10/11/2020 3:45:12 PM", "10/22/2020 3:45:12.5 PM", "10/11/2020 3:45:12 PM"].map(line).concat();
    let times: Vec<_> =
        read(text.as_bytes()).into_iter().map(|record| record.unwrap().time.is_some()).collect();
    assert_eq!(times, [false, true, true]);
}

/// A stream that is made as it is read.
struct Endless {
    head: &'static [u8],
    fill: u8,
    tail: &'static [u8],
    left: u64,
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let from = match (self.head, self.left) {
            ([], 0) => &mut self.tail,
            ([], left) => {
                let length = into.len().min(usize::try_from(left).unwrap());
                into[..length].fill(self.fill);
                self.left -= length as u64;
                return Ok(length);
            }
            _ => &mut self.head,
        };
        let length = from.len().min(into.len());
        into[..length].copy_from_slice(&from[..length]);
        *from = &from[length..];
        Ok(length)
    }
}

/// The most that this process has had in memory, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_line_of_a_gibibyte_is_not_held() {
    const LEFT: u64 = 1 << 30;
    let tail = b"\"}\n{\"EventID\":5,\"SourceName\":\"Microsoft-Windows-Sysmon\",\"ProcessId\":4}\n";
    let recording = b"{\"type\":\"recording\",\"schema\":\"callboard.recording/1\",\"machine\":\"m\",\"started\":0,\"source\":\"\",\"producer\":\"\"}\n{\"type\":\"";
    let one = b"{\"EventID\":5}\n{\"EventID\":5,\"a\":\"";
    let wrapped = b"{\"records\":[{\"EventID\":5},{\"EventID\":5,\"a\":\"";
    let csv = b"\"Time of Day\",\"Process Name\",\"PID\",\"Operation\",\"Path\",\"Result\",\"Detail\"\r\n\"";
    for (head, fill, count) in [
        (&one[..], b'x', 3),
        (&wrapped[..], b'[', 3),
        (&recording[..], b'\0', 3),
        (&csv[..], b',', 2),
        (&one[..], b'\\', 2),
    ] {
        let before = peak();
        let stream = Endless { head, fill, tail, left: LEFT };
        let (part, format) = look_live("a pipe", Box::new(stream)).unwrap().parts.remove(0);
        let fed = Feed::open(&part, format).unwrap().filter(|fed| *fed != telemetry::Fed::Idle).count();
        assert!(fed >= count - 1 && fed <= count + 1, "{fed} of {}", head.escape_ascii());
        assert!(peak() - before < 150 << 10, "{} KiB for {}", peak() - before, head.escape_ascii());
    }
}

#[test]
fn hostile_text_ends_in_its_account() {
    let deep = |open: &str, close: &str| open.repeat(200_000) + &close.repeat(200_000);
    let million = |what: &str| format!("[{}{what}]", format!("{what},").repeat(999_999));
    assert_eq!(check_json(million("{}").as_bytes()), (0, 1_000_000));
    assert_eq!(check_json(format!("{{\"value\":{}}}", million("{}")).as_bytes()), (0, 1_000_000));
    for text in [
        format!("{{\"a\":{}}}\n", deep("[", "]")),
        format!("{{\"a\":{}1{}}}\n", "{\"a\":".repeat(100_000), "}".repeat(100_000)),
        format!("{}{}", "{\"hits\":".repeat(100_000), "}".repeat(100_000)),
        deep("[", "]"),
        format!("{{\"Properties\":{}}}\n", deep("[", "]")),
    ] {
        let (accepted, rejected) = check_json(text.as_bytes());
        assert!(accepted == 0 && rejected <= 2, "{accepted} {rejected}");
    }
    let event = "{\"EventID\":5,\"SourceName\":\"Microsoft-Windows-Sysmon\",\"ProcessId\":4}";
    let kinds = |text: &[u8]| kinds(&read(text));
    let with = |odd: &[u8], after: &str| {
        [event.as_bytes(), b"\n", odd, b"\n", event.as_bytes(), after.as_bytes()].concat()
    };
    assert_eq!(kinds(&with(b"\0\0\0\0", "\r\n")), ["exit", "malformed", "exit"]);
    assert_eq!(
        kinds(&with(b"{\"EventID\":5,\"Image\":\"\xFF\xFE\"}", "")),
        ["exit", "malformed", "exit"],
        "no UTF-8"
    );
    assert_eq!(
        kinds(&with(b"{\"EventID\":5,\"Image\":\"\\ud800\"}", "")),
        ["exit", "malformed", "exit"],
        "half a pair"
    );
    assert_eq!(kinds(&with("\u{feff}".as_bytes(), "\n")), ["exit", "exit"], "a mark on a line of its own");
    assert_eq!(
        kinds(&with(format!("\u{feff}{event}").as_bytes(), "\n")),
        ["exit", "exit", "exit"],
        "and in the middle"
    );
    assert_eq!(
        kinds(format!("{event}\r\n\r\n{event}\n\r\n\n{event}\r").as_bytes()),
        ["exit", "exit", "exit"]
    );
}
