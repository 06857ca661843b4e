//! Configurations are read and refused as the real nginx reads and refuses them, word for word.
//!
//! Generated files and mutilated ones, each given to `nginx -t` and to our reader. Needs Debian's nginx (1.22); without
//! one there is nothing to compare with, which is said.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it did not do"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use fastrand::Rng;
use hubgate::nginx::table::{Context, FAMILIES, Rule};
use hubgate::nginx::{Disk, Options, read};

const FILES: u64 = 400;

/// Sentences that do not depend on what a directive is about.
const SYNTAX: &[&str] = &[
    "unexpected ",
    "unknown directive ",
    " directive is not allowed here",
    "invalid number of arguments in ",
    " is not terminated by ",
    " has no opening ",
    "too long parameter",
    "it must be \"on\" or \"off\"",
    "invalid number of the map parameters",
    "invalid number of the geo parameters",
    "invalid percent value ",
    " is outside location ",
    "cannot be inside the ",
    "can be on the server level only",
    "invalid location modifier ",
    "cannot have URI part in location",
    "invalid URL prefix",
    "invalid return code ",
];

/// Directives that load code, that only one block may be, or whose modules Debian's nginx has not built in.
const LEFT_OUT: &[&str] = &[
    "load_module",
    "stream",
    "mail",
    "http",
    "events",
    "user",
    "xslt",
    "xml",
    "image_filter",
    "perl",
    "geoip",
    "aio",
];

fn nginx() -> Option<&'static str> {
    let found = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    if found.is_none() {
        eprintln!("no nginx here: nothing to compare with");
    }
    found
}

/// What nginx says: its first complaint without what is about the process.
fn theirs(nginx: &str, folder: &Path) -> Option<String> {
    let output = Command::new(nginx)
        .args(["-t", "-q", "-e", "stderr", "-p"])
        .arg(folder)
        .arg("-c")
        .arg(folder.join("nginx.conf"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return None;
    }
    let line = text
        .lines()
        .find(|line| line.contains("[emerg]") || line.contains("[crit]"));
    let line = line.unwrap_or(&text);
    Some(match line.split_once(": ") {
        Some((_, sentence)) => sentence.to_owned(),
        None => line.to_owned(),
    })
}

fn ours(folder: &Path) -> Option<String> {
    let options = Options {
        globals: String::new(),
        keep_unknown: false,
    };
    let read = read(&Disk, &folder.join("nginx.conf"), &options);
    // A word of several lines is cut as in the other's output.
    let sentence = read.err().map(|refused| refused.0.to_string())?;
    sentence.lines().next().map(str::to_owned)
}

/// The line a sentence ends with.
fn line_of(sentence: &str) -> u64 {
    let line = sentence
        .rsplit(':')
        .next()
        .and_then(|line| line.parse().ok());
    line.unwrap_or(u64::MAX)
}

fn is_syntax(sentence: &str) -> bool {
    SYNTAX.iter().any(|syntax| sentence.contains(syntax)) && !sentence.contains("\" in condition")
}

fn compare(nginx: &str, text: &[u8], seed: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("nginx.conf"), text).unwrap();
    fs::write(folder.path().join("extra"), "sendfile on;\n").unwrap();
    let (theirs, ours) = (theirs(nginx, folder.path()), ours(folder.path()));
    let same = match (&theirs, &ours) {
        (Some(theirs), Some(ours)) if is_syntax(theirs) => theirs == ours,
        // What nginx knows of values is more than syntax; it may stop earlier, never later.
        (Some(theirs), Some(ours)) => theirs == ours || line_of(theirs) <= line_of(ours),
        (Some(theirs), None) => !is_syntax(theirs),
        (None, ours) => ours.is_none(),
    };
    assert!(
        same,
        "seed {seed}\nnginx: {theirs:?}\nours:  {ours:?}\n{}",
        String::from_utf8_lossy(text)
    );
    theirs.is_none()
}

