//! Which site and which route a request reaches.

use crate::support::hubgate::{HOST, one_site};
use crate::support::{Client, H2, Hubgate, Response, Upstream, h2_frames};

/// Each answer is the name of the upstream that gave it.
pub(crate) struct Named(pub(crate) Vec<(String, Upstream)>);

impl Named {
    pub(crate) fn new(names: &[&str]) -> Self {
        Self(
            names
                .iter()
                .map(|n| ((*n).to_owned(), Upstream::saying(n)))
                .collect(),
        )
    }
    pub(crate) fn toml(&self) -> String {
        let each = self
            .0
            .iter()
            .map(|(n, u)| format!("[upstream.{n}]\nendpoints = [\"{}\"]\n", u.addr));
        each.collect()
    }
    fn requests(&self) -> usize {
        self.0.iter().map(|(_, u)| u.requests().len()).sum()
    }
}

/// A site that forwards plain HTTP too; `routes` are pairs of a line and an upstream's name.
pub(crate) fn site(host: &str, more: &str, routes: &[(&str, &str)]) -> String {
    let mut text =
        format!("[site.\"{host}\"]\ncertificate = \"self-signed\"\nhttp = \"forward\"\n{more}\n");
    for (line, upstream) in routes {
        text += &format!("[[site.\"{host}\".route]]\n{line}\nupstream = \"{upstream}\"\n");
    }
    text
}

pub(crate) fn ask(hubgate: &Hubgate, host: &str, target: &str) -> Response {
    hubgate.plain().get(host, target)
}

#[track_caller]
fn refused(response: &Response, status: u16, cause: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert!(
        response.text().contains(cause),
        "no `{cause}` in {:?}",
        response.text()
    );
}

const ALL: (&str, &str) = ("path = \"/\"", "");

pub(crate) fn all_to(name: &str) -> (&'static str, &str) {
    (ALL.0, name)
}

fn four_sites() -> (Named, Hubgate) {
    let named = Named::new(&["exact", "wild", "alias", "idna"]);
    let toml = site("a.wild.test", "", &[all_to("exact")])
        + &site("*.wild.test", "", &[all_to("wild")])
        + &site(
            "main.test",
            "aliases = [\"second.test\"]",
            &[all_to("alias")],
        )
        + &site("bücher.test", "", &[all_to("idna")])
        + &named.toml();
    let hubgate = Hubgate::start(&toml);
    (named, hubgate)
}

#[test]
fn the_exact_host_wins_over_the_wildcard_and_the_wildcard_is_one_label() {
    let (_named, hubgate) = four_sites();
    assert_eq!(ask(&hubgate, "a.wild.test", "/").text(), "exact");
    assert_eq!(ask(&hubgate, "b.wild.test", "/").text(), "wild");
    refused(&ask(&hubgate, "b.c.wild.test", "/"), 421, "host_unknown");
    refused(&ask(&hubgate, "wild.test", "/"), 421, "host_unknown");
}

#[test]
fn a_host_is_found_whatever_its_case_final_dot_or_port() {
    let (_named, hubgate) = four_sites();
    for host in [
        "MAIN.Test",
        "main.test.",
        "main.test:8443",
        "main.test.:1",
        "Second.TEST",
    ] {
        assert_eq!(ask(&hubgate, host, "/").text(), "alias", "{host}");
    }
}

#[test]
fn a_unicode_site_answers_to_its_ascii_name() {
    let (_named, hubgate) = four_sites();
    assert_eq!(ask(&hubgate, "xn--bcher-kva.test", "/").text(), "idna");
}

#[test]
fn an_unknown_host_gets_421_and_reaches_nobody() {
    let (named, hubgate) = four_sites();
    refused(&ask(&hubgate, "nobody.test", "/"), 421, "host_unknown");
    refused(&ask(&hubgate, "127.0.0.1", "/"), 421, "host_unknown");
    assert_eq!(named.requests(), 0);
}

