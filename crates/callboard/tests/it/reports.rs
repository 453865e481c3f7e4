//! `--report`: what build servers, editors and trace viewers get, through the command line.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use quick_xml::events::Event;
use serde_json::{Value, json};

use crate::support::{callboard, can_trace, driver};

/// A recording of a machine on which a shell starts a program: lines of Sysmon's as JSON.
fn recording(folder: &Path, machines: &[&str]) -> String {
    let mut lines = Vec::new();
    for machine in machines {
        let mut add = |id: u32, at: u32, fields: Value| {
            let mut event = json!({
                "Channel": "Microsoft-Windows-Sysmon/Operational",
                "SourceName": "Microsoft-Windows-Sysmon",
                "EventID": id,
                "Hostname": machine,
                "UtcTime": format!("2024-05-01 10:00:00.{at:03}"),
            });
            event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            lines.push(event.to_string());
        };
        let create = |pid: u32, parent: u32, image: &str| json!({ "ProcessId": pid, "ParentProcessId": parent, "Image": image, "CommandLine": image });
        add(1, 100, create(1000, 800, r"C:\Windows\explorer.exe"));
        add(1, 200, create(1200, 1000, r"C:\Temp\evil.exe"));
        add(
            7,
            210,
            json!({ "ProcessId": 1200, "Image": r"C:\Temp\evil.exe", "ImageLoaded": r"C:\Temp\evil.exe" }),
        );
        add(5, 300, json!({ "ProcessId": 1200, "Image": r"C:\Temp\evil.exe" }));
        add(5, 400, json!({ "ProcessId": 1000, "Image": r"C:\Windows\explorer.exe" }));
    }
    let path = folder.join("day.json");
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    path.to_str().unwrap().to_owned()
}

fn rule_driver(name: &str) -> String {
    driver(&format!("rules/{name}")).to_str().unwrap().to_owned()
}

/// What a command came to, in a directory of its own.
struct Ran {
    code: i32,
    out: String,
    said: String,
    directory: tempfile::TempDir,
}

impl Ran {
    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.file(name)).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.directory.path().join(name).exists()
    }
}

fn ran_in(directory: tempfile::TempDir, arguments: &[&str]) -> Ran {
    let output = callboard().current_dir(directory.path()).args(arguments).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
        directory,
    }
}

fn ran(arguments: &[&str]) -> Ran {
    ran_in(tempfile::tempdir().unwrap(), arguments)
}

/// Replays the recording through a driver with these arguments.
fn replayed(driver: &str, machines: &[&str], arguments: &[&str]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let path = recording(directory.path(), machines);
    let mut all = vec!["replay", &path, "-q"];
    if !driver.is_empty() {
        all.extend(["--driver", driver]);
    }
    all.extend(arguments);
    ran_in(directory, &all)
}

const ALL: [&str; 6] = ["--report", "sarif", "--report", "junit", "--report", "perfetto"];

/// The tests of a JUnit file, by suite and name: how each ended, and with which message.
fn tests(xml: &str) -> BTreeMap<(String, String), (String, String)> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut tests = BTreeMap::new();
    let mut current = None;
    loop {
        let event = reader.read_event().unwrap();
        let (Event::Start(tag) | Event::Empty(tag)) = &event else {
            if matches!(event, Event::Eof) {
                return tests;
            }
            continue;
        };
        let attributes: HashMap<String, String> = tag
            .attributes()
            .map(|attribute| {
                let attribute = attribute.unwrap();
                let value = std::str::from_utf8(&attribute.value).unwrap().to_owned();
                let value = quick_xml::escape::unescape(&value).unwrap().into_owned();
                (String::from_utf8(attribute.key.as_ref().to_vec()).unwrap(), value)
            })
            .collect();
        let get = |name: &str| attributes.get(name).cloned().unwrap_or_default();
        match tag.name().as_ref() {
            b"testcase" => {
                let key = (get("classname"), get("name"));
                tests.insert(key.clone(), ("passed".to_owned(), String::new()));
                current = Some(key);
            }
            end @ (b"failure" | b"skipped" | b"error") => {
                let end = String::from_utf8(end.to_vec()).unwrap();
                tests.insert(current.clone().unwrap(), (end, get("message")));
            }
            _ => {}
        }
    }
}

