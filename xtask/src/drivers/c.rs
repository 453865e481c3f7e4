//! Drivers in C, by mingw-w64.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::recipe::Driver;
use super::toolchain::{DLLTOOL, GCC};
use crate::root::root;

const COMPILE: &[&str] = &[
    "-std=gnu11",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffreestanding",
    "-fno-ident",
    // No loop becomes a call of a library that is not there.
    "-fno-tree-loop-distribute-patterns",
    // Frames stay below a page, so there is nothing to probe (and no library to do it).
    "-mno-stack-arg-probe",
    "-Wframe-larger-than=4096",
];

/// Where Debian keeps the kernel's headers; as a system directory, so that only our code is warned about.
const HEADERS: &str = "/usr/share/mingw-w64/include/ddk";

const LINK: &[&str] = &[
    "-nostdlib",
    "-Wl,--subsystem,native",
    "-Wl,--entry,DriverEntry",
    "-Wl,--image-base,0x140000000",
    "-Wl,--nxcompat",
    "-Wl,--dynamicbase",
    "-Wl,--high-entropy-va",
    "-Wl,--no-insert-timestamp",
    "-Wl,--major-os-version,10,--minor-os-version,0",
    "-Wl,--major-subsystem-version,10,--minor-subsystem-version,0",
];

/// Builds one and gives its bytes.
pub(crate) fn build(driver: &Driver, integrity: bool, work: &Path) -> Result<Vec<u8>> {
    let root = root();
    let library = import_library(driver.folder, work)?;
    let built = work.join(format!("{}{}.sys", driver.folder, driver.name));
    GCC.run(|gcc| {
        if integrity {
            gcc.arg("-Wl,--forceinteg");
        }
        gcc.current_dir(root)
            .args(COMPILE)
            .arg(format!("-ffile-prefix-map={}=", root.display()))
            .args(["-isystem", HEADERS])
            .args(LINK)
            .arg("-o")
            .arg(&built)
            .arg(&driver.source)
            .arg(library)
    })?;
    fs::read(&built).with_context(|| format!("cannot read {}", built.display()))
}

/// The import library of the kernel routines that a folder's C drivers use, made from its list.
fn import_library(folder: &str, work: &Path) -> Result<PathBuf> {
    // By its bare name: dlltool makes symbols from it, which end up in the drivers.
    const LIBRARY: &str = "libntoskrnl.a";
    let list = match folder {
        "" => root().join("drivers/tests/ntoskrnl.def"),
        folder => root().join("drivers").join(folder).join("ntoskrnl.def"),
    };
    DLLTOOL.run(|dlltool| {
        dlltool
            .current_dir(work)
            .args(["--deterministic-libraries", "--output-lib", LIBRARY])
            // Names of temporary members, otherwise after the process's id.
            .args(["--temp-prefix", "ntoskrnl"])
            .arg("--input-def")
            .arg(list)
    })?;
    Ok(work.join(LIBRARY))
}
