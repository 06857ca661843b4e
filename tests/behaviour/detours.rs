//! Rules, and what takes the place of errors, as clients see them: what nginx does with the same lines, where there is one.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::hubgate::HOST;
use crate::support::nginx::assert_alike;
use crate::support::{Hubgate, Response, Upstream};

fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("www/d")).unwrap();
    fs::write(dir.join("www/sorry.html"), "<p>sorry</p>").unwrap();
    fs::write(dir.join("www/d/there"), "there").unwrap();
}

/// Status, redirect and, unless it is a page of nginx's own, the body.
fn shown(response: &Response) -> String {
    let location = response.head.all("location").concat();
    let path = location
        .strip_prefix("http://127.0.0.1")
        .or(location.strip_prefix(&format!("http://{HOST}")))
        .and_then(|rest| rest.find('/').map(|at| rest[at..].to_owned()));
    let text = response.text();
    let more = ["x-m", "expires"].map(|name| match name {
        "expires" => String::from(if response.head.all(name).is_empty() {
            ""
        } else {
            " e"
        }),
        name => response.head.all(name).concat(),
    });
    let location = location + &more.concat();
    let own = text.contains("<center>nginx") || text.contains("cause: ");
    let bare = text.starts_with(&response.status.to_string());
    let text = if own || bare { String::new() } else { text };
    format!("{} {} {text}", response.status, path.unwrap_or(location))
}

#[track_caller]
fn alike(block: &str, requests: &[&str]) {
    assert_alike((block, tree), requests, |client, request| {
        let (line, fields) = request.split_once('|').unwrap_or((request, ""));
        let fields = fields.replace('|', "\r\n");
        let request = format!("{line} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n\r\n");
        shown(&client.exchange(request.replace("\r\n\r\n\r\n", "\r\n\r\n")))
    });
}

