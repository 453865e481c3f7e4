//! The page itself.

use std::fmt::Write as _;

use super::evidence::{Evidence, Proof};
use super::row::Section;
use super::suites::{Outcome, PROFILES};

const INTRO: &str = "\
<!-- Written by `cargo xtask conformance` from docs/conformance/*.toml, the tests and the suites. Do not edit. -->
# Conformance

What the documents say about notify routines, what else is known of them, and what proves that Callboard does it.
The statements of the three documents come first, one by one, in our own words; then the requirements that were
collected from other documents and from observation.

";

const LEGEND: &str = "
## How to reproduce it

```console
$ cargo test                      # every test, with the suites inside drivers under each profile
$ cargo xtask conformance         # the same tests, and this page written anew (--check: compare only)
$ cargo xtask mutate              # break one behaviour at a time and expect red (--only NAME, --list)
$ cargo xtask mutate --bless      # the same, and write down what was seen
```

## How to read it

| column | meaning |
|---|---|
| mark | how it is known: **D** documented by Microsoft, **O** observed in a public source, **I** inferred, **?** open or contradictory |
| proof | how many Rust tests and how many checks inside drivers; their names are below each table |
| seen to fail | the mutations (deliberate breakages) that tests of this row were seen to catch |
| a profile | ✓ a check inside a driver passed under that Windows · u proven by Rust tests that do not depend on the profile or go through profiles themselves · – that Windows has not what it speaks of · todo contested, the other choice is the default · blank: no proof, the reason is below the table |
| others | what other software does that stands in for the NT kernel: **W** Wine 8.0, **S** Speakeasy 1.5 and 2.0, **Q** Qiling 1.4.6, **R** ReactOS, **U** usersim, as far as their sources and manuals tell. Who is not named does something that is not known to us |

The profiles are the columns:";

/// The whole page.
pub(crate) fn write(sections: &[Section], evidence: &Evidence) -> String {
    let mut page = String::from(INTRO);
    page.push_str(&evidence.summary(sections));
    page.push('\n');
    page.push_str(LEGEND);
    let titles: Vec<String> =
        PROFILES.iter().map(|(profile, heading)| format!(" {heading} = `{profile}`")).collect();
    page.push_str(&titles.join(","));
    page.push_str(".\n");
    for section in sections {
        table(&mut page, section, evidence);
        reasons(&mut page, section, evidence);
        names(&mut page, section, evidence);
    }
    page
}

fn table(page: &mut String, section: &Section, evidence: &Evidence) {
    let headings: Vec<&str> = PROFILES.iter().map(|(_, heading)| *heading).collect();
    let _ = write!(
        page,
        "\n## {}\n\n{}\n\n| id | what is required | mark | proof | seen to fail | {} | others |\n|---|---|---|---|---|{}---|\n",
        section.title,
        section.intro.trim(),
        headings.join(" | "),
        "---|".repeat(PROFILES.len()),
    );
    for row in &section.rows {
        let proof = evidence.of(row);
        let broken: Vec<&str> = proof.broken_by.keys().map(String::as_str).collect();
        let _ = write!(
            page,
            "| {} | {} | {} | {} | {} |",
            row.id,
            escaped(&row.text),
            row.mark,
            counts(proof),
            broken.join("<br>"),
        );
        for outcome in proof.outcomes {
            let _ = write!(page, " {} |", cell(proof, outcome));
        }
        let others: Vec<String> = row
            .others
            .iter()
            .map(|(other, words)| format!("**{}** {}", other.letter(), escaped(words)))
            .collect();
        let _ = writeln!(page, " {} |", others.join(" · "));
    }
}

fn counts(proof: &Proof) -> String {
    let many = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    };
    let counts = [many(proof.tests.len(), "test"), many(proof.checks.len(), "check")];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    if counts.is_empty() { "none, see below".to_owned() } else { counts.join(", ") }
}

fn cell(proof: &Proof, outcome: Option<Outcome>) -> &'static str {
    // What drivers leave to others on every Windows is not for drivers to check.
    let elsewhere = proof.outcomes.iter().flatten().all(|&each| each == Outcome::NotApplicable);
    match outcome.filter(|_| !elsewhere) {
        Some(Outcome::Pass) => "✓",
        Some(Outcome::Fail) => "FAIL",
        Some(Outcome::Todo) => "todo",
        Some(Outcome::NotApplicable) => "–",
        None if proof.tests.is_empty() => "",
        None => "u",
    }
}

fn reasons(page: &mut String, section: &Section, evidence: &Evidence) {
    let with_reason = section.rows.iter().filter(|row| !evidence.of(row).is_there());
    let with_reason = with_reason.filter_map(|row| Some((&row.id, row.why_none.as_ref()?)));
    let mut with_reason = with_reason.peekable();
    if with_reason.peek().is_none() {
        return;
    }
    page.push_str("\nWithout a test, and why:\n\n");
    for (id, why) in with_reason {
        let _ = writeln!(page, "- {id}: {why}");
    }
}

fn names(page: &mut String, section: &Section, evidence: &Evidence) {
    page.push_str("\n<details><summary>The tests and checks by name</summary>\n\n");
    for row in &section.rows {
        let proof = evidence.of(row);
        if !proof.is_there() {
            continue;
        }
        let tests = proof.tests.iter().map(|test| format!("[`{}`](../{})", test.name, test.file));
        let checks = proof.checks.iter().map(|(file, text)| format!("`{file}` {}", escaped(text)));
        let all: Vec<String> = tests.chain(checks).collect();
        let _ = writeln!(page, "- **{}**: {}", row.id, all.join(" · "));
    }
    page.push_str("\n</details>\n");
}

/// Text that stays in its cell.
fn escaped(text: &str) -> String {
    text.trim().replace('\n', " ").replace('|', "\\|")
}
