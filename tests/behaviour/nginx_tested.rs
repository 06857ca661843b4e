//! `nginx -t` beside the real one: the same exit code, and the same sentences in the same order on standard error.
//!
//! Needs Debian's nginx (1.22); without one there is nothing to compare with, which is said. The files of
//! `goldens/nginx_tested` hold pieces of configurations by the block they stand in, one a line; what is wrong with a piece
//! is what nginx says of it. A test binds no port for good: what is in use is nothing to either when it only tests.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::nginx;

fn said(program: &Path, folder: &Path, more: &[&str]) -> (Option<i32>, Vec<String>) {
    let pid = format!("pid {}/pid;", folder.display());
    let output = Command::new(program)
        .args(["-t", "-e", "stderr", "-p"])
        .arg(folder)
        .args(["-c", "nginx.conf", "-g", &pid])
        .args(more)
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
    difference_with(nginx, text, &[])
}

fn difference_with(nginx: &Path, text: &str, more: &[&str]) -> Option<String> {
    let folder = TempDir::new().unwrap();
    let own = folder.path().join("nginx");
    symlink(env!("CARGO_BIN_EXE_hubgate"), &own).unwrap();
    fs::write(folder.path().join("nginx.conf"), text).unwrap();
    let theirs = said(nginx, folder.path(), more);
    let ours = said(&own, folder.path(), more);
    (theirs != ours).then(|| format!("{text}\n  nginx:   {theirs:?}\n  hubgate: {ours:?}\n"))
}

/// Compares the pieces of a file, one a line.
fn compare(pieces: &str, around: impl Fn(&str) -> String) {
    let Some(nginx) = nginx::program() else {
        return;
    };
    let pieces = pieces.lines();
    let different: Vec<_> = { pieces.clone() }
        .filter_map(|piece| difference(nginx, &around(piece)))
        .collect();
    assert!(
        different.is_empty(),
        "{} of {}:\n{}",
        different.len(),
        pieces.count(),
        different.concat()
    );
}

#[test]
fn pieces_of_the_main_context_and_of_events_are_taken_or_refused_as_by_nginx() {
    let main = include_str!("../goldens/nginx_tested/main.txt");
    compare(main, |piece| format!("{piece}\nevents {{ }}\n"));
    let events = include_str!("../goldens/nginx_tested/events.txt");
    compare(events, |piece| format!("events {{\n{piece}\n}}\n"));
}

#[test]
fn pieces_of_http_are_taken_or_refused_as_by_nginx() {
    let http = include_str!("../goldens/nginx_tested/http.txt");
    compare(http, |piece| {
        format!("events {{ }}\nhttp {{\n{piece}\n}}\n")
    });
}

#[test]
fn listens_of_servers_are_taken_or_refused_as_by_nginx() {
    let listen = include_str!("../goldens/nginx_tested/listen.txt");
    compare(listen, |piece| {
        format!("events {{ }}\nhttp {{\nserver {{\n{piece}\n}}\n}}\n")
    });
}

#[test]
fn pieces_of_a_server_are_taken_or_refused_as_by_nginx() {
    let server = include_str!("../goldens/nginx_tested/server.txt");
    compare(server, |piece| {
        format!("events {{ }}\nhttp {{\nserver {{\nlisten 127.0.0.1:18999;\n{piece}\n}}\n}}\n")
    });
}

#[test]
fn pieces_of_a_location_are_taken_or_refused_as_by_nginx() {
    let location = include_str!("../goldens/nginx_tested/location.txt");
    compare(location, |piece| {
        format!(
            "events {{ }}\nhttp {{\nserver {{\nlisten 127.0.0.1:18999;\nlocation /l {{\n{piece}\n}}\n}}\n}}\n"
        )
    });
}

#[test]
fn pieces_of_streams_are_taken_or_refused_as_by_nginx() {
    let module = Path::new("/usr/lib/nginx/modules/ngx_stream_module.so");
    if !module.exists() {
        return;
    }
    let stream = include_str!("../goldens/nginx_tested/stream.txt");
    compare(stream, |piece| {
        let module = module.display();
        format!("load_module {module};\nevents {{ }}\nstream {{\n{piece}\n}}\n")
    });
}

