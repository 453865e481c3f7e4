//! What sandbox this machine gives, by a real try.

use super::report::{Layer, Measure, Policy, Report, State};
use crate::bench::{BenchError, BenchOptions};
use crate::protocol::{Reply, Request};
use crate::{Bench, sandbox};

/// Puts the whole sandbox on a throwaway host and reports what came of it.
///
/// # Errors
/// When no host can be started at all. That the system-call filter is missing is no error but a
/// missing [`Layer::SystemCalls`].
pub fn probe() -> Result<sandbox::Report, BenchError> {
    let options = BenchOptions { sandbox: Policy::Required, ..BenchOptions::new(nt_abi::Profile::default()) };
    let mut bench = Bench::begin(options, &Request::Probe)?;
    match bench.first_reply() {
        Ok(Reply::Booted(report)) => Ok(report),
        Ok(other) => Err(BenchError::Died(format!("it answered {other:?}"))),
        Err(BenchError::Died(why)) => {
            Ok(Report { measures: vec![Measure { layer: Layer::SystemCalls, state: State::Missing(why) }] })
        }
        Err(other) => Err(other),
    }
}
