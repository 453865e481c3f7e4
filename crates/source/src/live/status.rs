//! How Linux's ends of processes read as NT status values.

use nt_abi::NTSTATUS;

/// How the first process of a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With an exit code, 0 to 255.
    Code(u8),
    /// By a signal.
    Signal(i32),
}

impl Ending {
    /// From a `wait` status.
    pub(super) fn from_wait(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signal(libc::WTERMSIG(status))
        } else {
            Self::Code(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
        }
    }

    /// What a shell would have in `$?`: the code, or 128 and the signal.
    pub fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => u8::try_from(signal.saturating_add(128)).unwrap_or(u8::MAX),
        }
    }

    /// The exit status that drivers see: the exit code itself, or for a signal
    ///
    /// | signal | status | NT's name |
    /// |---|---|---|
    /// | SIGSEGV | 0xC0000005 | `STATUS_ACCESS_VIOLATION` |
    /// | SIGBUS | 0xC0000006 | `STATUS_IN_PAGE_ERROR` |
    /// | SIGILL | 0xC000001D | `STATUS_ILLEGAL_INSTRUCTION` |
    /// | SIGFPE | 0xC0000094 | `STATUS_INTEGER_DIVIDE_BY_ZERO` |
    /// | SIGTRAP | 0x80000003 | `STATUS_BREAKPOINT` |
    /// | SIGINT, SIGQUIT | 0xC000013A | `STATUS_CONTROL_C_EXIT` |
    /// | SIGABRT | 0xC0000409 | `STATUS_STACK_BUFFER_OVERRUN`, which is what `abort` ends with |
    /// | SIGSYS | 0xC000001C | `STATUS_INVALID_SYSTEM_SERVICE` |
    /// | any other | 0xC000_0000 + 0x4E00 + signal | none: a value of our own, which keeps the signal |
    pub fn status(self) -> NTSTATUS {
        let value: u32 = match self {
            Self::Code(code) => u32::from(code),
            Self::Signal(signal) => match signal {
                libc::SIGSEGV => 0xC000_0005,
                libc::SIGBUS => 0xC000_0006,
                libc::SIGILL => 0xC000_001D,
                libc::SIGFPE => 0xC000_0094,
                libc::SIGTRAP => 0x8000_0003,
                libc::SIGINT | libc::SIGQUIT => 0xC000_013A,
                libc::SIGABRT => 0xC000_0409,
                libc::SIGSYS => 0xC000_001C,
                // A signal's number fits: there are 64.
                other => event::signal::to_status(u8::try_from(other).unwrap_or(0)).as_u32(),
            },
        };
        NTSTATUS(value.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_exit_02_wait_statuses_have_one_nt_status_each() {
        let status = |wait: i32| Ending::from_wait(wait).status().0.cast_unsigned();
        assert_eq!(status(0), 0);
        assert_eq!(status(3 << 8), 3);
        assert_eq!(status(255 << 8), 255);
        assert_eq!(status(libc::SIGSEGV), 0xC000_0005);
        assert_eq!(status(libc::SIGSEGV | 0x80), 0xC000_0005, "with a core file");
        assert_eq!(status(libc::SIGKILL), 0xC000_4E09);
        assert_eq!(status(libc::SIGTERM), 0xC000_4E0F);
        assert_eq!(status(40), 0xC000_4E28);
    }

    #[test]
    fn a_shell_would_say_the_same() {
        assert_eq!(Ending::Code(126).shell_code(), 126);
        assert_eq!(Ending::Signal(libc::SIGINT).shell_code(), 130);
    }
}
