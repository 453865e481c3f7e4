/* Something of everything that a loader meets in a driver. Built by build.sh, mapped by the tests,
 * never run. */
typedef unsigned int u32;
typedef unsigned long long u64;

__declspec(dllimport) void *ExAllocatePool2(u64 flags, u64 size, u32 tag);
__declspec(dllimport) void ExFreePoolWithTag(void *memory, u32 tag);
__declspec(dllimport) u32 DbgPrint(const char *format, ...);

#ifndef ZEROS
#define ZEROS 2048
#endif
static int counter = 7;
static int zeros[ZEROS] = {0};
int *pointer = &counter; /* an address: needs a relocation */

#ifdef __clang__
/* What Microsoft's C runtime for drivers brings along. */
u64 __security_cookie = 0x00002B992DDFA232;
const struct {
    u32 size, unused[21];
    u64 *security_cookie;
    u64 rest[7];
} _load_config_used = {0x98, {0}, &__security_cookie, {0}};
#endif

__attribute__((noinline)) static int helper(int x)
{
    zeros[x & (ZEROS - 1)] += x;
    return zeros[(x * 7) & (ZEROS - 1)] + *pointer;
}

#ifdef __clang__
/* Unwind data with a handler. */
__attribute__((noinline)) static int guarded(volatile int *place)
{
    __try {
        return DbgPrint("%d", *place);
    } __except (1) {
        return -1;
    }
}
#else
#define guarded(place) (*(place))
#endif

__declspec(dllexport) int CallboardAdd(int a, int b)
{
    return helper(a) + helper(b) + guarded(&counter);
}

int DriverEntry(void *driver, void *path)
{
    void *memory = ExAllocatePool2(0x40, 32, 0x64726243);
    if (!memory)
        return (int)0xC000009A;
    DbgPrint("%d\n", CallboardAdd(1, 2));
    ExFreePoolWithTag(memory, 0x64726243);
    return driver == path;
}
