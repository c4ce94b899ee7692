#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hypersdk_fuzz::ova_scan_verify(data));
