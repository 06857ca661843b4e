//! Files, as clients get them: what nginx answers to the same requests, where there is one, and what it is told not to.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::support::hubgate::HOST;
use crate::support::nginx::assert_alike;
use crate::support::{Client, H2, Hubgate, Response};

/// A folder `www` with files of a known time, a secret beside it, and links.
fn tree(dir: &Path) {
    let www = dir.join("www");
    for folder in ["d", "list/sub", "noindex", "app", "sp ace", "index.d"] {
        fs::create_dir_all(www.join(folder)).unwrap();
    }
    let big: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let files: &[(&str, &[u8])] = &[
        ("www/index.html", b"<p>root</p>\n"),
        ("www/d/index.html", b"<p>d</p>\n"),
        ("www/d/a.txt", b"0123456789"),
        ("www/list/b.css", b"b{}"),
        ("www/list/a <&>.js", b""),
        (
            "www/list/a-very-long-name-that-does-not-fit-into-the-column-of-names.txt",
            b"x",
        ),
        ("www/list/.hidden", b"x"),
        ("www/noindex/x", b"x"),
        ("www/app/index.php", b"app"),
        ("www/empty.txt", b""),
        ("www/sp ace/f%.bin", b"space"),
        ("www/big.png", &big),
        ("www/none.unknown", b"?"),
        ("www/NOEXT", b"n"),
        ("www/index.d/x.html", b"x"),
        ("secret", b"secret"),
        ("www/b", b"beside"),
        ("www/bc", b"joined"),
    ];
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for (name, text) in files {
        let mut file = fs::File::create(dir.join(name)).unwrap();
        file.write_all(text).unwrap();
        file.set_modified(time).unwrap();
    }
    symlink("d/a.txt", www.join("in")).unwrap();
    symlink("../secret", www.join("out")).unwrap();
    for folder in ["www/list/sub", "www/list"] {
        let folder = fs::File::open(dir.join(folder)).unwrap();
        folder.set_modified(time).unwrap();
    }
}

/// What both must say, field by field.
const FIELDS: [&str; 8] = [
    "content-type",
    "content-length",
    "last-modified",
    "etag",
    "accept-ranges",
    "content-range",
    "location",
    "cache-control",
];

/// An answer as far as it is nginx's: pages of errors are hubgate's own, and its redirects name no host.
fn shown(response: &Response) -> String {
    let own = response.status >= 400;
    let listing =
        response.text().contains("<h1>Index of ") || response.text().contains("{ \"name\"");
    let mut out = format!("{}\n", response.status);
    for name in FIELDS {
        for value in response.head.all(name) {
            let page = own || response.status == 301;
            if page && name != "location" && name != "content-range" {
                continue;
            }
            // nginx sends listings in chunks.
            if listing && name == "content-length" {
                continue;
            }
            let value = match value.split_once("boundary=") {
                Some((before, _)) => before.to_owned(),
                None => value,
            };
            let path = value
                .strip_prefix("http://")
                .and_then(|rest| rest.find('/').map(|at| rest[at..].to_owned()));
            out += &format!("{name}: {}\n", path.unwrap_or(value));
        }
    }
    if !own && response.status != 301 {
        let boundary = response.head.all("content-type").concat();
        let boundary = boundary
            .split_once("boundary=")
            .map(|(_, boundary)| boundary.to_owned());
        let text = String::from_utf8_lossy(&response.body.bytes).into_owned();
        out += &boundary.map_or(text.clone(), |boundary| text.replace(&boundary, "BOUNDARY"));
    }
    out
}

/// Sends each request to the real nginx and to hubgate, with the same file, and compares.
#[track_caller]
fn alike(block: &str, requests: &[String]) {
    assert_alike((block, tree), requests, |client, request| {
        shown(&client.exchange(request))
    });
}

fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n")
}

fn gets(targets: &[&str]) -> Vec<String> {
    targets
        .iter()
        .map(|target| request("GET", target, ""))
        .collect()
}

const TARGETS: &[&str] = &[
    "/",
    "/index.html",
    "/d",
    "/d/",
    "/d?a=b",
    "/d/a.txt",
    "/d//a.txt",
    "/d/./a.txt",
    "/x/../d/a.txt",
    "/d/a.txt/",
    "/d/a.txt/x",
    "/missing",
    "/missing/",
    "/noindex/",
    "/noindex",
    "/empty.txt",
    "/sp%20ace/f%25.bin",
    "/sp%20ace",
    "/big.png",
    "/none.unknown",
    "/NOEXT",
    "/index.d",
    "/in",
    "/out",
    "/%2e%2e/secret",
    "/..%2fsecret",
    "/d/a.txt%00",
    "/d/a.tx%74?q",
    "/list/",
    "/list/.hidden",
];

