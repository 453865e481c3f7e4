//! The page beside the committed drivers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::{recipe, toolchain};

const HEAD: &str = "\
<!-- Written by `cargo xtask drivers`. -->
# Committed drivers

Built from the sources beside them in this tree, so that a fresh clone runs and tests everything
without Windows tools. `cargo xtask drivers` rebuilds them; `cargo xtask drivers --check` fails if the
same tools would not give the same bytes. None is signed: see `drivers/README.md` for real Windows.

All but `sensor.sys` are for tests, and some of those break rules on purpose.

| file | bytes | SHA-256 | source | purpose |
|---|---:|---|---|---|
";

/// The page for the drivers that are in `bin` now.
pub(crate) fn table(bin: &Path) -> Result<String> {
    let mut page = format!("{HEAD}{}\nBuilt by (Debian 12 packages):\n\n", rows(bin)?);
    for line in toolchain::versions()? {
        writeln!(page, "- {line}")?;
    }
    Ok(page)
}

fn rows(bin: &Path) -> Result<String> {
    let mut rows = String::new();
    for driver in recipe::DRIVERS {
        let name = format!("{}.sys", driver.name);
        let bytes = fs::read(bin.join(&name)).with_context(|| {
            format!("drivers/bin/{name} is not there: cargo xtask drivers {}", driver.name)
        })?;
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let (size, source, purpose) = (bytes.len(), driver.source, driver.purpose);
        writeln!(rows, "| `{name}` | {size} | `{sum}` | `{source}` | {purpose} |")?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs none of the tools, so it runs where drivers cannot be built.
    #[test]
    fn the_page_describes_the_committed_drivers() {
        let bin = crate::root::root().join("drivers/bin");
        let page = fs::read_to_string(bin.join("README.md")).unwrap();
        assert!(page.contains(&rows(&bin).unwrap()));
        let files = fs::read_dir(&bin).unwrap().map(|entry| entry.unwrap().file_name());
        let drivers = files.filter(|name| name.to_string_lossy().ends_with(".sys")).count();
        assert_eq!(drivers, recipe::DRIVERS.len(), "a driver without a recipe");
    }
}
