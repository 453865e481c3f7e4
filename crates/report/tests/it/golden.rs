//! The example run in every format and verbosity, compared with what is kept in `snapshots/`.
//! `INSTA_UPDATE=always cargo test -p callboard-report` takes over what is printed now.

use report::human::{Options, Verbosity};
use report::{Human, Ndjson, Pace, Sink, ndjson};

use crate::story::story;

fn human(options: Options) -> String {
    let mut out = Vec::new();
    let mut sink = Human::new("test", &mut out, options);
    for record in story() {
        sink.record(&record).unwrap();
    }
    sink.finish().unwrap();
    drop(sink);
    String::from_utf8(out).unwrap()
}

fn at(verbosity: Verbosity) -> Options {
    Options { verbosity, ..Options::default() }
}

fn json(options: ndjson::Options) -> String {
    let mut out = Vec::new();
    let mut sink = Ndjson::new("test", &mut out, options);
    for record in story() {
        sink.record(&record).unwrap();
    }
    sink.finish().unwrap();
    drop(sink);
    String::from_utf8(out).unwrap()
}

#[test]
fn quiet() {
    insta::assert_snapshot!(human(at(Verbosity::Quiet)));
}

#[test]
fn normal() {
    insta::assert_snapshot!(human(at(Verbosity::Normal)));
}

#[test]
fn verbose() {
    insta::assert_snapshot!(human(at(Verbosity::Verbose)));
}

#[test]
fn everything() {
    insta::assert_snapshot!(human(at(Verbosity::Everything)));
}

#[test]
fn on_a_terminal_of_80_columns() {
    insta::assert_snapshot!(human(Options { width: Some(80), ..at(Verbosity::Normal) }));
}

#[test]
fn ascii() {
    let shown = human(Options { ascii: true, ..at(Verbosity::Normal) });
    assert!(shown.is_ascii());
    insta::assert_snapshot!(shown);
}

#[test]
fn colours_are_only_added() {
    let coloured = human(Options { colour: true, ..at(Verbosity::Everything) });
    // Shown with the escape character as a letter, so that the file can be read.
    insta::assert_snapshot!(human(Options { colour: true, ..at(Verbosity::Normal) }).replace('\x1b', "␛"));
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), human(at(Verbosity::Everything)));
}

#[test]
fn json_lines() {
    insta::assert_snapshot!(json(ndjson::Options { live: true, ..ndjson::Options::default() }));
}

#[test]
fn the_pace_changes_nothing_but_when() {
    let blocks = ndjson::Options { pace: Pace::Blocks, ..ndjson::Options::default() };
    assert_eq!(json(blocks), json(ndjson::Options::default()));
    let blocks = Options { pace: Pace::Blocks, ..at(Verbosity::Everything) };
    assert_eq!(human(blocks), human(at(Verbosity::Everything)));
}

#[test]
fn ids_that_are_not_live_have_no_linux_form() {
    assert!(!json(ndjson::Options::default()).contains("linux_pid"));
}

#[test]
fn nothing_hangs_over() {
    for options in [at(Verbosity::Everything), Options { width: Some(80), ..at(Verbosity::Everything) }] {
        for line in human(options).lines() {
            assert_eq!(line, line.trim_end(), "spaces at the end");
            assert!(line.starts_with('│'), "{line}");
        }
    }
}
