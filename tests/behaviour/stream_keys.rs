//! What a stream does besides passing bytes on: who is let in, how many and how fast, TLS ended and begun, texts.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client_certificates::ours;
use crate::support::authority::Authority;
use crate::support::hubgate::{HOST, one_site};
use crate::support::ports::free_addr;
use crate::support::{Client, DEADLINE, Hubgate, Upstream, Wire, eventually, tls};

/// A stream at `listen` with these lines, beside one site.
fn stream(toml: &mut String, listen: SocketAddr, lines: &str) {
    write!(toml, "[[stream]]\nlisten = \"{listen}\"\n{lines}\n").unwrap();
}

fn upstream(toml: &mut String, name: &str, endpoint: SocketAddr, lines: &str) {
    write!(
        toml,
        "[upstream.{name}]\nendpoints = [\"{endpoint}\"]\n{lines}\n"
    )
    .unwrap();
}

/// All that is said to a client that says nothing.
fn told(listen: SocketAddr) -> String {
    let mut tcp = TcpStream::connect(listen).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut all = String::new();
    tcp.read_to_string(&mut all).unwrap();
    all
}

/// Somebody to listen to.
fn nobody() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Whether a new connection gets nothing and ends.
fn refused(listen: SocketAddr) -> bool {
    let Ok(mut tcp) = TcpStream::connect(listen) else {
        return true;
    };
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    !matches!(tcp.read(&mut [0]), Ok(1..))
}

#[test]
fn a_stream_answers_by_itself_with_its_own_variables_and_those_of_the_whole() {
    let (_listener, addr) = nobody();
    let mut toml = one_site(addr, "");
    let (one, two) = (free_addr(), free_addr());
    stream(
        &mut toml,
        one,
        "set = { a = \"$protocol\", b = \"$a-$where\" }\nrespond = \"$b $remote_addr:$server_port [$ssl_preread_server_name] $bytes_sent$$\"",
    );
    stream(&mut toml, two, "respond = \"$where\"");
    write!(
        toml,
        "[map.where]\nof = \"$server_port\"\ndefault = \"elsewhere\"\ncases = {{ {} = \"here\" }}\n",
        one.port()
    )
    .unwrap();
    let hubgate = Hubgate::start(&toml);
    let mut tcp = TcpStream::connect(one).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp.write_all(b"no TLS").unwrap();
    let mut all = String::new();
    tcp.read_to_string(&mut all).unwrap();
    assert_eq!(all, format!("TCP-here 127.0.0.1:{} [] 0$", one.port()));
    assert_eq!(told(two), "elsewhere");
    drop(hubgate);
}

#[test]
fn an_upstream_is_named_by_what_the_tls_asks_for() {
    let (one, two) = (Upstream::saying("one"), Upstream::saying("two"));
    let ingress = |host: &str, upstream: &Upstream| {
        let site = one_site(upstream.addr, "");
        Hubgate::start(&site.replace(HOST, host))
    };
    let (first, second) = (ingress("a.test", &one), ingress("b.test", &two));
    let listen = free_addr();
    let mut toml = one_site(one.addr, "");
    let log = "[stream.access_log]\ntarget = \"@DIR@/s.log\"\nformat = \"$ssl_preread_server_name $ssl_preread_protocol $ssl_preread_alpn_protocols $upstream_name $status\"";
    stream(&mut toml, listen, &format!("upstream = \"$who\"\n{log}"));
    toml.push_str("[map.who]\nof = \"$ssl_preread_server_name\"\ndefault = \"none\"\ncases = { \"~^a\" = \"x\", \"b.test\" = \"y\" }\n");
    upstream(&mut toml, "x", first.https, "");
    upstream(&mut toml, "y", second.https, "");
    let hubgate = Hubgate::start(&toml);
    for (host, says) in [("a.test", "one"), ("b.test", "two")] {
        let response = Client::tls(listen, host).get(host, "/");
        assert_eq!(response.text(), says);
    }
    assert!(tls::handshake(listen, "c.test", tls::config(&[])).is_err());
    let log = hubgate.dir.path().join("s.log");
    let lines = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("three lines", || lines().lines().count() == 3);
    for line in [
        "a.test TLSv1.3 http/1.1 x 200",
        "b.test TLSv1.3 http/1.1 y 200",
        "c.test TLSv1.3 - - 502",
    ] {
        assert!(lines().contains(line), "{line} in {}", lines());
    }
    drop((first, second));
}

