//! Drivers in Rust: for Microsoft's target, with `core` and `alloc` built from source, linked by lld
//! without any library of Microsoft's.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::recipe::Driver;
use super::toolchain::{CARGO, LIBRARY, LLD_LINK, RUSTC, require_library};
use crate::root::root;

const TARGET: &str = "x86_64-pc-windows-msvc";

/// What makes a driver of a program.
const LINK: &[&str] = &[
    "/SUBSYSTEM:NATIVE,10.0",
    "/DRIVER",
    "/ENTRY:DriverEntry",
    "/NODEFAULTLIB",
    "/INTEGRITYCHECK",
    "/NXCOMPAT",
    "/DYNAMICBASE",
    "/TSAWARE:NO",
    // Reproducible: a hash in place of the time, and no PDB with a path.
    "/Brepro",
    "/DEBUG:NONE",
];

/// Builds one and gives its bytes.
pub(crate) fn build(driver: &Driver, work: &Path) -> Result<Vec<u8>> {
    require_library()?;
    RUSTC.version()?;
    LLD_LINK.version()?;
    let mut flags = vec![
        "-Clinker=lld-link".to_owned(),
        format!("--remap-path-prefix={LIBRARY}=/rust"),
        format!("--remap-path-prefix={}=/src", root().display()),
    ];
    flags.extend(LINK.iter().map(|option| format!("-Clink-arg={option}")));
    let target_dir = work.join("rust");

    CARGO.run(|cargo| {
        // Settings for the rest of the tree must not reach this build.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO") || name.starts_with("RUST") {
                cargo.env_remove(name.as_ref());
            }
        }
        if let Some(home) = std::env::var_os("CARGO_HOME") {
            cargo.env("CARGO_HOME", home);
        }
        cargo
            .current_dir(root().join("drivers"))
            .env("RUSTC", RUSTC.program)
            .env("RUSTC_BOOTSTRAP", "1") // -Zbuild-std on a stable compiler
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .env("CARGO_TARGET_DIR", &target_dir)
            .args(["build", "--release", "--locked", "--target", TARGET, "--package", &driver.name])
            .args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"])
    })?;
    let built = target_dir.join(TARGET).join("release").join(format!("{}.exe", driver.name));
    fs::read(&built).with_context(|| format!("cannot read {}", built.display()))
}
