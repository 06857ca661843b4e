//! What a port for TLS makes of a connection's first bytes: any segmentation, any records, and what is no hello.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::hubgate::{HOST, one_site};
use crate::support::ports::free_addr;
use crate::support::{Client, DEADLINE, Hubgate, Upstream, eventually, tls};

/// `hub.test` is served, and what asks for `behind.test` is passed on to a second edge at the same port.
struct Port {
    behind: Hubgate,
    front: Hubgate,
    _upstreams: [Upstream; 2],
}

impl Port {
    fn new(more: &str) -> Self {
        let (own, others) = (Upstream::saying("own"), Upstream::saying("behind"));
        let behind = Hubgate::start(&one_site(others.addr, "").replace(HOST, "behind.test"));
        let stream = format!(
            "[[stream]]\nlisten = \"@HTTPS@\"\nsni = [\"behind.test\"]\nupstream = \"b\"\n\
             [upstream.b]\nendpoints = [\"{}\"]\n{more}",
            behind.https
        );
        let front = Hubgate::start(&(one_site(own.addr, "") + &stream));
        Self {
            behind,
            front,
            _upstreams: [own, others],
        }
    }
}

/// A hello of rustls, with a post-quantum key in it.
fn hello(name: &str) -> (rustls::ClientConnection, Vec<u8>) {
    let mut config = tls::config(&["http/1.1"]);
    config.enable_sni = !name.is_empty();
    let shown = if name.is_empty() {
        "none.invalid"
    } else {
        name
    };
    let shown = rustls::pki_types::ServerName::try_from(shown.to_owned()).unwrap();
    let mut conn = rustls::ClientConnection::new(config.into(), shown).unwrap();
    let mut bytes = Vec::new();
    conn.write_tls(&mut bytes).unwrap();
    (conn, bytes)
}

/// The same handshake message in records of at most `size` bytes.
fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    let records = hello[5..].chunks(size).map(|part| {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[22, 3, 1][..], &length, part].concat()
    });
    records.collect::<Vec<_>>().concat()
}

fn connect(addr: SocketAddr) -> TcpStream {
    let sock = TcpStream::connect(addr).unwrap();
    sock.set_nodelay(true).unwrap();
    sock.set_read_timeout(Some(DEADLINE)).unwrap();
    sock
}

/// The answer to a request after a hello that was sent in pieces of `size` bytes.
fn served(addr: SocketAddr, name: &str, records: Option<usize>, size: usize) -> String {
    let (mut conn, mut bytes) = hello(name);
    assert!(
        bytes.len() > 1400,
        "larger than a packet with a post-quantum key"
    );
    if let Some(records) = records {
        bytes = in_records(&bytes, records);
    }
    let mut sock = connect(addr);
    for piece in bytes.chunks(size) {
        sock.write_all(piece).unwrap();
    }
    while conn.is_handshaking() {
        conn.complete_io(&mut sock).expect("handshake");
    }
    let stream = rustls::StreamOwned::new(conn, sock);
    let mut client = Client(crate::support::Wire::new(stream));
    client.get(name, "/").text()
}

/// All that comes until the end of the connection.
fn rest(mut sock: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    sock.read_to_end(&mut bytes).ok();
    bytes
}

#[test]
fn a_hello_is_understood_however_it_is_cut() {
    let port = Port::new("");
    let plain = Hubgate::start(&one_site(Upstream::saying("x").addr, ""));
    drop(plain);
    for (records, size) in [
        (None, 1),
        (None, 1400),
        (Some(1), 4000),
        (Some(7), 3),
        (Some(500), 5000),
    ] {
        for (name, says) in [(HOST, "own"), ("behind.test", "behind")] {
            let text = served(port.front.https, name, records, size);
            assert_eq!(text, says, "{records:?} {size}");
        }
        // Where no stream is configured.
        assert_eq!(
            served(port.behind.https, "behind.test", records, size),
            "behind"
        );
    }
}

#[test]
fn who_names_no_host_or_an_unknown_one_is_told_so_unless_there_is_a_default() {
    let port = Port::new("");
    for name in ["", "unknown.test"] {
        for addr in [port.front.https, port.behind.https] {
            let mut sock = connect(addr);
            sock.write_all(&hello(name).1).unwrap();
            // unrecognized_name
            assert_eq!(rest(sock), [21, 3, 3, 0, 2, 2, 112], "{name}");
        }
    }
    let upstream = Upstream::saying("ok");
    let toml = one_site(upstream.addr, "").replace("[[site", "default = true\n[[site");
    let hubgate = Hubgate::start(&toml);
    let stream = tls::handshake(hubgate.https, "", tls::config(&["http/1.1"])).unwrap();
    let mut client = Client(crate::support::Wire::new(stream));
    assert_eq!(client.get(HOST, "/").text(), "ok");
}

