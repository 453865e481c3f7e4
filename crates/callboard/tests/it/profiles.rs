//! `callboard profiles`, and the switches it lists.

use serde_json::Value;

use crate::support::callboard;

fn output(arguments: &[&str]) -> (i32, String, String) {
    let output = callboard().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn r_reg_05_profiles_are_listed_by_what_they_change() {
    let (code, shown, _) = output(&["profiles"]);
    assert_eq!(code, 0);
    let headings = shown.lines().filter(|line| !line.starts_with(' ')).count();
    assert_eq!(headings, callboard::Profile::ALL.len(), "{shown}");
    assert!(shown.contains("64 (win8.1: 8)"), "{shown}");
    assert!(shown.contains("0xF0001DB1") && shown.contains("service pack \"Service Pack 1\""), "{shown}");
    let (_, one, _) = output(&["profiles", "win8.1"]);
    assert!(one.starts_with("win8.1  Windows 8.1\n"), "{one}");
    assert!(one.contains("6.3.9600") && one.contains("ImageSignatureLevel"), "{one}");
}

#[test]
fn profiles_are_readable_by_programs() {
    let (_, text, _) = output(&["profiles", "--format", "json", "win10-1703"]);
    let all: Value = serde_json::from_str(&text).unwrap();
    let profile = &all[0];
    assert_eq!((&profile["name"], &profile["version"]), (&"win10-1703".into(), &"10.0.15063".into()));
    assert_eq!(profile["create_notify_info_size"], 0x48);
    let registration = profile["registration"].to_string();
    assert!(registration.contains("RoutineEx2") && !registration.contains("LoadImageNotifyRoutineEx"));
    assert!(profile["differs"].as_array().unwrap().iter().any(|what| what["what"] == "its Flags"));
}

#[test]
fn choices_are_listed_and_wrong_ones_say_what_there_is() {
    let (code, shown, _) = output(&["profiles", "--choices"]);
    assert_eq!(code, 0);
    assert!(shown.contains("duplicate-process-routine  What the second registration"), "{shown}");
    assert!(shown.contains("STATUS_INVALID_PARAMETER, as documented. (the default)"), "{shown}");
    let (_, text, _) = output(&["profiles", "--choices", "--format", "json"]);
    let all: Value = serde_json::from_str(&text).unwrap();
    for choice in all.as_array().unwrap() {
        assert_eq!(choice["default"], choice["values"][0]["value"]);
    }
    let (code, _, told) = output(&["run", "--choose", "clones=perhaps", "--", "true"]);
    assert_eq!(code, 2);
    assert!(told.contains("clones cannot be perhaps; it can be silent, told"), "{told}");
    let (code, _, told) = output(&["run", "--choose", "clones", "--", "true"]);
    assert!(code == 2 && told.contains("NAME=VALUE"), "{told}");
}