fn results(sarif: &Value) -> Vec<&Value> {
    sarif["runs"][0]["results"].as_array().unwrap().iter().collect()
}

#[test]
fn l_01_a_finding_is_in_every_report() {
    let ran = replayed(&rule_driver("l-01-bad"), &["host42"], &[&ALL[..], &["--fail-on-findings"]].concat());
    assert_eq!(ran.code, 124, "{}", ran.said);

    let sarif = ran.json("callboard.sarif");
    let results = results(&sarif);
    let [result] = results[..] else { panic!("{results:#?}") };
    assert_eq!((&result["ruleId"], &result["level"]), (&json!("L-01"), &json!("warning")));
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
    assert_eq!(rule["id"], "L-01");
    assert!(rule["help"]["markdown"].as_str().unwrap().starts_with("# L-01: "), "{rule}");
    let location = &result["locations"][0];
    let physical = &location["physicalLocation"];
    assert!(
        physical["artifactLocation"]["uri"].as_str().unwrap().ends_with("/rules/l-01-bad.sys"),
        "{result}"
    );
    assert!(physical["address"]["relativeAddress"].as_u64().unwrap() > 0x1000, "{result}");
    assert_eq!(location["logicalLocations"][0]["fullyQualifiedName"], "l-01-bad.sys!OnProcess");
    assert!(result["stacks"][0]["frames"].as_array().unwrap().len() >= 2, "{result}");
    let properties = &result["properties"];
    assert_eq!((&properties["machine"], &properties["driver"]), (&json!("host42"), &json!("l-01-bad")));
    assert!(properties["event"].as_str().unwrap().starts_with(r"process_create "), "{properties}");
    assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], true);

    let tests = tests(&ran.file("callboard.junit.xml"));
    let failed: Vec<_> = tests.iter().filter(|(_, (end, _))| end == "failure").collect();
    let [((suite, name), (_, message))] = failed[..] else { panic!("{failed:#?}") };
    assert_eq!(suite, "host42: l-01-bad");
    assert!(name.starts_with("L-01: ") && message.contains("ZwOpenKey"), "{failed:#?}");
    assert!(tests.iter().all(|(_, (end, _))| end != "skipped"), "{tests:#?}");
    assert!(tests.len() > 25, "a test for each rule: {tests:#?}");

    let trace = ran.json("callboard.perfetto.json");
    let trace = trace.as_array().unwrap();
    let of = |category: &str, phase: &str| -> Vec<&Value> {
        trace.iter().filter(|event| event["cat"] == category && event["ph"] == phase).collect()
    };
    assert_eq!(of("routine", "X").len(), 4, "two creations and two exits");
    assert!(of("routine", "X").iter().all(|call| call["args"]["driver"] == "l-01-bad"));
    assert_eq!((of("process", "s").len(), of("process", "f").len()), (2, 2), "arrows");
    assert_eq!(of("finding", "i").len(), 1);
    assert_eq!(of("image", "i").len(), 1);
    let names: HashSet<_> = trace
        .iter()
        .filter(|event| event["name"] == "process_name")
        .map(|event| event["args"]["name"].as_str().unwrap())
        .collect();
    assert!(names.contains("host42: evil.exe (1200)"), "{names:?}");
}

#[test]
fn a_driver_that_keeps_the_rules_passes() {
    let ran = replayed(&rule_driver("l-01-good"), &["host42"], &ALL);
    assert_eq!(ran.code, 0, "{}", ran.said);
    assert_eq!(results(&ran.json("callboard.sarif")), Vec::<&Value>::new());
    let tests = tests(&ran.file("callboard.junit.xml"));
    assert!(tests.values().all(|(end, _)| end == "passed"), "{tests:#?}");
}

