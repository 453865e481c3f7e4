// A driver image whose exported routines raise and handle exceptions in every way that C can express.
// The tests of this crate call them and check the answers. See README.md for how it is built.

typedef unsigned long long u64;
typedef long long i64;
typedef unsigned int u32;
typedef unsigned char u8;

#define EXPORT __declspec(dllexport)
#define IMPORT __declspec(dllimport)
#define NOINLINE __attribute__((noinline))

typedef struct {
    u32 code, flags;
    void *inner, *address;
    u32 count;
    u64 information[15];
} RECORD;
typedef struct {
    RECORD *record;
    u8 *context;
} POINTERS;

unsigned long _exception_code(void);
void *_exception_info(void);
int _abnormal_termination(void);

IMPORT void ExRaiseStatus(u32 status);
IMPORT void *memcpy(void *to, const void *from, u64 count);
IMPORT void MakeReadable(void *page);
IMPORT void RustThatFaults(const void *address);
IMPORT void RtlCaptureContext(void *context);
IMPORT void *RtlLookupFunctionEntry(u64 pc, u64 *base, void *history);
IMPORT void *RtlVirtualUnwind(u32 type, u64 base, u64 pc, void *entry, void *context, void **data, u64 *frame, void *saved);
IMPORT void RtlUnwindEx(u64 frame, void *ip, RECORD *record, u64 value, void *context, void *history);
IMPORT unsigned short RtlCaptureStackBackTrace(u32 skip, u32 count, void **trace, u32 *hash);
IMPORT void *RtlPcToFileHeader(void *pc, void **base);
IMPORT void RtlRaiseException(RECORD *record);
IMPORT u64 CallBack(u64 (*function)(u64), u64 argument);

NOINLINE static u64 read_at(const volatile u64 *p) { return *p; }
NOINLINE static u64 read_deep(const volatile u64 *p, u32 depth) {
    volatile u8 frame[300];
    frame[depth & 127] = (u8)depth;
    if (depth == 0) return read_at(p) + frame[0];
    return read_deep(p, depth - 1) + frame[depth & 127];
}

// A log of small numbers, newest in the low byte.
static volatile u64 trace;
static void note(u64 event) { trace = (trace << 8) | event; }
EXPORT u64 Trace(void) {
    u64 value = trace;
    trace = 0;
    return value;
}

// The constant filter.
EXPORT u64 Simple(const u64 *p) {
    __try {
        return read_at(p);
    } __except (1) {
        return _exception_code();
    }
}

// A filter that refuses, an outer one that looks at the parameters.
static u64 seen[4];
static int look(u32 code, POINTERS *pointers) {
    seen[0] = code;
    seen[1] = pointers->record->count;
    seen[2] = pointers->record->information[0];
    seen[3] = pointers->record->information[1];
    return code == 0xC0000005;
}
EXPORT u64 Nested(const u64 *p, u64 *out) {
    u64 result = 1;
    __try {
        __try {
            result += read_deep(p, 5);
        } __except (_exception_code() == 0xC0000094) {
            result = 2;
        }
        result += 100;
    } __except (look(_exception_code(), _exception_info())) {
        result += 1000;
        for (int i = 0; i < 4; i++) out[i] = seen[i];
    }
    return result;
}

// Termination handlers run inside out, between filter and handler.
NOINLINE static void inner_finally(const u64 *p) {
    __try {
        __try {
            note(1);
            read_at(p);
            note(2);
        } __finally {
            note(_abnormal_termination() ? 3 : 4);
        }
    } __finally {
        note(_abnormal_termination() ? 5 : 6);
    }
}
static int noting_filter(void) {
    note(7);
    return 1;
}
EXPORT u64 Finally(const u64 *p) {
    __try {
        inner_finally(p);
    } __except (noting_filter()) {
        note(8);
    }
    return Trace();
}

// A filter that mends the cause and goes on.
static int mend(POINTERS *pointers) {
    MakeReadable((void *)pointers->record->information[1]);
    return -1;
}
EXPORT u64 Continue(const u64 *p) {
    __try {
        return read_at(p) + 77;
    } __except (mend(_exception_info())) {
        return 0;
    }
}

// A fault inside of an imported leaf routine.
EXPORT u64 CopyFrom(const void *from, u64 count) {
    u8 buffer[512];
    __try {
        memcpy(buffer, from, count);
        return buffer[count - 1];
    } __except (1) {
        return _exception_code();
    }
}

