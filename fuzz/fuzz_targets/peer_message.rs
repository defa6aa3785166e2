//! Peer messages: any stream decodes the same however it is cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| coreswarm::fuzzing::peer_message(data));
