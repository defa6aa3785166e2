//! Hash requests (BEP 52): what is read is bounded and round-trips.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| coreswarm::fuzzing::hash_request(data));
