//! Request heads: the verdict does not depend on how the bytes were cut into segments.
#![no_main]

#[path = "../entries/head.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
