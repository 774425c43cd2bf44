#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ironwal_fuzz::targets::frame::run(data));
