//! Frames undone at every instruction of their functions: a small interpreter executes prologue, body and epilogue of
//! hand-made functions on a real stack, and at each step the unwinder must find the caller.
#![expect(clippy::cast_possible_truncation, reason = "hand-made images are small")]

mod support;

use machine::seh::context::{general, vectors};
use machine::seh::table::Function;
use machine::seh::unwind::{UnwindError, virtual_unwind};
use nt_abi::CONTEXT;
use support::start;

const CALLER: u64 = 0x1234_5678_9ABC;
const RBX: usize = 3;
const RSP: usize = 4;
const RBP: usize = 5;
const RSI: usize = 6;
const R12: usize = 12;

/// One instruction: its bytes, and what it does to the registers.
type Step<'a> = (&'a [u8], fn(&mut CONTEXT));

fn store(address: u64, value: u64) {
    // SAFETY: the interpreter's stack is far larger than what these functions use.
    unsafe { std::ptr::with_exposed_provenance_mut::<u64>(address as usize).write(value) }
}

fn load(address: u64) -> u64 {
    // SAFETY: as above.
    unsafe { std::ptr::with_exposed_provenance::<u64>(address as usize).read() }
}

fn push(context: &mut CONTEXT, register: usize) {
    context.Rsp -= 8;
    store(context.Rsp, general(context)[register]);
}

fn pop(context: &mut CONTEXT, register: usize) {
    general(context)[register] = load(context.Rsp);
    context.Rsp += 8;
}

/// An image in memory: unwind information at 0x10, a chained parent's at 0x80, code at 0x100.
struct Image(Box<[u64; 128]>);

