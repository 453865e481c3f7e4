//! A panic stops the machine, as a broken invariant in the kernel must: bug check 0x52757374
//! (ASCII `Rust`), P1 the address of the source file's name, P2 its length, P3 line, P4 column.

use core::panic::PanicInfo;

use crate::{dbg_error, nt};

const BUG_CHECK_CODE: u32 = u32::from_be_bytes(*b"Rust");

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    dbg_error!("driver-kit: {info}");
    let (file, line, column) = info.location().map_or(("", 0, 0), |at| (at.file(), at.line(), at.column()));
    // SAFETY: KeBugCheckEx may be called at any IRQL and does not return.
    unsafe {
        nt::KeBugCheckEx(
            BUG_CHECK_CODE,
            file.as_ptr().addr(),
            file.len(),
            usize::try_from(line).unwrap_or(0),
            usize::try_from(column).unwrap_or(0),
        )
    }
}
