//! What was read, and what became of it.

use std::collections::BTreeMap;
use std::fmt;

use telemetry::Reason;

/// Why a record is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Its reader could not tell what it says, or it says nothing that drivers are told of.
    Read(Reason),
    /// It is of a machine that was not asked for.
    OtherMachine,
    /// There are too many machines in one recording.
    TooManyMachines,
    /// The same was told by a record before.
    Duplicate,
    /// It tells something of a process whose exit was told.
    AfterExit,
    /// What it tells had to be told before: other images of the process came first.
    AlreadyTold,
    /// It creates or ends a process that is there as long as the machine.
    SystemProcess,
    /// Strict: it lacks something that a record of its kind has.
    Incomplete,
    /// Strict: it is of a process that was never seen being created.
    NeverSeen,
    /// Strict: its process has the id of another one, whose exit is missing.
    ExitMissing,
    /// Strict: it comes later than the window.
    Late,
}

impl Cause {
    /// The word for it: stable, for scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read(reason) => reason.name(),
            Self::OtherMachine => "other-machine",
            Self::TooManyMachines => "too-many-machines",
            Self::Duplicate => "duplicate",
            Self::AfterExit => "after-exit",
            Self::AlreadyTold => "already-told",
            Self::SystemProcess => "system-process",
            Self::Incomplete => "incomplete",
            Self::NeverSeen => "never-seen",
            Self::ExitMissing => "exit-missing",
            Self::Late => "late",
        }
    }

    /// Whether it says nothing of the machine whose records are told.
    const fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Read(_) | Self::OtherMachine | Self::TooManyMachines)
    }

    /// Whether the first of them is worth a look: what is of another kind or another machine is not.
    pub const fn needs_a_look(&self) -> bool {
        !matches!(self, Self::Read(Reason::OtherKind | Reason::Superseded) | Self::OtherMachine)
    }

    /// Whether the file is damaged where it stands.
    pub const fn is_damage(self) -> bool {
        matches!(self, Self::Read(Reason::Damaged | Reason::Truncated | Reason::Malformed))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Something that an accepted record does not say, and that drivers are therefore not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Absent {
    /// When: it counts as the moment of the record before.
    Time,
    /// The main image of a created process: NULL (R-FN-01).
    ImageName,
    /// The command line of a created process: NULL (R-PCI-04).
    CommandLine,
    /// The parent of a created process: 0.
    Parent,
    /// Whether a created process is 32-bit: it counts as 64-bit.
    Architecture,
    /// The exit status of a process or thread: 0.
    Status,
    /// The path of an image: NULL (R-FN-01).
    Path,
    /// Where an image was mapped: 0.
    Base,
    /// How much room an image takes: 0.
    Size,
}

impl Absent {
    /// The words for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::ImageName => "image name",
            Self::CommandLine => "command line",
            Self::Parent => "parent",
            Self::Architecture => "architecture",
            Self::Status => "exit status",
            Self::Path => "path",
            Self::Base => "base",
            Self::Size => "size",
        }
    }
}

/// Something that no record says, and that drivers are told all the same, as it must have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Synthesis {
    /// A process that a record names and none has created: it was there before (R-ORD-05).
    Present,
    /// The first thread of a created process.
    FirstThread,
    /// The exit of a thread that was there when its process exited, or when its id was used again.
    ThreadExit,
    /// The exit of a process whose id was used again.
    ExitMissing,
    /// The main image of a process that maps others.
    MainImage,
    /// The id of a process whose record has none.
    ProcessId,
}

impl Synthesis {
    /// The words for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Present => "processes that were there before",
            Self::FirstThread => "first threads",
            Self::ThreadExit => "thread exits",
            Self::ExitMissing => "process exits that are missing",
            Self::MainImage => "main images",
            Self::ProcessId => "process ids",
        }
    }
}

/// Records of one cause that are not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejections {
    /// How many.
    pub count: u64,
    /// The file of the first one, by its place in the order of files.
    pub file: usize,
    /// Its number in that file.
    pub number: u64,
    /// What exactly is the matter with it.
    pub detail: String,
}

/// What was read, and what became of it: accepted and rejected is read, as soon as nothing waits in a window any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Records that were read.
    pub read: u64,
    /// Records that were told.
    pub accepted: u64,
    /// Records that were not told, by cause.
    pub rejected: BTreeMap<Cause, Rejections>,
    /// Accepted records that were put in order.
    pub reordered: u64,
    /// Accepted records that came too late for that.
    pub late: u64,
    /// What accepted records do not say.
    pub absent: BTreeMap<Absent, u64>,
    /// What was told without a record.
    pub synthesised: BTreeMap<Synthesis, u64>,
}

