//! What variables of nginx's are worth where a configuration decides by them: answered by both with the same file, and
//! compared; what differs from run to run by its form.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;

use crate::support::hubgate::{HOST, one_site};
use crate::support::nginx::{assert_carried, assert_gets_alike, imported};
use crate::support::{Hubgate, Upstream, eventually};

fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("www")).unwrap();
    fs::write(dir.join("users"), "alice:{PLAIN}secret\n").unwrap();
    fs::write(dir.join("www/page.html"), "page ".repeat(400)).unwrap();
}

/// Asks both, and compares.
#[track_caller]
fn alike(block: &str, fields: &[&str], requests: &[&str]) {
    assert_gets_alike((block, tree), fields, requests);
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
    let upstream = Upstream::start(|conn| {
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
fn the_pace_of_an_answer_is_what_a_map_a_rule_or_the_upstream_says() {
    alike(
        "server { listen @LISTEN@;
            location /set { set $limit_rate 1k; return 200 \"$limit_rate\"; }
            location /own { limit_rate 2k; return 200 \"$limit_rate\"; }
            location /none { return 200 \"$limit_rate\"; } }",
        &[],
        &["/set", "/own", "/none"],
    );
    let behind = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            let target = String::from_utf8_lossy(&head.target()).into_owned();
            let size = if target.contains("fast") {
                2_000_000
            } else {
                60_000
            };
            let rate = match target.contains("accel") {
                true if target.contains("fast") => "X-Accel-Limit-Rate: 0\r\n",
                true => "X-Accel-Limit-Rate: 20480\r\n",
                false => "",
            };
            conn.send(format!(
                "HTTP/1.1 200 OK\r\n{rate}Content-Length: {size}\r\n\r\n{}",
                "x".repeat(size)
            ));
        }
    });
    let (hubgate, report) = imported(
        &format!(
            "map $arg_speed $speed {{ slow 20k; default 0; }}
            server {{ listen @LISTEN@;
                location /mapped {{ limit_rate $speed; proxy_pass http://{0}; }}
                location /ruled {{ if ($arg_speed = slow) {{ set $limit_rate 20k; }} proxy_pass http://{0}; }}
                location /accel {{ limit_rate 10k; proxy_pass http://{0}; }} }}",
            behind.addr
        ),
        tree,
    );
    assert_carried(&report);
    for place in ["mapped", "ruled", "accel"] {
        let begun = Instant::now();
        let answer = hubgate.plain().get(HOST, &format!("/{place}?speed=slow"));
        assert_eq!(answer.text().len(), 60_000);
        assert!(begun.elapsed() >= Duration::from_millis(1500), "{place}");
        assert!(!answer.head.has("x-accel-limit-rate"));
        // At the same pace it would take longer than the client waits.
        let answer = hubgate.plain().get(HOST, &format!("/{place}?speed=fast"));
        assert_eq!(answer.text().len(), 2_000_000, "{place}");
    }
}

#[test]
fn over_http_2_the_authority_is_the_field_called_host() {
    let upstream = Upstream::saying("yes");
    let route = "response_headers = [{ add = \"X-Host\", value = \"$http_host\" }]";
    let log = "[access_log]\ntarget = \"host.log\"\nformat = \"$http_host\"\n";
    let hubgate = Hubgate::start(&(one_site(upstream.addr, route) + log));
    let answer = hubgate.h2().get("/");
    let said = answer.fields["x-host"].to_str().unwrap().to_owned();
    assert!(said.starts_with(HOST), "{said}");
    let read = || fs::read_to_string(hubgate.dir.path().join("host.log")).unwrap_or_default();
    eventually("the line is written", || read().ends_with('\n'));
    assert_eq!(read().trim(), said);
}

#[test]
fn signed_links_are_judged_as_nginx_judges_them() {
    let far = signature("4102444800/md5 secret");
    let past = signature("1000000000/md5 secret");
    let word: String = sum("page.htmlsecret")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    alike(
        r#"server { listen @LISTEN@; root www;
            location = /md5 { secure_link $arg_md5,$arg_expires; secure_link_md5 "$secure_link_expires$uri secret";
                if ($secure_link = "") { return 403 bad; } if ($secure_link = "0") { return 410 late; }
                return 200 "$secure_link $secure_link_expires"; }
            location = /plain { secure_link $arg_md5; secure_link_md5 "$uri secret"; return 200 "[$secure_link]"; }
            location /p/ { secure_link_secret secret; if ($secure_link = "") { return 403; } rewrite ^ /$secure_link; }
            location /page.html { internal; } }"#,
        &[],
        &[
            &format!("/md5?md5={far}&expires=4102444800"),
            &format!("/md5?md5={far}==&expires=4102444800"),
            &format!("/md5?md5={far}&expires=4102444801"),
            &format!("/md5?md5={past}&expires=1000000000"),
            &format!("/md5?md5={past}"),
            "/md5",
            &format!("/plain?md5={}", signature("/plain secret")),
            &format!("/plain?md5={far}"),
            &format!("/p/{word}/page.html"),
            &format!("/p/{word}/page.htm"),
            "/p/page.html",
        ],
    );
}

fn sum(text: &str) -> Vec<u8> {
    use md5::Digest as _;
    md5::Md5::digest(text).to_vec()
}

fn signature(text: &str) -> String {
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(sum(text))
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

#[test]
fn a_location_that_proxies_knows_where_files_would_be() {
    let block = "server { listen @LISTEN@; root /nowhere/www; add_header X-Files \"$document_root|${request_filename}\" always;
            location / { proxy_pass http://@BEHIND@; }
            location /own { root /elsewhere; proxy_pass http://@BEHIND@; } }";
    let block = block.replace("@BEHIND@", &behind().to_string());
    alike(&block, &["x-files"], &["/a/b?c", "/own/d"]);
}

#[test]
fn variables_are_the_same_in_whatever_case_they_are_written() {
    let block = "map $arg_Device $isMobile { default no; ~^(?<Kind>p.*)$ yes; }
        server { listen @LISTEN@; set $backendHost @BEHIND@;
            location / { set $Mixed \"<$isMobile>\"; return 200 \"$mixed $MIXED ${Mixed}x\"; }
            location /to { proxy_pass http://$backendHost; }
            location /asks { auth_request /ask; auth_request_set $authHeader0 $upstream_http_X_User;
                add_header X-User \"$authHeader0 $authheader0\"; proxy_pass http://@BEHIND@; }
            location = /ask { internal; proxy_pass http://@BEHIND@; }
            location ~ ^/user/(?<userName>[^/]+) { return 200 \"$username $userName\"; }
            location /cookies { return 200 \"$cookie_SID $cookie_sid $http_X_Some $arg_Q\"; }
            location /upstream { add_header X-User $upstream_cookie_SID; proxy_pass http://@BEHIND@; }
            location /if { if ($http_User_Agent ~ (?<Agent>b.t)) { return 200 \"$agent $Agent\"; } return 200 no; } }";
    let block = block.replace("@BEHIND@", &behind().to_string());
    let requests = [
        "/?device=phone",
        "/",
        "/to",
        "/asks",
        "/user/ann",
        "/cookies?Q=1|Cookie: a=b; SID=7|X-Some: s",
        "/upstream",
        "/if|User-Agent: bot",
    ];
    alike(&block, &["x-user"], &requests);
}

#[test]
fn what_answers_by_a_return_asks_nobody_who_comes() {
    let block = "limit_req_zone $server_port zone=one:1m rate=1r/m; server { listen @LISTEN@; auth_basic staff; auth_basic_user_file users;
            location / { deny all; proxy_pass http://@BEHIND@; limit_req zone=one;
                if ($arg_preflight) { add_header X-User any; return 204; }
                if ($arg_gone) { return 410 gone; }
                location /in { return 200 in; }
                location /in/page { root www; } } }";
    let block = block.replace("@BEHIND@", &behind().to_string());
    let requests = [
        "/?preflight=1",
        "/?preflight=1",
        "/",
        "/?gone=1",
        "/in",
        "/in",
        "/in/page",
    ];
    alike(&block, &["x-user"], &requests);
}
