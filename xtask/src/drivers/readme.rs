//! The page beside the committed drivers.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::{recipe, toolchain};
use crate::root::root;

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

/// The page for the drivers of a folder, which are committed.
pub(crate) fn table(folder: &str) -> Result<String> {
    let mut page = format!("{HEAD}{}\nBuilt by (Debian 12 packages):\n\n", rows(folder)?);
    for line in toolchain::versions()? {
        writeln!(page, "- {line}")?;
    }
    Ok(page)
}

fn rows(folder: &str) -> Result<String> {
    let mut rows = String::new();
    for driver in recipe::all()?.iter().filter(|driver| driver.folder == folder) {
        let path = driver.committed();
        let bytes = fs::read(root().join(&path)).with_context(|| {
            format!("{} is not there: cargo xtask drivers {}", path.display(), driver.name)
        })?;
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let (name, size, source, purpose) = (&driver.name, bytes.len(), &driver.source, &driver.purpose);
        writeln!(rows, "| `{name}.sys` | {size} | `{sum}` | `{source}` | {purpose} |")?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs none of the tools, so it runs where drivers cannot be built.
    #[test]
    fn the_pages_describe_the_committed_drivers() {
        let bin = root().join("drivers/bin");
        let mut committed = 0;
        for folder in std::iter::once("").chain(recipe::FOLDERS.iter().copied()) {
            let page = fs::read_to_string(bin.join(folder).join("README.md")).unwrap();
            assert!(page.contains(&rows(folder).unwrap()), "{folder}");
            let files = fs::read_dir(bin.join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
            committed += files.filter(|name| name.to_string_lossy().ends_with(".sys")).count();
        }
        assert_eq!(committed, recipe::all().unwrap().len(), "a driver without a recipe");
    }
}
