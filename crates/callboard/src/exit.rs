//! The exit codes of `callboard`, as the README lists them.
//!
//! `run` passes on the exit code of the command, and 128 plus the signal that killed it. Its own codes lie where
//! few commands have theirs.

/// Everything went well, or the command said 0.
pub const SUCCESS: u8 = 0;
/// Of `test`: a scenario failed.
pub const TESTS_FAILED: u8 = 1;
/// Of `exports`: there is no such name.
pub const NO_SUCH_NAME: u8 = 1;
/// Of `replay` and `events`: a recording is damaged; what could be read of it was told.
pub const DAMAGED: u8 = 1;
/// The command line makes no sense, or a file that `test` is given is no scenario, or one that `replay` is given no
/// recording.
pub const USAGE: u8 = 2;
/// Of `replay`: something is different from the baseline.
pub const DIFFERENT: u8 = 119;
/// A driver stopped the machine: bug check, hang, call of a routine that is not there, death of its host.
pub const STOPPED: u8 = 120;
/// A driver's file cannot be read, or is no x64 driver, or cannot be loaded for this profile.
pub const BAD_DRIVER: u8 = 121;
/// DriverEntry returned an error.
pub const ENTRY_FAILED: u8 = 122;
/// This machine does not permit what is needed (ptrace, seccomp).
pub const NOT_PERMITTED: u8 = 123;
/// There were findings, and `--fail-on-findings` was asked for.
pub const FINDINGS: u8 = 124;
/// Callboard itself failed: out of memory or disk, or a mistake of ours.
pub const FAILED: u8 = 125;
/// The command was refused by a driver, or cannot be executed.
pub const REFUSED: u8 = 126;
/// There is no such command.
pub const NOT_FOUND: u8 = 127;
/// Of `replay` and `events`: ^C ended it. What came of the recording until then was told.
pub const INTERRUPTED: u8 = 130;
