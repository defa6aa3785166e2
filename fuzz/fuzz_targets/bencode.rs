//! Bencode: any bytes parse or fail, and every value lies where it says.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| coreswarm::fuzzing::bencode(data));
