//! Scenarios that are run, with the drivers that are committed: what passes, and what a failure says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use event::Body;
use nt_abi::Profile;
use scenario::{Options, Outcome, Scenario};

const SENSOR: &[u8] = include_bytes!("../../../drivers/bin/sensor.sys");

/// A process that the sensor refuses, and its parent.
const REFUSES: &str = r#"
name = "refuses evil from word"

[[driver]]
file = "builtin:sensor"
values = { Deny = ["*evil.exe"] }

[[step]]
create = { name = "word", image = 'C:\word.exe' }

[[step]]
create = { name = "evil", image = 'C:\evil.exe', parent = "word" }
expect = { status = "STATUS_ACCESS_DENIED", by = "sensor" }

[[step]]
create = { name = "good", image = 'C:\good.exe', parent = "word" }
"#;

/// Runs a text as if it lay beside the committed drivers.
fn run(text: &str) -> (Scenario, Outcome) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../drivers/bin/a.toml"));
    let scenario = Scenario::parse(path, text.to_owned()).unwrap();
    let profile = scenario.profiles()[0];
    let outcome = scenario.run(Options { profile, sensor: SENSOR, without_sandbox: false }).unwrap();
    (scenario, outcome)
}

/// What the failures say, with the path taken out.
fn said((scenario, outcome): &(Scenario, Outcome)) -> String {
    let text: String = outcome.failures.iter().map(|failure| failure.text(scenario)).collect();
    text.replace(scenario.path.to_str().unwrap(), "a.toml")
}

#[track_caller]
fn passes(text: &str) -> Outcome {
    let done = run(text);
    assert!(done.1.passed(), "{}", said(&done));
    done.1
}

