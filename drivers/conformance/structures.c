/*
 * Conformance of what routines are given: structures, names, prototypes, and refusal through CreationStatus.
 *
 * The program starts processes whose images have these names; each ends with exit status 42 where it may run.
 *
 *   conformance-plain.exe     with a command line; conformance-*.dll are mapped into it
 *   conformance-refuse.exe    refused by the first routine with STATUS_ACCESS_DENIED
 *   conformance-own.exe       refused by it with a status of its own making
 *   conformance-two.exe       refused by the first and, with another status, by the last routine
 *   conformance-relent.exe    refused by the first routine, allowed by the last
 *   conformance-warn.exe      given a warning status
 *   conformance-inform.exe    given an informational status
 *   conformance-spoofed.exe   with an explicit parent, another process than its creator
 *   conformance-quiet.exe     without a command line
 *   conformance-MiXeD.exe     written like this, as is conformance-MiXeD.dll
 *   conformance-section.exe   made from a section (NtCreateProcessEx)
 *   conformance-pico          a process of WSL 1
 */
#define SUITE "structures"
#define SUITE_DEVICE L"ConformanceStructures"
#include "conformance.h"

NTKERNELAPI NTSTATUS NTAPI ObOpenObjectByPointer(PVOID Object, ULONG Attributes, PVOID State, ACCESS_MASK Access,
                                                 POBJECT_TYPE Type, KPROCESSOR_MODE Mode, PHANDLE Handle);
NTKERNELAPI PVOID NTAPI PsReferencePrimaryToken(PEPROCESS Process);
NTKERNELAPI VOID NTAPI PsDereferencePrimaryToken(PVOID Token);
NTKERNELAPI LONGLONG NTAPI PsGetProcessCreateTimeQuadPart(PEPROCESS Process);

/* STATUS_ACCESS_DISABLED_NO_SAFER_UI_BY_POLICY, and one of nobody's. */
#define NO_SAFER ((NTSTATUS)0xC0000372)
#define OWN ((NTSTATUS)0xE0C0FFEE)
#define WARNING ((NTSTATUS)0x80000011)
#define INFORMATION ((NTSTATUS)0x40000003)
#define EXIT_STATUS 42

/* IO_TYPE_FILE */
#define FILE_TYPE 5

typedef enum _CASE { Plain, Refuse, OwnStatus, Two, Relent, Warn, Inform, Spoofed, Quiet, Mixed, Section, Pico, CASES } CASE;

static const struct {
    PCWSTR Image;
    PCSTR Ids;  /* what is not checked without it */
    PCSTR Name;
} Cases[CASES] = {
    {L"\\conformance-plain.exe", "R-PCI-02,R-II-01", "conformance-plain.exe was not started"},
    {L"\\conformance-refuse.exe", "R-VETO-02,R-VETO-04", "conformance-refuse.exe was not started"},
    {L"\\conformance-own.exe", "R-VETO-03", "conformance-own.exe was not started"},
    {L"\\conformance-two.exe", "R-VETO-05", "conformance-two.exe was not started"},
    {L"\\conformance-relent.exe", "R-VETO-05", "conformance-relent.exe was not started"},
    {L"\\conformance-warn.exe", "R-VETO-03", "conformance-warn.exe was not started"},
    {L"\\conformance-inform.exe", "R-VETO-03", "conformance-inform.exe was not started"},
    {L"\\conformance-spoofed.exe", "R-PCI-05", "conformance-spoofed.exe was not started"},
    {L"\\conformance-quiet.exe", "R-PCI-04", "conformance-quiet.exe was not started"},
    {L"\\conformance-mixed.exe", "R-FN-07", "conformance-MiXeD.exe was not started"},
    {L"\\conformance-section.exe", "R-PCI-02", "conformance-section.exe was not started"},
    {L"/conformance-pico", "R-PCI-08,R-PCI-09", "conformance-pico was not started"},
};