#[test]
fn rules_lead_where_nginx_s_do() {
    let block = r#"server { listen @LISTEN@; root www; set $site s;
        rewrite ^/server/(.*)$ /echo/$1?from=server last;
        if ($http_x_gone) { return 410; }
        if ($request_method = DELETE) { return 405; }
        location /echo/ { return 200 "$uri?$args"; }
        location /set/ { set $a "x$site"; set $b $a-$arg_q; return 200 "$a $b $site"; }
        location /old/ { rewrite ^/old/(.*)$ /echo/$1 last; }
        location /drop/ { rewrite ^/drop/(.*)$ /echo/$1? last; }
        location /add/ { rewrite ^/add/(.*)$ /echo/x?n=$1 last; }
        location /chain/ { rewrite a b; rewrite c d; }
        location /perm/ { rewrite ^/perm/(.*)$ /new/$1 permanent; }
        location /temp/ { rewrite ^/temp/(.*)$ /new/$1? redirect; }
        location /away/ { rewrite ^/away/(.*)$ https://example.org/$1; }
        location /stay/ { rewrite ^/stay/(.*)$ /d/$1 break; }
        location /stop/ { set $x 1; break; set $x 2; return 200 no; }
        location /if/ {
            set $r none;
            if ($arg_a = 1) { set $r one; }
            if ($arg_a != 1) { set $r "not one"; }
            if ($arg_b ~ ^(x+)y) { set $r "$r $1"; }
            if ($arg_b ~* ^Z) { set $r "$r z"; }
            if ($arg_b !~ y) { set $r "$r no-y"; }
            if ($arg_c) { return 200 "c:$r"; }
            if (-f $document_root/d/there) { set $r "$r f"; }
            if (-d $document_root/d) { set $r "$r d"; }
            if (!-e $document_root/none) { set $r "$r none"; }
            return 200 $r;
        }
        location /loop/ { rewrite ^/loop/(.*)$ /loop/x$1 last; }
        location /gone/ { return 404; }
        location /made/ { return 201 made; }
        location /to/ { return 307 /x$request_uri; }
        location /url/ { return https://$host/y; }
        location /empty/ { return 204; }
    }"#;
    alike(
        block,
        &[
            "GET /server/a%20b?q=1",
            "GET /echo/x?y",
            "GET /set/?q=v",
            "GET /old/a?b=c",
            "GET /old/a",
            "GET /drop/a?b=c",
            "GET /add/v?b=c",
            "GET /add/v",
            "GET /chain/a",
            "GET /perm/a?b",
            "GET /perm/a%20b%25c?d%20e",
            "GET /away/a%20b%3Fc",
            "GET /temp/a?b",
            "GET /away/x?y",
            "GET /stay/there",
            "GET /stay/none",
            "GET /if/?a=1",
            "GET /if/?a=2&b=xxyz",
            "GET /if/?b=zz",
            "GET /if/?c=1&b=xy",
            "GET /if/?c=0",
            "GET /loop/",
            "GET /gone/",
            "GET /made/",
            "GET /to/a?b",
            "GET /url/",
            "GET /empty/",
            "GET /echo/|X-Gone: 1",
            "GET /echo/|X-Gone: 0",
            "DELETE /echo/",
            "HEAD /made/",
            "GET /echo/a%3Fb%25",
            "GET /nothing",
        ],
    );
}

#[test]
fn a_request_that_was_rewritten_is_told_by_what_was_asked_and_by_what_it_became() {
    let upstream = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            let target = String::from_utf8_lossy(&head.target()).into_owned();
            let told = head.all("x-told").concat();
            let text = format!("{target} {told}");
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            ));
        }
    });
    let told = "$request_uri $uri $args $arg_a $request";
    let block = format!(
        r#"server {{ listen @LISTEN@; root www; error_page 404 /told/missing?c=3; error_page 403 @told;
        rewrite ^/outer/(.*)$ /old/$1?o=1;
        location /told/ {{ return 200 "{told}"; }}
        location @told {{ return 200 "{told}"; }}
        location /old/ {{ rewrite ^/old/(.*)$ /told/$1?a=2 last; }}
        location /up/ {{ rewrite ^/up/(.*)$ /via/$1?a=2 last; }}
        location /via/ {{ proxy_set_header X-Told "{told}"; proxy_pass http://{addr}; }}
        location /as/ {{ rewrite ^/as/(.*)$ /asked/$1 last; }}
        location /asked/ {{ proxy_pass http://{addr}$request_uri; }}
        location /stay/ {{ rewrite ^ /other?b=1 break; proxy_set_header X-Told "{told}"; proxy_pass http://{addr}; }}
        location /set/ {{ set $args a=9; return 200 "{told}"; }}
        location /query/ {{ set $args "b=2&$args"; proxy_pass http://{addr}; }}
        location /none/ {{ set $args ""; proxy_pass http://{addr}/x/; }}
        location /gone/ {{ return 404; }}
        location /shut/ {{ deny all; }}
        }}"#,
        addr = upstream.addr
    );
    alike(
        &block,
        &[
            "GET /told/x?a=1&b=2",
            "GET /old/x?a=1&b=2",
            "GET /old/x%20y",
            "GET /outer/x?a=1",
            "GET /up/x?a=1&b=2",
            "GET /as/x?a=1",
            "GET /stay/x?a=1",
            "GET /set/x?a=1",
            "GET /query/x%20y?a=1",
            "GET /none/x?a=1",
            "GET /gone/x?a=1",
            "GET /shut/x?a=1",
        ],
    );
}

#[test]
fn what_conditions_hold_besides_rules_counts_as_with_nginx() {
    let upstream = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            let target = String::from_utf8_lossy(&head.target()).into_owned();
            let text = format!("{target} a={}", head.all("x-a").concat());
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            ));
        }
    });
    let to = upstream.addr;
    let block = format!(
        r#"server {{ listen @LISTEN@; server_name {HOST}; root www;
        location /pass/ {{
            if ($arg_a) {{ proxy_pass http://{to}; }}
            return 200 "no $arg_a";
        }}
        location /uri/ {{
            proxy_pass http://{to}/x/; proxy_set_header X-A 1;
            if ($arg_a) {{ expires 1h; }}
            if ($arg_b) {{ set $c $arg_b; return 200 "b $c"; }}
            if ($arg_d) {{ rewrite ^ /pass/d? break; expires 2h; }}
        }}
        location /cors/ {{
            if ($request_method = OPTIONS) {{ add_header X-M "all $arg_a"; return 204; }}
            if ($arg_r) {{ root www/d; }}
            if ($arg_e) {{ error_page 404 =203 /echo; }}
            try_files $uri /d$uri =404;
        }}
        location /there {{ if ($arg_r) {{ root www/d; }} }}
        location /last/ {{
            if ($arg_a) {{ add_header X-M a; }}
            if ($arg_b) {{ add_header X-M b; }}
            if ($arg_c) {{ }}
            return 200 last;
        }}
        location /echo {{ return 200 "$uri"; }}
    }}"#
    );
    alike(
        &block,
        &[
            "GET /pass/q?a=1",
            "GET /pass/q?a=0",
            "GET /uri/q%20r?z",
            "GET /uri/q%20r?a=1",
            "GET /uri/q?b=3",
            "GET /uri/q?d=1",
            "OPTIONS /cors/?a=9",
            "GET /cors/none",
            "GET /cors/none?e=1",
            "GET /there?r=1",
            "GET /there",
            "GET /last/?a=1",
            "GET /last/?a=1&b=1",
            "GET /last/?a=1&b=1&c=1",
            "GET /last/",
        ],
    );
}

#[test]
fn what_takes_the_place_of_an_error_is_nginx_s() {
    let refused = crate::support::ports::free_addr();
    let upstream = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            let status = match head.target().as_slice() {
                b"/up/500" | b"/pass/500" => "500 Oops",
                b"/up/404" => "404 No",
                _ => "200 OK",
            };
            conn.send(format!(
                "HTTP/1.1 {status}\r\nContent-Length: 8\r\n\r\nupstream"
            ));
        }
    });
    let block = format!(
        r#"server {{ listen @LISTEN@; root www;
        error_page 404 /sorry.html;
        error_page 403 =200 /sorry.html;
        error_page 410 = @named;
        error_page 500 502 504 /said?e=1;
        error_page 405 https://example.org/elsewhere;
        error_page 409 =307 https://example.org/kept;
        error_page 400 /none-at-all;
        location / {{ }}
        location /said {{ return 200 "said $args $request_method"; }}
        location @named {{ return 200 "named $uri $request_method"; }}
        location /d/ {{ }}
        location /410/ {{ return 410; }}
        location /405/ {{ return 405; }}
        location /409/ {{ return 409; }}
        location /400/ {{ return 400; }}
        location /text/ {{ return 404 "own text"; }}
        location /dead/ {{ proxy_pass http://{refused}; }}
        location /pass/ {{ proxy_pass http://{up}; }}
        location /up/ {{ proxy_pass http://{up}; proxy_intercept_errors on; }}
        location /own/ {{ error_page 404 =503 /said?own; }}
    }}"#,
        up = upstream.addr
    );
    alike(
        &block,
        &[
            "GET /missing",
            "HEAD /missing",
            "POST /missing|Content-Length: 3||abc",
            "GET /d/",
            "GET /410/",
            "POST /410/|Content-Length: 0",
            "GET /405/",
            "GET /409/",
            "GET /400/",
            "GET /text/",
            "GET /dead/x",
            "GET /pass/500",
            "GET /up/500",
            "GET /up/404",
            "GET /up/ok",
            "GET /own/x",
        ],
    );
}

#[test]
fn a_route_without_detours_and_one_that_loops_end() {
    let dir = TempDir::new().unwrap();
    tree(dir.path());
    let hubgate = Hubgate::start_in(
        dir,
        &format!(
            "[site.\"{HOST}\"]\ncertificate = \"self-signed\"\nhttp = \"forward\"\n\
         errors = [{{ on = [404], to = \"@page\" }}]\n\
         [[site.\"{HOST}\".route]]\npath = \"/files/\"\nfiles = {{ root = \"www\", try = [\"$uri\", \"@app\"] }}\n\
         [[site.\"{HOST}\".route]]\nname = \"app\"\nrespond = {{ body = \"app $uri\" }}\n\
         [[site.\"{HOST}\".route]]\nname = \"page\"\nrespond = {{ body = \"page of $uri\" }}\n\
         [[site.\"{HOST}\".route]]\npath = \"/loop/\"\nrespond = {{ status = 200 }}\n\
         rules = [{{ rewrite = \"^/loop/\", to = \"/loop/\", then = \"find\" }}]\n\
         [[site.\"{HOST}\".route]]\npath = \"/close/\"\nrespond = {{ status = 444 }}\n",
        ),
    );
    let get = |target: &str| hubgate.plain().get(HOST, target);
    assert_eq!(get("/files/x").text(), "app /files/x");
    let page = get("/missing");
    assert_eq!(
        (page.status, page.text()),
        (404, "page of /missing".to_owned())
    );
    let looped = get("/loop/");
    assert_eq!(
        (looped.status, looped.head.one("x-hubgate-cause")),
        (500, "route_loop".to_owned())
    );
    let closed = hubgate
        .plain()
        .try_exchange(format!("GET /close/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(closed.is_err(), "{closed:?}");
}
