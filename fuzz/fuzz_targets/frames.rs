//! WebSocket frames: boundaries are found wherever the bytes are cut.
#![no_main]

#[path = "../entries/frames.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
