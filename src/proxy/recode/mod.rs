//! Changes the body of an answer while it goes by: gzip is undone, texts are replaced, gzip is made.
//!
//! Which answers are changed is `judge`'s to decide; a [`Recoder`] does it to one of them, piece by piece. Invariants: what
//! is made at once is bounded, however well the body was compressed; what a pause leaves with the client can be read as
//! far as it came.

mod gzip;
mod judge;
mod replace;

use gzip::{Gunzip, Gzip};
pub(super) use judge::{Asker, Plan, judge, takes_gzip, would};
use replace::Replacer;

/// Bytes that are made at once, some kilobytes more aside.
const MOST: usize = 64 * 1024;

/// Bytes that are looked at once.
const SLICE: usize = 16 * 1024;

/// Why a body cannot be changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecodeError {
    /// What came is not what it was said to be.
    #[error("the body is not gzip")]
    NotGzip(#[source] flate2::DecompressError),
    /// It ends before its end.
    #[error("the body ends before its gzip does")]
    CutShort,
    /// The library failed.
    #[error("the body cannot be compressed")]
    Compress(#[source] flate2::CompressError),
}

/// Changes one body.
#[derive(Debug)]
pub(super) struct Recoder {
    gunzip: Option<Gunzip>,
    /// What follows that.
    rest: Rest,
    /// What came and has not been looked at, from `at` on.
    held: Vec<u8>,
    at: usize,
    /// Between the two.
    plain: Vec<u8>,
    made: Vec<u8>,
    ended: bool,
    done: bool,
}

impl Recoder {
    /// One that does this.
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            gunzip: plan.gunzip.then(Gunzip::new),
            rest: Rest {
                replacer: plan
                    .replace
                    .map(|(pairs, once)| Replacer::new(&pairs, once)),
                gzip: plan.gzip.map(Gzip::new),
                replaced: Vec::new(),
            },
            held: Vec::new(),
            at: 0,
            plain: Vec::new(),
            made: Vec::new(),
            ended: false,
            done: false,
        }
    }

    /// Takes a piece of the body. What is taken before more is made of it is kept.
    pub(super) fn take(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    /// Takes note that the body has ended.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether [`Self::make`] has something to do.
    pub(super) fn has_more(&self) -> bool {
        self.holds() || (self.ended && !self.done)
    }

    /// Whether all of the body has been made.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Bytes before compression and after; none without.
    pub(super) fn squeezed(&self) -> (u64, u64) {
        self.rest.gzip.as_ref().map_or((0, 0), Gzip::squeezed)
    }

    fn holds(&self) -> bool {
        self.at < self.held.len() || self.gunzip.as_ref().is_some_and(|own| own.has_more)
    }

    /// What becomes of what came, or of a part of it.
    ///
    /// # Errors
    /// The body is not what its head said, which is found out when a part of it has been given.
    pub(super) fn make(&mut self) -> Result<&[u8], RecodeError> {
        self.made.clear();
        while self.holds() && self.made.len() < MOST {
            let end = self.held.len().min(self.at + SLICE);
            let slice = self.held.get(self.at..end).unwrap_or_default();
            match &mut self.gunzip {
                None => {
                    self.at = end;
                    self.rest.write(slice, &mut self.made)?;
                }
                Some(gunzip) => {
                    self.plain.clear();
                    self.at += gunzip.write(slice, &mut self.plain, MOST)?;
                    self.rest.write(&self.plain, &mut self.made)?;
                }
            }
        }
        if !self.holds() {
            self.held.clear();
            self.at = 0;
            if self.ended && !self.done {
                self.done = true;
                if let Some(gunzip) = &self.gunzip {
                    gunzip.ended()?;
                }
                self.rest.finish(&mut self.made)?;
            }
        }
        Ok(&self.made)
    }

    /// What the client needs to read all that came so far, because no more comes for now.
    ///
    /// # Errors
    /// The library failed.
    pub(super) fn pause(&mut self) -> Result<&[u8], RecodeError> {
        self.made.clear();
        if let Some(gzip) = self.rest.gzip.as_mut().filter(|_| !self.done) {
            gzip.flush(&mut self.made)?;
        }
        Ok(&self.made)
    }

    /// What becomes of a whole body, and what it was compressed from and to.
    ///
    /// # Errors
    /// It is not what its head says.
    pub(super) fn whole(plan: Plan, body: &[u8]) -> Result<(Vec<u8>, (u64, u64)), RecodeError> {
        let mut recoder = Self::new(plan);
        recoder.take(body);
        recoder.end();
        let mut all = Vec::new();
        while recoder.has_more() {
            all.extend_from_slice(recoder.make()?);
        }
        Ok((all, recoder.squeezed()))
    }
}

