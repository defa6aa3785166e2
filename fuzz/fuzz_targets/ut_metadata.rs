//! Metadata messages: read the same again, and parts are bounded.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| coreswarm::fuzzing::ut_metadata(data));
