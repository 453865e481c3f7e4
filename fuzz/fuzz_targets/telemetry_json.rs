//! Any bytes as events in JSON: cut into records, and each read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    telemetry::oracle::check_json(bytes);
});
