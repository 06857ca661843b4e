//! How long clients are waited for and how their connections are kept, as sites and routes say; beside the real nginx.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::hubgate::HOST;
use crate::support::nginx::{assert_alike, assert_carried, imported};
use crate::support::wire::{End, Fault};
use crate::support::{Client, Hubgate};

fn nothing(_: &Path) {}

/// Sends `METHOD TARGET|FIELD` up to so many times on one connection, and shows what becomes of it.
fn repeated(client: &mut Client, request: &str, times: usize) -> String {
    let (line, field) = request.split_once('|').unwrap_or((request, "X: y"));
    let mut shown = String::new();
    for _ in 0..times {
        let text = format!("{line} HTTP/1.1\r\nHost: {HOST}\r\n{field}\r\n\r\n");
        let Ok(answer) = client.try_exchange(text) else {
            return shown + " end";
        };
        let [connection, told] = ["connection", "keep-alive"].map(|name| answer.head.all(name));
        shown += &format!(" {} {connection:?} {told:?}", answer.status);
    }
    shown
}

#[test]
fn a_connection_is_kept_as_server_and_location_say() {
    let block = "keepalive_disable msie6 safari;
        server { listen @LISTEN@; keepalive_requests 2; keepalive_timeout 60s 9s;
            location / { return 200 x; }
            location /more { keepalive_requests 4; keepalive_timeout 30s; return 200 x;
                location /more/one { keepalive_requests 1; return 200 x; } }
            location /none { keepalive_timeout 0; return 200 x; }
            location /all { keepalive_disable none; keepalive_requests 3; return 200 x; }
            location /time { keepalive_time 1ms; keepalive_requests 99; return 200 x; }
            location /go { rewrite ^ /none last; } }";
    let msie = "|User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)";
    let safari = "|User-Agent: Mozilla/5.0 (Macintosh; U; PPC Mac OS X) Safari/7534.48.3";
    let requests = [
        "GET /",
        "GET /more",
        "GET /more/one",
        "GET /none",
        "GET /go",
        &format!("POST /{msie}"),
        &format!("GET /{msie}"),
        &format!("GET /{safari}"),
        &format!("POST /all{msie}"),
        &format!("GET /all{safari}"),
    ];
    assert_alike((block, nothing), &requests, |client, request| {
        repeated(client, request, 6)
    });
    assert_alike((block, nothing), &["GET /time"], |client, request| {
        std::thread::sleep(Duration::from_millis(50)); // the age of the connection is what is told apart
        repeated(client, request, 3)
    });
}

#[test]
fn a_body_that_nobody_wants_is_read_and_the_connection_goes_on() {
    let block = "server { listen @LISTEN@; client_max_body_size 10;
            location / { return 200 x; }
            location /none { return 404; }
            location /less { client_max_body_size 3; return 200 x; } }";
    let requests = [
        "/|Content-Length: 5|abcde",
        "/none|Content-Length: 5|abcde",
        "/|Transfer-Encoding: chunked|5\r\nabcde\r\n0\r\n\r\n",
        "/|Transfer-Encoding: chunked|zz\r\n",
        "/|Content-Length: 11|abcdefghijk",
        "/less|Content-Length: 5|abcde",
    ];
    assert_alike((block, nothing), &requests, |client, request| {
        let mut parts = request.split('|');
        let [target, field, body] = [(); 3].map(|()| parts.next().unwrap());
        let head = format!("POST {target} HTTP/1.1\r\nHost: {HOST}\r\n{field}\r\n\r\n");
        let answer = client.exchange(head);
        let mut shown = format!("{} {:?}", answer.status, answer.head.all("connection"));
        // Whoever closes may do so before all of it is sent.
        let _ = client.try_send(body);
        match client.try_exchange(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")) {
            Ok(next) => shown += &format!(" {}", next.status),
            Err(_) => shown += " end",
        }
        shown
    });
}

