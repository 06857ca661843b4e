//! Copies field lines, those that lie behind each other in what was received in one piece.
//!
//! Pure. Most fields of a head pass as they came: then their bytes are already as they are to be written, and one copy of all
//! is cheaper than four for each. Invariant: what is written of a field is `name: value` and CR LF, wherever it came from.
#![deny(clippy::disallowed_methods)]

use super::request::field;

/// Field lines on their way from `source` to a buffer.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    source: &'a [u8],
    /// What is yet to be copied.
    from: usize,
    to: usize,
}

impl<'a> Lines<'a> {
    /// Lines of which most are parts of `source`.
    pub(super) fn of(source: &'a [u8]) -> Self {
        Self {
            source,
            from: 0,
            to: 0,
        }
    }

    /// One more field passes.
    pub(super) fn pass(&mut self, name: &[u8], value: &[u8], wire: &mut Vec<u8>) {
        let Some((from, to)) = self.whole(name, value) else {
            self.finish(wire);
            return field(wire, name, value);
        };
        if from != self.to {
            self.finish(wire);
            self.from = from;
        }
        self.to = to;
    }

    /// Copies what is left.
    pub(super) fn finish(&mut self, wire: &mut Vec<u8>) {
        let left = self.source.get(self.from..self.to);
        wire.extend_from_slice(left.unwrap_or_default());
        self.from = self.to;
    }

    /// Where the field's line is in the source, if it is there as it would be written.
    fn whole(&self, name: &[u8], value: &[u8]) -> Option<(usize, usize)> {
        let base = self.source.as_ptr() as usize;
        let from = (name.as_ptr() as usize).wrapping_sub(base);
        let colon = from.wrapping_add(name.len());
        let begin = (value.as_ptr() as usize).wrapping_sub(base);
        let end = begin.wrapping_add(value.len());
        // Only what is a part of the source has its place in it.
        let is_line = begin == colon.wrapping_add(2)
            && self.source.get(colon..begin) == Some(b": ")
            && self.source.get(end..end.wrapping_add(2)) == Some(b"\r\n");
        is_line.then_some((from, end + 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of the fields that pass, given where each name and value begins and ends.
    fn passed(source: &[u8], fields: &[[usize; 4]]) -> String {
        let mut wire = b"> ".to_vec();
        let mut lines = Lines::of(source);
        for [name, colon, value, end] in fields {
            lines.pass(&source[*name..*colon], &source[*value..*end], &mut wire);
        }
        lines.finish(&mut wire);
        String::from_utf8(wire).unwrap()
    }

    #[test]
    fn what_is_written_does_not_depend_on_how_it_lay_there() {
        let source = b"A: 1\r\nB:2\r\nC: 3\r\nD: 4 \r\nE: \r\nF: 6\n";
        let (a, b, c) = ([0, 1, 3, 4], [6, 7, 8, 9], [11, 12, 14, 15]);
        let (d, e, f) = ([17, 18, 20, 21], [24, 25, 27, 27], [29, 30, 32, 33]);
        for (fields, written) in [
            (
                &[a, b, c, d, e, f][..],
                "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: 6\r\n",
            ),
            (&[a, c], "A: 1\r\nC: 3\r\n"),
            (&[c, a, a], "C: 3\r\nA: 1\r\nA: 1\r\n"),
            (&[e], "E: \r\n"),
            (&[], ""),
        ] {
            assert_eq!(passed(source, fields), format!("> {written}"));
        }
    }

    #[test]
    fn what_is_not_of_the_source_is_written_in_its_place() {
        let source = b"A: 1\r\nC: 3\r\n";
        let mut wire = Vec::new();
        let mut lines = Lines::of(source);
        lines.pass(&source[..1], &source[3..4], &mut wire);
        lines.pass(b"B", b"2", &mut wire);
        lines.pass(&source[6..7], b"9", &mut wire);
        lines.pass(b"D", &source[9..10], &mut wire);
        lines.pass(&source[6..7], &source[9..10], &mut wire);
        lines.finish(&mut wire);
        assert_eq!(wire, b"A: 1\r\nB: 2\r\nC: 9\r\nD: 3\r\nC: 3\r\n");
    }
}
