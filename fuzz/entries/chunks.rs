//! Chunked bodies: the verdict does not depend on how the bytes were cut into segments, and nothing past the end is read.
//!
//! The first byte of the input is the length of the segments.

use hubgate::transport::chunks::{ChunkProgress, ChunkScanner};

/// Where the body ends and what its trailers are, when it was accepted.
fn end<'a>(segments: impl Iterator<Item = &'a [u8]>) -> Option<(usize, Vec<u8>)> {
    let mut scanner = ChunkScanner::default();
    let mut before = 0;
    for segment in segments {
        match scanner.feed(segment) {
            Ok(ChunkProgress::Complete(length)) => {
                return Some((before + length, scanner.trailers().to_vec()));
            }
            Ok(ChunkProgress::Partial) => before += segment.len(),
            Err(_) => return None,
        }
    }
    None
}

/// Holds what the header says of this input.
pub(crate) fn run(input: &[u8]) {
    let Some((&length, body)) = input.split_first() else {
        return;
    };
    let whole = end(std::iter::once(body));
    let cut = end(body.chunks(usize::from(length).max(1)));
    assert_eq!(whole, cut, "segments of {length}");
    if let Some((end, _)) = whole {
        assert!(body[..end].ends_with(b"\r\n"));
    }
}
