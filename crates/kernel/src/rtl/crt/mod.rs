//! The C run-time routines that ntoskrnl exports, in the C locale.
//!
//! ```text
//!   text.rs    both widths of strings, generic      string.rs wide.rs  under their names
//!   number.rs  from and to digits                   ctype.rs   kinds of characters
//!   print.rs   sprintf and its many relatives       sort.rs    qsort, bsearch, rand
//! ```
//!
//! Source for all of them: the C standard, and for what Microsoft adds (`_s`, `_…`) its C run-time reference.

pub mod ctype;
pub mod number;
pub mod print;
pub mod sort;
pub mod string;
mod text;
pub mod wide;

/// The C error for an argument that is none.
pub(crate) const EINVAL: i32 = 22;
/// The C error for a buffer that is too small.
pub(crate) const ERANGE: i32 = 34;
/// The C error for a copy that was cut off, as was asked for.
pub(crate) const STRUNCATE: i32 = 80;
/// `_TRUNCATE`: as much as there is room for.
pub(crate) const TRUNCATE: usize = usize::MAX;
