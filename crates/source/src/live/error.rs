//! What can go wrong before a command runs.

use std::io;

use nix::errno::Errno;

/// Why a command was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// No such program. A shell would say 127.
    #[error("{program}: command not found")]
    NotFound {
        /// As it was asked for.
        program: String,
    },
    /// There is such a program, but it may not or cannot be run. A shell would say 126.
    #[error("{program}: cannot be executed: {error}")]
    NotExecutable {
        /// As it was asked for.
        program: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// The directory to start in is not there, or may not be entered.
    #[error("cannot enter the command's directory: {error}")]
    Directory {
        /// What the kernel said.
        error: Errno,
    },
    /// A program, argument, variable or path holds a NUL byte, which no Linux command can.
    #[error("{text:?} holds a NUL byte")]
    Nul {
        /// The text.
        text: String,
    },
    /// This process may not trace its own child.
    #[error("not permitted to trace a child ({error}): {}", advice(*.scope))]
    NotPermitted {
        /// What the kernel said.
        error: Errno,
        /// The setting of Yama, where there is one.
        scope: Option<u32>,
    },
    /// The kernel takes no seccomp filter, without which images cannot be seen as they are mapped.
    #[error(
        "the kernel takes no seccomp filter ({error}): it needs CONFIG_SECCOMP_FILTER, and a container \
         whose own policy allows the seccomp system call"
    )]
    NoFilter {
        /// What the kernel said.
        error: Errno,
    },
    /// The child died before it had an image.
    #[error("{program}: died before it was executed")]
    Died {
        /// As it was asked for.
        program: String,
    },
    /// Something that should have worked did not.
    #[error("{doing}: {error}")]
    Internal {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        error: Errno,
    },
}

impl LiveError {
    /// The exit code that a shell or `env` would give for it: 127, 126, or 125 for our own trouble.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            _ => 125,
        }
    }
}

/// What to do about a lack of permission.
fn advice(scope: Option<u32>) -> &'static str {
    match scope {
        Some(3) => "kernel.yama.ptrace_scope is 3, which forbids it to everybody until the next boot",
        Some(2) => {
            "kernel.yama.ptrace_scope is 2: run as root, grant CAP_SYS_PTRACE, or set it to 1 \
             (sysctl kernel.yama.ptrace_scope=1)"
        }
        _ => {
            "a container's seccomp policy or another tracer forbids it: try \
             --cap-add=SYS_PTRACE --security-opt seccomp=unconfined, and run under no debugger"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_permission_comes_with_advice() {
        let say = |scope| LiveError::NotPermitted { error: Errno::EPERM, scope }.to_string();
        assert!(say(Some(2)).contains("ptrace_scope=1"));
        assert!(say(Some(3)).contains("next boot"));
        assert!(say(None).contains("SYS_PTRACE"));
    }

    #[test]
    fn codes_are_those_of_a_shell() {
        assert_eq!(LiveError::NotFound { program: "x".into() }.exit_code(), 127);
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(LiveError::NotExecutable { program: "x".into(), error }.exit_code(), 126);
    }
}