#[test]
fn what_a_driver_took_of_pool_is_among_its_properties() {
    let ran = replayed(&rule_driver("l-17-good"), &["host42"], &ALL);
    assert_eq!(ran.code, 0, "{}", ran.said);
    let xml = ran.file("callboard.junit.xml");
    for (name, value) in
        [("pool_allocations", 1), ("paged_pool_peak_bytes", 0), ("nonpaged_pool_peak_bytes", 100)]
    {
        assert!(xml.contains(&format!(r#"<property name="{name}" value="{value}"/>"#)), "{name}: {xml}");
    }
}

#[test]
fn a_refusal_is_told_and_is_no_failure() {
    let ran = replayed("", &["host42"], &[&ALL[..], &["--set", r"Deny=*\evil.exe"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.said);
    let xml = ran.file("callboard.junit.xml");
    assert!(tests(&xml).values().all(|(end, _)| end == "passed"), "{xml}");
    assert!(xml.contains("refused evil.exe (1200) with 0xC0000022 (STATUS_ACCESS_DENIED)"), "{xml}");
    assert!(xml.contains(r#"<property name="refused" value="1"/>"#), "{xml}");
    let trace = ran.json("callboard.perfetto.json");
    let refused = trace.as_array().unwrap().iter().find(|event| event["name"] == "refused").unwrap();
    assert_eq!((&refused["ph"], &refused["args"]["status"]), (&json!("i"), &json!("0xC0000022")));
}

#[test]
fn reports_are_whole_after_a_stop() {
    let ran = replayed(&rule_driver("l-08-bad"), &["host42"], &[&ALL[..], &["--watchdog", "1"]].concat());
    assert_eq!(ran.code, 120, "{}", ran.said);
    let sarif = ran.json("callboard.sarif");
    let results = results(&sarif);
    let stop = results
        .iter()
        .find(|result| result["ruleId"] == "STOP/hang")
        .unwrap_or_else(|| panic!("{results:#?}"));
    assert_eq!(stop["level"], "error");
    assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], false);
    let tests = tests(&ran.file("callboard.junit.xml"));
    let of = |name: &str| tests[&("host42: l-08-bad".to_owned(), name.to_owned())].0.as_str();
    assert_eq!(
        (of("loads"), of("does not stop the machine"), of("unloads")),
        ("passed", "failure", "skipped")
    );
    let trace = ran.json("callboard.perfetto.json");
    assert!(trace.as_array().unwrap().iter().any(|event| event["cat"] == "stop" && event["s"] == "g"));
}

#[test]
fn reports_are_whole_when_a_driver_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = recording(directory.path(), &["host42"]);
    let bad = rule_driver("registration-bad");
    let set = ["--set", "Mode=entry-fails"];
    let ran = ran_in(directory, &[&["replay", &path, "-q", "--driver", &bad], &set[..], &ALL[..]].concat());
    assert_eq!(ran.code, 122, "{}", ran.said);
    let sarif = ran.json("callboard.sarif");
    let invocation = &sarif["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    assert!(invocation["toolExecutionNotifications"].to_string().contains("0xC000009A"), "{invocation}");
    let tests = tests(&ran.file("callboard.junit.xml"));
    let (end, message) = &tests[&("host42: registration-bad".to_owned(), "loads".to_owned())];
    assert_eq!(end, "failure");
    assert!(message.contains("0xC000009A"), "{message}");
    assert!(ran.json("callboard.perfetto.json").is_array());
}

#[test]
fn machines_are_told_apart_in_reports() {
    let ran = replayed(&rule_driver("l-01-bad"), &["one", "two"], &ALL);
    let sarif = ran.json("callboard.sarif");
    let machines: Vec<_> =
        results(&sarif).iter().map(|result| result["properties"]["machine"].clone()).collect();
    assert_eq!(machines, [json!("one"), json!("two")]);
    let prints: HashSet<_> =
        results(&sarif).iter().map(|result| result["partialFingerprints"].to_string()).collect();
    assert_eq!(prints.len(), 1, "one mistake of one driver: {prints:?}");
    assert_eq!(sarif["runs"].as_array().unwrap().len(), 1);
    assert_eq!(sarif["runs"][0]["invocations"].as_array().unwrap().len(), 2);
    let suites: HashSet<_> =
        tests(&ran.file("callboard.junit.xml")).into_keys().map(|(suite, _)| suite).collect();
    assert_eq!(suites, HashSet::from(["one: l-01-bad".to_owned(), "two: l-01-bad".to_owned()]));
    // Both have a process 1200, and each is its own in the trace.
    let trace = ran.json("callboard.perfetto.json");
    let numbers: HashSet<_> = trace
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["name"] == "process_name")
        .filter(|event| event["args"]["name"].as_str().unwrap().ends_with(": evil.exe (1200)"))
        .map(|event| event["pid"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers.len(), 2);
}

#[test]
fn a_live_command_has_reports_too() {
    if !can_trace() {
        return;
    }
    let bad = rule_driver("l-18-bad");
    let ran = ran(&[&["run", &bad, "-q"], &ALL[..], &["--", "sh", "-c", "exit 7"]].concat());
    assert_eq!(ran.code, 7, "{}", ran.said);
    let sarif = ran.json("callboard.sarif");
    let ids: HashSet<_> = results(&sarif).iter().map(|result| result["ruleId"].as_str().unwrap()).collect();
    assert_eq!(ids, HashSet::from(["L-18", "LEAK/routine"]));
    assert_eq!(sarif["runs"][0]["invocations"][0]["exitCode"], 7);
    let tests = tests(&ran.file("callboard.junit.xml"));
    let failed: Vec<_> =
        tests.iter().filter(|(_, (end, _))| end == "failure").map(|((_, name), _)| name).collect();
    assert!(failed[0].starts_with("L-18: ") && failed[1] == "leaves nothing behind", "{failed:?}");
    let trace = ran.json("callboard.perfetto.json");
    let measured = |event: &&Value| event["cat"] == "routine" && event["dur"].as_f64().unwrap() > 0.0;
    assert!(trace.as_array().unwrap().iter().filter(measured).count() >= 2, "{trace}");
}

#[test]
fn a_report_goes_where_it_is_told_to() {
    let ran = replayed("", &["host42"], &["--report", "junit=out/results.xml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.said.contains("cannot create out/results.xml"), "{}", ran.said);
    assert_eq!(ran.out, "", "nothing was replayed");

    let ran = replayed(
        "",
        &["host42"],
        &["-o", "day.ndjson", "--report", "perfetto=-", "--report=sarif=a=b.sarif"],
    );
    assert_eq!(ran.code, 0, "{}", ran.said);
    assert!(serde_json::from_str::<Value>(&ran.out).unwrap().is_array());
    assert!(ran.has("a=b.sarif") && ran.has("day.ndjson") && !ran.has("callboard.perfetto.json"));
}

#[test]
fn two_outputs_in_one_place_are_refused_before_anything_runs() {
    for (arguments, said) in [
        (&["--report", "sarif=-"][..], "--report and the records both want the standard output"),
        (
            &["-o", "x", "--report", "sarif=-", "--report", "junit=-"],
            "--report and another report both want the standard",
        ),
        (&["-o", "x", "--report", "sarif=x"], "--report and the records both want x"),
        (&["--report", "sarif=y", "--report", "junit=y"], "--report and another report both want y"),
        (
            &["--report", "sarif", "--report", "sarif"],
            "--report and another report both want callboard.sarif",
        ),
        (&["--report", "pdf"], "there is no such report; there are html, sarif, junit"),
        (&["--report", "junit="], "write junit=FILE, or junit for callboard.junit.xml"),
    ] {
        let ran = replayed("", &["host42"], arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}: {}", ran.said);
        assert!(ran.said.contains(said), "{arguments:?}: {}", ran.said);
        assert!(["x", "y", "callboard.sarif"].iter().all(|file| !ran.has(file)), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_told_once_and_the_other_report_is_whole() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    for format in ["sarif", "junit", "perfetto"] {
        let full = format!("{format}=/dev/full");
        let ran = replayed(
            &rule_driver("l-01-bad"),
            &["host42"],
            &["--report", &full, "--report", "junit=whole.xml"],
        );
        assert_eq!(ran.code, 125, "{format}: {}", ran.said);
        assert_eq!(ran.said.matches("/dev/full: no room left").count(), 1, "{format}: {}", ran.said);
        assert!(!tests(&ran.file("whole.xml")).is_empty());
    }
}

/// The page names each format, its usual file and every id of a rule that is of no catalogue.
#[test]
fn the_page_about_reports_says_what_there_is() {
    let page = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reports.md"));
    let page = fs::read_to_string(page).unwrap();
    for part in ["callboard.sarif", "callboard.junit.xml", "callboard.perfetto.json", "`STOP/", "`LEAK/"] {
        assert!(page.contains(part), "{part}");
    }
}
