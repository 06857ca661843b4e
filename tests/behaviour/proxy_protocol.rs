//! PROXY headers: for whom a load balancer speaks, who may say so, and that nothing else is taken for one.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::hubgate::{HOST, one_site};
use crate::support::ports::free_addr;
use crate::support::{Client, DEADLINE, Fault, Hubgate, Upstream, Wire, eventually, tls};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 8080 443\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\xc6\x33\x64\x01\x1f\x90\x01\xbb";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn with(upstream: &Upstream, listen: &str) -> Hubgate {
    let site = one_site(upstream.addr, "");
    Hubgate::start(&format!("[listen]\n{listen}\n{site}"))
}

/// A request behind these bytes.
fn say(hubgate: &Hubgate, header: &[u8]) -> Result<u16, Fault> {
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let bytes = [header, request.as_bytes()].concat();
    let response = Client::plain(hubgate.http).try_exchange(bytes)?;
    Ok(response.status)
}

fn client_seen(upstream: &Upstream) -> String {
    upstream.last_request().head.one("x-real-ip").to_owned()
}

fn tls_behind(header: &[u8], addr: SocketAddr) -> Client {
    use std::io::Write;
    let mut tcp = TcpStream::connect_timeout(&addr, DEADLINE).unwrap();
    tcp.write_all(header).unwrap();
    let tls = tls::handshake_over(tcp, HOST, tls::config(&["http/1.1"])).unwrap();
    Client(Wire::new(tls))
}

#[test]
fn the_upstream_is_told_of_the_client_that_the_load_balancer_speaks_for() {
    let upstream = Upstream::saying("ok");
    let hubgate = with(
        &upstream,
        "proxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_required = [\"@HTTP@\", \"@HTTPS@\"]",
    );
    for (header, client) in [
        (V1, "192.0.2.7"),
        (V2, "192.0.2.8"),
        (V2_LOCAL, "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    ] {
        assert_eq!(say(&hubgate, header).unwrap(), 200);
        assert_eq!(client_seen(&upstream), client);
        let response = tls_behind(header, hubgate.https).get(HOST, "/");
        assert_eq!(response.status, 200);
        assert_eq!(client_seen(&upstream), client);
    }
}

#[test]
fn a_header_in_many_segments_is_the_same_header() {
    let upstream = Upstream::saying("ok");
    let hubgate = with(
        &upstream,
        "proxy_protocol_from = [\"127.0.0.0/8\"]\nproxy_protocol_optional = [\"@HTTP@\"]",
    );
    let mut client = hubgate.plain();
    for byte in V2 {
        client.send([*byte]);
    }
    assert_eq!(client.get(HOST, "/").status, 200);
    assert_eq!(client_seen(&upstream), "192.0.2.8");
}

#[test]
fn a_connection_without_a_header_is_served_where_it_is_optional_and_ended_where_it_is_required() {
    let upstream = Upstream::saying("ok");
    let hubgate = with(
        &upstream,
        "proxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_optional = [\"@HTTP@\"]\nproxy_protocol_required = [\"@HTTPS@\"]",
    );
    assert_eq!(say(&hubgate, b"").unwrap(), 200);
    assert_eq!(client_seen(&upstream), "127.0.0.1");
    let config = tls::config(&["http/1.1"]);
    assert!(tls::handshake(hubgate.https, HOST, config).is_err());
    assert_eq!(tls_behind(V1, hubgate.https).get(HOST, "/").status, 200);
}

#[test]
fn nobody_but_the_load_balancer_is_believed() {
    let upstream = Upstream::saying("ok");
    for (mode, plain) in [("optional", Some(200)), ("required", None)] {
        let hubgate = with(
            &upstream,
            &format!(
                "proxy_protocol_from = [\"192.0.2.0/24\"]\nproxy_protocol_{mode} = [\"@HTTP@\"]"
            ),
        );
        let before = upstream.requests().len();
        for header in [V1, V2] {
            assert!(say(&hubgate, header).is_err(), "{mode}");
        }
        assert_eq!(upstream.requests().len(), before);
        eventually("both are counted for what they are", || {
            let name = "hubgate_proxy_headers_total{result=\"untrusted\"} ";
            let page = hubgate.metrics();
            let counted = page.lines().find_map(|line| line.strip_prefix(name));
            let counted: u64 = counted.unwrap().parse().unwrap();
            // Where one is required, who looks whether hubgate listens is counted too.
            counted == 2 || mode == "required" && counted > 2
        });
        assert_eq!(say(&hubgate, b"").ok(), plain, "{mode}");
    }
    // Without the keys a header is what it is to HTTP: nonsense.
    let hubgate = Hubgate::before(upstream.addr);
    assert_eq!(say(&hubgate, V1).unwrap(), 400);
}

#[test]
fn an_odd_an_endless_and_a_dribbled_header_end_the_connection() {
    let upstream = Upstream::saying("ok");
    let status = free_addr();
    let hubgate = Hubgate::start(
        &(format!(
            "[admin]\nlisten = \"{status}\"\n[listen]\nproxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_optional = [\"@HTTP@\"]\n[timeouts]\nhandshake = \"300ms\"\n{}",
            one_site(upstream.addr, "")
        )),
    );
    let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 300]].concat();
    let long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec();
    let odd = b"PROXY TCP4 1 2 3 4\r\n".to_vec();
    for header in [endless, long, odd] {
        let mut client = hubgate.plain();
        client.send(&header);
        assert!(client.closes_within(Duration::from_secs(3)));
    }
    let mut client = hubgate.plain();
    client.send(b"PROXY TCP4 192.0.2.7");
    assert!(client.closes_within(Duration::from_secs(3)));
    assert!(upstream.requests().is_empty());
    let page = Client::plain(status).get("127.0.0.1", "/metrics").text();
    let counted = |result: &str| -> u64 {
        let name = format!("hubgate_proxy_headers_total{{result=\"{result}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap().parse().unwrap()
    };
    let reasons = ["malformed", "too_long", "timed_out"].map(counted);
    assert_eq!(reasons.iter().sum::<u64>(), 4, "{reasons:?}");
    assert!(reasons.iter().all(|count| *count > 0), "{reasons:?}");
}

