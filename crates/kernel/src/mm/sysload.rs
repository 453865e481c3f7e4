//! `MmLoadSystemImage`: a driver's file becomes an image that is bound to the kernel.

use std::sync::{Mutex, PoisonError};

use event::DriverId;
use machine::images::LoadedImage;
use nt_abi::{NTSTATUS, STATUS_DRIVER_ENTRYPOINT_NOT_FOUND, STATUS_INVALID_IMAGE_FORMAT, Since};
use pe_image::{MapOptions, MappedImage, PeFile, Placement, Resolution, Symbol};

use crate::Config;
use crate::export::{self, Lookup};

/// Why a driver's image cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It is no driver image, or a damaged one.
    #[error(transparent)]
    File(#[from] pe_image::PeError),
    /// The system would not give memory for it.
    #[error(transparent)]
    Map(#[from] pe_image::MapError),
    /// It imports what the chosen Windows does not have.
    #[error(
        "{module}!{name} exists from {since} on, and this is {profile}: choose a later profile with --os, or have the driver look it up with MmGetSystemRoutineAddress"
    )]
    NotInProfile {
        /// The module.
        module: String,
        /// The routine.
        name: String,
        /// The first Windows that has it.
        since: Since,
        /// The Windows that is stood in for.
        profile: &'static str,
    },
    /// The machine has no place for another image.
    #[error(transparent)]
    Machine(#[from] machine::images::ImageError),
}

impl ImageError {
    /// What Windows answers to loading such a file.
    pub fn status(&self) -> NTSTATUS {
        match self {
            Self::NotInProfile { .. } => STATUS_DRIVER_ENTRYPOINT_NOT_FOUND,
            _ => STATUS_INVALID_IMAGE_FORMAT,
        }
    }
}

/// Images go here, one after the other, so that addresses are the same run after run: high in the user half,
/// where programs put nothing.
const FIRST_BASE: usize = 0x6F80_0000_0000;
/// Room for the largest image and its guard pages.
const STRIDE: usize = 0x4000_0000;

/// Maps and binds a driver's image, and makes it known to the machine. Nothing of it runs.
pub(crate) fn load(
    file: &PeFile<'_>,
    id: DriverId,
    name: &str,
    config: &Config,
) -> Result<MappedImage, ImageError> {
    let mut too_new = None;
    let mut resolver = |module: &str, symbol: Symbol<'_>| match bind(module, symbol, config) {
        Ok(resolution) => resolution,
        Err(error) => {
            too_new.get_or_insert(error);
            Resolution::Missing(missing(module, &symbol.to_string()))
        }
    };
    let options = MapOptions {
        placement: Placement::At(FIRST_BASE + id.0 as usize * STRIDE),
        security_cookie: Some(crate::ke::virtual_clock::random_u64()),
    };
    let image = match file.map(&options, &mut resolver) {
        // The place is taken, on a system with another layout: any other will do.
        Err(_) => file.map(&MapOptions { placement: Placement::Anywhere, ..options }, &mut resolver)?,
        Ok(image) => image,
    };
    if let Some(error) = too_new {
        return Err(error);
    }
    let loaded = LoadedImage {
        name: name.into(),
        base: image.base(),
        size: image.size(),
        function_table: file.functions.rva,
        function_count: u32::try_from(file.functions.entries().len()).unwrap_or(0),
        driver: crate::io::driver::to_tag(id),
    };
    // SAFETY: the image stays mapped until `io::load` unregisters it.
    unsafe { machine::images::register(loaded) }?;
    Ok(image)
}

/// Finds an import in the export table.
fn bind(module: &str, symbol: Symbol<'_>, config: &Config) -> Result<Resolution, ImageError> {
    let Symbol::Name { name, .. } = symbol else {
        // Ordinals of the kernel change with every build, so nothing imports by them.
        return Ok(Resolution::Missing(missing(module, &symbol.to_string())));
    };
    match export::lookup(module, name, config) {
        Lookup::Found(export) => Ok(Resolution::Address(crate::stress::hooked(export))),
        Lookup::NotInProfile(export) => Err(ImageError::NotInProfile {
            module: module.to_owned(),
            name: name.to_owned(),
            since: export.since,
            profile: config.profile.title(),
        }),
        Lookup::Unknown => Ok(Resolution::Missing(missing(module, name))),
    }
}

/// Names of what drivers import and nobody implements; a stub knows its place in this list.
static MISSING: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How many stubs there can be: one for each missing import of every driver of a bench.
const STUBS: usize = 1024;
/// Bytes of a stub. They are part of the program, so that no code has to be made while it runs.
const STUB_SIZE: usize = 16;

/// The address that stands in for a missing import.
fn missing(module: &str, name: &str) -> usize {
    let mut names = MISSING.lock().unwrap_or_else(PoisonError::into_inner);
    let full = format!("{module}!{name}");
    let index = names.iter().position(|known| *known == full).unwrap_or_else(|| {
        names.push(full);
        names.len() - 1
    });
    first_stub() + index.min(STUBS - 1) * STUB_SIZE
}

/// Where the stubs begin: at the first multiple of their size in their function.
fn first_stub() -> usize {
    (stubs as *const ()).expose_provenance().next_multiple_of(STUB_SIZE)
}

/// The stubs: each tells [`call_missing`] where it is, and thereby which one. The driver's
/// own return address stays on the stack above, for the report.
#[unsafe(naked)]
unsafe extern "win64" fn stubs() {
    std::arch::naked_asm!(
        ".rept {count}",
        ".balign {size}",
        "lea rcx, [rip]",
        "jmp {handler}",
        ".endr",
        count = const STUBS,
        size = const STUB_SIZE,
        handler = sym call_missing,
    )
}

/// A driver called what nobody implements.
unsafe extern "win64" fn call_missing(at: usize) -> ! {
    let index = (at - first_stub()) / STUB_SIZE;
    let name = {
        let names = MISSING.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(index).cloned().unwrap_or_else(|| "an import".to_owned())
    };
    crate::ke::stop::without_bug_check(
        event::StopKind::Unimplemented,
        &format!(
            "the driver called {name}, which Callboard does not implement; `callboard inspect` lists what a driver needs"
        ),
    )
}
