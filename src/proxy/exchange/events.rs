//! Whether an event stream stands between two events, so that one of our own can follow.
//!
//! Pure. Looks at the ends of lines only (HTML, "Server-sent events", section 9.2.5): an event ends with an empty line, and lines end
//! with CR, LF or both. What is not an event stream is not looked at.
#![deny(clippy::disallowed_methods)]

/// Where an event stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Before the first event, or after an empty line.
    #[default]
    Between,
    /// Within a line, also of a comment.
    Line,
    /// After the end of a line that was not empty.
    LineEnd,
    /// As before, and a LF would still belong to that end.
    Return,
    /// After an empty line that ended with CR.
    EmptyReturn,
}

impl Place {
    /// After these bytes more.
    pub(super) fn after(self, bytes: &[u8]) -> Self {
        // Only what follows the last byte within a line counts.
        let last = memchr::memrchr2(b'\r', b'\n', bytes);
        let tail = bytes
            .iter()
            .rposition(|byte| !matches!(byte, b'\r' | b'\n'));
        let (mut place, ends) = match (tail, last) {
            (Some(tail), Some(end)) if end > tail => (Self::Line, &bytes[tail + 1..]),
            (Some(_), _) => return Self::Line,
            (None, _) => (self, bytes),
        };
        for byte in ends {
            place = match (place, byte) {
                (Self::Return, b'\n') => Self::LineEnd,
                (Self::EmptyReturn, b'\n') => Self::Between,
                (Self::Line, b'\r') => Self::Return,
                (Self::Line, _) => Self::LineEnd,
                (_, b'\r') => Self::EmptyReturn,
                (_, _) => Self::Between,
            };
        }
        place
    }

    /// Whether an event of our own can follow.
    pub(super) fn is_between(self) -> bool {
        matches!(self, Self::Between | Self::EmptyReturn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stream_stands_between_events_after_an_empty_line() {
        for (stream, between) in [
            ("", true),
            ("data: 1\n\n", true),
            ("data: 1\r\n\r\n", true),
            ("data: 1\r\r", true),
            (":keepalive\n\n", true),
            ("data: 1\n", false),
            ("data: 1\r\n", false),
            ("data: 1", false),
            ("data: 1\n\ndata: 2", false),
            ("data: 1\n\ndata: 2\n", false),
            ("data: 1\n\n\n\n", true),
        ] {
            assert_eq!(
                Place::default().after(stream.as_bytes()).is_between(),
                between,
                "{stream:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_into_pieces_does_not_matter(
            stream in "[a\r\n]{0,24}", at in 0..24_usize
        ) {
            let bytes = stream.as_bytes();
            let (one, other) = bytes.split_at(at.min(bytes.len()));
            let whole = Place::default().after(bytes);
            prop_assert_eq!(Place::default().after(one).after(other), whole);
            let single = bytes.iter().fold(Place::default(), |place, byte| place.after(&[*byte]));
            prop_assert_eq!(single, whole);
        }
    }
}
