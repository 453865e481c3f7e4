//! The one place the crate takes its atomics from.
//!
//! `tests/shuttle.rs` compiles the sources a second time with a module of this name that hands out
//! shuttle's atomics instead, so that what is model-checked is the code itself and not a copy of it.

pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