impl Image {
    fn new(unwind: &[u8], code: &[u8]) -> Image {
        let mut image = Image(Box::new([0; 128]));
        image.put(0x10, unwind);
        image.put(0x100, code);
        image
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        let memory = self.0.as_mut_ptr().cast::<u8>();
        assert!(at + bytes.len() <= 1024);
        // SAFETY: inside of the array by the line above.
        let place = unsafe { memory.add(at) };
        // SAFETY: as above.
        unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    fn base(&self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }
}

/// Interprets a function and unwinds before each of its instructions.
fn unwinds_everywhere(unwind: &[u8], steps: &[Step<'_>]) {
    let code: Vec<u8> = steps.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
    let image = Image::new(unwind, &code);
    let function = Function { entry: 0, begin: 0x100, end: 0x100 + code.len() as u32, unwind: 0x10 };
    let mut stack = vec![0u64; 0x4000];
    let top = stack.as_mut_ptr().expose_provenance() as u64 + 0x1_0000;
    let mut context = CONTEXT { Rsp: top, ..CONTEXT::default() };
    for (index, register) in general(&mut context).iter_mut().enumerate() {
        *register = if index == RSP { top } else { 0x1000 + index as u64 };
    }
    vectors(&mut context)[6] = 0x6666;
    vectors(&mut context)[15] = 0xFFFF;
    let mut at_entry = context;
    at_entry.Rsp = top + 8;
    store(top, CALLER);
    let mut offset = 0;
    for (number, (bytes, effect)) in steps.iter().enumerate() {
        let pc = image.base() + 0x100 + offset;
        let mut walk = context;
        walk.Rip = pc;
        virtual_unwind(0, image.base(), pc, function, &mut walk).expect("it unwinds");
        assert_eq!(walk.Rip, CALLER, "return address before instruction {number}");
        assert_eq!(walk.Rsp, top + 8, "stack pointer before instruction {number}");
        for register in [RBX, RBP, RSI, R12] {
            let (found, expected) = (general(&mut walk)[register], general(&mut at_entry)[register]);
            assert_eq!(found, expected, "register {register} before instruction {number}");
        }
        for register in [6, 15] {
            let (found, expected) = (vectors(&mut walk)[register], vectors(&mut at_entry)[register]);
            assert_eq!(found, expected, "xmm{register} before instruction {number}");
        }
        effect(&mut context);
        offset += bytes.len() as u64;
    }
    drop(stack);
}

fn clobber(context: &mut CONTEXT) {
    for register in [RBX, RSI, R12] {
        general(context)[register] = 0xDEAD;
    }
}

#[test]
fn pushes_and_a_small_allocation() {
    let _processor = start();
    let unwind = [1, 8, 4, 0, 8, 0x42, 4, 0xC0, 2, 0x60, 1, 0x30];
    unwinds_everywhere(
        &unwind,
        &[
            (b"\x53", |c| push(c, RBX)),
            (b"\x56", |c| push(c, RSI)),
            (b"\x41\x54", |c| push(c, R12)),
            (b"\x48\x83\xEC\x28", |c| c.Rsp -= 0x28),
            (b"\x90", clobber),
            (b"\x90", |_| {}),
            (b"\x48\x83\xC4\x28", |c| c.Rsp += 0x28),
            (b"\x41\x5C", |c| pop(c, R12)),
            (b"\x5E", |c| pop(c, RSI)),
            (b"\x5B", |c| pop(c, RBX)),
            (b"\xC3", |_| {}),
        ],
    );
}

#[test]
fn large_allocations_saved_registers_and_vectors() {
    let _processor = start();
    // sub rsp, 0x1008; mov [rsp + 0x20], rbx; movaps [rsp + 0x30], xmm6; movaps [rsp + 0x900], xmm15 (far);
    // mov [rsp + 0x1000], rsi (far)
    let unwind = [
        1, 33, 12, 0, // version, prologue, codes
        33, 0x65, 0x00, 0x10, 0x00, 0x00, // save rsi far at 0x1000
        25, 0xF9, 0x00, 0x09, 0x00, 0x00, // save xmm15 far at 0x900
        16, 0x68, 0x03, 0x00, // save xmm6 at 0x30
        12, 0x34, 0x04, 0x00, // save rbx at 0x20
        7, 0x01, 0x01, 0x02, // allocate 0x1008
    ];
    unwinds_everywhere(
        &unwind,
        &[
            (b"\x48\x81\xEC\x08\x10\0\0", |c| c.Rsp -= 0x1008),
            (b"\x48\x89\x5C\x24\x20", |c| store(c.Rsp + 0x20, 0x1003)),
            (b"\x0F\x29\x74\x24", |c| {
                store(c.Rsp + 0x30, 0x6666);
                store(c.Rsp + 0x38, 0);
            }),
            (b"\x44\x0F\x29\xBC\x24\0\x09\0\0", |c| {
                store(c.Rsp + 0x900, 0xFFFF);
                store(c.Rsp + 0x908, 0);
            }),
            (b"\x48\x89\xB4\x24\0\x10\0\0", |c| store(c.Rsp + 0x1000, 0x1006)),
            (b"\x90", |c| {
                general(c)[RBX] = 1;
                general(c)[RSI] = 2;
                vectors(c)[6] = 3;
                vectors(c)[15] = 4;
            }),
            (b"\x90", |_| {}),
        ],
    );
}

#[test]
fn a_frame_register_survives_dynamic_allocation() {
    let _processor = start();
    // push rbp; push rbx; sub rsp, 0x28; lea rbp, [rsp + 0x20]
    let unwind = [1, 11, 4, 0x25, 11, 0x03, 6, 0x42, 2, 0x30, 1, 0x50];
    unwinds_everywhere(
        &unwind,
        &[
            (b"\x55", |c| push(c, RBP)),
            (b"\x53", |c| push(c, RBX)),
            (b"\x48\x83\xEC\x28", |c| c.Rsp -= 0x28),
            (b"\x48\x8D\x6C\x24\x20", |c| c.Rbp = c.Rsp + 0x20),
            (b"\x90", clobber_rbx),
            (b"\x90", |c| c.Rsp -= 0x340),
            (b"\x90", |_| {}),
            (b"\x48\x8D\x65\x08", |c| c.Rsp = c.Rbp + 8),
            (b"\x5B", |c| pop(c, RBX)),
            (b"\x5D", |c| pop(c, RBP)),
            (b"\xC3", |_| {}),
        ],
    );
}

fn clobber_rbx(context: &mut CONTEXT) {
    general(context)[RBX] = 0xDEAD;
}

#[test]
fn a_tail_call_is_an_epilogue() {
    let _processor = start();
    let unwind = [1, 5, 2, 0, 5, 0x32, 1, 0x30];
    for jump in [&b"\xE9\0\x10\0\0"[..], b"\xFF\x25\0\0\0\0", b"\x48\xFF\xE0", b"\xF3\xC3"] {
        unwinds_everywhere(
            &unwind,
            &[
                (b"\x53", |c| push(c, RBX)),
                (b"\x48\x83\xEC\x20", |c| c.Rsp -= 0x20),
                (b"\x90", clobber_rbx),
                (b"\x48\x83\xC4\x20", |c| c.Rsp += 0x20),
                (b"\x5B", |c| pop(c, RBX)),
                (jump, |_| {}),
            ],
        );
    }
}

#[test]
fn a_chained_part_continues_with_its_parent() {
    let _processor = start();
    // The parent: push rbx; sub rsp, 0x20. The part: mov [rsp + 8], rsi, then its body.
    let mut image = Image::new(&[(4 << 3) | 1, 5, 2, 0, 5, 0x64, 1, 0], &[0x90; 16]);
    image.put(0x18, &[0, 2, 0, 0, 5, 2, 0, 0, 0x80, 0, 0, 0]);
    image.put(0x80, &[(1 << 3) | 1, 5, 2, 0, 5, 0x32, 1, 0x30, 0x34, 0x12, 0, 0, 0x77, 0, 0, 0]);
    let mut stack = [0u64; 16];
    stack[1] = 0x6;
    stack[4] = 0x3;
    stack[5] = CALLER;
    let rsp = stack.as_ptr().expose_provenance() as u64;
    let function = Function { entry: 0, begin: 0x100, end: 0x110, unwind: 0x10 };
    let mut context = CONTEXT { Rsp: rsp, ..CONTEXT::default() };
    let pc = image.base() + 0x108;
    let unwound = virtual_unwind(1, image.base(), pc, function, &mut context).unwrap();
    assert_eq!((context.Rip, context.Rsp), (CALLER, rsp + 48));
    assert_eq!((context.Rbx, context.Rsi), (3, 6));
    assert_eq!(unwound.establisher, rsp);
    assert_eq!(unwound.handler, Some(image.base() + 0x1234));
    assert_eq!(unwound.handler_data, image.base() + 0x80 + 12);
}

#[test]
fn a_machine_frame_ends_with_the_interrupted_registers() {
    let _processor = start();
    // An error code below the frame: push_machframe with 1, then an allocation of 8.
    let image = Image::new(&[1, 1, 2, 0, 1, 0x02, 0, 0x1A], &[0x90; 4]);
    let mut stack = [0u64; 8];
    stack[2] = CALLER;
    stack[5] = 0x7000;
    let rsp = stack.as_ptr().expose_provenance() as u64;
    let function = Function { entry: 0, begin: 0x100, end: 0x104, unwind: 0x10 };
    let mut context = CONTEXT { Rsp: rsp, ..CONTEXT::default() };
    virtual_unwind(0, image.base(), image.base() + 0x102, function, &mut context).unwrap();
    assert_eq!((context.Rip, context.Rsp), (CALLER, 0x7000));
}

#[test]
fn damaged_information_is_an_error() {
    let _processor = start();
    let function = Function { entry: 0, begin: 0x100, end: 0x110, unwind: 0x10 };
    let stack = [CALLER; 4];
    let rsp = stack.as_ptr().expose_provenance() as u64;
    let cases: &[&[u8]] = &[
        &[5, 0, 0, 0],                                                      // a version from the future
        &[1, 0, 1, 0, 0, 0x01],                                             // an allocation without its size
        &[1, 0, 1, 0, 0, 0x0F],                                             // an unknown operation
        &[(4 << 3) | 1, 0, 0, 0, 0, 1, 0, 0, 0x10, 1, 0, 0, 0x10, 0, 0, 0], // its own parent
    ];
    for unwind in cases {
        let image = Image::new(unwind, &[0x90; 16]);
        let mut context = CONTEXT { Rsp: rsp, ..CONTEXT::default() };
        let result = virtual_unwind(3, image.base(), image.base() + 0x108, function, &mut context);
        assert!(matches!(result, Err(UnwindError::Damaged(..))), "{unwind:?}: {result:?}");
    }
    let image = Image::new(&[1, 0, 0, 0], &[0x90; 16]);
    let mut context = CONTEXT { Rsp: 0x20, ..CONTEXT::default() };
    let result = virtual_unwind(0, image.base(), image.base() + 0x108, function, &mut context);
    assert!(matches!(result, Err(UnwindError::Memory(_))), "{result:?}");
    let far = Function { unwind: 0xFFFF_FFFE, ..function };
    assert!(virtual_unwind(0, 0x10_0000, 0x10_0108, far, &mut context).is_err());
}