#[test]
fn the_default_site_answers_for_hosts_no_site_names() {
    let named = Named::new(&["usual", "fallback"]);
    let toml = site(HOST, "", &[all_to("usual")])
        + &site("rest.test", "default = true", &[all_to("fallback")])
        + &named.toml();
    let hubgate = Hubgate::start(&toml);
    assert_eq!(ask(&hubgate, "nobody.test", "/").text(), "fallback");
    assert_eq!(ask(&hubgate, "192.0.2.7:80", "/").text(), "fallback");
    assert_eq!(ask(&hubgate, HOST, "/").text(), "usual");
}

#[test]
fn a_host_other_than_the_tls_server_name_gets_421_on_http1_and_http2() {
    let (named, hubgate) = four_sites();
    refused(
        &Client::tls(hubgate.https, "main.test").get("a.wild.test", "/"),
        421,
        "server_name_mismatch",
    );
    let mut h2 = H2::connect(hubgate.https, "main.test");
    let other = http::Request::builder().uri("https://a.wild.test/");
    let response = h2.exchange(other);
    assert_eq!(response.status, 421);
    assert!(
        response.text().contains("server_name_mismatch"),
        "{}",
        response.text()
    );
    assert_eq!(named.requests(), 0);
    assert_eq!(
        h2.get("/").text(),
        "alias",
        "the connection stays good for its own host"
    );
}

#[test]
fn a_missing_duplicate_or_malformed_host_gets_400_and_reaches_nobody() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::before(upstream.addr);
    let cases = [
        ("", "host_missing"),
        ("Host: hub.test\r\nHost: hub.test\r\n", "host_malformed"),
        ("Host: hub.test\r\nHost: other.test\r\n", "host_malformed"),
        ("Host: hub test\r\n", "host_malformed"),
        ("Host: hub.test/x\r\n", "host_malformed"),
        ("Host: user@hub.test\r\n", "malformed"),
        ("Host: hub.test:99999\r\n", "host_malformed"),
        ("Host: hub.test:80:80\r\n", "host_malformed"),
        ("Host: [::1\r\n", "host_malformed"),
        ("Host: hub.test, hub.test\r\n", "host_malformed"),
        ("Host: hub..test\r\n", "host_malformed"),
    ];
    for (field, cause) in cases {
        let response = hubgate
            .plain()
            .exchange(format!("GET / HTTP/1.1\r\n{field}X: y\r\n\r\n"));
        assert_eq!(response.status, 400, "{field:?}");
        assert!(
            response.text().contains(cause),
            "{field:?}: {}",
            response.text()
        );
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn an_h2_request_whose_host_field_differs_from_its_authority_reaches_nobody_as_that_host() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut wire = h2_frames::open(hubgate.https, HOST);
    let outcome = h2_frames::outcome_of(
        &mut wire,
        &[
            (":method", b"GET"),
            (":scheme", b"https"),
            (":authority", b"hub.test"),
            (":path", b"/"),
            ("host", b"evil.test"),
        ],
    );
    for request in upstream.requests() {
        assert_eq!(request.head.all("host"), ["hub.test"], "{outcome:?}");
    }
}

#[test]
fn exact_paths_win_then_the_longest_prefix_that_ends_at_a_segment() {
    let named = Named::new(&["root", "icon", "hub", "deep", "bare"]);
    let routes = [
        ("path = \"/\"", "root"),
        ("exact = \"/hub/icon\"", "icon"),
        ("path = \"/hub/\"", "hub"),
        ("path = \"/hub/user/deep/\"", "deep"),
        ("path = \"/bare\"", "bare"),
    ];
    let hubgate = Hubgate::start(&(site(HOST, "", &routes) + &named.toml()));
    for (target, name) in [
        ("/", "root"),
        ("/hubble", "root"),
        ("/hub/", "hub"),
        ("/hub/icon", "icon"),
        ("/hub/icon?v=1", "icon"),
        ("/hub/icon/", "hub"),
        ("/hub/user/", "hub"),
        ("/hub/user/deep/x", "deep"),
        ("/bare", "bare"),
        ("/bare/x", "bare"),
        ("/barely", "root"),
        ("/%68ub/", "root"),
        ("/HUB/", "root"),
    ] {
        assert_eq!(ask(&hubgate, HOST, target).text(), name, "{target}");
    }
}

