//! `memcpy`, `memmove`, `memset`, `memcmp`, `RtlCompareMemory`: leaf routines that a fault passes through.
//!
//! Drivers copy from memory that may fault inside of `__try`. These routines use no stack and only registers
//! that a callee may change, and lie in one section; a fault in that section is unwound like a leaf function:
//! the return address is on top of the stack and every other register is the driver's. Rust may call them
//! too, but then a fault is one of our own code; Rust uses [`crate::guarded`] for doubtful addresses.

/// The section of leaf routines. A routine in it (`#[unsafe(link_section = "machine_leaf")]`, naked) must not move
/// the stack pointer nor change a register that the Microsoft ABI preserves.
pub const LEAF_SECTION: &str = "machine_leaf";

unsafe extern "C" {
    // Made by the linker for a section whose name is an identifier.
    static __start_machine_leaf: u8;
    static __stop_machine_leaf: u8;
}

/// Whether an instruction belongs to a leaf routine.
pub fn is_leaf(address: usize) -> bool {
    // Refers to one of them, or the linker drops a section that the program does not use, and its ends with it.
    std::hint::black_box(memmove as *const ());
    let start = (&raw const __start_machine_leaf).addr();
    let stop = (&raw const __stop_machine_leaf).addr();
    (start..stop).contains(&address)
}

/// Copies `count` bytes, which may overlap; answers `destination`. Any IRQL if the memory is resident.
///
/// # Safety
/// As `memmove` of C; a bad address is a fault, raised at the driver's call.
#[unsafe(naked)]
#[unsafe(link_section = "machine_leaf")]
pub unsafe extern "win64" fn memmove(destination: *mut u8, source: *const u8, count: usize) -> *mut u8 {
    std::arch::naked_asm!(
        "mov rax, rcx",
        "mov r9, rcx",
        "sub r9, rdx",
        "cmp r9, r8",
        "jb 20f",
        // Upwards, 32 bytes at a time.
        "sub r8, 32",
        "jb 3f",
        "2:",
        "movdqu xmm0, [rdx]",
        "movdqu xmm1, [rdx + 16]",
        "movdqu [rcx], xmm0",
        "movdqu [rcx + 16], xmm1",
        "add rdx, 32",
        "add rcx, 32",
        "sub r8, 32",
        "jae 2b",
        "3:",
        "test r8b, 16",
        "jz 4f",
        "movdqu xmm0, [rdx]",
        "movdqu [rcx], xmm0",
        "add rdx, 16",
        "add rcx, 16",
        "4:",
        "test r8b, 8",
        "jz 5f",
        "mov r9, [rdx]",
        "mov [rcx], r9",
        "add rdx, 8",
        "add rcx, 8",
        "5:",
        "test r8b, 4",
        "jz 6f",
        "mov r9d, [rdx]",
        "mov [rcx], r9d",
        "add rdx, 4",
        "add rcx, 4",
        "6:",
        "test r8b, 2",
        "jz 7f",
        "movzx r9d, word ptr [rdx]",
        "mov [rcx], r9w",
        "add rdx, 2",
        "add rcx, 2",
        "7:",
        "test r8b, 1",
        "jz 8f",
        "movzx r9d, byte ptr [rdx]",
        "mov [rcx], r9b",
        "8:",
        "ret",
        // Downwards: the destination begins inside of the source.
        "20:",
        "add rcx, r8",
        "add rdx, r8",
        "sub r8, 32",
        "jb 23f",
        "22:",
        "movdqu xmm0, [rdx - 16]",
        "movdqu xmm1, [rdx - 32]",
        "movdqu [rcx - 16], xmm0",
        "movdqu [rcx - 32], xmm1",
        "sub rdx, 32",
        "sub rcx, 32",
        "sub r8, 32",
        "jae 22b",
        "23:",
        "add r8, 32",
        "jz 25f",
        "24:",
        "movzx r9d, byte ptr [rdx - 1]",
        "mov [rcx - 1], r9b",
        "dec rdx",
        "dec rcx",
        "dec r8",
        "jnz 24b",
        "25:",
        "ret",
    )
}

/// `memcpy`: the same routine, because drivers do rely on overlapping copies to work.
pub use memmove as memcpy;

/// Sets `count` bytes to the low byte of `value`; answers `destination`.
///
/// # Safety
/// As `memset` of C; a bad address is a fault, raised at the driver's call.
#[unsafe(naked)]
#[unsafe(link_section = "machine_leaf")]
pub unsafe extern "win64" fn memset(destination: *mut u8, value: i32, count: usize) -> *mut u8 {
    std::arch::naked_asm!(
        "mov rax, rcx",
        "movzx edx, dl",
        "mov r9, 0x0101010101010101",
        "imul rdx, r9",
        "movq xmm0, rdx",
        "punpcklqdq xmm0, xmm0",
        "sub r8, 32",
        "jb 3f",
        "2:",
        "movdqu [rcx], xmm0",
        "movdqu [rcx + 16], xmm0",
        "add rcx, 32",
        "sub r8, 32",
        "jae 2b",
        "3:",
        "test r8b, 16",
        "jz 4f",
        "movdqu [rcx], xmm0",
        "add rcx, 16",
        "4:",
        "test r8b, 8",
        "jz 5f",
        "mov [rcx], rdx",
        "add rcx, 8",
        "5:",
        "test r8b, 4",
        "jz 6f",
        "mov [rcx], edx",
        "add rcx, 4",
        "6:",
        "test r8b, 2",
        "jz 7f",
        "mov [rcx], dx",
        "add rcx, 2",
        "7:",
        "test r8b, 1",
        "jz 8f",
        "mov [rcx], dl",
        "8:",
        "ret",
    )
}

