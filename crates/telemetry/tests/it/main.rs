//! The readers as their users see them.

mod data;
mod procmon_real;