/* The routines for processes, in the order of their slots. */
enum { First, Second, Third, Last, ROUTINES };

/* What was seen of one process. */
typedef struct _RECORD {
    HANDLE Pid, Parent;
    CASE Case;
    ULONG Created[ROUTINES], Exited[ROUTINES];
    NTSTATUS Left; /* CreationStatus when the last routine returned */
    ULONG Threads, Images;
    PVOID Info; /* of the image that is being told, as the first image routine got it */
} RECORD;

#define MOST 256
static RECORD Records[MOST];
static ULONG Used;
static FAST_MUTEX Lock; /* guards the list of records; a record's fields belong to its process's own events */
static SET_PROCESS_EX2 SetProcessEx2;
static NTSTATUS(NTAPI *QueryProcess)(HANDLE Process, ULONG Class, PVOID Buffer, ULONG Bytes, PULONG Returned);
static POBJECT_TYPE ProcessType; /* *PsProcessType; headers disagree on how that is imported */
static SET_IMAGE_EX SetImageEx;
static ULONG Partial, Signed, Foreign, Nameless, Kernel;

/* The record of a process that has not ended. */
static RECORD *Find(HANDLE Pid)
{
    RECORD *found = NULL;
    ExAcquireFastMutex(&Lock);
    for (ULONG i = 0; i < Used; i++)
        if (Records[i].Pid == Pid && Records[i].Exited[Last] == 0)
            found = &Records[i];
    ExReleaseFastMutex(&Lock);
    return found;
}

static RECORD *Add(HANDLE Pid, CASE Case)
{
    RECORD *made = NULL;
    ExAcquireFastMutex(&Lock);
    if (Used < MOST) {
        made = &Records[Used++];
        made->Pid = Pid;
        made->Case = Case;
    }
    ExReleaseFastMutex(&Lock);
    return made;
}

static CASE CaseOf(PCUNICODE_STRING Name)
{
    CASE at = 0;
    while (at < CASES && !EndsWith(Name, Cases[at].Image))
        at++;
    return at;
}

/* Whether a name begins so, in this case of letters or another. `Prefix` is in lower case. */
static BOOLEAN BeginsWith(PCUNICODE_STRING Name, PCWSTR Prefix)
{
    USHORT units = Name->Length / sizeof(WCHAR);
    for (USHORT i = 0; Prefix[i] != 0; i++)
        if (i >= units || Lower(Name->Buffer[i]) != Prefix[i])
            return FALSE;
    return TRUE;
}

/* Whether a name ends so, letter by letter. */
static BOOLEAN EndsExactly(PCUNICODE_STRING Name, PCWSTR Suffix)
{
    USHORT length = 0, units = Name->Length / sizeof(WCHAR);
    while (Suffix[length] != 0)
        length++;
    for (USHORT i = 0; i < length; i++)
        if (units < length || Name->Buffer[units - length + i] != Suffix[i])
            return FALSE;
    return TRUE;
}

static BOOLEAN Counted(PCUNICODE_STRING String)
{
    return String->Buffer != NULL && String->Length % 2 == 0 && String->Length <= String->MaximumLength;
}

/* A field by its offset, whatever a header says. */
#define AT(Type, Base, Offset) (*(volatile Type *)((PUCHAR)(Base) + (Offset)))

C_ASSERT(sizeof(PS_CREATE_NOTIFY_INFO) == 0x48);
C_ASSERT(sizeof(IMAGE_INFO) == 0x28);
C_ASSERT(sizeof(IMAGE_INFO_EX) == 0x38);

/* ---- Processes ---- */

static BOOLEAN IsFile(PVOID FileObject)
{
    return FileObject != NULL && AT(SHORT, FileObject, 0) == FILE_TYPE;
}

