//! What upstreams and inner locations are asked, and on which connections, with the same file as the real nginx.

use std::fs;
use std::path::Path;

use crate::support::hubgate::HOST;
use crate::support::nginx::{assert_alike, assert_gets_alike, imported};
use crate::support::{Conn, Upstream, eventually};

/// Answers with the request line, `Host` and the connection's number.
fn teller() -> Upstream {
    Upstream::start(|conn: &mut Conn| {
        while let Some(head) = conn.request() {
            let host = head.all("host").concat();
            let target = String::from_utf8_lossy(&head.target()).into_owned();
            let body = format!("{target} {host}");
            let (length, number) = (body.len(), conn.number);
            let head = format!(
                "HTTP/1.1 200 OK\r\nX-Connection: {number}\r\nContent-Length: {length}\r\n\r\n"
            );
            if conn.try_send((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    })
}

fn files(dir: &Path) {
    fs::create_dir_all(dir.join("www/open")).unwrap();
    for name in ["www/allowed", "www/open/page", "www/page"] {
        fs::write(dir.join(name), "text").unwrap();
    }
}

#[test]
fn an_upstream_whose_target_varies_is_told_its_own_name() {
    let upstream = teller();
    let to = upstream.addr;
    let block = format!(
        "upstream backend {{ server {to}; }} upstream other {{ server {to}; }}
        server {{ listen @LISTEN@;
            location /a {{ proxy_pass http://{to}$request_uri; }}
            location /b {{ proxy_pass http://backend${{uri}}?$args; }}
            location /c {{ proxy_pass http://backend/fixed/$arg_x; }}
            location /d {{ proxy_set_header Host $host; proxy_pass http://{to}$request_uri; }}
            location /e {{ proxy_pass http://backend:80$request_uri; }}
            location /f {{ set $name other; proxy_pass http://$name$request_uri; }} }}"
    );
    assert_gets_alike(
        (&block, |_| {}),
        &[],
        &["/a?x=1", "/b/c?x=1", "/c?x=1", "/d", "/e", "/f/1"],
    );
}

#[test]
fn an_upstream_that_a_condition_or_an_answer_changes_is_not_the_one_it_was_at_first() {
    let (one, two) = (Upstream::saying("one"), Upstream::saying("two"));
    let (first, second) = (one.addr, two.addr);
    let judge = Upstream::answering("HTTP/1.1 200 OK\r\nX-Who: two\r\nContent-Length: 0\r\n\r\n");
    let block = format!(
        "upstream one {{ server {first}; }} upstream two {{ server {second}; }}
        server {{ listen @LISTEN@;
            location /plain {{ set $fixed one; proxy_pass http://$fixed; }}
            location /canary {{ set $to one; if ($cookie_canary) {{ set $to two; }} proxy_pass http://$to; }}
            location /asked {{ set $who one; auth_request /judge; auth_request_set $who $upstream_http_x_who; proxy_pass http://$who; }}
            location = /judge {{ internal; proxy_pass http://{0}; }} }}",
        judge.addr
    );
    assert_gets_alike(
        (&block, |_| {}),
        &[],
        &["/plain", "/canary", "/canary|Cookie: canary=1", "/asked"],
    );
}

#[test]
fn groups_of_an_expression_are_told_apart_in_what_is_asked_for() {
    let upstream = teller();
    let to = upstream.addr;
    let block = format!(
        "server {{ listen @LISTEN@; location ~ ^/user/([^/]+)/([a-z]+)/(.*)$ {{ proxy_pass http://{to}/of-$1/$3/$2$is_args$args; }}
            location ~ ^/port/(.+)/(.+)$ {{ proxy_pass http://$1:$2; }} }}"
    );
    let port = format!("/port/127.0.0.1/{}", to.port());
    assert_gets_alike(
        (&block, |_| {}),
        &[],
        &["/user/ann/lab/tree?x=1", "/user/bob/b/", &port],
    );
}

#[test]
fn whether_a_request_may_go_on_can_be_a_files_to_say() {
    let block = "server { listen @LISTEN@; root www; default_type text/plain;
            location /page { auth_request /allowed; }
            location /open/ { auth_request /missing; }
            location /folder { auth_request /open; alias www/page; }
            location = /allowed { internal; }
            location = /missing { internal; } }";
    assert_gets_alike((block, files), &[], &["/page", "/open/page", "/allowed"]);
}

#[test]
fn an_error_of_what_is_asked_is_answered_by_whom_its_route_names() {
    let block = "server { listen @LISTEN@; root www; default_type text/plain;
        location /page { auth_request /none; }
        location = /none { error_page 404 =204 /empty; return 404; }
        location = /empty { return 204; }
        location /denied { auth_request /asks; error_page 403 =200 /ok; }
        location = /asks { error_page 401 = /deny; return 401; }
        location = /deny { return 403; }
        location = /ok { return 200 ok; }
        location /same { auth_request /kept; error_page 401 =200 /ok; }
        location = /kept { error_page 401 /deny; return 401; }
        location /down { auth_request /gone; error_page 401 =200 /ok; }
        location = /gone { proxy_pass http://127.0.0.1:1; error_page 502 =401 /deny; }
        location /named { auth_request /by; error_page 403 =200 /ok; }
        location = /by { error_page 404 = @n; return 404; }
        location @n { return 403; } }";
    let requests = ["/page", "/denied", "/same", "/down", "/named"];
    assert_gets_alike((block, files), &[], &requests);
}

#[test]
fn an_inner_location_has_its_own_uri_and_the_clients_query() {
    let shadow = teller();
    let to = shadow.addr;
    let block = format!(
        "server {{ listen @LISTEN@; root www; location / {{ mirror /one; mirror /two; mirror /three; }}
            location = /one {{ internal; proxy_pass http://{to}/seen$uri; }}
            location = /two {{ internal; proxy_pass http://{to}; }}
            location = /three {{ internal; proxy_pass http://{to}/of$request_uri; }} }}"
    );
    let (hubgate, _) = imported(&block, files);
    assert_eq!(hubgate.plain().get(HOST, "/page?x=1").status, 200);
    eventually("all mirrors are asked", || shadow.requests().len() == 3);
    let mut seen: Vec<_> = (shadow.requests().iter())
        .map(|request| String::from_utf8_lossy(&request.head.target()).into_owned())
        .collect();
    seen.sort();
    assert_eq!(seen, ["/of/page?x=1", "/seen/one", "/two?x=1"]);
    let hosts = shadow.requests();
    let hosts = hosts
        .iter()
        .map(|request| request.head.all("host").concat());
    assert!(hosts.eq([to.to_string(), to.to_string(), to.to_string()]));
}

#[test]
fn a_body_of_the_routes_own_may_be_made_of_the_clients() {
    let upstream = Upstream::start(|conn: &mut Conn| {
        while let Some(head) = conn.request_head() {
            let Ok(body) = conn.request_body(&head) else {
                return;
            };
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            if conn.try_send([head.as_bytes(), &body].concat()).is_err() {
                return;
            }
        }
    });
    let block = format!(
        "client_body_buffer_size 64k; server {{ listen @LISTEN@; proxy_pass_request_headers on;
            location / {{ proxy_pass http://{0}; proxy_set_body \"<$request_body>\"; }}
            location /small {{ client_max_body_size 5; proxy_pass http://{0}; proxy_set_body \"<$request_body>\"; }} }}",
        upstream.addr
    );
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    let large = format!("Content-Length: 60000\r\n\r\n{}", "x".repeat(60_000));
    let requests = [
        "/ Content-Length: 3\r\n\r\nabc",
        &format!("/ {chunked}"),
        "/ Content-Length: 0\r\n\r\n",
        &format!("/ {large}"),
        &format!("/small {chunked}"),
        "/small Content-Length: 6\r\n\r\nabcdef",
    ];
    assert_alike((&block, |_| {}), &requests, |client, request| {
        let (target, rest) = request.split_once(' ').unwrap();
        let answer = client.exchange(format!("POST {target} HTTP/1.1\r\nHost: {HOST}\r\n{rest}"));
        match answer.status {
            200 => answer.text(),
            status => status.to_string(),
        }
    });
}

#[test]
fn attributes_of_cookies_that_nobody_knows_change_nothing() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n",
    );
    let block = format!(
        "server {{ listen @LISTEN@; location / {{ proxy_pass http://{};
            proxy_cookie_flags a secure; proxy_cookie_flags c samesite; }} }}",
        upstream.addr
    );
    let (hubgate, report) = imported(&block, |_| {});
    assert_eq!(report.lost(), 1);
    let answer = hubgate.plain().get(HOST, "/");
    assert_eq!(answer.head.all("set-cookie"), ["a=b; Secure", "c=d"]);
}

#[test]
fn a_connection_to_an_upstream_is_closed_after_its_requests_and_at_its_age() {
    let upstream = teller();
    let to = upstream.addr;
    let block = format!(
        "proxy_http_version 1.1; proxy_set_header Connection \"\";
        upstream three {{ server {to}; keepalive 2; keepalive_requests 3; }}
        upstream none {{ server {to}; keepalive 2; keepalive_timeout 0; }}
        upstream young {{ server {to}; keepalive 2; keepalive_time 1ms; }}
        upstream old {{ server {to}; keepalive 2; keepalive_time 1h; }}
        server {{ listen @LISTEN@;
            location /three {{ proxy_pass http://three; }}
            location /none {{ proxy_pass http://none; }}
            location /young {{ proxy_pass http://young; }}
            location /old {{ proxy_pass http://old; }} }}"
    );
    // One client's connection is one worker's.
    assert_alike(
        (&block, |_| {}),
        &["/three", "/none", "/old"],
        |client, target| {
            let numbers: Vec<_> = (0..7)
                .map(|_| client.get(HOST, target).head.all("x-connection").concat())
                .collect();
            let changes = numbers.windows(2).map(|two| two[0] != two[1]);
            changes
                .map(|change| if change { '+' } else { '=' })
                .collect()
        },
    );
    let (hubgate, _) = imported(&block, |_| {});
    let mut client = hubgate.plain();
    let mut number = |target| {
        std::thread::sleep(std::time::Duration::from_millis(5)); // the age is what is tested
        client.get(HOST, target).head.all("x-connection").concat()
    };
    let numbers = [(); 3].map(|()| number("/young"));
    assert_ne!(numbers[0], numbers[2]);
}

/// Answers with the request line and two fields.
fn witness() -> Upstream {
    Upstream::start(|conn: &mut Conn| {
        while let Some(head) = conn.request() {
            let field = |name: &str| head.all(name).join(",");
            let target = String::from_utf8_lossy(&head.target()).into_owned();
            let body = format!("{target} {} {}", field("x-one"), field("x-two"));
            let head = format!(
                "HTTP/1.1 200 OK\r\nX-Said: {body}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            if conn.try_send((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_request_that_asks_obeys_the_rules_on_its_way_and_shares_variables() {
    let upstream = witness();
    let to = upstream.addr;
    let block = format!(
        "upstream backend {{ server {to}; }} server {{ listen @LISTEN@; set $server outer;
            auth_request_set $said $upstream_http_x_said; proxy_set_header X-One \"$server $role\"; proxy_set_header X-Two $said;
            location / {{ set $role main; auth_request /plain; proxy_pass http://backend; }}
            location = /plain {{ internal; proxy_pass http://backend/check; }}
            location /refused {{ auth_request /judged; proxy_pass http://backend; }}
            location /fine {{ auth_request /judged; proxy_pass http://backend; }}
            location = /judged {{ internal; if ($request_uri ~ refused) {{ return 403; }} return 204; }}
            location /last {{ auth_request /one; proxy_pass http://backend; }}
            location = /one {{ internal; rewrite ^ /two/x last; }}
            location ~ ^/two/(.*)$ {{ internal; set $role second; proxy_pass http://backend; }}
            location /break {{ auth_request /broken; proxy_pass http://backend; }}
            location = /broken {{ internal; rewrite ^ /else?a=1 break; proxy_pass http://backend/dropped; }}
            location /if {{ auth_request /chosen; proxy_pass http://backend; }}
            location = /chosen {{ internal; if ($http_x_dead) {{ proxy_pass http://127.0.0.1:1; }} proxy_pass http://backend; }}
            location /tried {{ auth_request /try; proxy_pass http://backend; }}
            location = /try {{ internal; try_files /none @named; }}
            location @named {{ proxy_pass http://backend; }}
            location /stranger {{ auth_request /strange; proxy_pass http://backend; }}
            location = /strange {{ internal; proxy_pass http://$http_x_to; }}
            location /lost {{ auth_request /loop; proxy_pass http://backend; }}
            location = /loop {{ internal; rewrite ^ /loop last; }}
            location /told {{ auth_request /tells; proxy_pass http://backend; }}
            location = /tells {{ internal; proxy_pass_request_body off; proxy_set_header Content-Length \"\";
                proxy_set_header X-One \"$request_method $content_length $http_content_length\"; proxy_pass http://backend; }}
            location /asked {{ auth_request /asks; proxy_pass http://backend; }}
            location = /asks {{ internal; if ($request_method = OPTIONS) {{ return 204; }} return 403; }}
            location /shares {{ auth_request /sets; add_header X-Role $role; proxy_pass http://backend; }}
            location = /sets {{ internal; set $role inner; proxy_pass http://backend; }} }}"
    );
    let stranger = format!("/stranger\r\nX-To: {to}");
    let requests = [
        "/main?x=1",
        "/refused",
        "/fine",
        "/last",
        "/break",
        "/if",
        "/if\r\nX-Dead: 1",
        "/tried",
        &stranger,
        "/lost",
        "/shares",
        "POST /told\r\nContent-Length: 0",
        "OPTIONS /asked",
        "/asked",
    ];
    assert_alike((&block, |_| {}), &requests, |client, request| {
        let (line, fields) = request.split_once("\r\n").unwrap_or((request, "X-No: 1"));
        let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
        let answer = client.exchange(format!(
            "{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n\r\n"
        ));
        let role = answer.head.all("x-role").concat();
        match answer.status {
            200 => format!("{role} {}", answer.text()),
            status => status.to_string(),
        }
    });
}

#[test]
fn a_request_that_is_mirrored_obeys_the_rules_on_its_way() {
    let (upstream, shadow) = (teller(), witness());
    let (to, second) = (upstream.addr, shadow.addr);
    let block = format!(
        "server {{ listen @LISTEN@; set $server outer; proxy_set_header X-One \"$server $role\";
            location / {{ set $role main; mirror /copy; proxy_pass http://{to}; }}
            location = /copy {{ internal; if ($arg_skip) {{ return 204; }} proxy_pass http://{second}$request_uri; }}
            location /moved {{ mirror /one; proxy_pass http://{to}; }}
            location = /one {{ internal; rewrite ^ /two last; }}
            location = /two {{ internal; proxy_pass http://{second}; }} }}"
    );
    let (hubgate, _) = imported(&block, |_| {});
    for target in ["/skipped?skip=1", "/told?x=1", "/moved?x=2"] {
        assert_eq!(hubgate.plain().get(HOST, target).status, 200, "{target}");
    }
    eventually("both that are not left out are mirrored", || {
        shadow.requests().len() == 2
    });
    let seen = shadow.requests();
    let mut seen: Vec<_> = (seen.iter())
        .map(|request| {
            let target = String::from_utf8_lossy(&request.head.target()).into_owned();
            format!("{target} {}", request.head.all("x-one").concat())
        })
        .collect();
    seen.sort();
    assert_eq!(seen, ["/told?x=1 outer main", "/two?x=2 outer"]);
}
