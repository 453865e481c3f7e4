//! Any bytes as a recording: what is read has an account, and is the same when it is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    telemetry::fuzzing::check_cbr(bytes);
});
