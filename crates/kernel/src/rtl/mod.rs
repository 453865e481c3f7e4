//! The run-time library: strings, formatting, and the C routines that ntoskrnl exports.
//!
//! ```text
//!   unicode.rs ansi.rs   counted strings             crt/           the C run-time library
//!   encode.rs  case.rs   characters                  memory.rs      copying, filling, comparing
//!   value.rs   name.rs   numbers, GUIDs, file names  printf.rs      formatting
//!   time.rs    random.rs times, numbers              exceptions.rs  raising and unwinding
//!   table.rs   tree.rs   generic tables              bitmap.rs      bits
//!   version.rs           which Windows this is       alias.rs       exports of the machine's routines
//! ```

pub(crate) mod alias;
pub mod ansi;
pub mod bitmap;
pub mod case;
pub mod crt;
pub mod encode;
pub mod exceptions;
pub mod image;
pub mod memory;
pub mod name;
pub(crate) mod printf;
pub mod random;
pub mod table;
pub mod time;
mod tree;
pub mod unicode;
pub mod value;
pub mod version;

pub(crate) use exceptions::raise_status;

/// The text of a counted string; what is no UTF-16 in it is replaced.
pub(crate) fn text_of(string: &nt_abi::UNICODE_STRING) -> String {
    if string.Buffer.is_null() {
        return String::new();
    }
    // SAFETY: a counted string's buffer has as many bytes as it says; a driver's that has not faults as on Windows.
    let units = unsafe { std::slice::from_raw_parts(string.Buffer, usize::from(string.Length) / 2) };
    String::from_utf16_lossy(units)
}
