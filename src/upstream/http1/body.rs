//! Where a response's body ends, and its bytes without their framing (RFC 9112 section 6.3).
//!
//! Pure and incremental: takes the connection's bytes in any segmentation. Invariant: a body is complete only when its
//! framing says so; an end that comes earlier is an error.
#![deny(clippy::disallowed_methods)]

use crate::transport::chunks::{ChunkFault, ChunkProgress, ChunkScanner};

/// Why a body cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection ended before the body.
    #[error("the response was cut")]
    Truncated,
    /// Its chunks are malformed.
    #[error("the response's chunks are malformed: {0}")]
    Malformed(#[from] ChunkFault),
}

/// How far a body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyProgress {
    /// It goes on.
    Partial,
    /// It is complete.
    Complete,
}

/// The framing of a body, and where in it the connection is.
#[derive(Debug)]
pub(super) enum BodyReader {
    Complete,
    Length(u64),
    Chunked(ChunkScanner),
    /// Trailers and all.
    ChunkedComplete(ChunkScanner),
    UntilClose,
}

impl BodyReader {
    pub(super) fn is_complete(&self) -> bool {
        matches!(
            self,
            Self::Complete | Self::ChunkedComplete(_) | Self::Length(0)
        )
    }

    /// Takes the next bytes and gives the data among them to `take`. Gives how many bytes belonged to the body.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]),
    ) -> Result<usize, BodyError> {
        match self {
            Self::Complete | Self::ChunkedComplete(_) => Ok(0),
            Self::UntilClose => {
                take(bytes);
                Ok(bytes.len())
            }
            Self::Length(left) => {
                let count = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                *left -= count as u64;
                take(&bytes[..count]);
                Ok(count)
            }
            Self::Chunked(scanner) => match scanner.decode(bytes, take)? {
                ChunkProgress::Partial => Ok(bytes.len()),
                ChunkProgress::Complete(count) => {
                    *self = Self::ChunkedComplete(std::mem::take(scanner));
                    Ok(count)
                }
            },
        }
    }

    /// The connection has ended.
    pub(super) fn end(&mut self) -> Result<(), BodyError> {
        match self {
            Self::UntilClose => *self = Self::Complete,
            other if other.is_complete() => {}
            _ => return Err(BodyError::Truncated),
        }
        Ok(())
    }

    pub(super) fn trailers(&self) -> &[u8] {
        match self {
            Self::ChunkedComplete(scanner) => scanner.trailers(),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut body: BodyReader, wire: &[u8], step: usize) -> (Vec<u8>, usize, BodyReader) {
        let (mut data, mut used) = (Vec::new(), 0);
        for piece in wire.chunks(step) {
            used += body
                .decode(piece, |bytes| data.extend_from_slice(bytes))
                .unwrap();
        }
        (data, used, body)
    }

    #[test]
    fn data_trailers_and_the_end_do_not_depend_on_how_the_bytes_are_cut() {
        let wire = b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nX: y\r\n\r\nHTTP/1.1";
        for step in 1..wire.len() {
            let chunked = BodyReader::Chunked(ChunkScanner::default());
            let (data, used, body) = read(chunked, wire, step);
            assert_eq!(data, b"abcd", "{step}");
            assert_eq!(used, wire.len() - 8, "{step}");
            assert!(
                body.is_complete() && body.trailers() == b"X: y\r\n",
                "{step}"
            );
        }
    }

    #[test]
    fn bytes_behind_a_length_are_not_of_the_body() {
        let (data, used, body) = read(BodyReader::Length(3), b"abcdef", 2);
        assert_eq!(
            (&data[..], used, body.is_complete()),
            (&b"abc"[..], 3, true)
        );
    }

    #[test]
    fn only_a_body_without_a_length_may_end_with_the_connection() {
        assert!(BodyReader::UntilClose.end().is_ok());
        assert!(BodyReader::Length(0).end().is_ok());
        assert!(BodyReader::Length(1).end().is_err());
        assert!(BodyReader::Chunked(ChunkScanner::default()).end().is_err());
    }
}
