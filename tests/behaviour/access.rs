//! Who is let in, by address and by password: as configured, and as the real nginx does with the file it came from.

use std::fs;
use std::path::Path;

use base64::Engine as _;

use crate::support::hubgate::{HOST, one_site};
use crate::support::nginx::{Nginx, assert_carried, imported};
use crate::support::{Client, Hubgate, Response, Upstream, eventually};

/// Names and passwords in every form.
fn users(folder: &Path) {
    let text = "# people\n\
        alice:$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/\n\
        bob:$6$rounds=1000$abc$MqEcPZUYRGGcOeq7PhMpfjfu/F0HrVEI0OlZBijWvO8mSG77iNUDP5MqFceKpJTBc8iITVtNyLiNTRNCxv6oh0:Bob\n\
        carol:{SSHA}Wcm1xEisNjqp921ALcHfuQ7avFdzYWx0MTIzNA==\n\
        dave:{PLAIN}secret\n\
        erin:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n\
        frank:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n\
        dave:{PLAIN}other\n";
    fs::write(folder.join("users"), text).unwrap();
}

fn basic(user: &str, password: &str) -> String {
    let shown = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {shown}\r\n")
}

fn ask(client: &mut Client, target: &str, fields: &str) -> Response {
    client.exchange(format!(
        "GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n"
    ))
}

fn started(access: &str) -> (Upstream, Hubgate) {
    let upstream = Upstream::saying("in");
    let dir = tempfile::TempDir::new().unwrap();
    users(dir.path());
    let toml = one_site(upstream.addr, access);
    (upstream, Hubgate::start_in(dir, &toml))
}

#[test]
fn the_address_decides_and_the_upstream_never_sees_who_is_refused() {
    let (upstream, hubgate) =
        started("access = { rules = [\"deny 127.0.0.9\", \"allow 127.0.0.0/8\", \"deny all\"] }");
    assert_eq!(hubgate.plain().get(HOST, "/").text(), "in");
    let refused = Client::plain_from([127, 0, 0, 9], hubgate.http).get(HOST, "/?token=abc");
    assert_eq!(refused.status, 403);
    assert_eq!(refused.head.one("x-hubgate-cause"), "access_denied");
    assert_eq!(upstream.requests().len(), 1);
    hubgate.wait_log("access forbidden by rule, client: 127.0.0.9, server: hub.test, request: \"GET /?token=REDACTED HTTP/1.1\", host: \"hub.test\"");
}

#[test]
fn a_password_lets_in_whoever_shows_it_in_each_form_on_both_versions_of_http() {
    let (upstream, hubgate) =
        started("access = { basic = { realm = \"the $host\", file = \"@DIR@/users\" } }");
    let mut client = hubgate.plain();
    for user in ["alice", "bob", "carol", "dave", "erin", "frank"] {
        for _ in 0..2 {
            let answer = ask(&mut client, "/", &basic(user, "secret"));
            assert_eq!(answer.text(), "in", "{user}");
        }
        let refused = ask(&mut client, "/", &basic(user, "Secret"));
        assert_eq!(refused.status, 401, "{user}");
        assert_eq!(
            refused.head.one("www-authenticate"),
            "Basic realm=\"the hub.test\""
        );
        assert_eq!(refused.head.one("x-hubgate-cause"), "password_wrong");
        hubgate.wait_log(&format!(
            "user \"{user}\": password mismatch, client: 127.0.0.1"
        ));
    }
    let stranger = ask(&mut client, "/", &basic("mal\"lory", "secret"));
    assert_eq!(stranger.status, 401);
    hubgate.wait_log("user \"mal\\x22lory\" was not found in \"");
    let nobody = ask(&mut client, "/", "");
    assert_eq!(
        (nobody.status, nobody.head.one("x-hubgate-cause")),
        (401, "password_missing".to_owned())
    );
    assert_eq!(upstream.requests().len(), 12);
    let mut h2 = hubgate.h2();
    let shown = basic("erin", "secret").replace("Authorization: ", "");
    let request = h2.request("GET", "/").header("authorization", shown.trim());
    assert_eq!(h2.exchange(request).text(), "in");
    assert_eq!(h2.get("/").status, 401);
}