#[test]
fn a_folder_is_served_as_nginx_serves_it() {
    let types = "include /etc/nginx/mime.types; default_type text/plain;";
    let block = format!("{types} server {{ listen @LISTEN@; location / {{ root www; }} }}");
    let mut requests = gets(TARGETS);
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        for target in ["/d/a.txt", "/d/", "/d", "/missing"] {
            requests.push(request(method, target, ""));
        }
    }
    requests.push(request("GET", &format!("/{}", "a".repeat(300)), ""));
    requests.push(request("GET", &format!("/{}", "a/".repeat(2500)), ""));
    alike(&block, &requests);
}

#[test]
fn parts_and_conditions_are_answered_as_nginx_does() {
    let block = "server { listen @LISTEN@; root www; location / { types { text/x-a txt; } default_type a/b; } \
                 location /list/ { etag off; if_modified_since before; max_ranges 1; } }";
    let time = "Tue, 14 Nov 2023 22:13:20 GMT";
    let later = "Tue, 14 Nov 2023 22:13:21 GMT";
    let etag = "\"6553f100-a\"";
    let mut requests = Vec::new();
    for range in [
        "bytes=0-0",
        "bytes=5-",
        "bytes=-3",
        "bytes=-0",
        "bytes=0-99",
        "bytes=10-",
        "bytes=9-3",
        "bytes=0-1,4-5",
        "bytes=0-1, -2",
        "bytes=20-,1-1",
        "bytes=0-9,0-9",
        "bytes=0-0,1-1,2-2,3-3",
        "bytes=a",
        "bytes=",
        "bytes=1",
        "lines=0-1",
        "BYTES=1-2",
        "bytes=1-2,",
        "bytes= 1 - 2 ",
        "bytes=- 2",
        "bytes=0-0,x",
        "bytes=5-3",
        "bytes=0-9223372036854775807",
        "bytes=0-9223372036854775808",
    ] {
        for target in ["/d/a.txt", "/empty.txt", "/list/b.css", "/missing"] {
            requests.push(request("GET", target, &format!("Range: {range}\r\n")));
        }
        requests.push(request("HEAD", "/d/a.txt", &format!("Range: {range}\r\n")));
        for condition in [etag, "\"x\"", time, later] {
            let fields = format!("Range: {range}\r\nIf-Range: {condition}\r\n");
            requests.push(request("GET", "/d/a.txt", &fields));
        }
    }
    for name in [
        "If-None-Match",
        "If-Match",
        "If-Modified-Since",
        "If-Unmodified-Since",
    ] {
        for value in [
            etag,
            "W/\"6553f100-a\"",
            "\"x\", \"6553f100-a\"",
            "*",
            time,
            later,
            "Mon, 13 Nov 2023 22:13:20 GMT",
            "x",
        ] {
            for target in ["/d/a.txt", "/list/b.css"] {
                requests.push(request("GET", target, &format!("{name}: {value}\r\n")));
                if name == "If-None-Match" {
                    continue;
                }
                let both =
                    format!("{name}: {value}\r\nIf-None-Match: {etag}\r\nRange: bytes=0-1\r\n");
                requests.push(request("GET", target, &both));
            }
        }
    }
    alike(block, &requests);
}

#[test]
fn try_index_and_alias_are_nginx_s() {
    let block = "server { listen @LISTEN@; root www; index nothing index.php index.html; \
        location / { try_files $uri $uri/ /d/a.txt; } \
        location /app/ { try_files $uri =404; } \
        location /t403/ { try_files /nothing =403; } \
        location /arg/ { try_files /d/$arg_f /nothing /b; } \
        location /q/ { try_files $uri /q2/x?a=b; } \
        location /q2/ { return 200 \"$args\"; } \
        location /list/ { autoindex on; } \
        location /noindex/ { autoindex on; autoindex_format json; } \
        location /al/ { alias www/d/; } \
        location /be { alias www/b; } \
        location = /one { alias www/d/a.txt; } \
        location /alt/ { alias www/; try_files $uri /alt/b =404; } \
        location /gone/ { alias www/gone/; index nothing /d/a.txt; } \
        location /there/ { alias www/noindex/; index nothing /d/a.txt; } \
        location /links/ { alias www/; disable_symlinks on from=www/; } }";
    let requests = gets(&[
        "/",
        "/gone/",
        "/there/",
        "/d",
        "/d/",
        "/missing",
        "/noindex",
        "/noindex/",
        "/list/",
        "/list",
        "/list/sub/",
        "/app/",
        "/app/index.php",
        "/app/none",
        "/t403/x",
        "/arg/?f=a.txt",
        "/arg/?f=x",
        "/q/x?c",
        "/al/",
        "/al/a.txt",
        "/al/x",
        "/al../index.html",
        "/be",
        "/be/",
        "/one",
        "/alt/d/a.txt",
        "/alt/x",
        "/alt/",
        "/links/in",
        "/links/out",
        "/links/b",
    ]);
    alike(block, &requests);
}

