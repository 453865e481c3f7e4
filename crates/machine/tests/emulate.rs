//! Instructions that ring 3 forbids, executed as driver code.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "expected values are made by narrowing, as the instructions do it"
)]

mod support;

use machine::supervisor::Privileged;
use machine::{Irql, irql};
use support::{catch, driver_code, lowered, mend, origin, privileged, shared_byte, start, unreadable_page};

const SHARED: u64 = 0xFFFF_F780_0000_0000;

fn run(name: &str, code: &[u8], argument: u64) -> u64 {
    let address = driver_code(name, code);
    // SAFETY: the code takes at most one argument and returns.
    unsafe { machine::call1(address, argument) }
}

/// What the shared page holds at an offset, as a number of some bytes.
fn shared(offset: usize, size: usize) -> u64 {
    (0..size).fold(0, |value, i| value | u64::from(shared_byte(offset + i)) << (8 * i))
}

#[test]
fn cr8_is_the_irql() {
    let _processor = start();
    // mov rax, cr8; ret
    let read = driver_code("cr8.sys", b"\x44\x0F\x20\xC0\xC3");
    // mov cr8, rcx; mov rax, cr8; ret
    let write = driver_code("cr8w.sys", b"\x44\x0F\x22\xC1\x44\x0F\x20\xC0\xC3");
    // SAFETY: the code takes no argument and returns.
    let read = move || unsafe { machine::call1(read, 0) };
    // SAFETY: the code takes one argument and returns.
    let write = move |level| unsafe { machine::call1(write, level) };
    assert_eq!(read(), 0);
    assert_eq!(write(2), 2);
    assert_eq!(irql::current(), Irql::DISPATCH);
    assert_eq!(lowered(), []);
    assert_eq!(write(12), 12);
    assert_eq!(write(1), 1);
    assert_eq!(lowered(), [(Irql::new(12), Irql::APC)]);
    assert_eq!(write(0), 0);
    assert_eq!(read(), 0);
    let written: Vec<_> = privileged();
    assert_eq!(written.len(), 4, "only writes are told: {written:?}");
    assert_eq!(written[3], Privileged::WriteCr8(Irql::APC, Irql::PASSIVE));
}

#[test]
fn lowering_by_cr8_keeps_every_register() {
    let _processor = start();
    irql::raise(Irql::DISPATCH);
    // movq xmm0, rcx; mov eax, 0; cpuid-free: xor edx, edx; stc; mov cr8, rdx; adc eax, 0; movq rdx, xmm0;
    // shl rdx, 8; or rax, rdx; ret
    let code = b"\x66\x48\x0F\x6E\xC1\xB8\0\0\0\0\x31\xD2\xF9\x44\x0F\x22\xC2\x83\xD0\x00\x66\x48\x0F\x7E\xC2\x48\xC1\xE2\x08\x48\x09\xD0\xC3";
    assert_eq!(run("keep.sys", code, 0x1234), 0x12_3401);
    assert_eq!(lowered().len(), 1);
}

