//! Streams of UDP: sessions that keep to their endpoint, are bounded, counted and logged.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::hubgate::one_site;
use crate::support::ports::free_addr;
use crate::support::{Client, Hubgate, Upstream, eventually};

/// A DNS server, as far as that goes: gives each question back as an answer, and says who it is; `copies` times.
fn name_server(who: &'static str, copies: usize) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut space = [0; 65_535];
        while let Ok((size, from)) = socket.recv_from(&mut space) {
            let mut answer = space[..size].to_vec();
            if size > 2 {
                answer[2] |= 0x80; // QR (RFC 1035 section 4.1.1)
            }
            answer.extend(who.as_bytes());
            for _ in 0..copies {
                if socket.send_to(&answer, from).is_err() {
                    return;
                }
            }
        }
    });
    addr
}

/// A question for `hub.test`, of type A.
fn question(id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut question = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    question.extend(b"\x03hub\x04test\x00\x00\x01\x00\x01");
    question
}

/// A client of `server` on a port of its own.
fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    socket
}

/// Asks once; who answered.
fn ask(client: &UdpSocket, id: u16) -> Option<String> {
    let question = question(id);
    client.send(&question).unwrap();
    let mut space = [0; 1024];
    let size = client.recv(&mut space).ok()?;
    let (answer, who) = space[..size].split_at(question.len());
    assert_eq!(
        (answer[..2].to_vec(), answer[2]),
        (id.to_be_bytes().to_vec(), 0x81)
    );
    Some(String::from_utf8_lossy(who).into_owned())
}

fn edge(listen: &str, more: &str, endpoints: &[SocketAddr]) -> Hubgate {
    let upstream = Upstream::saying("ok");
    let endpoints: Vec<_> = endpoints.iter().map(|one| format!("\"{one}\"")).collect();
    Hubgate::start(&format!(
        "{}[[stream]]\nlisten = \"{listen}\"\nprotocol = \"udp\"\nupstream = \"dns\"\n{more}\n\
         [upstream.dns]\nendpoints = [{}]\n[server]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [access_log]\ntarget = \"@DIR@/access.log\"\n\
         format = \"$server_protocol $status $upstream_addr $bytes_tunnelled_in $bytes_tunnelled_out $datagrams_in $datagrams_out $cause\"\n",
        one_site(upstream.addr, ""),
        endpoints.join(", ")
    ))
}

