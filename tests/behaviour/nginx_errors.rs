//! What nginx does where a request fails or is asked for elsewhere, and what it says of it: answered by both with the same
//! file, and compared.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use crate::support::hubgate::HOST;
use crate::support::nginx::assert_alike;

fn files(dir: &Path) {
    fs::create_dir_all(dir.join("www")).unwrap();
    fs::write(dir.join("www/post"), "a file").unwrap();
}

/// Answers each request with its host and its target, as a text of no type with two fields more, and to some with orders.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let lines = BufReader::new(tcp.try_clone().unwrap()).lines();
            let head: Vec<_> = { lines }
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let target = head.first().and_then(|line| line.split(' ').nth(1));
            let host = head.iter().find_map(|line| line.strip_prefix("Host: "));
            let text = format!("told {host:?} {target:?}");
            let length = text.len();
            let orders = match target.is_some_and(|target| target.starts_with("/orders")) {
                true => "X-Accel-Redirect: /x\r\nX-Accel-Expires: 5\r\n",
                false => "",
            };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nX-One: 1\r\nX-Two: 2\r\nServer: mine/1\r\n{orders}Connection: close\r\nContent-Length: {length}\r\n\r\n{text}"
            );
            // A client may have gone.
            let _ = (&tcp).write_all(answer.as_bytes());
        }
    });
    addr
}

