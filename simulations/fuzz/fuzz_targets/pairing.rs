//! See `roost_fuzz::pairing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roost_fuzz::pairing(data));
