#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hypersdk_fuzz::tar_header(data));
