//! Cuts a raw request target into path and query, and replaces a route's prefix in it.
//!
//! Takes origin-form targets (RFC 9112 section 3.2.1); other forms are `proxy`'s to refuse or to reduce first.
//! Invariant: no byte is decoded, encoded or tidied; joining what was cut gives the target again.
#![deny(clippy::disallowed_methods)]

/// The path of `target` and, without its `?`, the query; `Some` of nothing for a bare `?` at the end.
pub fn path_of(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(mark) => {
            let (path, query) = target.split_at(mark);
            (path, query.get(1..))
        }
        None => (target, None),
    }
}

/// `target` with the bytes of `prefix` at its start replaced by `replacement`; everything after them stays.
///
/// A target that does not begin with `prefix` comes back as it is.
pub fn rewrite(target: &[u8], prefix: &[u8], replacement: &[u8]) -> Vec<u8> {
    match target.strip_prefix(prefix) {
        Some(rest) => [replacement, rest].concat(),
        None => target.to_vec(),
    }
}

/// `target` with a slash put at the end of its path, before the query: where [`RouteMatch::AddSlash`] redirects to.
///
/// [`RouteMatch::AddSlash`]: crate::router::RouteMatch::AddSlash
pub fn with_slash(target: &[u8]) -> Vec<u8> {
    let (path, _) = path_of(target);
    let query = target.get(path.len()..).unwrap_or_default();
    [path, b"/", query].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_query_begins_at_the_first_question_mark() {
        assert_eq!(path_of(b"/a?b?c"), (&b"/a"[..], Some(&b"b?c"[..])));
        assert_eq!(path_of(b"/a?"), (&b"/a"[..], Some(&b""[..])));
        assert_eq!(path_of(b"/a%3Fb"), (&b"/a%3Fb"[..], None));
    }

    #[test]
    fn a_rewrite_leaves_every_byte_after_the_prefix() {
        let rest = b"a%2Fb//./..;x=%25%00+\xff?next=/hub/&q";
        let target = [b"/hub/", &rest[..]].concat();
        assert_eq!(rewrite(&target, b"/hub/", b"/"), [b"/", &rest[..]].concat());
    }

    #[test]
    fn a_rewrite_replaces_the_first_prefix_only() {
        assert_eq!(rewrite(b"/x/x/", b"/x/", b"/y/z/"), b"/y/z/x/");
        assert_eq!(rewrite(b"/other", b"/x/", b"/"), b"/other");
    }

    #[test]
    fn the_added_slash_stands_before_the_query() {
        assert_eq!(with_slash(b"/hub?next=%2F"), b"/hub/?next=%2F");
        assert_eq!(with_slash(b"/hub"), b"/hub/");
    }

    proptest! {
        #[test]
        fn joining_path_and_query_gives_the_target_again(target in prop::collection::vec(any::<u8>(), 0..60)) {
            let (path, query) = path_of(&target);
            let joined = match query {
                Some(query) => [path, b"?", query].concat(),
                None => path.to_vec(),
            };
            prop_assert_eq!(joined, target.clone());
            prop_assert!(!path.contains(&b'?'));
        }

        #[test]
        fn rewriting_there_and_back_gives_the_target_again(
            rest in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let target = [b"/hub/", &rest[..]].concat();
            let there = rewrite(&target, b"/hub/", b"/other/");
            prop_assert_eq!(rewrite(&there, b"/other/", b"/hub/"), target);
        }
    }
}
