//! The first process of a tree: forked, seized by its parent, filtered, then executed.
//!
//! ```text
//!   callboard                       child
//!   fork ─────────────────────────▶ waits for a byte
//!   PTRACE_SEIZE
//!   a byte ───────────────────────▶ installs the filter, tries every place on PATH
//!   PTRACE_EVENT_EXEC ◀──────────── or: says on a pipe what failed, and exits
//! ```

use std::{
    ffi::{CString, OsStr, OsString},
    fs::File,
    io::{self, Read, Write},
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::Path,
    ptr,
};

use nix::errno::Errno;

use super::{Command, LiveError, filter, sys, sys::Pid};

/// What the child says on its pipe: which step failed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Directory = 1,
    Privileges = 2,
    Filter = 3,
    Execute = 4,
}

/// A first process on its way to its image.
#[derive(Debug)]
pub(super) struct Spawned {
    /// Its number.
    pub(super) pid: Pid,
    failure: File,
    tried: OsString,
}

/// Everything the child needs, made before the fork: between fork and exec nothing may be allocated.
struct Plan {
    directory: Option<CString>,
    /// Where the program may be.
    places: Vec<CString>,
    /// Whether it is looked for, rather than told.
    searched: bool,
    arguments: Vec<CString>,
    environment: Option<Vec<CString>>,
    filter: Vec<libc::sock_filter>,
}

/// What `execvp` looks through when there is no PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// What runs a file that is executable but in no format the kernel knows, as `execvp` has it.
const SHELL: &std::ffi::CStr = c"/bin/sh";

impl Plan {
    fn new(command: &Command) -> Result<Self, LiveError> {
        let text = |text: &OsStr| {
            CString::new(text.as_bytes())
                .map_err(|_| LiveError::Nul { text: text.to_string_lossy().into_owned() })
        };
        let variable = |name: &str| match &command.environment {
            Some(all) => all.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()),
            None => std::env::var_os(name),
        };
        let mut places = Vec::new();
        let searched = !command.program.as_bytes().contains(&b'/');
        if !searched {
            places.push(text(&command.program)?);
        } else if !command.program.is_empty() {
            let path = variable("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
            for folder in path.as_bytes().split(|byte| *byte == b':') {
                let folder = if folder.is_empty() { b"." } else { folder };
                places.push(text(Path::new(OsStr::from_bytes(folder)).join(&command.program).as_os_str())?);
            }
        }
        let arguments = std::iter::once(&command.program)
            .chain(&command.arguments)
            .map(|argument| text(argument))
            .collect::<Result<_, _>>()?;
        let environment = command.environment.as_ref().map(|all| {
            all.iter()
                .map(|(name, value)| {
                    let mut line = name.clone();
                    line.push("=");
                    line.push(value);
                    text(&line)
                })
                .collect::<Result<Vec<_>, _>>()
        });
        Ok(Self {
            directory: command.directory.as_ref().map(|path| text(path.as_os_str())).transpose()?,
            places,
            searched,
            arguments,
            environment: environment.transpose()?,
            filter: filter::program(),
        })
    }
}

/// The pointers that `execve` takes, with the null that ends them.
fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// Starts the command, seized and on its way to its image.
pub(super) fn spawn(command: &Command) -> Result<Spawned, LiveError> {
    let plan = Plan::new(command)?;
    let internal = |doing: &'static str| move |error: Errno| LiveError::Internal { doing, error };
    let pipe = || nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(internal("making a pipe"));
    let (go_read, go_write) = pipe()?;
    let (failure_read, failure_write) = pipe()?;

    let arguments = pointers(&plan.arguments);
    // As `execvp`: `sh FILE ARGUMENTS…`, the file at 1 being put in by the child.
    let mut shell = vec![SHELL.as_ptr(), ptr::null()];
    shell.extend(arguments.get(1..).unwrap_or_default());
    let environment = plan.environment.as_deref().map(pointers);

    // SAFETY: the child runs `child` only, which allocates nothing, takes no lock and never returns.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err(LiveError::Internal { doing: "forking", error: Errno::last() }),
        0 => {
            let pipes = [go_read.as_raw_fd(), go_write.as_raw_fd(), failure_write.as_raw_fd()];
            child(&plan, &arguments, &mut shell, environment.as_deref(), pipes)
        }
        pid => pid,
    };
    drop((go_read, failure_write));
    if let Err(error) = sys::seize(pid, sys::Wanted::Everything) {
        sys::kill(pid, libc::SIGKILL);
        let _reaped = sys::wait_one(pid);
        return Err(LiveError::NotPermitted { error, scope: yama_scope() });
    }
    // A child that is dead by now is found to be so by the one who waits for it.
    let _ = File::from(go_write).write_all(&[1]);
    let tried = command.program.clone();
    Ok(Spawned { pid, failure: File::from(failure_read), tried })
}

