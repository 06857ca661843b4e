//! Tests of `challenge`: which paths are challenges, and whose tokens are answered for how long.
//!
//! Nothing is asked of anyone: tokens are published and looked up in one map.

use super::*;
use proptest::prelude::*;

const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

#[test]
fn only_exact_challenge_paths_name_a_token() {
    let path = |token: &str| format!("/.well-known/acme-challenge/{token}");
    assert_eq!(token_of(path(TOKEN).as_bytes()), Some(TOKEN));
    for not in [
        "",
        "short",
        &format!("{TOKEN}/"),
        &format!("{TOKEN}?a"),
        &format!("%65{TOKEN}"),
        &"a".repeat(129),
        "a b c d e f g h i j k l m",
    ] {
        assert_eq!(token_of(path(not).as_bytes()), None, "{not}");
    }
    assert_eq!(
        token_of(format!("/x/.well-known/acme-challenge/{TOKEN}").as_bytes()),
        None
    );
    assert_eq!(
        token_of(format!("/.Well-known/acme-challenge/{TOKEN}").as_bytes()),
        None
    );
}

#[test]
fn a_token_is_answered_for_its_own_host_only_and_until_its_guard_is_dropped() {
    let tokens = Tokens::default();
    let guard = tokens.publish(&host("a.test"), TOKEN, "auth").unwrap();
    assert_eq!(
        tokens.lookup(&host("a.test"), TOKEN).as_deref(),
        Some("auth")
    );
    assert_eq!(tokens.lookup(&host("b.test"), TOKEN), None);
    assert_eq!(guard.asked(), 1);
    let probe = tokens.for_probes();
    let _probe = probe.publish(&host("a.test"), "probe", "x").unwrap();
    assert!(tokens.lookup(&host("a.test"), "probe").is_some());
    assert_eq!(
        tokens.served(),
        (1, 0),
        "a look at ourselves is not counted"
    );
    drop(guard);
    assert_eq!(tokens.lookup(&host("a.test"), TOKEN), None);
}

#[test]
fn a_pair_is_shown_for_its_own_server_name_only() {
    let tokens = Tokens::default();
    let publish = |name: &str| {
        let pair = crate::acme::keys::challenge_pair(&host(name), &[7; 32]).unwrap();
        tokens.publish_pair(&host(name), name, pair).unwrap()
    };
    let _guards = [
        publish("a.test"),
        publish("192.0.2.7"),
        publish("2001:db8::1"),
    ];
    assert!(tokens.pair_for("A.test").is_some());
    assert!(tokens.pair_for("b.test").is_none());
    assert!(tokens.pair_for("7.2.0.192.in-addr.arpa").is_some());
    let six = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    assert!(tokens.pair_for(six).is_some());
    assert_eq!(tokens.lookup(&host("a.test"), "a.test"), None);
}

#[test]
fn an_older_guard_leaves_a_token_published_again() {
    let tokens = Tokens::default();
    let first = tokens.publish(&host("a.test"), TOKEN, "auth").unwrap();
    let _second = tokens.publish(&host("a.test"), TOKEN, "auth").unwrap();
    drop(first);
    assert!(tokens.lookup(&host("a.test"), TOKEN).is_some());
}

#[test]
fn the_map_is_bounded() {
    let tokens = Tokens::default();
    let guards: Vec<_> = (0..MAX_TOKENS)
        .map(|n| {
            tokens
                .publish(&host("a.test"), &n.to_string(), "x")
                .unwrap()
        })
        .collect();
    assert_eq!(
        tokens.publish(&host("a.test"), TOKEN, "x").unwrap_err(),
        TooManyTokens
    );
    drop(guards);
    assert!(tokens.is_empty());
}

proptest! {
    #[test]
    fn no_path_makes_the_parser_panic(path: Vec<u8>) {
        if let Some(token) = token_of(&path) {
            prop_assert_eq!(path.len(), PREFIX.len() + token.len());
        }
    }
}
