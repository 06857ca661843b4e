//! Response heads: whatever an upstream sends, what is written to a client says one framing, and the one that was meant.

use http::{Method, Version};
use hubgate::proxy::filter::response::{Afterwards, Client, Framing, Own, framing, write};
use hubgate::upstream::http1::Parsed;

/// Holds what the header says of this input.
pub(crate) fn run(input: &[u8]) {
    let mut parsed = Parsed::default();
    let Ok(Some(size)) = parsed.parse(input) else {
        return;
    };
    assert!(size <= input.len());
    let head = parsed.with(input);
    if head.status().is_informational() {
        return;
    }
    let framing = framing(&head, Client::of(&Method::GET, Version::HTTP_11), false);
    let mut wire = Vec::new();
    write(
        &head,
        framing,
        Afterwards::Keep,
        b"today",
        &Own::default(),
        &mut wire,
    );
    let mut again = Parsed::default();
    assert_eq!(again.parse(&wire), Ok(Some(wire.len())));
    let to = again.with(&wire);
    assert_eq!(to.is_chunked(), framing == Framing::Chunked);
    if let Framing::Length(length) = framing {
        assert_eq!(to.length(), Some(length));
    }
}
