//! What this machine lets a live source do, each by a real try.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsRawFd,
    time::Duration,
};

use event::{Event, EventKind};
use nix::{errno::Errno, sys::memfd};
use nt_abi::NTSTATUS;

use super::{Command, Ending, LiveError, Options, Outcome, describe, run, spawn, sys};
use crate::{Delivery, Recipient, Refusal, Reply, Ticket};

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What, in a few words.
    pub name: &'static str,
    /// What came of it.
    pub outcome: ProbeOutcome,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// It works; how that was seen.
    Works(String),
    /// It does not.
    Missing {
        /// Whether nothing can be watched without it.
        needed: bool,
        /// Why not, and what to do or what is done instead.
        text: String,
    },
}

fn probed(name: &'static str, needed: bool, found: Result<String, String>) -> Probe {
    let outcome = match found {
        Ok(text) => ProbeOutcome::Works(text),
        Err(text) => ProbeOutcome::Missing { needed, text },
    };
    Probe { name, outcome }
}

/// Tries everything a live source needs or can use. Runs a few tiny programs of its own.
pub fn probe() -> Vec<Probe> {
    let watched = watch(false);
    let mut all = tracing(&watched);
    all.push(refusing());
    let rights = if describe::may_trace_all() {
        Ok("CAP_SYS_PTRACE and CAP_SYS_ADMIN".into())
    } else {
        Err("their set-uid bits have no effect while they are watched: run as root for that".into())
    };
    all.push(probed("set-uid programs keep their rights", false, rights));
    all.push(map_queries());
    all.push(narrow_programs());
    all
}

/// Remembers what the tiny program was seen to do.
#[derive(Default)]
struct Witness {
    refuse: bool,
    created: bool,
    arguments: bool,
    images: usize,
    exited: Option<NTSTATUS>,
}

impl Recipient for Witness {
    fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
        let mut reply = Reply::default();
        for event in batch {
            match &event.kind {
                EventKind::ProcessCreate(process) => {
                    self.created = true;
                    self.arguments = process.command_line.is_some();
                    if self.refuse {
                        let refusal = Refusal { process: process.process, status: DENIED, driver: None };
                        reply.refused = Some(refusal);
                    }
                }
                EventKind::ImageLoad(_) => self.images += 1,
                EventKind::ProcessExit(exit) => self.exited = Some(exit.status),
                _ => {}
            }
        }
        Delivery::Done(reply)
    }

    fn finished(&mut self, _: Duration) -> Option<(Ticket, Delivery)> {
        None
    }
}

/// `STATUS_ACCESS_DENIED`.
const DENIED: NTSTATUS = NTSTATUS(0xC000_0022_u32.cast_signed());
/// What the tiny programs end with.
const CODE: u8 = 42;

struct Watched {
    witness: Witness,
    outcome: Result<Outcome, LiveError>,
}

fn watch(refuse: bool) -> Watched {
    let mut witness = Witness { refuse, ..Witness::default() };
    let outcome = match program(&wide_program()) {
        Ok(file) => {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            run(&Command::new(path, ["probe"]), &mut witness, Options::default())
        }
        Err(error) => Err(LiveError::Internal { doing: "making a tiny program", error }),
    };
    Watched { witness, outcome }
}

fn tracing(watched: &Watched) -> Vec<Probe> {
    let scope =
        spawn::yama_scope().map_or(String::new(), |scope| format!(", kernel.yama.ptrace_scope is {scope}"));
    let seized = match &watched.outcome {
        Ok(_) | Err(LiveError::NoFilter { .. }) => Ok(format!("a child was seized{scope}")),
        Err(error) => Err(error.to_string()),
    };
    let filtered = match &watched.outcome {
        Ok(_) if watched.witness.images == 2 => Ok("a mapping of code was seen".into()),
        Ok(_) => Err("the filter was installed, and a mapping of code was not seen".into()),
        Err(error) => Err(error.to_string()),
    };
    let executed = match &watched.outcome {
        Ok(Outcome { ending: Ending::Code(CODE), .. }) if watched.witness.created => {
            Ok("a process was held before its entry point".into())
        }
        Ok(outcome) => Err(format!("a tiny program was not seen as it ran: {outcome:?}")),
        Err(error) => Err(error.to_string()),
    };
    let read = if watched.witness.arguments {
        Ok("its command line was read".into())
    } else {
        Err("its command line could not be read".into())
    };
    vec![
        probed("trace a child (ptrace)", true, seized),
        probed("stop at mappings of code (seccomp)", true, filtered),
        probed("stop before the first instruction", true, executed),
        probed("read a child's memory", false, read),
    ]
}

fn refusing() -> Probe {
    let refused = watch(true);
    let found = match (&refused.outcome, refused.witness.exited) {
        (Ok(Outcome { ending: Ending::Code(126), .. }), Some(DENIED)) => Ok("one ended with 126".into()),
        (Ok(outcome), _) => Err(format!("a refused program ended otherwise: {outcome:?}")),
        (Err(error), _) => Err(error.to_string()),
    };
    probed("refuse a process", false, found)
}

