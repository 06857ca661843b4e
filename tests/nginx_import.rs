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
use hubgate::nginx::import::{Fate, Imported, import, import_as};
use hubgate::nginx::{Asked, Memory, Options, read};

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

/// What an import says of each directive of these, and the TOML.
fn acme(issuers: &str, servers: &str) -> (BTreeMap<String, (Fate, String)>, String) {
    let text = format!("events {{}} http {{ {issuers} {servers} }}");
    let imported = import_of(&text);
    loads(&imported.toml);
    let lines = imported.report.lines.into_iter();
    let lines = lines.map(|line| (line.directive, (line.fate, line.text)));
    (lines.collect(), imported.toml)
}

const ORDERED: &str =
    "ssl_certificate $acme_certificate; ssl_certificate_key $acme_certificate_key;";

#[test]
fn an_authority_of_nginx_acmes_is_asked_by_hubgate() {
    let issuer = "acme_issuer le { uri https://ca.example.org/dir; contact mailto:ops@example.org; contact b@example.org;
        challenge tls-alpn; profile shortlived require; external_account_key kid eab.key; ssl_trusted_certificate ca.pem;
        account_key ecdsa:384; accept_terms_of_service; state_path /var/lib/le; ssl_verify on; }
        acme_issuer unused { uri https://other.example.org/dir; } acme_shared_zone zone=z:1M;";
    let server = format!(
        "server {{ listen 443 ssl; server_name a.example.org; acme_certificate le key=ecdsa:256; {ORDERED} ssl_certificate_cache max=2; }}"
    );
    let (lines, toml) = acme(issuer, &server);
    let lost: Vec<_> = { lines.iter() }
        .filter(|(_, (fate, _))| *fate == Fate::Lost)
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    for line in [
        "[acme]\n",
        "name = \"le\"",
        "directory = \"https://ca.example.org/dir\"",
        "contact = [\"ops@example.org\", \"b@example.org\"]",
        "challenge = \"tls-alpn-01\"",
        "profile = \"shortlived\"",
        "profile_required = true",
        "eab_key_id = \"kid\"",
        "eab_hmac_file = \"/etc/nginx/eab.key\"",
        "ca_file = \"/etc/nginx/ca.pem\"",
        "certificate = \"acme\"",
    ] {
        assert!(toml.contains(line), "{line} in {toml}");
    }
    assert_eq!(lines["acme_issuer unused"].0, Fate::NotNeeded);
}

#[test]
fn what_nginx_acme_does_and_hubgate_does_not_is_told_as_lost() {
    for (word, more) in [
        ("ssl_verify off", ""),
        ("preferred_chain X", ""),
        ("account_key /etc/account.key", ""),
        ("external_account_key kid data:c2VjcmV0", ""),
        ("contact tel:1", ""),
        ("challenge dns-persist-01", ""),
        ("frob on", ""),
        ("acme_certificate le key=rsa:4096", "key=rsa:4096"),
    ] {
        let own = if more.is_empty() {
            format!("{word};")
        } else {
            String::new()
        };
        let issuer = format!("acme_issuer le {{ uri https://ca.example.org/dir; {own} }}");
        let server = format!(
            "server {{ listen 443 ssl; server_name a.example.org; acme_certificate le {more}; {ORDERED} }}"
        );
        let (lines, _) = acme(&issuer, &server);
        assert_eq!(lines[word].0, Fate::Lost, "{word}");
    }
}

#[test]
fn authorities_of_several_servers_are_asked_in_the_servers_order_and_that_is_told() {
    let issuers = "acme_issuer a { uri https://a.example.org/dir; } acme_issuer b { uri https://b.example.org/dir; }
        acme_issuer twin { uri https://b.example.org/dir; } acme_issuer plain { uri http://c.example.org/dir; }";
    let of = |name: &str, issuer: &str| {
        format!(
            "server {{ listen 443 ssl; server_name {name}; acme_certificate {issuer}; {ORDERED} }}"
        )
    };
    let servers = ["b", "a", "twin", "plain"].map(|issuer| of(&format!("{issuer}.test"), issuer));
    let (lines, toml) = acme(issuers, &servers.concat());
    let first = toml.find("https://b.example.org/dir").unwrap();
    assert!(
        first < toml.find("https://a.example.org/dir").unwrap(),
        "{toml}"
    );
    assert_eq!(toml.matches("[[acme.ca]]").count(), 2, "{toml}");
    let fates = ["b", "a", "twin", "plain"].map(|one| lines[&format!("acme_certificate {one}")].0);
    assert_eq!(fates, [Fate::Carried, Fate::Lost, Fate::Lost, Fate::Lost]);
    let fates = ["twin", "plain"].map(|one| lines[&format!("acme_issuer {one}")].0);
    assert_eq!(fates, [Fate::Lost, Fate::Lost]);
}

#[test]
fn names_that_only_the_certificate_has_are_hosts_of_its_site() {
    let issuer = "acme_issuer le { uri https://ca.example.org/dir; }";
    let server = |names: &str, ordered: &str| {
        format!("server {{ listen 443 ssl; {names} acme_certificate le {ordered}; {ORDERED} }}")
    };
    let servers = [
        server("", "a.test B.test"),
        server("server_name b.test;", ""),
    ];
    let (_, toml) = acme(issuer, &servers.concat());
    assert!(toml.contains("hosts = [\"\", \"a.test\"]"), "{toml}");
    assert!(toml.contains("[site.\"b.test\"]"), "{toml}");
}

#[test]
fn what_certbot_looks_after_is_hubgates_where_it_is_kept_and_certbots_where_it_is_run() {
    let text = "events {} http { server { listen 443 ssl; server_name a.test;
        ssl_certificate /etc/letsencrypt/live/a.test/fullchain.pem; ssl_certificate_key /etc/letsencrypt/live/a.test/privkey.pem; } }";
    let kept = import_of(text);
    assert!(
        kept.toml.contains("certificate = \"acme\""),
        "{}",
        kept.toml
    );
    let advice = kept.report.advice.iter();
    let advice: Vec<_> = advice.map(|(_, text)| text.as_str()).collect();
    assert!(
        matches!(advice.as_slice(), [one] if one.contains("`hubgate certs import /etc/letsencrypt`")),
        "{advice:?}"
    );
    let file = PathBuf::from("/etc/nginx/nginx.conf");
    let files = Memory(BTreeMap::from([(file.clone(), text.as_bytes().to_vec())]));
    let options = Options {
        globals: String::new(),
        keep_unknown: true,
    };
    let tree = read(&files, &file, &options).unwrap();
    let run = import_as(&tree, &Asked::of(&file));
    let chain = "chain = \"/etc/letsencrypt/live/a.test/fullchain.pem\"";
    assert!(run.toml.contains(chain), "{}", run.toml);
}
