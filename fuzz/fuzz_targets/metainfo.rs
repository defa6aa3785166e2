//! Metainfo: any bytes are refused or make a sound torrent.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| coreswarm::fuzzing::metainfo(data));
