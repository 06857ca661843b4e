//! nginx configurations: any bytes are read or refused, with the place of the fault inside of them.
#![no_main]

#[path = "../entries/nginx.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
