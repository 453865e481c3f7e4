//! Any bytes as the chunks of an event log: read to their end.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    telemetry::oracle::check_evtx(bytes);
});
