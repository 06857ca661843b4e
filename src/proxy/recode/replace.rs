//! Puts texts in the place of others in a body that goes by: nginx's `sub_filter`.
//!
//! Case counts for nothing in what is looked for. As much of the body waits as could be the beginning of a text. Of several
//! that begin at one place the first one of the list counts, as with nginx.

/// Texts, and what takes their places.
pub(super) type Pairs = [(Box<[u8]>, Box<[u8]>)];

/// Replaces them in one body.
#[derive(Debug)]
pub(super) struct Replacer {
    pairs: Vec<Pair>,
    once: bool,
    /// What has not been given on.
    held: Vec<u8>,
    /// With which bytes, in lower case, a text begins.
    begins: [bool; 256],
}

#[derive(Debug)]
struct Pair {
    from: Box<[u8]>,
    to: Box<[u8]>,
    done: bool,
}

impl Replacer {
    /// Replaces each of `pairs`, only the first of its kind if it is to be `once`.
    pub(super) fn new(pairs: &Pairs, once: bool) -> Self {
        let pairs = pairs.iter().filter(|(from, _)| !from.is_empty());
        let pair = |(from, to): &(Box<[u8]>, Box<[u8]>)| Pair {
            from: from.clone(),
            to: to.clone(),
            done: false,
        };
        let pairs: Vec<_> = pairs.map(pair).collect();
        let mut begins = [false; 256];
        for pair in &pairs {
            begins[usize::from(pair.from[0].to_ascii_lowercase())] = true;
        }
        Self {
            pairs,
            once,
            held: Vec::new(),
            begins,
        }
    }

    /// Gives on what becomes of a piece.
    pub(super) fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(piece);
        let open = self.pairs.iter().filter(|pair| !(self.once && pair.done));
        let longest = open.map(|pair| pair.from.len()).max().unwrap_or(1);
        self.run((self.held.len() + 1).saturating_sub(longest), out);
    }

    /// Gives on what is left at the body's end.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.run(self.held.len(), out);
    }

    /// Looks at what begins before `end`.
    fn run(&mut self, end: usize, out: &mut Vec<u8>) {
        let (mut from, mut at) = (0, 0);
        while at < end {
            let rest = &self.held[at..];
            if !self.begins[usize::from(rest[0].to_ascii_lowercase())] {
                at += 1;
                continue;
            }
            let once = self.once;
            let fits = |pair: &&mut Pair| {
                let start = rest.get(..pair.from.len());
                !(once && pair.done)
                    && start.is_some_and(|own| own.eq_ignore_ascii_case(&pair.from))
            };
            let Some(pair) = self.pairs.iter_mut().find(fits) else {
                at += 1;
                continue;
            };
            pair.done = true;
            out.extend_from_slice(&self.held[from..at]);
            out.extend_from_slice(&pair.to);
            at += pair.from.len();
            from = at;
        }
        out.extend_from_slice(&self.held[from..at]);
        self.held.drain(..at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn replaced(pairs: &[(&str, &str)], once: bool, pieces: &[&[u8]]) -> String {
        let pairs = pairs.iter();
        let pairs: Vec<_> = pairs
            .map(|(from, to)| (from.as_bytes().into(), to.as_bytes().into()))
            .collect();
        let mut replacer = Replacer::new(&pairs, once);
        let mut out = Vec::new();
        for piece in pieces {
            replacer.write(piece, &mut out);
        }
        replacer.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_replaced_whatever_their_case_once_or_always() {
        let pairs = [("foobar", "x"), ("foo", "bar"), ("o", "")];
        let text: &[&[u8]] = &[b"a FO", b"O fooB", b"Ar fooo"];
        assert_eq!(replaced(&pairs, false, text), "a bar x bar");
        assert_eq!(replaced(&pairs, true, text), "a bar x foo");
        let pairs = [("foo", "bar"), ("foobar", "x"), ("o", "")];
        assert_eq!(replaced(&pairs, false, text), "a bar barBAr bar");
    }

    proptest! {
        #[test]
        fn how_a_body_is_cut_does_not_matter(text in "[ab]{0,40}", cuts in prop::collection::vec(1usize..5, 0..20)) {
            let pairs = [("aba", "<1>"), ("bb", "<2>")];
            for once in [false, true] {
                let whole = replaced(&pairs, once, &[text.as_bytes()]);
                let mut pieces = Vec::new();
                let mut rest = text.as_bytes();
                for cut in &cuts {
                    let (piece, more) = rest.split_at((*cut).min(rest.len()));
                    pieces.push(piece);
                    rest = more;
                }
                pieces.push(rest);
                prop_assert_eq!(replaced(&pairs, once, &pieces), whole);
            }
        }
    }
}
