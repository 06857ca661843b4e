//! Connections that are passed on unopened: by address, by the name their TLS asks for, beside sites on the same port.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use crate::support::hubgate::{HOST, one_site};
use crate::support::ports::free_addr;
use crate::support::{Client, Hubgate, Upstream, Wire, eventually, tls};

/// Streams on addresses of their own beside one site, each `(listen, more lines, endpoint)`.
fn streams(upstream: &Upstream, streams: &[(SocketAddr, &str, SocketAddr)]) -> String {
    let mut toml = one_site(upstream.addr, "");
    for (index, (listen, more, endpoint)) in streams.iter().enumerate() {
        write!(
            toml,
            "[[stream]]\nlisten = \"{listen}\"\nupstream = \"s{index}\"\n{more}\n\
             [upstream.s{index}]\nendpoints = [\"{endpoint}\"]\n"
        )
        .unwrap();
    }
    toml
}

/// An edge of its own behind the one that is tried, as an ingress with a certificate would be.
fn ingress(host: &str, upstream: &Upstream, more: &str) -> Hubgate {
    Hubgate::start(&(one_site(upstream.addr, "").replace(HOST, host) + more))
}

fn get(client: &mut Client, host: &str) -> String {
    client.get(host, "/").text()
}

/// Whether a new connection is ended at once; its reset may come before the connect is over.
fn refused(listen: SocketAddr) -> bool {
    std::net::TcpStream::connect(listen).map_or(true, |tcp| {
        Client(Wire::new(tcp)).closes_within(Duration::from_secs(5))
    })
}

#[test]
fn bytes_go_both_ways_and_an_end_of_one_side_is_passed_on() {
    let upstream = Upstream::start(|conn| {
        let mut conn = conn.take();
        let (question, _) = conn.rest();
        conn.send([b"you said: ", question.as_slice()].concat());
        conn.finish_sending();
    });
    let listen = free_addr();
    let hubgate = Hubgate::start(&streams(&upstream, &[(listen, "", upstream.addr)]));
    let mut client = Client::plain(listen);
    client.send(vec![b'x'; 3_000_000]);
    client.finish_sending();
    let (answer, _) = client.rest();
    assert!(answer.starts_with(b"you said: xxx") && answer.len() == 3_000_010);
    drop(hubgate);
}

#[test]
fn tls_is_passed_on_unopened_by_the_name_it_asks_for() {
    let (one, two) = (Upstream::saying("one"), Upstream::saying("two"));
    let (first, second) = (ingress("a.test", &one, ""), ingress("x.b.test", &two, ""));
    let listen = free_addr();
    let hubgate = Hubgate::start(&streams(
        &one,
        &[
            (listen, "sni = [\"a.test\"]", first.https),
            (listen, "sni = [\"*.b.test\"]", second.https),
        ],
    ));
    for (name, behind, says) in [("a.test", &first, "one"), ("x.b.test", &second, "two")] {
        assert_eq!(
            tls::certificate_of(listen, name),
            tls::certificate_of(behind.https, name)
        );
        assert_eq!(get(&mut Client::tls(listen, name), name), says);
    }
    for name in ["b.test", "c.test", ""] {
        let refused = tls::handshake(listen, name, tls::config(&[])).unwrap_err();
        let text = refused.to_string().to_lowercase();
        assert!(
            text.contains("unrecognised") || text.contains("unrecognized"),
            "{text}"
        );
    }
    let mut client = Client::plain(listen);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(client.closes_within(Duration::from_secs(3)));
    drop(hubgate);
}

#[test]
fn a_stream_without_names_takes_what_no_other_takes_tls_or_not() {
    let (named, rest) = (Upstream::saying("named"), Upstream::saying("rest"));
    let behind = ingress("a.test", &named, "");
    let listen = free_addr();
    let hubgate = Hubgate::start(&streams(
        &named,
        &[
            (listen, "", rest.addr),
            (listen, "sni = [\"a.test\"]", behind.https),
        ],
    ));
    assert_eq!(get(&mut Client::tls(listen, "a.test"), "a.test"), "named");
    assert_eq!(get(&mut Client::plain(listen), "any.test"), "rest");
    drop(hubgate);
}

#[test]
fn on_a_port_of_the_sites_a_stream_takes_its_names_and_the_sites_keep_theirs() {
    let (behind, before) = (Upstream::saying("behind"), Upstream::saying("before"));
    let ingress = ingress("a.test", &behind, "");
    let site = one_site(before.addr, "");
    let hubgate = Hubgate::start(&format!(
        "{site}[[stream]]\nlisten = \"@HTTPS@\"\nsni = [\"a.test\"]\nupstream = \"s\"\n\
         [upstream.s]\nendpoints = [\"{}\"]\n",
        ingress.https
    ));
    for _ in 0..3 {
        assert_eq!(
            get(&mut Client::tls(hubgate.https, "a.test"), "a.test"),
            "behind"
        );
        assert_eq!(get(&mut hubgate.tls(), HOST), "before");
        assert_eq!(hubgate.h2().get("/").text(), "before");
    }
    let told = Client::plain(hubgate.https).get("a.test", "/");
    assert_eq!(told.status, 400);
    assert!(told.text().contains("TLS"), "{}", told.text());
}

