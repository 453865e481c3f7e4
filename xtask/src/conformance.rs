//! `cargo xtask conformance`: writes `docs/conformance.md`, from what is required to how it goes.
//!
//! ```text
//! docs/conformance/*.toml   requirements ──┐
//! crates/**/*.rs            names of tests ┼─▶ run the tests ─▶ judge each row ─▶ page
//! drivers/conformance       suites ────────┘   (trial, suites)    (evidence)
//! ```

mod evidence;
mod page;
pub(crate) mod row;
mod suites;
pub(crate) mod tests;
pub(crate) mod trial;

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::mutate::list;
use crate::root::{root, target};
use evidence::Evidence;
use suites::Checks;

/// The page, from the root of the tree.
const PAGE: &str = "docs/conformance.md";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail if the page is stale
    #[arg(long)]
    check: bool,
    /// Use the lines of the suites from the last time and take the other tests for green
    #[arg(long, conflicts_with = "check")]
    quick: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let sections = row::sections(root())?;
    let tests = tests::all(root())?;
    let mutations = list::read(root())?;
    let seen = list::Seen::read(root(), &mutations)?;
    let rows = || sections.iter().flat_map(|section| &section.rows);

    let lines = target().join("conformance");
    let proving = evidence::proving(rows(), &tests)?;
    let outcomes = if arguments.quick {
        None
    } else {
        if lines.exists() {
            fs::remove_dir_all(&lines)?;
        }
        fs::create_dir_all(&lines)?;
        eprintln!("     Running {} tests and the suites", proving.len());
        Some(trial::run(&proving, &lines)?)
    };
    let checks = if lines.exists() { Checks::read(&lines)? } else { Checks::default() };
    if let Some(unknown) = checks.ids().find(|id| rows().all(|row| row.id != **id)) {
        bail!("a suite checks {unknown}, which is no requirement");
    }
    let evidence = Evidence::gather(&sections, &tests, &checks, &mutations, &seen);
    let wrong = evidence.wrong(outcomes.as_ref());
    if !wrong.is_empty() {
        bail!("the table is red:\n  {}", wrong.join("\n  "));
    }
    for id in evidence.outdated() {
        eprintln!("{id} is proven by now: take away the reason why it has no test");
    }
    let page = page::write(&sections, &evidence);
    let path = root().join(PAGE);
    if arguments.check {
        let there = fs::read_to_string(&path).unwrap_or_default();
        if there != page {
            bail!("{PAGE} is stale: run `cargo xtask conformance` ({})", first_difference(&there, &page));
        }
        return Ok(());
    }
    fs::write(&path, page).with_context(|| format!("writing {PAGE}"))?;
    eprintln!("{}", evidence.summary(&sections).replace('\n', " "));
    Ok(())
}

/// Where two texts begin to differ, for who has to find out why.
fn first_difference(there: &str, made: &str) -> String {
    let differing = there.lines().zip(made.lines()).enumerate().find(|(_, (old, new))| old != new);
    match differing {
        Some((index, (_, new))) => format!("line {}: {new}", index + 1),
        None => "one is longer".to_owned(),
    }
}