#[test]
fn shared_user_data_is_read_by_every_form_of_load() {
    let _processor = start();
    // Each: rcx = address in the page; the result in rax; the value it must have at offset 0x2C4.
    let at = 0x2C4;
    let (b, w, d, q) = (shared(at, 1), shared(at, 2), shared(at, 4), shared(at, 8));
    let old = 0x1111_1111_1111_1111_u64;
    let with = |low: u64, size: u32| (old & !((1u64 << (8 * size)) - 1)) | low;
    let forms: &[(&str, &[u8], u64)] = &[
        ("mov rax", b"\x48\x8B\x01\xC3", q),
        ("mov eax", b"\x8B\x01\xC3", d),
        ("mov ax", b"\x48\xB8\x11\x11\x11\x11\x11\x11\x11\x11\x66\x8B\x01\xC3", with(w, 2)),
        ("mov al", b"\x48\xB8\x11\x11\x11\x11\x11\x11\x11\x11\x8A\x01\xC3", with(b, 1)),
        ("mov rcx, [rcx]", b"\x48\x8B\x09\x48\x89\xC8\xC3", q),
        ("movzx eax, byte", b"\x0F\xB6\x01\xC3", b),
        ("movzx eax, word", b"\x0F\xB7\x01\xC3", w),
        ("movsx rax, byte", b"\x48\x0F\xBE\x01\xC3", i64::from(b as u8 as i8).cast_unsigned()),
        ("movsx eax, word", b"\x0F\xBF\x01\xC3", u64::from(i32::from(w as u16 as i16).cast_unsigned())),
        ("movsxd rax, dword", b"\x48\x63\x01\xC3", i64::from(d as u32 as i32).cast_unsigned()),
        ("add rax, [rcx]", b"\x31\xC0\x48\xFF\xC0\x48\x03\x01\xC3", q.wrapping_add(1)),
        ("sub eax, [rcx]", b"\x31\xC0\x2B\x01\xC3", u64::from(0u32.wrapping_sub(d as u32))),
        ("or eax, [rcx]", b"\x31\xC0\x0B\x01\xC3", d),
        ("and eax, [rcx]", b"\x83\xC8\xFF\x23\x01\xC3", d),
        ("xor rax, [rcx]", b"\x31\xC0\x48\x33\x01\xC3", q),
        // cmp byte [rcx], 0; setne al; movzx eax, al
        ("cmp", b"\x80\x39\x00\x0F\x95\xC0\x0F\xB6\xC0\xC3", u64::from(b != 0)),
        // test dword [rcx], -1; setz al; movzx eax, al
        ("test", b"\xF7\x01\xFF\xFF\xFF\xFF\x0F\x94\xC0\x0F\xB6\xC0\xC3", u64::from(d == 0)),
        // movdqu xmm0, [rcx]; movq rax, xmm0
        ("movdqu", b"\xF3\x0F\x6F\x01\x66\x48\x0F\x7E\xC0\xC3", q),
        ("movups", b"\x0F\x10\x01\x66\x48\x0F\x7E\xC0\xC3", q),
        ("movq", b"\xF3\x0F\x7E\x01\x66\x48\x0F\x7E\xC0\xC3", q),
        ("movd", b"\x66\x0F\x6E\x01\x66\x48\x0F\x7E\xC0\xC3", d),
        // mov r10, rcx; mov rax, [r10 - 4 + 4]: a displacement and an extended register
        ("r10 + disp8", b"\x49\x89\xCA\x49\x8B\x42\x04\xC3", shared(at + 4, 8)),
        // xor edx, edx; mov rax, [rcx + rdx * 8 + 8]
        ("index", b"\x31\xD2\x48\x8B\x44\xD1\x08\xC3", shared(at + 8, 8)),
        // push rsi; mov rsi, rcx; lodsd; sub rsi, rcx; shl rsi, 32; or rax, rsi; pop rsi
        ("lods", b"\x56\x48\x89\xCE\xAD\x48\x29\xCE\x48\xC1\xE6\x20\x48\x09\xF0\x5E\xC3", d | 4 << 32),
        ("cmovz", b"\x31\xC0\x48\x0F\x44\x01\xC3", q),
        // The base register is replaced: imul ecx, [rcx], 3; mov eax, ecx; ret
        ("imul over its base", b"\x6B\x09\x03\x89\xC8\xC3", u64::from((d as u32).wrapping_mul(3))),
        ("imul", b"\x6B\x01\x03\xC3", u64::from((d as u32).wrapping_mul(3))),
    ];
    for (name, code, expected) in forms {
        assert_eq!(run(name, code, SHARED + at as u64), *expected, "{name}");
    }
}

#[test]
fn shared_user_data_is_read_by_absolute_address() {
    let _processor = start();
    // mov rax, [0xFFFFF78000000014]; ret
    let mut code = vec![0x48, 0xA1];
    code.extend((SHARED + 0x14).to_le_bytes());
    code.push(0xC3);
    assert_eq!(run("moffs64.sys", &code, 0), shared(0x14, 8));
    code[0] = 0x40;
    assert_eq!(run("moffs32.sys", &code, 0), shared(0x14, 4));
}

