/* A read under __try. GCC has no __try, so this is what other compilers make of it. */
#ifndef GUARDED_H
#define GUARDED_H

#include "rule.h"

/*
 * __try { *To = *From; return TRUE; } __except (EXCEPTION_EXECUTE_HANDLER) { return FALSE; }
 *
 * The scope table has one entry: the instructions, the constant filter, and where the handler is.
 */
BOOLEAN NTAPI ReadGuarded(const volatile VOID *From, PUSHORT To);

__asm__(".text\n"
        ".globl ReadGuarded\n"
        ".seh_proc ReadGuarded\n"
        "ReadGuarded:\n"
        "    subq $40, %rsp\n"
        "    .seh_stackalloc 40\n"
        "    .seh_endprologue\n"
        "1:  movzwl (%rcx), %eax\n"
        "    movw %ax, (%rdx)\n"
        "    nop\n"
        "2:  movl $1, %eax\n"
        "    addq $40, %rsp\n"
        "    ret\n"
        "3:  xorl %eax, %eax\n"
        "    addq $40, %rsp\n"
        "    ret\n"
        ".seh_handler __C_specific_handler, @except\n"
        ".seh_handlerdata\n"
        "    .long 1\n"
        "    .rva 1b, 2b\n"
        "    .long 1\n"
        "    .rva 3b\n"
        ".text\n"
        ".seh_endproc\n");

#endif