fn lines(hubgate: &Hubgate) -> Vec<String> {
    let log = std::fs::read_to_string(hubgate.dir.path().join("access.log")).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

#[test]
fn a_clients_datagrams_go_to_one_endpoint_and_those_of_many_to_all() {
    let servers = [name_server("one", 1), name_server("two", 1)];
    for at in ["127.0.0.1", "0.0.0.0"] {
        let listen = SocketAddr::new(at.parse().unwrap(), free_addr().port());
        let hubgate = edge(&listen.to_string(), "idle_timeout = \"300ms\"", &servers);
        let to = SocketAddr::from(([127, 0, 0, 1], listen.port()));
        let mut met = HashSet::new();
        for _ in 0..6 {
            let client = client(to);
            let first = ask(&client, 1).unwrap();
            for id in 2..8 {
                assert_eq!(ask(&client, id).unwrap(), first);
            }
            met.insert(first);
        }
        assert_eq!(met.len(), 2, "{met:?}");
        eventually("every session has a line", || lines(&hubgate).len() == 6);
        let size = question(1).len();
        for line in lines(&hubgate) {
            let endpoint = servers.iter().find(|one| line.contains(&one.to_string()));
            let (came, went) = (7 * size, 7 * (size + 3));
            assert_eq!(
                line,
                format!("UDP 200 {} {came} {went} 7 7 -", endpoint.unwrap())
            );
        }
    }
}

#[test]
fn the_largest_and_the_empty_datagram_pass() {
    let hubgate_to = free_addr();
    let hubgate = edge(&hubgate_to.to_string(), "", &[name_server("", 1)]);
    let client = client(hubgate_to);
    let mut space = vec![0; 65_535];
    for size in [0, 1, 1472, 65_507] {
        let sent = vec![0xff; size];
        client.send(&sent).unwrap();
        assert_eq!(client.recv(&mut space).unwrap(), size);
        assert!(space[..size] == sent);
    }
    drop(hubgate);
}

#[test]
fn a_session_with_all_its_answers_is_over_at_once_and_one_that_is_owed_some_counts_against_the_endpoint()
 {
    let listen = free_addr();
    let hubgate = edge(
        &listen.to_string(),
        "udp_responses = 2",
        &[name_server("x", 2)],
    );
    let one = client(listen);
    assert_eq!(ask(&one, 7).unwrap(), "x");
    eventually("the session is over", || lines(&hubgate).len() == 1);
    assert!(
        lines(&hubgate)[0].ends_with(" 1 2 -"),
        "{:?}",
        lines(&hubgate)
    );
    drop(hubgate);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let hubgate = edge(
        &listen.to_string(),
        "udp_responses = 1\nidle_timeout = \"200ms\"",
        &[silent.local_addr().unwrap()],
    );
    let one = client(listen);
    one.send(&question(1)).unwrap();
    eventually("the session is over", || lines(&hubgate).len() == 1);
    assert!(lines(&hubgate)[0].ends_with(" 1 0 upstream_response_timeout"));
    assert!(lines(&hubgate)[0].starts_with("UDP 504 "));
}

#[test]
fn sessions_are_bounded_and_their_places_come_back() {
    let listen = free_addr();
    let more = "udp_sessions = 2\nidle_timeout = \"400ms\"";
    let hubgate = edge(&listen.to_string(), more, &[name_server("x", 1)]);
    let (first, second, third) = (client(listen), client(listen), client(listen));
    assert!(ask(&first, 1).is_some() && ask(&second, 1).is_some());
    third
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    assert_eq!(ask(&third, 1), None);
    hubgate.wait_log("no room for another session");
    eventually("a place is free", || ask(&third, 2).is_some());
}

#[test]
fn an_endpoint_where_nobody_is_rests_and_the_next_session_finds_another() {
    let listen = free_addr();
    let dead = free_addr();
    let hubgate = edge(&listen.to_string(), "", &[dead, name_server("alive", 1)]);
    let mut lost = 0;
    for _ in 0..10 {
        let one = client(listen);
        one.set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        lost += usize::from(ask(&one, 1).is_none());
    }
    assert!(lost <= 2, "{lost} of 10 were sent where nobody is");
    let refused = format!("UDP 502 {dead} ");
    eventually("the refusal is logged", || {
        lines(&hubgate)
            .iter()
            .any(|line| line.starts_with(&refused) && line.ends_with("upstream_connect"))
    });
}

#[test]
fn upstream_limits_and_the_cap_of_a_client_hold_for_sessions() {
    let listen = free_addr();
    let server = name_server("x", 1);
    for (limits, told) in [
        ("max_connections = 1\n", ""),
        (
            "[limits]\nconnections_per_client = 1\n",
            "connection refused",
        ),
    ] {
        let upstream = Upstream::saying("ok");
        let hubgate = Hubgate::start(&format!(
            "{}[[stream]]\nlisten = \"{listen}\"\nprotocol = \"udp\"\nupstream = \"dns\"\n\
             [upstream.dns]\nendpoints = [\"{server}\"]\n{limits}",
            one_site(upstream.addr, "")
        ));
        let (first, second) = (client(listen), client(listen));
        first
            .set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        // Connections of the start may still count.
        eventually("the first has a session", || ask(&first, 1).is_some());
        second
            .set_read_timeout(Some(Duration::from_millis(150)))
            .unwrap();
        assert_eq!(ask(&second, 1), None, "{limits}");
        assert!(ask(&first, 2).is_some());
        hubgate.wait_log(told);
    }
}

#[test]
fn a_reload_adds_and_removes_them_and_a_stop_does_not_wait_for_the_idle_time() {
    let (first, second) = (free_addr(), free_addr());
    let server = name_server("x", 1);
    let mut hubgate = edge(&first.to_string(), "", &[server]);
    let one = client(first);
    assert!(ask(&one, 1).is_some());
    let text = std::fs::read_to_string(&hubgate.config).unwrap();
    hubgate.rewrite_raw(&text.replace(&first.to_string(), &second.to_string()));
    assert_eq!(hubgate.reload().0, 0);
    let two = client(second);
    assert!(ask(&two, 1).is_some());
    eventually("the old address is free", || UdpSocket::bind(first).is_ok());
    hubgate.rewrite_raw(&text);
    assert_eq!(hubgate.reload().0, 0);
    assert!(ask(&client(first), 1).is_some());
    hubgate.signal("TERM");
    assert!(hubgate.wait(Duration::from_secs(3)).success());
    assert_eq!(lines(&hubgate).len(), 3);
}

#[test]
fn tcp_and_udp_can_have_one_port_and_both_are_counted() {
    let listen = free_addr();
    let (upstream, status) = (Upstream::saying("by tcp"), free_addr());
    let hubgate = Hubgate::start(&format!(
        "{}[admin]\nlisten = \"{status}\"\n[[stream]]\nlisten = \"{listen}\"\nupstream = \"tcp\"\n\
         [[stream]]\nlisten = \"{listen}\"\nprotocol = \"udp\"\nupstream = \"udp\"\nudp_responses = 1\n\
         [upstream.tcp]\nendpoints = [\"{}\"]\n[upstream.udp]\nendpoints = [\"{}\"]\n",
        one_site(upstream.addr, ""),
        upstream.addr,
        name_server("x", 1)
    ));
    assert_eq!(Client::plain(listen).get("a.test", "/").text(), "by tcp");
    assert!(ask(&client(listen), 1).is_some());
    let mut status = Client::plain(status);
    let mut page = String::new();
    eventually("both are counted", || {
        page = status.get("127.0.0.1", "/metrics").text();
        page.contains("\nhubgate_datagrams_total{direction=\"in\"} 1\n")
    });
    for line in [
        "hubgate_connections_accepted_total{listener=\"udp\"} 1",
        "hubgate_connections_accepted_total{listener=\"stream\"} 1",
        "hubgate_datagrams_total{direction=\"out\"} 1",
        "hubgate_datagrams_dropped_total{result=\"refused\"} 0",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    drop(hubgate);
}

#[test]
fn an_upgrade_takes_the_sockets_along_and_every_question_is_answered() {
    let server = name_server("one", 1);
    let listen = free_addr();
    // However slow the machine is, there is room for those who ask meanwhile.
    let mut hubgate = edge(&listen.to_string(), "udp_responses = 1", &[server]);
    let over = AtomicBool::new(false);
    let asked = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while !over.load(Ordering::Relaxed) {
                let client = client(listen);
                for id in 0..5 {
                    // Like any client of UDP, it asks again when nothing comes.
                    let answer = ask(&client, id).or_else(|| ask(&client, id));
                    assert_eq!(answer.as_deref(), Some("one"));
                    asked += 1;
                }
            }
            asked
        });
        for _ in 0..2 {
            hubgate.upgrade();
        }
        over.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    });
    assert!(asked > 10, "{asked}");
    assert_eq!(ask(&client(listen), 7).as_deref(), Some("one"));
}
