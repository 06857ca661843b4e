//! The fuzzers' entry points on a stable compiler, with bytes at random: they build, and hold for what is tried here.
//!
//! What they hold is said in `fuzz/entries/`; `cargo fuzz` looks longer, and where coverage leads.

use proptest::prelude::*;

#[path = "../fuzz/entries/authority.rs"]
mod authority;
#[path = "../fuzz/entries/chunks.rs"]
mod chunks;
#[path = "../fuzz/entries/client_hello.rs"]
mod client_hello;
#[path = "../fuzz/entries/frames.rs"]
mod frames;
#[path = "../fuzz/entries/head.rs"]
mod head;
#[path = "../fuzz/entries/nginx.rs"]
mod nginx;
#[path = "../fuzz/entries/proxy_protocol.rs"]
mod proxy_protocol;
#[path = "../fuzz/entries/response.rs"]
mod response;
#[path = "../fuzz/entries/target.rs"]
mod target;

/// Bytes of all kinds, and those that parsers stop at.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        &b"GET / HTTP/1.1\r\n"[..],
        b"HTTP/1.1 200 OK\r\n",
        b"Content-Length: 3\r\n",
        b"\r\n\r\n",
        b"PROXY TCP4 ",
        b"\x16\x03\x01",
        b"server { ",
        b"}",
        b";",
        b"\"",
        b"\\",
        b"#",
        b"location ~ (",
        b"\n",
        b"%2F",
        b"[::1]:80",
        b"a.test",
        b"\x81\x05",
        b"0\r\n",
    ]);
    let one = prop_oneof![
        words.prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..24),
    ];
    prop::collection::vec(one, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_entry_point_of_a_fuzzer_finds_fault(input in bytes()) {
        authority::run(&input);
        chunks::run(&input);
        client_hello::run(&input);
        frames::run(&input);
        head::run(&input);
        nginx::run(&input);
        proxy_protocol::run(&input);
        response::run(&input);
        target::run(&input);
    }
}
