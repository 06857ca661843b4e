//! The `Host` field: what is accepted names the same host when it is printed and read again.
#![no_main]

#[path = "../entries/authority.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
