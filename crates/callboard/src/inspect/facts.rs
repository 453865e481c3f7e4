//! What `inspect` knows of a driver. As JSON these are the fields that programs read.

use callboard::exports::{self, Lookup};
use kernel::Config;
use nt_abi::Profile;
use pe_image::{PeFile, Symbol};
use serde::Serialize;

use crate::drivers::DriverFile;

/// The schema that programs find in the JSON.
const SCHEMA: &str = "callboard.inspect/1";

/// Everything about one driver.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    pub(super) schema: &'static str,
    pub(super) path: String,
    pub(super) service: String,
    pub(super) file_size: usize,
    pub(super) profile: &'static str,
    pub(super) machine: String,
    pub(super) subsystem: String,
    pub(super) entry: Option<String>,
    pub(super) image_base: String,
    pub(super) image_size: u32,
    pub(super) section_alignment: u32,
    pub(super) file_alignment: u32,
    pub(super) force_integrity: bool,
    pub(super) flags: Vec<String>,
    pub(super) checksum: String,
    pub(super) checksum_ok: bool,
    pub(super) relocations: String,
    pub(super) signed: bool,
    pub(super) pdb: Option<String>,
    pub(super) version: Option<String>,
    pub(super) sections: Vec<SectionFacts>,
    pub(super) functions: usize,
    pub(super) handlers: usize,
    pub(super) notify: Vec<NotifyFacts>,
    pub(super) imports: Vec<ImportFacts>,
    pub(super) exports: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// One section.
#[derive(Debug, Serialize)]
pub(super) struct SectionFacts {
    pub(super) name: String,
    pub(super) rva: String,
    pub(super) size: u32,
    pub(super) access: String,
}

/// One of the nine routines that set or remove notify routines.
#[derive(Debug, Serialize)]
pub(super) struct NotifyFacts {
    pub(super) name: String,
    /// Imported, or only named in the image's data.
    pub(super) imported: bool,
    pub(super) remark: Option<String>,
}

/// One import.
#[derive(Debug, Serialize)]
pub(super) struct ImportFacts {
    pub(super) module: String,
    pub(super) name: String,
    pub(super) support: Support,
    /// The first Windows that has it, where Callboard knows it.
    pub(super) since: Option<String>,
    /// Bound when first used.
    pub(super) delayed: bool,
}

/// Whether an import is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Support {
    Implemented,
    /// The chosen Windows does not have it.
    NotInProfile,
    /// Callboard does not have it: calling it is a stop.
    Unknown,
}

/// The routines by which notify routines are set and removed.
const NOTIFY: [&str; 9] = [
    "PsSetCreateProcessNotifyRoutine",
    "PsSetCreateProcessNotifyRoutineEx",
    "PsSetCreateProcessNotifyRoutineEx2",
    "PsSetCreateThreadNotifyRoutine",
    "PsSetCreateThreadNotifyRoutineEx",
    "PsRemoveCreateThreadNotifyRoutine",
    "PsSetLoadImageNotifyRoutine",
    "PsSetLoadImageNotifyRoutineEx",
    "PsRemoveLoadImageNotifyRoutine",
];

impl Facts {
    pub(super) fn gather(driver: &DriverFile, file: &PeFile<'_>, profile: Profile) -> Self {
        let imports = imports(file, profile);
        Self {
            schema: SCHEMA,
            path: driver.path.display().to_string(),
            service: driver.service.clone(),
            file_size: driver.bytes.len(),
            profile: profile.name(),
            machine: format!("x86-64 ({:#06x})", file.machine),
            subsystem: subsystem(file.subsystem),
            entry: file.entry.map(|rva| format!("{rva:#x}")),
            image_base: format!("{:#x}", file.image_base),
            image_size: file.size_of_image,
            section_alignment: file.section_alignment,
            file_alignment: file.file_alignment,
            force_integrity: file.force_integrity(),
            flags: flags(file),
            checksum: format!(
                "{:#010x}{}",
                file.checksum,
                if file.checksum_ok() { "" } else { ", not that of the file: Windows refuses it" }
            ),
            checksum_ok: file.checksum_ok(),
            relocations: match (file.relocations_stripped(), file.relocations.iter().count()) {
                (true, _) => "stripped".into(),
                (false, 0) => "none needed".into(),
                (false, count) => format!("{count}"),
            },
            signed: file.certificates.is_some(),
            pdb: file.code_view.as_ref().map(|view| view.file_name().to_owned()),
            version: file.version.as_ref().and_then(|version| {
                let text = |name| version.get(name).map(str::trim).filter(|text| !text.is_empty());
                let parts: Vec<_> =
                    ["CompanyName", "FileDescription", "FileVersion"].into_iter().filter_map(text).collect();
                (!parts.is_empty()).then(|| parts.join(", "))
            }),
            sections: file
                .sections()
                .iter()
                .map(|section| {
                    let protection = section.protection();
                    SectionFacts {
                        name: section.name.clone(),
                        rva: format!("{:#x}", section.rva),
                        size: section.virtual_size,
                        access: format!(
                            "r{}{}{}",
                            if protection.write { "w" } else { "-" },
                            if protection.execute { "x" } else { "-" },
                            if section.discardable() { ", discardable" } else { "" }
                        ),
                    }
                })
                .collect(),
            functions: file.functions.entries().len(),
            handlers: file.functions_with_handlers(),
            notify: notify(driver, file, &imports),
            exports: file.exports.iter().flat_map(|export| export.names.clone()).collect(),
            imports,
            notes: file.notes.iter().map(ToString::to_string).collect(),
        }
    }
}

