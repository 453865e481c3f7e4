//! `cargo xtask bugs`: how long `callboard stress` takes to find each known defect, and that it says nothing of the
//! corrected twins in the same effort. Writes the table into docs/stress.md.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::callboard;
use crate::root::root;

/// Where the drivers are, from the root of the tree.
const FOLDER: &str = "drivers/bin/bugs";
/// The page, and what stands around its table.
const PAGE: &str = "docs/stress.md";
const BEGIN: &str = "<!-- cargo xtask bugs -->\n";
const END: &str = "<!-- end -->\n";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds are tried for each driver
    #[arg(long, default_value_t = 1000)]
    seeds: u32,
    /// For how many seconds
    #[arg(long, default_value_t = 60)]
    time: u32,
    /// Only the drivers whose names contain this; the page stays as it is
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// What came of one driver.
struct Tried {
    /// The seed that found something.
    found_by: Option<u64>,
    /// What the program said first, in a line.
    said: String,
    seconds: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let program = callboard::build()?;
    let mut rows = String::new();
    let mut wrong = Vec::new();
    for name in names()? {
        if arguments.only.as_ref().is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        let defective = stress(&program, &name, arguments)?;
        let fixed = stress(&program, &format!("{name}-fixed"), arguments)?;
        let Tried { said, seconds, .. } = &defective;
        let found = defective.found_by.map_or("**not found**".to_owned(), |seed| format!("{seed}"));
        rows.push_str(&format!("| {name} | {found} | {seconds:.1} s | {said} | {} |\n", fixed.said));
        eprintln!("{name}: seed {found}, {seconds:.1} s; twin: {}", fixed.said);
        if defective.found_by.is_none() {
            wrong.push(format!("{name} was not found"));
        }
        if fixed.found_by.is_some() {
            wrong.push(format!("{name}-fixed was reported"));
        }
    }
    if arguments.only.is_none() {
        let Arguments { seeds, time, .. } = arguments;
        let table = format!(
            "Up to {seeds} seeds or {time} seconds for each driver, two at a time:\n\n\
             | driver | found by seed | after | what is said first | its corrected twin |\n|---|---|---|---|---|\n{rows}"
        );
        write(&table)?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join(", "));
    Ok(())
}

/// The drivers with a defect, in order.
fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join(FOLDER)).context(FOLDER)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        names.extend(name.strip_suffix(".sys").filter(|name| !name.ends_with("-fixed")).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn stress(program: &Path, name: &str, arguments: &Arguments) -> Result<Tried> {
    let began = Instant::now();
    let output = Command::new(program)
        .arg("stress")
        .arg(root().join(FOLDER).join(name).with_extension("sys"))
        .args(["--jobs", "2", "--seeds", &arguments.seeds.to_string(), "--time", &arguments.time.to_string()])
        .output()
        .context("cannot run callboard")?;
    let seconds = began.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let said = first.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(first);
    let found_by = said.strip_prefix("seed ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    match (output.status.code(), found_by) {
        (Some(0), None) => Ok(Tried { found_by, said: said.to_owned(), seconds }),
        (Some(120 | 124), Some(_)) => {
            let what = lines.next().unwrap_or_default().trim();
            let short: String = what.chars().take_while(|&letter| letter != ';').take(90).collect();
            Ok(Tried { found_by, said: short.replace('|', "\\|"), seconds })
        }
        _ => bail!("{name}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr)),
    }
}

/// Puts the table in its place.
fn write(table: &str) -> Result<()> {
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).context(PAGE)?;
    let (before, rest) = page.split_once(BEGIN).with_context(|| format!("{PAGE} has no {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{PAGE} has no {END}"))?;
    fs::write(&path, format!("{before}{BEGIN}\n{table}\n{END}{after}")).context(PAGE)
}
