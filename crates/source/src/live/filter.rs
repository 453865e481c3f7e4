//! The seccomp filter: which system calls stop a tracee.
//!
//! Only those that can make code out of a file, so that every other call runs at full speed:
//! `mmap` of a file with `PROT_EXEC`, `mprotect` and `pkey_mprotect` with `PROT_EXEC`, in the tables
//! of x86-64, x32 and i386. One more is answered with EPERM, so that nobody leaves: `clone` with
//! `CLONE_UNTRACED`. The flags of `clone3` are in memory, where no filter sees them: a task made by
//! it with that flag is not traced, and its mappings of code fail with ENOSYS.

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};

/// What a step of the filter may do when its condition holds, and when not.
#[derive(Clone, Copy)]
enum To {
    Next,
    Allow,
    Trace,
    Deny,
    /// To the tests of one call, by their place in [`TESTS`].
    Test(usize),
}

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

const AUDIT_X86_64: u32 = 0xC000_003E;
const AUDIT_I386: u32 = 0x4000_0003;
/// The bit that marks a call of the x32 table, which numbers these calls as x86-64 does.
pub(super) const X32: u32 = 0x4000_0000;

const PROT_EXEC: u32 = libc::PROT_EXEC as u32;
const MAP_ANONYMOUS: u32 = libc::MAP_ANONYMOUS as u32;
const UNTRACED: u32 = libc::CLONE_UNTRACED as u32;
const DENY: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

/// The calls by number, of x86-64 and of i386.
pub(super) mod number {
    pub(in super::super) const MMAP: u32 = 9;
    pub(in super::super) const MPROTECT: u32 = 10;
    pub(in super::super) const CLONE: u32 = 56;
    pub(in super::super) const PKEY_MPROTECT: u32 = 329;
    /// The one that takes its arguments in a structure in memory.
    pub(in super::super) const I386_MMAP: u32 = 90;
    pub(in super::super) const I386_CLONE: u32 = 120;
    pub(in super::super) const I386_MPROTECT: u32 = 125;
    pub(in super::super) const I386_MMAP2: u32 = 192;
    pub(in super::super) const I386_PKEY_MPROTECT: u32 = 380;
}

const MMAP_TEST: usize = 0;
const PROTECT_TEST: usize = 1;
const CLONE_TEST: usize = 2;

const X86_64: [(u32, To); 4] = [
    (number::MMAP, To::Test(MMAP_TEST)),
    (number::MPROTECT, To::Test(PROTECT_TEST)),
    (number::PKEY_MPROTECT, To::Test(PROTECT_TEST)),
    (number::CLONE, To::Test(CLONE_TEST)),
];
const I386: [(u32, To); 5] = [
    (number::I386_MMAP2, To::Test(MMAP_TEST)),
    (number::I386_MPROTECT, To::Test(PROTECT_TEST)),
    (number::I386_PKEY_MPROTECT, To::Test(PROTECT_TEST)),
    (number::I386_CLONE, To::Test(CLONE_TEST)),
    (number::I386_MMAP, To::Trace),
];

/// The low half of an argument: all flags live there.
const fn argument(index: u32) -> u32 {
    ARGUMENTS + 8 * index
}

/// One step before jumps have distances.
#[derive(Clone, Copy)]
enum Step {
    Load(u32),
    Equal(u32, To, To),
    AnyBit(u32, To, To),
    And(u32),
    /// A place that others jump to.
    Mark(To),
    Return(u32),
}

/// The filter, ready for the kernel.
pub(super) fn program() -> Vec<sock_filter> {
    use Step::{And, AnyBit, Equal, Load, Mark, Return};
    let mut steps = vec![
        Load(ARCHITECTURE),
        // Anything but x86-64 goes on to the i386 part, which is a test of its own.
        Equal(AUDIT_X86_64, To::Next, To::Test(3)),
        Load(NUMBER),
        And(!X32),
    ];
    steps.extend(X86_64.map(|(number, to)| Equal(number, to, To::Next)));
    steps.push(Return(libc::SECCOMP_RET_ALLOW));
    steps.extend([Mark(To::Test(3)), Equal(AUDIT_I386, To::Next, To::Allow), Load(NUMBER)]);
    steps.extend(I386.map(|(number, to)| Equal(number, to, To::Next)));
    steps.push(Return(libc::SECCOMP_RET_ALLOW));
    steps.extend([
        Mark(To::Test(MMAP_TEST)),
        Load(argument(3)),
        AnyBit(MAP_ANONYMOUS, To::Allow, To::Next),
        Mark(To::Test(PROTECT_TEST)),
        Load(argument(2)),
        AnyBit(PROT_EXEC, To::Trace, To::Allow),
        Mark(To::Test(CLONE_TEST)),
        Load(argument(0)),
        AnyBit(UNTRACED, To::Deny, To::Allow),
        Mark(To::Trace),
        Return(libc::SECCOMP_RET_TRACE),
        Mark(To::Deny),
        Return(DENY),
        Mark(To::Allow),
        Return(libc::SECCOMP_RET_ALLOW),
    ]);
    assemble(&steps)
}

