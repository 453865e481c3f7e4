//! The tree of tasks that is being traced: only what is alive, so that it stays small.

use std::collections::{HashMap, VecDeque};

use event::{Architecture, ClientId};

use super::{
    images::{Maps, Seen},
    sys::{Pid, Status},
};

/// A thread that is traced.
#[derive(Debug)]
pub(super) struct Task {
    /// Its process.
    pub(super) process: Pid,
    /// Whether a recipient knows of it.
    pub(super) told: bool,
    /// Whether it has been seen to exit.
    pub(super) exiting: bool,
    /// What its next stop at a system call is.
    pub(super) call: Call,
    /// What happened to it while it was held for somebody: to be looked at afterwards.
    pub(super) later: VecDeque<Status>,
    /// Whether it is held for an answer of the recipient.
    pub(super) held: bool,
}

/// What a stop at a system call means for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Nothing: none is expected.
    None,
    /// The end of a call that the filter picked out.
    Picked,
    /// The end of the `execve` whose image was refused.
    RefusedExec,
    /// The beginning of the exit that was put in its place.
    RefusedExit,
    /// There must not be one: that exit came back.
    Refused,
}

impl Call {
    /// Whether it is on the way from a refused image to its exit.
    pub(super) fn is_refused(self) -> bool {
        matches!(self, Self::RefusedExec | Self::RefusedExit | Self::Refused)
    }
}

impl Task {
    pub(super) fn new(process: Pid) -> Self {
        Self { process, told: false, exiting: false, call: Call::None, later: VecDeque::new(), held: false }
    }
}

/// Whether a recipient knows of a process, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Not at all.
    Nothing,
    /// As a clone of another.
    Clone,
    /// As a process with an image of its own.
    Created,
}

/// A process that is traced.
#[derive(Debug)]
pub(super) struct Process {
    /// The process it inherits from.
    pub(super) parent: Pid,
    /// The process and thread that made it.
    pub(super) creator: (Pid, Pid),
    /// Whether a recipient knows of it.
    pub(super) told: Told,
    /// Threads that have not been seen to exit.
    pub(super) alive: u32,
    /// What its image is compiled for.
    pub(super) architecture: Architecture,
    /// Its mappings, kept open while few do.
    pub(super) maps: Option<Maps>,
    /// Images that were reported, with where in the file the mappings began that told of them.
    pub(super) images: Vec<(Seen, Vec<u64>)>,
    /// What its refused creation ends with.
    pub(super) refused: Option<nt_abi::NTSTATUS>,
    /// What a driver has terminated it with.
    pub(super) terminated: Option<nt_abi::NTSTATUS>,
    /// The exit status of its first thread, when that went before others.
    pub(super) leader_status: Option<i32>,
}

impl Process {
    pub(super) fn new(parent: Pid, creator: (Pid, Pid), architecture: Architecture) -> Self {
        Self {
            parent,
            creator,
            told: Told::Nothing,
            alive: 1,
            architecture,
            maps: None,
            images: Vec::new(),
            refused: None,
            terminated: None,
            leader_status: None,
        }
    }

    /// Takes note of an image, and says whether it is to be reported: not when another part of the same
    /// mapping was before, but again when the same part is mapped again (SEMANTICS C.4).
    pub(super) fn sees(&mut self, seen: &Seen, again: bool) -> bool {
        let known = self
            .images
            .iter_mut()
            .find(|(image, _)| image.base == seen.base && image.file == seen.file && image.size == seen.size);
        if let Some((_, parts)) = known {
            if !parts.contains(&seen.offset) {
                parts.push(seen.offset);
                return false;
            }
            *parts = vec![seen.offset];
            return again;
        }
        // Whatever was there is gone: nothing is mapped over an image that is in use.
        let end = seen.base.saturating_add(seen.size);
        self.images
            .retain(|(image, _)| image.base >= end || seen.base >= image.base.saturating_add(image.size));
        self.images.push((seen.clone(), vec![seen.offset]));
        true
    }
}

/// The tasks and processes that are alive.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// By thread number.
    pub(super) tasks: HashMap<Pid, Task>,
    /// By process number.
    pub(super) processes: HashMap<Pid, Process>,
    /// What was heard of tasks before whoever made them said so.
    pub(super) strangers: HashMap<Pid, VecDeque<Status>>,
}

/// The id of a thread.
pub(super) fn client(process: Pid, thread: Pid) -> ClientId {
    ClientId::from_linux(process.unsigned_abs(), thread.unsigned_abs())
}

impl Tree {
    /// Whether a thread is there and can be the context of an event.
    pub(super) fn lives(&self, process: Pid, thread: Pid) -> bool {
        self.tasks.get(&thread).is_some_and(|task| task.process == process && !task.exiting)
    }

    /// The thread that creates on behalf of `creator`: that itself while it lives, else the first thread
    /// of its process; `None` when that is gone too.
    pub(super) fn stand_in(&self, creator: (Pid, Pid)) -> Option<(Pid, Pid)> {
        let (process, thread) = creator;
        [(process, thread), (process, process)]
            .into_iter()
            .find(|(process, thread)| self.lives(*process, *thread))
    }

    /// The other threads of a process that have not been seen to exit.
    pub(super) fn others(&self, process: Pid, but: Pid) -> Vec<Pid> {
        let mut others: Vec<_> = self
            .tasks
            .iter()
            .filter(|(tid, task)| task.process == process && **tid != but)
            .map(|(tid, _)| *tid)
            .collect();
        others.sort_unstable();
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(base: u64, offset: u64) -> Seen {
        Seen {
            file: (1, 2),
            path: "/lib/x.so".into(),
            base,
            size: 0x5000,
            architecture: Architecture::X64,
            partial: false,
            named: true,
            offset,
        }
    }

    #[test]
    fn r_img_01_a_second_part_of_a_mapping_is_not_reported_and_a_second_mapping_is() {
        let mut process = Process::new(1, (1, 1), Architecture::X64);
        assert!(process.sees(&seen(0x10_0000, 0x1000), true));
        assert!(!process.sees(&seen(0x10_0000, 0x3000), true), "another part");
        assert!(process.sees(&seen(0x20_0000, 0x1000), true), "another place");
        assert!(
            process.sees(&seen(0x10_0000, 0x1000), true),
            "the same part at the same place: mapped again"
        );
        assert!(!process.sees(&seen(0x10_0000, 0x1000), false), "mprotect does not map");
        assert!(process.sees(&seen(0x10_2000, 0x1000), true), "over the old one");
        assert_eq!(process.images.len(), 2);
    }

    #[test]
    fn a_creator_that_is_gone_is_stood_in_for_by_the_first_thread() {
        let mut tree = Tree::default();
        tree.tasks.insert(10, Task::new(10));
        tree.tasks.insert(11, Task::new(10));
        assert_eq!(tree.stand_in((10, 11)), Some((10, 11)));
        tree.tasks.remove(&11);
        assert_eq!(tree.stand_in((10, 11)), Some((10, 10)));
        tree.tasks.remove(&10);
        assert_eq!(tree.stand_in((10, 11)), None);
    }
}
