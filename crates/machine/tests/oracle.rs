//! The unwinder against another implementation, at every instruction of compiled images.
//!
//! More images: `UNWIND_IMAGES=a.dll:b.sys cargo test -p callboard-machine --test oracle`.
#![expect(clippy::cast_possible_truncation, reason = "the images are files of a few megabytes")]

mod support;

use std::path::Path;

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use machine::images::{self, LoadedImage};
use machine::seh::context::general;
use machine::seh::table::Function;
use machine::seh::unwind::virtual_unwind;
use nt_abi::CONTEXT;
use pe_unwind_info::x86_64::{FunctionTableEntries, Register, UnwindState, XmmRegister};
use support::start;

/// Words of the stack on which the frames lie; the registers point into its middle.
const STACK_WORDS: usize = 1 << 20;

struct Oracle<'a> {
    registers: [u64; 16],
    stack: &'a [u64],
    base: u64,
}

impl UnwindState for Oracle<'_> {
    fn read_register(&mut self, register: Register) -> u64 {
        self.registers[register as usize]
    }

    fn read_stack(&mut self, address: u64) -> Option<u64> {
        let at = address.checked_sub(self.base)?;
        // Our unwinder does not ask for alignment, and neither does the machine.
        let (word, shift) = ((at / 8) as usize, at % 8 * 8);
        let low = *self.stack.get(word)?;
        if shift == 0 {
            return Some(low);
        }
        Some(low >> shift | *self.stack.get(word + 1)? << (64 - shift))
    }

    fn write_register(&mut self, register: Register, value: u64) {
        self.registers[register as usize] = value;
    }

    fn write_xmm_register(&mut self, _: XmmRegister, _: u128) {}
}

/// Whether what looks like an epilogue ends in a jump that only we tell apart: inside of its function (no epilogue), or
/// through a register (one, by its prefix).
fn is_ours_alone(code: &[u8], pc: u64, function: &Function, base: u64) -> bool {
    let mut decoder = Decoder::with_ip(64, code, pc, DecoderOptions::NONE);
    while decoder.can_decode() {
        let instruction = decoder.decode();
        match instruction.mnemonic() {
            Mnemonic::Pop | Mnemonic::Add | Mnemonic::Lea => {}
            Mnemonic::Jmp if instruction.op0_kind() == OpKind::Register => return true,
            Mnemonic::Jmp => {
                let target = instruction.near_branch_target().wrapping_sub(base) as u32;
                return (function.begin..function.end).contains(&target);
            }
            _ => return false,
        }
    }
    false
}

/// Compares both at every instruction of every function; answers how many states were compared.
fn compare(path: &Path) -> usize {
    let file = std::fs::read(path).expect("the image is readable");
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([file[at], file[at + 1]]));
    let u32_at =
        |at: usize| u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]) as usize;
    let headers = u32_at(0x3C);
    let optional = headers + 24;
    let (table, table_size) = (u32_at(optional + 136), u32_at(optional + 140));
    let mut memory = vec![0u8; u32_at(optional + 56)];
    for index in 0..u16_at(headers + 6) {
        let section = optional + u16_at(headers + 20) + index * 40;
        let (rva, length, offset) = (u32_at(section + 12), u32_at(section + 16), u32_at(section + 20));
        let length = length.min(memory.len() - rva);
        memory[rva..rva + length].copy_from_slice(&file[offset..offset + length]);
    }
    let memory: &'static [u8] = memory.leak();
    let base = memory.as_ptr().expose_provenance();
    let image = LoadedImage {
        name: path.file_name().map_or_else(Default::default, |name| name.to_string_lossy().into()),
        base,
        size: memory.len(),
        function_table: table as u32,
        function_count: (table_size / 12) as u32,
        driver: 0,
    };
    // SAFETY: leaked, and nobody writes to it.
    unsafe { images::register(image) }.expect("the image is valid");
    let base = base as u64;

    let stack: Vec<u64> =
        (0..STACK_WORDS as u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 << 63).collect();
    let stack_base = stack.as_ptr().expose_provenance() as u64;
    let registers: [u64; 16] =
        std::array::from_fn(|i| stack_base + (STACK_WORDS * 4) as u64 + (i as u64 * 0x110) % 0x700);
    let entries = FunctionTableEntries::parse(&memory[table..table + table_size]);
    let mut compared = 0;
    for index in 0..table_size / 12 {
        let entry = base + (table + index * 12) as u64;
        let function = Function::read(entry).expect("the table is readable");
        let code = &memory[function.begin as usize..function.end as usize];
        let mut decoder = Decoder::with_ip(64, code, base + u64::from(function.begin), DecoderOptions::NONE);
        while decoder.can_decode() {
            let pc = decoder.decode().ip();
            let from = (pc - base) as u32 - function.begin;
            if is_ours_alone(&code[from as usize..], pc, &function, base) {
                continue;
            }
            let mut ours = CONTEXT { Rip: pc, ..CONTEXT::default() };
            *general(&mut ours) = registers;
            let result = virtual_unwind(0, base, pc, function, &mut ours);
            let mut oracle = Oracle { registers, stack: &stack, base: stack_base };
            let rva = (pc - base) as u32;
            let theirs = entries.unwind_frame(&mut oracle, |rva| memory.get(rva as usize..), rva);
            let place = format!("{} +{rva:#x}", path.display());
            match theirs {
                Some(rip) => {
                    assert!(result.is_ok(), "{place}: {result:?}");
                    assert_eq!(ours.Rip, rip, "{place}: return address");
                    assert_eq!(*general(&mut ours), oracle.registers, "{place}: registers");
                }
                None => assert!(result.is_err(), "{place}: only we can undo it"),
            }
            compared += 1;
        }
    }
    compared
}

#[test]
fn both_find_the_same_callers() {
    let _processor = start();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(compare(&here.join("tests/data/seh.sys")) > 500);
    for more in std::env::var("UNWIND_IMAGES").unwrap_or_default().split(':').filter(|path| !path.is_empty())
    {
        println!("{more}: {} states", compare(Path::new(more)));
    }
}
