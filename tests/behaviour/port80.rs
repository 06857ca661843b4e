//! Plain HTTP, in its order: challenges, the fallback for those of others, the redirect, 421 for strangers.

use std::time::{Duration, Instant};

use crate::support::hubgate::HOST;
use crate::support::{Client, Hubgate, Upstream, eventually};

/// A token as authorities make them: 256 bits in base64url (RFC 8555 section 8.3 asks for 128 at least).
const TOKEN: &str = "/.well-known/acme-challenge/LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEu_0";

/// `hub.test` with a redirect and, with `fallback`, somebody who knows its challenges.
fn site(fallback: Option<&Upstream>, more: &str) -> String {
    let upstream = fallback
        .map(|u| format!("[upstream.fb]\nendpoints = [\"{}\"]\n", u.addr))
        .unwrap_or_default();
    let line = if fallback.is_some() {
        "challenge_fallback = \"fb\"\n"
    } else {
        ""
    };
    format!("[site.\"{HOST}\"]\ncertificate = \"self-signed\"\n{line}{more}\n{upstream}")
}

#[test]
fn fault_17_a_challenge_that_is_not_ours_goes_to_the_fallback_with_path_and_host_untouched() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\ntoken.key",
    );
    let hubgate = Hubgate::start(&site(Some(&upstream), ""));
    for mut client in [hubgate.plain(), hubgate.tls()] {
        let response = client.get("hub.test:80", TOKEN);
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "token.key")
        );
        let head = upstream.last_request().head;
        assert_eq!(
            (head.target(), head.one("host").as_str()),
            (TOKEN.as_bytes().to_vec(), "hub.test:80")
        );
    }
    let before = upstream.requests().len();
    let response = hubgate
        .plain()
        .exchange(format!("HEAD {TOKEN} HTTP/1.1\r\nHost: hub.test\r\n\r\n"));
    assert_eq!((response.status, response.body.bytes.len()), (200, 0));
    assert_eq!(upstream.requests().len(), before + 1);
    let mut h2 = hubgate.h2();
    assert_eq!(h2.get(TOKEN).text(), "token.key");
}

#[test]
fn fault_17_only_get_and_head_reach_the_fallback_and_only_below_the_challenge_path() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::start(&site(Some(&upstream), ""));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let request =
            format!("{method} {TOKEN} HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 0\r\n\r\n");
        assert_ne!(hubgate.plain().exchange(request).status, 200, "{method}");
    }
    for target in [
        "/.well-known/",
        "/.well-known/acme-challenge",
        "/.well-known/acme-challengeX/a",
        "/x/.well-known/acme-challenge/a",
        "/.well-known/security.txt",
    ] {
        assert_eq!(hubgate.plain().get(HOST, target).status, 301, "{target}");
    }
    for target in [
        "/.well-known/acme-challenge/../../admin",
        "/.well-known/acme-challenge/%2e%2e/admin",
        "/.well-known/acme-challenge/a/b",
        "/.well-known/acme-challenge/",
    ] {
        assert_ne!(hubgate.plain().get(HOST, target).status, 200, "{target}");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn fault_17_the_fallbacks_redirect_and_refusal_pass_as_they_are() {
    let upstream = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            conn.send(if head.target().ends_with(b"-moved") {
                "HTTP/1.1 302 Found\r\nLocation: https://elsewhere.test/x\r\nContent-Length: 0\r\n\r\n"
            } else {
                "HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nunknown"
            });
        }
    });
    let hubgate = Hubgate::start(&site(Some(&upstream), ""));
    let moved = hubgate.plain().get(HOST, &format!("{TOKEN}-moved"));
    assert_eq!(
        (moved.status, moved.head.one("location").as_str()),
        (302, "https://elsewhere.test/x")
    );
    let unknown = hubgate.plain().get(HOST, TOKEN);
    assert_eq!((unknown.status, unknown.text().as_str()), (404, "unknown"));
}

#[test]
fn fault_17_a_fallback_answer_above_4_kib_becomes_502_and_one_of_4_kib_passes() {
    let upstream = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            let sized = |n: usize| {
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n{}",
                    "x".repeat(n)
                )
            };
            let sent = match head.target().rsplit(|b| *b == b'-').next().unwrap() {
                b"fits" => conn.try_send(sized(4096)),
                b"big" => conn.try_send(sized(4097)),
                b"endless" => {
                    let _ = conn.try_send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                    while conn
                        .try_send("400\r\n".to_owned() + &"x".repeat(1024) + "\r\n")
                        .is_ok()
                    {}
                    return;
                }
                _ => conn
                    .try_send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")
                    .map(|()| conn.finish_sending()),
            };
            if sent.is_err() {
                return;
            }
        }
    });
    let hubgate = Hubgate::start(&site(Some(&upstream), ""));
    let ask = |name: &str| hubgate.plain().get(HOST, &format!("{TOKEN}-{name}"));
    assert_eq!(ask("fits").body.bytes.len(), 4096);
    for name in ["big", "endless", "short"] {
        let response = ask(name);
        assert_eq!(response.status, 502, "{name}");
        assert!(
            response.text().contains("challenge_fallback_failed"),
            "{name}: {}",
            response.text()
        );
    }
    eventually("the endless one is left", || upstream.open() <= 1);
}

