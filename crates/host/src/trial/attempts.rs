//! System calls by which a driver could try to get out, issued as a driver would: by the instruction.

#![expect(clippy::cast_sign_loss, reason = "arguments of system calls are registers")]

use std::arch::asm;

/// One system call, past the C library.
///
/// # Safety
/// As the system call itself.
unsafe fn raw(number: i64, arguments: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    let result: i64;
    // SAFETY: the caller answers for the call; the instruction itself clobbers what is named.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Tries to open a file, and that only.
pub(super) fn open(tell: &mut dyn FnMut(&str)) {
    // SAFETY: opens a file that anybody may read.
    let result = unsafe { raw(libc::SYS_open, [c"/etc/passwd".as_ptr() as u64, 0, 0, 0, 0, 0]) };
    tell(&format!("open = {result}"));
}

/// Tries everything; tells each attempt's name and result (`open = -1`).
pub(super) fn all(tell: &mut dyn FnMut(&str)) {
    let file = c"/etc/passwd".as_ptr() as u64;
    let new = c"/tmp/callboard-escaped".as_ptr() as u64;
    let shell = c"/bin/sh".as_ptr() as u64;
    let mut scratch = [0_u64; 64];
    let buffer = scratch.as_mut_ptr() as u64;
    // SAFETY: asks for a number; allowed.
    let parent = unsafe { libc::getppid() };
    let parent = u64::try_from(parent).unwrap_or(1);
    let own = u64::from(std::process::id());
    let anonymous = (libc::MAP_PRIVATE | libc::MAP_FIXED_NOREPLACE) as u64;
    let attempts: &[(&str, i64, [u64; 6])] = &[
        ("open", libc::SYS_open, [file, 0, 0, 0, 0, 0]),
        ("openat", libc::SYS_openat, [libc::AT_FDCWD as u64, file, 0, 0, 0, 0]),
        ("openat2", libc::SYS_openat2, [libc::AT_FDCWD as u64, file, buffer, 24, 0, 0]),
        ("creat", libc::SYS_creat, [new, 0o600, 0, 0, 0, 0]),
        ("mkdir", libc::SYS_mkdir, [new, 0o700, 0, 0, 0, 0]),
        ("unlink", libc::SYS_unlink, [new, 0, 0, 0, 0, 0]),
        ("rename", libc::SYS_rename, [file, new, 0, 0, 0, 0]),
        ("chmod", libc::SYS_chmod, [file, 0o777, 0, 0, 0, 0]),
        ("stat", libc::SYS_stat, [file, buffer, 0, 0, 0, 0]),
        ("readlink", libc::SYS_readlink, [c"/proc/self/exe".as_ptr() as u64, buffer, 512, 0, 0, 0]),
        ("getcwd", libc::SYS_getcwd, [buffer, 512, 0, 0, 0, 0]),
        ("read", libc::SYS_read, [0, buffer, 1, 0, 0, 0]),
        ("write", libc::SYS_write, [1, file, 1, 0, 0, 0]),
        ("write to the standard error", libc::SYS_write, [2, file, 1, 0, 0, 0]),
        ("dup", libc::SYS_dup, [0, 0, 0, 0, 0, 0]),
        ("pipe2", libc::SYS_pipe2, [buffer, 0, 0, 0, 0, 0]),
        ("socket", libc::SYS_socket, [2, 1, 0, 0, 0, 0]),
        ("socket (unix)", libc::SYS_socket, [1, 1, 0, 0, 0, 0]),
        ("socketpair", libc::SYS_socketpair, [1, 1, 0, buffer, 0, 0]),
        ("execve", libc::SYS_execve, [shell, 0, 0, 0, 0, 0]),
        ("execveat", libc::SYS_execveat, [libc::AT_FDCWD as u64, shell, 0, 0, 0, 0]),
        ("fork", libc::SYS_fork, [0; 6]),
        ("vfork", libc::SYS_vfork, [0; 6]),
        ("clone (a process)", libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]),
        ("clone (memory shared)", libc::SYS_clone, [libc::CLONE_VM as u64, 0, 0, 0, 0, 0]),
        ("clone (a namespace)", libc::SYS_clone, [0x003d_0f00 | libc::CLONE_NEWNET as u64, 0, 0, 0, 0, 0]),
        ("clone3", libc::SYS_clone3, [buffer, 64, 0, 0, 0, 0]),
        ("kill (the parent)", libc::SYS_kill, [parent, libc::SIGTERM as u64, 0, 0, 0, 0]),
        ("kill (oneself)", libc::SYS_kill, [own, libc::SIGTERM as u64, 0, 0, 0, 0]),
        ("tkill", libc::SYS_tkill, [parent, libc::SIGTERM as u64, 0, 0, 0, 0]),
        ("tgkill (the parent)", libc::SYS_tgkill, [parent, parent, libc::SIGTERM as u64, 0, 0, 0]),
        ("rt_sigqueueinfo", libc::SYS_rt_sigqueueinfo, [parent, libc::SIGTERM as u64, buffer, 0, 0, 0]),
        ("pidfd_open", libc::SYS_pidfd_open, [parent, 0, 0, 0, 0, 0]),
        ("ptrace", libc::SYS_ptrace, [u64::from(libc::PTRACE_SEIZE), parent, 0, 0, 0, 0]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [parent, buffer, 1, buffer, 1, 0]),
        ("process_vm_writev", libc::SYS_process_vm_writev, [parent, buffer, 1, buffer, 1, 0]),
        ("mmap (a descriptor)", libc::SYS_mmap, [0, 4096, 1, anonymous, 0, 0]),
        ("memfd_create", libc::SYS_memfd_create, [c"x".as_ptr() as u64, 0, 0, 0, 0, 0]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [1, buffer, 0, 0, 0, 0]),
        ("bpf", libc::SYS_bpf, [0, buffer, 64, 0, 0, 0]),
        ("perf_event_open", libc::SYS_perf_event_open, [buffer, 0, u64::MAX, u64::MAX, 0, 0]),
        ("userfaultfd", libc::SYS_userfaultfd, [0; 6]),
        ("mount", libc::SYS_mount, [file, file, file, 0, 0, 0]),
        ("chroot", libc::SYS_chroot, [c"/".as_ptr() as u64, 0, 0, 0, 0, 0]),
        ("unshare", libc::SYS_unshare, [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0]),
        ("setns", libc::SYS_setns, [0; 6]),
        ("init_module", libc::SYS_init_module, [buffer, 8, file, 0, 0, 0]),
        ("reboot", libc::SYS_reboot, [0; 6]),
        ("setuid", libc::SYS_setuid, [0; 6]),
        ("setrlimit", libc::SYS_prlimit64, [0, 7, buffer, 0, 0, 0]),
        ("seccomp", libc::SYS_seccomp, [0; 6]),
        ("keyctl", libc::SYS_keyctl, [0; 6]),
        ("shmget", libc::SYS_shmget, [0, 4096, 0o1600, 0, 0, 0]),
        ("prctl (dumpable)", libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, 1, 0, 0, 0, 0]),
        ("prctl (death signal)", libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as u64, 0, 0, 0, 0, 0]),
        ("arch_prctl (FS)", libc::SYS_arch_prctl, [0x1002, 0, 0, 0, 0, 0]),
        ("getpid through the x32 gate", libc::SYS_getpid | 0x4000_0000, [0; 6]),
    ];
    for &(name, number, arguments) in attempts {
        // SAFETY: each is an attempt that fails in a sandbox; where it does not, the test that asked has
        // found out what it wanted to know.
        let result = unsafe { raw(number, arguments) };
        if result == 0 && matches!(number, libc::SYS_fork | libc::SYS_vfork | libc::SYS_clone) {
            // SAFETY: the child of an attempt that worked.
            unsafe { raw(libc::SYS_exit_group, [0; 6]) };
        }
        tell(&format!("{name} = {result}"));
    }
}