/// A configuration of directives of the table, most of them where they belong.
fn generated(random: &mut Rng) -> String {
    let rules: Vec<&Rule> = FAMILIES
        .iter()
        .filter(|family| !matches!(family.title, "Streams" | "Mail"))
        .flat_map(|family| family.rules)
        .filter(|rule| !LEFT_OUT.iter().any(|name| rule.name.starts_with(name)))
        .collect();
    let mut out = String::from("events {}\nhttp {\n");
    block(&mut out, random, &rules, Context::Http, 0);
    out.push_str("}\n");
    out
}

fn block(out: &mut String, random: &mut Rng, rules: &[&Rule], context: Context, depth: usize) {
    for _ in 0..random.usize(1..6) {
        let rule = rules[random.usize(..rules.len())];
        let belongs = rule.contexts.has(context);
        if (!belongs && random.u8(..) > 8) || (belongs && rule.block && depth > 3) {
            continue;
        }
        out.push_str(rule.name);
        let words: Vec<usize> = (0..5).filter(|count| rule.arity.takes(*count)).collect();
        let count = match (words.is_empty(), random.u8(..) < 5) {
            (false, false) => words[random.usize(..words.len())],
            _ => random.usize(..7),
        };
        for _ in 0..count {
            write!(out, " {}", word(random)).unwrap();
        }
        let inner = match rule.name {
            "server" if context == Context::Http => Some(Context::Server),
            "location" => Some(Context::Location),
            "limit_except" => Some(Context::LimitExcept),
            "if" if context == Context::Server => Some(Context::ServerIf),
            "if" => Some(Context::LocationIf),
            _ => None,
        };
        let opens = rule.block != (random.u8(..) < 2);
        match (opens, inner) {
            (true, Some(inner)) => {
                out.push_str(" {\n");
                block(out, random, rules, inner, depth + 1);
                out.push_str("}\n");
            }
            (true, None) => out.push_str(" { }\n"),
            (false, _) => out.push_str(";\n"),
        }
    }
}

fn word(random: &mut Rng) -> &'static str {
    let words = [
        "on",
        "off",
        "1",
        "8k",
        "10s",
        "/a",
        "a",
        "\"b c\"",
        "'d'",
        "$uri",
        "${host}x",
        "\\;",
        "1g",
        "2",
        "1d 2h",
        "\"1d 2h\"",
        "4 8k",
        "=",
        "~",
        "^~",
        "*",
        "80",
        "default",
        "GET",
        "http://127.0.0.1:1",
    ];
    words[random.usize(..words.len())]
}

/// A good configuration with a few bytes changed.
fn mutilated(random: &mut Rng) -> Vec<u8> {
    let mut text = GOOD.as_bytes().to_vec();
    let junk: &[u8] = b";{}\"'\\#$ \n\t\rab)(\xff\0";
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..text.len());
        let byte = junk[random.usize(..junk.len())];
        match random.u8(..4) {
            0 => {
                text.remove(at);
            }
            1 => text.insert(at, byte),
            2 => text[at] = byte,
            _ => text.truncate(at.max(1)),
        }
    }
    text
}

