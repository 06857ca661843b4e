//! Variables that a configuration defines are worth what the real nginx says of the tables they were imported from.

use super::heads::imported;
use crate::support::hubgate::HOST;
use crate::support::nginx::Nginx;
use crate::support::{Client, Hubgate, Upstream};

const TABLES: &str = r#"
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
map $arg_h $host_kind { hostnames; default none; *.b.c star; .a.b.c dot; a.* end; Exact.b.c exact; }
map $uri $page { default "other $arg_h"; /p "the page"; ~^/(?<first>[a-z]+)/(\d+)$ "$first-$2"; ~*^/UPPER "upper $connection_upgrade"; \~tilde tilde; }
map "$arg_a:$arg_b" $both { "1:2" yes; ~^1: "half"; }
map $host_kind $chain { star "from $page"; }
geo $arg_ip $net { default out; 10.0.0.0/8 wide; 10.1.0.0/16 narrow; 10.1.2.3 one; fd00::/8 six; 10.2.0.0/16 gone; delete 10.2.0.0/16; }
geo $here { 127.0.0.0/8 loop; }
split_clients "$arg_a-salt" $variant { 12.5% a; 50% b; * c; }
split_clients $arg_h $part { 33% third; }
map $status $told { ~^2 fine; default "not $status"; }
"#;

const TARGETS: &[&str] = &[
    "/p?h=x.b.c&a=1&b=2&ip=10.1.2.3",
    "/P?h=A.B.C&a=1&b=3&ip=10.1.9.9",
    "/user/12?h=q.a.b.c&ip=10.9.9.9",
    "/user/x?h=exact.b.c&ip=10.2.0.1",
    "/upper/y?h=a.z&ip=fd00::7",
    "/?h=b.c&ip=192.0.2.1",
    "/z?h=&ip=nonsense",
    "/~tilde?h=x.y",
];

fn values(mut client: Client, target: &str) -> Vec<String> {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let head = client.response().head;
    ["one", "two", "three"]
        .iter()
        .flat_map(|name| head.all(&format!("x-{name}")))
        .collect()
}

#[test]
fn defined_variables_are_worth_what_nginx_says() {
    let behind = Upstream::saying("");
    let http = format!(
        "{TABLES} server {{ listen @LISTEN@; server_name {HOST}; location / {{ proxy_pass http://{};\n\
         add_header X-One \"[$connection_upgrade][$host_kind][$page][$both][$chain]\";\n\
         add_header X-Two \"[$net][$here][$variant][$part]\";\n\
         add_header X-Three \"[$told]\"; }} }}",
        behind.addr
    );
    let Some(nginx) = Nginx::start(&http, |_| {}) else {
        return;
    };
    let hubgate = Hubgate::start(&imported(&http));
    let more = (0..60).map(|number| format!("/n?a={number}&h={number}x&ip=10.{number}.0.1"));
    let targets = TARGETS
        .iter()
        .map(|target| (*target).to_owned())
        .chain(more);
    for target in targets {
        let theirs = values(nginx.client(), &target);
        let ours = values(hubgate.plain(), &target);
        assert_eq!(theirs.len(), 3, "{target}: {theirs:?}");
        assert_eq!(ours, theirs, "left: hubgate, right: nginx, {target}");
    }
}

#[test]
fn a_table_that_nothing_carried_names_is_left_out_and_one_made_of_itself_is_lost() {
    let server = format!(
        "server {{ listen @LISTEN@; server_name {HOST}; location / {{ proxy_pass http://127.0.0.1:9; }} }}"
    );
    let toml = imported(&format!("{TABLES} {server}"));
    assert!(!toml.contains("[map.") && !toml.contains("[geo."), "{toml}");
}

#[test]
fn the_upstream_that_a_table_names_is_asked_as_nginx_asks_it() {
    let (one, two) = (Upstream::saying("one"), Upstream::saying("two"));
    let http = format!(
        "upstream blue {{ server {}; }} map $arg_to $backend {{ default blue; green {}; none ''; }}\n\
         server {{ listen @LISTEN@; server_name {HOST}; location / {{ proxy_pass http://$backend; }} }}",
        one.addr, two.addr
    );
    let Some(nginx) = Nginx::start(&http, |_| {}) else {
        return;
    };
    let hubgate = Hubgate::start(&imported(&http));
    for target in ["/?to=x", "/", "/a%2Fb?to=green", "/?to=none"] {
        let asked = |mut client: Client| {
            let answer = client.get(HOST, target);
            let hosts = [&one, &two].map(|upstream| {
                let asked = upstream.requests().into_iter().next_back();
                asked.map(|request| (request.head.one("host"), request.head.target()))
            });
            (
                answer.status / 100,
                answer.status < 300 && !answer.text().is_empty(),
                hosts,
            )
        };
        let theirs = asked(nginx.client());
        assert_eq!(
            asked(hubgate.plain()),
            theirs,
            "left: hubgate, right: nginx, {target}"
        );
    }
}
