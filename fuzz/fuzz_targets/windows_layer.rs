#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyarch_fuzz::windows_layer::check(data));
