//! Any bytes as a file: unpacked, its format told, and read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    telemetry::oracle::check(bytes);
});
