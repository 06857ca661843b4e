//! What smaller modules of nginx do, done by hubgate with the same file: answered by both, and compared.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;

use crate::support::hubgate::{HOST, one_site};
use crate::support::nginx::{assert_alike, assert_carried, imported};
use crate::support::{Hubgate, Response, Upstream};

fn tree(dir: &Path) {
    for folder in ["www/list/sub", "www/packed"] {
        fs::create_dir_all(dir.join(folder)).unwrap();
    }
    fs::write(dir.join("users"), "alice:{PLAIN}secret\n").unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for (name, text) in [
        ("www/list/a <&>.txt", "0123456789"),
        ("www/list/b\"c", ""),
        ("www/packed/a.txt", "plain text"),
        ("www/packed/a.txt.gz", "not looked into"),
        ("www/packed/b.html", "alone"),
        ("www/packed/c.css.gz", "without the other"),
        ("www/x.html", "<p>x</p>"),
        ("www/text.html", "Inside, inside and INSIDE; insid"),
        ("www/x.xml", "<x/>"),
        ("www/x.bin", "x"),
    ] {
        let mut file = fs::File::create(dir.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_modified(time).unwrap();
    }
    let folder = fs::File::open(dir.join("www/list/sub")).unwrap();
    folder.set_modified(time).unwrap();
}

/// What both must say, field by field.
const FIELDS: [&str; 9] = [
    "content-type",
    "content-length",
    "content-encoding",
    "vary",
    "etag",
    "last-modified",
    "accept-ranges",
    "www-authenticate",
    "allow",
];

fn shown(response: &Response, chunked: bool) -> String {
    let mut out = format!("{} {:?}\n", response.status, response.complete);
    let own = response.status >= 400;
    for name in FIELDS {
        // Pages of errors are hubgate's own; nginx sends listings, and what it changes, in chunks.
        let page = own && name != "www-authenticate";
        if page || (chunked && name == "content-length") {
            continue;
        }
        for value in response.head.all(name) {
            out += &format!("{name}: {value}\n");
        }
    }
    if !own {
        out += &response.text();
    }
    out
}

/// Sends each request (`METHOD TARGET|FIELD|FIELD`) to both, and compares.
#[track_caller]
fn alike(block: &str, requests: &[&str]) {
    assert_alike((block, tree), requests, |client, request| {
        let (line, fields) = request.split_once('|').unwrap_or((request, ""));
        let mut text = format!("{line} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n");
        for field in fields.split('|').filter(|field| !field.is_empty()) {
            text += &format!("{field}\r\n");
        }
        text += "\r\n";
        client.send(&text);
        let answer = client.try_response(line.starts_with("HEAD")).unwrap();
        let chunked = ["/list/", "/once/", "/all/", "/plain/", "/kept/"];
        shown(&answer, chunked.iter().any(|place| line.contains(place)))
    });
}

#[test]
fn methods_that_are_excepted_are_let_in_as_nginx_lets_them() {
    let alice = base64::prelude::BASE64_STANDARD.encode("alice:secret");
    let alice = format!("|Authorization: Basic {alice}");
    let mut requests = Vec::new();
    for place in ["/read", "/staff", "/own"] {
        for method in ["GET", "HEAD", "POST", "DELETE", "PURGE"] {
            for user in ["", &alice] {
                requests.push(format!("{method} {place}{user}"));
            }
        }
    }
    let requests: Vec<_> = requests.iter().map(|one| &**one).collect();
    alike(
        "server { listen @LISTEN@; root www; default_type text/plain;
            location /read { limit_except GET { deny all; } proxy_pass http://127.0.0.1:1; error_page 502 =200 @in; }
            location /staff { limit_except GET POST { auth_basic staff; auth_basic_user_file users; }
                proxy_pass http://127.0.0.1:1; error_page 502 =200 @in; }
            location /own { deny all; limit_except GET { allow all; } proxy_pass http://127.0.0.1:1; error_page 502 =200 @in; }
            location @in { return 200 in; } }",
        &requests,
    );
}

#[test]
fn files_that_are_compressed_already_and_lists_of_folders_are_as_nginx_sends_them() {
    let mut requests = Vec::new();
    for place in ["on", "vary", "always"] {
        for file in ["a.txt", "b.html", "c.css", "none"] {
            for fields in [
                "",
                "|Accept-Encoding: gzip",
                "|Accept-Encoding: gzip;q=0",
                "|Accept-Encoding: gzip|Range: bytes=0-3",
                "|Range: bytes=0-3",
            ] {
                for method in ["GET", "HEAD"] {
                    requests.push(format!("{method} /{place}/{file}{fields}"));
                }
            }
        }
    }
    for place in ["xml", "jsonp", "json"] {
        for query in ["", "?callback=a.b", "?x=1&callback=f_$1"] {
            requests.push(format!("GET /{place}/list/{query}"));
        }
    }
    let requests: Vec<_> = requests.iter().map(|one| &**one).collect();
    alike(
        "types { text/html html; text/plain txt; text/css css; } default_type text/plain;
        server { listen @LISTEN@;
            location /on/ { alias www/packed/; gzip_static on; }
            location /vary/ { alias www/packed/; gzip_static on; gzip_vary on; }
            location /always/ { alias www/packed/; gzip_static always; gzip_vary on; }
            location /xml/ { alias www/; autoindex on; autoindex_format xml; }
            location /jsonp/ { alias www/; autoindex on; autoindex_format jsonp; }
            location /json/ { alias www/; autoindex on; autoindex_format json; } }",
        &requests,
    );
}

#[test]
fn referers_charsets_and_ranges_of_addresses_are_judged_as_nginx_does() {
    let mut requests: Vec<String> = [
        "/said/x.html",
        "/said/x.xml",
        "/said/x.bin",
        "/off/x.html",
        "/all/x.bin",
        "/text",
        "/area?a=10.1.2.3",
        "/area?a=10.1.3.1",
        "/area?a=192.0.2.9",
        "/area?a=192.0.2.20",
        "/area?a=fe80::1",
        "/area?a=x",
        "/pixel",
    ]
    .iter()
    .map(|target| format!("GET {target}"))
    .collect();
    requests.push("POST /pixel|Content-Length: 0".to_owned());
    for told in [
        "192.0.2.1",
        "10.0.0.1",
        "10.0.0.1, 192.0.2.1",
        "192.0.2.1, 127.0.0.1",
        "192.0.2.1,x",
    ] {
        requests.push(format!("GET /area?a=192.0.2.35|X-Forwarded-For: {told}"));
    }
    for place in ["hosts", "none", "blocked", "names", "server"] {
        for referer in [
            "",
            "|Referer: http://www.example.org",
            "|Referer: https://www.Example.org:80/x",
            "|Referer: http://a.example.com/x",
            "|Referer: http://example.com/",
            "|Referer: http://www.example.net/shop/a",
            "|Referer: http://www.example.net/sho",
            "|Referer: http://own.test/y",
            "|Referer: http://re-own/y",
            "|Referer: http://re.match/Y",
            "|Referer: hidden",
            "|Referer: www.example.org",
        ] {
            requests.push(format!("GET /{place}{referer}"));
        }
    }
    let requests: Vec<_> = requests.iter().map(|one| &**one).collect();
    alike(
        "geo $arg_a $area { ranges; default none; 10.0.0.0-10.255.255.255 large; 10.1.2.0-10.1.2.255 small;
            192.0.2.5-192.0.2.13 odd; 192.0.2.30-192.0.2.40 gone; delete 192.0.2.30-192.0.2.40; }
        geo $told { proxy 127.0.0.1; default none; 127.0.0.0/8 own; 192.0.2.0/24 test; }
        geo $all_told { proxy_recursive; proxy 127.0.0.1; default none; 127.0.0.0/8 own; 192.0.2.0/24 test; }
        types { text/html html; text/xml xml; application/x bin; }
        server { listen @LISTEN@; server_name own.test ~^re-own$ hub.test; root www; valid_referers none *.example.com;
            location /said/ { alias www/; charset utf-8; location /said/never { return 404; } }
            location /off/ { alias www/; charset off; }
            location /all/ { alias www/; charset koi8-r; charset_types application/x; }
            location /text { charset utf-8; default_type text/plain; return 200 text; }
            location /area { default_type text/plain; return 200 \"$area $told $all_told\"; }
            location /pixel { empty_gif; }
            location /hosts { valid_referers www.example.org *.example.com www.example.*/shop/ ~match/y; return 200 \"[$invalid_referer]\"; }
            location /none { valid_referers none www.example.org; return 200 \"[$invalid_referer]\"; }
            location /blocked { valid_referers blocked www.example.org; if ($invalid_referer) { return 410; } return 200 in; }
            location /names { valid_referers server_names; return 200 \"[$invalid_referer]\"; }
            location /server { return 200 \"[$invalid_referer]\"; } }",
        &requests,
    );
}

#[test]
fn texts_are_replaced_as_nginx_replaces_them() {
    let mut requests = Vec::new();
    for place in ["once", "all", "plain", "kept"] {
        for file in ["x.html", "text.html", "x.bin"] {
            for fields in ["", "|Range: bytes=0-3", "|Accept-Encoding: gzip;q=0"] {
                requests.push(format!("GET /{place}/{file}{fields}"));
                requests.push(format!("HEAD /{place}/{file}{fields}"));
            }
        }
    }
    let requests: Vec<_> = requests.iter().map(|one| &**one).collect();
    alike(
        "types { text/html html; application/x bin; }
        server { listen @LISTEN@; sub_filter inside OUTSIDE;
            location /once/ { alias www/; }
            location /all/ { alias www/; sub_filter inside \"[$arg_x$host]\"; sub_filter x y; sub_filter_once off; sub_filter_types *; }
            location /plain/ { alias www/; sub_filter none such; }
            location /kept/ { alias www/; sub_filter_last_modified on; } }",
        &requests,
    );
}

#[test]
fn counts_are_written_as_nginx_writes_them() {
    let (hubgate, report) = imported(
        "server { listen @LISTEN@; location /stub { stub_status; } }",
        |_| {},
    );
    assert_carried(&report);
    let mut idle = hubgate.plain();
    assert_eq!(idle.get(HOST, "/none").status, 404);
    let mut client = hubgate.plain();
    let text = client.get(HOST, "/stub").text();
    let lines: Vec<_> = text.lines().collect();
    let [active, head, counts, states] = lines[..] else {
        panic!("{text}");
    };
    let active = active.strip_prefix("Active connections: ").unwrap();
    let active: u64 = active.strip_suffix(' ').unwrap().parse().unwrap();
    assert!(active >= 2, "{text}");
    assert_eq!(head, "server accepts handled requests");
    let counts: Vec<u64> = counts
        .split_whitespace()
        .map(|count| count.parse().unwrap())
        .collect();
    assert!(counts[0] == counts[1] && counts[0] >= 2, "{text}");
    assert_eq!(counts[2], 2, "{text}");
    assert_eq!(
        states,
        format!("Reading: 0 Writing: 1 Waiting: {} ", active - 1)
    );
    let refused = client.exchange(format!("POST /stub HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert_eq!(refused.status, 405);
}

#[test]
fn whoever_is_asked_for_a_password_waits_for_it() {
    let dir = tempfile::TempDir::new().unwrap();
    tree(dir.path());
    let upstream = Upstream::saying("in");
    let access =
        "access = { basic = { realm = \"r\", file = \"@DIR@/users\" }, delay = \"700ms\" }";
    let hubgate = Hubgate::start_in(dir, &one_site(upstream.addr, access));
    let begun = Instant::now();
    let mut client = hubgate.plain();
    assert_eq!(client.get(HOST, "/").status, 401);
    assert!(begun.elapsed() >= Duration::from_millis(700));
    let alice = base64::prelude::BASE64_STANDARD.encode("alice:secret");
    let answer = client.exchange(format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Basic {alice}\r\n\r\n"
    ));
    assert_eq!(answer.text(), "in");
}

const MIRRORED: &str = "server { listen @LISTEN@;
    location / { mirror /mirror; mirror /dead; proxy_pass http://@UP@; }
    location /bare { mirror /mirror; mirror_request_body off; proxy_pass http://@UP@; }
    location = /mirror { internal; proxy_pass http://@SHADOW@$request_uri; proxy_set_header X-Seen $request_uri; }
    location = /dead { internal; proxy_pass http://127.0.0.1:1; } }";

#[test]
fn requests_reach_their_mirror_whole_and_its_answer_reaches_nobody() {
    let (upstream, shadow) = (Upstream::saying("first"), Upstream::saying("second"));
    let block = MIRRORED
        .replace("@UP@", &upstream.addr.to_string())
        .replace("@SHADOW@", &shadow.addr.to_string());
    let (hubgate, report) = imported(&block, |_| {});
    assert_carried(&report);
    let mut client = hubgate.plain();
    assert_eq!(client.get(HOST, "/a%2Fb?c=1").text(), "first");
    shadow.wait_requests(1);
    let seen = shadow.last_request();
    assert_eq!(seen.head.target(), b"/a%2Fb?c=1");
    assert_eq!(seen.head.one("x-seen"), "/a%2Fb?c=1");
    let body = "b".repeat(200_000);
    let answer = client.exchange(format!(
        "POST /post HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(answer.text(), "first");
    shadow.wait_requests(2);
    crate::support::eventually("the mirror has the body", || {
        let seen = shadow.last_request();
        seen.complete.is_some() && seen.body.bytes.len() == body.len()
    });
    let answer = client.exchange(format!(
        "POST /bare HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\n\r\nabc"
    ));
    assert_eq!(answer.text(), "first");
    shadow.wait_requests(3);
    let seen = shadow.last_request();
    assert_eq!(seen.head.method(), "POST");
    assert!(!seen.head.has("content-length") && seen.body.bytes.is_empty());
    assert_eq!(upstream.last_request().body.bytes, b"abc");
}

#[test]
fn a_mirror_that_never_answers_holds_nobody_up() {
    let (upstream, shadow) = (
        Upstream::saying("first"),
        Upstream::start(|conn| {
            conn.request_head();
            // It reads no body, and says nothing until the client is gone.
            drop(conn.rest());
        }),
    );
    let block = MIRRORED
        .replace("@UP@", &upstream.addr.to_string())
        .replace("@SHADOW@", &shadow.addr.to_string());
    let block = format!("client_max_body_size 0;\n{block}");
    let (hubgate, _) = imported(&block, |_| {});
    let mut client = hubgate.plain();
    for _ in 0..5 {
        assert_eq!(client.get(HOST, "/").text(), "first");
    }
    let body = "b".repeat(4_000_000);
    let answer = client.exchange(format!(
        "POST /post HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(answer.text(), "first");
    shadow.wait_requests(6);
}