// A status raised by a routine of the kernel, through two frames.
NOINLINE static void raise_it(u32 status) {
    ExRaiseStatus(status);
    note(9);
}
EXPORT u64 Raise(u32 status) {
    __try {
        raise_it(status);
    } __except (1) {
        return _exception_code();
    }
    return 0;
}

// A fault in a routine of the kernel that stands in for its caller.
EXPORT u64 KernelFault(const void *address) {
    __try {
        RustThatFaults(address);
    } __except (1) {
        return _exception_code();
    }
    return 0;
}

// A termination handler that raises again: the second exception collides with the first one's unwind.
// (The `nop` keeps two calls apart: clang 14 lets the ranges of adjacent calls overlap in the scope table.)
NOINLINE static void raising_finally(const u64 *p) {
    __try {
        __try {
            read_at(p);
            __asm__ volatile("nop");
        } __finally {
            note(1);
            ExRaiseStatus(0xC0001234);
        }
    } __finally {
        note(2);
    }
}
EXPORT u64 Collide(const u64 *p) {
    u32 code = 0;
    __try {
        __try {
            raising_finally(p);
        } __except (_exception_code() == 0xC0000005) {
            note(3);
        }
    } __except (1) {
        code = _exception_code();
        note(4);
    }
    return ((u64)code << 32) | Trace();
}

// A filter that faults itself: a nested exception, handled further out.
static int bad_filter(const u64 *p, u32 code) {
    note(1);
    if (code == 0xC0000005) ExRaiseStatus(0xC0005678);
    return 0;
}
NOINLINE static void with_bad_filter(const u64 *p) {
    __try {
        read_at(p);
    } __except (bad_filter(p, _exception_code())) {
        note(2);
    }
}
EXPORT u64 FilterFault(const u64 *p) {
    u32 code = 0;
    __try {
        with_bad_filter(p);
    } __except (1) {
        code = _exception_code();
        note(3);
    }
    return ((u64)code << 32) | Trace();
}

// A filter that faults whatever it is asked.
static int hopeless_filter(void) {
    ExRaiseStatus(0xC0000009);
    return 0;
}
EXPORT u64 Hopeless(const u64 *p) {
    __try {
        return read_at(p);
    } __except (hopeless_filter()) {
        return 1;
    }
}

// A filter that continues without having mended anything.
EXPORT u64 Stubborn(const u64 *p) {
    __try {
        return read_at(p);
    } __except (-1) {
        return 1;
    }
}

// A handler that raises again after it took the first exception.
EXPORT u64 Rethrow(const u64 *p) {
    u64 codes = 0;
    __try {
        __try {
            read_at(p);
        } __except (1) {
            codes = (u64)_exception_code() << 32;
            ExRaiseStatus(0xC000000D);
        }
    } __except (1) {
        codes |= _exception_code();
    }
    return codes;
}

NOINLINE static int quotient(int a, int b) { return a / b; }
EXPORT u64 Divide(int a, int b) {
    __try {
        note(quotient(a, b));
    } __except (1) {
        Trace();
        return _exception_code();
    }
    return Trace();
}

