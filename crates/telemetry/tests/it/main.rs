//! What the readers tell of files, whole and damaged.
#![allow(missing_docs, reason = "tests")]

mod containers;
mod damage;
mod evtx_logs;
mod field;
mod shapes;
mod support;
