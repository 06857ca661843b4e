//! Imports of configurations in the shapes people have, kept with their reports beside them.
//!
//! Each folder of `tests/goldens/nginx` holds an `/etc/nginx`; `hubgate.toml` and `report.txt` in it are what comes of it.
//! `HUBGATE_BLESS=1` writes both anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hubgate::config::{Source, parse};
use hubgate::nginx::import::{Fate, Imported, import};
use hubgate::nginx::{Memory, Options, read};

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/nginx")
}

/// The files of a folder, as if it were `/etc/nginx`.
fn files(folder: &Path) -> Memory {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(here) = folders.pop() {
        for entry in fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = Path::new("/etc/nginx").join(path.strip_prefix(folder).unwrap());
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    Memory(found)
}

fn imported(files: &Memory) -> Imported {
    let options = Options {
        globals: String::new(),
        keep_unknown: true,
    };
    let tree = read(files, Path::new("/etc/nginx/nginx.conf"), &options)
        .unwrap_or_else(|refused| panic!("{}", refused.0));
    import(&tree)
}

fn import_of(text: &str) -> Imported {
    let file = (
        PathBuf::from("/etc/nginx/nginx.conf"),
        text.as_bytes().to_vec(),
    );
    imported(&Memory(BTreeMap::from([file])))
}

fn loads(toml: &str) {
    if let Err(report) = parse(&Source::new("imported", "/", toml)) {
        panic!("{report}\n{toml}");
    }
}

#[test]
fn each_shape_gives_the_configuration_and_the_report_that_are_kept() {
    let mut shapes: Vec<_> = fs::read_dir(goldens())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    shapes.sort();
    assert_eq!(shapes.len(), 6);
    for shape in shapes {
        let Imported { toml, report } = imported(&files(&shape));
        loads(&toml);
        for (name, fresh) in [("hubgate.toml", toml), ("report.txt", report.render())] {
            let path = shape.join(name);
            if std::env::var_os("HUBGATE_BLESS").is_some() {
                fs::write(&path, &fresh).unwrap();
            }
            let kept = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(
                kept,
                fresh,
                "{}: HUBGATE_BLESS=1 writes it anew",
                path.display()
            );
        }
    }
}

#[test]
fn the_edge_that_only_passes_ports_on_loses_nothing() {
    let report = imported(&files(&goldens().join("tcpconf"))).report;
    let mut lines = report.lines.iter();
    let lost = lines.any(|line| line.fate == Fate::Lost);
    assert!(!lost, "{}", report.render());
}

#[test]
fn the_faults_of_the_hand_written_edge_are_told_as_advice() {
    let report = imported(&files(&goldens().join("seed"))).report;
    let advice: String = report
        .advice
        .iter()
        .map(|(_, text)| format!("{text}\n"))
        .collect();
    for fault in [
        "proxy_buffering",
        "client_max_body_size",
        "decoded target",
        "dropped the port",
        "X-Scheme",
        "X-Real-IP",
        "8 KiB",
        "60 s",
    ] {
        assert!(advice.contains(fault), "{fault}: {advice}");
    }
}

#[test]
fn every_directive_has_one_line_in_the_report() {
    let report = import_of("events { worker_connections 9; }\nhttp { server { listen 80; location / { return 204; } } }").report;
    let shown: Vec<_> = report.lines.iter().map(|line| &*line.directive).collect();
    assert_eq!(
        shown,
        [
            "events",
            "worker_connections 9",
            "http",
            "server",
            "listen 80",
            "location /",
            "return 204"
        ]
    );
}

#[test]
fn names_that_toml_would_misread_are_quoted() {
    let text = "events {} http { upstream \"a.b\\\"c\" { server 127.0.0.1:1; } server { server_name x.example.org; location \"/a\\\"b/\" { proxy_pass http://127.0.0.1:2; } location / { proxy_pass http://a.b\"c; } } }";
    loads(&import_of(text).toml);
}

#[test]
fn an_upstream_that_hubgate_cannot_reach_is_lost_and_what_is_left_loads() {
    let imported = import_of(
        "events {} http { server { server_name x.example.org; location /a/ { proxy_pass http://unix:app.sock:/; } } }",
    );
    loads(&imported.toml);
    assert!(imported.report.lost() > 0);
    assert!(
        imported
            .report
            .render()
            .contains("`unix:app.sock` is neither an address nor a name")
    );
}

#[test]
fn a_server_that_an_upstream_names_twice_has_both_shares() {
    let made = import_of(
        "events {} http { upstream u { server 10.0.0.1:80; server 10.0.0.2:80; server 10.0.0.1:80 weight=3; \
         server 10.0.0.1:80 backup; } server { location / { proxy_pass http://u; } } }",
    );
    loads(&made.toml);
    assert!(
        made.toml.contains(
            "endpoints = [{ address = \"10.0.0.1:80\", weight = 4, times = 3 }, \"10.0.0.2:80\"]"
        ),
        "{}",
        made.toml
    );
}

#[test]
fn names_of_upstreams_and_who_is_asked_for_a_certificate_are_carried() {
    let imported = import_of(
        "events {} http { resolver 10.0.0.2 [fd00::2]:5353 valid=30s ipv6=off; upstream u { server app.internal; server b.internal:81 weight=2; } server { listen 443 ssl; server_name x.example.org; ssl_certificate c.pem; ssl_certificate_key k.pem; ssl_verify_client optional; ssl_client_certificate ca.pem; location / { proxy_pass http://u; } location /a/ { proxy_pass http://c.internal:8080; } } }",
    );
    loads(&imported.toml);
    assert_eq!(imported.report.lost(), 0, "{}", imported.report.render());
    for part in [
        "\"app.internal:80\"",
        "{ address = \"b.internal:81\", weight = 2 }",
        "[\"c.internal:8080\"]",
        "client_certificate = { mode = \"optional\", ca_file = \"/etc/nginx/ca.pem\", depth = 1 }",
        "servers = [\"10.0.0.2\", \"[fd00::2]:5353\"]",
    ] {
        assert!(imported.toml.contains(part), "{part} in\n{}", imported.toml);
    }
}

#[test]
fn a_field_that_frames_is_lost_only_where_it_would_say_something_else() {
    let lost = |directive: &str| {
        let made = import_of(&format!(
            "events {{}} http {{ server {{ location / {{ {directive} proxy_pass http://127.0.0.1:1; }} }} }}"
        ));
        loads(&made.toml);
        made.report.lost()
    };
    for (directive, want) in [
        ("add_header Content-Length 0;", 0),
        ("add_header Content-Length 5;", 1),
        ("proxy_set_header Content-Length \"\";", 0),
        ("proxy_set_header Transfer-Encoding \"\";", 0),
        ("proxy_set_header Content-Length 5;", 1),
    ] {
        assert_eq!(lost(directive), want, "{directive}");
    }
}

#[test]
fn a_folder_by_a_variable_that_an_answer_sets_too_is_not_taken_for_a_constant() {
    let text = |more: &str| {
        format!(
            "events {{}} http {{ server {{ listen 80; set $base /srv/www; {more}
                location / {{ root $base/public; }}
                location = /asked {{ internal; return 204; }} }} }}"
        )
    };
    let constant = import_of(&text(""));
    assert!(
        constant.toml.contains("/srv/www/public"),
        "{}",
        constant.toml
    );
    let set = "auth_request /asked; auth_request_set $base $upstream_http_x_base;";
    let varying = import_of(&text(set));
    assert!(
        !varying.toml.contains("/srv/www/public"),
        "{}",
        varying.toml
    );
}
