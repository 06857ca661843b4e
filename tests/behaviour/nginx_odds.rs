//! Habits of nginx's that configurations lean on without saying so: answered by both with the same file, and compared.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::hubgate::HOST;
use crate::support::nginx::{assert_alike, assert_carried, assert_gets_alike, imported};
use crate::support::{Hubgate, eventually};

fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("www/in")).unwrap();
    for (name, text) in [
        ("www/page.html", "page"),
        ("www/in/file", "within"),
        ("www/large", &"x".repeat(20_000)),
    ] {
        fs::write(dir.join(name), text).unwrap();
    }
}

/// Asks both, and compares.
#[track_caller]
fn alike(block: &str, fields: &[&str], requests: &[&str]) {
    assert_gets_alike((block, tree), fields, requests);
}

#[test]
fn a_rewrite_that_makes_two_slashes_leads_to_a_place_with_two_slashes() {
    let block = "server { listen @LISTEN@; root www;
        location /page { if (!-f $request_filename) { rewrite (.*) /$1 last; } }
        location /in { rewrite (.*) /in//file break; }
        location / { return 200 \"led to $uri\"; } }";
    alike(block, &[], &["/page.html", "/pages", "//pages", "/in/x"]);
}

#[test]
fn fields_with_odd_names_count_as_the_server_says() {
    let said = "/|X_One: 1|X-Two: 2|X.Three: 3|_four: 4";
    for how in [
        "",
        "underscores_in_headers on;",
        "ignore_invalid_headers off;",
        "ignore_invalid_headers off; underscores_in_headers on;",
    ] {
        let block = format!(
            "server {{ listen @LISTEN@; {how} location / {{ return 200 \"$http_x_one $http_x_two $http__four\"; }} }}"
        );
        alike(&block, &[], &[said]);
    }
}

#[test]
fn a_break_before_a_return_leaves_the_request_to_files_and_an_alias_holds_within_an_if() {
    alike(
        "server { listen @LISTEN@; root www; default_type text/plain;
            location / { if ($arg_stop) { break; } return 200 returned; }
            location /alias/ { alias www/in/; if ($arg_x) { add_header X-If yes; } }
            location /whole { alias www/page.html; if ($arg_x) { add_header X-If yes; } } }",
        &["x-if"],
        &[
            "/page.html",
            "/page.html?stop=1",
            "/none?stop=1",
            "/alias/file",
            "/alias/file?x=1",
            "/alias/none?x=1",
            "/whole?x=1",
        ],
    );
}

#[test]
fn an_expression_of_a_condition_may_end_with_a_group() {
    alike(
        "server { listen @LISTEN@;
            location / { if ($arg_a ~* \"x=([^;]+)(?:;|$)\") { set $quoted $1; }
                if ( $arg_a ~ (y) ) { set $plain $1; }
                return 200 \"$quoted $plain\"; } }",
        &[],
        &["/?a=x=77;", "/?a=xy", "/?a=x=y", "/"],
    );
}

#[test]
fn locations_within_one_with_an_alias_have_its_files() {
    alike(
        "server { listen @LISTEN@; default_type text/plain;
            location /s/ { alias www/;
                location ~ html$ { add_header X-In regex; }
                location /s/in/ { add_header X-In prefix; index file; }
                location = /s/large { add_header X-In exact; }
                location ~ tried$ { try_files $uri $uri.none /s/page.html =404; }
                location ~ told$ { if ($arg_x) { return 200 \"$request_filename\"; } }
                location /s/rooted/ { root www; } } }",
        &["x-in"],
        &[
            "/s/page.html",
            "/s/in/file",
            "/s/in/",
            "/s/large",
            "/s/x.tried",
            "/s/none.html",
            "/s/in/none",
            "/s/rooted/x",
            "/page.html",
        ],
    );
}

#[test]
fn what_answers_in_place_of_an_error_has_the_fields_of_the_errors_status() {
    alike(
        "server { listen @LISTEN@; root www; default_type text/plain;
            location / { add_header X-Some some; add_header X-All all always; return 200 body; }
            location /same { error_page 405 /; return 405; }
            location /other { error_page 405 =200 /; return 405; } }",
        &["x-some", "x-all"],
        &["/", "/same", "/other"],
    );
}

#[test]
fn a_returned_body_has_the_type_of_its_paths_extension() {
    alike(
        "types { application/json json; text/css css; } default_type text/plain;
        server { listen @LISTEN@;
            location = /a.json { return 200 '{}'; }
            location = /b.css { default_type x/y; return 200 b; }
            location = /c.none { default_type x/y; return 200 c; }
            location = /d { return 200 d; } }",
        &["content-type"],
        &["/a.json", "/b.css", "/c.none", "/d"],
    );
}

/// How long the answer to `target` takes, and its length.
fn time_of(hubgate: &Hubgate, target: &str) -> (Duration, usize) {
    let begun = Instant::now();
    let answer = hubgate.plain().get(HOST, target);
    (begun.elapsed(), answer.text().len())
}

#[test]
fn a_rate_holds_for_files_and_for_what_is_returned() {
    let text = "y".repeat(3000);
    let block = format!(
        "server {{ listen @LISTEN@; root www; default_type text/plain;
            location /large {{ limit_rate 12k; }}
            location /after {{ limit_rate 12k; limit_rate_after 32k; alias www/large; }}
            location /text {{ limit_rate 1k; return 200 {text}; }} }}"
    );
    let (hubgate, report) = imported(&block, tree);
    assert_carried(&report);
    // A second's worth may go at once.
    for (target, length, least) in [
        ("/large", 20_000, 500),
        ("/text", 3000, 1500),
        ("/after", 20_000, 0),
    ] {
        let (took, sent) = time_of(&hubgate, target);
        assert_eq!(sent, length, "{target}");
        assert!(took >= Duration::from_millis(least), "{target}: {took:?}");
    }
}

#[test]
fn a_connection_in_the_middle_of_a_head_counts_as_reading() {
    let block = "server { listen @LISTEN@; location /counts { stub_status; }
        location / { return 200 \"$connections_active $connections_reading $connections_writing $connections_waiting\"; } }";
    let (hubgate, report) = imported(block, tree);
    assert_carried(&report);
    let said = |target: &str| hubgate.plain().get(HOST, target).text();
    let mut slow = hubgate.plain();
    slow.send("GET / HTTP/1.1\r\n");
    eventually("the half head is seen", || {
        said("/counts").contains("Reading: 1 Writing: 1 ")
    });
    slow.send(format!("Host: {HOST}\r\n\r\n"));
    let whole = slow.try_response(false).unwrap().text();
    let counts: Vec<u32> = whole.split(' ').map(|word| word.parse().unwrap()).collect();
    assert_eq!((counts[1], counts[2]), (0, 1), "{whole}");
    eventually("nobody reads", || said("/counts").contains("Reading: 0 "));
}

#[test]
fn files_are_named_by_maps_and_by_variables_that_are_set() {
    alike(
        "map $arg_x $which { default page.html; in in/file; none none; }
        server { listen @LISTEN@; root www; default_type text/plain;
            location / { index $which; }
            location /try { try_files /$which =404; }
            location /set { set $name in/file; try_files /$name =404; } }",
        &[],
        &[
            "/",
            "/?x=in",
            "/?x=none",
            "/try",
            "/try?x=in",
            "/try?x=none",
            "/set",
        ],
    );
}

#[test]
fn a_redirect_for_a_client_that_names_no_host_names_the_address() {
    let block = "server { listen @LISTEN@; location / { return 301 /there; } location /off { absolute_redirect off; return 301 /there; } }";
    assert_alike((block, tree), &["/", "/off"], |client, target| {
        let answer = client.exchange(format!("GET {target} HTTP/1.0\r\n\r\n"));
        let location = answer.head.all("location").join(" ");
        let port = client.tcp().peer_addr().unwrap().port();
        format!(
            "{} {}",
            answer.status,
            location.replace(&format!(":{port}/"), ":PORT/")
        )
    });
}