#[test]
fn the_endpoint_is_told_of_the_client_by_a_header_in_either_version() {
    let upstream = Upstream::saying("ok");
    let behind = ingress(
        "a.test",
        &upstream,
        "[listen]\nproxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_required = [\"@HTTPS@\"]\n",
    );
    for version in ["v1", "v2"] {
        let listen = free_addr();
        let lines = format!("sni = [\"a.test\"]\nsend_proxy_protocol = \"{version}\"");
        let hubgate = Hubgate::start(&streams(&upstream, &[(listen, &lines, behind.https)]));
        assert_eq!(get(&mut Client::tls(listen, "a.test"), "a.test"), "ok");
        assert_eq!(upstream.last_request().head.one("x-real-ip"), "127.0.0.1");
        drop(hubgate);
    }
}

#[test]
fn version_2_says_the_name_a_checksum_and_an_id_that_the_log_has_too() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = Upstream::start(move |conn| {
        let mut wire = conn.take();
        let fixed = wire.exactly(16).unwrap();
        let length = u16::from_be_bytes([fixed[14], fixed[15]]);
        let block = wire.exactly(usize::from(length)).unwrap();
        tell.lock().unwrap().send(block).unwrap();
    });
    let listen = free_addr();
    let lines = "sni = [\"a.test\"]\nsend_proxy_protocol = \"v2\"\n\
                 proxy_protocol_fields = [\"authority\", \"unique-id\", \"crc32c\"]";
    let toml = streams(&upstream, &[(listen, lines, upstream.addr)])
        + "[access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"id=$request_id\"\n";
    let hubgate = Hubgate::start(&toml);
    assert!(tls::handshake(listen, "a.test", tls::config(&[])).is_err());
    let block = told.recv_timeout(crate::support::PATIENCE).unwrap();
    let (name, id) = (&block[12..21], &block[21..56]);
    assert_eq!(name, b"\x02\0\x06a.test");
    assert_eq!(id[..3], [5, 0, 32]);
    assert_eq!(block[56..59], [3, 0, 4]);
    assert_eq!(block.len(), 63);
    let line = format!("id={}\n", String::from_utf8_lossy(&id[3..]));
    let log = hubgate.dir.path().join("access.log");
    eventually("the log has the id", || {
        std::fs::read_to_string(&log)
            .unwrap_or_default()
            .contains(&line)
    });
}

#[test]
fn what_a_load_balancer_said_of_tls_that_ended_there_is_passed_on_and_logged() {
    let upstream = Upstream::saying("ok");
    let sites = "[listen]\nproxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_required = [\"@HTTP@\"]\n\
                 [access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"$proxy_protocol_tlv_alpn $proxy_protocol_tlv_authority $proxy_protocol_tlv_ssl_cn $proxy_protocol_tlv_ssl_verify\"\n";
    let behind = ingress("a.test", &upstream, sites);
    let listen = free_addr();
    let lines = "send_proxy_protocol = \"v2\"\n\
                 proxy_protocol_fields = [\"alpn\", \"authority\", \"ssl\", \"crc32c\"]";
    let toml = streams(&upstream, &[(listen, lines, behind.http)])
        + &sites.replace("@HTTP@", &listen.to_string());
    let hubgate = Hubgate::start(&toml);
    let mut client = Client::plain(listen);
    client.send(
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x2a\xc0\0\x02\x08\xc6\x33\x64\x01\x1f\x90\x01\xbb\
          \x01\0\x02h2\x02\0\x06a.test\x20\0\x0d\x07\0\0\0\x13\x22\0\x05alice",
    );
    assert_eq!(get(&mut client, "a.test"), "ok");
    assert_eq!(upstream.last_request().head.one("x-real-ip"), "192.0.2.8");
    drop(client);
    for one in [behind, hubgate] {
        let log = one.dir.path().join("access.log");
        eventually("the log has what was said", || {
            std::fs::read_to_string(&log).unwrap_or_default() == "h2 a.test alice 19\n"
        });
    }
}

