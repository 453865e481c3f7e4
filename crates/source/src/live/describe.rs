//! What a process is made of, as the kernel has it.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use event::{Architecture, Name};

use super::{
    command::command_line,
    images::{Hint, Images, Maps, Seen},
    start::{self, Start},
    sys::{self, Mapping, Pid},
};

/// The code segment of 32-bit programs.
pub(super) const CODE_32: u64 = 0x23;

/// A process that has just been given an image.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) architecture: Architecture,
    pub(super) command_line: Option<String>,
    /// The name of the main image, also where the image itself could not be made out.
    pub(super) name: Option<Name<'static>>,
    pub(super) main: Option<Seen>,
    pub(super) interpreter: Option<Seen>,
    pub(super) maps: Option<Maps>,
    /// Whether the file asks to be run as another user or group.
    pub(super) set_id: bool,
}

/// Looks at a process that is held before the first instruction of its image.
pub(super) fn fresh(pid: Pid, images: &mut Images) -> Fresh {
    let registers = sys::registers(pid).ok();
    let wide = registers.is_none_or(|registers| registers.cs != CODE_32);
    let Start { entry, interpreter, command_line } =
        registers.map(|registers| start::read(pid, registers.rsp, wide)).unwrap_or_default();
    let executable = fs::metadata(format!("/proc/{pid}/exe")).ok();
    let maps = Maps::open(pid);
    // The entry point is what the file says it is, which may be anything: the file itself decides.
    let is_main = |mapping: &Mapping| {
        executable.as_ref().is_some_and(|file| {
            file.ino() == mapping.inode
                && (file.dev() == mapping.device || link(pid) == Some(mapping.path.as_str().into()))
        })
    };
    let main = maps.as_ref().and_then(|maps| {
        let mapping = maps
            .at(entry, true)
            .filter(|mapping| is_main(mapping))
            .or_else(|| maps.all().into_iter().find(|mapping| mapping.executable && is_main(mapping)))?;
        images.of(maps, &mapping, Hint::Main)
    });
    let interpreter = maps.as_ref().filter(|_| interpreter != 0).and_then(|maps| {
        let mapping = maps.at(interpreter, true)?;
        images.of(maps, &mapping, Hint::None)
    });
    Fresh {
        architecture: if wide { Architecture::X64 } else { Architecture::X86 },
        command_line,
        name: main.as_ref().map(Seen::name).or_else(|| name(pid)),
        main,
        interpreter,
        maps,
        set_id: executable.is_some_and(|file| file.mode() & (libc::S_ISUID | libc::S_ISGID) != 0),
    }
}

fn link(pid: Pid) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The name of a process's main image.
pub(super) fn name(pid: Pid) -> Option<Name<'static>> {
    let path = link(pid)?.to_string_lossy().into_owned();
    Some(Name::from_unix(path.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(path)))
}

/// The command line of a process that has been running.
pub(super) fn arguments(pid: Pid) -> Option<String> {
    let text = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text = text.strip_suffix(b"\0").unwrap_or(&text);
    (!text.is_empty()).then(|| command_line(text.split(|byte| *byte == 0)))
}

/// A number from `/proc/PID/status`.
pub(super) fn status_field(pid: Pid, field: &str) -> Option<Pid> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.trim().parse().ok())
}

/// Whether set-uid files keep their meaning: this process may trace those that run as others, and
/// installs its filter without giving that up for its children.
pub(super) fn may_trace_all() -> bool {
    const NEEDED: u64 = (1 << 19) | (1 << 21); // CAP_SYS_PTRACE, CAP_SYS_ADMIN
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    text.lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .is_some_and(|capabilities| capabilities & NEEDED == NEEDED)
}
