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
    let libraries = import_libraries(driver.folder, work)?;
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
            .args(libraries)
    })?;
    fs::read(&built).with_context(|| format!("cannot read {}", built.display()))
}

/// The import libraries of what a folder's C drivers import, made from its lists: one `MODULE.def` for each module.
fn import_libraries(folder: &str, work: &Path) -> Result<Vec<PathBuf>> {
    let directory = root().join("drivers").join(if folder.is_empty() { "tests" } else { folder });
    let listed = fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut lists = Vec::new();
    for entry in listed {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "def") {
            lists.push(path);
        }
    }
    lists.sort();
    lists.iter().map(|list| import_library(list, work)).collect()
}

fn import_library(list: &Path, work: &Path) -> Result<PathBuf> {
    let module = list.file_stem().and_then(|stem| stem.to_str()).context("a list is named as its module")?;
    // By its bare name: dlltool makes symbols from it, which end up in the drivers.
    let library = format!("lib{module}.a");
    DLLTOOL.run(|dlltool| {
        dlltool
            .current_dir(work)
            .args(["--deterministic-libraries", "--output-lib", &library])
            // Names of temporary members, otherwise after the process's id.
            .args(["--temp-prefix", module])
            .arg("--input-def")
            .arg(list)
    })?;
    Ok(work.join(library))
}
