//! The system calls that a host may make, each with its reason, and the filter made of them.
//!
//! Everything else fails with `EPERM`: a driver that tries goes on and sees its failure, and so does
//! the user. A call through the 32-bit gate (`int 0x80`) ends the host, because there the numbers mean
//! something else.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// Which uses of a system call are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// All.
    Any,
    /// Those whose argument (by index) has one of these values, as 32 bits.
    OneOf(u8, &'static [u32]),
    /// Those whose argument has all these bits.
    Bits(u8, u32),
    /// Those whose first argument is the host's own process id.
    OwnProcess,
    /// Those whose first argument is the standard error, and only while debugging the host.
    DebugOutput,
}

/// One line of the allow-list.
#[derive(Clone, Copy, Debug)]
pub struct SystemCall {
    /// Its name.
    pub name: &'static str,
    /// Its number on x86-64.
    pub number: i64,
    /// Which uses.
    pub arguments: Arguments,
    /// What a host needs it for.
    pub reason: &'static str,
}

const fn call(name: &'static str, number: i64, arguments: Arguments, reason: &'static str) -> SystemCall {
    SystemCall { name, number, arguments, reason }
}

/// What a C library passes to `clone` for a thread: `CLONE_VM | FS | FILES | SIGHAND | THREAD | SYSVSEM |
/// SETTLS | PARENT_SETTID | CHILD_CLEARTID`, and the same with musl's `CLONE_DETACHED`. Matched whole:
/// a thread, and nothing besides.
const THREAD: &[u32] = &[0x003d_0f00, 0x007d_0f00];

use Arguments::{Any, Bits, DebugOutput, OneOf, OwnProcess};

/// The allow-list.
#[rustfmt::skip]
pub const SYSTEM_CALLS: &[SystemCall] = &[
    // -- waiting: the channel, every dispatcher object, locks of the standard library
    call("futex",             libc::SYS_futex,             Any, "every wait and wake"),
    call("sched_yield",       libc::SYS_sched_yield,       Any, "waits let others run that have work to do"),
    call("nanosleep",         libc::SYS_nanosleep,         Any, "KeDelayExecutionThread, older C libraries"),
    call("clock_nanosleep",   libc::SYS_clock_nanosleep,   Any, "KeDelayExecutionThread"),
    call("restart_syscall",   libc::SYS_restart_syscall,   Any, "the kernel goes on with an interrupted sleep"),
    call("membarrier",        libc::SYS_membarrier,        Any, "removal of a notify routine fences every walker"),
    // -- time, where the vDSO cannot answer
    call("clock_gettime",     libc::SYS_clock_gettime,     Any, "clocks on machines without a usable TSC"),
    call("gettimeofday",      libc::SYS_gettimeofday,      Any, "the same"),
    // -- memory: anonymous only, so that no descriptor is worth having
    call("mmap",              libc::SYS_mmap,              Bits(3, libc::MAP_ANONYMOUS as u32), "pool, images, stacks"),
    call("munmap",            libc::SYS_munmap,            Any, "giving them back"),
    call("mremap",            libc::SYS_mremap,            Any, "realloc of large blocks"),
    call("mprotect",          libc::SYS_mprotect,          Any, "images are written, then made executable; guard pages"),
    call("madvise",           libc::SYS_madvise,           Any, "free memory and the staging area go back to the system"),
    call("brk",               libc::SYS_brk,               Any, "malloc"),
    // -- threads of this process
    call("clone",             libc::SYS_clone,             OneOf(0, THREAD), "workers and system threads"),
    call("clone3",            libc::SYS_clone3,            Any, "answered with ENOSYS by a second filter, so that the C library takes clone, whose flags can be filtered"),
    call("set_robust_list",   libc::SYS_set_robust_list,   Any, "thread start"),
    call("rseq",              libc::SYS_rseq,              Any, "thread start"),
    call("sched_getaffinity", libc::SYS_sched_getaffinity, Any, "number of processors; stack bounds of a thread"),
    call("gettid",            libc::SYS_gettid,            Any, "owners of locks"),
    call("getpid",            libc::SYS_getpid,            Any, "abort"),
    call("tgkill",            libc::SYS_tgkill,            OwnProcess, "abort; interrupting a thread of one's own"),
    call("exit",              libc::SYS_exit,              Any, "the end of a thread"),
    call("exit_group",        libc::SYS_exit_group,        Any, "the end of the host"),
    // -- faults: privileged instructions, exceptions in drivers
    call("rt_sigaction",      libc::SYS_rt_sigaction,      Any, "fault handlers"),
    call("rt_sigprocmask",    libc::SYS_rt_sigprocmask,    Any, "thread start; faults while a fault is handled"),
    call("rt_sigreturn",      libc::SYS_rt_sigreturn,      Any, "the way back from a fault"),
    call("sigaltstack",       libc::SYS_sigaltstack,       Any, "faults are handled on a stack of their own"),
    // -- the processor
    call("arch_prctl",        libc::SYS_arch_prctl,        OneOf(0, &[0x1001, 0x1004]), "ARCH_SET_GS, ARCH_GET_GS: the KPCR"),
    call("prctl",             libc::SYS_prctl,             OneOf(0, &[libc::PR_SET_NAME as u32, libc::PR_SET_VMA as u32]), "names of threads and mappings"),
    // -- the rest
    call("getrandom",         libc::SYS_getrandom,         Any, "hash seeds, security cookies"),
    call("write",             libc::SYS_write,             DebugOutput, "messages of a host that is being debugged"),
];

