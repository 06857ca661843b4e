//! Chunked bodies: the verdict does not depend on how the bytes were cut into segments, and nothing past the end is read.
#![no_main]

#[path = "../entries/chunks.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