#[test]
fn a_changed_file_of_passwords_counts_without_a_reload_and_one_that_is_gone_lets_nobody_in() {
    let (_upstream, hubgate) =
        started("access = { basic = { realm = \"x\", file = \"@DIR@/users\" } }");
    let status = || ask(&mut hubgate.plain(), "/", &basic("dave", "secret")).status;
    let file = hubgate.dir.path().join("users");
    assert_eq!(status(), 200);
    fs::write(hubgate.dir.path().join("new"), "dave:{PLAIN}changed\n").unwrap();
    fs::rename(hubgate.dir.path().join("new"), &file).unwrap();
    eventually("the old password is refused", || status() == 401);
    fs::remove_file(&file).unwrap();
    eventually("nobody is let in", || status() == 403);
    users(hubgate.dir.path());
    eventually("the file is back", || status() == 200);
}

#[test]
fn a_route_has_its_sites_access_unless_it_says_its_own() {
    let upstream = Upstream::saying("in");
    let route = "[[site.\"hub.test\".route]]\npath = \"/open/\"\nupstream = \"up\"\naccess = {}\n";
    let toml = one_site(upstream.addr, "").replace(
        "http = \"forward\"\n",
        "http = \"forward\"\naccess = { rules = [\"deny all\"] }\n",
    ) + route;
    let hubgate = Hubgate::start(&toml);
    let mut client = hubgate.plain();
    assert_eq!(client.get(HOST, "/").status, 403);
    assert_eq!(client.get(HOST, "/open/").status, 200);
    assert_eq!(hubgate.tls().get(HOST, "/").status, 403);
    assert_eq!(hubgate.h2().get("/").status, 403);
}

