//! The patterns of a site that has few of them, in one piece of memory.
//!
//! Decides as the tables do, which it is made from: whole paths first, then prefixes, the longest first. With thousands
//! of sites, what a request waits for is memory that was not looked at for a while, and this is little of it.
#![deny(clippy::disallowed_methods)]

use super::Many;
use crate::router::RouteMatch;

/// Comparing so many keys in turn takes no longer than one hash lookup.
const MOST: usize = 12;

/// Keys in the order in which they are tried: for each where it [`leads`], its route, its length and its bytes.
#[derive(Debug)]
pub(super) struct Few(Box<[u8]>);

/// Where a key leads to: the first byte of its [`HEAD`].
mod leads {
    /// The path, to the route.
    pub(super) const WHOLE: u8 = 0;
    /// The path, to itself with a slash added: that of the route.
    pub(super) const ADD_SLASH: u8 = 1;
    /// What begins with it, to the route.
    pub(super) const BELOW: u8 = 2;
}

/// Bytes before those of a key: where it leads, and two numbers of two bytes.
const HEAD: usize = 5;

impl Few {
    /// The same as `many`; `None` when that is too many, or a number too large.
    pub(super) fn of(many: &Many) -> Option<Self> {
        if many.whole.len() + many.below.len() > MOST {
            return None;
        }
        let mut keys: Vec<(u8, usize, &[u8])> = Vec::new();
        for (path, found) in &many.whole {
            match found.value {
                RouteMatch::Found(route) => keys.push((leads::WHOLE, route, path.bytes())),
                RouteMatch::AddSlash(route) => {
                    keys.push((leads::ADD_SLASH, route, path.bytes()));
                }
                RouteMatch::None | RouteMatch::Invalid => {}
            }
        }
        let mut below: Vec<(u8, usize, &[u8])> = (many.below.iter())
            .map(|(prefix, route)| (leads::BELOW, route.value as usize, prefix.bytes()))
            .collect();
        below.sort_by_key(|(_, _, prefix)| std::cmp::Reverse(prefix.len()));
        keys.append(&mut below);
        let mut bytes = Vec::new();
        for (leads, route, key) in keys {
            bytes.push(leads);
            bytes.extend_from_slice(&u16::try_from(route).ok()?.to_le_bytes());
            bytes.extend_from_slice(&u16::try_from(key.len()).ok()?.to_le_bytes());
            bytes.extend_from_slice(key);
        }
        Some(Self(bytes.into()))
    }

    pub(super) fn find(&self, path: &[u8]) -> RouteMatch {
        let mut rest = &*self.0;
        while let Some((&[leads, route0, route1, length0, length1], after)) =
            rest.split_first_chunk::<HEAD>()
        {
            let route = usize::from(u16::from_le_bytes([route0, route1]));
            let length = usize::from(u16::from_le_bytes([length0, length1]));
            let Some((key, after)) = after.split_at_checked(length) else {
                break;
            };
            rest = after;
            match leads {
                leads::WHOLE if path == key => return RouteMatch::Found(route),
                leads::ADD_SLASH if path == key => return RouteMatch::AddSlash(route),
                leads::BELOW if path.starts_with(key) => return RouteMatch::Found(route),
                _ => {}
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
