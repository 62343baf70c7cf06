//! See `roost_fuzz::handshakes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roost_fuzz::handshakes(data));
