//! Any bytes as Procmon's PML: every event is told or rejected, once.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    telemetry::fuzzing::check_pml(bytes);
});
