/* Which of a driver's deeds is asked for: the REG_SZ Mode in the Parameters key of its service. */
#ifndef MODE_H
#define MODE_H

#include "../tests/common.h"

static WCHAR ModeText[64];

/* Reads Mode; it stays empty where there is none. */
static inline VOID ReadMode(PUNICODE_STRING RegistryPath)
{
    WCHAR buffer[260];
    UNICODE_STRING path = {0, sizeof(buffer), buffer}, name;
    OBJECT_ATTRIBUTES attributes;
    union {
        KEY_VALUE_PARTIAL_INFORMATION value;
        UCHAR bytes[128];
    } information;
    HANDLE key;
    ULONG length;

    RtlAppendUnicodeStringToString(&path, RegistryPath);
    RtlAppendUnicodeToString(&path, L"\\Parameters");
    InitializeObjectAttributes(&attributes, &path, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    if (!NT_SUCCESS(ZwOpenKey(&key, KEY_READ, &attributes)))
        return;
    RtlInitUnicodeString(&name, L"Mode");
    if (NT_SUCCESS(ZwQueryValueKey(key, &name, KeyValuePartialInformation, &information, sizeof(information), &length))
        && information.value.Type == REG_SZ) {
        for (ULONG i = 0; i < information.value.DataLength / sizeof(WCHAR) && i < ARRAYSIZE(ModeText) - 1; i++)
            ModeText[i] = ((PCWSTR)information.value.Data)[i];
    }
    ZwClose(key);
}

/* Whether this is the mode that is asked for. */
static inline BOOLEAN ModeIs(PCWSTR Name)
{
    ULONG i = 0;
    while (ModeText[i] != 0 && ModeText[i] == Name[i])
        i++;
    return ModeText[i] == Name[i];
}

#endif
