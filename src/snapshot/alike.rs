//! A list in which things that are alike are kept once.
//!
//! Of ten thousand sites nearly all have the same to say: each is a number here, and what the number stands for is
//! asked so often that nobody waits for it. Who fills the list says what is alike; what is unlike costs its number beside
//! itself. Invariant: what is got by an index serves as well as what was pushed for it.

use std::collections::HashMap;
use std::ops::Index;

/// Of so many with the same key a thing may turn out to be like one.
const COMPARED: usize = 4;

/// What stands at an index, and `M` beside it, of each index its own.
#[derive(Debug)]
pub struct Alike<T, M = ()> {
    each: Vec<(u32, M)>,
    kept: Vec<T>,
}

impl<T, M: Copy> Alike<T, M> {
    /// What stands there.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.kept.get(self.each.get(index)?.0 as usize)
    }

    /// What is beside it.
    pub fn beside(&self, index: usize) -> Option<M> {
        self.each.get(index).map(|each| each.1)
    }

    /// What there is, once.
    pub fn into_kept(self) -> Vec<T> {
        self.kept
    }
}

impl<T, M: Copy> Index<usize> for Alike<T, M> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.kept[self.each[index].0 as usize]
    }
}

/// A list that is being filled.
#[derive(Debug)]
pub(super) struct Gathering<T, M = ()> {
    list: Alike<T, M>,
    /// What to compare with, by what must be equal anyway.
    by_key: HashMap<usize, Vec<u32>>,
}

impl<T, M> Default for Gathering<T, M> {
    fn default() -> Self {
        let list = Alike {
            each: Vec::new(),
            kept: Vec::new(),
        };
        Self {
            list,
            by_key: HashMap::new(),
        }
    }
}

impl<T, M> Gathering<T, M> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.each.len()
    }

    /// Adds a thing, which is kept unless `alike` finds one among those with its key.
    pub(super) fn push(
        &mut self,
        (thing, beside): (T, M),
        key: usize,
        alike: impl Fn(&T, &T) -> bool,
    ) {
        let known = self.by_key.entry(key).or_default();
        let kept = &self.list.kept;
        let like = |number: &&u32| {
            let other = kept.get(**number as usize);
            other.is_some_and(|other| alike(other, &thing))
        };
        let number = match known.iter().find(like) {
            Some(number) => *number,
            None => {
                // A configuration with 2^32 sites fits no memory.
                let number = kept.len() as u32;
                if known.len() < COMPARED {
                    known.push(number);
                }
                self.list.kept.push(thing);
                number
            }
        };
        self.list.each.push((number, beside));
    }

    /// The list.
    pub(super) fn into_list(self) -> Alike<T, M> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&'static str]) -> Alike<&'static str, usize> {
        let mut gathering = Gathering::default();
        for (at, text) in texts.iter().enumerate() {
            let alike = |a: &&str, b: &&str| a.eq_ignore_ascii_case(b);
            gathering.push((*text, at), text.len(), alike);
        }
        gathering.into_list()
    }

    #[test]
    fn what_is_alike_is_kept_once_and_the_rest_by_itself() {
        let list = of(&["a", "bb", "A", "c", "BB"]);
        let got: Vec<_> = (0..5).map(|index| list[index]).collect();
        assert_eq!(got, ["a", "bb", "a", "c", "bb"]);
        assert_eq!(list.beside(4), Some(4));
        assert_eq!((list.get(5), list.beside(5)), (None, None));
        assert_eq!(list.into_kept(), ["a", "bb", "c"]);
    }

    #[test]
    fn what_is_not_compared_any_more_still_stands_for_itself() {
        let texts = ["a", "b", "c", "d", "e", "E", "A"];
        let list = of(&texts);
        let got: Vec<_> = (0..texts.len()).map(|index| list[index]).collect();
        assert_eq!(got, ["a", "b", "c", "d", "e", "E", "a"]);
    }
}