#[test]
fn fault_17_a_fallback_gets_5_seconds_and_a_dead_one_becomes_502() {
    let silent = Upstream::start(|conn| {
        conn.request();
        let _ = conn.closes_within(Duration::from_secs(20));
    });
    let hubgate = Hubgate::start(&site(Some(&silent), ""));
    let start = Instant::now();
    let response = hubgate.plain().get(HOST, TOKEN);
    assert_eq!(response.status, 502);
    assert!(
        start.elapsed() > Duration::from_millis(4500)
            && start.elapsed() < Duration::from_millis(7000),
        "{:?}",
        start.elapsed()
    );
    let gone = Upstream::saying("");
    let toml = site(Some(&gone), "").replace(
        &gone.addr.to_string(),
        &crate::support::ports::free_addr().to_string(),
    );
    let hubgate = Hubgate::start(&toml);
    assert_eq!(hubgate.plain().get(HOST, TOKEN).status, 502);
}

#[test]
fn fault_17_without_a_fallback_an_unknown_challenge_gets_404() {
    let hubgate = Hubgate::start(&site(None, ""));
    let response = hubgate.plain().get(HOST, TOKEN);
    assert_eq!(response.status, 404);
    assert!(response.text().contains("challenge_unknown"));
    // On TLS the path is the routes' after challenges, and there is none here.
    assert_eq!(hubgate.tls().get(HOST, TOKEN).status, 404);
}

#[test]
fn get_and_head_are_redirected_by_301_and_others_by_308_with_the_raw_target() {
    let hubgate = Hubgate::start(&site(None, ""));
    let port = hubgate.https.port();
    for (method, status) in [
        ("GET", 301),
        ("HEAD", 301),
        ("POST", 308),
        ("PUT", 308),
        ("OPTIONS", 308),
        ("DELETE", 308),
    ] {
        for target in [
            "/",
            "/a%2Fb//c/./d?x=%20&y=/..",
            "//evil.test/x",
            "/\\evil.test",
            "/?",
            "/a;b|c\"d",
        ] {
            let mut client = hubgate.plain();
            let response = client.exchange(format!(
                "{method} {target} HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 0\r\n\r\n"
            ));
            assert_eq!(response.status, status, "{method} {target}");
            assert_eq!(
                response.head.one("location"),
                format!("https://hub.test:{port}{target}"),
                "{method}"
            );
        }
    }
    for host in ["HUB.test", "hub.test:80", "hub.test.", "hub.test:12345"] {
        let location = hubgate.plain().get(host, "/x").head.one("location");
        assert_eq!(location, format!("https://hub.test:{port}/x"), "{host}");
    }
}

#[test]
fn redirect_port_443_is_left_out_and_redirect_status_counts_for_all() {
    let toml = site(None, "redirect_status = 307")
        + "[listen]\nhttp = [\"@HTTP@\"]\nhttps = [\"@HTTPS@\"]\nredirect_port = 443\n";
    let hubgate = Hubgate::start(&toml);
    for method in ["GET", "POST"] {
        let response = hubgate.plain().exchange(format!(
            "{method} /x HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 0\r\n\r\n"
        ));
        assert_eq!(
            (response.status, response.head.one("location").as_str()),
            (307, "https://hub.test/x")
        );
    }
}

#[test]
fn a_redirected_upload_does_not_wait_for_its_body() {
    let hubgate = Hubgate::start(&site(None, ""));
    let mut client = hubgate.plain();
    client.send("POST /x HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 100000\r\n\r\n");
    assert_eq!(client.response().status, 308);
    let _ = client.try_send("GET /smuggled HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    if let Ok(second) = client.try_response(false) {
        panic!("a body's bytes were answered with {}", second.status);
    }
}