const GOOD: &str = r#"
worker_processes 1; # one
events { worker_connections 64; }
http {
    include extra;
    types { text/html html htm; image/png png; }
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    geo $inside { default 0; 10.0.0.0/8 1; }
    split_clients "${remote_addr}x" $variant { 50% a; * b; }
    log_format one '$remote_addr "$request" ' "$status";
    upstream hub { server 127.0.0.1:1 weight=2; keepalive 4; }
    server {
        listen 127.0.0.1:18999;
        server_name a.example.org *.b.example.org "~^c\d+$";
        client_max_body_size 10m;
        if ($host = "x") { return 301 https://y$request_uri; }
        location / { proxy_pass http://hub; proxy_set_header Host $host; proxy_read_timeout '1m 30s'; }
        location ~* \.(png|css)$ { expires 30d; root /srv; }
        location ^~ /x/ { rewrite ^/x/(.*)$ /y/$1 last; location /x/y { return 204; } }
        location = /z { limit_except GET { deny all; } return 200 "z\n"; }
    }
}
"#;

#[test]
fn generated_files_are_refused_with_the_same_words() {
    let Some(nginx) = nginx() else { return };
    let mut accepted = 0;
    for seed in 0..FILES {
        let text = generated(&mut Rng::with_seed(seed));
        accepted += usize::from(compare(nginx, text.as_bytes(), seed));
    }
    assert!(accepted > 5, "of {FILES} nginx accepts only {accepted}");
}

#[test]
fn mutilated_files_are_refused_with_the_same_words() {
    let Some(nginx) = nginx() else { return };
    assert!(compare(nginx, GOOD.as_bytes(), 0), "the good one is good");
    for seed in 0..FILES {
        compare(nginx, &mutilated(&mut Rng::with_seed(seed)), seed);
    }
}

#[test]
fn words_near_the_windows_end_are_refused_with_the_same_words() {
    let Some(nginx) = nginx() else { return };
    for seed in 0..60 {
        let mut random = Rng::with_seed(seed);
        let before = "#".repeat(random.usize(..5000)) + "\n";
        let long = "x".repeat(random.usize(4080..4110));
        let quote = ["", "\"", "'"][random.usize(..3)];
        let text = format!("{before}events {{}} env {quote}{long}{quote};\n");
        compare(nginx, text.as_bytes(), seed);
    }
}

#[test]
fn what_only_several_directives_together_get_wrong_is_refused_in_nginxs_words() {
    let Some(nginx) = nginx() else { return };
    let at = "listen 127.0.0.1:18999;";
    for http in [
        "server { location /a { } location /a { } }",
        "server { location /a { } location ^~ /a { } }",
        "server { location = /a { } location /a { } }",
        "server { location @a { } location @a { } }",
        "server { location /a { location /a/b { } location /a/b { } } }",
        "server { location @a { alias /x; } }",
        "upstream a { server 1.1.1.1; } upstream a { server 1.1.1.1; }",
        "upstream a { }",
        "upstream a { server 1.1.1.1; keepalive 0; }",
        "upstream a { server 1.1.1.1:80; } server { location / { proxy_pass http://a:81; } }",
        "upstream a { server 1.1.1.1:80; } server { location / { proxy_pass http://a/b:81; } }",
        "server { allow 10.0.0.0/33; }",
        "server { location / { deny 2001:db8::/129; } }",
        "server { limit_req zone=nosuch; }",
        "server { location / { limit_conn nosuch 1; } }",
        "limit_conn_zone $uri zone=one:1m; server { limit_conn one 1; }",
        "access_log /dev/null nosuch;",
        "access_log /dev/null combined;",
        "log_format own a; server { location / { access_log /dev/null own; } }",
        "error_log stderr nosuch;",
        "map $uri $x { a 1; a 2; }",
        "map $uri $x { a 1; A 2; }",
        "map $uri $x { ~a 1; ~a 2; }",
        "map $uri $x { default 1; default 2; }",
        "server { listen 127.0.0.1:18998 ssl; }",
        "server { listen 127.0.0.1:18998 ssl; ssl_reject_handshake on; }",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        // Servers that say no address would want port 80.
        let http = match http.contains("18998") {
            true => http.to_owned(),
            false => http.replace("server { ", &format!("server {{ {at} ")),
        };
        let text = format!(
            "pid {}/pid;\nevents {{ }}\nhttp {{\n{http}\n}}\n",
            own.display()
        );
        fs::create_dir(&own).unwrap();
        fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let theirs = theirs(nginx, folder.path());
        assert_eq!(ours(folder.path()), theirs, "{http}");
    }
}
