//! Hash trees (BEP 52): requests of any numbers are refused or answered by what proves itself.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| coreswarm::fuzzing::merkle(data));