// Preserved registers, also those for floating point, are the frame's own again in the handler.
NOINLINE static double clobber(const u64 *p, double x) {
    double a = x + 1, b = x + 2, c = x + 3, d = x + 4, e = x + 5;
    u64 i = 1, j = 2, k = 3, l = 4, m = 5, n = 6;
    __asm__ volatile("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d), "+x"(e));
    __asm__ volatile("xorps %%xmm6, %%xmm6\n xorps %%xmm7, %%xmm7\n xorps %%xmm15, %%xmm15\n"
                     "xor %%ebx, %%ebx\n xor %%esi, %%esi\n xor %%edi, %%edi\n xor %%r12d, %%r12d\n xor %%r15d, %%r15d"
                     ::: "xmm6", "xmm7", "xmm15", "rbx", "rsi", "rdi", "r12", "r15");
    return read_at(p) + a + b + c + d + e + i + j + k + l + m + n;
}
NOINLINE static u64 guard_registers(const u64 *p) {
    __try {
        return (u64)clobber(p, 1.0);
    } __except (1) {
        return 1;
    }
}
EXPORT u64 Registers(const u64 *p, u64 a, u64 b) {
    double x = (double)a, y = (double)b;
    u64 i = a ^ b, j = a + b;
    __asm__ volatile("" : "+x"(x), "+x"(y), "+r"(i), "+r"(j));
    u64 caught = guard_registers(p);
    return caught * 1000000 + (u64)x * 10000 + (u64)y * 100 + (i == (a ^ b)) * 10 + (j == a + b);
}

// Leaving a block by `continue` and `break` calls its termination handler, normally.
EXPORT u64 Leave(u64 rounds) {
    for (u64 i = 0; i < rounds; i++) {
        __try {
            if (i == 1) continue;
            if (i == 2) break;
            note(1);
        } __finally {
            note(2);
        }
        note(3);
    }
    return Trace();
}

// A frame of dynamic size has a frame register.
NOINLINE static u64 dynamic(const u64 *p, u64 size) {
    volatile u8 *bytes = __builtin_alloca(size);
    bytes[0] = 1;
    bytes[size - 1] = 2;
    return read_at(p) + bytes[0];
}
EXPORT u64 Dynamic(const u64 *p, u64 size) {
    volatile u8 *bytes = __builtin_alloca(size);
    bytes[size - 1] = 9;
    __try {
        return dynamic(p, size * 2);
    } __except (1) {
        return _exception_code() + bytes[size - 1];
    }
}

// No handler at all, and endless recursion.
EXPORT u64 Unhandled(const u64 *p) { return read_deep(p, 3); }
NOINLINE static u64 deeper(u64 n) {
    volatile u8 frame[4096];
    frame[0] = (u8)n;
    return deeper(n + 1) + frame[0];
}
EXPORT u64 Overflow(void) {
    __try {
        return deeper(0);
    } __except (1) {
        return 1;
    }
}

// A call from the kernel into a driver inside of a driver's __try: the inner exception belongs to the inner call.
static u64 inner_call(u64 p) {
    __try {
        return read_at((const u64 *)p);
    } __except (1) {
        return 5;
    }
}
static u64 inner_unhandled(u64 p) { return read_at((const u64 *)p); }
EXPORT u64 Reenter(const u64 *p, u64 handled) {
    __try {
        return CallBack(handled ? inner_call : inner_unhandled, (u64)p) + 10;
    } __except (1) {
        return 99;
    }
}

// A driver that unwinds by itself: to a label of a function further out, through a termination handler.
NOINLINE static void unwinder(u64 frame, void *ip) {
    u8 context[0x4D0] __attribute__((aligned(16)));
    __try {
        note(1);
        RtlUnwindEx(frame, ip, 0, 0x55, context, 0);
        note(2);
    } __finally {
        note(_abnormal_termination() ? 3 : 4);
    }
}
EXPORT u64 LongUnwind(void) {
    u8 context[0x4D0] __attribute__((aligned(16)));
    u64 base, frame;
    void *data, *volatile target = &&landed;
    volatile u64 result = 1;
    RtlCaptureContext(context);
    u64 pc = *(u64 *)(context + 0xF8);
    void *entry = RtlLookupFunctionEntry(pc, &base, 0);
    RtlVirtualUnwind(0, base, pc, entry, context, &data, &frame, 0);
    if (!target) goto *target;
    unwinder(frame, target);
    result = 2;
landed:
    return (result << 32) | Trace();
}

// How many frames of this image are on the stack, and whether the first address lies in it.
NOINLINE static u64 back_trace(u32 depth) {
    void *trace[16], *base;
    if (depth) return back_trace(depth - 1) + 1000;
    u32 count = RtlCaptureStackBackTrace(0, 16, trace, 0);
    return count * 10 + (RtlPcToFileHeader(trace[0], &base) == base && base != 0);
}
EXPORT u64 BackTrace(u32 depth) { return back_trace(depth); }

// An exception of the driver's own, with parameters; its filter goes on behind the call.
EXPORT u64 RaiseOwn(u32 code, u64 parameter) {
    RECORD record = {0};
    volatile u64 result = 0;
    record.code = code;
    record.count = 1;
    record.information[0] = parameter;
    __try {
        RtlRaiseException(&record);
        result = 5;
    } __except (look(_exception_code(), _exception_info()), seen[0] == 0xE0000001 ? -1 : 1) {
        result = 6;
    }
    return result * 1000 + seen[1] * 100 + seen[2];
}

// Compilers ask for it where floating point is used.
int _fltused = 0x9875;

EXPORT int DriverEntry(void) { return 0; }