/* PS_CREATE_NOTIFY_INFO, field by field, as the first routine finds it. */
static VOID CheckInfo(RECORD *Record, PPS_CREATE_NOTIFY_INFO Info)
{
    PCUNICODE_STRING image = AT(PCUNICODE_STRING, Info, 0x30), command = AT(PCUNICODE_STRING, Info, 0x38);
    BOOLEAN open = Record->Case != Section;

    equal("R-CB-01", AT(SIZE_T, Info, 0x00), 0x48, "Size is that of the structure");
    equal("R-PCI-02", AT(ULONG, Info, 0x08) & 1, open, "FileOpenNameAvailable, unless it was made from a section");
    equal("R-PCI-08", AT(ULONG, Info, 0x08) & 2, 0, "IsSubsystemProcess is never set for the Ex form");
    equal("R-CB-01", AT(ULONG, Info, 0x08) & ~3u, 0, "reserved flags are 0");
    ok("R-PCI-07", AT(HANDLE, Info, 0x10) != NULL, "C6: ParentProcessId is set");
    ok("R-PCI-05", AT(HANDLE, Info, 0x10) != Record->Pid, "ParentProcessId is another process");
    if (Record->Case == Spoofed)
        ok("R-PCI-05", AT(HANDLE, Info, 0x10) != AT(HANDLE, Info, 0x18), "an explicit parent need not be the creator");
    else
        equal("R-PCI-05", AT(HANDLE, Info, 0x10), AT(HANDLE, Info, 0x18), "without an explicit parent the creator is it");
    equal("R-PCI-06", AT(HANDLE, Info, 0x18), PsGetCurrentProcessId(), "CreatingThreadId.UniqueProcess is who runs");
    equal("R-PCI-06", AT(HANDLE, Info, 0x20), PsGetCurrentThreadId(), "CreatingThreadId.UniqueThread is who runs");
    ok("R-II-04", IsFile(AT(PVOID, Info, 0x28)), "FileObject is a file object");
    ok("R-CB-01", image != NULL && Counted(image) && image->Length != 0, "ImageFileName is a counted string");
    if (image != NULL && open)
        ok("R-PCI-03", BeginsWith(image, L"\\??\\"), "the open name has the NT-DOS form");
    else if (image != NULL)
        ok("R-PCI-03", BeginsWith(image, L"\\") && !BeginsWith(image, L"\\??\\"), "without it a path from a file object");
    if (Record->Case == Quiet) {
        equal("R-PCI-04", command, NULL, "CommandLine is NULL where there is none");
    } else if (ok("R-PCI-04", command != NULL, "CommandLine is given")) {
        ok("R-PCI-04", Counted(command) && command->Length != 0, "CommandLine is a counted string");
    }
    status("R-VETO-01", AT(NTSTATUS, Info, 0x40), STATUS_SUCCESS, "CreationStatus is success when the first is called");
}

/* ProcessSubsystemInformation: 0 is Win32, 1 is WSL. */
static VOID CheckSubsystem(PEPROCESS Process, ULONG Expected)
{
    ULONG subsystem = ~0u;
    HANDLE handle;
    NTSTATUS result;

    if (Build < BUILD_1703 || QueryProcess == NULL)
        return;
    if (!NT_SUCCESS(ObOpenObjectByPointer(Process, OBJ_KERNEL_HANDLE, NULL, 0x1000, ProcessType, KernelMode, &handle)))
        return;
    result = QueryProcess(handle, 75, &subsystem, sizeof(subsystem), NULL);
    ZwClose(handle);
    status("R-PCI-10", result, STATUS_SUCCESS, "a process's subsystem can be asked for");
    equal("R-PCI-10", subsystem, Expected, "and is that of the process");
}