/// What follows when a body is plain.
#[derive(Debug)]
struct Rest {
    replacer: Option<Replacer>,
    gzip: Option<Gzip>,
    /// Between the two.
    replaced: Vec<u8>,
}

impl Rest {
    fn write(&mut self, piece: &[u8], made: &mut Vec<u8>) -> Result<(), RecodeError> {
        let Some(replacer) = &mut self.replacer else {
            return step(&mut self.gzip, piece, made);
        };
        self.replaced.clear();
        replacer.write(piece, &mut self.replaced);
        step(&mut self.gzip, &self.replaced, made)
    }

    fn finish(&mut self, made: &mut Vec<u8>) -> Result<(), RecodeError> {
        if let Some(replacer) = &mut self.replacer {
            self.replaced.clear();
            replacer.finish(&mut self.replaced);
            step(&mut self.gzip, &self.replaced, made)?;
        }
        match &mut self.gzip {
            Some(gzip) => gzip.finish(made),
            None => Ok(()),
        }
    }
}

/// Compresses a piece, or gives it as it is.
fn step(gzip: &mut Option<Gzip>, piece: &[u8], made: &mut Vec<u8>) -> Result<(), RecodeError> {
    match gzip {
        Some(gzip) => gzip.write(piece, made),
        None => {
            made.extend_from_slice(piece);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gzip(body: &[u8]) -> Vec<u8> {
        Recoder::whole(Plan::gzip(4, None), body).unwrap().0
    }

    fn plain(body: &[u8]) -> Result<Vec<u8>, RecodeError> {
        Recoder::whole(Plan::gunzip(), body).map(|(body, _)| body)
    }

    #[test]
    fn a_bomb_is_undone_a_bounded_piece_at_a_time() {
        let bomb = gzip(&vec![b'x'; 50_000_000]);
        let mut recoder = Recoder::new(Plan::gunzip());
        recoder.take(&bomb);
        recoder.end();
        let (mut most, mut all) = (0, 0);
        while recoder.has_more() {
            let made = recoder.make().unwrap().len();
            (most, all) = (most.max(made), all + made);
        }
        assert_eq!(all, 50_000_000);
        assert!(most <= 2 * MOST, "{most}");
    }

    #[test]
    fn a_pause_gives_all_that_came_and_a_second_one_nothing() {
        let mut recoder = Recoder::new(Plan::gzip(4, None));
        recoder.take(b"data: 1\n\n");
        let mut given = recoder.make().unwrap().to_vec();
        given.extend_from_slice(recoder.pause().unwrap());
        assert!(recoder.pause().unwrap().is_empty());
        let mut reader = Recoder::new(Plan::gunzip());
        reader.take(&given);
        assert_eq!(reader.make().unwrap(), b"data: 1\n\n");
    }

    #[test]
    fn what_is_no_gzip_or_half_of_it_is_refused() {
        let whole = gzip(b"a longer body, so that there is something to cut off");
        assert!(plain(&whole[..whole.len() - 3]).is_err());
        assert!(plain(b"plain text").is_err());
        let twice = [&*whole, &whole].concat();
        assert_eq!(plain(&twice).unwrap().len(), 2 * 52);
    }

    proptest! {
        #[test]
        fn what_was_compressed_in_any_pieces_comes_back(
            pieces in prop::collection::vec(prop::collection::vec(0u8..4, 0..40_000), 0..6),
            level in 1u8..10, pauses in any::<bool>(),
        ) {
            let all: Vec<u8> = pieces.concat();
            let mut recoder = Recoder::new(Plan::gzip(level, Some(all.len() as u64)));
            let mut made = Vec::new();
            for piece in &pieces {
                recoder.take(piece);
                while recoder.has_more() {
                    made.extend_from_slice(recoder.make().unwrap());
                }
                if pauses {
                    made.extend_from_slice(recoder.pause().unwrap());
                }
            }
            recoder.end();
            while recoder.has_more() {
                made.extend_from_slice(recoder.make().unwrap());
            }
            prop_assert_eq!(plain(&made).unwrap(), all);
        }
    }
}