impl Account {
    /// Records that were not told.
    pub fn rejections(&self) -> u64 {
        self.rejections_of(|_| true)
    }

    /// Records that could not be read, as their file is damaged.
    pub fn damaged(&self) -> u64 {
        self.rejections_of(|cause| cause.is_damage())
    }

    /// Adds what another reading of the same files came to, for a machine that this one has left out.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.reordered += other.reordered;
        self.late += other.late;
        // What this one has rejected as another machine's, the other one has looked at.
        let looked_at = other.read - other.rejections_of(Cause::is_elsewhere);
        if let Some(left_out) = self.rejected.get_mut(&Cause::OtherMachine) {
            left_out.count = left_out.count.saturating_sub(looked_at);
            if left_out.count == 0 {
                self.rejected.remove(&Cause::OtherMachine);
            }
        }
        for (cause, rejections) in &other.rejected {
            if !cause.is_elsewhere() {
                self.rejected
                    .entry(*cause)
                    .and_modify(|known| known.count += rejections.count)
                    .or_insert_with(|| rejections.clone());
            }
        }
        for (what, count) in &other.absent {
            *self.absent.entry(*what).or_default() += count;
        }
        for (what, count) in &other.synthesised {
            *self.synthesised.entry(*what).or_default() += count;
        }
    }

    fn rejections_of(&self, wanted: impl Fn(&Cause) -> bool) -> u64 {
        let some = self.rejected.iter().filter(|(cause, _)| wanted(cause));
        some.map(|(_, rejections)| rejections.count).sum()
    }

    pub(super) fn reject(&mut self, cause: Cause, file: usize, number: u64, detail: impl FnOnce() -> String) {
        self.rejected
            .entry(cause)
            .or_insert_with(|| Rejections { count: 0, file, number, detail: detail() })
            .count += 1;
    }

    pub(super) fn lacks(&mut self, what: Absent) {
        *self.absent.entry(what).or_default() += 1;
    }

    pub(super) fn made(&mut self, what: Synthesis) {
        *self.synthesised.entry(what).or_default() += 1;
    }
}

/// The line that says it all: `read 9 = accepted 7 + rejected 2 (other-kind 1, damaged 1)`.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {} = accepted {} + rejected {}", self.read, self.accepted, self.rejections())?;
        for (index, (cause, rejections)) in self.rejected.iter().enumerate() {
            write!(f, "{}{cause} {}", if index == 0 { " (" } else { ", " }, rejections.count)?;
        }
        if !self.rejected.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_one_line() {
        let mut account = Account { read: 3, accepted: 1, ..Account::default() };
        assert_eq!(account.to_string(), "read 3 = accepted 1 + rejected 0");
        account.reject(Cause::Read(Reason::Damaged), 0, 7, || "it ends".into());
        account.reject(Cause::Read(Reason::Damaged), 1, 9, || "not asked for".into());
        account.reject(Cause::AfterExit, 0, 8, String::new);
        assert_eq!(account.to_string(), "read 3 = accepted 1 + rejected 3 (damaged 2, after-exit 1)");
        assert_eq!((account.rejections(), account.damaged()), (3, 2));
        let first = &account.rejected[&Cause::Read(Reason::Damaged)];
        assert_eq!((first.file, first.number, first.detail.as_str()), (0, 7, "it ends"));
    }

    #[test]
    fn accounts_of_one_recording_are_added_machine_by_machine() {
        let account = |rejected: &[(Cause, u64)], accepted| {
            let mut account = Account { read: 10, accepted, ..Account::default() };
            for (cause, count) in rejected {
                (0..*count).for_each(|_| account.reject(*cause, 0, 1, String::new));
            }
            account
        };
        let other_kind = Cause::Read(Reason::OtherKind);
        let mut first = account(&[(other_kind, 2), (Cause::OtherMachine, 5)], 3);
        first.add(&account(&[(other_kind, 2), (Cause::OtherMachine, 5), (Cause::Duplicate, 1)], 2));
        assert_eq!(
            first.to_string(),
            "read 10 = accepted 5 + rejected 5 (other-kind 2, other-machine 2, duplicate 1)"
        );
        first.add(&account(&[(other_kind, 2), (Cause::OtherMachine, 6)], 2));
        assert_eq!(first.to_string(), "read 10 = accepted 7 + rejected 3 (other-kind 2, duplicate 1)");
    }
}
