/* What the drivers with known defects share. */
#ifndef BUGS_H
#define BUGS_H

#include "../tests/common.h"

#define TAG 'gubC'

/* mingw-w64's header has these for later versions only. */
NTKERNELAPI PEPROCESS NTAPI PsGetCurrentProcess(VOID);

static inline HANDLE IdOf(ULONG64 Id)
{
    return (HANDLE)(ULONG_PTR)Id;
}

#endif
