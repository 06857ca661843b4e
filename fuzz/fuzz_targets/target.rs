//! Request targets: cutting and rewriting lose no byte, whatever the bytes are.
#![no_main]

#[path = "../entries/target.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
