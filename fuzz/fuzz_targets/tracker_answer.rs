//! Tracker answers, HTTP and UDP, and extension handshakes: any bytes are bounded.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| coreswarm::fuzzing::tracker_answer(data));
