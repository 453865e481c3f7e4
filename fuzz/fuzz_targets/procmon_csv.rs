//! Any bytes as Procmon's CSV: every record is told or rejected, once.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    telemetry::fuzzing::check_csv(bytes);
});
