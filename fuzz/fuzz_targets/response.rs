//! Response heads: whatever an upstream sends, what is written to a client says one framing, and the one that was meant.
#![no_main]

#[path = "../entries/response.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
