//! The tracer's system calls: ptrace, wait, and reads of another process.
//!
//! Raw, because the safe wrappers know neither real-time signals nor `PROCMAP_QUERY`. Everything
//! here is safe to call with any arguments: a task that is gone, or not ours, is an error.

use std::{fs::File, mem, os::fd::AsRawFd, ptr};

use nix::errno::Errno;

/// A Linux process or thread number.
pub(super) type Pid = libc::pid_t;

/// What became of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It is gone, with this `wait` status.
    Gone(i32),
    /// It is held still.
    Stopped(Stop),
}

/// Why a task is held still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It made a process or a thread.
    Forked,
    /// A new image is mapped; none of its code has run.
    Exec,
    /// It exits, and its address space is still there.
    Exit,
    /// It enters a system call that the filter picked out.
    Picked,
    /// It enters or leaves a system call.
    Call,
    /// Its process is stopped by a job-control signal.
    Job(i32),
    /// It is new, or its process was continued.
    Trap,
    /// A signal is about to be delivered.
    Signal(i32),
}

impl Status {
    fn decode(status: i32) -> Self {
        if !libc::WIFSTOPPED(status) {
            return Self::Gone(status);
        }
        let signal = libc::WSTOPSIG(status);
        Self::Stopped(match status >> 16 {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => Stop::Forked,
            libc::PTRACE_EVENT_EXEC => Stop::Exec,
            libc::PTRACE_EVENT_EXIT => Stop::Exit,
            libc::PTRACE_EVENT_SECCOMP => Stop::Picked,
            libc::PTRACE_EVENT_STOP if signal == libc::SIGTRAP => Stop::Trap,
            libc::PTRACE_EVENT_STOP => Stop::Job(signal),
            _ if signal == libc::SIGTRAP | 0x80 => Stop::Call,
            _ => Stop::Signal(signal),
        })
    }
}

/// Waits for any task that this thread traces, and leaves its other children alone: `__WCLONE` picks
/// out children with an unusual exit signal, and whatever is traced counts in any case.
///
/// `Ok(None)` without `block` means that nothing happened, with it that a signal came in.
pub(super) fn wait_any(block: bool) -> Result<Option<(Pid, Status)>, Errno> {
    let mut status = 0;
    let flags = libc::__WCLONE | libc::__WNOTHREAD | if block { 0 } else { libc::WNOHANG };
    // SAFETY: `status` is a live integer, which is all that the call writes to.
    match unsafe { libc::waitpid(-1, &raw mut status, flags) } {
        0 => Ok(None),
        -1 if Errno::last() == Errno::EINTR => Ok(None),
        -1 => Err(Errno::last()),
        pid => Ok(Some((pid, Status::decode(status)))),
    }
}

/// Waits for one task.
pub(super) fn wait_one(pid: Pid) -> Result<Status, Errno> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a live integer, which is all that the call writes to.
        match unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } {
            -1 if Errno::last() == Errno::EINTR => {}
            -1 => return Err(Errno::last()),
            _ => return Ok(Status::decode(status)),
        }
    }
}

/// What stops of a task are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Every stop that has something to report.
    Everything,
    /// What it takes to let the tree go on: new tasks stay traced, for the filter's sake.
    Nothing,
}

impl Wanted {
    fn options(self) -> i32 {
        let keep = libc::PTRACE_O_TRACEFORK
            | libc::PTRACE_O_TRACEVFORK
            | libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACESECCOMP
            | libc::PTRACE_O_TRACESYSGOOD
            // A tracee without its tracer would run unseen, and its `mmap`s of code would fail.
            | libc::PTRACE_O_EXITKILL;
        match self {
            Self::Everything => keep | libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_TRACEEXIT,
            Self::Nothing => keep,
        }
    }
}

fn request(request: libc::c_uint, pid: Pid, address: usize, data: usize) -> Result<(), Errno> {
    // SAFETY: only used below, with requests that read and write no memory of this process.
    let result = unsafe { libc::ptrace(request, pid, address, data) };
    Errno::result(result).map(drop)
}

/// Starts to trace a task, without stopping it.
pub(super) fn seize(pid: Pid, wanted: Wanted) -> Result<(), Errno> {
    request(libc::PTRACE_SEIZE, pid, 0, usize::try_from(wanted.options()).unwrap_or(0))
}

