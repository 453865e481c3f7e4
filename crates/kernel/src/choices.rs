//! What is done where documents and observation differ, or documents are silent (section H of the semantics notes).
//!
//! Each point is one switch. It has a name and values that users write (`duplicate-process-routine=accept`), and the
//! first value is the default.

use std::fmt;

use nt_abi::{NTSTATUS, Profile, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, Since};
use serde::{Deserialize, Serialize};

use crate::export::Export;

/// One switch, as it is shown to users.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Its name: `duplicate-process-routine`.
    pub name: &'static str,
    /// What it decides, in a sentence.
    pub about: &'static str,
    /// Its values, the default first, each with what it means.
    pub values: &'static [(&'static str, &'static str)],
}

/// A name or a value that no switch has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownChoice {
    /// There is no switch of this name.
    Name(String),
    /// The switch has no such value.
    Value {
        /// The switch.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it has.
        known: Vec<&'static str>,
    },
}

impl fmt::Display for UnknownChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => {
                write!(f, "there is no choice named {name}; there are")?;
                Choices::ALL.iter().try_for_each(|choice| write!(f, " {}", choice.name))
            }
            Self::Value { name, value, known } => {
                write!(f, "{name} cannot be {value}; it can be {}", known.join(", "))
            }
        }
    }
}

impl std::error::Error for UnknownChoice {}

