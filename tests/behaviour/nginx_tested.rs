//! `nginx -t` beside the real one: the same exit code, and the same sentences in the same order on standard error.
//!
//! Needs Debian's nginx (1.22); without one there is nothing to compare with, which is said. The tables hold pieces of
//! configurations by the block they stand in; what is wrong with a piece is what nginx says of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::nginx;
use crate::support::ports::free_addr;

/// Pieces of `server`.
const SERVER: &[&str] = &[
    // Variables.
    "root /a$;",
    "root $nosuch;",
    "return 200 $nosuch;",
    "return 200 \"${a\";",
    "return 200 \"$-\";",
    "error_page 404 /$nosuch;",
    "set a b;",
    "set $ b;",
    "set $host a;",
    "set $status 1;",
    "set $http_x 1;",
    "set $a $memcached_key;",
    "set $memcached_key $uri; return 200 $memcached_key;",
    "set $a $geoip_country_code;",
    "set $a $brotli_ratio;",
    "set $a $http_x$sent_http_y$arg_z$cookie_q$upstream_http_w;",
    "return 200 $later; set $later 1;",
    "if ($nosuch) { }",
    "if ($host ~ (?<part>a)) { return 200 $part; }",
    "access_log /tmp/$nosuch;",
    "add_header a $nosuch;",
    "location / { proxy_set_header a $nosuch; }",
    "location / { proxy_pass http://$nosuch; }",
    "location ~ ^/(?<part>.*) { return 200 $part; }",
    // Where requests go.
    "location / { proxy_pass http://127.0.0.1:70000; }",
    "location / { proxy_pass http://127.0.0.1:0; }",
    "location / { proxy_pass http://[::1; }",
    "location / { proxy_pass http://[zz]:1; }",
    "location / { proxy_pass http://unix:; }",
    "location / { grpc_pass grpc://127.0.0.1:x; }",
    "location / { proxy_pass http://nosuch.invalid; }",
    "location / { proxy_pass https://nosuch.invalid:8443/x; }",
    "location / { proxy_pass http://nosuch.invalid$uri; }",
    "location / { grpc_pass nosuch.invalid:1; }",
    "location / { fastcgi_pass nosuch.invalid:1; }",
    "resolver nosuch.invalid;",
];

/// Pieces of `http`.
const HTTP: &[&str] = &[
    "",
    "log_format a $nosuch;",
    "log_format a $1;",
    "map $nosuch $a { }",
    "map $uri $a { b $nosuch; }",
    "map $uri $host { }",
    "map $uri a { }",
    "geo $nosuch $a { default 1; }",
    "split_clients $nosuch $a { * b; }",
    "limit_req_zone $nosuch zone=a:1m rate=1r/s;",
    "upstream a { server 127.0.0.1:70000; }",
    "upstream a { server http://127.0.0.1; }",
    "upstream a { server nosuch.invalid; }",
    "upstream a { server 127.0.0.1; hash $nosuch; }",
    "upstream nosuch.invalid { server 127.0.0.1; } server { listen 127.0.0.1:PORT; location / { proxy_pass http://NOSUCH.invalid; } }",
];

fn said(program: &Path, folder: &Path) -> (Option<i32>, Vec<String>) {
    let pid = format!("pid {}/pid;", folder.display());
    let output = Command::new(program)
        .args(["-t", "-e", "stderr", "-p"])
        .arg(folder)
        .args(["-c", "nginx.conf", "-g", &pid])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = text.lines().filter(|line| !line.contains("not carried"));
    let lines = lines.map(|line| match line.split_once("#") {
        // `2026/01/02 03:04:05 [emerg] 7#7: ..`
        Some((head, rest)) if head.starts_with("20") => {
            let level = head.split(['[', ']']).nth(1).unwrap_or_default();
            let sentence = rest.split_once(": ").map_or(rest, |(_, sentence)| sentence);
            format!("[{level}] {sentence}")
        }
        _ => line.to_owned(),
    });
    (output.status.code(), lines.collect())
}

/// Tests a configuration with both, and gives what differs.
fn difference(nginx: &Path, text: &str) -> Option<String> {
    let folder = TempDir::new().unwrap();
    let own = folder.path().join("nginx");
    symlink(env!("CARGO_BIN_EXE_hubgate"), &own).unwrap();
    fs::write(folder.path().join("nginx.conf"), text).unwrap();
    let (theirs, ours) = (said(nginx, folder.path()), said(&own, folder.path()));
    (theirs != ours).then(|| format!("{text}\n  nginx:   {theirs:?}\n  hubgate: {ours:?}\n"))
}

fn compare(pieces: &[&str], around: impl Fn(&str) -> String) {
    let Some(nginx) = nginx::program() else {
        return;
    };
    let port = free_addr().port().to_string();
    let texts = pieces
        .iter()
        .map(|piece| around(piece).replace("PORT", &port));
    let different: Vec<_> = { texts }
        .filter_map(|text| difference(nginx, &text))
        .collect();
    assert!(
        different.is_empty(),
        "{} of {}:\n{}",
        different.len(),
        pieces.len(),
        different.concat()
    );
}

#[test]
fn pieces_of_a_server_are_taken_or_refused_as_by_nginx() {
    compare(SERVER, |piece| {
        format!("events {{ }}\nhttp {{\nserver {{\nlisten 127.0.0.1:PORT;\n{piece}\n}}\n}}\n")
    });
}

#[test]
fn pieces_of_http_are_taken_or_refused_as_by_nginx() {
    compare(HTTP, |piece| {
        format!("events {{ }}\nhttp {{\n{piece}\n}}\n")
    });
}