#[track_caller]
fn fails(text: &str, says: &[&str]) {
    let done = run(text);
    let said = said(&done);
    for part in says {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[test]
fn r_veto_02_one_child_is_refused_and_another_passes() {
    let outcome = passes(REFUSES);
    assert_eq!(outcome.profile, Profile::default());
    assert!(outcome.notes.is_empty(), "{:?}", outcome.notes);
}

#[test]
fn r_int_02_drivers_can_count_as_linked_with_integritycheck() {
    let text = |force: &str, first: &str| {
        format!(
            "{force}\n[[driver]]\nfile = \"loader-flag.sys\"\n[expect]\ndebug = [\"as-loaded {first}\"]\n"
        )
    };
    passes(&text("", "flag=0 status=0xC0000022"));
    passes(&text("force_integrity = true", "flag=1 status=0x00000000"));
}

#[test]
fn s_imgex_6_pool_can_be_low_for_a_step() {
    let text = |low: &str, status: &str| {
        format!(
            "[[driver]]\nfile = \"veto-chain.sys\"\nlater = true\n[[step]]\nlow_pool = \"{low}\"\n\
             [[step]]\nload = \"veto-chain\"\nexpect = {{ status = \"{status}\" }}\n"
        )
    };
    passes(&text("next", "STATUS_INSUFFICIENT_RESOURCES"));
    passes(&text("all", "STATUS_INSUFFICIENT_RESOURCES"));
    passes(&text("off", "STATUS_SUCCESS"));
}

#[test]
fn a_refusal_that_nobody_expected_says_what_to_write() {
    let text = REFUSES.replace("expect = {", "# expect = {");
    fails(
        &text,
        &["it was refused", "- STATUS_SUCCESS", "+ STATUS_ACCESS_DENIED by sensor", "expect = { status ="],
    );
}

#[test]
fn a_process_that_was_let_pass_says_what_the_driver_was_given() {
    let text = REFUSES.replace("*evil.exe", "*bad.exe");
    let text = said(&run(&text));
    insta::assert_snapshot!("let_pass", text);
}

#[test]
fn a_line_that_is_not_among_any_lines_has_its_nearest_shown() {
    let notices = |lines: &str| {
        let step = "create = { name = \"good\", image = 'C:\\good.exe', parent = \"word\" }";
        let text = REFUSES.replace(step, &format!("{step}\nexpect = {{ notices = [{lines}] }}"));
        said(&run(&text))
    };
    let text = notices("\"sensor: create good\", \"...\", \"sensor: image ntdl.dll in good\"");
    assert!(
        text.contains(
            "no line is like `sensor: image ntdl.dll in good`; nearest: `sensor: image ntdll.dll in good`"
        ),
        "{text}"
    );
    assert!(!text.contains("copy the lines"), "{text}");
    let text = notices("\"...\", \"sensor: image ntdll.dll in good\", \"sensor: create good\"");
    assert!(text.contains("the order counts"), "{text}");
}

#[test]
fn a_stop_and_a_finding_are_said_once() {
    let text = said(&run(&bsod("null-read-at-create", "")));
    assert_eq!(text.matches("reading 0x0").count(), 1, "{text}");
    assert!(text.contains("STOP: ") && text.contains("  at bsod.sys"), "{text}");
    // The stop came before the end, where it is looked at.
    let text = said(&run(&bsod("null-read-at-create", "[expect]\nstop = \"hang\"\n")));
    assert_eq!(text.matches("reading 0x0").count(), 1, "{text}");
    for expect in ["", "[expect]\nfindings = []\n"] {
        let text = said(&run(&bsod("pool-leak-at-unload", expect)));
        assert_eq!(text.matches("L-17 by bsod").count(), 1, "{text}");
    }
}

#[test]
fn an_exit_that_should_have_failed_was_not_let_pass() {
    let text =
        REFUSES.to_owned() + "[[step]]\nexit = \"word\"\nexpect = { status = \"STATUS_ACCESS_DENIED\" }\n";
    let text = said(&run(&text));
    assert!(text.contains("exit word: it succeeded") && !text.contains("let pass"), "{text}");
}

#[test]
fn a_device_answers() {
    let text = r#"
[[driver]]
file = "device.sys"
[[step]]
ioctl = { device = '\\.\CallboardDevice', code = 0x222000, input = "abc", output_size = 16 }
expect = { output = "cba", information = 3 }
[[step]]
close = '\\.\CallboardDevice'
[[step]]
open = '\\.\Nothing'
expect = { status = "STATUS_OBJECT_NAME_NOT_FOUND" }
"#;
    passes(text);
    let wrong = text.replace("\"cba\"", "{ hex = \"00 01\" }");
    fails(&wrong, &["step 1: ioctl 0x222000", "other bytes came back", "- 0000  00 01", "+ 0000  63 62 61"]);
    fails(
        &text.replace("information = 3", "information = 4"),
        &["another IoStatus.Information", "- 4", "+ 3"],
    );
    fails(&text.replace("0x222000", "0x999999"), &["it failed", "STATUS_INVALID_DEVICE_REQUEST"]);
}

#[test]
fn notices_are_compared_line_by_line() {
    let text = REFUSES.replace(
        "parent = \"word\" }\n\n[[step]]\ncreate = { name = \"good\"",
        "parent = \"word\" }\n[[step]]\ncreate = { name = \"good\"",
    );
    let good = format!(
        "{text}expect = {{ notices = [\"sensor: create good\", \"sensor: thread in good\", \"...\"] }}\n"
    );
    passes(&good);
    let wrong = good.replace("\"sensor: thread in good\", \"...\"", "\"sensor: image * in good\"");
    fails(&wrong, &["drivers were told something else", "+ sensor: thread in good", "copy the lines of `+`"]);
    let refused = text.replace(
        "by = \"sensor\" }",
        "by = \"sensor\", notices = [\"sensor: create evil -> STATUS_ACCESS_DENIED\", \"sensor: exit evil\"] }",
    );
    passes(&refused);
}

#[test]
fn lines_are_found_in_order() {
    let lines = |debug: &str| format!("{REFUSES}\n[expect]\n{debug}\n");
    passes(&lines(r#"debug = ["create pid=", "/refuse .*evil/", "good.exe"]"#));
    fails(&lines(r#"debug = ["good.exe", "refuse pid="]"#), &["no driver printed this", "the order counts"]);
    fails(&lines(r#"debug = ["there is no such line"]"#), &["- there is no such line"]);
    fails(&lines(r#"no_debug = ["refuse"]"#), &["a driver printed what it must not", "+ refuse pid="]);
}

/// A driver that does what `Mode` says at the first creation.
fn bsod(mode: &str, rest: &str) -> String {
    format!(
        "watchdog = \"1s\"\n[[driver]]\nfile = \"bsod.sys\"\nvalues = {{ Mode = \"{mode}\" }}\n[[step]]\n\
         create = {{ name = \"a\", image = 'C:\\a.exe' }}\n{rest}\n"
    )
}

#[test]
fn a_stop_fails_the_scenario_that_did_not_expect_it() {
    fails(
        &bsod("null-read-at-create", ""),
        &["step 1: create a: the machine stopped", "bsod", "expect = { stop = ", "at bsod.sys"],
    );
    passes(&bsod("null-read-at-create", "expect = { stop = { driver = \"bsod\" } }"));
    passes(&bsod("null-read-at-create", "[expect]\nstop = { kind = \"bug-check\" }"));
    passes(&bsod("bug-check-at-create", "[[step]]\nexit = \"a\"\n[expect]\nstop = { kind = \"bug-check\" }"));
}

#[test]
fn a_hang_is_a_stop() {
    passes(&bsod("hang-at-create", "expect = { stop = \"hang\" }"));
    fails(
        &bsod("hang-at-create", "expect = { stop = \"IRQL_NOT_LESS_OR_EQUAL\" }"),
        &["the machine stopped in another way", "- 0x0000000A (IRQL_NOT_LESS_OR_EQUAL)", "+ hang in bsod"],
    );
    fails(&bsod("none", "expect = { stop = \"hang\" }"), &["the machine did not stop", "- hang"]);
}

#[test]
fn a_driver_entry_that_fails_has_its_status() {
    let text = bsod("fail-at-entry", "");
    fails(&text, &["load bsod: the driver was not loaded as expected", "- STATUS_SUCCESS", "+ STATUS_"]);
    let (_, outcome) = run(&text);
    let status = match &outcome.failures[0].diff[1] {
        scenario::DiffLine::Unexpected(status) => status.clone(),
        other => panic!("{other:?}"),
    };
    let text = text.replace("file = \"bsod.sys\"", &format!("file = \"bsod.sys\"\nstatus = \"{status}\""));
    passes(&text);
}

#[test]
fn what_is_left_behind_is_a_note_or_what_was_expected() {
    let leaks = |rest: &str| bsod("pool-leak-at-unload", &format!("[expect]\nfindings = [\"*\"]\n{rest}"));
    let outcome = passes(&leaks(""));
    assert!(outcome.notes.iter().any(|note| note.contains("tag Bsod")), "{:?}", outcome.notes);
    passes(&leaks("leaks = [\"bsod: *tag Bsod\"]"));
    fails(&leaks("leaks = []"), &["left something else behind", "+ bsod: ", "tag Bsod"]);
}

#[test]
fn a_broken_rule_fails_the_scenario_that_did_not_expect_it() {
    let text = bsod("pool-leak-at-unload", "");
    fails(&text, &["at the end: a driver broke a rule", "+ L-17 by bsod", "mend the driver"]);
    passes(&format!("{text}[expect]\nfindings = [\"L-17\"]\n"));
    fails(&format!("{text}[expect]\nfindings = []\n"), &["drivers broke other rules", "+ L-17"]);
    fails(&format!("{text}[expect]\nfindings = [\"L-17\", \"L-18\"]\n"), &["- L-18"]);
}

#[test]
fn every_action_can_be_taken() {
    passes(
        r#"
[[driver]]
file = "builtin:sensor"
name = "edr"
later = true
[[step]]
create = { name = "old", image = 'C:\old.exe', existing = true }
[[step]]
load = "edr"
[[step]]
create = { name = "a", image = 'C:\a.exe', parent = "old", suspended = true }
expect = { notices = ["edr: create a", "edr: thread in a"] }
[[step]]
resume = "a"
expect = { notices = ["edr: image a.exe in a", "edr: image ntdll.dll in a"] }
[[step]]
thread = { name = "t", in = "a", by = "old" }
expect = { notices = ["edr: thread t in a"] }
[[step]]
map = { in = "a", image = 'C:\x.dll', size = 0x3000, signature = { level = 4, type = 1 } }
expect = { notices = ["edr: image x.dll in a"] }
[[step]]
unmap = { in = "a", image = 'C:\x.dll' }
expect = { notices = [] }
[[step]]
map = { in = "a", image = 'C:\x.dll', as = "data" }
expect = { notices = [] }
[[step]]
map = { in = "kernel", image = '\SystemRoot\System32\drivers\other.sys' }
expect = { notices = ["edr: image other.sys in kernel"], debug = ["image kernel"] }
[[step]]
exit_thread = { thread = "t", status = 3 }
expect = { notices = ["edr: thread exit t in a"] }
[[step]]
create = { name = "clone", clone_of = "a" }
expect = { notices = ["edr: thread in clone"] }
[[step]]
create = { name = "made", image = 'C:\m.exe', from_section = true, first_thread_by = "old", creator = "a" }
[[step]]
exit = { process = "a", status = "STATUS_TIMEOUT" }
expect = { notices = ["edr: thread exit in a", "edr: exit a"], debug = ["exit pid="] }
[[step]]
unload = "edr"
[[step]]
exit = "old"
expect = { notices = [] }
[[step]]
expect = { notices = ["edr: create a", "...", "edr: exit a"], findings = [] }
"#,
    );
}

#[test]
fn time_goes_by_when_a_step_says_so_and_not_otherwise() {
    let text = r#"
[[driver]]
file = "device.sys"
[[step]]
ioctl = { device = '\\.\CallboardDevice', code = 0x222020, input = { u32 = [1000] } }
expect = { no_debug = ["tick"] }
[[step]]
create = { name = "a", image = 'C:\a.exe' }
expect = { no_debug = ["tick"] }
[[step]]
advance = "2500ms"
expect = { debug = ["tick 1 ", "tick 2 "], no_debug = ["tick 3 "] }
[[step]]
advance = "1h"
expect = { debug = ["tick 3 ", "tick 3602 "], no_debug = ["tick 3603 "] }
"#;
    passes(text);
    fails(&text.replace("2500ms", "1500ms"), &["step 3: advance 1s 500ms", "tick 2 "]);
}

#[test]
fn a_request_is_begun_waited_for_and_cancelled() {
    let text = r#"
[[driver]]
file = "inverted.sys"
[[step]]
begin = { name = "next", device = '\\.\CallboardInverted', code = 0x222000, output_size = 8 }
[[step]]
begin = { name = "second", device = '\\.\CallboardInverted', read = 8 }
expect = { pending = ["next", "second"] }
[[step]]
ioctl = { device = '\\.\CallboardInverted', code = 0x222004, output_size = 4 }
expect = { output = { u32 = [2] } }
[[step]]
create = { name = "a", image = 'C:\a.exe' }
expect = { pending = ["second"], no_debug = ["nobody listens"] }
[[step]]
wait = "next"
expect = { information = 8 }
[[step]]
wait = "second"
expect = { status = "STATUS_PENDING" }
[[step]]
cancel = "second"
expect = { debug = ["inverted: cancelled"], pending = [] }
[[step]]
wait = "second"
expect = { status = "STATUS_CANCELLED", output = "" }
[[step]]
cancel = "second"
expect = { status = "STATUS_NOT_FOUND" }
[[step]]
begin = { name = "written", device = '\\.\CallboardInverted', write = "abc" }
[[step]]
wait = "written"
expect = { information = 3 }
[[step]]
begin = { name = "last", device = '\\.\CallboardInverted', code = 0x222000 }
[[step]]
unload = "inverted"
expect = { no_debug = ["inverted: unloaded"], pending = ["last"] }
[[step]]
close = '\\.\CallboardInverted'
expect = { debug = ["inverted: cleanup", "inverted: close", "inverted: unloaded"], pending = [] }
[[step]]
wait = "last"
expect = { status = "STATUS_CANCELLED" }
"#;
    passes(text);
    fails(&text.replace("information = 8", "information = 9"), &["step 5: wait next", "- 9", "+ 8"]);
    fails(
        &text.replace("expect = { status = \"STATUS_PENDING\" }", "expect = {}"),
        &[
            "step 6: wait second: it is still pending",
            "+ STATUS_PENDING",
            "nothing is due that could complete it",
        ],
    );
    fails(
        &text.replace("pending = [\"next\", \"second\"]", "pending = [\"next\"]"),
        &["step 2: begin second", "other requests are pending", "+ second"],
    );
    let unknown = text.replace("0x222000, output_size", "0x222FFC, output_size");
    fails(&unknown, &["other requests are pending", "- next"]);
    let missing = text.replace(r"\\.\CallboardInverted', read", r"\\.\Nobody', read");
    fails(&missing, &["step 2: begin second of", "STATUS_OBJECT_NAME_NOT_FOUND"]);
}

#[test]
fn a_device_is_opened_by_a_process_with_some_access_and_closed_with_it() {
    let text = r#"
[[driver]]
file = "device.sys"
[[driver]]
file = "inverted.sys"
[[step]]
create = { name = "service", image = 'C:\service.exe' }
[[step]]
open = { device = '\\.\CallboardDevice', name = "reading", by = "service", access = "read" }
expect = { debug = ["/create by .* mode 1/"] }
[[step]]
read = { device = "reading", size = 2, offset = 7 }
expect = { output = [7, 8] }
[[step]]
write = { device = "reading", input = "x" }
expect = { status = "STATUS_ACCESS_DENIED" }
[[step]]
ioctl = { device = '\\.\CallboardDevice', code = 0x222005, output_buffer = [1, 2, 200] }
expect = { information = 203 }
[[step]]
open = { device = '\\.\CallboardInverted', name = "listening", by = "service", access = "any" }
[[step]]
begin = { name = "next", device = "listening", code = 0x222000, output_size = 8 }
[[step]]
exit = "service"
expect = { debug = ["inverted: cancelled", "cleanup by", "close by", "inverted: cleanup", "inverted: close"], pending = [] }
[[step]]
wait = "next"
expect = { status = "STATUS_CANCELLED" }
[[step]]
close = "reading"
expect = { status = "STATUS_THREAD_IS_TERMINATING" }
"#;
    passes(text);
    fails(&text.replace("name = \"reading\", by", "name = \"read\", by"), &["step 3: read reading"]);
}

#[test]
fn a_process_can_have_everything_that_is_unusual() {
    passes(
        r#"
[[driver]]
file = "witness.sys"
[[step]]
create = { name = "a", image = 'C:\a.exe' }
[[step]]
exit = "a"
[[step]]
create = { name = "b", image = 'C:\b.exe', id = 8000, without_inherited_handles = true, unterminated_names = true }
expect = { debug = ["/create pid=8000 ppid=[0-9]+ /"] }
[[step]]
exit = "b"
[[step]]
create = { name = "c", image = 'C:\c.exe', id = 8000 }
expect = { debug = ["create pid=8000"] }
[[step]]
create = { name = "d", image = 'C:\d.exe', id = 8000 }
expect = { status = "STATUS_INVALID_PARAMETER", notices = [] }
[[step]]
create = { name = "e", command_line = "e", apc_level = true, all_apcs_disabled = true }
expect = { debug = ["cmd=\"e\""] }
"#,
    );
}

#[test]
fn r_dev_07_devices_are_used_in_a_run_that_provokes() {
    let text = r#"
stress = 3
[[driver]]
file = "inverted.sys"
[[step]]
begin = { name = "next", device = '\\.\CallboardInverted', code = 0x222000, output_size = 8 }
[[step]]
create = { name = "a", image = 'C:\a.exe' }
[[step]]
wait = "next"
expect = { information = 8 }
[[step]]
close = '\\.\CallboardInverted'
[expect]
findings = []
leaks = []
"#;
    let (first, second) = (passes(text), passes(text));
    // Where an image lies is the system's choice.
    let told = |outcome: &Outcome| {
        let records = outcome.records.iter().filter(|record| !matches!(record.body, Body::DriverLoad { .. }));
        records.map(|record| format!("{record:?}")).collect::<Vec<_>>()
    };
    assert_eq!(told(&first), told(&second));
}

#[test]
fn r_dev_06_devices_are_told_of_power() {
    let text = r#"
[[driver]]
file = "power.sys"
values = { Mode = "refuses" }
[[step]]
power = { driver = "power", query = "S3" }
expect = { status = "STATUS_DEVICE_BUSY", debug = ["query system 4"] }
[[step]]
power = { device = '\Device\CallboardPower', set = "S3" }
expect = { debug = ["set system 4"] }
[[step]]
power = { driver = "power", set = "D3" }
expect = { debug = ["set device 4", "D3, before D0"] }
[[step]]
power = { device = '\\.\Nobody', set = "S0" }
expect = { status = "STATUS_OBJECT_NAME_NOT_FOUND" }
"#;
    passes(text);
    fails(
        &text.replace("\"STATUS_DEVICE_BUSY\", ", "0, "),
        &["step 1: power query S3 of power: it failed", "+ STATUS_DEVICE_BUSY"],
    );
    let gone = text.replace(
        "[[step]]\npower = { driver = \"power\", set",
        "[[step]]\nunload = \"power\"\n[[step]]\npower = { driver = \"power\", set",
    );
    fails(&gone, &["step 4: power set D3 of power: the driver `power` is not loaded"]);
}

#[test]
fn r_img_02_an_image_begins_with_what_its_step_says() {
    let text = r#"
[[driver]]
file = "reads-image.sys"
[[step]]
create = { name = "a", image = 'C:\a.exe' }
[[step]]
map = { in = "a", image = 'C:\x.dll', contents = { hex = "7f 45 4c 46 01 02 03 04" } }
expect = { debug = ["magic=0x464C457F next=0x04030201"] }
[[step]]
map = { in = "a", image = 'C:\y.dll', contents = "text" }
expect = { debug = ["magic=0x74786574 next=0x00000000"] }
[[step]]
map = { in = "a", image = 'C:\z.dll' }
expect = { debug = ["magic=0x00005A4D"] }
"#;
    passes(text);
    fails(&text.replace("7f 45", "7e 45"), &["step 2: map C:\\x.dll in a"]);
}

#[test]
fn what_cannot_be_done_says_why() {
    let refused = format!("{REFUSES}\n[[step]]\nexit = \"evil\"\n");
    fails(&refused, &["step 4: exit evil: the process `evil` was refused, so it is not there"]);
    let gone = format!("{REFUSES}\n[[step]]\nexit = \"good\"\n[[step]]\nexit = \"good\"\n");
    fails(&gone, &["step 5: exit good: it failed", "STATUS_PROCESS_IS_TERMINATING"]);
    let unmapped = format!("{REFUSES}\n[[step]]\nunmap = {{ in = \"good\", image = 'C:\\x.dll' }}\n");
    fails(&unmapped, &["was not mapped into `good` by a `map` step"]);
}
