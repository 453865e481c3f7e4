//! The in-driver conformance suite: each driver under every profile, with the number of its checks held.
//!
//! ```text
//!   suite.rs          loading a suite's driver, its lines, what they must say
//!   races.rs          drivers/conformance/races.c
//!   registration.rs   drivers/conformance/registration.c
//! ```

mod races;
mod registration;
mod suite;