fn subsystem(number: u16) -> String {
    let name = match number {
        1 => "native (a driver)",
        2 | 3 => "Windows (a user-mode program)",
        _ => "unusual for a driver",
    };
    format!("{number}, {name}")
}

fn flags(file: &PeFile<'_>) -> Vec<String> {
    let names = [
        (0x0020, "HIGH_ENTROPY_VA"),
        (0x0040, "DYNAMIC_BASE"),
        (0x0080, "FORCE_INTEGRITY"),
        (0x0100, "NX_COMPAT"),
        (0x0400, "NO_SEH"),
        (0x2000, "WDM_DRIVER"),
        (0x4000, "GUARD_CF"),
    ];
    let mut flags: Vec<String> = names
        .into_iter()
        .filter(|(bit, _)| file.dll_characteristics & bit != 0)
        .map(|(_, name)| name.to_owned())
        .collect();
    if !file.force_integrity() {
        flags.push(
            "no FORCE_INTEGRITY: the Ex forms of the notify routines answer STATUS_ACCESS_DENIED".into(),
        );
    }
    flags
}

fn imports(file: &PeFile<'_>, profile: Profile) -> Vec<ImportFacts> {
    let config = Config { profile, ..Config::default() };
    let bound = file.imports.iter().map(|module| (module, false));
    let delayed = file.delay_imports.iter().map(|module| (module, true));
    bound
        .chain(delayed)
        .flat_map(|(module, delayed)| module.imports.iter().map(move |import| (module, import, delayed)))
        .map(|(module, import, delayed)| {
            let symbol = Symbol::from(&import.name);
            let found = match symbol {
                Symbol::Name { name, .. } => exports::lookup(&module.module, name, &config),
                Symbol::Ordinal(_) => Lookup::Unknown,
            };
            let (support, since) = match found {
                Lookup::Found(export) => (Support::Implemented, Some(export.since)),
                Lookup::NotInProfile(export) => (Support::NotInProfile, Some(export.since)),
                Lookup::Unknown => (Support::Unknown, None),
            };
            ImportFacts {
                module: module.module.clone(),
                name: symbol.to_string(),
                support,
                since: since.map(|since| since.to_string()),
                delayed,
            }
        })
        .collect()
}

/// The notify routines it imports, and those whose names stand in it as UTF-16, as a driver has them that
/// looks them up while it runs.
fn notify(driver: &DriverFile, file: &PeFile<'_>, imports: &[ImportFacts]) -> Vec<NotifyFacts> {
    let named = |name: &str| {
        let units: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        driver.bytes.windows(units.len()).any(|window| window == units)
    };
    NOTIFY
        .into_iter()
        .filter_map(|name| {
            let imported = imports.iter().any(|import| import.name == name);
            let checked = matches!(
                name,
                "PsSetCreateProcessNotifyRoutineEx"
                    | "PsSetCreateProcessNotifyRoutineEx2"
                    | "PsSetCreateThreadNotifyRoutineEx"
            );
            (imported || named(name)).then(|| NotifyFacts {
                name: name.into(),
                imported,
                remark: (checked && !file.force_integrity())
                    .then(|| "fails with STATUS_ACCESS_DENIED: the image lacks FORCE_INTEGRITY".into()),
            })
        })
        .collect()
}