#[test]
fn files_as_a_whole_are_taken_or_refused_as_by_nginx() {
    let Some(nginx) = nginx::program() else {
        return;
    };
    let module = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;";
    let has_module = Path::new("/usr/lib/nginx/modules/ngx_stream_module.so").exists();
    let listens = |count: u16| {
        let all = (0..count).map(|more| format!("listen 127.0.0.1:{};\n", 18_990 + more));
        format!("http {{ server {{ {} }} }}\n", all.collect::<String>())
    };
    let few = |most: u16, more: &str| format!("events {{ worker_connections {most}; }}\n{more}");
    let mut files = vec![
        few(0, "http { }"),
        few(1, &listens(1)),
        few(2, &listens(1)),
        few(2, &listens(2)),
        few(3, &listens(2)),
        few(
            2,
            "http { server { listen 18990; listen 127.0.0.1:18990; } }",
        ),
        few(
            2,
            "http { server { listen 18990; } server { listen 127.0.0.1:18990 bind; } }",
        ),
        // Whose end a block is told at.
        "events { }\nhttp {\nsplit_clients $uri $a {\n* a;\n10% b;\n\n}\n}\n".to_owned(),
        "events { }\nhttp {\nupstream a {\n\n}\n}\n".to_owned(),
        "events { }\nhttp {\ngeo $a {\nranges;\n1.0.0.0-1.0.1.0 a;\n1.0.0.9-1.0.1.9 b;\n}\n}\n"
            .to_owned(),
        "events { }\nhttp {\ngeo $a {\n1.0.0.0/8 a;\ndelete 1.0.0.0/8;\ndelete 1.0.0.0/8;\n}\n}\n"
            .to_owned(),
        "events { }\nhttp {\nserver {\nlisten 127.0.0.1:18990;\nssl\non;\n}\n}\n".to_owned(),
    ];
    if has_module {
        files.extend([
            format!("events {{ }}\n{module}\n"),
            format!("{module}\n{module}\nevents {{ }}\n"),
            format!("http {{ }}\n{module}\nevents {{ }}\n"),
            format!("worker_processes 1;\n{module}\nevents {{ }}\n"),
        ]);
    }
    let different: Vec<_> = files
        .iter()
        .filter_map(|file| difference(nginx, file))
        .collect();
    assert!(different.is_empty(), "{}", different.concat());
}

#[test]
fn what_is_tried_beside_reading_fails_as_with_nginx() {
    let Some(nginx) = nginx::program() else {
        return;
    };
    let serves = "events { }\nhttp { server { listen 127.0.0.1:18999; } }\n";
    for (text, more) in [
        (String::new(), &[][..]),
        (format!("access {serves}"), &[]),
        (format!("error_log /nosuch/e.log;\n{serves}"), &[]),
        (
            serves.replace("http {", "http { access_log /nosuch/a.log;"),
            &[],
        ),
        (serves.replace("http {", "http { access_log a.log;"), &[]),
        (serves.replace("127.0.0.1", "203.0.113.9"), &[]),
        (serves.to_owned(), &["-g", "pid /nosuch/x.pid;"]),
        (serves.to_owned(), &["-s", "quit"]),
        (serves.to_owned(), &["-c", "nosuch.conf"]),
        (serves.to_owned(), &["-c", "."]),
    ] {
        let different = difference_with(nginx, &text, more);
        assert_eq!(different, None, "{more:?}");
    }
}

