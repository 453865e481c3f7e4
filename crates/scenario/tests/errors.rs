//! Files that are no scenarios: each gets its place and advice.

use std::path::Path;

use proptest::prelude::*;
use scenario::Scenario;

fn error(text: &str) -> String {
    match Scenario::parse(Path::new("a.toml"), text.to_owned()) {
        Ok(_) => String::new(),
        Err(bad) => bad.to_string(),
    }
}

const DRIVER: &str = "[[driver]]\nfile = \"builtin:sensor\"\n";

#[test]
fn an_unknown_key_is_shown_with_what_was_meant() {
    let text = error(&format!("{DRIVER}[[step]]\ncreat = {{ name = \"a\", image = 'C:\\a.exe' }}\n"));
    insta::assert_snapshot!(text, @r#"
    a.toml:4:1: unknown key `creat`
       |
     4 | creat = { name = "a", image = 'C:\a.exe' }
       | ^^^^^
      help: did you mean `create`?
    "#);
}

#[test]
fn every_mistake_has_a_place_and_advice() {
    for (body, place, message, help) in [
        ("profil = \"win7-sp1\"", "a.toml:1:1", "unknown key `profil`", "did you mean `profile`?"),
        ("profile = \"win7\"", "a.toml:1:11", "there is no profile `win7`", "did you mean `win7-sp1`?"),
        ("profile = 7", "a.toml:1:11", "invalid type: integer `7`, expected a string", ""),
        ("name = \"a", "a.toml:1:", "invalid basic string", ""),
        ("[[step]]", "a.toml:1:1", "this step does nothing", "write one action"),
        ("[[step]]\nresume = \"a\"", "a.toml:2:10", "there is no process `a`", "create it in a step before"),
        ("[[step]]\nexit = 7", "a.toml:2:8", "invalid type: integer `7`, expected the name of a process", ""),
        (
            "[[step]]\nexit = { proces = \"a\" }",
            "a.toml:2:10",
            "unknown key `proces`",
            "did you mean `process`?",
        ),
        ("[[step]]\nadvance = \"5 parsecs\"", "a.toml:2:11", "is no length of time", "write it as `5s`"),
        (
            "[[step]]\nmap = { in = \"kernel\", image = 'x.sys', contents = \"MZ\" }",
            "a.toml:2:14",
            "a kernel image has no contents",
            "map it into a process",
        ),
        (
            "[[step]]\nbegin = { name = \"next\", device = 'x', code = 4, read = 8 }",
            "a.toml:2:57",
            "a request asks for one thing, and this one also has `read`",
            "in two steps",
        ),
        (
            "[[step]]\nbegin = { name = \"next\", device = 'x' }",
            "a.toml:2:18",
            "this request asks for nothing",
            "add `code = 0x222000`",
        ),
        (
            "[[step]]\nbegin = { name = \"n\", device = 'x', read = 8 }\nexpect = { information = 8 }",
            "a.toml:3:26",
            "only `ioctl`, `read`, `write` and `wait` have this",
            "in the step that waits",
        ),
        (
            "[[step]]\nbegin = { name = \"next\", device = 'x', read = 8 }\n[[step]]\nwait = \"nexd\"",
            "a.toml:4:8",
            "there is no request `nexd`",
            "did you mean `next`?",
        ),
        ("[[step]]\ncancel = \"next\"", "a.toml:2:10", "there is no request `next`", "begin it before"),
        ("[expect]\npending = [\"a\"]", "a.toml:2:11", "there is no request `a`", "begin it before"),
        (
            "[[step]]\nopen = { device = 'x', by = \"a\" }",
            "a.toml:2:29",
            "there is no process `a`",
            "create it in a step before",
        ),
        ("[[step]]\nopen = 7", "a.toml:2:8", "expected the path of a device", ""),
        ("[[step]]\nopen = { device = 'x', access = \"all\" }", "a.toml:2:33", "unknown variant `all`", ""),
        ("[[step]]\npower = { set = \"S3\" }", "a.toml:2:9", "nobody is told of this", "add `device ="),
        ("[[step]]\npower = { device = 'x' }", "a.toml:2:9", "has no state", "add `set = \"S3\"`"),
        (
            "[[step]]\npower = { device = 'x', set = \"S3\", query = \"S3\" }",
            "a.toml:2:45",
            "sets a state or asks for one, and this one also has `query`",
            "add a step",
        ),
        (
            "[[step]]\npower = { device = 'x', set = \"S9\" }",
            "a.toml:2:31",
            "there is no power state `S9`",
            "S0 to S5",
        ),
        ("[[step]]\nunload = \"edr\"", "a.toml:2:10", "there is no driver `edr`", "add it as a [[driver]]"),
        ("[[driver]]\nname = \"a\"", "a.toml:1:1", "missing key `file`", ""),
        ("[[driver]]\nfile = \"builtin:edr\"", "a.toml:2:8", "there is no built-in driver", "builtin:sensor"),
        (
            "[expect]\nstop = \"IRQL_NOT_LESS_OR_EQUALS\"",
            "a.toml:2:8",
            "there is no stop",
            "`IRQL_NOT_LESS_OR_EQUAL`",
        ),
        ("[expect]\ndebug = [\"/(/\"]", "a.toml:2:10", "this is no regular expression", "between slashes"),
        ("[expect]\nstatus = \"STATUS_SUCCESS\"", "a.toml:2:10", "there is no step", "belongs to the step"),
        (
            "[[driver]]\nfile = \"a.sys\"\nvalues = { A = -1 }",
            "a.toml:3:16",
            "a REG_DWORD has 32 bits",
            "qword",
        ),
        (
            "[[step]]\ncreate = { name = \"a\", image = 'C:\\a' }\nexpect = { status = \"STATUS_ACES_DENIED\" }",
            "a.toml:3:21",
            "there is no status `STATUS_ACES_DENIED`",
            "did you mean `STATUS_ACCESS_DENIED`?",
        ),
        (
            "[[step]]\ncreate = { name = \"word\", image = 'C:\\a' }\nresume = \"word\"",
            "a.toml:3:10",
            "a step does one thing, and this one also has `resume`",
            "a [[step]] of its own",
        ),
        (
            "[[step]]\ncreate = { name = \"word\", image = 'C:\\a' }\n[[step]]\nexit = \"wrod\"",
            "a.toml:4:8",
            "there is no process `wrod`",
            "did you mean `word`?",
        ),
        (
            "[[step]]\nwrite = { device = 'x', input = { hex = \"0\" } }",
            "a.toml:2:33",
            "an odd number of hexadecimal digits",
            "a byte has two",
        ),
        (
            "[[step]]\ncreate = { name = \"a\", image = \"C:/w.exe\" }",
            "a.toml:2:32",
            "Windows never gives a path with `/`",
            r"use `\`, within single quotes: 'C:\w.exe'",
        ),
        (
            r"[[step]]
create = { name = 'a', image = 'C:\Temp\\evil2.exe' }",
            "a.toml:2:32",
            "Windows never gives a path with",
            "single quotes need no doubling",
        ),
        (
            "[[step]]\ncreate = { name = \"a\", image = \"C:\\temp.exe\" }",
            "a.toml:2:32",
            "a control character",
            "put it into single quotes",
        ),
        (
            "[[step]]\nmap = { in = \"shell\", image = 'C:\\a.dll', file = 'C:/b.dll' }",
            "a.toml:2:50",
            "with `/`",
            "single quotes",
        ),
        (
            "[[step]]\ncreate = { name = \"a\", image = \"C:\\Windows\\a.exe\" }",
            "a.toml:2:",
            "escape",
            "put it into single quotes",
        ),
        (
            "[expect]\nfindings = [\"L-01\", \"L-99\"]",
            "a.toml:2:21",
            "there is no rule L-99",
            "did you mean `L-",
        ),
        ("[expect]\nfindings = [\"Q*\"]", "a.toml:2:13", "there is no rule Q*", "`callboard rules`"),
        (
            "[[driver]]\nfile = \"edr.sys\"\n[expect]\nnotices = [\"...\", \"erd: create a\"]",
            "a.toml:4:19",
            "there is no driver `erd`",
            "did you mean `edr`?",
        ),
        (
            "[[driver]]\nfile = \"edr.sys\"\n[expect]\nnotices = [\"edr#2: creat a\"]",
            "a.toml:4:12",
            "no notice is of `creat`",
            "did you mean `create`?",
        ),
        (
            "[[driver]]\nfile = \"edr.sys\"\n[expect]\nnotices = [\"create a\"]",
            "a.toml:4:12",
            "no notice has such a line",
            "`edr: create NAME`",
        ),
        ("profiles = [\"win7-sp1\", \"win12\"]", "a.toml:1:25", "there is no profile `win12`", "win11-24h2"),
        ("", "a.toml:1:1", "nothing happens in this scenario", "--init"),
        ("name = \"nothing\"", "a.toml:1:1", "nothing happens in this scenario", "--init"),
        (
            "[[step]]\ncreate = { name = \"w\", image = 'C:\\w' }\n[[step]]\ncreate = { name = \"w\", image = 'C:\\w' }",
            "a.toml:4:19",
            "there is already a process `w`",
            "another name",
        ),
        (
            "[[driver]]\nfile = \"builtin:sensor\"\n[[step]]\nunload = \"xyz\"",
            "a.toml:4:10",
            "there is no driver `xyz`",
            "there is only `sensor`; add it",
        ),
    ] {
        let text = error(body);
        assert!(text.starts_with(place), "{body}: {place}\n{text}");
        assert!(text.contains(message), "{body}: {message}\n{text}");
        assert!(
            help.is_empty() || text.lines().any(|line| line.contains("help:") && line.contains(help)),
            "{body}: {help}\n{text}"
        );
        assert!(text.contains('^'), "{text}");
    }
}

#[test]
fn what_windows_could_give_and_drivers_could_be_told_is_right() {
    for body in [
        r"create = { name = 'a', image = '\\server\share\a.exe' }",
        r"create = { name = 'a', image = '\Device\HarddiskVolume1\a.exe' }",
        r"create = { name = 'a', image = 'C:\\a.exe' }".replace(r"C:\\", r"\??\C:\").as_str(),
        "expect = { findings = ['*'], notices = ['...', 'sensor: *', '*', 'sens*#2: image a.dll in *', 'sensor: something'] }",
        "expect = { findings = ['L-0*'] }",
    ] {
        assert_eq!(error(&format!("{DRIVER}[[step]]\n{body}\n")), "", "{body}");
    }
}

#[test]
fn the_mark_is_below_the_wrong_entry_of_a_list() {
    insta::assert_snapshot!(error("profiles = [\"win7-sp1\", \"win12\"]"));
    insta::assert_snapshot!(error("[expect]\nfindings = [\"L-01\", \"L-99\"]"));
}

#[test]
fn all_wrong_names_of_a_file_are_said_at_once() {
    let text = error("[[step]]\nresume = \"a\"\n[[step]]\nunload = \"b\"\n");
    assert!(text.contains("process `a`") && text.contains("driver `b`"), "{text}");
}

#[test]
fn deep_nesting_is_an_error() {
    let text = format!("name = {}", "[".repeat(100_000));
    assert!(!error(&text).is_empty());
    let text = format!("[{}a]", "a.".repeat(100_000));
    assert!(!error(&text).is_empty());
}

#[test]
fn nothing_that_a_terminal_obeys_is_shown() {
    let text = error("na\u{1b}[31mme = 1");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let text = error("\"na\\u001b[31mme\" = 1");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

/// Text that is nearly a scenario.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[[step]]\n".to_owned()),
        Just("[[driver]]\n".to_owned()),
        Just("[expect]\n".to_owned()),
        Just("[step.expect]\n".to_owned()),
        "(create|resume|map|exit|ioctl|expect|file|values|status|stop|debug|notices|name|in|image|profiles) = ",
        "(\"[a-z*/é\\\\\\\\]{0,6}\"|'[a-z]{0,3}'|-?[0-9]{1,20}|0x[0-9a-f]{1,17}|true|1e9|1979-05-27|[{]|[}]|\\[|\\]|,)",
        Just("\n".to_owned()),
        "\\PC{0,3}",
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_panics_the_parser(text in "\\PC{0,200}") {
        let _ = error(&text);
    }

    #[test]
    fn nearly_a_scenario_panics_nothing(text in nearly()) {
        let _ = error(&text);
    }

    #[test]
    fn no_bytes_panic_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = error(&String::from_utf8_lossy(&bytes));
    }
}
