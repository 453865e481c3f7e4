//! The pages of the rules have one form: what somebody looks for is at the same place on each.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::callboard;

/// The sections of a page, in order.
const SECTIONS: [&str; 6] =
    ["Why", "What Windows does", "How it is found", "A driver that breaks it", "What to do", "Drivers"];

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).to_owned()
}

/// Id, title and severity of each rule, as the program has them.
fn rules() -> Vec<[String; 3]> {
    let output = callboard().args(["rules", "--format", "json"]).output().unwrap();
    let list: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |rule: &serde_json::Value, field: &str| rule[field].as_str().unwrap().to_owned();
    list.iter().map(|rule| ["id", "title", "severity"].map(|field| text(rule, field))).collect()
}

/// A page's head and its sections, each with its text.
fn parts(page: &str) -> (&str, Vec<(&str, &str)>) {
    let mut parts = page.split("\n## ");
    let head = parts.next().unwrap();
    (head, parts.map(|part| part.split_once('\n').unwrap_or((part, ""))).collect())
}

/// The files of drivers that a text names.
fn named(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|name| name.starts_with("drivers/")).collect()
}

/// What is wrong with a page.
fn wrong(page: &str, [id, title, severity]: &[String; 3]) -> Vec<String> {
    let mut wrong = Vec::new();
    let (head, sections) = parts(page);
    let graver = format!("# {id}: {title}\n\nSeverity: {severity}, ");
    if head != format!("# {id}: {title}\n\nSeverity: {severity}.\n") && !head.starts_with(&graver) {
        wrong.push(format!("its head: {head:?}"));
    }
    let names: Vec<_> = sections.iter().map(|(name, _)| *name).collect();
    if names != SECTIONS {
        wrong.push(format!("its sections: {names:?}"));
        return wrong;
    }
    for (name, text) in &sections {
        if text.trim().is_empty() || text.matches("```").count() % 2 != 0 {
            wrong.push(format!("{name}: nothing in it, or code without an end"));
        }
    }
    if !sections[3].1.trim().starts_with("```c\n") {
        wrong.push("no driver in C that breaks it".to_owned());
    }
    let drivers = named(sections[5].1);
    if drivers.is_empty() {
        wrong.push("no driver is named".to_owned());
    }
    wrong.extend(drivers.iter().filter(|name| !root().join(name).is_file()).map(|name| format!("no {name}")));
    wrong
}

#[test]
fn each_page_has_its_sections_in_order_and_names_drivers_that_exist() {
    let mut all = Vec::new();
    let rules = rules();
    assert!(rules.len() > 20, "{rules:?}");
    for rule in &rules {
        let page = fs::read_to_string(root().join(format!("docs/rules/{}.md", rule[0]))).unwrap();
        all.extend(wrong(&page, rule).into_iter().map(|what| format!("{}: {what}", rule[0])));
    }
    assert!(all.is_empty(), "{all:#?}");
}

#[test]
fn what_is_wrong_with_a_page_is_seen() {
    let rule = ["X-01", "A rule", "error"].map(str::to_owned);
    let good = "# X-01: A rule\n\nSeverity: error.\n\n## Why\n\na\n\n## What Windows does\n\nb\n\n## How it is found\n\nc\n\n\
                ## A driver that breaks it\n\n```c\nint x;\n```\n\n## What to do\n\nd\n\n## Drivers\n\n`drivers/rules/mode.h`\n";
    assert_eq!(wrong(good, &rule), [""; 0]);
    for (from, to) in [
        ("A rule", "A role"),
        ("Severity: error", "Severity: warning"),
        ("## Why", "## Because"),
        ("## What to do\n\nd", "## What to do\n"),
        ("```c\n", "```\n"),
        ("mode.h", "node.h"),
        ("`drivers/rules/mode.h`", "none"),
    ] {
        assert_eq!(wrong(&good.replace(from, to), &rule).len(), 1, "{from} -> {to}");
    }
}

#[test]
fn the_list_of_rules_has_the_titles_and_severities_of_the_pages() {
    let list = fs::read_to_string(root().join("docs/rules/README.md")).unwrap();
    for [id, title, _] in rules() {
        let page = fs::read_to_string(root().join(format!("docs/rules/{id}.md"))).unwrap();
        let severity =
            page.lines().find_map(|line| line.strip_prefix("Severity: ")).unwrap().trim_end_matches('.');
        let line = format!("| [{id}]({id}.md) | {title} | {severity} |");
        assert!(list.lines().any(|listed| listed == line), "{line}");
    }
}