#[test]
fn shared_user_data_is_copied_by_string_moves_and_by_memcpy() {
    let _processor = start();
    let mut buffer = [0u8; 128];
    let expected: Vec<u8> = (0x30..0x30 + 104).map(shared_byte).collect();
    // push rsi; push rdi; mov rdi, rcx; mov rsi, SHARED + 0x30; mov ecx, 13; rep movsq; mov rax, rsi;
    // pop rdi; pop rsi; ret
    let mut code = b"\x56\x57\x48\x89\xCF\x48\xBE".to_vec();
    code.extend((SHARED + 0x30).to_le_bytes());
    code.extend(b"\xB9\x0D\0\0\0\xF3\x48\xA5\x48\x89\xF0\x5F\x5E\xC3");
    let end = run("movs.sys", &code, (&raw mut buffer).expose_provenance() as u64);
    assert_eq!(end, SHARED + 0x30 + 104);
    assert_eq!(buffer[..104], expected[..]);
    assert_eq!(buffer[104..], [0; 24]);

    // mov rdx, SHARED + 0x30; mov r8d, 100; mov rax, memcpy; jmp rax
    let mut code = b"\x48\xBA".to_vec();
    code.extend((SHARED + 0x30).to_le_bytes());
    code.extend(b"\x41\xB8\x64\0\0\0\x48\xB8");
    code.extend((machine::crt::memcpy as *const () as usize as u64).to_le_bytes());
    code.extend(b"\xFF\xE0");
    let mut buffer = [0u8; 128];
    // Called, not jumped to, so that the return address is the driver's.
    let mut call = b"\x48\x83\xEC\x28\xE8\x05\0\0\0\x48\x83\xC4\x28\xC3".to_vec();
    call.extend(&code);
    run("memcpy.sys", &call, (&raw mut buffer).expose_provenance() as u64);
    // The leaf routine itself was called by a jump from code whose caller is this driver.
    assert_eq!(buffer[..100], expected[..100]);
}

#[test]
fn a_string_move_out_of_shared_user_data_faults_at_its_destination() {
    let _processor = start();
    // mov rdi, rcx; mov rsi, SHARED + 0x30; movsq; ret
    let mut code = b"\x48\x89\xCF\x48\xBE".to_vec();
    code.extend((SHARED + 0x30).to_le_bytes());
    code.extend(b"\x48\xA5\xC3");
    let stop = catch(|| run("dest.sys", &code, 0x5000)).unwrap_err();
    assert_eq!(stop.parameters[2..], [1, 0x5000]);
    assert_eq!(stop.registers.general[6], SHARED + 0x30, "rsi is the driver's own again");
}

#[test]
fn writes_to_shared_user_data_are_access_violations() {
    let _processor = start();
    // mov [rcx], eax; ret
    let stop = catch(|| run("write.sys", b"\x89\x01\xC3", SHARED + 8)).unwrap_err();
    assert_eq!((stop.code, stop.parameters[0]), (0x1E, 0xC000_0005));
    assert_eq!(stop.parameters[2..], [1, SHARED + 8]);
}

#[test]
fn control_registers_read_plausibly_and_are_guarded() {
    let _processor = start();
    let cr0 = run("cr0.sys", b"\x0F\x20\xC0\xC3", 0);
    assert_eq!(cr0 & 0x8001_0001, 0x8001_0001, "paging, write protection, protected mode");
    // mov cr0, rcx; ret: the same value is nothing, another one a stop.
    run("cr0w.sys", b"\x0F\x22\xC1\x33\xC0\xC3", cr0);
    let stop = catch(|| run("cr0x.sys", b"\x0F\x22\xC1\xC3", cr0 & !0x1_0000)).unwrap_err();
    assert_eq!((stop.code, stop.parameters[2]), (0x109, 0));
    assert_eq!(run("dr.sys", b"\x0F\x23\xC1\x0F\x21\xC0\xC3", 0x1234), 0x1234);
}

#[test]
fn model_specific_registers() {
    let processor = start();
    // rdmsr; shl rdx, 32; or rax, rdx; ret
    let read = b"\x0F\x32\x48\xC1\xE2\x20\x48\x09\xD0\xC3";
    assert_eq!(run("efer.sys", read, 0xC000_0080), 0xD01);
    assert_eq!(run("gs.sys", read, 0xC000_0101), std::ptr::from_ref(processor.kpcr()).addr() as u64);
    let stop = catch(|| run("msr.sys", read, 0xDEAD)).unwrap_err();
    assert_eq!((stop.code, stop.parameters[0]), (0x1E, 0xC000_0096));
    // xor eax, eax; xor edx, edx; wrmsr: a new system call entry.
    let stop = catch(|| run("lstar.sys", b"\x31\xC0\x31\xD2\x0F\x30\xC3", 0xC000_0082)).unwrap_err();
    assert_eq!((stop.code, stop.parameters[2], stop.parameters[3]), (0x109, 0xC000_0082, 7));
}

