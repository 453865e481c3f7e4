//! `cargo xtask drivers`: builds the Windows drivers from source, and compares them with the committed
//! ones.
//!
//! ```text
//! drivers/sensor         ── cargo, rustc, lld-link ──┐
//! drivers/*/*.c          ── mingw-w64 gcc, ld ───────┼─▶ finish: checksum ─▶ verify ─▶ drivers/bin/*.sys
//!        recipe            toolchain, rust, c        ┘      pe                         + README.md
//! ```
//! The drivers of a folder (`rules`, `bugs`, `conformance`) are committed in a folder of that name.
//!
//! The same tools give the same bytes, wherever the tree is and whenever it is built: no time stamps,
//! no paths, nothing random.

mod c;
mod pe;
mod readme;
mod recipe;
mod rust;
mod toolchain;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::root::{root, target};
use recipe::Language;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail if a driver that is built now differs from the committed one
    #[arg(long)]
    check: bool,
    /// The drivers to build, e.g. `sensor witness` [default: all]
    names: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let chosen = recipe::choose(&arguments.names)?;
    let bin = root().join("drivers/bin");
    let work = target().join("drivers");
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    for folder in std::iter::once("").chain(recipe::FOLDERS.iter().copied()) {
        let bin = bin.join(folder);
        fs::create_dir_all(&bin).with_context(|| format!("cannot make {}", bin.display()))?;
    }

    let mut differing = Vec::new();
    for driver in &chosen {
        eprintln!("  Building {}.sys from {}", driver.name, driver.source);
        let mut bytes = match driver.language {
            Language::Rust => rust::build(driver, &work),
            Language::C { integrity } => c::build(driver, integrity, &work),
        }
        .with_context(|| format!("{}.sys was not built", driver.name))?;
        pe::set_checksum(&mut bytes)?;
        pe::verify(driver, &bytes).with_context(|| format!("{}.sys is no valid driver", driver.name))?;
        let committed = root().join(driver.committed());
        if arguments.check {
            differing.extend(difference(&committed, &bytes));
        } else {
            store(&committed, &bytes)?;
        }
    }

    let page = bin.join("README.md");
    for folder in std::iter::once("").chain(recipe::FOLDERS.iter().copied()) {
        let page = bin.join(folder).join("README.md");
        let table = readme::table(folder)?;
        if !arguments.check {
            store(&page, table.as_bytes())?;
        } else if fs::read_to_string(&page).ok().as_deref() != Some(&table) {
            differing.push(format!("{} does not describe the committed drivers", page.display()));
        }
    }
    if differing.is_empty() {
        eprintln!(
            "  {} drivers, all {}",
            chosen.len(),
            if arguments.check { "as committed" } else { "built" }
        );
        return Ok(());
    }
    let tools = toolchain::differences(&page);
    bail!(
        "{}\n{tools}Run `cargo xtask drivers` and commit drivers/bin if the sources were changed on purpose.",
        differing.join("\n")
    )
}

/// How the committed file differs from what was built now.
fn difference(committed: &Path, built: &[u8]) -> Option<String> {
    let name = committed.display();
    let Ok(old) = fs::read(committed) else { return Some(format!("{name} is not there")) };
    if old == built {
        return None;
    }
    let at = old.iter().zip(built).position(|(a, b)| a != b).unwrap_or_else(|| old.len().min(built.len()));
    Some(format!(
        "{name} ({} bytes) differs from the build ({} bytes) at offset {at:#x}",
        old.len(),
        built.len()
    ))
}

/// Writes a file, unless it says the same already (so that times and watchers are left alone).
fn store(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
