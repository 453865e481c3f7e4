//! The tools that build drivers. They are Debian's, because another compiler gives other bytes.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A program that is needed.
pub(crate) struct Tool {
    /// What is run. Rust's are named by path, since the rest of the tree is built by rustup's.
    pub(crate) program: &'static str,
    /// The Debian package that has it.
    package: &'static str,
}

pub(crate) const CARGO: Tool = Tool { program: "/usr/bin/cargo", package: "cargo-web" };
pub(crate) const RUSTC: Tool = Tool { program: "/usr/bin/rustc", package: "rustc-web" };
pub(crate) const LLD_LINK: Tool = Tool { program: "lld-link", package: "lld" };
pub(crate) const GCC: Tool = Tool { program: "x86_64-w64-mingw32-gcc", package: "gcc-mingw-w64-x86-64" };
pub(crate) const DLLTOOL: Tool =
    Tool { program: "x86_64-w64-mingw32-dlltool", package: "binutils-mingw-w64-x86-64" };

/// Where Debian keeps the sources of `core` and `alloc`.
pub(crate) const LIBRARY: &str = "/usr/lib/rustlib/src/rust/library";

/// Those whose version decides the bytes.
const DECIDING: [&Tool; 4] = [&RUSTC, &LLD_LINK, &GCC, &DLLTOOL];

impl Tool {
    /// The first line of what it says to `--version`.
    ///
    /// # Errors
    /// If it is not there, with the package that has it.
    pub(crate) fn version(&self) -> Result<String> {
        let output = Command::new(self.program)
            .arg("--version")
            .output()
            .with_context(|| format!("{} cannot be run: apt install {}", self.program, self.package))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// Runs it with what `configure` adds, and shows what it printed if it fails.
    pub(crate) fn run(&self, configure: impl FnOnce(&mut Command) -> &mut Command) -> Result<()> {
        let mut command = Command::new(self.program);
        let output = configure(&mut command)
            .output()
            .with_context(|| format!("{} cannot be run: apt install {}", self.program, self.package))?;
        if !output.status.success() {
            bail!("{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

/// The sources of Rust's library, without which nothing can be built for a target that has no
/// packaged one.
pub(crate) fn require_library() -> Result<()> {
    if !Path::new(LIBRARY).join("core").is_dir() {
        bail!("{LIBRARY} is not there: apt install rust-web-src");
    }
    Ok(())
}

/// One line per tool whose version decides the bytes.
pub(crate) fn versions() -> Result<Vec<String>> {
    DECIDING.iter().map(|tool| Ok(format!("`{}`: {}", tool.program, tool.version()?))).collect()
}

/// For the message that bytes differ: tools other than those the page names, which explain it.
pub(crate) fn differences(page: &Path) -> String {
    let page = fs::read_to_string(page).unwrap_or_default();
    let mut text = String::new();
    for line in versions().unwrap_or_default().iter().filter(|line| !page.contains(line.as_str())) {
        let _ = writeln!(text, "Note: the committed drivers were built by another version than {line}.");
    }
    text
}