/// Changes what a stopped task stops at.
pub(super) fn want(pid: Pid, wanted: Wanted) -> Result<(), Errno> {
    request(libc::PTRACE_SETOPTIONS, pid, 0, usize::try_from(wanted.options()).unwrap_or(0))
}

/// Lets a task run, with a signal or 0.
pub(super) fn resume(pid: Pid, signal: i32) -> Result<(), Errno> {
    request(libc::PTRACE_CONT, pid, 0, usize::try_from(signal).unwrap_or(0))
}

/// Lets a task run until it enters or leaves a system call, with a signal or 0.
pub(super) fn resume_to_call(pid: Pid, signal: i32) -> Result<(), Errno> {
    request(libc::PTRACE_SYSCALL, pid, 0, usize::try_from(signal).unwrap_or(0))
}

/// Leaves a task stopped as its job control has it, and hears when that ends.
pub(super) fn listen(pid: Pid) -> Result<(), Errno> {
    request(libc::PTRACE_LISTEN, pid, 0, 0)
}

/// Writes eight bytes into the memory of a stopped task, also where the task itself may not write.
pub(super) fn poke(pid: Pid, address: u64, bytes: [u8; 8]) -> Result<(), Errno> {
    let address = usize::try_from(address).map_err(|_| Errno::EFAULT)?;
    let word = usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| Errno::EFAULT)?;
    request(libc::PTRACE_POKEDATA, pid, address, word)
}

/// The message of an event: the new task, the former number, or the exit status.
pub(super) fn message(pid: Pid) -> Result<u64, Errno> {
    let mut message: libc::c_ulong = 0;
    // SAFETY: the request writes one `unsigned long` at the pointer, which is live.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, &raw mut message) };
    Errno::result(result).map(|_| message)
}

/// The registers of a stopped task.
pub(super) fn registers(pid: Pid) -> Result<libc::user_regs_struct, Errno> {
    // SAFETY: the structure is integers only, for which zeroes are valid.
    let mut registers: libc::user_regs_struct = unsafe { mem::zeroed() };
    // SAFETY: the request writes one such structure at the pointer, which is live.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGS, pid, 0, &raw mut registers) };
    Errno::result(result).map(|_| registers)
}

/// Sets the registers of a stopped task.
pub(super) fn set_registers(pid: Pid, registers: &libc::user_regs_struct) -> Result<(), Errno> {
    // SAFETY: the request reads one such structure at the pointer, which is live.
    let result = unsafe { libc::ptrace(libc::PTRACE_SETREGS, pid, 0, ptr::from_ref(registers)) };
    Errno::result(result).map(drop)
}

/// Whether `tid` is a thread of process `pid`: whether a signal could be sent to it as that.
pub(super) fn is_thread_of(pid: Pid, tid: Pid) -> bool {
    // SAFETY: signal 0 is only checked, never sent.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, 0) };
    result == 0 || Errno::last() == Errno::EPERM
}

/// Sends a signal to a process.
pub(super) fn kill(pid: Pid, signal: i32) {
    // SAFETY: the call touches no memory.
    let _gone_already = unsafe { libc::kill(pid, signal) };
}

/// Sends a signal to a thread of this process.
pub(super) fn kill_thread(tid: Pid, signal: i32) {
    // SAFETY: the call touches no memory.
    let pid = unsafe { libc::getpid() };
    // SAFETY: the call touches no memory.
    let _gone_already = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) };
}

/// The number of this thread.
pub(super) fn own_thread() -> Pid {
    // SAFETY: the call touches no memory and cannot fail.
    unsafe { libc::gettid() }
}

/// Reads memory of another process; short where it ends at an unmapped page.
pub(super) fn read_memory(pid: Pid, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    let address = usize::try_from(address).map_err(|_| Errno::EFAULT)?;
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: ptr::without_provenance_mut(address), iov_len: buffer.len() };
    // SAFETY: `local` describes a live, exclusively borrowed buffer; `remote` lies in the other process.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).map_err(|_| Errno::last())
}

/// `struct procmap_query` of `<linux/fs.h>`.
#[repr(C)]
#[derive(Debug, Default)]
struct ProcmapQuery {
    size: u64,
    query_flags: u64,
    query_addr: u64,
    vma_start: u64,
    vma_end: u64,
    vma_flags: u64,
    vma_page_size: u64,
    vma_offset: u64,
    inode: u64,
    dev_major: u32,
    dev_minor: u32,
    vma_name_size: u32,
    build_id_size: u32,
    vma_name_addr: u64,
    build_id_addr: u64,
}

