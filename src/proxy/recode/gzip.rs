//! gzip (RFC 1952), made and undone, a piece at a time.
//!
//! A compressor keeps about 300 KB while its answer is under way, less where the body is known to be short; the other way
//! about 40 KB.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::RecodeError;
use super::judge::GzipPlan;

/// Room that is made for what comes out.
const ROOM: usize = 16 * 1024;

/// Makes gzip.
#[derive(Debug)]
pub(super) struct Gzip {
    stream: Compress,
    /// Whether something was written that the client cannot read yet.
    unread: bool,
}

impl Gzip {
    pub(super) fn new(plan: GzipPlan) -> Self {
        Self {
            stream: Compress::new_gzip(Compression::new(plan.level.into()), plan.window()),
            unread: false,
        }
    }

    /// Bytes taken and made so far.
    pub(super) fn squeezed(&self) -> (u64, u64) {
        (self.stream.total_in(), self.stream.total_out())
    }

    pub(super) fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), RecodeError> {
        self.unread |= !piece.is_empty();
        self.run(piece, FlushCompress::None, out)
    }

    /// Has the other side read all that was written.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), RecodeError> {
        match std::mem::take(&mut self.unread) {
            true => self.run(b"", FlushCompress::Sync, out),
            false => Ok(()),
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), RecodeError> {
        self.run(b"", FlushCompress::Finish, out)
    }

    fn run(
        &mut self,
        mut piece: &[u8],
        flush: FlushCompress,
        out: &mut Vec<u8>,
    ) -> Result<(), RecodeError> {
        loop {
            out.reserve(ROOM);
            let before = self.stream.total_in();
            let status = self
                .stream
                .compress_vec(piece, out, flush)
                .map_err(RecodeError::Compress)?;
            let taken = self.stream.total_in() - before;
            piece = piece
                .get(usize::try_from(taken).unwrap_or(piece.len())..)
                .unwrap_or_default();
            let room_left = out.len() < out.capacity();
            if status == Status::StreamEnd || (piece.is_empty() && room_left) {
                return Ok(());
            }
        }
    }
}

/// Undoes it.
#[derive(Debug)]
pub(super) struct Gunzip {
    stream: Decompress,
    /// Whether it can give more without being given any.
    pub(super) has_more: bool,
    /// Whether it is between two parts, or before the first.
    between: bool,
}

impl Gunzip {
    pub(super) fn new() -> Self {
        Self {
            stream: fresh(),
            has_more: false,
            between: false,
        }
    }

    /// Undoes `piece` until `out` has `most` bytes, more or less. Gives how much of it was taken.
    pub(super) fn write(
        &mut self,
        piece: &[u8],
        out: &mut Vec<u8>,
        most: usize,
    ) -> Result<usize, RecodeError> {
        let mut rest = piece;
        while (!rest.is_empty() || self.has_more) && out.len() < most {
            if self.between {
                // Further parts may follow the first (RFC 1952 section 2.2).
                (self.stream, self.between) = (fresh(), false);
            }
            out.reserve(ROOM);
            let before = self.stream.total_in();
            let status = self
                .stream
                .decompress_vec(rest, out, FlushDecompress::None)
                .map_err(RecodeError::NotGzip)?;
            let taken = self.stream.total_in() - before;
            rest = rest
                .get(usize::try_from(taken).unwrap_or(rest.len())..)
                .unwrap_or_default();
            self.between = status == Status::StreamEnd;
            self.has_more = !self.between && out.len() == out.capacity();
        }
        Ok(piece.len() - rest.len())
    }

    /// Whether the body may end here.
    pub(super) fn ended(&self) -> Result<(), RecodeError> {
        match self.between {
            true => Ok(()),
            false => Err(RecodeError::CutShort),
        }
    }
}

fn fresh() -> Decompress {
    Decompress::new_gzip(15)
}
