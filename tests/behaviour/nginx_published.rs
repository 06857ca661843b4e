//! Shapes of configurations as people publish them, beside the real nginx: what a generator writes, what a project's own
//! documentation asks for.

use std::fs;
use std::path::Path;

use crate::support::nginx::{assert_alike, assert_gets_alike};
use crate::support::{Conn, Upstream};

/// Answers with the target it was asked for.
fn echo() -> Upstream {
    Upstream::start(|conn: &mut Conn| {
        while let Some(head) = conn.request() {
            let body = String::from_utf8_lossy(&head.target()).into_owned();
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            if conn.try_send(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("www/public")).unwrap();
    fs::write(dir.join("www/public/index.html"), "home").unwrap();
    fs::write(dir.join("www/public/a.css"), "css").unwrap();
    fs::write(dir.join("users"), "u:{PLAIN}p\n").unwrap();
}

#[test]
fn a_folder_may_be_named_by_a_variable_that_its_server_sets_once() {
    assert_gets_alike(
        (
            "server { listen @LISTEN@; set $base www; set $both no; root $base/public; index index.html;
                location / { try_files $uri $uri/ =404; }
                location /says { return 200 \"$base $both $baseless\"; set $baseless x; }
                location /alias/ { alias ${base}/public/; } }",
            tree,
        ),
        &[],
        &["/", "/a.css", "/none", "/says", "/alias/a.css"],
    );
}

#[test]
fn a_return_behind_a_rewrite_that_breaks_is_for_what_did_not_match() {
    let upstream = echo();
    let to = upstream.addr;
    let block = format!(
        "server {{ listen @LISTEN@;
            location /gitea/ {{ rewrite ^ $request_uri; rewrite ^/gitea(/.*) $1 break; return 400; proxy_pass http://{to}$uri; }}
            location /if {{ if ($arg_x) {{ rewrite ^ /y break; }} return 200 returned; proxy_pass http://{to}; }}
            location /empty {{ rewrite ^/empty(.*)$ $1 break; proxy_pass http://{to}; }} }}"
    );
    assert_gets_alike(
        (&block, tree),
        &[],
        &[
            "/gitea/a",
            "/gitea/",
            "/gitea/a%2Fb",
            "/gitea//c?d",
            "/if",
            "/if?x=1",
            "/empty",
            "/empty/a",
        ],
    );
}

#[test]
fn whoever_is_asked_for_a_password_gets_the_page_that_is_in_that_errors_place() {
    let block = "auth_basic us; auth_basic_user_file users; root www/public;
        server { listen @LISTEN@;
            location /named { error_page 401 @login; }
            location /away { error_page 401 = @away; }
            location /path { error_page 401 /login; }
            location /file { error_page 401 /index.html; }
            location /status { error_page 401 =200 /login; }
            location @login { return 200 login; }
            location @away { return 302 https://login.test/; }
            location = /index.html { auth_basic off; }
            location /login { return 200 login; } }";
    let requests = [
        "/named",
        "/away",
        "/path",
        "/file",
        "/status",
        "/index.html",
    ];
    let with = |target: &str| format!("{target}|Authorization: Basic dTpw");
    let mut all: Vec<String> = requests.iter().map(|target| (*target).to_owned()).collect();
    all.extend(requests.iter().map(|target| with(target)));
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_gets_alike((block, tree), &["www-authenticate", "location"], &all);
}

#[test]
fn a_returned_text_has_the_type_of_its_paths_extension_wherever_it_is_returned() {
    assert_gets_alike(
        (
            "types { text/html html; application/json json; } default_type application/x-own;
            server { listen @LISTEN@; if ($arg_s) { return 200 server; }
                location / { return 200 text; }
                location /if { if ($arg_x) { return 200 x; } return 201 y; }
                location ~ [.]json$ { return 404 none; }
                location /none/ { types { } return 200 text; } }",
            tree,
        ),
        &["content-type"],
        &[
            "/",
            "/a.html",
            "/a.HTML",
            "/a.json/x",
            "/a%2ehtml",
            "/.html",
            "/if.html",
            "/if.html?x=1",
            "/if?x=1",
            "/b.json",
            "/none/a.html",
            "/a.html?s=1",
            "/a?s=.html",
        ],
    );
}

#[test]
fn what_an_expression_took_of_an_escaped_path_is_escaped_where_it_becomes_a_variable() {
    let upstream = echo();
    let to = upstream.addr;
    let block = format!(
        "server {{ listen @LISTEN@;
            absolute_redirect off;
            location ~ ^/set/(.*)$ {{ set $v x$1; return 200 \"$v $1 $uri\"; }}
            location ~ ^/named/(?<v>.*)$ {{ set $w $v; return 200 $w; }}
            location ~ ^/pass/(.*)$ {{ set $v $1; proxy_pass http://{to}/x/$v; }}
            location ~ ^/field/ {{ if ($http_x ~ (.*)) {{ set $v $1; }} return 200 $v; }}
            location ~ ^/query/(.*)$ {{ rewrite ^ /x?q=$1 break; proxy_pass http://{to}; }}
            location /away/ {{ rewrite ^/away/(.*)$ /r?q=$1 redirect; }} }}"
    );
    let tails = [
        "a",
        "a%20b",
        "a+b",
        "a%2Bb",
        "%21%22%23%24%25%26%27%28%29%2A%2C%2D%2E%3A%3B%3C%3D%3E%3F",
        "%40%5B%5C%5D%5E%5F%60%7B%7C%7D%7E%C3%A4",
        "a\"b",
        "a?b+c",
    ];
    let begins = ["/set/", "/named/", "/pass/", "/query/", "/away/", "/field/"];
    let all = begins.iter().flat_map(|begin| {
        tails
            .iter()
            .map(move |tail| format!("{begin}{tail}|X: a b+c%"))
    });
    let all: Vec<String> = all.collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_gets_alike((&block, tree), &["location"], &all);
}

#[test]
fn methods_that_are_kept_out_are_so_whatever_the_location_answers() {
    let upstream = echo();
    let to = upstream.addr;
    let block = format!(
        "server {{ listen @LISTEN@;
            location /denied {{ limit_except GET {{ deny all; }} return 200 said; }}
            location /asked {{ limit_except GET {{ auth_basic us; auth_basic_user_file users; }} return 200 said; }}
            location /ruled {{ limit_except GET {{ deny all; }} if ($arg_a) {{ return 200 a; }} proxy_pass http://{to}; }}
            location /open {{ limit_except GET {{ allow all; }} if ($arg_a) {{ return 200 a; }} proxy_pass http://{to}; }}
            location /page {{ limit_except GET {{ deny all; }} error_page 403 =200 /instead; return 204; }}
            location /instead {{ return 200 instead; }} }}"
    );
    let paths = [
        "/denied",
        "/asked",
        "/ruled",
        "/ruled?a=1",
        "/open",
        "/open?a=1",
        "/page",
    ];
    let methods = ["GET", "HEAD", "POST", "DELETE", "OPTIONS"];
    let all = paths
        .iter()
        .flat_map(|path| methods.iter().map(move |method| format!("{method} {path}")));
    let all: Vec<String> = all.collect();
    assert_alike((&block, tree), &all, |client, line| {
        let request = format!(
            "{line} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        client.send(&request);
        let answer = client.try_response(line.starts_with("HEAD")).unwrap();
        let body = if answer.status == 200 {
            answer.text()
        } else {
            String::new()
        };
        format!("{} {body}", answer.status)
    });
}

#[test]
fn of_texts_that_begin_at_one_place_the_first_that_is_listed_is_replaced() {
    assert_gets_alike(
        (
            "sub_filter_types *;
            server { listen @LISTEN@; sub_filter_once off;
                location /a { sub_filter aa X; sub_filter aaa Y; sub_filter ab Z; return 200 \"aaaab aab xaaay ab AAB\"; }
                location /b { sub_filter aaa Y; sub_filter aa X; return 200 \"aaaab aab xaaay\"; }
                location /c { sub_filter bcd 1; sub_filter abc 2; return 200 \"abcd abcabcd\"; }
                location /d { sub_filter_once on; sub_filter a 1; sub_filter ab 2; sub_filter b 3; return 200 \"a ab a ab a\"; } }",
            tree,
        ),
        &[],
        &["/a", "/b", "/c", "/d"],
    );
}
