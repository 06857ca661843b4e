//! What nginx says of itself: to what is no request, by a server's own conditions, and whose name it has. The real nginx and
//! hubgate, called as `nginx`, are asked the same bytes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::nginx_compare::serve;
use crate::nginx_servers::assert_same;
use crate::support::ports::free_addr;

/// The status, the fields that tell of the connection and of the configuration, and a body that is the configuration's.
fn said(at: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    // Whoever refuses a request may reset the connection after its answer.
    drop(stream.read_to_string(&mut answer));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or("none");
    let fields = head.lines().filter(|line| {
        let line = line.to_ascii_lowercase();
        let told = ["x-", "connection:", "content-type:", "location:"];
        told.iter().any(|name| line.starts_with(name)) && !line.starts_with("x-request-id")
    });
    let mut fields: Vec<_> = fields
        .filter(|line| !line.starts_with("X-Hubgate-"))
        .map(|line| line.replace(&at.port().to_string(), "PORT"))
        .collect();
    fields.sort_unstable();
    let body = if body.starts_with("<html>") { "" } else { body };
    format!("{status} {} {body}", fields.join(" | "))
}

/// Asserts that both answer these requests alike; `@A@` and `@B@` are addresses.
#[track_caller]
fn assert_alike(http: &str, requests: &[(char, &str)]) {
    let all = |program: &Path, folder: &Path| -> Vec<String> {
        let addresses = [free_addr(), free_addr()];
        let conf = http
            .replace("@A@", &addresses[0].to_string())
            .replace("@B@", &addresses[1].to_string());
        let conf = format!("events {{}}\nhttp {{ access_log off;\n{conf}\n}}\n");
        fs::write(folder.join("nginx.conf"), conf).unwrap();
        let _running = serve(program, folder, addresses[0]);
        let asked = requests.iter().map(|(place, request)| {
            let at = addresses[usize::from(*place == 'B')];
            format!("{place} {request:?}: {}", said(at, request))
        });
        asked.collect()
    };
    assert_same(all);
}

#[test]
fn what_no_location_answers_has_the_fields_that_its_server_adds() {
    assert_alike(
        r#"server { listen @A@; server_name a.test; add_header X-A "a $status" always; add_header X-N n;
            if ($arg_x) { return 403; } if ($arg_y) { return 200 y; } if ($arg_z) { return 302 /z; }
            location / { add_header X-L l; return 200 ok; } }
        server { listen @A@; server_name b.test; add_header X-B b always; location / { return 200 ok; } }
        server { listen @B@; server_name c.test; location / { return 200 ok; } location /e { return 500; } }"#,
        &[
            ('A', "get / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
            ('A', "NONSENSE\r\n\r\n"),
            ('A', "GET / HTTP/1.1\r\n\r\n"),
            ('A', "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            ('A', "GET /%zz HTTP/1.1\r\nHost: b.test\r\n\r\n"),
            ('A', "GET /../.. HTTP/1.1\r\nHost: b.test\r\n\r\n"),
            ('A', "GET * HTTP/1.1\r\nHost: b.test\r\n\r\n"),
            ('A', "OPTIONS * HTTP/1.1\r\nHost: b.test\r\n\r\n"),
            ('A', "CONNECT b.test:80 HTTP/1.1\r\nHost: b.test\r\n\r\n"),
            (
                'A',
                "TRACE / HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n",
            ),
            ('A', "GET / HTTP/3.0\r\nHost: b.test\r\n\r\n"),
            ('A', "GET /?x=1 HTTP/1.0\r\nHost: a.test\r\n\r\n"),
            ('A', "GET /?y=1 HTTP/1.0\r\nHost: a.test\r\n\r\n"),
            ('A', "GET /?z=1 HTTP/1.0\r\nHost: a.test\r\n\r\n"),
            ('A', "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n"),
            ('A', "GET / HTTP/1.0\r\nHost: b.test\r\n\r\n"),
            ('B', "GET /%zz HTTP/1.1\r\nHost: c.test\r\n\r\n"),
            ('B', "GET /e HTTP/1.1\r\nHost: c.test\r\n\r\n"),
        ],
    );
}

#[test]
fn an_error_of_a_target_or_a_host_has_the_page_of_its_server() {
    assert_alike(
        "server { listen @A@; server_name a.test; error_page 400 /bad; error_page 405 =200 /method;
            location = /bad { return 200 \"bad $status $uri\"; } location = /method { return 200 method; } location / { return 200 ok; } }
        server { listen @B@; location / { return 200 ok; } }",
        &[
            ('A', "GET /%zz HTTP/1.1\r\nHost: a.test\r\n\r\n"),
            ('A', "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            ('A', "TRACE / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"),
        ],
    );
}

#[test]
fn a_server_is_called_by_its_first_name_whatever_that_is() {
    let request = "GET / HTTP/1.0\r\nHost: x.y.test\r\n\r\n";
    for name in [
        "",
        "server_name \"\";",
        "server_name _;",
        "server_name *.x.test;",
        "server_name .Y.test;",
        r"server_name ~^(?<n>\w+)\.y;",
        "server_name One two;",
        "server_name \"\" a.test;",
        "server_name $hostname;",
    ] {
        let http = format!(
            "server {{ listen @A@; {name} return 200 \"[$server_name]\"; }}
            server {{ listen @B@; {name} server_name_in_redirect on; location / {{ return 200 \"[$server_name]\"; }} }}"
        );
        assert_alike(&http, &[('A', request), ('B', request)]);
    }
}