#[test]
fn ports_read_as_ones() {
    let _processor = start();
    privileged();
    assert_eq!(run("in8.sys", b"\x31\xC0\x89\xCA\xEC\xC3", 0x60), 0xFF);
    assert_eq!(run("in32.sys", b"\x31\xC0\x89\xCA\xED\xC3", 0xCF8), 0xFFFF_FFFF);
    run("out.sys", b"\x31\xC0\xE6\x80\xC3", 0);
    let told = privileged();
    assert_eq!(told[0], Privileged::Port { port: 0x60, write: false });
    assert_eq!(told[2], Privileged::Port { port: 0x80, write: true });
    // push rdi; mov rdi, rcx; mov ecx, 5000; rep insb; mov rax, rdi; pop rdi; ret
    let mut buffer = vec![0u8; 5001];
    let start = buffer.as_mut_ptr().expose_provenance() as u64;
    let end = run("ins.sys", b"\x57\x48\x89\xCF\xB9\x88\x13\0\0\xF3\x6C\x48\x89\xF8\x5F\xC3", start);
    assert_eq!(end - start, 5000);
    assert!(buffer[..5000].iter().all(|&byte| byte == 0xFF));
    assert_eq!(buffer[5000], 0);
}

#[test]
fn harmless_instructions_do_nothing() {
    let _processor = start();
    // cli; sti; hlt; clts; wbinvd; invlpg [rcx]; clac; stac; mov eax, 7; ret
    let code = b"\xFA\xFB\xF4\x0F\x06\x0F\x09\x0F\x01\x39\x0F\x01\xCA\x0F\x01\xCB\xB8\x07\0\0\0\xC3";
    assert_eq!(run("harmless.sys", code, 0), 7);
}

#[test]
fn interrupts_mean_what_nt_gives_them() {
    let _processor = start();
    // mov ecx, 3; int 29h
    let stop = catch(|| run("fail.sys", b"\xB9\x03\0\0\0\xCD\x29", 0)).unwrap_err();
    assert_eq!((stop.code, stop.parameters[0]), (0x139, 3));
    assert_eq!(stop.stack[0].module.as_deref(), Some("fail.sys"));
    for (name, code, exception) in [
        ("assert.sys", &b"\xCD\x2C\xC3"[..], 0xC000_0420),
        ("int3.sys", b"\xCC\xC3", 0x8000_0003),
        ("ud2.sys", b"\x0F\x0B", 0xC000_001D),
        ("xsetbv.sys", b"\x31\xC9\x31\xD2\x0F\x01\xD1\xC3", 0xC000_0096),
    ] {
        let address = driver_code(name, code);
        // SAFETY: the code ends in a stop.
        let stop = catch(|| unsafe { machine::call1(address, 0) }).unwrap_err();
        assert_eq!((stop.code, stop.parameters[0]), (0x1E, exception), "{name}");
        let offset = u64::from(name == "xsetbv.sys") * 4;
        assert_eq!(stop.parameters[1], address as u64 + offset, "{name}: at the instruction");
    }
    // mov eax, 1; int 2Dh; int 3; ret: printing without a debugger.
    assert_eq!(run("print.sys", b"\xB8\x01\0\0\0\xCD\x2D\xCC\xC3", 0), 0);
    let stop = catch(|| run("iret.sys", b"\x31\xC0\x50\x50\x50\x50\x50\x48\xCF", 0)).unwrap_err();
    assert_eq!((stop.code, stop.parameters[0]), (0x7F, 13));
}

#[test]
fn a_fault_that_the_supervisor_mends_is_run_again_but_not_for_ever() {
    let _processor = start();
    let page = unreadable_page();
    mend(1);
    assert_eq!(run("mend.sys", b"\x48\x8B\x01\xC3", page), 0x2A);
}

