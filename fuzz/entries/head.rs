//! Request heads: the verdict does not depend on how the bytes were cut into segments.
//!
//! The first byte of the input is the length of the segments. An accepted head must end where its empty line does, so that
//! what follows is read as a body or as the next request by everybody alike.

use hubgate::transport::head::{HeadLimits, HeadProgress, HeadScanner};

const LIMITS: HeadLimits = HeadLimits {
    size: 4096,
    fields: 20,
    bare_lf: false,
    as_nginx: false,
    buffers: None,
};

/// Where the head ends, when it was accepted.
fn end<'a>(segments: impl Iterator<Item = &'a [u8]>) -> Option<usize> {
    let mut scanner = HeadScanner::new(LIMITS);
    let mut before = 0;
    for segment in segments {
        match scanner.feed(segment) {
            Ok(HeadProgress::Complete(length)) => return Some(before + length),
            Ok(HeadProgress::Partial) => before += segment.len(),
            Err(_) => return None,
        }
    }
    None
}

/// Holds what the header says of this input.
pub(crate) fn run(input: &[u8]) {
    let Some((&length, head)) = input.split_first() else {
        return;
    };
    let whole = end(std::iter::once(head));
    assert_eq!(
        whole,
        end(head.chunks(usize::from(length).max(1))),
        "segments of {length}"
    );
    if let Some(end) = whole {
        assert!(end <= LIMITS.size);
        assert!(head[..end].ends_with(b"\r\n\r\n"));
    }
}
