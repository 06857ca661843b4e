//! `client` of sites and routes on HTTP/2: connections that are wound up after their last request, and room for heads.

use std::time::Duration;

use crate::support::h2_frames::{self, GOAWAY, Outcome};
use crate::support::hubgate::HOST;
use crate::support::{H2, Hubgate, Upstream};

const LIMIT: Duration = Duration::from_secs(10);

fn with(client: &str, routes: &str) -> Hubgate {
    Hubgate::start(&format!(
        "[listen]\nhttp = [\"@HTTP@\"]\nhttps = [\"@HTTPS@\"]\n[site.\"{HOST}\"]\ncertificate = \"self-signed\"\nclient = {{ {client} }}\n\
         {routes}[[site.\"{HOST}\".route]]\npath = \"/\"\nrespond = {{ body = \"x\" }}\n"
    ))
}

/// How many requests are answered before the connection is closed, of so many.
fn answered(client: &mut H2, target: &str, most: usize) -> usize {
    let mut count = 0;
    while count < most {
        let request = client.request("GET", target);
        let Ok(stream) = client.try_open(request, true) else {
            break;
        };
        if !stream.whole().is_ok_and(|answer| answer.status == 200) {
            break;
        }
        count += 1;
    }
    count
}

#[test]
fn a_connection_is_wound_up_after_the_requests_that_its_site_or_route_allows() {
    let one = format!(
        "[[site.\"{HOST}\".route]]\npath = \"/one/\"\nclient = {{ requests = 1 }}\nrespond = {{ body = \"x\" }}\n"
    );
    let hubgate = with("requests = 3", &one);
    for (target, least) in [("/", 3), ("/one/", 1)] {
        let mut client = hubgate.h2();
        // One that is on its way when the client is told is served, too.
        let count = answered(&mut client, target, 9);
        assert!((least..=least + 1).contains(&count), "{target}: {count}");
        assert!(client.closes_within(LIMIT), "{target}");
    }
    let hubgate = with("age = \"1ms\"", "");
    let mut client = hubgate.h2();
    std::thread::sleep(Duration::from_millis(20)); // the age of the connection
    assert!(answered(&mut client, "/", 9) <= 2);
    assert!(client.closes_within(LIMIT));
    let hubgate = with("told = \"1s\"", "");
    let mut client = hubgate.h2();
    assert_eq!(answered(&mut client, "/", 9), 9);
    assert!(!client.closes_within(Duration::from_millis(200)));
}

#[test]
fn a_connection_that_is_not_kept_waits_for_its_first_request_as_for_a_head() {
    let hubgate = with("keep_alive = \"0s\", head = \"2s\"", "");
    let mut client = hubgate.h2();
    std::thread::sleep(Duration::from_millis(300)); // longer than it would be kept
    assert_eq!(client.get("/").text(), "x");
    assert!(client.closes_within(Duration::from_secs(1)));
    assert!(hubgate.h2().closes_within(LIMIT));
}

#[test]
fn streams_that_are_on_their_way_outlive_the_last_request_of_their_connection() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::start(move |conn| {
        if conn.request().is_some() {
            wait.lock().unwrap().recv().unwrap();
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow";
            conn.try_send(answer).unwrap();
        }
    });
    let hubgate = Hubgate::start(&format!(
        "[listen]\nhttp = [\"@HTTP@\"]\nhttps = [\"@HTTPS@\"]\n[site.\"{HOST}\"]\ncertificate = \"self-signed\"\nclient = {{ requests = 2 }}\n\
         [[site.\"{HOST}\".route]]\npath = \"/slow\"\nupstream = \"one\"\n\
         [[site.\"{HOST}\".route]]\npath = \"/\"\nrespond = {{ body = \"x\" }}\n\
         [upstream.one]\nendpoints = [\"{}\"]\n",
        upstream.addr
    ));
    let mut client = hubgate.h2();
    let slow = client.open(client.request("GET", "/slow"), true);
    assert_eq!(client.get("/").status, 200);
    assert!(!client.closes_within(Duration::from_millis(800)));
    go.send(()).unwrap();
    assert_eq!(slow.whole().unwrap().text(), "slow");
    assert!(client.closes_within(LIMIT));
}

#[test]
fn a_head_beyond_its_room_ends_the_connection() {
    let hubgate = with(
        "head_buffers = { first = \"512B\", more = 1, size = \"512B\" }",
        "",
    );
    let sent = |name: &str, count: usize| {
        let value = vec![b'x'; count];
        // :method, :scheme, :path and :authority are 10, 12, 6 and 18 bytes.
        let fields: [(&str, &[u8]); 5] = [
            (":method", b"GET"),
            (":scheme", b"https"),
            (":path", b"/"),
            (":authority", HOST.as_bytes()),
            (name, &value),
        ];
        let mut wire = h2_frames::open(hubgate.https, HOST);
        let outcome = h2_frames::outcome_of(&mut wire, &fields);
        (outcome, wire)
    };
    let room = 512 - 10 - 12 - 6 - (10 + HOST.len());
    let whole = Outcome::Answered("x".to_owned());
    assert_eq!(sent("name", room - 4).0, whole);
    assert_eq!(sent("name", room - 3).0, Outcome::Ended);
    let hubgate = with(
        "head_buffers = { first = \"512B\", more = 4, size = \"512B\" }",
        "",
    );
    let fields = |name: &[u8], value: &[u8]| {
        let mut wire = h2_frames::open(hubgate.https, HOST);
        let name = String::from_utf8_lossy(name).into_owned();
        let fields: [(&str, &[u8]); 5] = [
            (":method", b"GET"),
            (":scheme", b"https"),
            (":path", b"/"),
            (":authority", HOST.as_bytes()),
            (&name, value),
        ];
        let block = h2_frames::block(&fields);
        wire.send(h2_frames::frame(h2_frames::HEADERS, 5, 1, &block));
        loop {
            let frame = h2_frames::next(&mut wire).unwrap();
            match frame.kind {
                GOAWAY => return Some(frame.payload[7]),
                h2_frames::HEADERS => return None,
                _ => {}
            }
        }
    };
    let calm = Some(11);
    assert_eq!(fields(&[b'x'; 512], b"value"), None);
    assert_eq!(fields(&[b'x'; 513], b"value"), calm);
    assert_eq!(fields(b"name", &[b'x'; 512]), None);
    assert_eq!(fields(b"name", &[b'x'; 513]), calm);
}
