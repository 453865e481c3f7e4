//! `callboard profiles`: the Windows versions that can be stood in for, from what the kernel itself asks.

use std::io::Write;

use callboard::exit;
use callboard::exports;
use kernel::Choices;
use kernel::rtl::version::nt_build_number;
use nt_abi::*;
use serde::Serialize;

use crate::args::{Listing, Profiles};
use crate::{Outcome, json, written};

/// The nine routines of registration and removal, in the order of their tables.
const REGISTRATION: [&str; 9] = [
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

/// A part of a structure that not every Windows fills in: its bits, and its name.
type Field = (u32, &'static str);

const CREATION_FLAGS: [Field; 2] = [
    (PS_CREATE_NOTIFY_FILE_OPEN_NAME_AVAILABLE, "FileOpenNameAvailable"),
    (PS_CREATE_NOTIFY_IS_SUBSYSTEM_PROCESS, "IsSubsystemProcess"),
];

const IMAGE_PROPERTIES: [Field; 8] = [
    (IMAGE_PROPERTIES_ADDRESSING_MODE_MASK, "ImageAddressingMode"),
    (IMAGE_PROPERTIES_SYSTEM_MODE_IMAGE, "SystemModeImage"),
    (IMAGE_PROPERTIES_MAPPED_TO_ALL_PIDS, "ImageMappedToAllPids"),
    (IMAGE_PROPERTIES_EXTENDED_INFO_PRESENT, "ExtendedInfoPresent"),
    (IMAGE_PROPERTIES_MACHINE_TYPE_MISMATCH, "MachineTypeMismatch"),
    (IMAGE_PROPERTIES_SIGNATURE_LEVEL_MASK, "ImageSignatureLevel"),
    (IMAGE_PROPERTIES_SIGNATURE_TYPE_MASK, "ImageSignatureType"),
    (IMAGE_PROPERTIES_PARTIAL_MAP, "ImagePartialMap"),
];

fn fields(all: &[Field], bits: u32) -> Vec<&'static str> {
    all.iter().filter(|(mask, _)| bits & mask == *mask).map(|(_, name)| *name).collect()
}

/// What is to be known of a profile.
#[derive(Serialize)]
struct Facts {
    name: &'static str,
    title: &'static str,
    version: String,
    service_pack: u16,
    nt_build_number: String,
    rtl_get_version: String,
    process_routines: usize,
    thread_routines: usize,
    #[serde(skip)]
    thread_routines_known: &'static str,
    image_routines: usize,
    registration: Vec<&'static str>,
    create_notify_info_size: usize,
    create_notify_info_flags: Vec<&'static str>,
    image_info_size: usize,
    image_info_ex_size: usize,
    image_info_properties: Vec<&'static str>,
    image_names: Vec<&'static str>,
    plain_process_routine: &'static str,
    user_memory_in_image_routine: &'static str,
    user_space_end: String,
    exports: Vec<&'static str>,
}

impl Facts {
    fn of(profile: Profile) -> Self {
        let choices = Choices::default();
        let exports: Vec<_> = exports::sorted()
            .into_iter()
            .filter(|export| choices.has(profile, export))
            .map(|export| export.name)
            .collect();
        Self {
            name: profile.name(),
            title: profile.title(),
            version: format!("{}.{}.{}", profile.major(), profile.minor(), profile.build()),
            service_pack: profile.service_pack(),
            nt_build_number: format!("{:#010X}", nt_build_number(profile)),
            rtl_get_version: rtl_get_version(profile),
            process_routines: profile.process_routine_limit(),
            thread_routines: choices.thread_slots(profile),
            thread_routines_known: if profile.has(Since::Win10_1507) { "" } else { " (not documented)" },
            image_routines: choices.image_slots(profile),
            registration: REGISTRATION.into_iter().filter(|name| exports.contains(name)).collect(),
            create_notify_info_size: size_of::<PS_CREATE_NOTIFY_INFO>(),
            create_notify_info_flags: fields(&CREATION_FLAGS, profile.creation_flags()),
            image_info_size: size_of::<IMAGE_INFO>(),
            image_info_ex_size: size_of::<IMAGE_INFO_EX>(),
            image_info_properties: fields(&IMAGE_PROPERTIES, profile.image_properties()),
            image_names: image_names(choices.device_names(profile)),
            plain_process_routine: if choices.module_required(profile) {
                "in a module, else STATUS_ACCESS_DENIED"
            } else {
                "anywhere"
            },
            user_memory_in_image_routine: if choices.image_lock(profile) {
                "never returns: a lock is held"
            } else {
                "advised against (L-06)"
            },
            user_space_end: format!("{:#x}", profile.user_probe_address()),
            exports,
        }
    }

    /// The facts as lines: what it is, and one or more values.
    fn lines(&self) -> Vec<(&'static str, Vec<String>)> {
        let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let pack = if self.service_pack == 0 { String::new() } else { format!(" SP {}", self.service_pack) };
        vec![
            ("version", vec![format!("{}{pack}", self.version)]),
            ("NtBuildNumber", vec![self.nt_build_number.clone()]),
            ("RtlGetVersion", vec![self.rtl_get_version.clone()]),
            ("process routines", vec![self.process_routines.to_string()]),
            ("thread routines", vec![format!("{}{}", self.thread_routines, self.thread_routines_known)]),
            ("image routines", vec![self.image_routines.to_string()]),
            ("registered by", strings(&self.registration)),
            ("PS_CREATE_NOTIFY_INFO", vec![format!("{:#x} bytes", self.create_notify_info_size)]),
            ("its Flags", strings(&self.create_notify_info_flags)),
            (
                "IMAGE_INFO",
                vec![format!(
                    "{:#x} bytes, in {:#x} of IMAGE_INFO_EX",
                    self.image_info_size, self.image_info_ex_size
                )],
            ),
            ("its Properties", strings(&self.image_info_properties)),
            ("image names", strings(&self.image_names)),
            ("plain process routine", vec![self.plain_process_routine.to_owned()]),
            ("user memory in image routine", vec![self.user_memory_in_image_routine.to_owned()]),
            ("user space ends at", vec![self.user_space_end.clone()]),
            ("exports", strings(&self.exports)),
        ]
    }
}

/// What `RtlGetVersion` says beside the numbers of the version.
fn rtl_get_version(profile: Profile) -> String {
    let version = kernel::rtl::version::version_of(profile);
    let text: Vec<u16> = version.szCSDVersion.into_iter().take_while(|&unit| unit != 0).collect();
    format!(
        "platform {}, product type {}, suite {:#x}, service pack {:?}",
        version.dwPlatformId,
        version.wProductType,
        version.wSuiteMask,
        String::from_utf16_lossy(&text)
    )
}

/// The forms that names of images have: the main program, another image, ntdll, the 32-bit ntdll, a driver.
fn image_names(device_form: bool) -> Vec<&'static str> {
    let others: [&str; 3] = if device_form {
        [
            r"\Device\HarddiskVolume1\dir\x.dll",
            r"\Device\HarddiskVolume1\Windows\System32\ntdll.dll",
            r"\Device\HarddiskVolume1\Windows\SysWOW64\ntdll.dll",
        ]
    } else {
        [r"\dir\x.dll", r"\SystemRoot\System32\ntdll.dll", r"\SystemRoot\SysWOW64\ntdll.dll"]
    };
    [r"\Device\HarddiskVolume1\dir\x.exe"]
        .into_iter()
        .chain(others)
        .chain([r"\SystemRoot\System32\drivers\x.sys"])
        .collect()
}

