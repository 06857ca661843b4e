//! The body of an answer that is too large to be held: pieces of a file, with text between them.
//!
//! Each piece is read on a thread of its own, when the client has room for it. Invariant: no more than one piece is in
//! memory, and a file that became shorter meanwhile is a failure, not the end.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// Bytes that are read at once.
const PIECE: u64 = 128 * 1024;

/// What is still to be sent.
#[derive(Clone, Debug)]
pub struct FileBody {
    file: Arc<File>,
    parts: VecDeque<Part>,
}

/// A piece of a body.
#[derive(Clone, Debug)]
pub enum Part {
    /// As it is.
    Text(Vec<u8>),
    /// These bytes of the file.
    Bytes(Range<u64>),
}

impl FileBody {
    /// Of these parts of a file.
    pub fn new(file: File, parts: impl IntoIterator<Item = Part>) -> Self {
        Self {
            file: Arc::new(file),
            parts: parts.into_iter().collect(),
        }
    }

    /// Its bytes in all.
    pub fn length(&self) -> u64 {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.len() as u64,
            Part::Bytes(range) => range.end - range.start,
        });
        lengths.sum()
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read, or is shorter than it was.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let range = match self.parts.front_mut() {
            None => return Ok(None),
            Some(Part::Text(text)) => {
                let text = std::mem::take(text);
                self.parts.pop_front();
                return Ok(Some(text));
            }
            Some(Part::Bytes(range)) => range,
        };
        let (at, count) = (range.start, (range.end - range.start).min(PIECE));
        range.start += count;
        if range.start == range.end {
            self.parts.pop_front();
        }
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; usize::try_from(count).unwrap_or_default()];
            file.read_exact_at(&mut piece, at)?;
            Ok(piece)
        });
        read.await
            .unwrap_or_else(|lost| Err(io::Error::other(lost)))
            .map(Some)
    }
}