#[test]
fn certificates_and_what_goes_with_them_are_refused_in_openssls_words() {
    let Some(nginx) = nginx::program() else {
        return;
    };
    let files = TempDir::new().unwrap();
    let path = |name: &str| files.path().join(name);
    for name in ["a", "b"] {
        let own = rcgen::generate_simple_self_signed([format!("{name}.test")]).unwrap();
        fs::write(path(&format!("{name}.pem")), own.cert.pem()).unwrap();
        let key = own.signing_key.serialize_pem();
        fs::write(path(&format!("{name}.key")), key).unwrap();
    }
    fs::write(path("text"), "no PEM\n").unwrap();
    fs::write(path("empty"), "").unwrap();
    let own = "ssl_certificate F/a.pem; ssl_certificate_key F/a.key;";
    let mut different = Vec::new();
    for piece in [
        own,
        "ssl_certificate F/a.pem;",
        "ssl_certificate_key F/a.key;",
        "ssl_certificate F/a.pem; ssl_certificate_key F/b.key;",
        "ssl_certificate F/text; ssl_certificate_key F/a.key;",
        "ssl_certificate F/empty; ssl_certificate_key F/a.key;",
        "ssl_certificate F/a.pem; ssl_certificate_key F/text;",
        "ssl_certificate F/a.key; ssl_certificate_key F/a.key;",
        "ssl_certificate F; ssl_certificate_key F/a.key;",
        "ssl_certificate F/none; ssl_certificate_key F/a.key;",
        "ssl_certificate F/a.pem; ssl_certificate_key F/none;",
        "OWN ssl_certificate F/b.pem;",
        "OWN ssl_verify_client on;",
        "OWN ssl_verify_client on; ssl_client_certificate F/a.pem;",
        "OWN ssl_verify_client on; ssl_client_certificate F/text;",
        "OWN ssl_verify_client on; ssl_client_certificate F/none;",
        "OWN ssl_verify_client off; ssl_client_certificate F/none;",
        "OWN ssl_trusted_certificate F/none;",
        "OWN ssl_trusted_certificate F/empty;",
        "OWN ssl_crl F/text;",
        "OWN ssl_crl F/none;",
        "OWN ssl_dhparam F/text;",
        "OWN ssl_dhparam F/none;",
        "OWN ssl_password_file F/none;",
        "ssl on;",
        "ssl on; ssl_certificate F/a.pem;",
        "ssl on; OWN",
        "OWN ssl_stapling on;",
        "OWN ssl_stapling on; ssl_trusted_certificate F/a.pem;",
        "OWN ssl_stapling on; ssl_stapling_responder http://127.0.0.1:1/;",
        "OWN ssl_stapling on; ssl_stapling_file F/none;",
        "OWN location / { proxy_pass https://127.0.0.1:1; proxy_ssl_certificate F/a.pem; }",
        "OWN location / { proxy_pass https://127.0.0.1:1; proxy_ssl_verify on; }",
        "OWN location / { proxy_pass http://127.0.0.1:1; proxy_ssl_verify on; }",
    ] {
        let piece = piece.replace("OWN", own);
        let piece = piece.replace('F', &files.path().display().to_string());
        for tls in [" ssl", ""] {
            let text = format!(
                "events {{ }}\nhttp {{\nserver {{\nlisten 127.0.0.1:18999{tls};\n{piece}\n}}\n}}\n"
            );
            different.extend(difference(nginx, &text));
        }
    }
    let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
    for piece in [
        own,
        "ssl_certificate F/a.pem;",
        "ssl_certificate_key F/a.key;",
        "ssl_certificate F/none; ssl_certificate_key F/a.key;",
        "ssl_certificate $nosuch; ssl_certificate_key F/a.key;",
        "ssl_certificate $nosuch;",
        "OWN ssl_verify_client on;",
        "OWN ssl_verify_client optional;",
        "OWN ssl_verify_client optional_no_ca;",
        "OWN ssl_verify_client on; ssl_client_certificate F/a.pem;",
    ] {
        let piece = piece.replace("OWN", own);
        let piece = piece.replace('F', &files.path().display().to_string());
        for tls in [" ssl", ""] {
            let text = format!(
                "load_module {module};\nevents {{ }}\nstream {{\nserver {{\nlisten 127.0.0.1:18999{tls};\n{piece}\nreturn a;\n}}\n}}\n"
            );
            let known = Path::new(module).exists();
            different.extend(known.then(|| difference(nginx, &text)).flatten());
        }
    }
    assert!(different.is_empty(), "{}", different.concat());
}
