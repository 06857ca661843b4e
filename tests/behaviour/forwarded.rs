//! What the upstream is told of the client: fields that are ours to set, that nobody else can, and whom we believe.

use crate::support::hubgate::{HOST, one_site};
use crate::support::{Head, Hubgate, Upstream};

const OURS: [&str; 6] = [
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-scheme",
];

/// Names that mean one of ours to a backend which takes `_` for `-`.
fn twins(head: &Head) -> Vec<String> {
    let names = head.fields.iter().map(|(n, _)| n.to_ascii_lowercase());
    names
        .filter(|n| {
            n.contains('_') && (OURS.contains(&n.replace('_', "-").as_str()) || n == "x_request_id")
        })
        .collect()
}

#[test]
fn host_reaches_the_upstream_as_sent_with_its_port() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    for host in ["hub.test", "hub.test:8443", "HUB.test", "hub.test."] {
        assert_eq!(hubgate.plain().get(host, "/").status, 200);
        assert_eq!(upstream.last_request().head.one("host"), host);
        assert_eq!(upstream.last_request().head.one("x-forwarded-host"), host);
    }
}

#[test]
fn the_forwarded_fields_tell_the_client_and_the_scheme_on_every_protocol() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    hubgate.plain().get("hub.test:80", "/");
    hubgate.tls().get("hub.test:8443", "/");
    assert_eq!(hubgate.h2().get("/").status, 200);
    // The port the client means is the one it wrote: a mapped port is not ours to know.
    let cases = [
        ("http", "80", "hub.test:80"),
        ("https", "8443", "hub.test:8443"),
        ("https", "443", HOST),
    ];
    for (request, (scheme, port, host)) in upstream.requests().iter().zip(cases) {
        let head = &request.head;
        assert_eq!(head.one("x-real-ip"), "127.0.0.1");
        assert_eq!(head.one("x-forwarded-for"), "127.0.0.1");
        assert_eq!(head.one("x-forwarded-proto"), scheme);
        assert_eq!(head.one("x-scheme"), scheme);
        assert_eq!(head.one("x-forwarded-host"), host);
        assert_eq!(head.one("x-forwarded-port"), port);
        assert!(head.one("x-request-id").len() >= 8);
        assert!(head.start.ends_with(b" HTTP/1.1"));
    }
    let mut ids: Vec<_> = upstream
        .requests()
        .iter()
        .map(|r| r.head.one("x-request-id"))
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each request has its own id");
}

const SPOOFED: &str = "X-Real-IP: 203.0.113.9\r\nx_real_ip: 203.0.113.9\r\nX-Forwarded-For: 203.0.113.9\r\n\
    X_Forwarded_For: 203.0.113.9\r\nX-Forwarded_For: 203.0.113.9\r\nX-Forwarded-Proto: gopher\r\nX_FORWARDED_PROTO: gopher\r\n\
    X-Forwarded-Host: evil.test\r\nX_Forwarded_Host: evil.test\r\nX-Forwarded-Port: 1\r\nX_Forwarded_Port: 1\r\n\
    X-Scheme: gopher\r\nX_Scheme: gopher\r\nX-Request-Id: mine-12345\r\nX_Request_Id: mine-12345\r\n\
    Forwarded: for=203.0.113.9;proto=gopher\r\nContent_Length: 203.0.113.9\r\nTransfer_Encoding: gopher\r\n";

#[test]
fn a_client_cannot_set_the_forwarded_fields_nor_their_underscore_twins() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    hubgate.plain().exchange(format!(
        "GET / HTTP/1.1\r\nHost: hub.test\r\n{SPOOFED}X_Other: kept\r\n\r\n"
    ));
    let mut h2 = hubgate.h2();
    let mut request = h2.request("GET", "/");
    for line in SPOOFED.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name.to_ascii_lowercase(), value);
    }
    assert_eq!(h2.exchange(request.header("x_other", "kept")).status, 200);
    for request in upstream.requests() {
        let text = String::from_utf8_lossy(&request.head.raw).into_owned();
        for evil in ["203.0.113.9", "gopher", "evil.test", "mine-12345"] {
            assert!(!text.contains(evil), "{text}");
        }
        assert!(!request.head.has("forwarded"), "{text}");
        assert!(twins(&request.head).is_empty(), "{text}");
        assert_eq!(
            request.head.one("x_other"),
            "kept",
            "other fields with underscores are the backend's business"
        );
        for name in OURS {
            request.head.one(name);
        }
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_trusted_peer_is_believed_and_appended_to() {
    let upstream = Upstream::saying("ok");
    let toml = one_site(upstream.addr, "") + "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let hubgate = Hubgate::start(&toml);
    hubgate.plain().exchange(
        "GET / HTTP/1.1\r\nHost: hub.test\r\nX-Forwarded-For: 198.51.100.7\r\nX-Request-Id: from-the-edge-1\r\n\
         X-Forwarded-Proto: https\r\n\r\n",
    );
    let head = upstream.only_request().head;
    let chain = head.all("x-forwarded-for").join(", ");
    assert_eq!(
        chain.split(',').map(str::trim).collect::<Vec<_>>(),
        ["198.51.100.7", "127.0.0.1"]
    );
    assert_eq!(head.one("x-request-id"), "from-the-edge-1");
}

#[test]
fn a_peer_outside_the_trusted_networks_is_not_believed() {
    let upstream = Upstream::saying("ok");
    let toml = one_site(upstream.addr, "")
        + "[server]\ntrusted_proxies = [\"127.0.0.2\", \"10.0.0.0/8\"]\n";
    let hubgate = Hubgate::start(&toml);
    hubgate.plain().exchange("GET / HTTP/1.1\r\nHost: hub.test\r\nX-Forwarded-For: 198.51.100.7\r\nX-Request-Id: x-1234567\r\n\r\n");
    let head = upstream.only_request().head;
    assert_eq!(head.one("x-forwarded-for"), "127.0.0.1");
    assert_ne!(head.one("x-request-id"), "x-1234567");
}

#[test]
fn connection_cannot_name_our_fields_nor_those_that_frame_the_message() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.plain();
    let response = client.exchange(
        "POST / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 5\r\nConnection: X-Real-IP, x-forwarded-for, X-Forwarded-Proto, \
         X-Forwarded-Host, X-Forwarded-Port, X-Scheme, X-Request-Id, Host, Content-Length\r\n\r\nhello",
    );
    assert_eq!(response.status, 200);
    let request = upstream.only_request();
    for name in OURS.iter().chain(&["x-request-id", "host"]) {
        request.head.one(name);
    }
    assert_eq!(request.body.bytes, b"hello");
}
