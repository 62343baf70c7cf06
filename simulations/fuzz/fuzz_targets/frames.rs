//! See `roost_fuzz::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roost_fuzz::frames(data));