#[test]
fn who_is_not_let_in_and_who_is_too_many_gets_nothing() {
    let upstream_ = Upstream::saying("ok");
    let (shut, few) = (free_addr(), free_addr());
    let mut toml = one_site(upstream_.addr, "");
    let log = "[stream.access_log]\ntarget = \"@DIR@/s.log\"\nformat = \"$status $cause\"";
    stream(
        &mut toml,
        shut,
        &format!("upstream = \"u\"\naccess = [\"deny 127.0.0.1\", \"allow all\"]\n{log}"),
    );
    stream(
        &mut toml,
        few,
        &format!(
            "upstream = \"u\"\nlimits = {{ concurrency = [{{ of = \"each\", most = 1 }}], status = 503 }}\n{log}"
        ),
    );
    toml.push_str("[concurrency.each]\n");
    upstream(&mut toml, "u", upstream_.addr, "");
    let hubgate = Hubgate::start(&toml);
    assert!(refused(shut));
    hubgate.wait_log("access forbidden by rule");
    let mut held = Client::plain(few);
    assert_eq!(held.get("a.test", "/").text(), "ok");
    assert!(refused(few));
    hubgate.wait_log("limiting connections by zone \"each\" while");
    drop(held);
    eventually("room", || !refused_request(few));
    let log = hubgate.dir.path().join("s.log");
    let lines = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("both lines", || {
        lines().contains("403 access_denied") && lines().contains("503 concurrency_limited")
    });
}

fn refused_request(listen: SocketAddr) -> bool {
    let mut client = Client::plain(listen);
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    client.try_exchange(request).is_err()
}

#[test]
fn a_rate_holds_back_what_comes_from_either_side_and_loses_nothing() {
    let answering = Upstream::start(|conn| {
        let mut conn = conn.take();
        let (asked, _) = conn.rest();
        conn.send(vec![b'y'; asked.len()]);
        conn.finish_sending();
    });
    for (key, least) in [("upload_rate", 2), ("download_rate", 2)] {
        let listen = free_addr();
        let mut toml = one_site(answering.addr, "");
        stream(
            &mut toml,
            listen,
            &format!("upstream = \"u\"\n{key} = \"1000B\""),
        );
        upstream(&mut toml, "u", answering.addr, "");
        let hubgate = Hubgate::start(&toml);
        let begun = Instant::now();
        let mut client = Client::plain(listen);
        client.send(vec![b'x'; 3000]);
        client.finish_sending();
        let (answer, _) = client.rest();
        assert_eq!(answer.len(), 3000, "{key}");
        assert!(begun.elapsed() >= Duration::from_secs(least), "{key}");
        drop(hubgate);
    }
}

/// An authority, and a folder with its file and with a certificate and a key of `edge.test`.
fn edge() -> (Authority, TempDir) {
    let authority = Authority::new("ours");
    let issued = authority.issue(&["edge.test"]);
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("edge.pem"), &issued.chain).unwrap();
    std::fs::write(dir.path().join("edge.key"), &issued.key).unwrap();
    authority.file(dir.path());
    (authority, dir)
}