#[test]
fn the_redirect_never_leads_to_a_host_we_do_not_serve() {
    let hubgate = Hubgate::start(&site(None, ""));
    let answers = [
        "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET http://evil.test/ HTTP/1.1\r\nHost: hub.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: hub.test@evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Host: hub.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: hub.test.evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: hub.test\r\nX-Forwarded-Host: evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: hub.test/@evil.test\r\n\r\n",
        "GET @evil.test/ HTTP/1.1\r\nHost: hub.test\r\n\r\n",
        "GET .evil.test/ HTTP/1.1\r\nHost: hub.test\r\n\r\n",
        "GET :1@evil.test/ HTTP/1.1\r\nHost: hub.test\r\n\r\n",
        "GET http://hub.test@evil.test/ HTTP/1.1\r\nHost: hub.test\r\n\r\n",
        "GET http://evil.test\\@hub.test/ HTTP/1.1\r\nHost: hub.test\r\n\r\n",
    ];
    for request in answers {
        let response = hubgate.plain().exchange(request);
        for location in response.head.all("location") {
            let expected = format!("https://hub.test:{}/", hubgate.https.port());
            assert!(location.starts_with(&expected), "{request:?} -> {location}");
        }
        if !request.contains("X-Forwarded-Host: evil") {
            assert!(
                [400, 421].contains(&response.status),
                "{request:?} -> {}",
                response.status
            );
        }
    }
}

#[test]
fn an_unknown_host_gets_421_even_for_challenges() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::start(&site(Some(&upstream), ""));
    for target in ["/", TOKEN] {
        let response = hubgate.plain().get("nobody.test", target);
        assert_eq!(response.status, 421, "{target}");
        assert!(response.text().contains("host_unknown"));
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_site_without_certificate_serves_challenges_of_others_on_plain_http() {
    let fallback = Upstream::saying("token.key");
    let toml = site(Some(&fallback), "").replace("self-signed", "none")
        + "[site.\"tls.test\"]\ncertificate = \"self-signed\"\n";
    let hubgate = Hubgate::start(&toml);
    assert_eq!(hubgate.plain().get(HOST, TOKEN).text(), "token.key");
}

#[test]
fn a_site_without_certificate_forwards_plain_http_to_its_routes() {
    let upstream = Upstream::saying("plain");
    let toml = format!(
        "[site.\"{HOST}\"]\ncertificate = \"none\"\n[[site.\"{HOST}\".route]]\npath = \"/\"\nupstream = \"up\"\n\
         [site.\"tls.test\"]\ncertificate = \"self-signed\"\n[upstream.up]\nendpoints = [\"{}\"]\n",
        upstream.addr
    );
    let hubgate = Hubgate::start(&toml);
    let mut client = Client::plain(hubgate.http);
    assert_eq!(client.get(HOST, "/x").text(), "plain");
    assert_eq!(upstream.only_request().head.one("x-scheme"), "http");
}

#[test]
fn fault_17_a_fallback_that_leads_back_here_is_told_from_a_cluster_and_ends_at_once() {
    let mut toml = site(None, "");
    toml = toml.replace(
        "[site.\"hub.test\"]\n",
        "[site.\"hub.test\"]\nchallenge_fallback = \"fb\"\n",
    ) + "[upstream.fb]\nendpoints = [\"@HTTP@\"]\n";
    let hubgate = Hubgate::start(&toml);
    let response = hubgate.plain().get(HOST, TOKEN);
    assert_eq!(response.status, 502, "{}", response.text());
    hubgate.wait_log("acme.challenge.loop");
    assert_eq!(hubgate.log().matches("acme.challenge.loop").count(), 1);
}

#[test]
fn fault_17_a_client_that_guesses_tokens_gets_429_while_the_cluster_is_left_alone() {
    let upstream = Upstream::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let hubgate = Hubgate::start(&site(Some(&upstream), ""));
    let mut client = hubgate.plain();
    let statuses: Vec<u16> = (0..200).map(|_| client.get(HOST, TOKEN).status).collect();
    assert_eq!(statuses[..10], [404; 10]);
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(upstream.requests().len() < 200);
}

#[test]
fn fault_17_a_name_that_both_hubgate_and_the_cluster_order_is_warned_about_once() {
    let token = TOKEN.rsplit('/').next().unwrap();
    let body = format!("{token}.{}", "t".repeat(43));
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let upstream = Upstream::answering(Box::leak(answer.into_boxed_str()));
    let own = site(Some(&upstream), "");
    let hubgate = Hubgate::start(&own);
    assert_eq!(hubgate.plain().get(HOST, TOKEN).status, 200);
    assert!(
        !hubgate.log().contains("acme.double"),
        "only the cluster orders"
    );
    // An authority that nobody reaches: only the order's being wanted counts.
    let both = own.replace("certificate = \"self-signed\"", "certificate = \"acme\"");
    let hubgate = Hubgate::start(&format!(
        "[acme]\ndirectory = \"https://localhost:1/dir\"\n{both}"
    ));
    for _ in 0..3 {
        let response = hubgate.plain().get(HOST, TOKEN);
        assert_eq!((response.status, response.text()), (200, body.clone()));
    }
    hubgate.wait_log("acme.double");
    assert_eq!(hubgate.log().matches("acme.double").count(), 1);
}