/// What a profile has otherwise than another: what came and went of a list, or both values.
fn differences(other: &Facts, now: &Facts) -> Vec<(&'static str, String)> {
    let pairs = other.lines().into_iter().zip(now.lines());
    pairs
        .filter(|((_, old), (_, new))| old != new)
        .map(|((_, old), (label, new))| {
            if let ([old], [new]) = (old.as_slice(), new.as_slice()) {
                return (label, format!("{new} ({}: {old})", other.name));
            }
            let missing = |of: &[String], from: &[String], sign: &str| {
                let missing = of.iter().filter(|value| !from.contains(value));
                missing.map(|value| format!("{sign} {value}")).collect::<Vec<_>>()
            };
            (label, [missing(&new, &old, "+"), missing(&old, &new, "-")].concat().join(", "))
        })
        .collect()
}

/// A profile as programs read it.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    /// What differs from the profile before, in the order of the list; nothing for the oldest.
    differs: Vec<Difference>,
}

#[derive(Serialize)]
struct Difference {
    what: &'static str,
    how: String,
}

/// Shows them.
pub(crate) fn profiles(arguments: &Profiles) -> Outcome {
    if arguments.choices {
        return choices(arguments.format);
    }
    let all: Vec<Facts> = Profile::ALL.into_iter().map(Facts::of).collect();
    let wanted = |facts: &Facts| {
        arguments.profiles.is_empty() || arguments.profiles.iter().any(|profile| profile.name() == facts.name)
    };
    let differs = |index: usize| {
        index.checked_sub(1).map(|before| differences(&all[before], &all[index])).unwrap_or_default()
    };
    let listed = all.iter().enumerate().filter(|(_, facts)| wanted(facts));
    match arguments.format {
        Listing::Json => {
            let entries: Vec<_> = listed
                .map(|(index, facts)| {
                    let differs =
                        differs(index).into_iter().map(|(what, how)| Difference { what, how }).collect();
                    Entry { facts, differs }
                })
                .collect();
            json(&entries)
        }
        Listing::Human => {
            let in_full = !arguments.profiles.is_empty();
            for (index, facts) in listed {
                let lines = if in_full || index == 0 {
                    let shown = |(label, values): (_, Vec<String>)| (label, in_one_line(facts, &values));
                    facts.lines().into_iter().map(shown).collect()
                } else {
                    differs(index)
                };
                human(facts, &lines).map_err(written)?;
            }
            Ok(exit::SUCCESS)
        }
    }
}