#[test]
fn tls_is_ended_at_a_stream_for_whatever_name_and_begun_again_to_its_endpoint() {
    let (authority, dir) = edge();
    let plain = Upstream::saying("plain");
    let server = authority.issue(&["hub.internal"]).server(&[]);
    let (secured, _) = Upstream::secured(server, |conn| {
        while conn
            .answer("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsecured")
            .is_some()
        {}
    });
    let (ends, both, asks) = (free_addr(), free_addr(), free_addr());
    let mut toml = one_site(plain.addr, "");
    let own = "certificate = { chain = \"edge.pem\", key = \"edge.key\" }";
    let log = "[stream.access_log]\ntarget = \"@DIR@/s.log\"\nformat = \"$ssl_protocol $ssl_cipher $ssl_server_name $ssl_session_reused $upstream_bytes_sent\"";
    stream(
        &mut toml,
        ends,
        &format!("upstream = \"p\"\n{own}\nalpn = [\"http/1.1\"]\n{log}"),
    );
    stream(
        &mut toml,
        both,
        &format!("upstream = \"s\"\ntls_to_upstream = true\n{own}"),
    );
    stream(
        &mut toml,
        asks,
        &format!(
            "upstream = \"p\"\n{own}\ntls = {{ client_certificate = {{ mode = \"required\", ca_file = \"ca.pem\" }} }}"
        ),
    );
    upstream(&mut toml, "p", plain.addr, "");
    let trust = "tls = { server_name = \"hub.internal\", ca_file = \"ca.pem\" }";
    upstream(&mut toml, "s", secured.addr, trust);
    let hubgate = Hubgate::start_in(dir, &toml);
    let mut client = Client::tls(ends, "any.test");
    assert_eq!(client.get("any.test", "/").text(), "plain");
    drop(client);
    assert_eq!(Client::tls(both, "").get("x.test", "/").text(), "secured");
    assert!(tls::handshake(ends, "x.test", tls::config(&["h2"])).is_err());
    // By TLS 1.3 the client is done first: the end, or a reset, follows.
    if let Ok(mut without) = tls::handshake(asks, "x.test", tls::config(&[])) {
        assert!(!matches!(without.read(&mut [0]), Ok(1..)));
    }
    hubgate.wait_log("client sent no required SSL certificate");
    let log = hubgate.dir.path().join("s.log");
    let line = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("a line", || line().starts_with("TLSv1.3 TLS_AES_"));
    assert!(line().contains("any.test . "), "{}", line());
}

#[test]
fn an_endpoint_is_told_of_tls_that_was_ended_here_and_not_what_a_sender_said_of_its_own() {
    let (authority, dir) = edge();
    let upstream_ = Upstream::saying("ok");
    let behind_at = "[listen]\nproxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_required = [\"@HTTP@\"]\n\
        [access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"$proxy_protocol_tlv_alpn|$proxy_protocol_tlv_authority|$proxy_protocol_tlv_ssl_version|$proxy_protocol_tlv_ssl_cipher|$proxy_protocol_tlv_ssl_cn|$proxy_protocol_tlv_ssl_verify\"\n";
    let behind = Hubgate::start(&(one_site(upstream_.addr, "") + behind_at));
    let (plain, certified, told) = (free_addr(), free_addr(), free_addr());
    let mut toml = one_site(upstream_.addr, "");
    let own = "certificate = { chain = \"edge.pem\", key = \"edge.key\" }\nalpn = [\"http/1.1\"]\nupstream = \"u\"\n\
        send_proxy_protocol = \"v2\"\nproxy_protocol_fields = [\"alpn\", \"authority\", \"ssl\", \"crc32c\"]";
    stream(&mut toml, plain, own);
    let asks = "tls = { client_certificate = { mode = \"required\", ca_file = \"ca.pem\" } }";
    stream(&mut toml, certified, &format!("{own}\n{asks}"));
    stream(&mut toml, told, own);
    write!(
        toml,
        "[listen]\nproxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_required = [\"{told}\"]\n"
    )
    .unwrap();
    upstream(&mut toml, "u", behind.http, "");
    let hubgate = Hubgate::start_in(dir, &toml);
    let log = behind.dir.path().join("access.log");
    let logged = || std::fs::read_to_string(&log).unwrap_or_default();
    let is_logged = |nth: usize, wanted: &str| {
        eventually("the next line", || logged().lines().count() == nth);
        assert_eq!(logged().lines().last(), Some(wanted));
    };
    let suite = "TLSv1.3|TLS_AES_256_GCM_SHA384";
    let mut client = Client::tls(plain, "any.test");
    assert_eq!(client.get(HOST, "/").text(), "ok");
    drop(client);
    is_logged(1, &format!("http/1.1|any.test|{suite}|-|1"));
    let alice = ours(&authority.issue_to("alice", 7));
    let mut client = Client(Wire::new(
        tls::handshake(certified, "b.test", alice).unwrap(),
    ));
    assert_eq!(client.get(HOST, "/").text(), "ok");
    drop(client);
    is_logged(2, &format!("http/1.1|b.test|{suite}|alice|0"));
    // A sender before it says h2, another name and a certificate of bob's.
    let mut tcp = TcpStream::connect(told).unwrap();
    tcp.write_all(
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x28\xc0\0\x02\x08\xc6\x33\x64\x01\x1f\x90\x01\xbb\
          \x01\0\x02h2\x02\0\x06x.test\x20\0\x0b\x07\0\0\0\0\x22\0\x03bob",
    )
    .unwrap();
    let tls = tls::handshake_over(tcp, "c.test", tls::config(&[])).unwrap();
    let mut client = Client(Wire::new(tls));
    assert_eq!(client.get(HOST, "/").text(), "ok");
    assert_eq!(upstream_.last_request().head.one("x-real-ip"), "192.0.2.8");
    drop(client);
    is_logged(3, &format!("-|c.test|{suite}|-|1"));
    drop(hubgate);
}

