//! `cargo xtask timeline`: the picture of the README, from a real run.

use std::fs;
use std::process::Command;

use anyhow::{Context, bail};

use crate::callboard;
use crate::root::root;

/// The command in the picture.
const SHOWN: &str = "callboard run --set Deny='*/uname' -- sh -c 'uname -a || ls /opt'";

/// Runs the command and draws what a terminal shows of it.
pub(crate) fn run() -> anyhow::Result<()> {
    let program = callboard::build()?;
    let output = Command::new(program)
        .args([
            "run",
            "--set",
            "Deny=*/uname",
            "--set",
            "Quiet:dword=0",
            "--",
            "sh",
            "-c",
            "uname -a || ls /opt",
        ])
        .env("CLICOLOR_FORCE", "1")
        .output()
        .context("cannot run callboard")?;
    if !output.status.success() {
        bail!("the command in the picture failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let shown = String::from_utf8(output.stderr).context("callboard wrote something that is no text")?;
    let screen = format!("\x1b[1m$\x1b[0m {SHOWN}\n{shown}");
    let picture = anstyle_svg::Term::new().render_svg(&screen);
    let path = root().join("docs/timeline.svg");
    fs::write(&path, picture).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
