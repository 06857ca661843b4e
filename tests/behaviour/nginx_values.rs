//! What variables of nginx's are worth where a configuration decides by them: answered by both with the same file, and
//! compared; what differs from run to run by its form.

use std::fs;
use std::path::Path;

use base64::Engine as _;

use crate::support::eventually;
use crate::support::hubgate::HOST;
use crate::support::nginx::{assert_alike, assert_carried, imported};

fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("www")).unwrap();
    fs::write(dir.join("users"), "alice:{PLAIN}secret\n").unwrap();
    fs::write(dir.join("www/page.html"), "page ".repeat(400)).unwrap();
}

/// Sends each request (`TARGET|FIELD|FIELD`) to both, and compares status, these fields and the body.
#[track_caller]
fn alike(block: &str, fields: &[&str], requests: &[&str]) {
    assert_alike((block, tree), requests, |client, request| {
        let (target, said) = request.split_once('|').unwrap_or((request, ""));
        let mut text = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n");
        for field in said.split('|').filter(|field| !field.is_empty()) {
            text += &format!("{field}\r\n");
        }
        let answer = client.exchange(text + "\r\n");
        let mut shown = answer.status.to_string();
        for name in fields {
            shown += &format!(" {name}={:?}", answer.head.all(name));
        }
        if answer.status < 300 {
            shown += &format!(" {}", answer.text());
        }
        shown
    });
}

#[test]
fn a_realm_from_a_map_may_ask_nobody_for_a_password() {
    let alice = base64::prelude::BASE64_STANDARD.encode("alice:secret");
    alike(
        "map $arg_from $realm { inside off; default staff; }
        server { listen @LISTEN@; root www; auth_basic $realm; auth_basic_user_file users;
            location / { try_files /page.html =404; } }",
        &["www-authenticate"],
        &[
            "/?from=inside",
            "/?from=outside",
            &format!("/?from=outside|Authorization: Basic {alice}"),
            "/?from=inside|Authorization: Basic bm9ib2R5OnNlY3JldA==",
        ],
    );
}

#[test]
fn variables_are_set_by_what_was_asked_whatever_it_said() {
    alike(
        "server { listen @LISTEN@;
            location / { auth_request /ask; auth_request_set $user $upstream_http_x_user;
                auth_request_set $cookie $upstream_cookie_sid; auth_request_set $said \"<$upstream_status>\";
                add_header X-User $user always; add_header X-Cookie $cookie always; add_header X-Said $said always;
                error_page 401 = @login; proxy_pass http://u; }
            location @login { return 200 \"login $user $cookie $said\"; }
            location = /ask { proxy_pass http://u; } }
        upstream u { server @BEHIND@; }"
            .replace("@BEHIND@", &behind().to_string())
            .as_str(),
        &["x-user", "x-cookie", "x-said"],
        &["/", "/|X-Ask: no"],
    );
}

/// Lets in whoever does not ask otherwise.
fn behind() -> std::net::SocketAddr {
    let upstream = crate::support::Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            let status = match head.all("x-ask").is_empty() {
                true => "200 OK",
                false => "401 No",
            };
            conn.send(format!(
                "HTTP/1.1 {status}\r\nX-User: alice\r\nSet-Cookie: sid=7; Path=/\r\nContent-Length: 2\r\n\r\nin"
            ));
        }
    });
    let address = upstream.addr;
    // For as long as the test.
    std::mem::forget(upstream);
    address
}

#[test]
fn logs_tell_what_compression_saved_and_how_far_away_the_client_is() {
    let (hubgate, report) = imported(
        "log_format far '$gzip_ratio $tcpinfo_rtt $tcpinfo_rttvar $tcpinfo_snd_cwnd $tcpinfo_rcv_space';
        server { listen @LISTEN@; root www; gzip on; gzip_types text/html; access_log far.log far; }",
        tree,
    );
    assert_carried(&report);
    for field in ["", "Accept-Encoding: gzip\r\n"] {
        let request = format!("GET /page.html HTTP/1.1\r\nHost: {HOST}\r\n{field}\r\n");
        assert_eq!(hubgate.plain().exchange(request).status, 200);
    }
    let read = || fs::read_to_string(hubgate.dir.path().join("far.log")).unwrap_or_default();
    eventually("both lines are written", || read().lines().count() == 2);
    let lines = read();
    let mut lines = lines
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let [plain, squeezed] = [(); 2].map(|()| lines.next().unwrap());
    assert_eq!((plain[0], plain.len()), ("-", 5), "{plain:?}");
    assert!(squeezed[0].parse::<f64>().unwrap() > 10.0, "{squeezed:?}");
    for fact in &squeezed[1..] {
        assert!(fact.parse::<u32>().is_ok(), "{squeezed:?}");
    }
}