#[test]
fn a_dead_endpoint_costs_no_connection_while_another_lives_and_each_one_is_logged() {
    let upstream = Upstream::saying("ok");
    let (dead, listen, hopeless) = (free_addr(), free_addr(), free_addr());
    let toml = streams(
        &upstream,
        &[(listen, "", upstream.addr), (hopeless, "", dead)],
    )
    .replace(
        &format!("[upstream.s0]\nendpoints = [\"{}\"]", upstream.addr),
        &format!(
            "[upstream.s0]\nendpoints = [\"{dead}\", \"{}\"]",
            upstream.addr
        ),
    ) + "[access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"$protocol_is $status $upstream_addr $bytes_tunnelled_in $bytes_tunnelled_out $cause\"\n";
    let toml = toml.replace("$protocol_is", "$server_protocol");
    let hubgate = Hubgate::start(&toml);
    for _ in 0..6 {
        assert_eq!(get(&mut Client::plain(listen), "a.test"), "ok");
    }
    assert!(refused(hopeless));
    let log = hubgate.dir.path().join("access.log");
    let lines = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("every stream has a line", || lines().lines().count() == 7);
    let lines = lines();
    let served = format!("{} 32 40 -", upstream.addr);
    assert_eq!(
        lines
            .lines()
            .filter(|line| line.starts_with("TCP 200 ") && line.ends_with(&served))
            .count(),
        6,
        "{lines}"
    );
    let failed = format!("TCP 502 {dead} 0 0 upstream_connect");
    assert!(lines.lines().any(|line| line == failed), "{lines}");
}

#[test]
fn an_endpoint_that_fails_its_checks_gets_no_connection() {
    let answering = |status: &str, says: &str| {
        Upstream::answering(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{says}",
            says.len()
        ))
    };
    let (well, unwell) = (answering("200 OK", "well"), answering("503 x", "unwell"));
    let listen = free_addr();
    let toml = streams(&well, &[(listen, "", unwell.addr)]).replace(
        &format!("[upstream.s0]\nendpoints = [\"{}\"]", unwell.addr),
        &format!(
            "[upstream.s0]\nhealth = {{ path = \"/health\", interval = \"1s\", timeout = \"900ms\", fall = 1 }}\n\
             endpoints = [\"{}\", \"{}\"]",
            unwell.addr, well.addr
        ),
    );
    let hubgate = Hubgate::start(&toml);
    eventually("the one that is unwell is left alone", || {
        (0..8).all(|_| get(&mut Client::plain(listen), HOST) == "well")
    });
    drop(hubgate);
}

#[test]
fn an_upstreams_limit_makes_connections_wait_and_refuses_those_beyond_its_queue() {
    let upstream = Upstream::saying("ok");
    let listen = free_addr();
    let limits = "max_connections = 1\nqueue = 1\n";
    let toml = streams(&upstream, &[(listen, "", upstream.addr)]) + limits;
    let hubgate = Hubgate::start(
        &(toml + "[access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"$status $cause\"\n"),
    );
    let mut first = Client::plain(listen);
    assert_eq!(get(&mut first, "a.test"), "ok");
    let mut second = Client::plain(listen);
    second.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    hubgate.wait_log("waits for its turn");
    assert!(refused(listen));
    let log = hubgate.dir.path().join("access.log");
    eventually("the refusal is logged", || {
        let lines = std::fs::read_to_string(&log).unwrap_or_default();
        lines.contains("503 queue_full\n")
    });
    drop(first);
    assert_eq!(second.response().text(), "ok");
}

#[test]
fn a_client_that_leaves_the_queue_makes_room_in_it_and_what_another_said_early_is_not_lost() {
    let upstream = Upstream::start(|conn| {
        let mut conn = conn.take();
        while let Ok(bytes) = conn.some() {
            conn.send(bytes);
        }
    });
    let listen = free_addr();
    let limits = "max_connections = 1\nqueue = 1\nqueue_timeout = \"60s\"\n";
    let toml = streams(&upstream, &[(listen, "", upstream.addr)]) + limits;
    let hubgate = Hubgate::start(
        &(toml + "[access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"$cause\"\n"),
    );
    let log = hubgate.dir.path().join("access.log");
    let left = || std::fs::read_to_string(&log).unwrap_or_default();
    let mut first = Client::plain(listen);
    first.send("one");
    assert_eq!(first.exactly(3).unwrap(), b"one");
    for leavers in 1..=2 {
        let mut leaver = Client::plain(listen);
        eventually("it waits", || {
            hubgate.log().matches("waits for its turn").count() == leavers
        });
        if leavers == 2 {
            leaver.send("never said");
            leaver.0.reset();
        } else {
            drop(leaver);
        }
        eventually("it has left", || {
            left().matches("client_gone\n").count() == leavers
        });
    }
    let mut last = Client::plain(listen);
    last.send("early");
    last.finish_sending();
    eventually("it waits", || {
        hubgate.log().matches("waits for its turn").count() == 3
    });
    drop(first);
    let (answer, _) = last.rest();
    assert_eq!(answer, b"early", "{}", left());
    assert_eq!(upstream.connections(), 2);
    drop(hubgate);
}

