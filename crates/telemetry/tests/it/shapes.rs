//! The same events as JSON, in each shape that they have in the field.

use std::fmt::Write as _;

use telemetry::oracle::{Entry, evtx};
use telemetry::{Log, Reason, RecordId, Told, What};

use crate::support::*;

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => write!(quoted, "\\u{:04x}", u32::from(control)).unwrap(),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

fn object(fields: &[(String, String)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", fields.join(","))
}

fn fields(entry: &Entry, name: impl Fn(&str) -> String) -> Vec<(String, String)> {
    entry.fields.iter().map(|(field, value)| (name(field), quoted(value))).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn xml_data(entry: &Entry) -> String {
    let data: String = entry
        .fields
        .iter()
        .map(|(name, value)| format!("<Data Name=\"{name}\">{}</Data>", escaped(value)))
        .collect();
    format!("<EventData xmlns=\"http://x/\">{data}</EventData>")
}

/// The number that its log gave each event.
const RECORD: u64 = 4_294_967_301;
const ISO: &str = "2020-10-23T16:58:01.1230000Z";

fn winlogbeat(entry: &Entry) -> String {
    format!(
        "{{\"@timestamp\":\"2020-10-23T16:58:01.123Z\",\"process\":{{\"name\":\"x\"}},\"host\":{{\"name\":\"other\"}},\"winlog\":{{\"process\":{{\"pid\":99}},\
         \"provider_name\":{},\"event_id\":{},\"record_id\":{RECORD},\"computer_name\":{},\"event_data\":{}}},\"message\":\"ProcessId: 77\"}}",
        quoted(entry.provider),
        entry.id,
        quoted(&entry.computer),
        object(&fields(entry, str::to_owned)),
    )
}

/// Elasticsearch's answer to a search for fields: names with dots, lists of one.
fn dotted(entry: &Entry) -> String {
    let mut all: Vec<(String, String)> = fields(entry, |name| format!("winlog.event_data.{name}"));
    all.push(("winlog.provider_name".into(), quoted(entry.provider)));
    all.push(("winlog.event_id".into(), format!("\"{}\"", entry.id)));
    all.push(("winlog.computer_name".into(), quoted(&entry.computer)));
    all.push(("@timestamp".into(), quoted(ISO)));
    all.push(("winlog.record_id".into(), format!("\"{RECORD}\"")));
    let all: Vec<_> = all.into_iter().map(|(name, value)| (name, format!("[{value}]"))).collect();
    format!("{{\"_index\":\"i\",\"fields\":{}}}", object(&all))
}

fn nxlog(entry: &Entry) -> String {
    let mut all = vec![
        ("EventTime".into(), quoted(UTC)),
        ("Hostname".into(), quoted(&entry.computer)),
        ("EventID".into(), entry.id.to_string()),
        ("SourceName".into(), quoted(entry.provider)),
        ("ProcessID".into(), "2948".into()),
        ("RecordNumber".into(), RECORD.to_string()),
        ("Channel".into(), quoted(entry.channel)),
    ];
    all.extend(fields(entry, str::to_owned));
    object(&all)
}

fn mordor(entry: &Entry) -> String {
    let mut all = fields(entry, str::to_owned);
    all.push(("@timestamp".into(), quoted("2020-10-23T18:58:01.123+02:00")));
    all.push(("EventID".into(), entry.id.to_string()));
    all.push(("RecordNumber".into(), RECORD.to_string()));
    all.push(("Computer".into(), quoted(&entry.computer)));
    all.push(("SourceName".into(), quoted(entry.provider)));
    object(&all)
}

fn splunk(entry: &Entry) -> String {
    let mut all = fields(entry, str::to_owned);
    all.push(("EventCode".into(), format!("\"{}\"", entry.id)));
    all.push(("source".into(), quoted(&format!("XmlWinEventLog:{}", entry.channel))));
    all.push(("host".into(), quoted(&entry.computer)));
    all.push(("_time".into(), quoted("1603472281.123")));
    all.push(("ProcessID".into(), "\"2948\"".into()));
    all.push(("RecordNumber".into(), format!("\"{RECORD}\"")));
    format!("{{\"preview\":false,\"offset\":0,\"result\":{}}}", object(&all))
}

fn splunk_raw(entry: &Entry) -> String {
    let raw = format!(
        "<Event xmlns='x'><System><Provider Name='{}' Guid='{{x}}'/><EventID>{}</EventID><TimeCreated SystemTime='{ISO}'/><EventRecordID>{RECORD}</EventRecordID><Execution ProcessID='7'/>\
         <Channel>{}</Channel><Computer>{}</Computer></System>{}</Event>",
        entry.provider,
        entry.id,
        entry.channel,
        entry.computer,
        xml_data(entry)
    );
    format!("{{\"result\":{{\"_raw\":{}}}}}", quoted(&raw))
}

fn sentinel(entry: &Entry, data: &str, id: &str) -> String {
    format!(
        "{{\"TimeGenerated\":{},\"Source\":{},\"EventLog\":{},\"Computer\":{},\"EventID\":{id},\"EventRecordId\":\"{RECORD}\",\"EventData\":{}}}",
        quoted(ISO),
        quoted(entry.provider),
        quoted(entry.channel),
        quoted(&entry.computer),
        quoted(data),
    )
}

fn sentinel_xml(entry: &Entry) -> String {
    let data = format!("<DataItem type=\"System.XmlData\" time=\"{ISO}\">{}</DataItem>", xml_data(entry));
    sentinel(entry, &data, &entry.id.to_string())
}

fn sentinel_pairs(entry: &Entry) -> String {
    let pairs: Vec<String> = entry.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    sentinel(entry, &pairs.join(";"), &format!("\"{}\"", entry.id))
}

fn dump(entry: &Entry) -> String {
    format!(
        "{{\"Event\":{{\"#attributes\":{{\"xmlns\":\"x\"}},\"System\":{{\"Provider\":{{\"#attributes\":{{\"Name\":{}}}}},\"EventID\":{{\"#attributes\":\
         {{\"Qualifiers\":0}},\"#text\":{}}},\"TimeCreated\":{{\"#attributes\":{{\"SystemTime\":{}}}}},\"Execution\":{{\"#attributes\":{{\"ProcessID\":7}}}},\
         \"EventRecordID\":{RECORD},\"Computer\":{}}},\"EventData\":{}}}}}",
        quoted(entry.provider),
        entry.id,
        quoted(ISO),
        quoted(&entry.computer),
        object(&fields(entry, str::to_owned)),
    )
}

/// As a converter from XML leaves it.
fn converted(entry: &Entry) -> String {
    let data: Vec<String> = entry
        .fields
        .iter()
        .map(|(name, value)| format!("{{\"@Name\":{},\"#text\":{}}}", quoted(name), quoted(value)))
        .collect();
    format!(
        "{{\"Event\":{{\"System\":{{\"Provider\":{{\"@Name\":{}}},\"EventID\":\"{}\",\"TimeCreated\":{{\"@SystemTime\":{}}},\"EventRecordID\":\"{RECORD}\",\"Computer\":{}}},\
         \"EventData\":{{\"Data\":[{}]}}}}}}",
        quoted(entry.provider),
        entry.id,
        quoted(ISO),
        quoted(&entry.computer),
        data.join(","),
    )
}

fn lower_case(entry: &Entry) -> String {
    let mut all = fields(entry, str::to_lowercase);
    all.push(("eventid".into(), quoted(&entry.id.to_string())));
    all.push(("computername".into(), quoted(&entry.computer)));
    all.push(("provider_name".into(), quoted(entry.provider)));
    all.push(("timestamp".into(), "1603472281123".into()));
    all.push(("record_number".into(), quoted(&RECORD.to_string())));
    object(&all)
}

type Shape = fn(&Entry) -> String;

const SHAPES: [(&str, Shape); 12] = [
    ("winlogbeat", winlogbeat),
    ("dotted", dotted),
    ("nxlog", nxlog),
    ("mordor", mordor),
    ("splunk", splunk),
    ("splunk raw", splunk_raw),
    ("sentinel, xml", sentinel_xml),
    ("sentinel, pairs", sentinel_pairs),
    ("dump", dump),
    ("converted", converted),
    ("lower case", lower_case),
    ("an array of one", |entry| format!("[{}]", mordor(entry))),
];

fn untimed(told: &Told) -> Told {
    Told { number: 0, ..told.clone() }
}

#[test]
fn every_shape_tells_what_the_event_log_tells() {
    for entries in [
        vec![create(420), load(420, "C:\\x.dll"), driver("C:\\d.sys"), exit(420), other()],
        vec![created(420), exited(420)],
    ] {
        let expected: Vec<_> = read(&evtx(&entries, 100))
            .iter()
            .map(|record| record.as_ref().map(untimed).map_err(|r| r.reason))
            .map(|told| {
                told.map(|told| {
                    let log = told.record_id.expect("a log numbers its records").log;
                    Told { record_id: Some(RecordId { log, number: RECORD }), ..told }
                })
            })
            .collect();
        for (name, shape) in SHAPES {
            for entry_and_expected in entries.iter().zip(&expected) {
                let (entry, expected) = entry_and_expected;
                let text = shape(entry);
                let records = read(text.as_bytes());
                assert_eq!(records.len(), 1, "{name}: {text}");
                let told = records[0].as_ref().map(untimed).map_err(|rejected| rejected.reason);
                assert_eq!(&told, expected, "{name}: {text}");
            }
        }
    }
}

#[test]
fn a_record_has_the_number_that_its_log_gave_it_and_no_other() {
    let number = |text: &str| {
        let records = read(text.as_bytes());
        let Ok(told) = &records[0] else { panic!("{records:?}") };
        told.record_id
    };
    let of = |fields: &str| {
        number(&format!("{{{fields},\"EventID\":4689,\"Channel\":\"Security\",\"ProcessId\":\"0x1a4\"}}"))
    };
    let is = |number| Some(RecordId { log: Log::Security, number });
    // One tool writes beside the log's number that of the file.
    assert_eq!(of("\"RecordNumber\":1,\"EventRecordId\":\"9\""), is(9));
    assert_eq!(of("\"RecordID\":9"), is(9));
    for none in
        ["\"a\":1", "\"EventRecordID\":0", "\"EventRecordID\":-1", "\"RecordId\":\"9-a\"", "\"Index\":9"]
    {
        assert_eq!(of(none), None, "{none}");
    }
    let old = "{\"EventID\":4689,\"MachineName\":\"H\",\"Index\":9,\"Source\":\"Microsoft-Windows-Security-Auditing\",\
        \"ReplacementStrings\":[\"S-1-5-18\",\"u\",\"d\",\"0x3e7\",\"0x0\",\"0x1a4\",\"C:\\\\x.exe\"]}";
    assert_eq!(number(old), is(9));
}

#[test]
fn lines_arrays_and_objects_over_lines_tell_the_same() {
    let entries = day(40);
    let lines: Vec<String> = entries.iter().map(mordor).collect();
    let pretty: Vec<String> = lines
        .iter()
        .map(|line| {
            serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(line).unwrap()).unwrap()
        })
        .collect();
    let plain = lines.join("\n");
    let expected = whats(&read(plain.as_bytes()));
    assert!(expected.len() > 20);
    let wide: Vec<u8> = format!("\u{FEFF}{plain}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes) in [
        ("\\r\\n", lines.join("\r\n").into_bytes()),
        ("blank lines", lines.join("\n\n \n").into_bytes()),
        ("a mark", format!("\u{FEFF}{plain}").into_bytes()),
        ("utf-16", wide),
        ("an array", format!("[{}]", lines.join(",")).into_bytes()),
        ("an array of lines", format!("[\n{}\n]\n", lines.join(",\n")).into_bytes()),
        ("pretty", pretty.join("\n").into_bytes()),
        ("a pretty array", format!("[\n{}\n]", pretty.join(",\n")).into_bytes()),
        ("without anything between", lines.concat().into_bytes()),
        ("two on a line", lines.chunks(2).map(|two| two.join(" ") + "\n").collect::<String>().into_bytes()),
    ] {
        let records = read(&bytes);
        assert_eq!(records.len(), entries.len(), "{name}");
        assert_eq!(whats(&records), expected, "{name}");
    }
}

#[test]
fn the_number_of_a_record_is_its_line() {
    let text = format!("{}\n\nnothing\n{}\n{{\"EventID\":\n", mordor(&create(1)), mordor(&exit(1)));
    let numbers: Vec<_> = read(text.as_bytes())
        .into_iter()
        .map(|record| record.map(|told| told.number).map_err(|rejected| (rejected.number, rejected.reason)))
        .collect();
    assert_eq!(numbers, [Ok(1), Err((3, Reason::Malformed)), Ok(4), Err((5, Reason::Malformed))]);
    let cut = format!("{}\n{{\"EventID\":", mordor(&create(1)));
    assert_eq!(kinds(&read(cut.as_bytes())), ["create", "truncated"]);
}

#[test]
fn an_event_without_its_process_id_has_it_from_its_message_or_is_told_by_its_guid() {
    let without = |entry: &Entry| {
        let mut entry = entry.clone();
        entry.fields.retain(|(name, _)| *name != "ProcessId");
        entry
    };
    let process = |text: &str| match &read(text.as_bytes())[0] {
        Ok(Told { what: What::ProcessCreate(create), .. }) => create.subject.clone(),
        other => panic!("{other:?}"),
    };
    let text = nxlog(&without(&create(420)));
    let subject = process(&text);
    assert_eq!(
        (subject.process, subject.unique),
        (None, Some("0000abcd-0000-0000-0000-0000000001a4".into()))
    );
    let text =
        text.replacen('{', "{\"Message\":\"Process Create:\\r\\nProcessId: 420\\r\\nImage: x\\r\\n\",", 1);
    assert_eq!(process(&text).process, Some(420));
    let mut nothing = without(&exit(1));
    nothing.fields.retain(|(name, _)| *name != "ProcessGuid");
    assert_eq!(kinds(&read(nxlog(&nothing).as_bytes())), ["no-process"]);
}

#[test]
fn ecs_alone_is_enough() {
    let text = r#"{"@timestamp":"2020-10-23T16:58:01.123Z","event":{"code":1,"provider":"Microsoft-Windows-Sysmon"},"host":{"name":"H"},
        "process":{"pid":420,"entity_id":"{AB}","executable":"C:\\x.exe","command_line":"x","parent":{"pid":4,"entity_id":"{CD}","executable":"C:\\p.exe"}}}"#;
    let records = read(text.as_bytes());
    let Ok(Told { what: What::ProcessCreate(create), machine, .. }) = &records[0] else {
        panic!("{records:?}")
    };
    assert_eq!((create.subject.process, &create.subject.unique), (Some(420), &Some("ab".into())));
    assert_eq!((create.parent.process, create.parent.image.as_deref()), (Some(4), Some("C:\\p.exe")));
    assert_eq!(machine.as_deref(), Some("h"));
    let text = text.replace("\"code\":1", "\"code\":\"4688\"").replace("Sysmon", "Security-Auditing");
    let records = read(text.as_bytes());
    let Ok(Told { what: What::ProcessCreate(create), .. }) = &records[0] else { panic!("{records:?}") };
    assert_eq!((create.subject.process, create.parent.process), (Some(420), Some(4)));
}

#[test]
fn what_is_no_event_is_malformed_and_what_others_wrote_is_of_another_kind() {
    let text = "{\"a\":1}\n{}\n{\"EventID\":\"x\"}\n{\"EventID\":1,\"SourceName\":\"ESENT\"}\n{\"EventID\":4688,\"SourceName\":\"Microsoft-Windows-Security-SPP\"}\n";
    assert_eq!(
        kinds(&read(text.as_bytes())),
        ["malformed", "malformed", "malformed", "other-kind", "other-kind"]
    );
}

#[test]
fn sysmon_supersedes_the_security_log_of_the_same_machine_and_kind() {
    let on = |computer: &str, entry: Entry| mordor(&Entry { computer: computer.into(), ..entry });
    let text = [
        on("A", created(1)),
        on("B", created(2)),
        on("A", exited(1)),
        on("A", create(1)),
        on("B", exit(2)),
        on("B", exited(2)),
    ];
    assert_eq!(
        kinds(&read(text.join("\n").as_bytes())),
        ["superseded", "create", "exit", "create", "exit", "superseded"]
    );
    assert_eq!(
        kinds(&read(format!("[{}]", text.join(",")).as_bytes())),
        ["superseded", "create", "exit", "create", "exit", "superseded"]
    );
}
