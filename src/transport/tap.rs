//! Reads along what an upstream answers, for the trailers that the engine drops.
//!
//! While heads come their bytes are kept, because the engine may have read the beginning of the body with them; once
//! the final head is known, chunks are followed. Only watches: a body it cannot follow has no trailers. Bounded.
#![deny(clippy::disallowed_methods)]

use super::chunks::{ChunkProgress, ChunkScanner};

/// Larger heads have no trailers.
const MOST: usize = 64 * 1024;

/// What is followed.
#[derive(Debug, Default)]
pub(super) struct Tap {
    kept: Vec<u8>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Off,
    Heads,
    Chunks(ChunkScanner),
    Complete(ChunkScanner),
}

impl Tap {
    /// A response is about to begin.
    pub(super) fn begin(&mut self) {
        self.kept.clear();
        self.state = State::Heads;
    }

    /// Bytes on their way to the engine.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Heads if self.kept.len() + bytes.len() <= MOST => {
                self.kept.extend_from_slice(bytes)
            }
            State::Heads => self.state = State::Off,
            State::Chunks(_) => self.follow(bytes),
            State::Off | State::Complete(_) => {}
        }
    }

    /// The heads had this many bytes; the rest of what was kept is body.
    pub(super) fn head_read(&mut self, heads: usize, chunked: bool) {
        let kept = std::mem::take(&mut self.kept);
        self.state = match (&self.state, chunked) {
            (State::Heads, true) => State::Chunks(ChunkScanner::default()),
            _ => State::Off,
        };
        if let Some(body) = kept.get(heads..)
            && matches!(self.state, State::Chunks(_))
        {
            self.follow(body);
        }
        self.kept = kept;
        self.kept.clear();
    }

    /// The trailers of a body that has been read to its end.
    pub(super) fn trailers(&self) -> Vec<u8> {
        match &self.state {
            State::Complete(scanner) => scanner.trailers().to_vec(),
            _ => Vec::new(),
        }
    }

    fn follow(&mut self, bytes: &[u8]) {
        let State::Chunks(scanner) = &mut self.state else {
            return;
        };
        match scanner.feed(bytes) {
            Ok(ChunkProgress::Partial) => {}
            Ok(ChunkProgress::Complete(_)) => self.state = State::Complete(std::mem::take(scanner)),
            Err(_) => self.state = State::Off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_found_wherever_the_head_was_cut_from_the_body() {
        let (head, body) = (
            &b"HTTP/1.1 200 OK\r\n\r\n"[..],
            &b"1\r\na\r\n0\r\nX: y\r\n\r\n"[..],
        );
        let all = [head, body].concat();
        for cut in 0..all.len() {
            let mut tap = Tap::default();
            tap.begin();
            let read_with_head = cut.max(head.len());
            tap.see(&all[..read_with_head]);
            tap.head_read(head.len(), true);
            tap.see(&all[read_with_head..]);
            assert_eq!(tap.trailers(), b"X: y\r\n", "cut at {cut}");
        }
    }
}