/// A hello with a key for x25519, made here so that it can hold anything.
fn made(name: &str, suites: &[u16], more: &[(u16, &[u8])]) -> Vec<u8> {
    let sized = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length, bytes].concat()
    };
    let mut extensions = Vec::new();
    let mut put = |kind: u16, value: &[u8]| {
        extensions.extend(kind.to_be_bytes());
        extensions.extend(sized(value));
    };
    for (kind, value) in more {
        put(*kind, value);
    }
    put(0, &sized(&[&[0][..], &sized(name.as_bytes())].concat()));
    put(10, &sized(&[0x1a, 0x1a, 0, 29])); // groups: GREASE, x25519
    put(13, &sized(&[4, 3, 8, 4])); // signatures
    put(43, &[4, 0x2a, 0x2a, 3, 4]); // versions: GREASE, 1.3
    let key = x25519();
    let shares = [&[0x1a, 0x1a, 0, 1, 0][..], &[0, 29], &sized(&key)].concat();
    put(51, &sized(&shares));
    let suites: Vec<u8> = suites
        .iter()
        .flat_map(|suite| suite.to_be_bytes())
        .collect();
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &sized(&suites),
        &[1, 0],
        &sized(&extensions),
    ]
    .concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1][..], &length[1..], &body].concat();
    in_records(&[&[0; 5][..], &message].concat(), 16_000)
}

/// A public key.
fn x25519() -> Vec<u8> {
    let key = aws_lc_rs::agreement::PrivateKey::generate(&aws_lc_rs::agreement::X25519).unwrap();
    key.compute_public_key().unwrap().as_ref().to_vec()
}

#[test]
fn grease_and_an_encrypted_hello_are_no_obstacle_and_the_outer_name_counts() {
    let port = Port::new("");
    let ech: &[(u16, &[u8])] = &[
        (0x3a3a, b"grease"),
        (0xfe0d, &[0, 0, 1, 0, 1, 9, 0, 1, 5, 0, 3, 1, 2, 3]),
    ];
    for (name, addr) in [
        (HOST, port.front.https),
        ("behind.test", port.front.https),
        ("behind.test", port.behind.https),
    ] {
        let mut sock = connect(addr);
        sock.write_all(&made(name, &[0x5a5a, 0x1301], ech)).unwrap();
        let mut head = [0; 6];
        sock.read_exact(&mut head).unwrap();
        // A handshake record with a ServerHello.
        assert_eq!((head[0], head[5]), (22, 2), "{name}");
    }
    // Nothing in common is a handshake_failure, and not an end without a word.
    let mut sock = connect(port.behind.https);
    sock.write_all(&made("behind.test", &[0x5a5a, 0x1399], ech))
        .unwrap();
    assert_eq!(rest(sock), [21, 3, 3, 0, 2, 2, 40]);
}

#[test]
fn what_is_no_tls_gets_a_400_that_says_so_and_what_is_broken_tls_an_alert() {
    let port = Port::new("");
    for addr in [port.front.https, port.behind.https] {
        for bytes in [
            &b"GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n"[..],
            b"OPTIONS * HTTP/1.0\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            &[0xff; 300],
        ] {
            let mut sock = connect(addr);
            sock.write_all(bytes).unwrap();
            let answer = String::from_utf8_lossy(&rest(sock)).into_owned();
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert!(answer.contains("This port speaks TLS"), "{answer}");
            assert!(
                answer
                    .to_lowercase()
                    .contains("x-hubgate-cause: plain_on_tls")
            );
        }
        for bytes in [
            // A record that is too long, a message that is none, another message, a torn hello, an alert, no content.
            &[22, 3, 1, 0x50, 0, 1][..],
            &[22, 3, 1, 0, 4, 99, 0, 0, 0],
            &[22, 3, 1, 0, 4, 2, 0, 0, 0],
            &[22, 3, 1, 0, 8, 1, 0, 0, 4, 3, 3, 0, 0],
            &[23, 3, 3, 0, 1, 0],
            &[22, 9, 1, 0, 4, 1, 0, 0, 0],
        ] {
            let mut sock = connect(addr);
            sock.write_all(bytes).unwrap();
            let answer = rest(sock);
            assert!(
                answer.len() == 7 && answer[0] == 21 && answer[5] == 2,
                "{bytes:?}: {}",
                String::from_utf8_lossy(&answer)
            );
        }
    }
}

