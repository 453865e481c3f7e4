//! inspect, exports, doctor, man, completions, help.

use serde_json::Value;

use crate::support::{callboard, driver};

fn output(arguments: &[&str]) -> String {
    let output = callboard().args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn inspect_says_what_a_driver_is() {
    let path = driver("witness");
    let text = output(&["inspect", path.to_str().unwrap()]);
    for part in ["FORCE_INTEGRITY", "native", "PsSetCreateProcessNotifyRoutineEx", "ntoskrnl.exe!"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json: Value =
        serde_json::from_str(&output(&["inspect", path.to_str().unwrap(), "--format", "json"])).unwrap();
    assert_eq!(json["schema"], "callboard.inspect/1");
    assert_eq!(json["force_integrity"], true);
    assert!(
        json["imports"]
            .as_array()
            .is_some_and(|imports| imports.iter().all(|import| import["support"] == "implemented")),
        "{json:#}"
    );
}

#[test]
fn inspect_tells_what_an_older_windows_lacks() {
    let text = output(&["inspect", driver("statuses-nointegrity").to_str().unwrap()]);
    assert!(text.contains("STATUS_ACCESS_DENIED"), "{text}");
}

#[test]
fn exports_are_listed_by_name_and_by_windows() {
    let all: Value = serde_json::from_str(&output(&["exports", "--format", "json"])).unwrap();
    let names: Vec<_> = all.as_array().unwrap().iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert!(names.len() > 200, "{}", names.len());
    let text = output(&["exports", "pssetloadimage"]);
    assert!(
        text.contains("PsSetLoadImageNotifyRoutineEx") && text.contains("Windows 10, version 1709"),
        "{text}"
    );
    let early = output(&["exports", "pssetloadimage", "--os", "win10-1703"]);
    assert!(
        early.contains("PsSetLoadImageNotifyRoutine") && !early.contains("PsSetLoadImageNotifyRoutineEx"),
        "{early}"
    );
    let none = callboard().args(["exports", "PsSetLoadImageNotifyRutine"]).output().unwrap();
    assert_eq!(none.status.code(), Some(1));
    let shown = String::from_utf8_lossy(&none.stderr);
    assert!(shown.contains("nearest of all: PsSetLoadImageNotifyRoutine"), "{shown}");
}

#[test]
fn the_columns_of_exports_are_as_wide_as_what_stands_in_them() {
    let text = output(&["exports", "RtlIsNtDdiVersionAvailable", "ExAllocatePool2", "ZwCreateFile"]);
    assert!(text.lines().count() > 3, "{text}");
    let all = output(&["exports"]);
    let vista = "Windows Vista with Service Pack 1";
    let (longest, other): (Vec<_>, Vec<_>) =
        all.lines().filter(|line| line.starts_with("  ")).partition(|line| line.contains(vista));
    let summary = longest[0].find(vista).unwrap() + vista.len() + 2;
    let aligned = |line: &str| line.is_char_boundary(summary) && line[..summary].ends_with("  ");
    assert!(other.iter().filter(|line| aligned(line)).count() > 200, "{all}");
}

#[test]
fn rules_are_found_however_they_are_written() {
    let page = output(&["rules", "L-14"]);
    for id in ["L14", "l-14", "l14"] {
        assert_eq!(output(&["rules", id]), page, "{id}");
    }
    assert_eq!(output(&["rules", "l6"]), output(&["rules", "L-06"]));
}

#[test]
fn stress_lists_its_exit_codes() {
    let help = output(&["stress", "--help"]);
    for code in ["0  ", "2  ", "120", "121", "122", "124", "125"] {
        assert!(help.contains(&format!("\n  {code}  ")), "{code}: {help}");
    }
}

#[test]
fn doctor_tries_what_this_machine_allows() {
    let output = callboard().arg("doctor").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(matches!(output.status.code(), Some(0 | 123)), "{text}");
    assert!(text.contains("sandbox") && text.contains("a driver in its host"), "{text}");
}

#[test]
fn the_manual_page_and_completions() {
    assert!(output(&["man"]).contains(".TH callboard"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(output(&["completions", shell]).contains("inspect"));
    }
    let help = output(&["run", "--help"]);
    assert!(help.contains("Exit codes") && help.contains("Examples"), "{help}");
}
