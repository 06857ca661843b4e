//! The head that a browser's request turns into, and the check of its bytes before.

use divan::{Bencher, black_box};
use http::{HeaderValue, Method};
use hubgate::proxy::filter::forwarded::{self, Origin};
use hubgate::proxy::filter::request::{self, Changes};
use hubgate::proxy::present::Present;
use hubgate::transport::head::{HeadLimits, HeadScanner};
use hubgate::upstream::http1::RequestBody;
use pingora::http::RequestHeader;

const TARGET: &str = "/hub/api/users/student-17?include_stopped_servers=1";
const ASKED: [(&str, &str); 8] = [
    ("Host", "hub.example.org"),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    ),
    (
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("Accept-Language", "en-GB,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Referer", "https://hub.example.org/hub/home"),
    (
        "Cookie",
        "_xsrf=2|6b1f9f0e|4f1b2c3d4e5f60718293a4b5c6d7e8f9|1790000000; jupyterhub-session-id=0123456789abcdef",
    ),
    ("Connection", "keep-alive"),
];
fn request() -> RequestHeader {
    let mut head = RequestHeader::build(Method::GET, TARGET.as_bytes(), None).unwrap();
    for (name, value) in ASKED {
        head.append_header(name, value).unwrap();
    }
    head
}

#[divan::bench]
fn check_a_request(bencher: Bencher<'_, '_>) {
    let fields = ASKED.map(|(name, value)| format!("{name}: {value}\r\n"));
    let bytes = format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", fields.concat());
    let limits = HeadLimits {
        size: 65_536,
        fields: 100,
        bare_lf: false,
        as_nginx: false,
        buffers: None,
    };
    let mut scanner = HeadScanner::new(limits);
    bencher.bench_local(|| {
        scanner.reset();
        scanner.feed(black_box(bytes.as_bytes())).unwrap()
    });
}

#[divan::bench]
fn request_for_the_upstream(bencher: Bencher<'_, '_>) {
    let head = request();
    let host = HeaderValue::from_static("hub.example.org");
    let peer = "192.0.2.7";
    let origin = Origin {
        peer,
        usual: &forwarded::usual(peer, "https"),
        client: peer,
        trusted: false,
        scheme: "https",
        port: 443,
        host: &host,
        request_id: "0123456789abcdef0123456789abcdef",
        certificate: None,
    };
    let changes = Changes {
        target: TARGET.as_bytes(),
        origin: &origin,
        present: Present::of(&head.headers),
        framing: RequestBody::None,
        session: None,
        upgrade: None,
        own: None,
    };
    let mut wire = Vec::with_capacity(2048);
    bencher.bench_local(|| {
        wire.clear();
        request::write(black_box(&head), b"", &changes, &mut wire);
        wire.len()
    });
}