/* What a routine may do with the process that it is told of. */
static VOID CheckObject(PEPROCESS Process, HANDLE Pid, BOOLEAN Created)
{
    PEPROCESS found = NULL;
    HANDLE handle = NULL;
    PVOID token;
    NTSTATUS result;

    equal("R-CB-02", ID(Pid) % 4, 0, "a process id is a multiple of 4");
    equal("R-CB-02", ID(Pid) >> 32, 0, "a process id is zero-extended");
    equal("R-CB-03", PsGetProcessId(Process), Pid, "the process is that of the id");
    result = PsLookupProcessByProcessId(Pid, &found);
    status(Created ? "R-CB-04" : "R-EXIT-06", result, STATUS_SUCCESS, "the id can be looked up");
    if (NT_SUCCESS(result)) {
        equal(Created ? "R-CB-04" : "R-EXIT-06", found, Process, "the lookup gives the same process");
        ObDereferenceObject(found);
    }
    result = ObOpenObjectByPointer(Process, OBJ_KERNEL_HANDLE, NULL, 0, ProcessType, KernelMode, &handle);
    status("R-CB-03", result, STATUS_SUCCESS, "the process can be opened by its pointer");
    if (NT_SUCCESS(result))
        ZwClose(handle);
    token = PsReferencePrimaryToken(Process);
    if (ok("R-CB-03", token != NULL, "the process has a primary token"))
        PsDereferencePrimaryToken(token);
    ok("R-CB-03", PsGetProcessCreateTimeQuadPart(Process) != 0, "the process has a create time");
    if (Created)
        CheckSubsystem(Process, 0);
    if (Created)
        status("R-CB-03", PsGetProcessExitStatus(Process), STATUS_PENDING, "its exit status is pending");
}

static VOID Refused(CASE Case, PPS_CREATE_NOTIFY_INFO Info)
{
    switch (Case) {
    case Refuse:
    case Two:
    case Relent:
        Info->CreationStatus = STATUS_ACCESS_DENIED;
        break;
    case OwnStatus:
        Info->CreationStatus = OWN;
        break;
    case Warn:
        Info->CreationStatus = WARNING;
        break;
    case Inform:
        Info->CreationStatus = INFORMATION;
        break;
    default:
        break;
    }
}

/* What the first routine left in CreationStatus. */
static NTSTATUS AfterFirst(CASE Case)
{
    PS_CREATE_NOTIFY_INFO info = {0};
    Refused(Case, &info);
    return info.CreationStatus;
}

/* What process exit tells of a process. */
static VOID CheckExit(RECORD *Record, PEPROCESS Process)
{
    NTSTATUS expected = EXIT_STATUS;
    if (Record->Left == WARNING)
        return;
    if (!NT_SUCCESS(Record->Left))
        expected = Record->Left;
    status(NT_SUCCESS(Record->Left) ? "R-EXIT-02" : "R-VETO-07,R-VETO-03,R-VETO-05", PsGetProcessExitStatus(Process), expected,
           NT_SUCCESS(Record->Left) ? "the exit status is final in the exit routine"
                                    : "a refused process exits with the status it was refused with");
}

static VOID NTAPI OnFirst(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)
{
    RECORD *record;
    CASE found;

    if (Info == NULL) {
        record = Find(ProcessId);
        if (record == NULL)
            return;
        record->Exited[First]++;
        CheckObject(Process, ProcessId, FALSE);
        CheckExit(record, Process);
        return;
    }
    found = CaseOf(Info->ImageFileName);
    if (found == CASES)
        return;
    if (found == Pico) {
        ok("R-PCI-09", FALSE, "the Ex form is not told of a pico process");
        return;
    }
    record = Add(ProcessId, found);
    if (record == NULL)
        return;
    record->Created[First]++;
    record->Parent = Info->ParentProcessId;
    CheckInfo(record, Info);
    if (found == Mixed && Info->CommandLine != NULL) {
        ok("R-FN-07", EndsExactly(Info->ImageFileName, L"\\conformance-MiXeD.exe"), "ImageFileName keeps the case of its letters");
        ok("R-FN-07", EndsExactly(Info->CommandLine, L"\\conformance-MiXeD.exe\""), "and CommandLine does");
    }
    CheckObject(Process, ProcessId, TRUE);
    Refused(found, Info);
}

