//! What a TLS client meets before its first request.

use std::time::Duration;

use rustls::{HandshakeKind, NamedGroup};

use crate::support::hubgate::{HOST, one_site};
use crate::support::{Client, Hubgate, Upstream, Wire, tls};

fn two_sites(upstream: &Upstream) -> String {
    one_site(upstream.addr, "") + "[site.\"other.test\"]\ncertificate = \"self-signed\"\n"
}

#[test]
fn tls_12_and_13_are_spoken() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = tls::config_with(&["http/1.1"], &[version]);
        let stream = tls::handshake(hubgate.https, HOST, config).expect("handshake");
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        assert_eq!(Client(Wire::new(stream)).get(HOST, "/").text(), "ok");
    }
}

#[test]
fn the_key_exchange_is_post_quantum_when_the_client_can() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let stream = tls::handshake(hubgate.https, HOST, tls::config(&["http/1.1"])).unwrap();
    assert_eq!(
        stream
            .conn
            .negotiated_key_exchange_group()
            .map(|g| g.name()),
        Some(NamedGroup::X25519MLKEM768)
    );
}

#[test]
fn alpn_chooses_h2_before_http11_and_http11_without_alpn() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    for (offer, chosen) in [
        (vec!["http/1.1", "h2"], Some("h2")),
        (vec!["http/1.1"], Some("http/1.1")),
        (vec!["spdy/3", "http/1.1"], Some("http/1.1")),
    ] {
        let stream = tls::handshake(hubgate.https, HOST, tls::config(&offer)).unwrap();
        assert_eq!(
            stream.conn.alpn_protocol(),
            chosen.map(str::as_bytes),
            "{offer:?}"
        );
    }
    let stream = tls::handshake(hubgate.https, HOST, tls::config(&[])).unwrap();
    assert_eq!(Client(Wire::new(stream)).get(HOST, "/").text(), "ok");
    assert!(
        tls::handshake(hubgate.https, HOST, tls::config(&["smtp"])).is_err(),
        "RFC 7301 section 3.2"
    );
}

#[test]
fn each_site_shows_its_own_certificate() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::start(&two_sites(&upstream));
    let one = tls::certificate_of(hubgate.https, HOST);
    assert_eq!(one, tls::certificate_of(hubgate.https, HOST));
    assert_eq!(one, tls::certificate_of(hubgate.https, "HUB.test"));
    assert_ne!(one, tls::certificate_of(hubgate.https, "other.test"));
    for (name, der) in [
        (HOST, one),
        (
            "other.test",
            tls::certificate_of(hubgate.https, "other.test"),
        ),
    ] {
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert!(format!("{names:?}").contains(name));
    }
}

#[test]
fn an_unknown_server_name_gets_no_site() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::start(&two_sites(&upstream));
    if let Ok(stream) = tls::handshake(hubgate.https, "nobody.test", tls::config(&["http/1.1"])) {
        let mut client = Client(Wire::new(stream));
        assert_eq!(client.get("nobody.test", "/").status, 421);
        assert_eq!(upstream.requests().len(), 0);
    }
}

#[test]
fn a_client_without_server_name_does_not_reach_a_site_by_a_wrong_host() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::start(&two_sites(&upstream));
    if let Ok(stream) = tls::handshake(hubgate.https, "", tls::config(&["http/1.1"])) {
        assert_eq!(
            Client(Wire::new(stream)).get("nobody.test", "/").status,
            421
        );
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_second_handshake_resumes_the_first_ones_session() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = tls::config_with(&["http/1.1"], &[version]);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let stream = tls::handshake(hubgate.https, HOST, config.clone()).unwrap();
            kinds.push(stream.conn.handshake_kind());
            let mut client = Client(Wire::new(stream));
            assert_eq!(client.get(HOST, "/").text(), "ok"); // the ticket comes before the answer
        }
        assert_eq!(kinds[1], Some(HandshakeKind::Resumed), "{version:?}");
    }
}

#[test]
fn a_session_of_one_site_does_not_open_another() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::start(&two_sites(&upstream));
    let mut client = Client::tls(hubgate.https, "other.test");
    assert_eq!(client.get(HOST, "/").status, 421);
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_client_hello_in_single_bytes_is_understood() {
    use std::io::{Read, Write};
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let name = rustls::pki_types::ServerName::try_from(HOST).unwrap();
    let mut conn =
        rustls::ClientConnection::new(std::sync::Arc::new(tls::config(&["http/1.1"])), name)
            .unwrap();
    let mut hello = Vec::new();
    conn.write_tls(&mut hello).unwrap();
    let mut sock = std::net::TcpStream::connect(hubgate.https).unwrap();
    sock.set_nodelay(true).unwrap();
    sock.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    for byte in hello.chunks(1) {
        sock.write_all(byte).unwrap();
    }
    while conn.is_handshaking() {
        conn.complete_io(&mut sock).expect("handshake");
    }
    let mut stream = rustls::StreamOwned::new(conn, sock);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: hub.test\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn plain_http_on_the_tls_port_and_garbage_end_the_connection() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::before(upstream.addr);
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n".as_slice(),
        &[0xff; 300],
        b"SSH-2.0-x\r\n",
    ] {
        let mut client = Client::plain(hubgate.https);
        client.send(bytes);
        assert!(client.closes_within(Duration::from_secs(3)));
    }
    assert_eq!(hubgate.tls().get(HOST, "/").text(), "no");
}

#[test]
fn a_finished_answer_ends_with_close_notify() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = hubgate.tls();
    assert_eq!(
        client
            .exchange("GET / HTTP/1.1\r\nHost: hub.test\r\nConnection: close\r\n\r\n")
            .text(),
        "ok"
    );
    assert_eq!(client.rest(), (Vec::new(), crate::support::End::Clean));
}

#[test]
fn a_certificate_none_site_has_no_tls() {
    let upstream = Upstream::saying("plain");
    let toml = two_sites(&upstream)
        + "[site.\"bare.test\"]\ncertificate = \"none\"\n[[site.\"bare.test\".route]]\npath = \"/\"\nupstream = \"up\"\n";
    let hubgate = Hubgate::start(&toml);
    assert_eq!(hubgate.plain().get("bare.test", "/").text(), "plain");
    if let Ok(stream) = tls::handshake(hubgate.https, "bare.test", tls::config(&["http/1.1"])) {
        assert_eq!(Client(Wire::new(stream)).get("bare.test", "/").status, 421);
    }
}