#[test]
fn jumps_to_nowhere_are_faults_of_the_caller() {
    let _processor = start();
    // sub rsp, 28h; call rcx; add rsp, 28h; ret
    let code = b"\x48\x83\xEC\x28\xFF\xD1\x48\x83\xC4\x28\xC3";
    let stop = catch(|| run("jump.sys", code, 0x1000)).unwrap_err();
    assert_eq!((stop.code, stop.parameters[0]), (0x1E, 0xC000_0005));
    assert_eq!(stop.parameters[2..], [8, 0x1000]);
    assert_eq!(stop.stack[0].address, 0x1000);
    assert_eq!(stop.stack[1].module.as_deref(), Some("jump.sys"));
}

#[test]
fn a_fault_at_raised_irql_is_a_stop_that_nobody_catches() {
    let _processor = start();
    support::fatal(Some(0x40));
    irql::raise(Irql::DISPATCH);
    let address = driver_code("fatal.sys", b"\x8B\x01\xC3");
    // SAFETY: the code ends in a stop.
    let stop = catch(|| unsafe { machine::call1(address, 0x40) }).unwrap_err();
    support::fatal(None);
    assert_eq!((stop.code, stop.parameters), (0xD1, [0x40, 2, 0, address as u64]));
    assert_eq!(stop.irql, Irql::DISPATCH);
}

#[test]
fn a_routine_of_the_kernel_that_faults_names_the_drivers_call() {
    extern "win64" fn routine(pointer: *const u64) -> u64 {
        // SAFETY: none: to fault is what the test wants.
        unsafe { pointer.read_volatile() }
    }
    let _processor = start();
    // sub rsp, 28h; mov rax, routine; call rax; add rsp, 28h; ret
    let mut code = b"\x48\x83\xEC\x28\x48\xB8".to_vec();
    code.extend((routine as *const () as usize as u64).to_le_bytes());
    code.extend(b"\xFF\xD0\x48\x83\xC4\x28\xC3");
    let stop = catch(|| run("caller.sys", &code, 0x18)).unwrap_err();
    assert_eq!((stop.code, stop.parameters[3]), (0x1E, 0x18));
    let call_site = stop.exception.unwrap().call_site.unwrap();
    assert_eq!((call_site.module.as_deref(), call_site.offset), (Some("caller.sys"), 16));
    assert!(matches!(origin(), Some(machine::supervisor::Origin::Kernel { call_site: Some(_) })));
    assert!(stop.stack.iter().any(|frame| frame.module.as_deref() == Some("caller.sys")));
}

#[test]
fn a_driver_that_loses_a_register_or_the_stack_is_stopped_at_the_edge() {
    let _processor = start();
    // xor ebx, ebx; not rbx; ret
    let stop = catch(|| run("rbx.sys", b"\x31\xDB\x48\xF7\xD3\xC3", 0)).unwrap_err();
    assert_eq!((stop.code, stop.parameters[0]), (0x1E, 0xC000_0028));
    // pop rax; push rax; push rax; ret 0: returns with the stack 8 bytes too low
    let stop = catch(|| run("rsp.sys", b"\x58\x50\x50\xC3", 0)).unwrap_err();
    assert_eq!((stop.code, stop.parameters[0]), (0x1E, 0xC000_0028));
    assert!(!machine::call::inside_driver_call());
}

#[test]
fn a_stack_pointer_to_nowhere_is_a_double_fault() {
    let _processor = start();
    // mov rsp, rcx; push rax
    let stop = catch(|| run("rsp0.sys", b"\x48\x89\xCC\x50", 0x100)).unwrap_err();
    assert_eq!((stop.code, stop.parameters[0]), (0x7F, 8));
}

#[test]
fn six_arguments_arrive() {
    let _processor = start();
    // lea rax, [rcx + rdx]; add rax, r8; add rax, r9; add rax, [rsp + 28h]; add rax, [rsp + 30h]; ret
    let code = b"\x48\x8D\x04\x11\x4C\x01\xC0\x4C\x01\xC8\x48\x03\x44\x24\x28\x48\x03\x44\x24\x30\xC3";
    let address = driver_code("six.sys", code);
    // SAFETY: the code takes six arguments.
    let sum = unsafe { machine::call_driver(address, [1, 20, 300, 4000, 50_000, 600_000]) };
    assert_eq!(sum, 654_321);
}
