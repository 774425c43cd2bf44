#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ironwal_fuzz::targets::lz4::run(data));
