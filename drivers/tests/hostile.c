/*
 * A driver that runs in a Linux process tries to get out of it: raw system calls, which no Windows kernel
 * would understand. Only for tests of a sandbox; every call must be refused.
 *
 *   hostile: NAME -> RESULT           refused, with a negative errno
 *   hostile: ESCAPED NAME -> RESULT   it was let through
 *   hostile: trying NAME              before the calls that do not return if they succeed
 *   hostile: done refused=N escaped=M
 *
 * No call does harm if it is let through: what would is made with arguments that the kernel finds
 * fault with after it has found the caller entitled, so an errno about the arguments is an escape as
 * well (PROBE). The others count as escaped when they succeed (TRY). Files go to /tmp/hostile-…
 */
#include "common.h"

static ULONG Refused, Escaped;

static LONG64 Call(LONG64 Number, LONG64 A, LONG64 B, LONG64 C, LONG64 D, LONG64 E, LONG64 F)
{
    register LONG64 r10 __asm__("r10") = D;
    register LONG64 r8 __asm__("r8") = E;
    register LONG64 r9 __asm__("r9") = F;
    LONG64 result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(Number), "D"(A), "S"(B), "d"(C), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}

/* For calls after which two of us may run: the new one ends at once, without touching the shared stack. */
static LONG64 CallAndEndChild(LONG64 Number, LONG64 A)
{
    LONG64 result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov $60, %%eax\n\t" /* exit(0) */
                     "xor %%edi, %%edi\n\t"
                     "syscall\n"
                     "1:"
                     : "=a"(result), "+D"(A)
                     : "a"(Number), "S"((LONG64)0), "d"((LONG64)0)
                     : "rcx", "r11", "r10", "r8", "memory");
    return result;
}

static VOID Report(PCSTR Name, BOOLEAN LetThrough, LONG64 Result)
{
    if (LetThrough)
        Escaped++;
    else
        Refused++;
    DbgPrint("hostile: %s%s -> %I64d\n", LetThrough ? "ESCAPED " : "", Name, Result);
}

static VOID Try(PCSTR Name, LONG64 Result)
{
    Report(Name, Result >= 0, Result);
}

/* Refused only by an errno that is about the caller: EPERM, EACCES, ENOSYS. */
static VOID Probe(PCSTR Name, LONG64 Result)
{
    Report(Name, Result != -1 && Result != -13 && Result != -38, Result);
}

#define P(x) ((LONG64)(ULONG_PTR)(x))
#define TRY(name, number, a, b, c, d, e, f) Try(name, Call(number, P(a), P(b), P(c), P(d), P(e), P(f)))
#define PROBE(name, number, a, b, c, d, e, f) Probe(name, Call(number, P(a), P(b), P(c), P(d), P(e), P(f)))

#define AT_FDCWD (-100)

static VOID TryFiles(VOID)
{
    static const struct {
        ULONG64 Flags, Mode, Resolve;
    } how = {0, 0, 0};
    TRY("open", 2, "/etc/passwd", 0, 0, 0, 0, 0);
    TRY("open-write", 2, "/tmp/hostile-file", 0x41, 0600, 0, 0, 0);
    TRY("openat", 257, AT_FDCWD, "/etc/passwd", 0, 0, 0, 0);
    TRY("openat-proc-self-mem", 257, AT_FDCWD, "/proc/self/mem", 2, 0, 0, 0);
    TRY("openat2", 437, AT_FDCWD, "/etc/passwd", &how, sizeof(how), 0, 0);
    TRY("creat", 85, "/tmp/hostile-file", 0600, 0, 0, 0, 0);
    TRY("mkdir", 83, "/tmp/hostile-directory", 0700, 0, 0, 0, 0);
    TRY("mknod", 133, "/tmp/hostile-pipe", 0010600, 0, 0, 0, 0);
    TRY("symlink", 88, "/etc/passwd", "/tmp/hostile-symlink", 0, 0, 0, 0);
    TRY("link", 86, "/etc/passwd", "/tmp/hostile-link", 0, 0, 0, 0);
    /* A test that makes the victim beforehand finds it unharmed. */
    TRY("truncate", 76, "/tmp/hostile-victim", 0, 0, 0, 0, 0);
    TRY("chmod", 90, "/tmp/hostile-victim", 0777, 0, 0, 0, 0);
    TRY("rename", 82, "/tmp/hostile-victim", "/tmp/hostile-renamed", 0, 0, 0, 0);
    TRY("unlink", 87, "/tmp/hostile-victim", 0, 0, 0, 0, 0);
    TRY("chdir", 80, "/", 0, 0, 0, 0, 0);
    TRY("memfd_create", 319, "hostile", 0, 0, 0, 0, 0);
}

