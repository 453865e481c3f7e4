//! Drivers and files that want the terminal.

use std::borrow::Cow;

use event::*;
use report::human::{Options, Verbosity};
use report::{Human, Sink as _};

use crate::published::lines;

/// Control characters of both blocks, and what reorders or hides text: stated here once more, so that the
/// crate's own list is compared with something.
pub(crate) fn acts_on_a_terminal(c: char) -> bool {
    c.is_control()
        || ('\u{200b}'..='\u{200f}').contains(&c)
        || ('\u{2028}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
        || matches!(c, '\u{61c}' | '\u{feff}' | '\u{ad}')
        || ('\u{e0000}'..='\u{e007f}').contains(&c)
}

fn record(body: Body<'_>) -> Record<'_> {
    Record { time: Time(1), context: ClientId { process: ProcessId(8), thread: ThreadId(12) }, body }
}

fn debug(text: &str) -> Record<'_> {
    record(Body::Debug { driver: Some(DriverId(0)), component: 0, level: 0, text: text.into() })
}

fn image(path: &str) -> Record<'_> {
    let (time, context) = (Time(1), ClientId { process: ProcessId(8), thread: ThreadId(12) });
    let kind = EventKind::ImageLoad(Image {
        process: ProcessId(8),
        name: Some(Name::from_unix(path)),
        base: 0x1000,
        size: 0x1000,
        architecture: Architecture::X64,
        partial: false,
        conflicting: false,
        ..Image::default()
    });
    record(Body::Event(Event { time, context, kind, conditions: event::Conditions::default() }))
}

fn load(name: &str) -> Record<'_> {
    let (driver, name, path) = (DriverId(0), Cow::from(name), Cow::from("/d.sys"));
    record(Body::DriverLoad { driver, name, path, base: 0, size: 0, missing: Vec::new() })
}

/// The records as people see them, without a summary.
fn shown(records: &[Record<'_>], options: Options) -> String {
    let mut out = Vec::new();
    let mut sink = Human::new("test", &mut out, options);
    for record in records {
        sink.record(record).unwrap();
    }
    drop(sink);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_line_of_a_driver_stays_in_its_line() {
    let hostile = "\x1b[2J\x1b]0;owned\x07done\r\n│ ■ STOP faked\u{9b}31m\u{202e}txet";
    let out = shown(&[load("evil\x1b[31m"), debug(hostile)], Options::default());
    insta::assert_snapshot!(out, @r"
    │     0.000        8 ?               • evil\x1b[31m loaded /d.sys
    │     0.000        8 ?               » evil\x1b[31m \x1b[2J\x1b]0;owned\x07done\r\n│ ■ STOP faked\u{9b}31m\u{202e}txet
    ");
    // A machine gets back what was printed.
    assert_eq!(lines(&[debug(hostile)], false)[0]["text"], hostile);
}

#[test]
fn names_of_files_are_no_better() {
    let out = shown(&[image("/tmp/a\nb\x1bc/日本.so")], Options::default());
    insta::assert_snapshot!(out, @r"│     0.000        8 ?               · image     /tmp/a\nb\x1bc/日本.so");
}

#[test]
fn long_names_are_shortened_for_a_terminal_only() {
    let path = format!("/{}/end.so", "deep/".repeat(5_000));
    let piped = shown(&[image(&path)], Options::default());
    assert!(piped.contains(&path));
    for width in [10, 60, 80, 200] {
        let out = shown(&[image(&path)], Options { width: Some(width), ..Options::default() });
        assert_eq!(out.lines().count(), 1);
        // Sixteen columns are left to the name however narrow the terminal is.
        assert!(out.trim_end().chars().count() <= width.max(49 + 16), "{width}: {out}");
        assert!(out.trim_end().ends_with("/end.so"), "{out}");
    }
    assert_eq!(lines(&[image(&path)], false)[0]["image"], *path);
}

#[test]
fn long_lines_of_drivers_are_broken_and_complete() {
    let text = "word ".repeat(400) + &"x".repeat(1_000);
    let options = Options { width: Some(100), verbosity: Verbosity::Normal, ..Options::default() };
    let out = shown(&[debug(&text)], options);
    assert!(out.lines().all(|line| line.chars().count() <= 100));
    assert_eq!(out.matches("word").count(), 400);
    assert_eq!(out.matches('x').count(), 1_000);
}