fn assemble(steps: &[Step]) -> Vec<sock_filter> {
    let place = |to: To| {
        let mut at = 0_usize;
        for step in steps {
            match (step, to) {
                (Step::Mark(To::Test(a)), To::Test(b)) if *a == b => break,
                (Step::Mark(To::Trace), To::Trace)
                | (Step::Mark(To::Deny), To::Deny)
                | (Step::Mark(To::Allow), To::Allow) => break,
                (Step::Mark(_), _) => {}
                _ => at += 1,
            }
        }
        at
    };
    let mut program: Vec<sock_filter> = Vec::with_capacity(steps.len());
    for step in steps {
        let next = program.len() + 1;
        // The program is shorter than a jump can be long.
        let distance = |to: To| match to {
            To::Next => 0,
            to => u8::try_from(place(to).saturating_sub(next)).unwrap_or(0),
        };
        let jump = |kind: u32, k: u32, yes: To, no: To| sock_filter {
            code: code(BPF_JMP | kind | BPF_K),
            jt: distance(yes),
            jf: distance(no),
            k,
        };
        let plain = |kind: u32, k: u32| sock_filter { code: code(kind), jt: 0, jf: 0, k };
        program.push(match *step {
            Step::Load(offset) => plain(BPF_LD | BPF_W | BPF_ABS, offset),
            Step::And(mask) => plain(libc::BPF_ALU | libc::BPF_AND | BPF_K, mask),
            Step::Equal(value, yes, no) => jump(BPF_JEQ, value, yes, no),
            Step::AnyBit(bits, yes, no) => jump(BPF_JSET, bits, yes, no),
            Step::Return(what) => plain(BPF_RET | BPF_K, what),
            Step::Mark(_) => continue,
        });
    }
    program
}

/// All codes of classic BPF fit 16 bits.
fn code(code: u32) -> u16 {
    u16::try_from(code).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program answers for a call, by a small interpreter.
    fn run(architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = [0_u8; 64];
        data[0..4].copy_from_slice(&number.to_le_bytes());
        data[4..8].copy_from_slice(&architecture.to_le_bytes());
        for (index, argument) in arguments.iter().enumerate() {
            data[16 + 8 * index..24 + 8 * index].copy_from_slice(&argument.to_le_bytes());
        }
        let program = program();
        let (mut at, mut accumulator) = (0_usize, 0_u32);
        loop {
            let step = program[at];
            at += 1;
            let (code, k) = (u32::from(step.code), step.k);
            let mut branch = |taken: bool| at += usize::from(if taken { step.jt } else { step.jf });
            if code == BPF_LD | BPF_W | BPF_ABS {
                let k = k as usize;
                accumulator = u32::from_le_bytes(data[k..k + 4].try_into().unwrap());
            } else if code == libc::BPF_ALU | libc::BPF_AND | BPF_K {
                accumulator &= k;
            } else if code == BPF_JMP | BPF_JEQ | BPF_K {
                branch(accumulator == k);
            } else if code == BPF_JMP | BPF_JSET | BPF_K {
                branch(accumulator & k != 0);
            } else if code == BPF_RET | BPF_K {
                return k;
            } else {
                panic!("unknown code {code:#x}");
            }
        }
    }

    #[test]
    fn only_calls_that_make_code_of_files_are_traced() {
        const TRACE: u32 = libc::SECCOMP_RET_TRACE;
        const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
        let mmap = |prot: i32, flags: i32| {
            [0, 4096, prot.cast_unsigned().into(), flags.cast_unsigned().into(), 3, 0]
        };
        let (rx, ro) = (libc::PROT_READ | libc::PROT_EXEC, libc::PROT_READ);
        let (file, none) = (libc::MAP_PRIVATE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        for (architecture, mmap_number, protect) in [
            (AUDIT_X86_64, 9, [10, 329]),
            (AUDIT_X86_64, 9 | X32, [10 | X32, 329]),
            (AUDIT_I386, 192, [125, 380]),
        ] {
            assert_eq!(run(architecture, mmap_number, mmap(rx, file)), TRACE);
            assert_eq!(run(architecture, mmap_number, mmap(ro, file)), ALLOW);
            assert_eq!(run(architecture, mmap_number, mmap(rx, none)), ALLOW);
            for protect in protect {
                assert_eq!(run(architecture, protect, mmap(rx, 0)), TRACE);
                assert_eq!(run(architecture, protect, mmap(ro, 0)), ALLOW);
            }
        }
        assert_eq!(run(AUDIT_I386, 90, [0; 6]), TRACE, "its arguments cannot be seen from here");
        assert_eq!(run(AUDIT_X86_64, 56, [0x0080_0000, 0, 0, 0, 0, 0]), DENY);
        assert_eq!(run(AUDIT_X86_64, 56, [0x0100_0011, 0, 0, 0, 0, 0]), ALLOW);
        for number in [0, 1, 57, 59, 90, 125, 192, 231, 435] {
            assert_eq!(run(AUDIT_X86_64, number, mmap(rx, file)), ALLOW, "x86-64 call {number}");
        }
        for number in [1, 9, 10, 11, 252] {
            assert_eq!(run(AUDIT_I386, number, mmap(rx, file)), ALLOW, "i386 call {number}");
        }
        assert_eq!(run(0xC000_00B7, 222, mmap(rx, file)), ALLOW, "an unknown architecture");
    }
}
