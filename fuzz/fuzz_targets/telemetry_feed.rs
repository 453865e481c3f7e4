//! Any bytes as a file and as a pipe: both give the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((drops, bytes)) = bytes.split_first() else { return };
    telemetry::oracle::check_feed(bytes, usize::from(*drops));
});
