//! Which server of an nginx configuration answers: several addresses, the same names on different ports, defaults for
//! each, and hosts in every form. The real nginx and hubgate, called as `nginx`, are asked the same.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::nginx_compare::{NGINX, serve};
use crate::support::ports::free_addr;

const CONF: &str = r#"
events {}
http {
    access_log off;
    server { listen @A@; server_name a.test *.w.test; return 200 "one $host"; }
    server { listen @A@ default_server; listen @B@; server_name b.test ""; return 200 "two"; }
    server { listen @B@; server_name a.test .w.test; return 200 "three $host"; }
    server { listen @B@; server_name ~^u-(?<user>\w+)\.test$ www.a.*; return 200 "four $user"; }
    server { listen @A@; listen @B@; server_name x.w.test; return 200 "five $host"; }
    server { listen @C@; listen *:@PORT_C@; server_name _; location / { return 200 "six"; } }
    server { listen @C@; server_name e.test; return 200 "exact"; }
    server { listen @C@; server_name .e.test; return 200 "dotted"; }
    server { listen @C@; server_name .f.test; return 200 "first"; }
    server { listen @C@; server_name f.test; return 200 "second"; }
    server { listen [::]:@PORT_D@ ipv6only=off; return 200 "seven"; }
    server {
        listen @C@;
        server_name a.test;
        location = /moved { return 301 /x; }
        location /d/ { return 200 "$uri $args"; }
        location /deny { return 403; }
    }
}
"#;

/// A request's line but for its version, and its host's line.
const ASKED: &[(&str, &str)] = &[
    ("GET /", "Host: a.test"),
    ("GET /", "Host: A.Test"),
    ("GET /", "Host: a.test:99"),
    ("GET /", "Host: a.test."),
    ("GET /", "Host: x.w.test"),
    ("GET /", "Host: y.z.w.test"),
    ("GET /", "Host: w.test"),
    ("GET /", "Host: b.test"),
    ("GET /", "Host: c.test"),
    ("GET /", "Host: www.a.test"),
    ("GET /", "Host: www.a.b.c"),
    ("GET /", "Host: u-x.test"),
    ("GET /", "Host: U-X.test"),
    ("GET /", "Host: _"),
    ("GET /", "Host: a_b"),
    ("GET /", "Host: a..b"),
    ("GET /", "Host: a/b"),
    ("GET /", "Host: 192.0.2.1"),
    ("GET /", "Host: a$b:x"),
    ("GET http://a.test/d/?x", "Host: a.test"),
    ("GET /", "Host: [2001:DB8::1]:8"),
    ("GET /moved", "Host: a.test"),
    ("POST /moved", "Host: a.test"),
    ("GET /d/%2e%2e/d/a%20b?c", "Host: a.test"),
    ("GET /d/../..", "Host: a.test"),
    ("GET /", "Host: e.test"),
    ("GET /", "Host: x.e.test"),
    ("GET /", "Host: f.test"),
    ("GET /", "Host: x.f.test"),
    ("OPTIONS /nothing", "Host: a.test"),
    ("GET /nothing", "Host: a.test"),
    ("GET /deny", "Host: a.test"),
];

/// What a server says, as far as the two can agree: ports are not the same, nor are pages of errors.
fn said(at: SocketAddr, version: &str, line: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    let limit = Some(Duration::from_secs(60));
    stream.set_read_timeout(limit).unwrap();
    let host = if host.is_empty() {
        String::new()
    } else {
        format!("{host}\r\n")
    };
    let request = format!("{line} HTTP/{version}\r\n{host}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    // Whoever refuses a request may reset the connection after its answer.
    drop(stream.read_to_string(&mut answer));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or("none");
    let location = head
        .lines()
        .find_map(|line| line.strip_prefix("Location: "));
    let location = location
        .unwrap_or_default()
        .replace(&at.port().to_string(), "PORT");
    let body = if status == "200" { body } else { "" };
    format!("{status} {location}{body}")
}

/// Everything that the servers of this configuration say.
fn all(program: &Path, folder: &Path) -> Vec<String> {
    let addresses = [free_addr(), free_addr(), free_addr()];
    let mut conf = CONF.to_owned();
    for (mark, address) in ["@A@", "@B@", "@C@"].iter().zip(addresses) {
        conf = conf.replace(mark, &address.to_string());
    }
    for (mark, address) in [("@PORT_C@", addresses[2]), ("@PORT_D@", free_addr())] {
        conf = conf.replace(mark, &address.port().to_string());
    }
    fs::write(folder.join("nginx.conf"), conf).unwrap();
    let _running = serve(program, folder, addresses[2]);
    let nobody = ("GET /", "");
    let mut all = Vec::new();
    for (port, at) in ["a", "b", "c"].iter().zip(addresses) {
        for (line, host) in ASKED.iter().chain([&nobody]) {
            for version in ["1.0", "1.1"] {
                let said = said(at, version, line, host);
                all.push(format!("{port} {line} HTTP/{version} {host}: {said}"));
            }
        }
    }
    all
}

/// Asserts that nginx and hubgate, called as `nginx`, say the same; `all` asks a program in a folder.
#[track_caller]
pub(crate) fn assert_same(all: impl Fn(&Path, &Path) -> Vec<String>) {
    assert!(
        Path::new(NGINX).exists(),
        "no nginx: run `tests/install.sh test`"
    );
    let (theirs, ours) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let link = ours.path().join("nginx");
    symlink(env!("CARGO_BIN_EXE_hubgate"), &link).unwrap();
    let nginx = all(Path::new(NGINX), theirs.path());
    let hubgate = all(&link, ours.path());
    let differ: Vec<_> = nginx.iter().zip(&hubgate).filter(|(a, b)| a != b).collect();
    assert!(
        differ.is_empty(),
        "{} of {}: {differ:#?}",
        differ.len(),
        nginx.len()
    );
}

#[test]
fn each_address_has_the_servers_that_nginx_gives_it() {
    assert_same(all);
}