/// The setting of the Yama security module, where there is one.
pub(super) fn yama_scope() -> Option<u32> {
    std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok()?.trim().parse().ok()
}

impl Spawned {
    /// Why the child ended without an image. To be asked when it has ended.
    pub(super) fn failure(mut self) -> LiveError {
        let mut message = [0; 8];
        let program = self.tried.to_string_lossy().into_owned();
        if self.failure.read_exact(&mut message).is_err() {
            return LiveError::Died { program };
        }
        let [a, b, c, d, step, ..] = message;
        let error = Errno::from_raw(i32::from_le_bytes([a, b, c, d]));
        match (step, error) {
            (1, error) => LiveError::Directory { error },
            (2, error) => LiveError::Internal { doing: "setting no_new_privs", error },
            (3, error) => LiveError::NoFilter { error },
            (_, Errno::ENOENT | Errno::ENOTDIR) => LiveError::NotFound { program },
            (_, error) => LiveError::NotExecutable { program, error: io::Error::from(error) },
        }
    }
}

/// What the forked child does. Calls only what is async-signal-safe.
fn child(
    plan: &Plan,
    arguments: &[*const libc::c_char],
    shell: &mut [*const libc::c_char],
    environment: Option<&[*const libc::c_char]>,
    [go, go_other, failure]: [i32; 3],
) -> ! {
    let mut byte = 0_u8;
    // SAFETY: closes the child's copy of a descriptor that the child does not use.
    unsafe { libc::close(go_other) };
    // SAFETY: `byte` is live and one byte long.
    let read = unsafe { libc::read(go, (&raw mut byte).cast(), 1) };
    if read != 1 {
        // The parent is gone, or was not allowed to trace.
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(1) };
    }
    // Rust programs ignore SIGPIPE, which would be inherited.
    // SAFETY: sets a default disposition; no handler is involved.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    if let Some(directory) = &plan.directory {
        // SAFETY: the string was made before the fork and ends with NUL.
        if unsafe { libc::chdir(directory.as_ptr()) } != 0 {
            fail(failure, Step::Directory, Errno::last_raw());
        }
    }
    if let Err((step, error)) = install(&plan.filter) {
        fail(failure, step, error);
    }
    // SAFETY: `environ` is a global that nobody changes in a forked child.
    let inherited = unsafe { libc::environ };
    let environment = environment.map_or(inherited.cast_const().cast(), <[_]>::as_ptr);
    let mut error = libc::ENOENT;
    for place in &plan.places {
        // SAFETY: all three were made before the fork and end with NUL or null.
        unsafe { libc::execve(place.as_ptr(), arguments.as_ptr(), environment) };
        let mut now = Errno::last_raw();
        if now == libc::ENOEXEC {
            if let Some(slot) = shell.get_mut(1) {
                *slot = place.as_ptr();
            }
            // SAFETY: as above; `shell` ends with the null that ended `arguments`.
            unsafe { libc::execve(SHELL.as_ptr(), shell.as_ptr(), environment) };
            now = Errno::last_raw();
        }
        match now {
            libc::ENOENT | libc::ENOTDIR => {}
            // In a folder that may not be entered there is nothing to be found, as shells see it.
            // SAFETY: the string was made before the fork and ends with NUL.
            libc::EACCES if plan.searched && unsafe { libc::access(place.as_ptr(), libc::F_OK) } != 0 => {}
            libc::EACCES => error = now,
            _ => {
                error = now;
                break;
            }
        }
    }
    fail(failure, Step::Execute, error)
}

/// Installs the filter for this process and all that come from it.
fn install(filter: &[libc::sock_filter]) -> Result<(), (Step, i32)> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).unwrap_or(0),
        filter: filter.as_ptr().cast_mut(),
    };
    let set = || {
        // SAFETY: the kernel copies the program, which is live and as long as `len` says.
        unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                &raw const program,
            )
        }
    };
    // Only who lacks CAP_SYS_ADMIN needs to give up set-uid for it.
    if set() != 0 {
        if Errno::last_raw() != libc::EACCES {
            return Err((Step::Filter, Errno::last_raw()));
        }
        // SAFETY: takes integers only.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err((Step::Privileges, Errno::last_raw()));
        }
        if set() != 0 {
            return Err((Step::Filter, Errno::last_raw()));
        }
    }
    Ok(())
}

fn fail(pipe: i32, step: Step, error: i32) -> ! {
    let [a, b, c, d] = error.to_le_bytes();
    let message = [a, b, c, d, step as u8, 0, 0, 0];
    // SAFETY: `message` is live and as long as said.
    unsafe { libc::write(pipe, message.as_ptr().cast(), message.len()) };
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(127) }
}
