#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| losant::testing::fuzzing::session(data));
