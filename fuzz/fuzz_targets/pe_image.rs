//! Any bytes as a driver file: parsed, mapped if they parse, and asked everything.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    pe_image::fuzzing::check(bytes);
});