#[test]
fn a_hello_that_never_ends_is_bounded_in_bytes_and_in_time() {
    let port = Port::new("[timeouts]\nhandshake = \"1s\"\n");
    let plain = Hubgate::start(&(one_site(free_addr(), "") + "[timeouts]\nhandshake = \"1s\"\n"));
    for addr in [port.front.https, plain.https] {
        // A message of 16 MiB, in whole records.
        let mut sock = connect(addr);
        let record = [&[22, 3, 1, 0x40, 0][..], &[0; 0x4000]].concat();
        let mut first = record.clone();
        first[5..9].copy_from_slice(&[1, 0xff, 0xff, 0xff]);
        let mut sent = 0;
        let mut next = first;
        while sent < 64 << 20 && sock.write_all(&next).is_ok() {
            sent += next.len();
            next = record.clone();
        }
        assert!(sent < 8 << 20, "{sent} bytes were taken");
        // A byte at a time, for ever.
        let mut sock = connect(addr);
        let start = Instant::now();
        let mut bytes = hello(HOST).1.into_iter();
        while sock.write_all(&[bytes.next().unwrap()]).is_ok() {
            assert!(start.elapsed() < Duration::from_secs(8), "still taken");
            std::thread::sleep(Duration::from_millis(20));
        }
        // And nothing at all.
        let start = Instant::now();
        assert_eq!(rest(connect(addr)), b"");
        assert!(start.elapsed() < Duration::from_secs(8));
    }
    eventually("they are counted", || {
        plain
            .metrics()
            .contains("hubgate_tls_handshakes_total{result=\"timed_out\"} 2")
    });
}

#[test]
fn every_refusal_is_counted_by_its_reason() {
    let hubgate = Hubgate::start(&one_site(free_addr(), ""));
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[22, 3, 1, 0, 4, 99, 0, 0, 0],
        &hello("").1,
        &hello("unknown.test").1,
        &made(HOST, &[0x1399], &[]),
    ] {
        let mut sock = connect(hubgate.https);
        sock.write_all(bytes).unwrap();
        rest(sock);
    }
    drop(connect(hubgate.https));
    let wanted = [
        ("not_tls", 1),
        ("malformed", 1),
        ("no_name", 1),
        ("unknown_name", 1),
        ("no_agreement", 1),
    ];
    eventually("they are counted", || {
        let metrics = hubgate.metrics();
        wanted.iter().all(|(reason, count)| {
            metrics.contains(&format!(
                "hubgate_tls_refused_total{{result=\"{reason}\"}} {count}"
            ))
        })
    });
}

#[test]
fn a_port_that_only_passes_tls_on_answers_as_one_that_serves() {
    let upstream = Upstream::saying("no");
    let listen = free_addr();
    let hubgate = Hubgate::start(&format!(
        "{}[[stream]]\nlisten = \"{listen}\"\nsni = [\"a.test\"]\nupstream = \"up\"\n",
        one_site(upstream.addr, "")
    ));
    let answer = |bytes: &[u8]| {
        let mut sock = connect(listen);
        sock.write_all(bytes).unwrap();
        rest(sock)
    };
    let plain = answer(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(plain.starts_with(b"HTTP/1.1 400 "));
    assert_eq!(answer(&hello("b.test").1), [21, 3, 3, 0, 2, 2, 112]);
    assert_eq!(
        answer(&[22, 3, 1, 0, 4, 99, 0, 0, 0]),
        [21, 3, 3, 0, 2, 2, 50]
    );
    assert_eq!(upstream.connections(), 0);
    drop(hubgate);
}

#[test]
fn a_client_that_ends_in_the_middle_of_a_hello_is_let_go_at_once() {
    let port = Port::new("[timeouts]\nhandshake = \"120s\"\n");
    let mut client = TcpStream::connect(port.front.https).unwrap();
    client.write_all(&[22, 3, 1, 0, 5, 1, 0]).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    // Less than the time for a handshake, during which a worker would have looked again and again.
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let ended = client.read(&mut [0; 16]).map_err(|error| error.kind());
    assert!(
        matches!(ended, Ok(_) | Err(std::io::ErrorKind::ConnectionReset)),
        "{ended:?}"
    );
}
