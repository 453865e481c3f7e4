//! What it costs to cross into driver code, and what a trap costs there.

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use support::{Driver, driver_code, start};

extern "win64" fn nothing() -> u64 {
    0
}

fn edge(criterion: &mut Criterion) {
    let _processor = start();
    // lea rax, [rcx + rdx]; ret
    let address = driver_code("edge.sys", b"\x48\x8D\x04\x11\xC3");
    // SAFETY: the code above has this signature.
    let bare = unsafe { std::mem::transmute::<usize, extern "win64" fn(u64, u64, u64) -> u64>(address) };
    let mut group = criterion.benchmark_group("edge");
    group.bench_function("bare win64 call", |b| b.iter(|| black_box(bare)(black_box(1), 2, 3)));
    group.bench_function("call3", |b| {
        // SAFETY: as above.
        b.iter(|| unsafe { machine::call3(black_box(address), black_box(1), 2, 3) })
    });
    group.finish();
}

fn trap(criterion: &mut Criterion) {
    let _processor = start();
    let cr8 = driver_code("cr8.sys", b"\x44\x0F\x20\xC0\xC3");
    let load = driver_code("load.sys", b"\x48\x8B\x01\xC3");
    let add = driver_code("add.sys", b"\x48\x03\x01\xC3");
    let shared = 0xFFFF_F780_0000_0014;
    let mut group = criterion.benchmark_group("trap");
    // SAFETY: no argument.
    group.bench_function("mov rax, cr8", |b| b.iter(|| unsafe { machine::call1(cr8, 0) }));
    // SAFETY: the argument is an address that the machine serves.
    group.bench_function("mov rax, [shared data]", |b| b.iter(|| unsafe { machine::call1(load, shared) }));
    // SAFETY: as above.
    group.bench_function("add rax, [shared data]", |b| b.iter(|| unsafe { machine::call1(add, shared) }));
    group.finish();
}

fn exception(criterion: &mut Criterion) {
    let _processor = start();
    let handler = machine::seh::c_specific::c_specific_handler as *const () as usize;
    let nothing = nothing as *const () as usize;
    let imports: Vec<(&str, usize)> = include_str!("../tests/data/seh.def")
        .lines()
        .map(|name| (name, if name == "__C_specific_handler" { handler } else { nothing }))
        .collect();
    let driver = Driver::load("seh.sys", include_bytes!("../tests/data/seh.sys"), &imports);
    criterion.bench_function("exception/access violation caught by __except", |b| {
        b.iter(|| driver.call("Simple", [0x10, 0, 0]));
    });
}

criterion_group!(benches, edge, trap, exception);
criterion_main!(benches);
