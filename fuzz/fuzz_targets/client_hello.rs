//! ClientHellos: the verdict does not depend on how many bytes have come, and no more than the bound are asked for.
#![no_main]

#[path = "../entries/client_hello.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
