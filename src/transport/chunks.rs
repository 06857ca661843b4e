//! Reads the framing of a chunked body (RFC 9112 section 7.1), strictly, and keeps its trailers.
//!
//! Pure and incremental: takes the body's bytes in any segmentation, says where it ends or what is wrong. The engine
//! decodes the same bytes; what this refuses is what lenient decoders disagree about: sizes without digits, bare CR
//! or LF, white space where none belongs, data that does not end where its size says. Invariant: never looks past the
//! body's end; what it keeps is bounded.
#![deny(clippy::disallowed_methods)]

/// Extensions of all chunks together: nobody needs them, and they count for nothing.
const EXTENSIONS: usize = 16 * 1024;
/// The trailer section.
const TRAILERS: usize = 16 * 1024;

/// What is wrong with a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkFault {
    /// Not a hexadecimal number where a size belongs, or one that is too large.
    #[error("a chunk size is not a hexadecimal number")]
    Size,
    /// A line does not end with CR LF.
    #[error("a chunk line does not end with CR LF")]
    LineEnd,
    /// Extensions with control characters, or too many.
    #[error("chunk extensions are malformed or too long")]
    Extension,
    /// A chunk's data goes on after its size.
    #[error("a chunk is longer than its size")]
    DataEnd,
    /// A trailer line that is no field, or too many of them.
    #[error("the trailer section is malformed or too long")]
    Trailer,
}

/// How far the body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkProgress {
    /// The body goes on.
    Partial,
    /// The body ends after this many of the bytes just given.
    Complete(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size { digits: u8, value: u64 },
    Space { value: u64 },
    Extension { value: u64 },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
}

const START: At = At::Size {
    digits: 0,
    value: 0,
};

/// Reads one chunked body.
#[derive(Debug)]
pub struct ChunkScanner {
    at: At,
    extensions: usize,
    trailers: Vec<u8>,
}

impl Default for ChunkScanner {
    fn default() -> Self {
        Self {
            at: START,
            extensions: 0,
            trailers: Vec::new(),
        }
    }
}

impl ChunkScanner {
    /// Takes the next bytes. After `Complete` or a fault there is nothing more to give.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<ChunkProgress, ChunkFault> {
        self.decode(bytes, |_| {})
    }

    /// As [`Self::feed`]; gives the data among `bytes` to `take`, in order.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]),
    ) -> Result<ChunkProgress, ChunkFault> {
        let mut at = 0;
        while at < bytes.len() {
            if let At::Data { left } = self.at {
                let count = usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len() - at);
                take(&bytes[at..at + count]);
                at += count;
                self.at = match left - count as u64 {
                    0 => At::DataCr,
                    left => At::Data { left },
                };
                continue;
            }
            let ended = self.at == At::EndLf;
            self.at = self.step(bytes[at])?;
            at += 1;
            if ended {
                return Ok(ChunkProgress::Complete(at));
            }
        }
        Ok(ChunkProgress::Partial)
    }

    /// The trailer fields so far, one line each with its CR LF; complete once the body is.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    fn step(&mut self, byte: u8) -> Result<At, ChunkFault> {
        Ok(match (self.at, byte) {
            (At::Size { digits, value }, _) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                if digits >= 15 {
                    return Err(ChunkFault::Size);
                }
                At::Size {
                    digits: digits + 1,
                    value: value << 4 | digit,
                }
            }
            (At::Size { digits: 0, .. }, _) => return Err(ChunkFault::Size),
            (At::Size { value, .. } | At::Extension { value }, b'\r') => At::SizeLf { value },
            (At::Size { value, .. } | At::Space { value }, b';') => At::Extension { value },
            (At::Size { value, .. } | At::Space { value }, b' ' | b'\t') => At::Space { value },
            (At::Size { .. } | At::Space { .. }, _) => return Err(ChunkFault::Size),
            (At::Extension { value }, _) => {
                self.extensions += 1;
                if self.extensions > EXTENSIONS || is_control(byte) {
                    return Err(ChunkFault::Extension);
                }
                At::Extension { value }
            }
            (At::SizeLf { value: 0 }, b'\n') => At::TrailerStart,
            (At::SizeLf { value }, b'\n') => At::Data { left: value },
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => START,
            (At::DataCr | At::DataLf, _) => return Err(ChunkFault::DataEnd),
            (At::TrailerStart, b'\r') => At::EndLf,
            (At::EndLf, b'\n') => At::EndLf,
            (At::TrailerStart | At::TrailerName, _) if is_token(byte) => {
                self.keep(byte, At::TrailerName)?
            }
            (At::TrailerName, b':') => self.keep(byte, At::TrailerValue)?,
            (At::TrailerValue, b'\r') => self.keep(byte, At::TrailerLf)?,
            (At::TrailerValue, _) if !is_control(byte) => self.keep(byte, At::TrailerValue)?,
            (At::TrailerLf, b'\n') => self.keep(byte, At::TrailerStart)?,
            (At::TrailerStart | At::TrailerName | At::TrailerValue, _) => {
                return Err(ChunkFault::Trailer);
            }
            (At::SizeLf { .. } | At::TrailerLf | At::EndLf, _) => return Err(ChunkFault::LineEnd),
            // `feed` skips data without looking at it.
            (At::Data { left }, _) => At::Data { left },
        })
    }

    fn keep(&mut self, byte: u8, next: At) -> Result<At, ChunkFault> {
        if self.trailers.len() >= TRAILERS {
            return Err(ChunkFault::Trailer);
        }
        self.trailers.push(byte);
        Ok(next)
    }
}