#[test]
fn a_load_balancer_in_front_of_a_stream_speaks_for_its_clients() {
    let upstream = Upstream::saying("ok");
    let behind = ingress(
        "a.test",
        &upstream,
        "[listen]\nproxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_required = [\"@HTTP@\"]\n",
    );
    let (required, optional) = (free_addr(), free_addr());
    let sends = "send_proxy_protocol = \"v2\"";
    let toml = streams(
        &upstream,
        &[
            (required, sends, behind.http),
            (optional, sends, behind.http),
        ],
    ) + &format!(
        "[listen]\nproxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_required = [\"{required}\"]\nproxy_protocol_optional = [\"{optional}\"]\n"
    );
    let hubgate = Hubgate::start(&toml);
    for listen in [required, optional] {
        let mut client = Client::plain(listen);
        client.send("PROXY TCP4 192.0.2.7 198.51.100.1 8080 443\r\n");
        assert_eq!(get(&mut client, "a.test"), "ok");
        assert_eq!(upstream.last_request().head.one("x-real-ip"), "192.0.2.7");
    }
    assert_eq!(get(&mut Client::plain(optional), "a.test"), "ok");
    assert_eq!(upstream.last_request().head.one("x-real-ip"), "127.0.0.1");
    let mut client = Client::plain(required);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(client.closes_within(Duration::from_secs(3)));
    drop(hubgate);
}

#[test]
fn a_stream_can_listen_on_a_unix_socket() {
    let upstream = Upstream::saying("ok");
    let toml = streams(&upstream, &[(free_addr(), "", upstream.addr)]);
    let start = toml.find("listen = ").unwrap();
    let end = start + toml[start..].find('\n').unwrap();
    let toml = format!(
        "{}listen = \"unix:@DIR@/s.sock\"{}",
        &toml[..start],
        &toml[end..]
    );
    let hubgate = Hubgate::start(&toml);
    let mut client = Client::unix(&hubgate.dir.path().join("s.sock"));
    assert_eq!(get(&mut client, "a.test"), "ok");
}

#[test]
fn a_reload_adds_and_removes_streams_and_ends_none_that_is_open() {
    let upstream = Upstream::saying("ok");
    let (first, second) = (free_addr(), free_addr());
    let hubgate = Hubgate::start(&streams(&upstream, &[(first, "", upstream.addr)]));
    let mut open = Client::plain(first);
    assert_eq!(get(&mut open, "a.test"), "ok");
    hubgate.reload_to(&streams(&upstream, &[(second, "", upstream.addr)]));
    assert_eq!(get(&mut open, "a.test"), "ok");
    assert_eq!(get(&mut Client::plain(second), "a.test"), "ok");
    eventually("the old address is closed", || {
        std::net::TcpStream::connect(first).is_err()
    });
}

#[test]
fn a_silent_stream_ends_after_its_idle_time_and_a_stop_waits_for_the_others() {
    let upstream = Upstream::saying("ok");
    let (quick, slow) = (free_addr(), free_addr());
    let mut hubgate = Hubgate::start(&streams(
        &upstream,
        &[
            (quick, "idle_timeout = \"200ms\"", upstream.addr),
            (slow, "", upstream.addr),
        ],
    ));
    let mut idle = Client::plain(quick);
    assert_eq!(get(&mut idle, "a.test"), "ok");
    assert!(idle.closes_within(Duration::from_secs(3)));
    let mut open = Client::plain(slow);
    assert_eq!(get(&mut open, "a.test"), "ok");
    hubgate.signal("TERM");
    hubgate.wait_log("waiting for open ones");
    assert_eq!(get(&mut open, "a.test"), "ok");
    drop(open);
    assert!(hubgate.wait(Duration::from_secs(4)).success());
}

#[test]
fn streams_count_as_connections_of_their_upstream() {
    let upstream = Upstream::start(|conn| {
        let mut conn = conn.take();
        while let Ok(bytes) = conn.some() {
            conn.send(bytes);
        }
    });
    let listen = free_addr();
    let toml = streams(&upstream, &[(listen, "", upstream.addr)]);
    let hubgate = Hubgate::start(&(toml + "max_connections = 1\nqueue = 0\n"));
    let mut first = Client::plain(listen);
    first.send("one");
    assert_eq!(first.exactly(3).unwrap(), b"one");
    assert!(refused(listen));
    assert_eq!(upstream.connections(), 1);
    drop(first);
    eventually("there is room again", || {
        std::net::TcpStream::connect(listen).is_ok_and(|tcp| {
            let mut next = Client(Wire::new(tcp));
            next.try_send("two").is_ok() && next.exactly(3).is_ok_and(|bytes| bytes == b"two")
        })
    });
    drop(hubgate);
}
