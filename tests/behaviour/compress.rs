//! Bodies that are compressed and decompressed on their way: as the real nginx does with the same file, and as configured.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::support::hubgate::{HOST, one_site};
use crate::support::nginx::{Nginx, assert_carried, imported};
use crate::support::{Client, Conn, Hubgate, Response, Upstream};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    text
}

fn tree(dir: &Path) {
    let www = dir.join("www");
    fs::create_dir_all(&www).unwrap();
    let big: String = (0..60_000).map(|n| format!("{n} ")).collect();
    for (name, text) in [
        ("index.html", "x".repeat(64)),
        ("short.html", "short".to_owned()),
        ("a.css", "a {}\n".repeat(20)),
        ("a.bin", "y".repeat(100)),
        ("big.html", big),
        (
            "error.html",
            "<p>sorry, this is all there is to say</p>".to_owned(),
        ),
    ] {
        let mut file = fs::File::create(www.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        file.set_modified(time).unwrap();
    }
}

/// Answers by what the path says after `!` each: the length of the body, then fields with `=` for `: ` and `_` for blanks.
fn answers(conn: &mut Conn) {
    while let Some(head) = conn.request() {
        let target = String::from_utf8(head.target()).unwrap();
        let begin = target.find(|c: char| c.is_ascii_digit()).unwrap();
        let mut words = target[begin..].split('!');
        let length: usize = words.next().unwrap().parse().unwrap();
        let fields: String = words
            .map(|word| {
                word.replacen('=', ": ", 1)
                    .replace('_', " ")
                    .replace("%22", "\"")
                    + "\r\n"
            })
            .collect();
        let mut body = "0123456789".repeat(length.div_ceil(10)).into_bytes();
        body.truncate(length);
        if fields.contains("gzip") {
            body = gzip(&body);
        }
        let status = match fields.contains("Content-Range") {
            true => "206 Partial Content",
            false => "200 OK",
        };
        let chunked = fields.contains("chunked");
        let mut answer = format!("HTTP/1.1 {status}\r\n{fields}");
        if !chunked {
            answer += &format!("Content-Length: {}\r\n", body.len());
        }
        let mut answer = (answer + "\r\n").into_bytes();
        if head.method() == "HEAD" {
            conn.send(answer);
            continue;
        }
        if chunked {
            for piece in body.chunks(7_000) {
                answer.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                answer.extend(piece);
                answer.extend(b"\r\n");
            }
            answer.extend(b"0\r\n\r\n");
        } else {
            answer.extend(body);
        }
        conn.send(answer);
    }
}

/// An answer as far as both must say the same.
fn shown(response: &Response) -> String {
    let mut out = format!("{} {:?}\n", response.status, response.complete);
    for name in [
        "content-type",
        "content-encoding",
        "vary",
        "etag",
        "last-modified",
        "accept-ranges",
        "content-range",
    ] {
        let own = response.status >= 400 && matches!(name, "content-type" | "etag");
        let mut values = response.head.all(name);
        values.sort();
        for value in values.iter().filter(|_| !own) {
            out += &format!("{name}: {value}\n");
        }
    }
    let body = match response.head.all("content-encoding").concat().as_str() {
        "gzip" if !response.body.bytes.is_empty() => gunzip(&response.body.bytes),
        _ => response.body.bytes.clone(),
    };
    let page = body.starts_with(b"<html>\r\n") || body.windows(7).any(|part| part == b"cause: ");
    if !page {
        out += &format!("{} {}", body.len(), String::from_utf8_lossy(&body));
    }
    out
}

const BLOCK: &str = r#"
gzip_types text/css application/json text/event-stream;
server { listen @LISTEN@; root www;
    location / { gzip on; gzip_vary on; }
    location /parts/ { gzip on; alias www/; gzip_min_length 70; gzip_disable "msie6" "^Old"; }
    location /up/ { gzip on; gzip_comp_level 9; proxy_pass http://@UP@; }
    location /proxied/ { gzip on; gzip_vary on; gzip_proxied expired no-cache no_etag auth; proxy_pass http://@UP@; }
    location /old/ { gzip on; gzip_http_version 1.0; gzip_types *; proxy_pass http://@UP@; }
    location /un/ { gunzip on; gzip_vary on; proxy_pass http://@UP@; }
    location /both/ { gunzip on; gzip on; gzip_types *; proxy_pass http://@UP@;
        location /both/off/ { gzip off; gunzip off; proxy_pass http://@UP@; } }
    location /said { gzip on; gzip_min_length 4; default_type text/html; return 200 "what is said here"; }
    location /no { gzip on; gzip_vary on; error_page 403 /error.html; return 403; }
}"#;

#[test]
fn what_nginx_compresses_or_decompresses_is_so_here_and_nothing_else() {
    let upstream = Upstream::start(answers);
    let block = BLOCK.replace("@UP@", &upstream.addr.to_string());
    let Some(theirs) = Nginx::start(&block, tree) else {
        return;
    };
    let (ours, report) = imported(&block, tree);
    assert_carried(&report);
    let html = "Content-Type=text/html";
    let mut targets = vec![
        "/",
        "/index.html",
        "/short.html",
        "/a.css",
        "/a.bin",
        "/big.html",
        "/no",
        "/parts/index.html",
        "/parts/big.html",
        "/said",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect::<Vec<_>>();
    for place in ["up", "proxied", "old", "un", "both", "both/off"] {
        for rest in [
            format!("100!{html}"),
            format!("100!{html};_charset=utf-8!ETag=\"a\"!Accept-Ranges=bytes"),
            format!("100!{html}!ETag=W\"b\""),
            format!("100!{html}!ETag=W/\"c\""),
            format!("19!{html}"),
            format!("20!{html}"),
            "100!Content-Type=text/plain".to_owned(),
            "100000!Content-Type=application/json!Transfer-Encoding=chunked".to_owned(),
            "300000!Content-Type=TEXT/CSS".to_owned(),
            format!("5000!{html}!Content-Encoding=gzip!ETag=\"z\""),
            format!("300000!{html}!Content-Encoding=gzip!Transfer-Encoding=chunked"),
            format!("100!{html}!Content-Encoding=br"),
            format!("100!{html}!Content-Range=bytes_0-99/200"),
            format!("100!{html}!Cache-Control=no-cache"),
            format!("100!{html}!Expires=Thu,_01_Jan_1970_00:00:01_GMT"),
            format!("100!{html}!Vary=Cookie"),
        ] {
            targets.push(format!("/{place}/{rest}"));
        }
    }
    let mut different = Vec::new();
    let mut compressed = 0;
    for target in &targets {
        for fields in [
            "",
            "Accept-Encoding: gzip",
            "Accept-Encoding: br, gzip;q=0.1",
            "Accept-Encoding: gzip;q=0",
            "Accept-Encoding: gzip|Via: 1.1 proxy",
            "Accept-Encoding: gzip|Via: 1.1 proxy|Authorization: x",
            "Accept-Encoding: gzip|Range: bytes=0-9",
            "Range: bytes=0-9",
            "Accept-Encoding: gzip|If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT",
            "Accept-Encoding: gzip|User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows)",
            "Accept-Encoding: gzip|User-Agent: Mozilla/4.0 (MSIE 6.0; SV1)",
            "Accept-Encoding: gzip|User-Agent: oldest",
        ] {
            for (method, version) in [("GET", "1.1"), ("HEAD", "1.1"), ("GET", "1.0")] {
                let fields = fields.replace('|', "\r\n");
                let more = if fields.is_empty() { "" } else { "\r\n" };
                let request = format!(
                    "{method} {target} HTTP/{version}\r\nHost: {HOST}\r\nConnection: close\r\n{fields}{more}\r\n"
                );
                let ask = |client: &mut Client| {
                    client.send(&request);
                    client.try_response(method == "HEAD").unwrap()
                };
                let (theirs, ours) = (
                    ask(&mut theirs.client()),
                    ask(&mut Client::plain(ours.http)),
                );
                compressed += usize::from(ours.head.all("content-encoding") == ["gzip"]);
                let (theirs, ours) = (shown(&theirs), shown(&ours));
                if theirs != ours {
                    let short = |text: &str| text.chars().take(400).collect::<String>();
                    let (theirs, ours) = (short(&theirs), short(&ours));
                    different.push(format!("{request}nginx:   {theirs}\nhubgate: {ours}\n"));
                }
            }
        }
    }
    assert!(
        different.is_empty(),
        "{} of {}\n{}",
        different.len(),
        targets.len() * 36,
        different.iter().take(12).cloned().collect::<String>()
    );
    assert!(compressed > 100, "{compressed}");
}

#[test]
fn events_arrive_one_by_one_though_they_are_compressed() {
    let upstream = Upstream::start(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for n in 0..3 {
            // The next one is not sent before this one was read; the client leaves after the first.
            let sent = conn.try_send(format!("9\r\ndata: {n}\n\n\r\n"));
            if sent.is_err() || conn.request_head().is_none() {
                return;
            }
        }
    });
    let toml = one_site(
        upstream.addr,
        "compress = { types = [\"text/event-stream\"] }",
    );
    let hubgate = Hubgate::start(&toml);
    let mut client = hubgate.plain();
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: gzip\r\n\r\n"
    ));
    let (head, _) = client.final_head().unwrap();
    assert_eq!(head.one("content-encoding"), "gzip");
    let mut bytes = Vec::new();
    let mut trailers = Vec::new();
    while readable(&bytes) != b"data: 0\n\n" {
        bytes.extend(client.chunk(&mut trailers).unwrap().unwrap());
    }
}

/// What can be read of gzip that has not ended.
fn readable(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut reader = MultiGzDecoder::new(bytes);
    // The end that is missing is an error, and no loss.
    let _ = reader.read_to_end(&mut text);
    text
}

#[test]
fn http_2_gets_what_is_compressed_without_a_length() {
    let upstream = Upstream::start(answers);
    let hubgate = Hubgate::start(&one_site(upstream.addr, "compress = {}"));
    let mut client = hubgate.h2();
    let target = "/x/300000!Content-Type=text/html!ETag=%22a%22";
    let request = client.request("GET", target);
    let answer = client.exchange(request.header("accept-encoding", "gzip"));
    assert_eq!(answer.fields["content-encoding"], "gzip");
    assert_eq!(answer.fields["vary"], "Accept-Encoding");
    assert_eq!(answer.fields["etag"], "W/\"a\"");
    assert!(!answer.fields.contains_key("content-length"));
    assert_eq!(gunzip(&answer.body).len(), 300_000);
    assert!(answer.body.len() < 100_000);
    let request = client.request("HEAD", target);
    let answer = client.exchange(request.header("accept-encoding", "gzip"));
    assert_eq!(answer.fields["content-encoding"], "gzip");
    assert!(answer.body.is_empty() && !answer.fields.contains_key("content-length"));
}

#[test]
fn what_is_no_gzip_though_it_says_so_never_ends_as_if_it_were_whole() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nplaintext",
    );
    let hubgate = Hubgate::start(&one_site(upstream.addr, "decompress = true"));
    let mut client = hubgate.plain();
    client.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let response = client.try_response(false).unwrap();
    assert!(response.complete.is_err());
    hubgate.wait_log("recode.failed");
    assert!(hubgate.metrics().contains("upstream_malformed"));
}
