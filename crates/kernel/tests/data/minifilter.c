// A minifilter as small as one can be that still does what real ones do: it registers, attaches, opens a
// communication port, names the image of every process that is created, and takes all of it back when it is unloaded.
// The test of this crate loads it and reads what it prints. See README.md for how it is built.

typedef unsigned long long u64;
typedef long long i64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;
typedef int NTSTATUS;

#define IMPORT __declspec(dllimport)

typedef struct {
    u16 length, maximum;
    const u16 *buffer;
} STRING;
typedef struct {
    u16 size, version;
    u32 flags;
    void *contexts, *operations;
    NTSTATUS (*unload)(u32 flags);
    NTSTATUS (*setup)(void *objects, u32 flags, u32 device, u32 file_system);
    void *others[9];
} REGISTRATION;
typedef struct {
    u32 length;
    void *root;
    STRING *name;
    u32 attributes;
    void *descriptor, *quality;
} ATTRIBUTES;
typedef struct {
    u16 size, parsed;
    u32 format;
    STRING name, volume, share, extension, stream, final, parent;
} NAME;
typedef struct {
    u64 size;
    u32 flags;
    void *parent;
    u64 creator[2];
    void *file;
    STRING *image, *command;
    NTSTATUS status;
} CREATION;

IMPORT NTSTATUS FltRegisterFilter(void *driver, const REGISTRATION *registration, void **filter);
IMPORT NTSTATUS FltStartFiltering(void *filter);
IMPORT void FltUnregisterFilter(void *filter);
IMPORT NTSTATUS FltBuildDefaultSecurityDescriptor(void **descriptor, u32 access);
IMPORT void FltFreeSecurityDescriptor(void *descriptor);
IMPORT NTSTATUS FltCreateCommunicationPort(void *filter, void **port, ATTRIBUTES *attributes, void *cookie, void *connect,
                                           void *disconnect, void *message, int most);
IMPORT void FltCloseCommunicationPort(void *port);
IMPORT NTSTATUS FltSendMessage(void *filter, void **port, const void *message, u32 bytes, void *reply, u32 *reply_bytes,
                               i64 *timeout);
IMPORT NTSTATUS FltGetFileNameInformationUnsafe(void *file, void *instance, u32 options, NAME **name);
IMPORT NTSTATUS FltParseFileNameInformation(NAME *name);
IMPORT void FltReleaseFileNameInformation(NAME *name);
IMPORT NTSTATUS PsSetCreateProcessNotifyRoutineEx(void *routine, u8 remove);
IMPORT u32 DbgPrint(const char *format, ...);

static void *filter, *port, *client;

static NTSTATUS setup(void *objects, u32 flags, u32 device, u32 file_system) {
    DbgPrint("attach to device type %u, file system type %u\n", device, file_system);
    return 0;
}

static NTSTATUS connect(void *client_port, void *cookie, void *context, u32 bytes, void **client_cookie) {
    client = client_port;
    return 0;
}

static void disconnect(void *client_cookie) {}

static void created(void *process, u64 id, CREATION *creation) {
    NAME *name;
    i64 timeout = -10000;
    NTSTATUS status;
    if (!creation)
        return;
    status = FltGetFileNameInformationUnsafe(creation->file, 0, 0x101, &name);
    if (status) {
        DbgPrint("no name: %x\n", status);
        return;
    }
    FltParseFileNameInformation(name);
    DbgPrint("%wZ in %wZ on %wZ\n", &name->final, &name->parent, &name->volume);
    FltReleaseFileNameInformation(name);
    DbgPrint("message: %x\n", FltSendMessage(filter, &client, "x", 1, 0, 0, &timeout));
}

static NTSTATUS unload(u32 flags) {
    DbgPrint("unload, flags %u\n", flags);
    PsSetCreateProcessNotifyRoutineEx(created, 1);
    FltCloseCommunicationPort(port);
    FltUnregisterFilter(filter);
    return 0;
}

NTSTATUS DriverEntry(void *driver, STRING *key) {
    static const u16 text[] = u"\\MinifilterPort";
    STRING name = {sizeof text - 2, sizeof text, text};
    ATTRIBUTES attributes = {sizeof attributes, 0, &name, 0x240, 0, 0};
    REGISTRATION registration = {sizeof registration, 0x203, 0, 0, 0, unload, setup};
    void *descriptor;
    NTSTATUS status = FltRegisterFilter(driver, &registration, &filter);
    if (status)
        return status;
    status = FltBuildDefaultSecurityDescriptor(&descriptor, 0x1f0001);
    if (!status) {
        attributes.descriptor = descriptor;
        status = FltCreateCommunicationPort(filter, &port, &attributes, 0, connect, disconnect, 0, 1);
        FltFreeSecurityDescriptor(descriptor);
    }
    if (!status)
        status = FltStartFiltering(filter);
    if (!status)
        status = PsSetCreateProcessNotifyRoutineEx(created, 0);
    if (status) {
        if (port)
            FltCloseCommunicationPort(port);
        FltUnregisterFilter(filter);
    }
    return status;
}