macro_rules! choices {
    ($(
        $(#[doc = $about:literal])+
        $name:literal $field:ident: $type:ident {
            $(#[doc = $default_doc:literal])+
            $default_value:literal => $default:ident,
            $($(#[doc = $doc:literal])+ $value:literal => $variant:ident,)+
        }
    )+) => {
        $(
            $(#[doc = $about])+
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
            pub enum $type {
                $(#[doc = $default_doc])+
                #[default]
                $default,
                $($(#[doc = $doc])+ $variant,)+
            }
        )+

        /// The answers to what documents leave open. The default is the documented behaviour, where there is one.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Choices {
            $($(#[doc = $about])+ pub $field: $type,)+
        }

        impl Choices {
            /// Every switch.
            pub const ALL: &'static [Choice] = &[$(
                Choice {
                    name: $name,
                    about: concat!($($about),+).trim_ascii(),
                    values: &[
                        ($default_value, concat!($($default_doc),+).trim_ascii()),
                        $(($value, concat!($($doc),+).trim_ascii()),)+
                    ],
                },
            )+];

            /// Throws one switch, by the names that users write.
            ///
            /// # Errors
            /// [`UnknownChoice`] when there is no such switch, or no such value of it; nothing is changed then.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), UnknownChoice> {
                let wrong = |name: &'static str, known: &[&'static str]| {
                    Err(UnknownChoice::Value { name, value: value.to_owned(), known: known.to_vec() })
                };
                match name {
                    $($name => self.$field = match value {
                        $default_value => $type::$default,
                        $($value => $type::$variant,)+
                        _ => return wrong($name, &[$default_value, $($value),+]),
                    },)+
                    _ => return Err(UnknownChoice::Name(name.to_owned())),
                }
                Ok(())
            }

            /// What a switch stands at, by the names that users write.
            pub fn get(&self, name: &str) -> Option<&'static str> {
                match name {
                    $($name => Some(match self.$field {
                        $type::$default => $default_value,
                        $($type::$variant => $value,)+
                    }),)+
                    _ => None,
                }
            }
        }
    };
}

choices! {
    /// What the second registration of a process routine is answered with (C1).
    "duplicate-process-routine" duplicate_process_routine: DuplicateProcessRoutine {
        /// STATUS_INVALID_PARAMETER, as documented.
        "reject" => Reject,
        /// STATUS_SUCCESS and another slot, as observed.
        "accept" => Accept,
    }
    /// What the removal of a process routine that is not registered is answered with (C2).
    "unregistered-process-routine" unregistered_process_routine: UnregisteredProcessRoutine {
        /// STATUS_PROCEDURE_NOT_FOUND, as observed.
        "procedure-not-found" => ProcedureNotFound,
        /// STATUS_INVALID_PARAMETER, as usersim answers.
        "invalid-parameter" => InvalidParameter,
    }
    /// Whether the plain process form wants its routine to lie in a module (C3).
    "process-routine-module" process_routine_module: ProcessRoutineModule {
        /// From Windows 10 on, as observed.
        "by-profile" => ByProfile,
        /// Never, as documented.
        "unchecked" => Unchecked,
        /// In every profile.
        "required" => Required,
    }
    /// Whether PsSetCreateThreadNotifyRoutineEx wants FORCE_INTEGRITY (C4).
    "thread-routine-integrity" thread_routine_integrity: ThreadRoutineIntegrity {
        /// It does: STATUS_ACCESS_DENIED without, as observed.
        "required" => Required,
        /// It does not, as documented.
        "unchecked" => Unchecked,
    }
    /// What PsSetCreateThreadNotifyRoutineEx answers to a type that it does not know (C4).
    "unknown-thread-type" unknown_thread_type: UnknownThreadType {
        /// STATUS_INVALID_PARAMETER, as observed.
        "invalid-parameter" => InvalidParameter,
        /// STATUS_INSUFFICIENT_RESOURCES, the one failure that its page lists.
        "insufficient-resources" => InsufficientResources,
    }
    /// Where the 32-bit ntdll comes among the images of a 32-bit process (C5, R-WOW-01).
    "wow64-ntdll" wow64_ntdll: Wow64Ntdll {
        /// Right behind the native one, as the kernel tells of both.
        "early" => Early,
        /// Behind wow64cpu.dll, as one driver's notes have it.
        "late" => Late,
    }
    /// What the ParentProcessId of a process is that inherits no handles (C6).
    "parent-without-inheritance" parent_without_inheritance: ParentWithoutInheritance {
        /// Its parent, as the structure's page says.
        "parent" => Parent,
        /// NULL, as the page of PsSetCreateProcessNotifyRoutineEx2 says.
        "null" => Null,
    }
    /// What becomes of an image routine that works on the user memory of its process (C7, R-LOCK).
    "user-memory-in-image-routine" user_memory_in_image_routine: UserMemoryInImageRoutine {
        /// Up to Windows 7 it never returns, since then it is a warning.
        "by-profile" => ByProfile,
        /// It never returns.
        "deadlock" => Deadlock,
        /// It is a warning.
        "warn" => Warn,
    }
    /// Whether that lock is held for the executable and ntdll too, as a process begins (R-LOCK-03).
    "lock-at-process-start" lock_at_process_start: LockAtProcessStart {
        /// It is not: the kernel maps them itself, by no call that takes the lock.
        "free" => Free,
        /// It is, as for every image in user space: the callback's page makes no exception.
        "held" => Held,
    }
    /// The second parameter of bug check 0xCE when code of an unloaded driver is called (C8).
    "unloaded-code-access" unloaded_code_access: UnloadedCodeAccess {
        /// 0x10 (execute) since Windows 10, as observed on x64; 0 before.
        "execute" => Execute,
        /// 0 for everything but a write, as documented.
        "documented" => Documented,
    }
    /// On which thread the creation of a thread is told to routines that do not say where (C9).
    "thread-create-context" thread_create_context: ThreadCreateContext {
        /// On the creator, as documented.
        "creator" => Creator,
        /// On the new thread, as the Windows 2000 DDK says.
        "new-thread" => NewThread,
    }
    /// The IRQL at which thread routines are called (C10).
    "thread-routine-irql" thread_routine_irql: ThreadRoutineIrql {
        /// PASSIVE_LEVEL, unless an event asks for APC_LEVEL.
        "passive" => Passive,
        /// APC_LEVEL, which documents permit.
        "apc" => Apc,
    }
    /// How many image routines there can be (C11, R-REG-05).
    "image-routine-limit" image_routine_limit: ImageRoutineLimit {
        /// 8 or 64, by the update that raised it.
        "by-profile" => ByProfile,
        /// 8.
        "8" => Eight,
        /// 64.
        "64" => SixtyFour,
    }
    /// How many thread routines there can be: not documented between Windows Vista and 8.1 (R-REG-05).
    "thread-routine-limit" thread_routine_limit: ThreadRoutineLimit {
        /// 64.
        "64" => SixtyFour,
        /// 8 before Windows 10, and 64 since.
        "by-profile" => ByProfile,
    }
    /// What MachineTypeMismatch is in IMAGE_INFO (C12).
    "machine-type-mismatch" machine_type_mismatch: MachineTypeMismatch {
        /// 1 for images of a conflicting architecture.
        "conflicting" => Conflicting,
        /// Always 0, as the structure's page says.
        "zero" => Zero,
    }
    /// Whether the first thread of a refused process is announced (C13, R-VETO-09).
    "refused-thread" refused_thread: RefusedThread {
        /// Neither its creation nor its exit.
        "silent" => Silent,
        /// Both.
        "told" => Told,
    }
    /// Whether the exit of a refused process is announced (C13, R-VETO-07).
    "refused-exit" refused_exit: RefusedExit {
        /// It is, with the status of the refusal.
        "told" => Told,
        /// It is not.
        "silent" => Silent,
    }
    /// Whether the images that a refused process would have begun with are announced (R-VETO-08).
    "refused-images" refused_images: RefusedImages {
        /// They are not: its first thread never starts.
        "silent" => Silent,
        /// They are.
        "told" => Told,
    }
    /// Whether thread routines of type NonSystem are called when a thread exits (R-EXIT-05).
    "non-system-exit" non_system_exit: NonSystemExit {
        /// They are not: they hear of starts.
        "silent" => Silent,
        /// They are, as those of the other type.
        "told" => Told,
    }
    /// Whether thread routines of type NonSystem are called for system threads (R-EXIT-07).
    "non-system-kernel-threads" non_system_kernel_threads: NonSystemKernelThreads {
        /// They are not, as the type's name says.
        "silent" => Silent,
        /// They are.
        "told" => Told,
    }
    /// Whether processes that are clones of their parent are announced (C14, R-ORD-04).
    "clones" clones: Clones {
        /// They are not, as the page of Windows 7 says.
        "silent" => Silent,
        /// They are, as any process.
        "told" => Told,
    }
    /// Since when the newest registration routines exist, of which documents give two versions (C16).
    "newest-routines" newest_routines: NewestRoutines {
        /// Since Windows 10, versions 1703 and 1709, as the client's column says.
        "client" => Client,
        /// Since Windows 10, version 1607, as the server's column says.
        "server" => Server,
    }
    /// How FullImageName spells user images other than the executable (R-FN-02, R-FN-03).
    "image-names" image_names: ImageNames {
        /// Short before Windows 10, in device form since.
        "by-profile" => ByProfile,
        /// Without the volume, and `\SystemRoot\System32\ntdll.dll`.
        "short" => Short,
        /// In device form.
        "device" => Device,
    }
    /// Whether a driver that asks for integrity checks has to be signed to be loaded (R-INT-04).
    "code-integrity" code_integrity: CodeIntegrity {
        /// It is loaded whatever it carries, as on a machine with a kernel debugger or with integrity checks off.
        "off" => Off,
        /// It has to carry a signature of its own bytes; who signed it is not looked at.
        "embedded" => Embedded,
    }
    /// What the registration of a NULL routine is answered with: not documented.
    "null-routine" null_routine: NullRoutine {
        /// As any other address: the next event calls it.
        "accept" => Accept,
        /// STATUS_INVALID_PARAMETER, as usersim answers.
        "invalid-parameter" => InvalidParameter,
    }
}

impl Choices {
    /// Slots of the image table (R-REG-05).
    pub const fn image_slots(&self, profile: Profile) -> usize {
        match self.image_routine_limit {
            ImageRoutineLimit::ByProfile => profile.image_routine_limit(),
            ImageRoutineLimit::Eight => 8,
            ImageRoutineLimit::SixtyFour => 64,
        }
    }

    /// Slots of the thread table (R-REG-05).
    pub const fn thread_slots(&self, profile: Profile) -> usize {
        match self.thread_routine_limit {
            ThreadRoutineLimit::SixtyFour => profile.thread_routine_limit(),
            ThreadRoutineLimit::ByProfile if profile.has(Since::Win10_1507) => 64,
            ThreadRoutineLimit::ByProfile => 8,
        }
    }

    /// Whether the plain process form wants its routine to lie in a module (C3).
    pub const fn module_required(&self, profile: Profile) -> bool {
        match self.process_routine_module {
            ProcessRoutineModule::ByProfile => profile.has(Since::Win10_1507),
            ProcessRoutineModule::Unchecked => false,
            ProcessRoutineModule::Required => true,
        }
    }

    /// Whether the address-creation lock is held while image routines run for a mapping (R-LOCK-01).
    pub const fn image_lock(&self, profile: Profile) -> bool {
        match self.user_memory_in_image_routine {
            UserMemoryInImageRoutine::ByProfile => !profile.has(Since::Win8),
            UserMemoryInImageRoutine::Deadlock => true,
            UserMemoryInImageRoutine::Warn => false,
        }
    }

    /// What PsSetCreateThreadNotifyRoutineEx answers to a type that it does not know (C4).
    pub const fn unknown_thread_type(&self) -> NTSTATUS {
        match self.unknown_thread_type {
            UnknownThreadType::InvalidParameter => STATUS_INVALID_PARAMETER,
            UnknownThreadType::InsufficientResources => STATUS_INSUFFICIENT_RESOURCES,
        }
    }

    /// Whether the 32-bit ntdll of a 32-bit process comes behind wow64cpu.dll, and not right behind the native one (C5).
    pub const fn wow64_ntdll_is_late(&self) -> bool {
        matches!(self.wow64_ntdll, Wow64Ntdll::Late)
    }

    /// Whether user images are named in device form (R-FN-03).
    pub const fn device_names(&self, profile: Profile) -> bool {
        match self.image_names {
            ImageNames::ByProfile => profile.has(Since::Win10_1507),
            ImageNames::Short => false,
            ImageNames::Device => true,
        }
    }

    /// Whether an export exists (R-REG-01, C16).
    pub fn has(&self, profile: Profile, export: &Export) -> bool {
        let newest =
            matches!(export.name, "PsSetCreateProcessNotifyRoutineEx2" | "PsSetLoadImageNotifyRoutineEx");
        let server = newest && self.newest_routines == NewestRoutines::Server;
        profile.has(if server { Since::Win10_1607 } else { export.since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_can_be_thrown_to_every_value_by_its_name() {
        for choice in Choices::ALL {
            assert!(choice.values.len() >= 2 && !choice.about.is_empty(), "{choice:?}");
            assert_eq!(
                Choices::default().get(choice.name),
                Some(choice.values[0].0),
                "the first is the default"
            );
            for (value, about) in choice.values {
                let mut choices = Choices::default();
                choices.set(choice.name, value).unwrap();
                assert_eq!(choices.get(choice.name), Some(*value));
                assert_eq!(choices == Choices::default(), *value == choice.values[0].0);
                assert!(!about.is_empty());
            }
            let wrong = Choices::default().set(choice.name, "perhaps").unwrap_err().to_string();
            assert!(wrong.contains(choice.name) && wrong.contains(choice.values[1].0), "{wrong}");
        }
        let wrong = Choices::default().set("clone", "told").unwrap_err().to_string();
        assert!(wrong.contains("no choice named clone") && wrong.contains(" clones"), "{wrong}");
    }
}
