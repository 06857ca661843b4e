//! What nginx's upstreams do and what is sent to them: hubgate does the same with the same file.

use crate::support::Upstream;
use crate::support::nginx::assert_alike;

/// Tells what it is asked; `/led` leads elsewhere, `/404` is missing.
fn teller() -> Upstream {
    Upstream::start(|conn| {
        while let Some(head) = conn.request_head() {
            let line = String::from_utf8_lossy(&head.start).replace("HTTP/1.0", "HTTP/1.1");
            let target = line.split(' ').nth(1).unwrap_or_default();
            let body = conn.request_body(&head).unwrap_or_default();
            let body = String::from_utf8_lossy(&body).into_owned();
            let (status, more) = match target.split('?').next().unwrap_or_default() {
                "/404" => ("404 Not Found", String::new()),
                "/led" => {
                    let to = target.split_once('?').map_or("", |(_, to)| to);
                    (
                        "200 OK",
                        format!("X-Accel-Redirect: {to}\r\nX-Other: 1\r\nSet-Cookie: a=b\r\n"),
                    )
                }
                _ => ("200 OK", String::new()),
            };
            let text = format!("{line} {body} {}", head.all("x-mine").concat());
            let length = text.len();
            conn.send(format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n{text}"
            ));
        }
    })
}

#[test]
fn what_is_sent_and_who_is_asked_again_is_as_with_nginx() {
    let behind = teller();
    let to = behind.addr;
    let block = format!(
        r#"upstream twice {{ server {to} max_fails=0; server {to} max_fails=0; }}
        server {{ listen @LISTEN@; server_name site.test;
            add_header X-Asked $upstream_status always;
            location /set {{ proxy_pass http://{to}; proxy_set_body "b=$arg_b"; proxy_method POST; }}
            location /none {{ proxy_pass http://{to}; proxy_pass_request_headers off; proxy_set_header X-Mine $http_x_mine; }}
            location /404 {{ proxy_pass http://twice; proxy_next_upstream error http_404; }}
            location /given {{ proxy_pass http://twice; add_header X-Body "$request_body"; }}
            location /led {{ proxy_pass http://{to}; }}
            location /inner {{ internal; return 200 "inner $uri $request_method"; }}
            location @named {{ return 200 "named $uri"; }}
        }}"#
    );
    let get =
        |target: &str| format!("GET {target} HTTP/1.1\r\nHost: site.test\r\nX-Mine: 1\r\n\r\n");
    let post = |target: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: site.test\r\nX-Mine: 1\r\nContent-Length: 4\r\n\r\nbody"
        )
    };
    let requests = [
        get("/set?b=1"),
        post("/set?b=2"),
        get("/none"),
        get("/404"),
        post("/404"),
        post("/given"),
        get("/led?/inner/a%20b"),
        post("/led?/inner/c"),
        get("/led?@named"),
        get("/led?/inner/%2e./d"),
    ];
    assert_alike((&block, |_| {}), &requests, |client, request| {
        let answer = client.exchange(request);
        let own = answer.status >= 400
            && ["<center>nginx", "cause: "]
                .iter()
                .any(|own| answer.text().contains(own));
        let text = if own { String::new() } else { answer.text() };
        let kept = ["x-asked", "set-cookie", "x-other", "x-body"]
            .map(|name| answer.head.all(name).concat());
        format!("{} {text} {kept:?}", answer.status)
    });
}
