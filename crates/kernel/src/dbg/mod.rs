//! Debug output: DbgPrint and its relatives.

pub mod debugger;
pub mod print;

pub(crate) use print::flush_line;