/// A list in one line; one that nobody would read is counted.
fn in_one_line(facts: &Facts, values: &[String]) -> String {
    const MOST: usize = 20;
    if values.len() > MOST {
        return format!("{} (`callboard exports --os {}` lists them)", values.len(), facts.name);
    }
    values.join(", ")
}

fn human(facts: &Facts, lines: &[(&str, String)]) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    let bold = anstyle::Style::new().bold();
    let faint = anstyle::Style::new().dimmed();
    writeln!(out, "{bold}{}{bold:#}  {faint}{}{faint:#}", facts.name, facts.title)?;
    for (label, value) in lines {
        writeln!(out, "  {faint}{label:28}{faint:#}  {value}")?;
    }
    Ok(())
}

/// A switch as programs read it.
#[derive(Serialize)]
struct ChoiceEntry {
    name: &'static str,
    about: &'static str,
    default: &'static str,
    values: Vec<ValueEntry>,
}

#[derive(Serialize)]
struct ValueEntry {
    value: &'static str,
    about: &'static str,
}

fn choices(format: Listing) -> Outcome {
    if format == Listing::Json {
        let entry = |choice: &kernel::choices::Choice| ChoiceEntry {
            name: choice.name,
            about: choice.about,
            default: choice.values.first().map_or("", |(value, _)| value),
            values: choice.values.iter().map(|&(value, about)| ValueEntry { value, about }).collect(),
        };
        return json(&Choices::ALL.iter().map(entry).collect::<Vec<_>>());
    }
    let list = || -> std::io::Result<()> {
        let mut out = anstream::stdout().lock();
        let bold = anstyle::Style::new().bold();
        let faint = anstyle::Style::new().dimmed();
        for choice in Choices::ALL {
            writeln!(out, "{bold}{}{bold:#}  {}", choice.name, choice.about)?;
            for (index, (value, about)) in choice.values.iter().enumerate() {
                let default = if index == 0 { " (the default)" } else { "" };
                writeln!(out, "  {value:20}  {faint}{about}{default}{faint:#}")?;
            }
        }
        Ok(())
    };
    list().map_err(written)?;
    Ok(exit::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `now` changes of `before`, as one text.
    fn between(before: Profile, now: Profile) -> String {
        let lines = differences(&Facts::of(before), &Facts::of(now));
        lines.into_iter().map(|(label, text)| format!("{label}: {text}\n")).collect()
    }

    #[test]
    fn r_reg_05_an_update_differs_by_the_limit_that_it_raised() {
        let text = between(Profile::Win7Sp1, Profile::Win7Sp1Kb2922790);
        assert_eq!(text, "image routines: 64 (win7-sp1: 8)\n");
        let text = between(Profile::Win81, Profile::Win81U1);
        assert_eq!(text, "image routines: 64 (win8.1: 8)\n");
    }

    #[test]
    fn r_reg_01_newer_routines_are_shown_where_they_came() {
        let text = between(Profile::Win10_1703, Profile::Win10_1709);
        assert!(text.contains("registered by: + PsSetLoadImageNotifyRoutineEx\n"), "{text}");
        let text = between(Profile::Win10_1507, Profile::Win10_1703);
        assert!(
            text.contains("+ PsSetCreateProcessNotifyRoutineEx2, + PsSetCreateThreadNotifyRoutineEx\n"),
            "{text}"
        );
        assert!(text.contains("its Flags: + IsSubsystemProcess\n"), "{text}");
    }

    #[test]
    fn every_registration_routine_is_an_export() {
        assert_eq!(Facts::of(Profile::Win11_24H2).registration, REGISTRATION);
        assert_eq!(Facts::of(Profile::Win7Sp1).registration.len(), 6);
    }
}
