//! The readers as their users see them: what they tell of files, whole and damaged.
#![allow(missing_docs, reason = "tests")]

mod containers;
mod damage;
mod data;
mod evtx_logs;
mod field;
mod procmon_real;
mod shapes;
mod support;
