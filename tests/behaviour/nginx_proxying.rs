//! How nginx reaches its upstreams: from which address, by whose TLS, and which of several. hubgate does the same with the
//! same file.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::nginx_tls::openssl;
use crate::support::authority::Authority;
use crate::support::nginx::{Nginx, assert_alike, imported};
use crate::support::{Conn, Hubgate, Upstream};

/// Answers each request with where its connection comes from.
fn teller() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let peer = stream.peer_addr().unwrap().ip().to_string();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.is_empty() {
                        let length = peer.len();
                        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                        if (&stream).write_all((head + &peer).as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    addr
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")
}

#[test]
fn connections_come_from_the_address_that_the_file_binds_them_to() {
    let to = teller();
    let block = format!(
        "server {{ listen @LISTEN@; proxy_bind 127.0.0.2;
            location / {{ proxy_pass http://{to}; }}
            location /off {{ proxy_bind off; proxy_pass http://{to}; }}
            location /asked {{ proxy_bind $arg_from; proxy_pass http://{to}; }}
        }}"
    );
    // More often than once: what one location keeps is no other's here.
    let targets = [
        "/",
        "/off",
        "/asked?from=127.0.0.3",
        "/asked?from=127.0.0.4",
    ];
    let requests: Vec<_> = [targets, targets, ["/asked", "/asked?from=x", "/", "/"]]
        .concat()
        .into_iter()
        .map(get)
        .collect();
    assert_alike((&block, |_| {}), &requests, |client, request| {
        client.exchange(request).text()
    });
}

#[test]
fn endpoints_are_believed_and_told_their_name_as_with_nginx() {
    let authority = Authority::new("ours");
    let answers = |conn: &mut Conn| {
        while conn
            .answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .is_some()
        {}
    };
    let (named, seen) = Upstream::secured(
        authority.issue(&["a.test", "*.b.test"]).server(&[]),
        answers,
    );
    let (common, _) = Upstream::secured(authority.issue_to("cn.test", 7).server(&[]), answers);
    let list = authority.revoke(&[7], 9);
    let mut block = "server { listen @LISTEN@; proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; proxy_ssl_session_reuse off;\n".to_owned();
    for (path, to, more) in [
        ("named", named.addr, "proxy_ssl_name a.test;"),
        ("star", named.addr, "proxy_ssl_name x.b.test;"),
        ("two", named.addr, "proxy_ssl_name x.y.b.test;"),
        ("common", common.addr, "proxy_ssl_name cn.test;"),
        ("other", common.addr, "proxy_ssl_name a.test;"),
        ("port", named.addr, "proxy_ssl_name a.test:99;"),
        (
            "listed",
            common.addr,
            "proxy_ssl_name cn.test; proxy_ssl_crl list.pem;",
        ),
        (
            "unlisted",
            named.addr,
            "proxy_ssl_name a.test; proxy_ssl_crl list.pem;",
        ),
        (
            "old",
            named.addr,
            "proxy_ssl_name a.test; proxy_ssl_protocols TLSv1.2;",
        ),
        ("any", common.addr, "proxy_ssl_verify off;"),
    ] {
        block += &format!("location /{path} {{ proxy_pass https://{to}; {more} }}\n");
    }
    block += "}";
    let files = |dir: &Path| {
        authority.file(dir);
        fs::write(dir.join("list.pem"), &list).unwrap();
    };
    let requests = [
        "/named",
        "/star",
        "/two",
        "/common",
        "/other",
        "/port",
        "/listed",
        "/unlisted",
        "/old",
        "/any",
    ]
    .map(get);
    assert_alike((&block, files), &requests, |client, request| {
        client.exchange(request).status.to_string()
    });
    // nginx says no name unless it is told to, and neither has hubgate.
    assert!(
        seen.lock()
            .unwrap()
            .iter()
            .all(|one| one.server_name.is_none())
    );
    let told = format!(
        "server {{ listen @LISTEN@; location / {{ proxy_pass https://{}; proxy_ssl_name a.test; proxy_ssl_server_name on; }} }}",
        named.addr
    );
    let (hubgate, _) = imported(&told, |_| {});
    assert_eq!(hubgate.plain().exchange(get("/")).status, 200);
    let said = seen.lock().unwrap().last().unwrap().server_name.clone();
    assert_eq!(said.as_deref(), Some("a.test"));
}

#[test]
fn endpoints_are_offered_the_suites_and_shown_the_certificate_that_the_file_says() {
    let authority = Authority::new("ours");
    let files = |dir: &Path| {
        authority.file(dir);
        authority.issue(&["edge.test"]).files(dir, "edge");
        openssl(
            dir,
            "pkcs8 -topk8 -v2 aes-256-cbc -in edge.key -passout pass:open -out locked.key",
        );
        fs::write(dir.join("passwords"), "wrong\nopen\n").unwrap();
    };
    let endpoint =
        "server { listen @LISTEN@ ssl; ssl_certificate edge.pem; ssl_certificate_key edge.key;
        ssl_protocols TLSv1.2 TLSv1.3; ssl_verify_client optional; ssl_client_certificate ca.pem;
        return 200 \"$ssl_protocol $ssl_cipher $ssl_client_verify\"; }";
    let Some(endpoint) = Nginx::start(endpoint, files) else {
        return;
    };
    let shown = "proxy_ssl_certificate edge.pem; proxy_ssl_certificate_key locked.key; proxy_ssl_password_file passwords;";
    let (new, old) = (
        "proxy_ssl_protocols TLSv1.3;",
        "proxy_ssl_protocols TLSv1.2;",
    );
    let mut block = "server { listen @LISTEN@; proxy_ssl_session_reuse off;\n".to_owned();
    for (path, more) in [
        ("shown", format!("{new} {shown}")),
        (
            "old",
            format!("{old} {shown} proxy_ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305;"),
        ),
        (
            "several",
            format!("{old} proxy_ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256;"),
        ),
        (
            "nothing",
            format!("{old} proxy_ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256;"),
        ),
        (
            "new",
            format!("{new} proxy_ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;"),
        ),
        (
            "least",
            "proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_conf_command MaxProtocol TLSv1.2; proxy_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;".to_owned(),
        ),
    ] {
        block += &format!("location /{path} {{ proxy_pass https://{}; {more} }}\n", endpoint.addr);
    }
    block += "}";
    let requests = ["/shown", "/old", "/several", "/nothing", "/new", "/least"].map(get);
    assert_alike((&block, files), &requests, |client, request| {
        let answer = client.exchange(request);
        match answer.status {
            200 => answer.text(),
            status => status.to_string(),
        }
    });
}

/// The endpoints that answer these requests.
fn who(hubgate: &Hubgate, requests: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    let mut client = hubgate.plain();
    let answers = requests.into_iter();
    answers
        .map(|request| client.exchange(request).text())
        .collect()
}

#[test]
fn a_hash_goes_by_any_text_and_by_the_client_that_the_file_believes_in() {
    let (one, two) = (Upstream::saying("one"), Upstream::saying("two"));
    let servers = format!("server {}; server {};", one.addr, two.addr);
    let block = format!(
        "set_real_ip_from 127.0.0.1;
        upstream by_uri {{ hash $host$request_uri consistent; {servers} }}
        upstream by_client {{ ip_hash; {servers} }}
        server {{ listen @LISTEN@;
            location / {{ proxy_pass http://by_uri; }}
            location /client {{ proxy_pass http://by_client; }} }}"
    );
    let (hubgate, report) = imported(&block, |_| {});
    assert_eq!(report.lost(), 0, "{}", report.render());
    let ask = |target: &str, client: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: site.test\r\nX-Real-IP: {client}\r\n\r\n")
    };
    let all = |number: usize| format!("/{number}");
    let spread = who(&hubgate, (0..24).map(|number| ask(&all(number), "::1")));
    assert_eq!(spread.len(), 2, "24 targets are on both");
    let same = who(&hubgate, (0..6).map(|_| ask("/7?x=1", "192.0.2.1")));
    assert_eq!(same.len(), 1, "one target is on one");
    let clients = (0..24).map(|number| ask("/client", &format!("198.51.{number}.7")));
    assert_eq!(who(&hubgate, clients).len(), 2, "24 clients are on both");
    let client = (0..6).map(|number| ask(&format!("/client/{number}"), "198.51.100.7"));
    assert_eq!(who(&hubgate, client).len(), 1, "one client is on one");
}

#[test]
fn nobody_is_asked_when_all_are_down_and_a_page_in_place_of_a_401_keeps_its_question() {
    let asks = Upstream::answering(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nX-Other: 1\r\nContent-Length: 2\r\n\r\nno",
    );
    let to = asks.addr;
    let block = format!(
        r#"upstream none {{ server {to} down; server 127.0.0.1:9 down; }}
        server {{ listen @LISTEN@;
            location /down {{ proxy_pass http://none; error_page 502 /page; }}
            location /bare {{ proxy_pass http://none; }}
            location /asks {{ proxy_pass http://{to}; proxy_intercept_errors on; error_page 401 /page; }}
            location /page {{ return 200 page; }}
        }}"#
    );
    let requests = ["/down", "/bare", "/asks"].map(get);
    assert_alike((&block, |_| {}), &requests, |client, request| {
        let answer = client.exchange(request);
        let page = answer.text();
        let text = if page.starts_with("page") { &page } else { "" };
        let (asked, other) = (
            answer.head.all("www-authenticate").concat(),
            answer.head.all("x-other").concat(),
        );
        format!("{} {text} {asked} {other}", answer.status)
    });
}

#[test]
fn who_answers_with_an_error_that_another_is_asked_for_is_left_out_for_a_while() {
    let bad =
        Upstream::answering("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad");
    let good = Upstream::saying("good");
    let block = format!(
        "upstream both {{ server {}; server {}; }}
        server {{ listen @LISTEN@; location / {{ proxy_pass http://both; proxy_next_upstream http_500; }} }}",
        bad.addr, good.addr
    );
    let (hubgate, _) = imported(&block, |_| {});
    let answers = who(
        &hubgate,
        (0..8).map(|_| get("/").replace("Connection: close\r\n", "")),
    );
    assert_eq!(answers, BTreeSet::from(["good".to_owned()]));
    assert_eq!(bad.requests().len(), 1, "it failed once");
}
