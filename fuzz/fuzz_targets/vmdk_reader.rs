#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hypersdk_fuzz::vmdk_reader(data));