/// Sends each request (`METHOD TARGET`, then a body) to both, and compares status, these fields and the body.
#[track_caller]
fn alike<R: AsRef<str>>(block: &str, fields: &[&str], requests: &[R]) {
    assert_alike((block, files), requests, |client, request| {
        let mut words = request.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (method, target, body) = (word(), word(), word());
        let length = body.len();
        let text = format!(
            "{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        let answer = client.exchange(text);
        let mut shown = answer.status.to_string();
        for name in fields {
            shown += &format!(" {name}={:?}", answer.head.all(name));
        }
        let text = answer.text();
        if !text.contains("<html>") && !text.contains("cause:") {
            shown += &format!(" {text}");
        }
        shown.trim_end().to_owned()
    });
}

#[test]
fn a_body_that_is_too_large_gets_the_page_of_its_location() {
    alike(
        "server { listen @LISTEN@; error_page 413 /of-server;
            location / { client_max_body_size 1; error_page 413 /of-location; proxy_pass http://127.0.0.1:1; }
            location /server { client_max_body_size 1; proxy_pass http://127.0.0.1:1; }
            location /of-location { return 200 \"location $request_method\"; }
            location /of-server { return 200 \"server $request_method\"; } }",
        &[],
        &["POST / body", "PUT /server body"],
    );
}

#[test]
fn a_page_that_begins_with_a_variable_is_one_of_the_server_when_its_value_is_a_path() {
    alike(
        "server { listen @LISTEN@; root www; default_type text/plain;
            location /post { error_page 405 =200 $uri; }
            location /none { error_page 404 $arg_to; return 404; } }",
        &["location"],
        &[
            "POST /post body",
            "GET /none?to=http://other.test/x",
            "GET /none?to=/post",
        ],
    );
}

#[test]
fn an_errors_page_knows_the_status_that_it_is_about() {
    alike(
        "server { listen @LISTEN@;
            location / { error_page 500 502 503 /page; return 503; }
            location /gone { error_page 502 /page; proxy_pass http://127.0.0.1:1; }
            location /page { return 200 \"[$status $upstream_status]\"; } }",
        &[],
        &["GET /", "GET /gone"],
    );
}

#[test]
fn a_text_behind_a_status_without_body_is_left_out() {
    alike(
        "server { listen @LISTEN@; location / { return 204 text; } }",
        &["content-length"],
        &["GET /"],
    );
}

#[test]
fn the_status_of_a_try_without_an_answer_is_known_to_fields_of_the_answer() {
    alike(
        "upstream two { server 127.0.0.1:1 max_fails=0; server 127.0.0.1:2 max_fails=0; }
        server { listen @LISTEN@; add_header X-Status \"$upstream_status\" always;
            location / { proxy_pass http://127.0.0.1:1; }
            location /two { proxy_pass http://two; } }",
        &["x-status"],
        &["GET /", "GET /two"],
    );
}

#[test]
fn an_upstream_is_asked_by_its_own_name_where_the_path_has_variables() {
    let to = upstream();
    let block = format!(
        "upstream named {{ server {to}; }}
        server {{ listen @LISTEN@;
            location /uri {{ proxy_pass http://{to}/told?$args; }}
            location /raw {{ proxy_pass http://named$request_uri; }}
            location ~ ^/group/(.*)$ {{ proxy_pass http://named/told/$1; }}
            location /mapped {{ set $to named; proxy_pass http://$to/told; }}
            location /own {{ proxy_set_header Host own.test; proxy_pass http://named/told$uri; }} }}"
    );
    let targets = ["/uri?a=b", "/raw/%20x", "/group/x", "/mapped", "/own"];
    alike(&block, &[], &targets.map(|target| format!("GET {target}")));
}

#[test]
fn fields_that_hubgate_says_itself_may_be_hidden() {
    let to = upstream();
    let block = format!(
        "server {{ listen @LISTEN@; proxy_hide_header Date; proxy_hide_header Connection;
            proxy_hide_header X-One; location / {{ proxy_pass http://{to}; }} }}"
    );
    alike(&block, &["x-one", "x-two"], &["GET /"]);
}

#[test]
fn orders_of_an_upstream_that_are_ignored_are_not_shown_to_clients_unless_they_are_passed() {
    let to = upstream();
    let block = format!(
        "server {{ listen @LISTEN@; proxy_ignore_headers X-Accel-Redirect X-Accel-Expires;
            location /orders {{ proxy_pass http://{to}; }}
            location /orders/passed {{ proxy_pass_header X-Accel-Redirect; proxy_pass http://{to}; }} }}"
    );
    alike(
        &block,
        &["x-accel-redirect", "x-accel-expires"],
        &["GET /orders", "GET /orders/passed"],
    );
}

#[test]
fn what_program_an_upstream_is_stays_hidden_unless_its_field_is_passed() {
    let to = upstream();
    let block = format!(
        "server {{ listen @LISTEN@;
            location / {{ proxy_pass http://{to}; }}
            location /passed {{ proxy_pass_header Server; proxy_pass http://{to}; }} }}"
    );
    assert_alike((&block, files), &["/", "/passed"], |client, target| {
        let text = format!("GET {target} HTTP/1.0\r\n\r\n");
        // nginx names itself in its place.
        let shown = client.exchange(text).head.all("server").concat();
        shown.contains("mine").to_string()
    });
}

#[test]
fn the_client_that_a_location_has_found_stays_with_the_page_of_its_error() {
    assert_alike(
        (
            "server { listen @LISTEN@; set_real_ip_from 127.0.0.1;
                location / { return 200 $remote_addr; }
                location /found { real_ip_header X-Who; root www; error_page 404 =200 /page; }
                location /page { try_files /none @told; }
                location @told { return 200 \"$remote_addr\"; } }",
            files,
        ),
        &["/", "/found", "/page"],
        |client, target| {
            let said = format!(
                "GET {target} HTTP/1.1\r\nHost: {HOST}\r\nX-Who: 192.0.2.1\r\nConnection: close\r\n\r\n"
            );
            client.exchange(said).text()
        },
    );
}

#[test]
fn a_value_called_default_is_written_with_a_backslash() {
    alike(
        r#"map $arg_a $b { default none; \default one; other two; }
        server { listen @LISTEN@; location / { return 200 $b; } }"#,
        &[],
        &["GET /?a=default", "GET /?a=other", "GET /?a=x"],
    );
}

#[test]
fn what_is_no_address_is_in_the_network_of_all() {
    alike(
        "geo $arg_a $all { default none; 10.0.0.0/8 ten; 0.0.0.0/0 all; }
        geo $arg_a $some { default none; 10.0.0.0/8 ten; }
        server { listen @LISTEN@; location / { return 200 \"$all $some\"; } }",
        &[],
        &[
            "GET /?a=10.1.1.1",
            "GET /?a=text",
            "GET /",
            "GET /?a=192.0.2.1",
        ],
    );
}

#[test]
fn all_types_are_those_that_nobody_says_as_well() {
    let to = upstream();
    let block = format!(
        "server {{ listen @LISTEN@; sub_filter told heard; proxy_pass_header X-One;
            location / {{ sub_filter_types *; proxy_pass http://{to}; }}
            location /html {{ proxy_pass http://{to}; }} }}"
    );
    alike(&block, &[], &["GET /", "GET /html"]);
}

#[test]
fn who_is_refused_with_a_challenge_is_led_to_the_errors_place_and_challenged_there() {
    let (up, judge) = (upstream(), challenger());
    let block = format!(
        "server {{ listen @LISTEN@; root www; proxy_set_header Host h;
            location = /judge {{ internal; proxy_pass http://{judge}; }}
            location /proxied {{ auth_request /judge; error_page 401 = /place; proxy_pass http://{up}; }}
            location /place {{ add_header X-Set $upstream_http_set_cookie; proxy_pass http://{up}; }}
            location /file {{ auth_request /judge; error_page 401 /post; proxy_pass http://{up}; }}
            location /moved {{ auth_request /judge; error_page 401 =302 /login?to=$request_uri; proxy_pass http://{up}; }}
            location /named {{ auth_request /judge; error_page 401 = @login; proxy_pass http://{up}; }}
            location @login {{ return 302 http://other.test/login?to=$request_uri; }}
            location /login {{ proxy_pass http://{up}; }}
            location /basic {{ auth_basic realm; auth_basic_user_file none; error_page 401 /post; proxy_pass http://{up}; }}
            location /plain {{ auth_request /judge; proxy_pass http://{up}; }} }}"
    );
    let fields = ["www-authenticate", "location"];
    let requests = [
        "/proxied",
        "/file",
        "/moved?a=b",
        "/named",
        "/basic",
        "/plain",
    ];
    let requests = requests.map(|target| format!("GET {target}"));
    alike(&block, &fields, &requests);
}

#[test]
fn fields_that_a_proxied_error_page_adds_are_of_the_errors_status() {
    let (up, judge) = (upstream(), challenger());
    let block = format!(
        "server {{ listen @LISTEN@; proxy_set_header Host h;
            location /same {{ error_page 401 /page; proxy_intercept_errors on; proxy_pass http://{judge}; }}
            location /other {{ error_page 401 =200 /always; proxy_intercept_errors on; proxy_pass http://{judge}; }}
            location /page {{ add_header X-Usual yes; add_header X-Always $status always; proxy_pass http://{up}; }}
            location /always {{ add_header X-Usual $status; add_header X-Always $upstream_status always; proxy_pass http://{judge}/again; }}
            location /cookies {{ add_header X-Set $upstream_http_set_cookie always; proxy_pass http://{judge}; }} }}"
    );
    let fields = ["x-usual", "x-always", "x-set"];
    alike(
        &block,
        &fields,
        &["GET /same", "GET /other", "GET /cookies"],
    );
}

#[test]
fn the_status_in_an_answers_text_is_its_own_or_the_errors() {
    let judge = challenger();
    let block = format!(
        "server {{ listen @LISTEN@;
            location /plain {{ return 404 \"$status\"; }}
            location /rule {{ if ($arg_a) {{ return 410 \"$status\"; }} return 200 \"$status\"; }}
            location /page {{ error_page 404 /json; return 404; }}
            location /json {{ return 503 \"$status\"; }}
            location /named {{ proxy_pass http://{judge}; proxy_intercept_errors on; error_page 401 = @said; }}
            location @said {{ return 403 \"$status $upstream_status\"; }} }}"
    );
    let requests = [
        "GET /plain",
        "GET /rule",
        "GET /rule?a=1",
        "GET /page",
        "GET /named",
    ];
    alike(&block, &[], &requests);
}

#[test]
fn a_file_says_that_a_request_may_go_on_whatever_its_method_is() {
    let up = upstream();
    let block = format!(
        "server {{ listen @LISTEN@; root www; proxy_set_header Host h;
            location /x {{ auth_request /post; proxy_pass http://{up}; }}
            location = /post {{ internal; }} }}"
    );
    alike(&block, &[], &["GET /x", "POST /x", "DELETE /x"]);
}

#[test]
fn methods_that_a_limit_excepts_not_do_not_see_a_return() {
    let block = "server { listen @LISTEN@;
            location /all { limit_except GET { deny all; } return 200 answered; }
            location /some { deny all; limit_except GET PUT { deny all; } return 200 answered; } }";
    let requests = [
        "GET /all",
        "POST /all x",
        "DELETE /all",
        "GET /some",
        "PUT /some x",
        "POST /some x",
    ];
    alike(block, &[], &requests);
}

/// Refuses everybody, with a challenge and two cookies.
fn challenger() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let lines = BufReader::new(tcp.try_clone().unwrap()).lines();
            let head = lines.map_while(Result::ok);
            head.take_while(|line| !line.is_empty()).for_each(drop);
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer x\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n\
                 Connection: close\r\nContent-Length: 2\r\n\r\nno";
            // A client may have gone.
            let _ = (&tcp).write_all(answer.as_bytes());
        }
    });
    addr
}
