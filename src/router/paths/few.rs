//! The patterns of a site that has few of them, in two pieces of memory.
//!
//! Decides as the tables do, which it is made from: whole paths first, then prefixes, the longest first. With thousands
//! of sites, what a request waits for is memory that was not looked at for a while, and this is little of it.
#![deny(clippy::disallowed_methods)]

use super::Many;
use crate::router::RouteMatch;

/// Comparing so many keys in turn takes no longer than one hash lookup.
const MOST: usize = 12;

/// Keys in the order in which they are tried.
#[derive(Debug)]
pub(super) struct Few {
    keys: Box<[Key]>,
    /// The bytes of all keys.
    text: Box<[u8]>,
}

#[derive(Debug)]
struct Key {
    /// Where its bytes end; they begin where those of the key before end.
    end: usize,
    leads: Leads,
}

#[derive(Clone, Copy, Debug)]
enum Leads {
    /// The path, to this.
    Whole(RouteMatch),
    /// What begins with it, to this route.
    Below(usize),
}

impl Few {
    /// The same as `many`; `None` when that is too many.
    pub(super) fn of(many: &Many) -> Option<Self> {
        if many.whole.len() + many.below.len() > MOST {
            return None;
        }
        let whole = many.whole.iter();
        let mut keys: Vec<(&[u8], Leads)> = whole
            .map(|(path, found)| (&**path, Leads::Whole(found.value)))
            .collect();
        let mut below: Vec<(&[u8], Leads)> = many
            .below
            .iter()
            .map(|(prefix, route)| (&**prefix, Leads::Below(route.value)))
            .collect();
        below.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        keys.append(&mut below);
        let mut text = Vec::new();
        let keys = keys.into_iter().map(|(bytes, leads)| {
            text.extend_from_slice(bytes);
            let end = text.len();
            Key { end, leads }
        });
        Some(Self {
            keys: keys.collect(),
            text: text.into(),
        })
    }

    pub(super) fn find(&self, path: &[u8]) -> RouteMatch {
        let mut start = 0;
        for key in &self.keys {
            let bytes = self.text.get(start..key.end).unwrap_or_default();
            start = key.end;
            match key.leads {
                Leads::Whole(found) if path == bytes => return found,
                Leads::Below(route) if path.starts_with(bytes) => return RouteMatch::Found(route),
                Leads::Whole(_) | Leads::Below(_) => {}
            }
        }
        RouteMatch::None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::path::PathPattern;

    fn pattern() -> impl Strategy<Value = PathPattern> {
        (any::<bool>(), "(/[ab]{0,2}){1,3}").prop_map(|(exact, path)| match exact {
            true => PathPattern::Exact(path.into()),
            false => PathPattern::Prefix(path.into()),
        })
    }

    proptest! {
        #[test]
        fn few_keys_lead_where_the_tables_lead(
            patterns in prop::collection::vec(pattern(), 0..6),
            path in "(/[ab]{0,2}){0,4}",
        ) {
            let many = Many::new(patterns.iter());
            let few = Few::of(&many).unwrap();
            prop_assert_eq!(few.find(path.as_bytes()), many.find(path.as_bytes()));
        }
    }
}