/// `_IOWR('f', 17, struct procmap_query)`.
const PROCMAP_QUERY: libc::Ioctl =
    (3 << 30) | ((size_of::<ProcmapQuery>() as libc::Ioctl) << 16) | (0x66 << 8) | 17;
const VMA_EXECUTABLE: u64 = 0x04;
const COVERING_OR_NEXT: u64 = 0x10;
const FILE_BACKED: u64 = 0x20;

/// One mapping of a file in a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mapping {
    /// Where it starts.
    pub(super) start: u64,
    /// Where the next one could start.
    pub(super) end: u64,
    /// Where in the file it starts.
    pub(super) offset: u64,
    /// The device of the file, as `stat` has it.
    pub(super) device: u64,
    /// Its inode.
    pub(super) inode: u64,
    /// Whether it may be executed.
    pub(super) executable: bool,
    /// The file's path, with ` (deleted)` behind it where it has none any more.
    pub(super) path: String,
}

/// Asks for the mapping of a file that covers `address`, or the next one after it, through an open
/// `/proc/PID/maps`. `Ok(None)` when there is none, `ENOTTY` on kernels before 6.11.
pub(super) fn query_mapping(maps: &File, address: u64, executable: bool) -> Result<Option<Mapping>, Errno> {
    let mut name = [0_u8; 4096];
    let mut query = ProcmapQuery {
        size: size_of::<ProcmapQuery>() as u64,
        query_flags: COVERING_OR_NEXT | FILE_BACKED | if executable { VMA_EXECUTABLE } else { 0 },
        query_addr: address,
        vma_name_size: 4096,
        vma_name_addr: name.as_mut_ptr().expose_provenance() as u64,
        ..ProcmapQuery::default()
    };
    // SAFETY: the kernel writes the query, whose size it is told, and up to 4096 bytes at `name`;
    // both live until the end of this function. A file of another kind answers ENOTTY.
    let result = unsafe { libc::ioctl(maps.as_raw_fd(), PROCMAP_QUERY, &raw mut query) };
    match Errno::result(result) {
        Err(Errno::ENOENT) => return Ok(None),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let length = usize::try_from(query.vma_name_size).unwrap_or(0).saturating_sub(1).min(name.len());
    Ok(Some(Mapping {
        start: query.vma_start,
        end: query.vma_end,
        offset: query.vma_offset,
        device: libc::makedev(query.dev_major, query.dev_minor),
        inode: query.inode,
        executable: query.vma_flags & VMA_EXECUTABLE != 0,
        path: String::from_utf8_lossy(&name[..length]).into_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_are_told_apart() {
        let stopped = |signal: i32, event: i32| Status::decode((event << 16) | (signal << 8) | 0x7f);
        assert_eq!(stopped(libc::SIGTRAP, libc::PTRACE_EVENT_EXEC), Status::Stopped(Stop::Exec));
        assert_eq!(stopped(libc::SIGTRAP, libc::PTRACE_EVENT_STOP), Status::Stopped(Stop::Trap));
        assert_eq!(
            stopped(libc::SIGTSTP, libc::PTRACE_EVENT_STOP),
            Status::Stopped(Stop::Job(libc::SIGTSTP))
        );
        assert_eq!(stopped(libc::SIGTRAP | 0x80, 0), Status::Stopped(Stop::Call));
        assert_eq!(stopped(40, 0), Status::Stopped(Stop::Signal(40)));
        assert_eq!(Status::decode(3 << 8), Status::Gone(3 << 8));
        assert_eq!(Status::decode(libc::SIGKILL), Status::Gone(libc::SIGKILL));
    }

    #[test]
    fn the_query_has_the_layout_of_the_kernel() {
        assert_eq!(size_of::<ProcmapQuery>(), 104);
        assert_eq!(mem::offset_of!(ProcmapQuery, vma_name_size), 80);
        assert_eq!(PROCMAP_QUERY, 0xc068_6611);
    }

    #[test]
    fn own_memory_can_be_read() {
        let here = *b"callboard";
        let mut there = [0; 9];
        let pid = Pid::try_from(std::process::id()).unwrap();
        assert_eq!(read_memory(pid, here.as_ptr().expose_provenance() as u64, &mut there), Ok(9));
        assert_eq!(there, here);
    }
}