static VOID NTAPI OnSecond(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)
{
    RECORD *record;

    if (Info != NULL && CaseOf(Info->ImageFileName) == Pico) {
        record = Add(ProcessId, Pico);
        if (record == NULL)
            return;
        equal("R-PCI-08,R-PCI-09", AT(ULONG, Info, 0x08) & 2, 2, "the Ex2 form is told of a pico process: IsSubsystemProcess");
        CheckSubsystem(Process, 1);
        record->Created[First] = record->Created[Second] = record->Created[Last] = 1;
        return;
    }
    record = Find(ProcessId);
    if (record == NULL)
        return;
    if (Info == NULL) {
        record->Exited[Second]++;
        if (record->Case == Pico)
            record->Exited[First] = record->Exited[Last] = 1;
        return;
    }
    record->Created[Second]++;
    equal("R-PCI-08", AT(ULONG, Info, 0x08) & 2, 0, "IsSubsystemProcess is not set for a Win32 process");
    status("R-VETO-04,R-VETO-05", Info->CreationStatus, AfterFirst(record->Case),
           "a later routine is called after a refusal, and sees it");
}

static VOID NTAPI OnThird(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    RECORD *record = Find(ProcessId);
    if (record == NULL)
        return;
    if (record->Case == Pico) {
        ok("R-PCI-09", FALSE, "the plain form is not told of a pico process");
        return;
    }
    equal(Create ? "R-CB-01" : "R-CB-05", ParentId, record->Parent,
          Create ? "the plain form gets the parent's id" : "the plain form gets the parent's id at exit too");
    ok("R-CB-01", Create == TRUE || Create == FALSE, "Create is a BOOLEAN");
    if (Create)
        record->Created[Third]++;
    else
        record->Exited[Third]++;
}

static VOID NTAPI OnLast(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO Info)
{
    RECORD *record = Find(ProcessId);
    UNREFERENCED_PARAMETER(Process);
    if (record == NULL)
        return;
    if (Info == NULL) {
        record->Exited[Last]++;
        return;
    }
    if (record->Case == Pico) {
        ok("R-PCI-09", FALSE, "the Ex form is not told of a pico process");
        return;
    }
    record->Created[Last]++;
    status("R-VETO-04", Info->CreationStatus, AfterFirst(record->Case), "the last routine sees the refusal as well");
    if (record->Case == Relent)
        Info->CreationStatus = STATUS_SUCCESS;
    if (record->Case == Two)
        Info->CreationStatus = NO_SAFER;
    record->Left = Info->CreationStatus;
}

static VOID NTAPI OnThread(HANDLE ProcessId, HANDLE ThreadId, BOOLEAN Create)
{
    RECORD *record = Find(ProcessId);
    PETHREAD thread = NULL;
    NTSTATUS result;

    if (record == NULL)
        return;
    ok("R-CB-01", Create == TRUE || Create == FALSE, "Create is a BOOLEAN");
    if (Create)
        record->Threads++;
    equal("R-CB-02", ID(ThreadId) % 4, 0, "a thread id is a multiple of 4");
    equal("R-CB-02", ID(ThreadId) >> 32, 0, "a thread id is zero-extended");
    result = PsLookupThreadByThreadId(ThreadId, &thread);
    status("R-CB-04", result, STATUS_SUCCESS, "a thread can be looked up when it is created and when it exits");
    if (NT_SUCCESS(result))
        ObDereferenceObject(thread);
}

/* ---- Images ---- */

