//! Event tracing: providers that drivers register, and what they write.
//!
//! ```text
//!   provider.rs  EtwRegister … EtwUnregister       write.rs  EtwWrite… and the old WPP way, WmiTraceMessage
//! ```
//!
//! No session is ever started on a bench, so no provider is enabled, and what is written goes nowhere, as on a
//! Windows where nobody listens. Registrations are real: one that a driver leaves behind is told.

pub mod provider;
pub mod write;

pub(crate) use provider::{State, report_leaks};
