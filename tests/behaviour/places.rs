//! Routes as nginx's locations: what begins so, regexes, routes within routes, and paths that are decoded before they are matched.

use crate::routing::{Named, ask, site};
use crate::support::Hubgate;
use crate::support::hubgate::HOST;

#[test]
fn a_regex_takes_requests_from_the_longest_prefix_but_not_from_a_final_one() {
    let named = Named::new(&["root", "user", "image", "final"]);
    let toml = site(
        HOST,
        "",
        &[
            ("path = \"/\"", "root"),
            ("begins = \"/user\"", "user"),
            ("regex = '(?i)\\.(png|css)$'", "image"),
            ("begins = \"/static/\"\nfinal = true", "final"),
        ],
    );
    let hubgate = Hubgate::start(&(toml + &named.toml()));
    for (target, expected) in [
        ("/users/x", "user"),
        ("/use", "root"),
        ("/users/x.PNG?y", "image"),
        ("/x%2Epng", "root"),
        ("/static/x.png", "final"),
    ] {
        assert_eq!(ask(&hubgate, HOST, target).text(), expected, "{target}");
    }
    let slash = ask(&hubgate, HOST, "/static?x");
    assert_eq!(slash.status, 301);
    assert_eq!(slash.head.one("location"), "/static/?x");
}

#[test]
fn what_a_regex_took_can_be_named_in_an_answer_and_an_internal_route_answers_nobody() {
    let text = format!(
        "[site.\"{HOST}\"]\ncertificate = \"none\"\npaths = \"normal\"\n\
         [[site.\"{HOST}\".route]]\nregex = '^/u/([a-z ]+)/(.*)$'\nrespond = {{ status = 200, body = \"$1|$2|$uri|$args\" }}\n\
         [[site.\"{HOST}\".route]]\npath = \"/in/\"\ninternal = true\nrespond = {{ status = 200 }}\n\
         [[site.\"{HOST}\".route.route]]\nexact = \"/in/x\"\nrespond = {{ status = 200 }}\n"
    );
    let hubgate = Hubgate::start(&text);
    let answer = ask(&hubgate, HOST, "/x/..//u/a%20b/%3Fc?d=%20");
    assert_eq!(answer.text(), "a b|?c|/u/a b/?c|d=%20");
    assert_eq!(ask(&hubgate, HOST, "/in/y").status, 404);
    assert_eq!(ask(&hubgate, HOST, "/in/x").status, 200);
    let refused = ask(&hubgate, HOST, "/a/%");
    assert_eq!(refused.status, 400);
    assert_eq!(refused.head.one("x-hubgate-cause"), "target_invalid");
}

#[test]
fn a_normal_path_is_for_matching_and_the_upstream_gets_what_was_sent_unless_a_prefix_is_rewritten()
{
    let named = Named::new(&["raw", "new"]);
    let toml = site(
        HOST,
        "paths = \"normal\"",
        &[
            ("begins = \"/raw/\"", "raw"),
            ("begins = \"/a b/\"\nrewrite_prefix = \"/new/\"", "new"),
            ("exact = \"/one\"\nrewrite_prefix = \"/two\"", "new"),
        ],
    );
    let hubgate = Hubgate::start(&(toml + &named.toml()));
    let mut asked = Vec::new();
    for target in [
        "/x/../raw//%41?q",
        "/a%20b/./c//%2Fd%20e?q=%20",
        "/one?q",
        "//a%20b//",
    ] {
        assert_eq!(ask(&hubgate, HOST, target).status, 200, "{target}");
    }
    for (_, upstream) in &named.0 {
        let requests = upstream.requests();
        asked.extend(
            requests
                .iter()
                .map(|request| String::from_utf8(request.head.target()).unwrap()),
        );
    }
    assert_eq!(
        asked,
        ["/x/../raw//%41?q", "/new/c/d%20e?q=%20", "/two?q", "/new/"]
    );
}
