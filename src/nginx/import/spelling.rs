//! Variables in the one spelling that nginx knows them by: `$isMobile` is `$ismobile` to it, and so is what `(?<isMobile>..)` takes.
//!
//! Done once to the whole file, so that whoever reads it later compares names as they are. Texts of other languages stay as
//! they were written, and so does what follows the number of a group.

use std::borrow::Cow;

use crate::nginx::tree::{Block, Directive, Tree, Word};

/// What expressions begin a group's name with, and what ends it.
const GROUPS: [(&[u8], u8); 3] = [(b"(?<", b'>'), (b"(?P<", b'>'), (b"(?'", b'\'')];

/// The tree with the names of variables in lower case; itself where they are.
pub(super) fn of(tree: &Tree) -> Cow<'_, Tree> {
    if !tree.directives.iter().any(is_mixed) {
        return Cow::Borrowed(tree);
    }
    let mut tree = tree.clone();
    tree.directives.iter_mut().for_each(lower);
    Cow::Owned(tree)
}

fn is_mixed(own: &Directive) -> bool {
    let mut words = own.words.iter();
    words.any(|word| lowered(word).is_some()) || own.children().iter().any(is_mixed)
}

fn lower(own: &mut Directive) {
    for word in &mut own.words {
        if let Some(bytes) = lowered(word) {
            word.bytes = bytes;
        }
    }
    if let Some(Block::Directives(inner) | Block::Rows(inner)) = &mut own.block {
        inner.iter_mut().for_each(lower);
    }
}

/// A word whose names are in lower case; `None` where they are already.
fn lowered(word: &Word) -> Option<Box<[u8]>> {
    let mut bytes = word.bytes.clone();
    let starts = memchr::memchr_iter(b'$', &word.bytes).map(|at| at + 1);
    for start in starts {
        let braced = word.bytes.get(start) == Some(&b'{');
        down(&mut bytes, start + usize::from(braced));
    }
    for (begin, end) in GROUPS {
        for at in memchr::memmem::find_iter(&word.bytes, begin) {
            let start = at + begin.len();
            let length = name(&word.bytes, start);
            if length > 0 && word.bytes.get(start + length) == Some(&end) {
                down(&mut bytes, start);
            }
        }
    }
    (bytes != word.bytes).then_some(bytes)
}

fn down(bytes: &mut [u8], start: usize) {
    let length = name(bytes, start);
    if let Some(name) = bytes.get_mut(start..start + length) {
        name.make_ascii_lowercase();
    }
}

/// How long the name is that begins there.
fn name(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    if rest.first().is_some_and(u8::is_ascii_digit) {
        return 0;
    }
    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    rest.iter().take_while(is_name).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx::tree::Place;

    fn spelt(text: &str) -> String {
        let place = Place {
            file: 0,
            line: 1,
            column: 1,
        };
        let word = Word {
            bytes: text.as_bytes().into(),
            place,
        };
        let bytes = lowered(&word).unwrap_or(word.bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn names_of_variables_and_groups_are_in_lower_case_and_nothing_else_is() {
        for (written, meant) in [
            ("$isMobile", "$ismobile"),
            ("A${Name}B-$X", "A${name}B-$x"),
            (
                "^/(?<User>[A-Z]+)/(?P<Rest>.*)$",
                "^/(?<user>[A-Z]+)/(?P<rest>.*)$",
            ),
            ("(?'Q'X)", "(?'q'X)"),
            ("(?<=Look)(?<!Behind)A$", "(?<=Look)(?<!Behind)A$"),
            ("(\\.PHP$|B)", "(\\.PHP$|B)"),
            ("$1Abc", "$1Abc"),
            ("Plain", "Plain"),
        ] {
            assert_eq!(spelt(written), meant);
        }
    }
}