impl SystemCall {
    /// The rules of a filter for this line; `None` where it is not allowed this time. No rules: always.
    fn rules(
        &self,
        own_process: u32,
        debug: bool,
    ) -> Result<Option<Vec<SeccompRule>>, seccompiler::BackendError> {
        let rule = |index, operator, value: u32| {
            SeccompRule::new(vec![SeccompCondition::new(
                index,
                SeccompCmpArgLen::Dword,
                operator,
                value.into(),
            )?])
        };
        Ok(Some(match self.arguments {
            Any => Vec::new(),
            OneOf(index, values) => {
                values.iter().map(|&value| rule(index, SeccompCmpOp::Eq, value)).collect::<Result<_, _>>()?
            }
            Bits(index, bits) => vec![rule(index, SeccompCmpOp::MaskedEq(bits.into()), bits)?],
            OwnProcess => vec![rule(0, SeccompCmpOp::Eq, own_process)?],
            DebugOutput if debug => vec![rule(0, SeccompCmpOp::Eq, 2)?],
            DebugOutput => return Ok(None),
        }))
    }
}

/// The allow-list as a filter.
fn compile(own_process: u32, debug: bool) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules = BTreeMap::new();
    for line in SYSTEM_CALLS {
        if let Some(allowed) = line.rules(own_process, debug)? {
            rules.insert(line.number, allowed);
        }
    }
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, TargetArch::x86_64)?.try_into()
}

/// Says to the C library that there is no `clone3`. Of two filters the stricter answer counts, so this
/// one wins over the allow-list's.
fn without_clone3() -> Result<BpfProgram, seccompiler::BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let absent = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, absent, TargetArch::x86_64)?.try_into()
}

/// Puts the filter on the calling thread and all that come after it.
pub(super) fn install(debug: bool) -> Result<(), String> {
    let explain = |error: &dyn std::fmt::Display| {
        format!(
            "this machine gives no system-call filter (seccomp): {error}; without one a driver could do all that you can"
        )
    };
    let absent = without_clone3().map_err(|error| explain(&error))?;
    let allowed = compile(std::process::id(), debug).map_err(|error| explain(&error))?;
    seccompiler::apply_filter(&absent).map_err(|error| explain(&error))?;
    seccompiler::apply_filter(&allowed).map_err(|error| explain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_once_and_has_a_reason() {
        let mut numbers: Vec<i64> = SYSTEM_CALLS.iter().map(|line| line.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), SYSTEM_CALLS.len());
        assert!(SYSTEM_CALLS.iter().all(|line| !line.reason.is_empty()));
    }

    #[test]
    fn nothing_that_opens_connects_executes_or_signals_is_on_the_list() {
        for number in [
            libc::SYS_open,
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_socket,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_ptrace,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_io_uring_setup,
            libc::SYS_seccomp,
        ] {
            assert!(SYSTEM_CALLS.iter().all(|line| line.number != number), "system call {number}");
        }
    }

    #[test]
    fn the_filter_is_short_enough_for_the_kernel() {
        assert!(compile(1, true).unwrap().len() < 4096);
    }
}