#[test]
fn what_nginx_lets_in_is_let_in_and_what_it_refuses_is_refused_alike() {
    let upstream = Upstream::saying("in");
    let block = "server { listen @LISTEN@; server_name hub.test;
        location / { proxy_pass http://@UP@; }
        location /net/ { allow 127.0.0.0/8; deny all; proxy_pass http://@UP@;
            location /net/none/ { deny 127.0.0.9; proxy_pass http://@UP@; } }
        location /no/ { deny all; proxy_pass http://@UP@; }
        location /pw/ { auth_basic \"the $host\"; auth_basic_user_file users; proxy_pass http://@UP@;
            location /pw/off/ { auth_basic off; proxy_pass http://@UP@; } }
        location /gone/ { auth_basic x; auth_basic_user_file none; proxy_pass http://@UP@; }
        location /all/ { satisfy all; deny 127.0.0.9; allow all; auth_basic x; auth_basic_user_file users; proxy_pass http://@UP@; }
        location /any/ { satisfy any; allow 127.0.0.9; deny all; auth_basic x; auth_basic_user_file users; proxy_pass http://@UP@; }
        location /anynet/ { satisfy any; allow 127.0.0.9; deny all; proxy_pass http://@UP@; }
        location /nofile/ { auth_basic x; proxy_pass http://@UP@; }
    }";
    let block = block.replace("@UP@", &upstream.addr.to_string());
    let Some(nginx) = Nginx::start(&block, users) else {
        return;
    };
    let (hubgate, report) = imported(&block, users);
    assert_carried(&report);
    let mut shown = vec![
        String::new(),
        "Authorization: Basic\r\n".to_owned(),
        "Authorization: Bearer YWxpY2U6c2VjcmV0\r\n".to_owned(),
        "Authorization: basic  YWxpY2U6c2VjcmV0\r\n".to_owned(),
        "Authorization: Basic YWxpY2U=\r\n".to_owned(),
        "Authorization: Basic OnNlY3JldA==\r\n".to_owned(),
        basic("mallory", "secret"),
        basic("dave", "other"),
        basic("dave", ""),
    ];
    for user in ["alice", "bob", "carol", "dave", "frank"] {
        shown.extend([basic(user, "secret"), basic(user, "wrong")]);
    }
    let mut compared = 0;
    for path in [
        "/",
        "/net/",
        "/net/none/",
        "/no/",
        "/pw/",
        "/pw/off/",
        "/gone/",
        "/all/",
        "/any/",
        "/anynet/",
        "/nofile/",
    ] {
        for fields in &shown {
            for from in [[127, 0, 0, 1], [127, 0, 0, 9]] {
                let asked = |http| {
                    let answer = ask(&mut Client::plain_from(from, http), path, fields);
                    let challenge = answer.head.all("www-authenticate");
                    let body = (answer.status == 200).then(|| answer.text());
                    (answer.status, challenge, body)
                };
                assert_eq!(
                    asked(hubgate.http),
                    asked(nginx.addr),
                    "{path} {fields} {from:?}"
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 11 * 19 * 2);
    for sentence in [
        "access forbidden by rule, client: 127.0.0.1, server: hub.test, request: \"GET /no/ HTTP/1.1\", host: \"hub.test\"",
        "user \"dave\": password mismatch, client: 127.0.0.1, server: hub.test, request: \"GET /pw/ HTTP/1.1\", host: \"hub.test\"",
    ] {
        assert!(nginx.log().contains(sentence), "{sentence}");
        hubgate.wait_log(sentence);
    }
}

/// Says what `X-Status` of the request asks for, and who it is.
fn authority() -> Upstream {
    Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            let status = head.all("x-status").pop().unwrap_or("204".to_owned());
            let said = format!(
                "HTTP/1.1 {status} x\r\nX-User: al{status}\r\nWWW-Authenticate: Own\r\nContent-Length: 0\r\n\r\n"
            );
            conn.send(said);
        }
    })
}

#[test]
fn another_route_is_asked_for_leave_and_what_it_says_goes_on() {
    let (upstream, authority) = (Upstream::saying("in"), authority());
    let access = "access = { ask = { path = \"/auth\", take = { user = \"$upstream_http_x_user\" } } }\nrequest_headers = { X-User = \"$user\" }";
    let more = format!(
        "[upstream.auth]\nendpoints = [\"{}\"]\n[[site.\"hub.test\".route]]\nexact = \"/auth\"\ninternal = true\nupstream = \"auth\"\nrequest_headers = {{ X-Original-URI = \"$request_uri\" }}\n",
        authority.addr
    );
    let hubgate = Hubgate::start(&(one_site(upstream.addr, access) + &more));
    let mut client = hubgate.plain();
    let body = "POST /a?b=c HTTP/1.1\r\nHost: hub.test\r\nX-User: forged\r\nX-Status: 200\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(client.exchange(body).text(), "in");
    let went_on = upstream.only_request();
    assert_eq!(went_on.head.one("x-user"), "al200");
    assert_eq!(went_on.body.bytes, b"abc");
    let asked = authority.only_request();
    assert_eq!(
        (asked.head.method(), asked.head.target()),
        ("GET".to_owned(), b"/auth".to_vec())
    );
    assert_eq!(asked.head.one("x-original-uri"), "/a?b=c");
    assert!(!asked.head.has("content-length"));
    for (status, expected, cause) in [
        (401, 401, "ask_refused"),
        (403, 403, "ask_refused"),
        (302, 500, "ask_failed"),
        (500, 500, "ask_failed"),
    ] {
        let answer = ask(&mut client, "/", &format!("X-Status: {status}\r\n"));
        assert_eq!(
            (answer.status, answer.head.one("x-hubgate-cause")),
            (expected, cause.to_owned())
        );
    }
    let answer = ask(&mut client, "/", "X-Status: 401\r\n");
    assert_eq!(answer.head.one("www-authenticate"), "Own");
    assert_eq!(upstream.requests().len(), 1);
    assert_eq!(client.get(HOST, "/auth").status, 404, "it is internal");
    assert_eq!(authority.connections(), 1, "its connection is used again");
    hubgate.wait_log("auth request unexpected status: 302, client: 127.0.0.1");
}

#[test]
fn whom_nginx_lets_in_by_another_route_is_let_in_alike() {
    let (upstream, authority) = (Upstream::saying("in"), authority());
    let block = "server { listen @LISTEN@; server_name hub.test;
        location / { auth_request /auth; proxy_pass http://@UP@; }
        location /off/ { auth_request off; proxy_pass http://@UP@; }
        location /any/ { satisfy any; deny all; auth_request /auth; proxy_pass http://@UP@; }
        location /all/ { allow 127.0.0.1; deny all; auth_request /auth; proxy_pass http://@UP@; }
        location /net/ { satisfy any; allow 127.0.0.1; deny all; auth_request /auth; proxy_pass http://@UP@; }
        location = /auth { proxy_pass http://@AUTH@/verify; }
    }";
    let block = block
        .replace("@UP@", &upstream.addr.to_string())
        .replace("@AUTH@", &authority.addr.to_string());
    let Some(nginx) = Nginx::start(&block, |_| {}) else {
        return;
    };
    let (hubgate, _) = imported(&block, |_| {});
    for path in ["/", "/off/", "/any/", "/all/", "/net/"] {
        for status in [200, 204, 301, 401, 403, 404, 500, 503] {
            for from in [[127, 0, 0, 1], [127, 0, 0, 9]] {
                let asked = |http| {
                    let fields = format!("X-Status: {status}\r\n");
                    let answer = ask(&mut Client::plain_from(from, http), path, &fields);
                    (answer.status, answer.head.all("www-authenticate"))
                };
                assert_eq!(
                    asked(hubgate.http),
                    asked(nginx.addr),
                    "{path} {status} {from:?}"
                );
            }
        }
    }
}