#[test]
fn the_cap_of_connections_counts_the_clients_behind_a_load_balancer() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::start(&format!(
        "[listen]\nproxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_required = [\"@HTTP@\"]\n[limits]\nconnections_per_client = 2\n{}",
        one_site(upstream.addr, "")
    ));
    let open = |header: &[u8]| {
        let mut client = hubgate.plain();
        client.send(header);
        let response = client.try_exchange(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        response.is_ok().then_some(client)
    };
    let held: Vec<_> = [V1, V1, V2, V2].map(|header| open(header).unwrap()).into();
    assert!(open(V1).is_none() && open(V2).is_none());
    drop(held);
    eventually("the places are free again", || open(V1).is_some());
}

#[test]
fn a_listener_with_a_list_of_its_own_believes_those_and_nobody_else() {
    let upstream = Upstream::saying("ok");
    let believes = |common: &str, own: &str| {
        let hubgate = with(
            &upstream,
            &format!(
                "proxy_protocol_from = [\"{common}\"]\nproxy_protocol_optional = [\"@HTTP@\"]\nproxy_protocol_required = [\"@HTTPS@\"]\n\
                 http = [{{ address = \"@HTTP@\", proxy_protocol_from = [\"{own}\"] }}]"
            ),
        );
        let plain = say(&hubgate, V1).is_ok() && client_seen(&upstream) == "192.0.2.7";
        let mut tcp = TcpStream::connect_timeout(&hubgate.https, DEADLINE).unwrap();
        std::io::Write::write_all(&mut tcp, V1).unwrap();
        let tls = tls::handshake_over(tcp, HOST, tls::config(&["http/1.1"]));
        (plain, tls.is_ok())
    };
    assert_eq!(believes("192.0.2.9", "127.0.0.0/8"), (true, false));
    assert_eq!(believes("127.0.0.1", "192.0.2.9"), (false, true));
}

/// A header of version 2 with what a load balancer knows of TLS that ended there.
fn with_values() -> Vec<u8> {
    let tls = b"\x20\0\x1f\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x05alice\x23\0\x05SUITE";
    let values = [
        &b"\x01\0\x02h2\x02\0\x0bhub.example\x05\0\x04id-1\xea\0\x04vpce"[..],
        tls,
    ]
    .concat();
    let length = u8::try_from(12 + values.len()).unwrap();
    let mut header = V2.to_vec();
    header[15] = length;
    header.extend(values);
    header
}

#[test]
fn what_a_load_balancer_knows_of_the_clients_tls_reaches_the_upstream_and_the_log() {
    let upstream = Upstream::saying("ok");
    let site = one_site(
        upstream.addr,
        "request_headers = { X-Cn = \"$proxy_protocol_tlv_ssl_cn\", X-Other = \"$proxy_protocol_tlv_0xEA\" }\n\
         access_log = { target = \"@DIR@/access.log\", format = \"$proxy_protocol_addr $proxy_protocol_server_port $proxy_protocol_tlv_alpn $proxy_protocol_tlv_authority $proxy_protocol_tlv_unique_id $proxy_protocol_tlv_ssl_version $proxy_protocol_tlv_ssl_verify\" }",
    );
    let hubgate = Hubgate::start(&format!(
        "[listen]\nproxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_optional = [\"@HTTP@\"]\n{site}"
    ));
    assert_eq!(say(&hubgate, &with_values()).unwrap(), 200);
    let told = upstream.last_request();
    assert_eq!(told.head.one("x-cn"), "alice");
    assert_eq!(told.head.one("x-other"), "vpce");
    // A client by itself has nothing of the kind to say.
    assert_eq!(say(&hubgate, b"").unwrap(), 200);
    assert!(upstream.last_request().head.all("x-cn").is_empty());
    let log = hubgate.dir.path().join("access.log");
    let wanted = "192.0.2.8 443 h2 hub.example id-1 TLSv1.3 0\n- - - - - - -\n";
    eventually("the log has both", || {
        std::fs::read_to_string(&log).unwrap_or_default() == wanted
    });
}

#[test]
fn a_log_in_json_has_what_a_load_balancer_said() {
    let upstream = Upstream::saying("ok");
    let site = one_site(
        upstream.addr,
        "access_log = { target = \"@DIR@/access.log\", format = \"json\" }",
    );
    let hubgate = Hubgate::start(&format!(
        "[listen]\nproxy_protocol_from = [\"127.0.0.1\"]\nproxy_protocol_required = [\"@HTTP@\"]\n{site}"
    ));
    assert_eq!(say(&hubgate, &with_values()).unwrap(), 200);
    let log = hubgate.dir.path().join("access.log");
    let wanted = "\"proxy_server_addr\":\"198.51.100.1:443\",\"proxy_alpn\":\"h2\",\"proxy_authority\":\"hub.example\",\"proxy_unique_id\":\"id-1\",\"proxy_tls_protocol\":\"TLSv1.3\",\"proxy_tls_cipher\":\"SUITE\",\"proxy_tls_client_cn\":\"alice\",\"proxy_tls_client_verify\":0";
    eventually("the line has it", || {
        std::fs::read_to_string(&log)
            .unwrap_or_default()
            .contains(wanted)
    });
}
