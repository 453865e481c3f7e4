//! `callboard profiles`: the Windows versions that can be stood in for, from what the kernel itself asks.

use std::io::Write;

use callboard::exit;
use callboard::exports;
use kernel::Choices;
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
    process_routines: usize,
    thread_routines: usize,
    image_routines: usize,
    registration: Vec<&'static str>,
    create_notify_info_size: usize,
    create_notify_info_flags: Vec<&'static str>,
    image_info_size: usize,
    image_info_ex_size: usize,
    image_info_properties: Vec<&'static str>,
    image_names: &'static str,
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
            process_routines: profile.process_routine_limit(),
            thread_routines: choices.thread_slots(profile),
            image_routines: choices.image_slots(profile),
            registration: REGISTRATION.into_iter().filter(|name| exports.contains(name)).collect(),
            create_notify_info_size: size_of::<PS_CREATE_NOTIFY_INFO>(),
            create_notify_info_flags: fields(&CREATION_FLAGS, profile.creation_flags()),
            image_info_size: size_of::<IMAGE_INFO>(),
            image_info_ex_size: size_of::<IMAGE_INFO_EX>(),
            image_info_properties: fields(&IMAGE_PROPERTIES, profile.image_properties()),
            image_names: if choices.device_names(profile) {
                r"\Device\HarddiskVolume1\dir\x.dll"
            } else {
                r"\dir\x.dll, \SystemRoot\System32\ntdll.dll"
            },
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
            ("process routines", vec![self.process_routines.to_string()]),
            ("thread routines", vec![self.thread_routines.to_string()]),
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
            ("image names", vec![self.image_names.to_owned()]),
            ("plain process routine", vec![self.plain_process_routine.to_owned()]),
            ("user memory in image routine", vec![self.user_memory_in_image_routine.to_owned()]),
            ("user space ends at", vec![self.user_space_end.clone()]),
            ("exports", vec![self.exports.len().to_string()]),
        ]
    }
}

/// What a profile changes of the one before: what is new of a list, or the new value.
fn differences(before: &Facts, now: &Facts) -> Vec<(&'static str, String)> {
    let pairs = before.lines().into_iter().zip(now.lines());
    pairs
        .filter(|((_, old), (_, new))| old != new)
        .map(|((_, old), (label, new))| {
            let added: Vec<_> = new.iter().filter(|value| !old.contains(value)).cloned().collect();
            let text = if new.len() > old.len() {
                format!("+ {}", added.join(", "))
            } else {
                format!("{} (before: {})", new.join(", "), old.join(", "))
            };
            (label, text)
        })
        .collect()
}

/// A profile as programs read it.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    /// What differs from the profile before; nothing for the oldest.
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
                    facts.lines().into_iter().map(|(label, values)| (label, values.join(", "))).collect()
                } else {
                    differs(index)
                };
                human(facts, &lines).map_err(written)?;
            }
            Ok(exit::SUCCESS)
        }
    }
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
        assert_eq!(text, "image routines: 64 (before: 8)\n");
        let text = between(Profile::Win81, Profile::Win81U1);
        assert_eq!(text, "image routines: 64 (before: 8)\n");
    }

    #[test]
    fn r_reg_01_newer_routines_are_shown_where_they_came() {
        let text = between(Profile::Win10_1703, Profile::Win10_1709);
        assert!(text.contains("registered by: + PsSetLoadImageNotifyRoutineEx\n"), "{text}");
        let text = between(Profile::Win10_1507, Profile::Win10_1703);
        assert!(
            text.contains("PsSetCreateProcessNotifyRoutineEx2, PsSetCreateThreadNotifyRoutineEx\n"),
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
