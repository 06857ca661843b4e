//! Checks the path table by examples, and against a reference that tries every pattern in turn.
//!
//! The reference is the precedence of `router` written down once more, the slow way.

use super::*;
use proptest::prelude::*;

fn table(patterns: &[&str]) -> PathTable {
    let patterns: Vec<PathPattern> = patterns.iter().map(|text| pattern(text)).collect();
    PathTable::new(patterns.iter())
}

/// `= /x` is exact, anything else a prefix, as `PathPattern` prints itself.
fn pattern(text: &str) -> PathPattern {
    match text.strip_prefix("= ") {
        Some(exact) => PathPattern::Exact(exact.into()),
        None => PathPattern::Prefix(text.into()),
    }
}

fn reference(patterns: &[PathPattern], path: &[u8]) -> RouteMatch {
    let position = |wanted: &dyn Fn(&PathPattern) -> bool| patterns.iter().position(wanted);
    if let Some(route) =
        position(&|p| matches!(p, PathPattern::Exact(own) if own.as_bytes() == path))
    {
        return RouteMatch::Found(route);
    }
    if let Some(route) = position(
        &|p| matches!(p, PathPattern::Prefix(own) if own.as_bytes() == path && !own.ends_with('/')),
    ) {
        return RouteMatch::Found(route);
    }
    let slashed = [path, b"/"].concat();
    let with_slash =
        |p: &PathPattern| matches!(p, PathPattern::Prefix(own) if own.as_bytes() == slashed);
    if !path.is_empty()
        && let Some(route) = position(&with_slash)
    {
        return RouteMatch::AddSlash(route);
    }
    let mut best: Option<(usize, usize)> = None;
    for (route, own) in patterns.iter().enumerate() {
        let longer = best.is_none_or(|(length, _)| own.as_str().len() > length);
        if matches!(own, PathPattern::Prefix(_)) && own.matches(path) && longer {
            best = Some((own.as_str().len(), route));
        }
    }
    best.map_or(RouteMatch::None, |(_, route)| RouteMatch::Found(route))
}

#[test]
fn the_longest_prefix_wins_wherever_it_stands_in_the_file() {
    for patterns in [["/", "/hub/", "/hub/user/"], ["/hub/user/", "/hub/", "/"]] {
        let table = table(&patterns);
        let index = |text| RouteMatch::Found(patterns.iter().position(|p| *p == text).unwrap());
        assert_eq!(table.find(b"/hub/user/a"), index("/hub/user/"));
        assert_eq!(table.find(b"/hub/users"), index("/hub/"));
        assert_eq!(table.find(b"/else"), index("/"));
    }
}

#[test]
fn an_exact_route_wins_over_every_prefix() {
    let table = table(&["/x/", "/x", "= /x", "= /x/"]);
    assert_eq!(table.find(b"/x"), RouteMatch::Found(2));
    assert_eq!(table.find(b"/x/"), RouteMatch::Found(3));
    assert_eq!(table.find(b"/x/y"), RouteMatch::Found(0));
}

#[test]
fn a_prefix_does_not_match_in_the_middle_of_a_segment() {
    let table = table(&["/hub", "/a/b/"]);
    assert_eq!(table.find(b"/hub"), RouteMatch::Found(0));
    assert_eq!(table.find(b"/hub/x"), RouteMatch::Found(0));
    assert_eq!(table.find(b"/hubble"), RouteMatch::None);
    assert_eq!(table.find(b"/a/bc"), RouteMatch::None);
}

#[test]
fn a_missing_slash_is_added_even_when_a_shorter_prefix_would_match() {
    let table = table(&["/", "/hub/"]);
    assert_eq!(table.find(b"/hub"), RouteMatch::AddSlash(1));
    assert_eq!(table.find(b"/hubs"), RouteMatch::Found(0));
}

#[test]
fn no_slash_is_added_where_a_route_names_the_path_itself() {
    assert_eq!(
        table(&["/hub/", "= /hub"]).find(b"/hub"),
        RouteMatch::Found(1)
    );
    assert_eq!(
        table(&["/hub/", "/hub"]).find(b"/hub"),
        RouteMatch::Found(1)
    );
}

#[test]
fn an_empty_path_and_an_asterisk_belong_to_no_route() {
    let table = table(&["/", "/hub/"]);
    assert_eq!(table.find(b""), RouteMatch::None);
    assert_eq!(table.find(b"*"), RouteMatch::None);
}

#[test]
fn encoded_and_dotted_paths_are_matched_as_they_stand() {
    let table = table(&["/binderhub/", "/jupyterhub/"]);
    assert_eq!(
        table.find(b"/binderhub/%2e%2e/jupyterhub/"),
        RouteMatch::Found(0)
    );
    assert_eq!(
        table.find(b"/binderhub/../jupyterhub/"),
        RouteMatch::Found(0)
    );
    assert_eq!(table.find(b"/binderhub%2Fx"), RouteMatch::None);
    assert_eq!(table.find(b"//binderhub/"), RouteMatch::None);
    assert_eq!(table.find(b"/binderhub//\xff%00;a=b"), RouteMatch::Found(0));
}

#[test]
fn every_one_of_ten_thousand_routes_is_found() {
    let texts: Vec<String> = (0..10_000).map(|n| format!("/team{n}/")).collect();
    let table = table(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    for n in 0..10_000 {
        let path = format!("/team{n}/notebooks/a/b/c");
        assert_eq!(table.find(path.as_bytes()), RouteMatch::Found(n));
    }
    assert_eq!(table.find(b"/team10000/x"), RouteMatch::None);
}

#[test]
fn segments_beyond_the_deepest_prefix_are_not_looked_at() {
    let patterns = [pattern("/"), pattern("/a/b/c/")];
    let table = Many::new(patterns.iter());
    assert_eq!(table.depths, [true, false, false, true]);
    let path = [b"/a/b/c".as_slice(), &b"/".repeat(60_000)].concat();
    assert_eq!(table.find(&path), RouteMatch::Found(1));
    assert_eq!(table.find(&b"/".repeat(60_000)), RouteMatch::Found(0));
}

fn any_pattern() -> impl Strategy<Value = PathPattern> {
    (any::<bool>(), "(/[ab.%2]{0,2}){1,4}/?").prop_map(|(exact, path)| match exact {
        true => PathPattern::Exact(path.into()),
        false => PathPattern::Prefix(path.into()),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_table_agrees_with_trying_every_pattern(
        patterns in prop::collection::vec(any_pattern(), 0..24),
        path in "(/[ab.%2]{0,2}){0,5}/?",
    ) {
        let table = PathTable::new(patterns.iter());
        prop_assert_eq!(table.find(path.as_bytes()), reference(&patterns, path.as_bytes()));
        for pattern in &patterns {
            let own = pattern.as_str().as_bytes();
            prop_assert_eq!(table.find(own), reference(&patterns, own));
        }
    }

    #[test]
    fn no_bytes_make_the_table_panic(
        patterns in prop::collection::vec(any_pattern(), 0..8),
        path in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let table = PathTable::new(patterns.iter());
        prop_assert_eq!(table.find(&path), reference(&patterns, &path));
    }
}
