//! PROXY headers: the verdict does not depend on how many bytes have come, a header ends within them and the bound, and every
//! value in it can be asked for.
#![no_main]

#[path = "../entries/proxy_protocol.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
