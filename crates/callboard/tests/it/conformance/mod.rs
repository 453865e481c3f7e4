//! The in-driver conformance suite: each driver under every profile, with the number of its checks held.
//!
//! ```text
//!   suite.rs          loading a suite's driver, its lines, what they must say
//!   choices.rs        the other answers to contested points
//!   context.rs        drivers/conformance/context.c
//!   races.rs          drivers/conformance/races.c
//!   registration.rs   drivers/conformance/registration.c
//!   structures.rs     drivers/conformance/structures.c
//! ```

mod choices;
mod context;
mod races;
mod registration;
mod structures;
mod suite;
