//! Magnet links: any text is refused or reads the same once it is written out.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| coreswarm::fuzzing::magnet(data));