/// A control character other than a tab.
/// Writes the line that begins a chunk of `size` bytes.
pub fn write_size(size: usize, wire: &mut Vec<u8>) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let value = (size >> (digit * 4)) & 0xf;
        wire.push(b"0123456789abcdef"[value]);
    }
    wire.extend_from_slice(b"\r\n");
}

fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// A `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(bytes: &[u8]) -> Result<ChunkProgress, ChunkFault> {
        ChunkScanner::default().feed(bytes)
    }

    #[test]
    fn a_body_ends_after_its_trailers_and_not_later() {
        let body = b"5;a=b\r\nhello\r\nA \t;x\r\n0123456789\r\n0\r\nX-Sum: 1\r\nY: \xff\r\n\r\n";
        let mut bytes = body.to_vec();
        bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
        let mut scanner = ChunkScanner::default();
        assert_eq!(
            scanner.feed(&bytes),
            Ok(ChunkProgress::Complete(body.len()))
        );
        assert_eq!(scanner.trailers(), b"X-Sum: 1\r\nY: \xff\r\n");
    }

    #[test]
    fn framing_that_decoders_read_differently_is_refused() {
        for (body, fault) in [
            (&b"\r\nabc\r\n0\r\n\r\n"[..], ChunkFault::Size),
            (b"0x5\r\nhello\r\n", ChunkFault::Size),
            (b"-1\r\n", ChunkFault::Size),
            (b" 5\r\nhello\r\n", ChunkFault::Size),
            (b"5 \r\nhello\r\n", ChunkFault::Size),
            (b"5\nhello\r\n", ChunkFault::Size),
            (b"5\r\nhello0\r\n", ChunkFault::DataEnd),
            (b"5\r\nhello\n0\r\n\r\n", ChunkFault::DataEnd),
            (b"5;a\nb\r\nhello\r\n", ChunkFault::Extension),
            (b"5\rhello", ChunkFault::LineEnd),
            (b"0\r\n folded: x\r\n\r\n", ChunkFault::Trailer),
            (b"0\r\nX : y\r\n\r\n", ChunkFault::Trailer),
            (b"0\r\nX: y\n\r\n", ChunkFault::Trailer),
            (b"0\r\n\rX", ChunkFault::LineEnd),
            (b"1000000000000000\r\n", ChunkFault::Size),
        ] {
            assert_eq!(scan(body), Err(fault), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn endless_extensions_and_trailers_are_cut() {
        assert_eq!(
            scan(format!("1;{}", "a".repeat(20_000)).as_bytes()),
            Err(ChunkFault::Extension)
        );
        assert_eq!(
            scan(format!("0\r\nA: {}", "a".repeat(20_000)).as_bytes()),
            Err(ChunkFault::Trailer)
        );
    }

    #[test]
    fn a_chunk_size_is_written_as_it_is_read() {
        for size in [0, 1, 15, 16, 255, 256, 65_535, 65_536, usize::MAX] {
            let mut line = Vec::new();
            write_size(size, &mut line);
            assert_eq!(line, format!("{size:x}\r\n").as_bytes());
        }
    }

    proptest! {
        #[test]
        fn the_answer_does_not_depend_on_how_the_bytes_are_cut(
            body in "([0-3]|1a|)(;x|)(\r\n|\n)[ab]{0,3}(\r\n)(0\r\n)(A: b\r\n){0,2}(\r\n|\n)G{0,3}",
            step in 1usize..6,
        ) {
            let bytes = body.as_bytes();
            let whole = scan(bytes);
            let mut scanner = ChunkScanner::default();
            let mut cut = Ok(ChunkProgress::Partial);
            for (index, piece) in bytes.chunks(step).enumerate() {
                cut = scanner.feed(piece).map(|progress| match progress {
                    ChunkProgress::Complete(n) => ChunkProgress::Complete(index * step + n),
                    partial => partial,
                });
                if cut != Ok(ChunkProgress::Partial) { break; }
            }
            prop_assert_eq!(cut, whole);
        }

        #[test]
        fn no_bytes_make_the_scanner_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(scan(&bytes).is_ok() || scan(&bytes).is_err());
        }
    }
}
