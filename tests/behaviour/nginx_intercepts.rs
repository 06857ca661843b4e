//! Errors of upstreams in whose place somebody else answers, and errors on the way there, beside the real nginx.

use std::fs;
use std::path::Path;

use crate::support::nginx::assert_gets_alike;
use crate::support::{Conn, Upstream};

/// Answers with the status that its target ends with; below 400 with a `Location` of its own.
fn statuses() -> Upstream {
    Upstream::start(|conn: &mut Conn| {
        while let Some(head) = conn.request() {
            let target = String::from_utf8_lossy(&head.target()).into_owned();
            let status: u16 = target
                .get(target.len().saturating_sub(3)..)
                .and_then(|text| text.parse().ok())
                .unwrap_or(200);
            let host = head.all("host").concat();
            let location = match status {
                300..400 => format!("Location: http://{host}/there\r\n"),
                _ => String::new(),
            };
            let body = format!("upstream {target}");
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status} X\r\n{location}Content-Length: {length}\r\n\r\n{body}");
            if conn.try_send(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

fn files(dir: &Path) {
    fs::create_dir_all(dir.join("www")).unwrap();
    fs::write(dir.join("www/page.html"), "page").unwrap();
}

#[test]
fn redirects_of_an_upstream_may_be_followed_or_replaced() {
    let upstream = statuses();
    let to = upstream.addr;
    let block = format!(
        "proxy_intercept_errors on;
        server {{ listen @LISTEN@; root www;
            location /a {{ proxy_pass http://{to}; error_page 301 302 307 = @follow; }}
            location @follow {{ set $to $upstream_http_location; proxy_pass $to; }}
            location /b {{ proxy_pass http://{to}; error_page 302 404 =200 /page.html; }}
            location /c {{ proxy_pass http://{to}; error_page 404 =200 /page.html; }}
            location /d {{ proxy_intercept_errors off; proxy_pass http://{to}; error_page 302 404 =200 /page.html; }} }}"
    );
    assert_gets_alike(
        (&block, files),
        &[],
        &[
            "/a/302", "/a/200", "/b/302", "/b/404", "/b/301", "/c/302", "/d/302", "/d/404",
        ],
    );
}

#[test]
fn an_error_on_the_way_to_an_errors_page_has_its_page_where_that_is_said() {
    let upstream = statuses();
    let to = upstream.addr;
    let block = format!(
        "proxy_intercept_errors on;
        server {{ listen @LISTEN@; root www;
            location /once {{ proxy_pass http://{to}; error_page 404 = @second; }}
            location @second {{ rewrite ^ /x/503 break; proxy_pass http://{to}; error_page 503 =200 /page.html; }}
            location /again {{ proxy_pass http://{to}; error_page 404 = @third; }}
            location @third {{ recursive_error_pages on; rewrite ^ /x/503 break; proxy_pass http://{to}; error_page 503 =200 /page.html; }}
            location /loop {{ recursive_error_pages on; proxy_pass http://{to}/x/404; error_page 404 /loop; }}
            location /self {{ proxy_pass http://{to}/x/404; error_page 404 /self; }}
            location /passes {{ proxy_pass http://{to}; error_page 404 = @fourth; }}
            location @fourth {{ proxy_intercept_errors off; rewrite ^ /x/503 break; proxy_pass http://{to}; error_page 503 =200 /page.html; }}
            location /files {{ recursive_error_pages on; error_page 404 /none1; }}
            location /none1 {{ recursive_error_pages on; error_page 404 =200 /page.html; }} }}"
    );
    assert_gets_alike(
        (&block, files),
        &[],
        &[
            "/once/404",
            "/again/404",
            "/loop",
            "/self",
            "/passes/404",
            "/files",
            "/again/200",
        ],
    );
}
