//! Any bytes as recordings on lines: each line is told or rejected, and what is told is the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    telemetry::fuzzing::check_lines(bytes);
});