#[test]
fn a_connection_that_waits_ends_after_the_time_of_its_last_route() {
    let (hubgate, report) = imported(
        "server { listen @LISTEN@; keepalive_timeout 60s;
            location / { return 200 x; }
            location /short { keepalive_timeout 1s; return 200 x; } }",
        nothing,
    );
    assert_carried(&report);
    let mut client = hubgate.plain();
    client.get(HOST, "/short");
    let begun = Instant::now();
    assert!(client.closes_within(Duration::from_secs(20)));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    client = hubgate.plain();
    client.get(HOST, "/short");
    client.get(HOST, "/");
    assert!(client.silent_for(Duration::from_secs(2)));
}

#[test]
fn who_sends_no_body_in_time_gets_a_reset_where_that_is_said() {
    let upstream = crate::support::Upstream::saying("x");
    let block = format!(
        "server {{ listen @LISTEN@; client_body_timeout 1s;
            location / {{ proxy_pass http://{0}; }}
            location /hard {{ proxy_pass http://{0}; reset_timedout_connection on; }} }}",
        upstream.addr
    );
    let (hubgate, report) = imported(&block, nothing);
    assert_carried(&report);
    let part = |target: &str| {
        let mut client = hubgate.plain();
        client.send(format!(
            "POST {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 9\r\n\r\nabc"
        ));
        client
    };
    let answer = part("/").exchange("");
    assert_eq!(answer.status, 408);
    let (bytes, end) = part("/hard").rest();
    assert_eq!((&*bytes, end), (&b""[..], End::Abrupt));
}

#[test]
fn a_line_of_a_head_has_the_room_that_its_server_says() {
    let block = "server { listen @LISTEN@; connection_pool_size 256; client_header_buffer_size 128; large_client_header_buffers 2 256; return 204; }";
    let target = |count: usize| format!("/{}|", "a".repeat(count));
    let fields = |count: usize, length: usize| {
        let line = format!("X-Foo: {}\r\n", "b".repeat(length));
        format!("/|{}", line.repeat(count))
    };
    let requests = [
        target(100),
        target(220),
        target(300),
        fields(1, 200),
        fields(2, 200),
        fields(3, 200),
        fields(1, 300),
        fields(5, 40),
        fields(20, 40),
    ];
    assert_alike((block, nothing), &requests, |client, request| {
        let (target, fields) = request.split_once('|').unwrap();
        let text = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
        match client.exchange(text).status {
            431 => 400, // nginx has 494 for it, and says 400
            status => status,
        }
        .to_string()
    });
}

#[test]
fn a_site_says_what_its_clients_get_and_a_route_says_what_is_other() {
    let toml = format!(
        "[listen]\nhttp = [\"@HTTP@\"]\nhttps = [\"@HTTPS@\"]\n[site.\"{HOST}\"]\ncertificate = \"self-signed\"\nhttp = \"forward\"\n\
         client = {{ requests = 3, told = \"7s\" }}\n\
         [[site.\"{HOST}\".route]]\npath = \"/\"\nrespond = {{ body = \"x\" }}\n\
         [[site.\"{HOST}\".route]]\npath = \"/one/\"\nclient = {{ requests = 1, told = \"0s\" }}\nrespond = {{ body = \"x\" }}\n"
    );
    let hubgate = Hubgate::start(&toml);
    let kept = " 200 [\"keep-alive\"] [\"timeout=7\"]";
    let shown = repeated(&mut hubgate.plain(), "GET /", 9);
    assert_eq!(shown, format!("{kept}{kept} 200 [\"close\"] [] end"));
    let mut client = hubgate.plain();
    assert_eq!(repeated(&mut client, "GET /", 1), kept);
    assert_eq!(repeated(&mut client, "GET /one/", 1), " 200 [\"close\"] []");
    assert!(matches!(client.try_exchange(""), Err(Fault::Closed(_))));
}