static VOID CheckName(PUNICODE_STRING Name, BOOLEAN Executable)
{
    if (!ok("R-FN-08,S-IMGCB-5", Counted(Name), "FullImageName is a counted string"))
        return;
    if (Name->MaximumLength > Name->Length)
        todo("R-FN-08", Name->Buffer[Name->Length / 2] == 0, "a NUL follows FullImageName where there is room for it");
    if (Executable)
        ok("R-FN-04", BeginsWith(Name, L"\\device\\"), "the main executable has a device path");
    else if (EndsWith(Name, L"\\system32\\ntdll.dll") && Build >= BUILD_10)
        ok("R-FN-02", BeginsWith(Name, L"\\device\\"), "ntdll has its device path since Windows 10");
    else if (EndsWith(Name, L"\\system32\\ntdll.dll"))
        ok("R-FN-02", BeginsWith(Name, L"\\systemroot\\system32\\ntdll.dll"), "ntdll has its fixed name before Windows 10");
    else if (Build >= BUILD_10)
        ok("R-FN-03", BeginsWith(Name, L"\\device\\"), "a DLL has a device path since Windows 10");
    else
        ok("R-FN-03", BeginsWith(Name, L"\\") && !BeginsWith(Name, L"\\device\\"),
           "a DLL has a path without a volume before Windows 10");
}

/* IMAGE_INFO and what is around it, field by field. */
static VOID CheckImage(PUNICODE_STRING Name, HANDLE ProcessId, PIMAGE_INFO Info)
{
    ULONG properties = AT(ULONG, Info, 0x00), level = properties >> 12 & 15, type = properties >> 16 & 7;
    BOOLEAN partial = EndsWith(Name, L"\\conformance-partial.dll"), signature = EndsWith(Name, L"\\conformance-signed.dll");

    equal("R-II-01,S-IMGCB-9", properties & 0xFF, 3, "ImageAddressingMode is IMAGE_ADDRESSING_MODE_32BIT");
    equal("R-IMG-01,S-IMGCB-8", properties >> 8 & 1, ProcessId == NULL, "SystemModeImage is of kernel images alone");
    equal("R-II-01", properties >> 9 & 1, 0, "ImageMappedToAllPids is 0");
    equal("R-II-01,S-IMGCB-20", properties >> 10 & 1, 1, "ExtendedInfoPresent");
    equal("R-II-01", properties >> 11 & 1, 0, "MachineTypeMismatch is 0");
    equal("R-II-01", properties >> 20, 0, "reserved bits are 0");
    if (Build < BUILD_81)
        equal("R-II-02,R-II-01", properties >> 12 & 0x7F, 0, "no signature before Windows 8.1");
    else if (signature) {
        if (Signed++ == 0) {
            Say("conformance: note signing-level %u", level);
            Say("conformance: note signature-type %u", type);
        }
        ok("R-II-02", level != 0 && type != 0, "a signed image has a signing level and a type of signature");
    }
    if (Build < BUILD_10)
        equal("R-II-01", properties >> 19 & 1, 0, "no ImagePartialMap before Windows 10");
    else
        equal("R-II-01", properties >> 19 & 1, partial, "ImagePartialMap");
    Partial += partial;
    equal("R-II-01", (ULONG_PTR)AT(PVOID, Info, 0x08) & (PAGE_SIZE - 1), 0, "ImageBase is where a page begins");
    ok("R-II-01", AT(PVOID, Info, 0x08) != NULL, "ImageBase is given");
    equal("R-II-01", AT(ULONG, Info, 0x10), 0, "ImageSelector is 0");
    ok("R-II-01", AT(SIZE_T, Info, 0x18) != 0, "ImageSize is given");
    equal("R-II-01", AT(ULONG, Info, 0x20), 0, "ImageSectionNumber is 0");
    equal("R-II-03,S-IMGCB-20", AT(SIZE_T, Info, -8), 0x38, "8 bytes before is Size, of IMAGE_INFO_EX");
    if (Name != NULL)
        ok("R-II-03,R-II-04,S-IMGCB-20", IsFile(AT(PVOID, Info, 0x28)), "0x28 bytes on is FileObject, a file object");
}

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO Info)
{
    RECORD *record;

    if (ProcessId == NULL) {
        Kernel++;
        ok("R-IMG-01,S-IMGCB-2,S-IMGCB-8", TRUE, "a driver's image is told, with ProcessId 0");
        CheckImage(FullImageName, ProcessId, Info);
        if (EndsWith(FullImageName, L"\\conformance-kernel.sys"))
            ok("R-FN-07", EndsExactly(FullImageName, L"\\Conformance-Kernel.SYS"), "a kernel image's name keeps the case of its letters");
        if (FullImageName != NULL)
            ok("R-FN-06", BeginsWith(FullImageName, L"\\systemroot\\") || BeginsWith(FullImageName, L"\\??\\"),
               "a kernel image has the name it was loaded by");
        return;
    }
    record = Find(ProcessId);
    if (record == NULL || record->Case == Pico)
        return;
    record->Info = Info;
    record->Images++;
    if (EndsWith(FullImageName, L"\\conformance-foreign.dll")) {
        ok("R-WOW-03", FALSE, "only routines with the flag are told of images of a conflicting architecture");
        return;
    }
    if (FullImageName == NULL) {
        Nameless++;
        ok("R-FN-01,S-IMGCB-6", TRUE, "an image whose name is not known is told with NULL");
    }
    CheckImage(FullImageName, ProcessId, Info);
    if (record->Case == Mixed && record->Images == 1 && FullImageName != NULL)
        ok("R-FN-07", EndsExactly(FullImageName, L"\\conformance-MiXeD.exe"), "an executable's FullImageName keeps the case of its letters");
    if (EndsWith(FullImageName, L"\\conformance-mixed.dll"))
        ok("R-FN-07", EndsExactly(FullImageName, L"\\conformance-MiXeD.dll"), "and a DLL's does");
    if (FullImageName != NULL)
        CheckName(FullImageName, record->Images == 1);
}

