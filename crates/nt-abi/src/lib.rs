//! NT types, constants and status values, with layouts asserted at compile time.
//!
//! ```text
//!   status  bugcheck            what a routine answers; what a stop says
//!   profile                     which Windows is stood in for, and what it has
//!   strings list types          UNICODE_STRING, LIST_ENTRY, HANDLE …
//!   ke ex    ps    ob   se      dispatcher objects and locks · processes · objects · security
//!   mm       cm    io   file    memory · registry · drivers, devices and IRPs · files
//!   seh      flt   rtl          exceptions and unwinding · the filter manager · run-time library
//! ```
//!
//! Every name is also exported from the root, so that code reads as it does in C. Names, field names
//! and values are those of Microsoft's public headers for x64 (LLP64); each structure is declared with
//! the offsets of its fields and its size, and the build fails when one of them is not met.
//! Enumerations of C are `u32` aliases with constants: a driver may pass any value, so a Rust `enum`
//! would be undefined behaviour at the boundary. Nothing here behaves; small helpers such as
//! [`NTSTATUS::is_success`] or [`Profile::has`] are the limit.
#![no_std]
#![expect(non_camel_case_types, reason = "names are those of the NT headers")]
#![expect(non_snake_case, reason = "fields are named as in the NT headers")]
#![expect(non_upper_case_globals, reason = "enumerators are named as in the NT headers")]

#[macro_use]
mod macros;

pub mod bugcheck;
pub mod cm;
pub mod ex;
pub mod file;
pub mod flt;
pub mod io;
pub mod ke;
pub mod list;
pub mod mm;
pub mod ob;
pub mod profile;
pub mod ps;
pub mod rtl;
pub mod se;
pub mod seh;
pub mod status;
pub mod strings;
pub mod types;

pub use bugcheck::*;
pub use cm::*;
pub use ex::*;
pub use file::*;
pub use flt::*;
pub use io::*;
pub use ke::*;
pub use list::*;
pub use mm::*;
pub use ob::*;
pub use profile::*;
pub use ps::*;
pub use rtl::*;
pub use se::*;
pub use seh::*;
pub use status::*;
pub use strings::*;
pub use types::*;
