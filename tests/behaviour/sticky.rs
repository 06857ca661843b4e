//! Sticky sessions: a browser stays with the endpoint that answered it, by a cookie that says nothing.

use std::os::unix::fs::PermissionsExt;

use crate::support::hubgate::{HOST, one_site};
use crate::support::{Client, Hubgate, Response, Upstream, websocket};

fn toml(endpoints: &[&Upstream]) -> String {
    let list: Vec<_> = endpoints
        .iter()
        .map(|one| format!("\"{}\"", one.addr))
        .collect();
    let site = one_site(endpoints[0].addr, "").replace(
        &format!("endpoints = [\"{}\"]", endpoints[0].addr),
        &format!("endpoints = [{}]", list.join(", ")),
    );
    site + "sticky = {}\n[server]\nstate_dir = \"@DIR@/state\"\n"
}

fn ask(client: &mut Client, cookie: &str) -> Response {
    client.exchange(format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nCookie: a=b; {cookie}\r\n\r\n"
    ))
}

/// Name and value, and the attributes.
#[track_caller]
fn given(response: &Response) -> (String, String) {
    let cookie = response.head.one("set-cookie");
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    (pair.to_owned(), attributes.to_owned())
}

#[test]
fn a_browser_stays_with_its_endpoint_also_after_a_restart() {
    let (a, b) = (Upstream::saying("a"), Upstream::saying("b"));
    let mut hubgate = Hubgate::start(&toml(&[&a, &b]));
    let first = hubgate.tls().get(HOST, "/");
    let (cookie, attributes) = given(&first);
    assert_eq!(
        attributes,
        "Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"
    );
    assert!(
        cookie.starts_with("hubgate=") && !cookie.contains("127"),
        "{cookie}"
    );
    for mut client in [hubgate.plain(), hubgate.tls()] {
        for _ in 0..5 {
            let response = ask(&mut client, &cookie);
            assert_eq!(response.text(), first.text());
            assert!(!response.head.has("set-cookie"), "nothing new to say");
        }
    }
    let (_, plain) = given(&hubgate.plain().get(HOST, "/"));
    assert!(!plain.contains("Secure"), "{plain}");
    let key = hubgate.dir.path().join("state/session.key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    hubgate.reload_to(&toml(&[&b, &a]));
    assert_eq!(ask(&mut hubgate.plain(), &cookie).text(), first.text());
    hubgate.stop_and_wait();
    let kept = std::fs::read(&key).unwrap();
    let again = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(again.path().join("state")).unwrap();
    std::fs::write(again.path().join("state/session.key"), kept).unwrap();
    let hubgate = Hubgate::start_in(again, &toml(&[&a, &b]));
    for _ in 0..4 {
        assert_eq!(ask(&mut hubgate.plain(), &cookie).text(), first.text());
    }
}

#[test]
fn a_browser_whose_endpoint_is_gone_gets_another_and_a_forged_cookie_is_nothing() {
    let saying = |text: &str| {
        Upstream::answering(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{text}"
        ))
    };
    let (a, b) = (saying("a"), saying("b"));
    let hubgate = Hubgate::start(&toml(&[&a, &b]));
    let mut client = hubgate.plain();
    let first = client.get(HOST, "/");
    let (cookie, _) = given(&first);
    let forged = format!("hubgate=AAAA{}", &cookie["hubgate=AAAA".len()..]);
    assert!(ask(&mut client, &forged).head.has("set-cookie"));
    let (gone, other) = if first.text() == "a" {
        (a, "b")
    } else {
        (b, "a")
    };
    drop(gone);
    let moved = ask(&mut client, &cookie);
    assert_eq!((moved.status, moved.text().as_str()), (200, other));
    let (cookie, _) = given(&moved);
    assert_eq!(ask(&mut client, &cookie).text(), other);
}

#[test]
fn http2_gets_the_cookie_beside_those_of_the_upstream() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nSet-Cookie: own=1\r\nContent-Length: 2\r\n\r\nok");
    let hubgate = Hubgate::start(&toml(&[&upstream]));
    let response = hubgate.h2().get("/");
    let cookies: Vec<_> = response
        .fields
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(cookies[0], "own=1");
    assert!(
        cookies[1].starts_with("hubgate=") && cookies.len() == 2,
        "{cookies:?}"
    );
}

#[test]
fn a_websocket_that_comes_first_gets_the_cookie_and_no_upstream_sees_it() {
    let (a, b) = (accepting("a"), accepting("b"));
    let hubgate = Hubgate::start(&toml(&[&a, &b]));
    let handshake = |more: &str| {
        let (_socket, head) = websocket::open(hubgate.plain(), HOST, "/", more);
        head
    };
    let first = handshake("");
    let cookie = first.one("set-cookie");
    let (pair, _) = cookie.split_once("; ").unwrap();
    for _ in 0..4 {
        let again = handshake(&format!("Cookie: own=1; {pair}\r\n"));
        assert_eq!(again.one("x-who"), first.one("x-who"));
        assert!(!again.has("set-cookie"), "nothing new to say");
    }
    let answer = ask(&mut hubgate.plain(), pair);
    assert_eq!(answer.head.one("x-who"), first.one("x-who"));
    let seen = [a.requests(), b.requests()].concat();
    let cookies: Vec<_> = seen.iter().flat_map(|one| one.head.all("cookie")).collect();
    assert_eq!(cookies, ["own=1", "own=1", "own=1", "own=1", "a=b"]);
}

/// Says who it is, to handshakes too.
fn accepting(name: &'static str) -> Upstream {
    Upstream::start(move |conn| {
        while let Some(head) = conn.request() {
            match head.has("upgrade") {
                true => {
                    conn.send(format!(
                        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Who: {name}\r\n\r\n"
                    ));
                    let _ = conn.some();
                    return;
                }
                false => conn.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Who: {name}\r\n\r\n"
                )),
            }
        }
    })
}