static VOID NTAPI OnImageToo(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO Info)
{
    RECORD *record = ProcessId == NULL ? NULL : Find(ProcessId);
    if (record == NULL || record->Case == Pico)
        return;
    if (EndsWith(FullImageName, L"\\conformance-foreign.dll")) {
        Foreign++;
        equal("R-WOW-03,S-IMGEX-3", Info->Properties >> 11 & 1, 1, "C12: such an image has MachineTypeMismatch");
        return;
    }
    equal(SetImageEx != NULL ? "R-II-05,S-IMGEX-1" : "R-II-05", Info, record->Info, "each routine gets the same structure");
}

/* ---- The suite ---- */

/* What must have been so of a process that came and went. */
static VOID CheckRecord(RECORD *Record)
{
    BOOLEAN refused = !NT_SUCCESS(Record->Left);
    for (ULONG i = 0; i < ROUTINES; i++) {
        ULONG expected = Record->Case == Pico && i == Third ? 0 : 1;
        equal("R-ORD-06,R-VETO-04,S-PROCEX-2", Record->Created[i], expected, "one call for the creation, of each routine");
        equal("R-ORD-06,R-VETO-07,R-VETO-11,S-PROCEX-10", Record->Exited[i], expected, "one call for the exit, of each routine");
    }
    if (Record->Case == Pico) {
        equal("R-PCI-09", Record->Created[Third] + Record->Exited[Third], 0, "the plain form is not told of a pico process");
        return;
    }
    if (Record->Case == Warn) {
        todo("R-VETO-03", Record->Images == 0, "a warning status refuses");
    } else if (refused) {
        equal("R-VETO-08", Record->Images, 0, "a refused process maps no image for itself");
        todo("R-VETO-09", Record->Threads != 0, "C13: the first thread of a refused process is announced");
    } else {
        ok("R-VETO-03,R-VETO-05", Record->Images >= 2, "a process that was not refused runs");
        ok("R-ORD-01", Record->Threads != 0, "its first thread is announced");
    }
}