static VOID TryNetwork(VOID)
{
    TRY("socket-inet", 41, 2, 1, 0, 0, 0, 0);
    TRY("socket-inet6", 41, 10, 2, 0, 0, 0, 0);
    TRY("socket-unix", 41, 1, 1, 0, 0, 0, 0);
    TRY("socket-netlink", 41, 16, 3, 0, 0, 0, 0);
    PROBE("io_uring_setup", 425, 1, 0, 0, 0, 0, 0);
}

static VOID TryProcesses(VOID)
{
    LONG64 parent = Call(110, 0, 0, 0, 0, 0, 0);
    CHAR byte = 0;
    struct {
        PVOID Base;
        SIZE_T Length;
    } local = {&byte, 1}, remote = {(PVOID)0x10000, 1};

    /* A parent outside our PID namespace shows as 0, which these calls take for ourselves: ask for 1. */
    if (parent <= 0)
        parent = 1;
    /* Signal 0 asks for permission only. */
    TRY("kill-parent", 62, parent, 0, 0, 0, 0, 0);
    TRY("tgkill-parent", 234, parent, parent, 0, 0, 0, 0);
    TRY("kill-all", 62, -1, 0, 0, 0, 0, 0);
    TRY("pidfd_open", 434, parent, 0, 0, 0, 0, 0);
    /* To attach would stop somebody, so peek at a process that we have not attached to: ESRCH if let through. */
    PROBE("ptrace", 101, 2, parent, 0x10000, &byte, 0, 0);
    PROBE("process_vm_readv", 310, parent, &local, 1, &remote, 1, 0);
    PROBE("process_vm_writev", 311, parent, &local, 1, &remote, 1, 0);
    Try("fork", CallAndEndChild(57, 0));
    Try("vfork", CallAndEndChild(58, 0));
    Try("clone", CallAndEndChild(56, 17)); /* SIGCHLD, no CLONE_THREAD: a process */
}

static VOID TryKernel(VOID)
{
    PROBE("mount", 165, "none", "", "tmpfs", 0, 0, 0);
    PROBE("umount", 166, "", 0, 0, 0, 0, 0);
    TRY("unshare", 272, 0, 0, 0, 0, 0, 0);
    PROBE("setns", 308, -1, 0, 0, 0, 0, 0);
    PROBE("chroot", 161, "", 0, 0, 0, 0, 0);
    PROBE("bpf", 321, -1, 0, 0, 0, 0, 0);
    PROBE("perf_event_open", 298, 0, 0, -1, -1, 0, 0);
    TRY("userfaultfd", 323, 0, 0, 0, 0, 0, 0);
    PROBE("add_key", 248, 0, 0, 0, 0, 0, 0);
}

static VOID TryPrograms(VOID)
{
    static const PCSTR path = "/bin/true";
    PCSTR arguments[2] = {path, NULL};
    DbgPrint("hostile: trying execve\n");
    TRY("execve", 59, path, arguments, arguments + 1, 0, 0, 0);
    DbgPrint("hostile: trying execveat\n");
    TRY("execveat", 322, AT_FDCWD, path, arguments, arguments + 1, 0, 0);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    TryFiles();
    TryNetwork();
    TryProcesses();
    TryKernel();
    TryPrograms();
    DbgPrint("hostile: done refused=%u escaped=%u\n", Refused, Escaped);
    return STATUS_SUCCESS;
}
