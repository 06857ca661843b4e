//! Passes whose host the client says: whom nginx asks is asked, and for the same.

use crate::support::hubgate::HOST;
use crate::support::nginx::{Nginx, assert_carried, imported};
use crate::support::{Client, Upstream};

#[test]
fn a_pass_that_a_request_fills_in_goes_where_nginx_goes() {
    let behind = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            let line = String::from_utf8_lossy(&head.start).into_owned();
            let target = line.split(' ').nth(1).unwrap_or_default();
            let text = format!("{target} at {}", head.one("host"));
            let length = text.len();
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}"
            ));
        }
    });
    let nobody = crate::support::ports::free_addr();
    let to = behind.addr;
    let block = format!(
        r#"upstream named {{ server {to}; }}
        server {{ listen @LISTEN@; server_name {HOST};
            location /var {{ proxy_pass http://$arg_b; }}
            location /path/ {{ proxy_pass http://$arg_b/x$uri; }}
            location /port/ {{ proxy_pass http://127.0.0.1:$arg_p; proxy_set_header Host $proxy_host; }}
        }}"#
    );
    let Some(theirs) = Nginx::start(&block, |_| {}) else {
        return;
    };
    let (ours, report) = imported(&block, |_| {});
    assert_carried(&report);
    let port = to.port();
    for target in [
        format!("/var?b={to}"),
        format!("/var?b={to}/"),
        format!("/var?b={to}/other"),
        "/var?b=named/y".to_owned(),
        "/var?b=named".to_owned(),
        format!("/path/z?b={to}"),
        format!("/port/?p={port}"),
        format!("/var?b={nobody}"),
        "/var?b=name.invalid".to_owned(),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        let shown = |mut client: Client| {
            let answer = client.exchange(&request);
            let text = if answer.status == 200 {
                answer.text()
            } else {
                String::new()
            };
            (answer.status, text)
        };
        assert_eq!(
            shown(Client::plain(ours.http)),
            shown(theirs.client()),
            "{target}"
        );
    }
}