#[test]
fn an_upstream_that_is_not_verified_gets_nothing_of_a_stream() {
    let authority = Authority::new("ours");
    let dir = TempDir::new().unwrap();
    authority.file(dir.path());
    let other = Authority::new("other").issue(&["hub.internal"]).server(&[]);
    let (secured, _) = Upstream::secured(other, |conn| drop(conn.answer("")));
    let listen = free_addr();
    let mut toml = one_site(secured.addr, "");
    let lines = "upstream = \"s\"\ntls_to_upstream = true\nbind = \"127.0.0.1\"\ntries = 1";
    stream(&mut toml, listen, lines);
    let trust = "tls = { server_name = \"hub.internal\", ca_file = \"ca.pem\" }";
    upstream(&mut toml, "s", secured.addr, trust);
    let hubgate = Hubgate::start_in(dir, &toml);
    assert!(refused_request(listen));
    hubgate.wait_log("connect failed");
    assert!(secured.requests().is_empty());
}

#[test]
fn datagrams_are_answered_by_a_text_and_begin_another_session_after_so_many() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut space = [0; 100];
        while let Ok((_, from)) = server.recv_from(&mut space) {
            let said = from.port().to_string();
            if server.send_to(said.as_bytes(), from).is_err() {
                return;
            }
        }
    });
    let (one, two) = (free_addr(), free_addr());
    let mut toml = one_site(address, "");
    stream(
        &mut toml,
        one,
        "protocol = \"udp\"\nrespond = \"$protocol $server_port\"",
    );
    stream(
        &mut toml,
        two,
        "protocol = \"udp\"\nupstream = \"u\"\nudp_requests = 1\nudp_responses = 1",
    );
    upstream(&mut toml, "u", address, "");
    let hubgate = Hubgate::start(&toml);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let ask = |of: SocketAddr| {
        client.send_to(b"x", of).unwrap();
        let mut space = [0; 100];
        let (size, _) = client.recv_from(&mut space).unwrap();
        String::from_utf8(space[..size].to_vec()).unwrap()
    };
    assert_eq!(ask(one), format!("UDP {}", one.port()));
    let ports: Vec<_> = (0..3).map(|_| ask(two)).collect();
    assert!(ports[0] != ports[1] || ports[1] != ports[2], "{ports:?}");
    drop(hubgate);
}