/// One site with `files` of this inside, in a folder with the tree.
fn serving(files: &str, more: &str) -> Hubgate {
    let dir = TempDir::new().unwrap();
    tree(dir.path());
    let toml = format!(
        "[site.\"{HOST}\"]\ncertificate = \"self-signed\"\nhttp = \"forward\"\n\
         [[site.\"{HOST}\".route]]\npath = \"/\"\nfiles = {{ {files} }}\n{more}"
    );
    Hubgate::start_in(dir, &toml)
}

#[test]
fn nothing_outside_the_folder_is_served_however_it_is_asked_for() {
    let private =
        format!("[[site.\"{HOST}\".route]]\npath = \"/noindex/\"\nrespond = {{ status = 403 }}\n");
    let hubgate = serving("root = \"www\"", &private);
    for (target, status) in [
        ("/d/a.txt", 200),
        ("/in", 200),
        ("/out", 403),
        ("/../secret", 400),
        ("/%2e%2e/secret", 400),
        ("/..%2fsecret", 400),
        ("/d/..%2f..%2fsecret", 400),
        ("/d/%00", 400),
        ("/%zz", 400),
        // Another spelling of a path does not lead around the route that it belongs to.
        ("/noindex/x", 403),
        ("/%6eoindex/x", 404),
        ("/d/../noindex/x", 404),
        ("/d/..%2fnoindex/x", 404),
        ("//noindex/x", 404),
        ("/d/./a.txt", 200),
        ("//d/a.txt", 200),
    ] {
        let got = hubgate.plain().get(HOST, target);
        assert_eq!(got.status, status, "{target}: {}", got.text());
        assert!(!got.text().contains("secret\n") && got.text() != "secret");
    }
    // Nor does what a request puts into a path that is tried.
    let tried = serving(
        "root = \"www\", try = [\"/d/$arg_f\", \"/b\", \"=404\"]",
        "",
    );
    for (name, wanted) in [
        ("a.txt", "0123456789"),
        ("../b", "beside"),
        ("../../secret", "beside"),
    ] {
        let got = tried.plain().get(HOST, &format!("/?f={name}"));
        assert_eq!(got.text(), wanted, "{name}");
    }
    let got = hubgate.plain().get(HOST, "/missing");
    assert_eq!(got.head.one("x-hubgate-cause"), "file_missing");
    let fifo = hubgate.dir.path().join("www/fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    assert_eq!(hubgate.plain().get(HOST, "/fifo").status, 404);
}

#[test]
fn a_large_file_arrives_whole_over_both_versions_and_its_head_says_its_length() {
    let hubgate = serving("root = \"www\"", "");
    let wanted = fs::read(hubgate.dir.path().join("www/big.png")).unwrap();
    let mut client = hubgate.plain();
    for _ in 0..2 {
        let got = client.get(HOST, "/big.png");
        assert_eq!((got.status, got.body.bytes == wanted), (200, true));
    }
    let head = client.exchange(request("HEAD", "/big.png", ""));
    assert_eq!(head.head.one("content-length"), wanted.len().to_string());
    assert!(head.body.bytes.is_empty());
    // The connection goes on behind a HEAD and a 304.
    let etag = head.head.one("etag");
    let known = client.exchange(request(
        "GET",
        "/big.png",
        &format!("If-None-Match: {etag}\r\n"),
    ));
    assert_eq!(
        (known.status, known.head.has("content-length")),
        (304, false)
    );
    assert_eq!(client.get(HOST, "/d/a.txt").text(), "0123456789");
    let mut h2 = H2::connect(hubgate.https, HOST);
    let got = h2.get("/big.png");
    assert_eq!((got.status, got.body == wanted), (200, true));
    assert_eq!(h2.get("/d/a.txt").text(), "0123456789");
    let log = hubgate.metrics();
    assert!(log.contains("hubgate"), "{log}");
}

#[test]
fn a_client_that_takes_nothing_of_a_file_is_cut_off() {
    let dir = TempDir::new().unwrap();
    tree(dir.path());
    let file = fs::File::create(dir.path().join("www/huge")).unwrap();
    file.set_len(200 << 20).unwrap();
    let toml = format!(
        "[timeouts]\nwrite = \"1s\"\n[access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"$status $cause $body_bytes_sent\"\n\
         [site.\"{HOST}\"]\ncertificate = \"self-signed\"\nhttp = \"forward\"\n\
         [[site.\"{HOST}\".route]]\npath = \"/\"\nfiles = {{ root = \"www\" }}\n"
    );
    let hubgate = Hubgate::start_in(dir, &toml);
    let mut client = Client::plain_with_small_window(hubgate.http);
    client
        .try_send(request("GET", "/huge", "").as_bytes())
        .unwrap();
    let log = hubgate.dir.path().join("access.log");
    crate::support::eventually("the request has ended", || {
        fs::read_to_string(&log)
            .unwrap_or_default()
            .contains("499 client_stalled")
    });
    let line = fs::read_to_string(&log).unwrap();
    let sent: u64 = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(sent < 100 << 20, "{line}");
}