fn map_queries() -> Probe {
    let found = match File::open("/proc/self/maps") {
        Ok(maps) => match sys::query_mapping(&maps, 0, true) {
            Ok(Some(_)) => Ok("PROCMAP_QUERY".into()),
            Ok(None) => Err("PROCMAP_QUERY finds nothing; maps are read as text".into()),
            Err(Errno::ENOTTY) => Err("PROCMAP_QUERY is new in Linux 6.11; maps are read as text".into()),
            Err(error) => Err(format!("PROCMAP_QUERY: {error}; maps are read as text")),
        },
        Err(error) => Err(format!("/proc/self/maps: {error}")),
    };
    probed("ask for single mappings", false, found)
}

fn narrow_programs() -> Probe {
    let ran = program(&narrow_program())
        .map_err(io::Error::from)
        .and_then(|file| std::process::Command::new(format!("/proc/self/fd/{}", file.as_raw_fd())).status());
    let found = match ran {
        Ok(status) if status.code() == Some(CODE.into()) => Ok("a tiny one ran".into()),
        Ok(status) => Err(format!("a tiny one ended with {status}")),
        Err(error) => Err(format!("{error}: the kernel has no IA32 emulation, or it is switched off")),
    };
    probed("run 32-bit programs", false, found)
}

/// A file in memory that holds a program.
fn program(bytes: &[u8]) -> Result<File, Errno> {
    let descriptor = memfd::memfd_create(c"callboard-probe", memfd::MFdFlags::MFD_CLOEXEC)?;
    let mut file = File::from(descriptor);
    file.write_all(bytes).map_err(|_| Errno::ENOSPC)?;
    // A file that is open for writing cannot be executed.
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|_| Errno::EACCES)
}

const BASE: u32 = 0x40_0000;

/// Opens itself, maps itself as code, and exits with [`CODE`].
fn wide_program() -> Vec<u8> {
    const HEADERS: u32 = 64 + 56;
    #[rustfmt::skip]
    const TEXT: [u8; 75] = [
        0x48, 0x8d, 0x3d, 53, 0, 0, 0,          // lea rdi, [rip + path]
        0x31, 0xf6,                             // xor esi, esi: O_RDONLY
        0xb8, 2, 0, 0, 0, 0x0f, 0x05,           // open
        0x49, 0x89, 0xc0,                       // mov r8, rax
        0x31, 0xff,                             // xor edi, edi: anywhere
        0xbe, 0, 0x10, 0, 0,                    // mov esi, 4096
        0xba, 5, 0, 0, 0,                       // mov edx, PROT_READ | PROT_EXEC
        0x41, 0xba, 2, 0, 0, 0,                 // mov r10d, MAP_PRIVATE
        0x45, 0x31, 0xc9,                       // xor r9d, r9d
        0xb8, 9, 0, 0, 0, 0x0f, 0x05,           // mmap
        0xbf, CODE, 0, 0, 0,                    // mov edi, CODE
        0xb8, 231, 0, 0, 0, 0x0f, 0x05,         // exit_group
        0xcc,                                   // (never)
        b'/', b'p', b'r', b'o', b'c', b'/', b's', b'e', b'l', b'f', b'/', b'e', b'x', b'e', 0,
    ];
    let size = u64::from(HEADERS) + TEXT.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0, 1, 0, 0, 0];
    for word in [u64::from(BASE + HEADERS), 64, 0] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(&[0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    file.extend_from_slice(&[1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, BASE.into(), BASE.into(), size, size, 0x1000] {
        file.extend_from_slice(&u64::to_le_bytes(word));
    }
    file.extend_from_slice(&TEXT);
    file
}

/// Exits with [`CODE`].
fn narrow_program() -> Vec<u8> {
    const HEADERS: u32 = 52 + 32;
    // mov ebx, CODE; mov eax, 252; int 0x80
    const TEXT: [u8; 12] = [0xbb, CODE, 0, 0, 0, 0xb8, 252, 0, 0, 0, 0xcd, 0x80];
    let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 1, 0, 0, 0];
    for word in [BASE + HEADERS, 52, 0] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(&[0, 0, 0, 0, 52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let size = HEADERS + 12;
    for word in [1, 0, BASE, BASE, size, size, 5, 0x1000] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(&TEXT);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_missing_is_said_with_what_to_do() {
        let all = probe();
        assert_eq!(all.len(), 8);
        for probe in &all {
            let (ProbeOutcome::Works(text) | ProbeOutcome::Missing { text, .. }) = &probe.outcome;
            assert!(!text.is_empty(), "{probe:?}");
        }
        // What is needed works together.
        let works = |index: usize| matches!(all[index].outcome, ProbeOutcome::Works(_));
        if works(0) && works(1) {
            assert!(works(2) && works(4), "{all:?}");
        }
    }

    #[test]
    fn the_tiny_programs_have_a_layout() {
        for (program, architecture) in
            [(wide_program(), event::Architecture::X64), (narrow_program(), event::Architecture::X86)]
        {
            let layout = super::super::layout::Layout::parse(&program).unwrap();
            assert_eq!((layout.architecture, layout.size), (architecture, 0x1000));
        }
    }
}