static NTSTATUS SuiteStart(PDRIVER_OBJECT DriverObject)
{
    NTSTATUS result;
    UNREFERENCED_PARAMETER(DriverObject);
    ExInitializeFastMutex(&Lock);
    ProcessType = *(POBJECT_TYPE *)Resolve(L"PsProcessType");
    QueryProcess = (PVOID)Resolve(L"ZwQueryInformationProcess");
    SetProcessEx2 = (SET_PROCESS_EX2)Resolve(L"PsSetCreateProcessNotifyRoutineEx2");
    SetImageEx = (SET_IMAGE_EX)Resolve(L"PsSetLoadImageNotifyRoutineEx");
    result = PsSetCreateProcessNotifyRoutineEx(OnFirst, FALSE);
    if (NT_SUCCESS(result))
        result = SetProcessEx2 != NULL ? SetProcessEx2(PROCESS_SUBSYSTEMS, (PVOID)OnSecond, FALSE)
                                       : PsSetCreateProcessNotifyRoutineEx(OnSecond, FALSE);
    if (NT_SUCCESS(result))
        result = PsSetCreateProcessNotifyRoutine(OnThird, FALSE);
    if (NT_SUCCESS(result))
        result = PsSetCreateProcessNotifyRoutineEx(OnLast, FALSE);
    if (NT_SUCCESS(result))
        result = PsSetCreateThreadNotifyRoutine(OnThread);
    if (NT_SUCCESS(result))
        result = PsSetLoadImageNotifyRoutine(OnImage);
    if (NT_SUCCESS(result) && SetImageEx != NULL)
        result = SetImageEx(OnImageToo, IMAGE_CONFLICTING);
    else if (NT_SUCCESS(result))
        result = PsSetLoadImageNotifyRoutine(OnImageToo);
    if (!NT_SUCCESS(result))
        SuiteStop();
    return result;
}

static VOID SuitePhase(ULONG Phase)
{
    UNREFERENCED_PARAMETER(Phase);
}

static VOID SuiteStop(VOID)
{
    ULONG seen[CASES] = {0};

    PsRemoveLoadImageNotifyRoutine(OnImageToo);
    PsRemoveLoadImageNotifyRoutine(OnImage);
    PsRemoveCreateThreadNotifyRoutine(OnThread);
    PsSetCreateProcessNotifyRoutineEx(OnLast, TRUE);
    PsSetCreateProcessNotifyRoutine(OnThird, TRUE);
    if (SetProcessEx2 != NULL)
        SetProcessEx2(PROCESS_SUBSYSTEMS, (PVOID)OnSecond, TRUE);
    else
        PsSetCreateProcessNotifyRoutineEx(OnSecond, TRUE);
    PsSetCreateProcessNotifyRoutineEx(OnFirst, TRUE);

    for (ULONG i = 0; i < Used; i++) {
        seen[Records[i].Case]++;
        CheckRecord(&Records[i]);
    }
    for (CASE at = 0; at < CASES; at++)
        if (seen[at] == 0 && (at != Pico || SetProcessEx2 != NULL))
            skip(Cases[at].Ids, Cases[at].Name);
    if (Partial == 0)
        skip("R-II-01", "conformance-partial.dll was not mapped");
    if (Signed == 0 && Build >= BUILD_81)
        skip("R-II-02", "conformance-signed.dll was not mapped");
    if (Foreign == 0 && SetImageEx != NULL)
        skip("R-WOW-03", "conformance-foreign.dll was not mapped");
    if (Nameless == 0)
        skip("R-FN-01", "no image without a name was mapped");
    if (Kernel == 0)
        skip("R-IMG-01,R-FN-06", "no kernel image was loaded");
    skip("R-PCI-01", "what is kept from a call must not be read after it");
    skip("R-VETO-10", "the structure must not be written to after the call");
    skip("R-FN-05", "a name gone stale is the file system's doing");
    skip("R-II-06", "no Windows that this driver runs on has the older layout");
}