/// Compares `count` bytes; answers a number below, equal to or above zero.
///
/// # Safety
/// As `memcmp` of C; a bad address is a fault, raised at the driver's call.
#[unsafe(naked)]
#[unsafe(link_section = "machine_leaf")]
pub unsafe extern "win64" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    std::arch::naked_asm!(
        "cmp r8, 8",
        "jb 3f",
        "2:",
        "mov r9, [rcx]",
        "mov r10, [rdx]",
        "cmp r9, r10",
        "jne 5f",
        "add rcx, 8",
        "add rdx, 8",
        "sub r8, 8",
        "cmp r8, 8",
        "jae 2b",
        "3:",
        "test r8, r8",
        "jz 4f",
        "movzx r9d, byte ptr [rcx]",
        "movzx r10d, byte ptr [rdx]",
        "inc rcx",
        "inc rdx",
        "dec r8",
        "cmp r9d, r10d",
        "je 3b",
        "mov eax, r9d",
        "sub eax, r10d",
        "ret",
        "4:",
        "xor eax, eax",
        "ret",
        // The first byte in memory is the most significant one once the words are turned around.
        "5:",
        "bswap r9",
        "bswap r10",
        "cmp r9, r10",
        "sbb eax, eax",
        "or eax, 1",
        "ret",
    )
}

/// `RtlCompareMemory`: how many bytes from the start are equal.
///
/// # Safety
/// As `memcmp` of C; a bad address is a fault, raised at the driver's call.
#[unsafe(naked)]
#[unsafe(link_section = "machine_leaf")]
pub unsafe extern "win64" fn compare_memory(left: *const u8, right: *const u8, count: usize) -> usize {
    std::arch::naked_asm!(
        "xor eax, eax",
        "2:",
        "lea r9, [rax + 8]",
        "cmp r9, r8",
        "ja 3f",
        "mov r10, [rcx + rax]",
        "cmp r10, [rdx + rax]",
        "jne 3f",
        "mov rax, r9",
        "jmp 2b",
        "3:",
        "cmp rax, r8",
        "jae 4f",
        "movzx r9d, byte ptr [rcx + rax]",
        "cmp r9b, [rdx + rax]",
        "jne 4f",
        "inc rax",
        "jmp 3b",
        "4:",
        "ret",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern() -> Vec<u8> {
        (0..200u8).map(|i| i.wrapping_mul(37) ^ 0x5A).collect()
    }

    #[test]
    fn copies_agree_with_rusts_for_all_lengths_and_overlaps() {
        for length in 0..=100 {
            for (from, to) in [(0, 100), (0, 1), (1, 0), (0, 17), (40, 20), (20, 40), (5, 5)] {
                let (mut ours, mut theirs) = (pattern(), pattern());
                // SAFETY: both ranges lie in the 200 bytes.
                let end = unsafe { memmove(ours.as_mut_ptr().add(to), ours.as_ptr().add(from), length) };
                theirs.copy_within(from..from + length, to);
                assert_eq!(ours, theirs, "{length} bytes from {from} to {to}");
                assert_eq!(end, ours.as_mut_ptr().wrapping_add(to));
            }
        }
    }

    #[test]
    fn memset_fills_exactly_what_was_asked_for() {
        for length in 0..=100 {
            let (mut ours, mut theirs) = (pattern(), pattern());
            // SAFETY: the range lies in the 200 bytes.
            unsafe { memset(ours.as_mut_ptr().add(3), 0x1_23AB, length) };
            theirs[3..3 + length].fill(0xAB);
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn comparisons_see_the_first_difference() {
        let left = pattern();
        for length in 0..=64 {
            for at in 0..64 {
                for change in [0u8, 1, 0x80] {
                    let mut right = pattern();
                    right[at] ^= change;
                    // SAFETY: both are 200 bytes long.
                    let order = unsafe { memcmp(left.as_ptr(), right.as_ptr(), length) };
                    assert_eq!(order.signum(), left[..length].cmp(&right[..length]) as i32);
                    // SAFETY: as above.
                    let equal = unsafe { compare_memory(left.as_ptr(), right.as_ptr(), length) };
                    assert_eq!(equal, (0..length).take_while(|&i| left[i] == right[i]).count());
                }
            }
        }
    }

    #[test]
    fn only_the_section_is_leaf() {
        assert!(is_leaf(memcmp as *const () as usize));
        assert!(!is_leaf(pattern as *const () as usize));
    }
}