#[test]
fn a_prefix_route_without_its_slash_redirects_there_with_the_query() {
    let named = Named::new(&["hub"]);
    let hubgate = Hubgate::start(&(site(HOST, "", &[("path = \"/x/\"", "hub")]) + &named.toml()));
    for (target, location) in [
        ("/x", "/x/"),
        ("/x?a=%2F&b", "/x/?a=%2F&b"),
        ("/x?", "/x/?"),
    ] {
        let response = ask(&hubgate, HOST, target);
        assert_eq!(response.status, 301, "{target}");
        let got = response.head.one("location");
        assert!(
            got == location || got == format!("http://{HOST}{location}"),
            "{target}: {got}"
        );
    }
    assert_eq!(named.requests(), 0);
}

#[test]
fn a_path_without_a_route_gets_404_with_the_reason() {
    let named = Named::new(&["hub"]);
    let hubgate = Hubgate::start(&(site(HOST, "", &[("path = \"/hub/\"", "hub")]) + &named.toml()));
    let response = ask(&hubgate, HOST, "/other");
    refused(&response, 404, "route_missing");
    assert_eq!(response.head.one("x-hubgate-cause"), "route_missing");
    assert_eq!(named.requests(), 0);
}

#[test]
fn an_answer_by_hubgate_leaves_the_connection_usable() {
    let upstream = Upstream::saying("ok");
    let hubgate =
        Hubgate::start(&one_site(upstream.addr, "").replace("path = \"/\"", "path = \"/hub/\""));
    let mut client = hubgate.plain();
    assert_eq!(client.get(HOST, "/other").status, 404);
    assert_eq!(client.get("nobody.test", "/").status, 421);
    assert_eq!(client.get(HOST, "/hub/").text(), "ok");
}

/// A site whose routes answer without an upstream.
fn answering() -> Hubgate {
    let route = |keys: &str| format!("[[site.\"{HOST}\".route]]\n{keys}\n");
    let site = format!("[site.\"{HOST}\"]\ncertificate = \"self-signed\"\nhttp = \"forward\"\n");
    Hubgate::start(
        &[
            site,
            route("path = \"/\"\nredirect = { to = \"https://new.test$request_uri\", status = 308 }"),
            route("exact = \"/edge\"\nrespond = { status = 299, body = \"$scheme $host $arg_x\\n\", type = \"text/html\" }"),
            route("exact = \"/gone\"\nrespond = { status = 410 }"),
        ]
        .concat(),
    )
}

#[test]
fn a_route_without_an_upstream_answers_what_it_says_on_both_versions() {
    let hubgate = answering();
    let plain = ask(&hubgate, HOST, "/edge?x=%3Ca");
    assert_eq!(plain.status, 299);
    assert_eq!(plain.text(), format!("http {HOST} %3Ca\n"));
    assert_eq!(plain.head.one("content-type"), "text/html");
    assert!(!plain.head.has("x-hubgate-cause"));
    let h2 = hubgate.h2().get("/edge?x=%3Ca");
    assert_eq!(h2.status, 299);
    assert_eq!(h2.text(), format!("https {HOST} %3Ca\n"));
    assert_eq!(h2.fields["content-type"], "text/html");
    let gone = ask(&hubgate, HOST, "/gone");
    assert_eq!((gone.status, &*gone.text()), (410, "410 Gone\n"));
}

#[test]
fn a_route_that_redirects_keeps_the_target_byte_for_byte() {
    let hubgate = answering();
    let response = ask(&hubgate, HOST, "/a%2Fb//c?next=%2F");
    assert_eq!(response.status, 308);
    let location = response.head.one("location");
    assert_eq!(location, "https://new.test/a%2Fb//c?next=%2F");
}

#[test]
fn a_connection_stays_open_after_an_answer_of_a_route() {
    let hubgate = answering();
    let mut client = hubgate.plain();
    for _ in 0..2 {
        assert_eq!(client.get(HOST, "/gone").status, 410);
    }
}
