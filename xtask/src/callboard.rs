//! The program itself, built for release.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::root::{root, target};

/// Builds `callboard` for release and says where it is.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--package", "callboard"])
        .current_dir(root())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("callboard does not build");
    }
    Ok(target().join("release/callboard"))
}
