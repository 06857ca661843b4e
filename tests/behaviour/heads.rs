//! What a route changes in heads is what the real nginx changes by the directives that say the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hubgate::nginx::import::import;
use hubgate::nginx::{Memory, Options, read};

use crate::support::hubgate::{HOST, one_site};
use crate::support::nginx::{Nginx, assert_alike};
use crate::support::{Client, Conn, Head, Hubgate, Upstream};

/// An upstream whose answer has something for each rule; `s=` in the target is its status.
fn upstream() -> Upstream {
    Upstream::start(|conn: &mut Conn| {
        while let Some(head) = conn.request() {
            let target = String::from_utf8_lossy(&head.target()).into_owned();
            let status = target
                .split_once("s=")
                .map_or("302", |(_, rest)| &rest[..3]);
            let answer = format!(
                "HTTP/1.1 {status} Said\r\nLocation: http://backend.internal:8000/one/x?q\r\n\
                 Refresh: 5; URL=http://backend.internal:8000/r\r\n\
                 Set-Cookie: a=1; Domain=.a.internal; Path=/one/; secure\r\n\
                 Set-Cookie: sid=2;path=/;  HttpOnly; SameSite=Lax\r\n\
                 Set-Cookie: odd\r\n\
                 Set-Cookie: B = 3 ; domain=B.a.Internal\r\n\
                 X-Powered-By: p\r\nX-Other: o\r\nCache-Control: private\r\n\
                 Cache-Control: no-store\r\nExpires: 0\r\n\
                 Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT\r\nETag: \"e\"\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            if conn.try_send(answer).is_err() {
                return;
            }
        }
    })
}

/// Directives of a location, and keys of a route, that say the same.
const CASES: &[(&str, &str)] = &[
    ("", ""),
    (
        "proxy_set_header Host $host; proxy_set_header X-A \"$http_x_given-$remote_addr-$scheme\"; proxy_set_header Accept-Encoding \"\"; proxy_set_header X-Empty $http_nothing; proxy_set_header x-given new; proxy_set_header Cookie \"$cookie_b; c=$arg_s\";",
        "request_headers = { Host = \"$host\", X-A = \"$http_x_given-$remote_addr-$scheme\", Accept-Encoding = \"\", X-Empty = \"$http_nothing\", x-given = \"new\", Cookie = \"$cookie_b; c=$arg_s\" }",
    ),
    (
        "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Real-IP $remote_addr;",
        "request_headers = { Host = \"$http_host\", X-Forwarded-For = \"$proxy_add_x_forwarded_for\", X-Real-IP = \"$remote_addr\" }",
    ),
    (
        "add_header X-A \"$request_method $arg_s\"; add_header X-B b always; add_header X-None $http_nothing always; add_header X-Other also; add_header Cache-Control added; add_header ETag new; add_header X-Status $upstream_status-$status always;",
        "response_headers = [{ add = \"X-A\", value = \"$request_method $arg_s\" }, { add = \"X-B\", value = \"b\", always = true }, { add = \"X-None\", value = \"$http_nothing\", always = true }, { add = \"X-Other\", value = \"also\" }, { add = \"Cache-Control\", value = \"added\" }, { set = \"ETag\", value = \"new\" }, { add = \"X-Status\", value = \"$upstream_status-$status\", always = true }]",
    ),
    (
        "proxy_hide_header x-powered-by; proxy_hide_header Set-Cookie;",
        "hide_headers = [\"x-powered-by\", \"Set-Cookie\"]",
    ),
    ("expires 30d;", "expires = \"30d\""),
    ("expires -1;", "expires = \"-1\""),
    ("expires epoch;", "expires = \"epoch\""),
    (
        "expires max; add_header Cache-Control public;",
        "expires = \"max\"\nresponse_headers = [{ add = \"Cache-Control\", value = \"public\" }]",
    ),
    ("expires off;", "expires = \"off\""),
    ("expires $arg_until;", "expires = \"$arg_until\""),
    (
        "proxy_redirect http://backend.internal:8000/one/ /two/; proxy_redirect ~^http://([^/]+):8000(/.*)$ https://$1$2;",
        "location_headers = [[\"http://backend.internal:8000/one/\", \"/two/\"], [\"~^http://([^/]+):8000(/.*)$\", \"https://$1$2\"]]",
    ),
    (
        "proxy_redirect ~*^HTTP://BACKEND\\.internal:8000/(?<rest>.*)$ https://$host/$rest;",
        "location_headers = [[\"~*^HTTP://BACKEND\\\\.internal:8000/(?<rest>.*)$\", \"https://$host/$rest\"]]",
    ),
    (
        "proxy_cookie_domain a.internal example.org; proxy_cookie_path /one/ /; proxy_cookie_flags sid nohttponly samesite=strict secure;",
        "cookies = { domain = [[\"a.internal\", \"example.org\"]], path = [[\"/one/\", \"/\"]], flags = [[\"sid\", \"nohttponly samesite=strict secure\"]] }",
    ),
    (
        "proxy_cookie_domain ~\\.?(\\w)\\.(a\\.internal)$ $1.$host; proxy_cookie_path ~*^/ONE/?$ /x$arg_until; proxy_cookie_flags ~^[AB]$ httponly nosecure;",
        "cookies = { domain = [[\"~\\\\.?(\\\\w)\\\\.(a\\\\.internal)$\", \"$1.$host\"]], path = [[\"~*^/ONE/?$\", \"/x$arg_until\"]], flags = [[\"~^[AB]$\", \"httponly nosecure\"]] }",
    ),
];

const QUERIES: &[&str] = &[
    "s=200&until=60",
    "s=302&until=-1",
    "s=404&until=max",
    "s=204&until=what",
    "s=304&until=epoch",
];

/// The lines of a head, without those that a proxy says of itself, and without dates of now.
fn said(head: &Head) -> Vec<String> {
    const OWN: &[&str] = &[
        "date",
        "server",
        "connection",
        "content-length",
        "x-request-id",
    ];
    let mut lines: Vec<_> = head
        .fields
        .iter()
        .map(|(name, value)| {
            (
                name.to_ascii_lowercase(),
                String::from_utf8_lossy(value).into_owned(),
            )
        })
        .filter(|(name, _)| !OWN.contains(&&**name))
        .map(|(name, value)| match &*name {
            "expires"
                if !["1970", "2037"].iter().any(|year| value.contains(year)) && value != "0" =>
            {
                (name, "a date".to_owned())
            }
            _ => (name, value),
        })
        .collect();
    // Among those of one name the order means something.
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

fn ask(mut client: Client, case: usize, query: &str) -> Vec<String> {
    client.send(format!(
        "GET /c{case}/p%20q?{query} HTTP/1.1\r\nHost: hub.test:81\r\nX-Given: 1\r\nCookie: a=1; b=2\r\nAccept-Encoding: gzip\r\nX-Forwarded-For: 198.51.100.9\r\nX-Real-IP: 198.51.100.9\r\n\r\n"
    ));
    let response = client.response();
    let status = response.status;
    [vec![format!("status {status}")], said(&response.head)].concat()
}

fn asked(upstream: &Upstream) -> Vec<String> {
    let request = upstream.last_request();
    let target = String::from_utf8_lossy(&request.head.target()).into_owned();
    [vec![target], said(&request.head)].concat()
}

#[test]
fn heads_change_as_nginx_changes_them() {
    let behind = upstream();
    let addr = behind.addr;
    let mut http =
        "server { listen @LISTEN@; absolute_redirect off; proxy_redirect off;\n".to_owned();
    let mut toml = format!(
        "[site.\"{HOST}\"]\ncertificate = \"none\"\n[upstream.up]\nendpoints = [\"{addr}\"]\n"
    );
    for (case, (theirs, ours)) in CASES.iter().enumerate() {
        http += &format!("location /c{case}/ {{ proxy_pass http://{addr}; {theirs} }}\n");
        toml += &format!(
            "[[site.\"{HOST}\".route]]\npath = \"/c{case}/\"\nupstream = \"up\"\nforwarded = false\n{ours}\n"
        );
        if !ours.contains("Host =") {
            // nginx's default.
            toml += &format!("request_headers.Host = \"{addr}\"\n");
        }
    }
    let Some(nginx) = Nginx::start(&(http + "}"), |_| {}) else {
        return;
    };
    let hubgate = Hubgate::start(&toml);
    for (case, (directives, _)) in CASES.iter().enumerate() {
        for query in QUERIES {
            let theirs = (ask(nginx.client(), case, query), asked(&behind));
            let ours = (ask(hubgate.plain(), case, query), asked(&behind));
            assert_eq!(
                ours, theirs,
                "left: hubgate, right: nginx with {directives} for {query}"
            );
        }
    }
}

/// hubgate's configuration for nginx's, with an address to be filled in.
pub(crate) fn imported(http: &str) -> String {
    let text = format!(
        "events {{}} http {{ {} }}",
        http.replace("@LISTEN@", "127.0.0.1:4711")
    );
    let path = PathBuf::from("/etc/nginx/nginx.conf");
    let files = Memory(BTreeMap::from([(path.clone(), text.into_bytes())]));
    let options = Options {
        globals: String::new(),
        keep_unknown: false,
    };
    let tree = read(&files, &path, &options).unwrap_or_else(|refused| panic!("{}", refused.0));
    let imported = import(&tree);
    assert_eq!(imported.report.lost(), 0, "{}", imported.report.render());
    // The kit waits for its port for https too.
    let toml = imported.toml.replace("https = []\n", "");
    toml.replace("127.0.0.1:4711", "@HTTP@")
}

#[test]
fn an_imported_configuration_changes_heads_as_nginx_does() {
    let behind = upstream();
    let addr = behind.addr;
    // What stands further out counts where nothing of the kind stands further in.
    let mut http = format!(
        "proxy_set_header X-Outer 1; add_header X-Outer 2 always; proxy_hide_header X-Other;\n\
         server {{ listen @LISTEN@; server_name {HOST}; absolute_redirect off; proxy_cookie_flags ~. secure;\n\
         location / {{ proxy_pass http://{addr}; }}\n"
    );
    for (case, (directives, _)) in CASES.iter().enumerate() {
        http += &format!("location /c{case}/ {{ proxy_pass http://{addr}; {directives} }}\n");
    }
    let redirected = CASES.len();
    http += &format!(
        "location /c{redirected}/ {{ proxy_pass http://{addr}/deep/; proxy_redirect default; proxy_redirect http://backend.internal:8000/ http://$proxy_host/$scheme/; proxy_set_header X-Host $proxy_host; }}\n"
    );
    http += "}";
    let Some(nginx) = Nginx::start(&http, |_| {}) else {
        return;
    };
    let hubgate = Hubgate::start(&imported(&http));
    for case in 0..=redirected {
        for query in QUERIES {
            let theirs = (ask(nginx.client(), case, query), asked(&behind));
            let ours = (ask(hubgate.plain(), case, query), asked(&behind));
            // The target below a path is decoded by nginx.
            let of = |(answer, asked): &(Vec<String>, Vec<String>)| {
                (answer.clone(), asked[1..].to_vec())
            };
            assert_eq!(
                of(&ours),
                of(&theirs),
                "left: hubgate, right: nginx, case {case} for {query}"
            );
        }
    }
}

#[test]
fn the_upstream_is_asked_for_what_the_target_says() {
    let behind = upstream();
    let addr = behind.addr;
    let cases = [
        ("$request_uri", "/x$request_uri"),
        ("/y$is_args$args", "/y$is_args$args"),
        ("/z/$arg_s", "/z/$arg_s"),
    ];
    let mut http = "server { listen @LISTEN@; \n".to_owned();
    let mut toml = format!(
        "[site.\"{HOST}\"]\ncertificate = \"none\"\n[upstream.up]\nendpoints = [\"{addr}\"]\n"
    );
    for (case, (theirs, ours)) in cases.iter().enumerate() {
        let theirs = if case == 0 { "/x$request_uri" } else { theirs };
        http += &format!("location /c{case}/ {{ proxy_pass http://{addr}{theirs}; }}\n");
        toml += &format!(
            "[[site.\"{HOST}\".route]]\npath = \"/c{case}/\"\nupstream = \"up\"\ntarget = \"{ours}\"\n"
        );
    }
    let Some(nginx) = Nginx::start(&(http + "}"), |_| {}) else {
        return;
    };
    let hubgate = Hubgate::start(&toml);
    for case in 0..cases.len() {
        for rest in ["a%2Fb//c?s=200&x=%20", "", "?", "a;b?s=204#f"] {
            let asked_by = |mut client: Client| {
                client.send(format!(
                    "GET /c{case}/{rest} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
                ));
                client.response();
                behind.last_request().head.target()
            };
            let (theirs, ours) = (asked_by(nginx.client()), asked_by(hubgate.plain()));
            let text = |target: &[u8]| String::from_utf8_lossy(target).into_owned();
            assert_eq!(text(&ours), text(&theirs), "case {case} with {rest}");
        }
    }
}

#[test]
fn a_route_goes_to_the_upstream_that_its_text_names_for_the_request() {
    let (one, two) = (Upstream::saying("one"), Upstream::saying("two"));
    let toml = format!(
        "{}[upstream.two]\nendpoints = [\"{}\"]\n",
        one_site(one.addr, "").replace("upstream = \"up\"", "upstream = \"$arg_up\""),
        two.addr
    );
    let hubgate = Hubgate::start(&toml);
    let ask = |target: &str| hubgate.plain().get(HOST, target);
    assert_eq!(ask("/?up=up").text(), "one");
    assert_eq!(ask("/?up=two").text(), "two");
    for nobody in ["/", "/?up=three", "/?up=a%00"] {
        assert!(ask(nobody).status >= 500, "{nobody}");
    }
}

#[test]
fn a_value_of_a_request_never_ends_a_line_of_the_upstreams_head() {
    let behind = Upstream::saying("");
    let more = "target = \"/t$arg_t\"\nrequest_headers = { X-A = \"$arg_a\" }";
    let hubgate = Hubgate::start(&one_site(behind.addr, more));
    hubgate.h2().get("/?t=%0d%0aX-B:%201&a=%0d%0aX-B:%201");
    let head = behind.last_request().head;
    assert_eq!(head.all("x-b").len(), 0);
    assert_eq!(head.one("x-a"), "%0d%0aX-B:%201");
}

#[test]
fn answers_of_hubgates_own_get_what_their_site_or_route_adds() {
    let behind = Upstream::saying("");
    let toml = one_site(behind.addr, "response_headers = [{ add = \"X-Route\", value = \"$status\", always = true }]")
        .replace("http = \"forward\"", "http = \"forward\"\nresponse_headers = [{ add = \"X-Site\", value = \"1\", always = true }, { add = \"X-Fine\", value = \"1\" }]")
        + &format!("[[site.\"{HOST}\".route]]\nexact = \"/own\"\nrespond = {{ status = 404 }}\n")
        + &format!("[[site.\"{HOST}\".route]]\nexact = \"/gone\"\nupstream = \"none\"\n[upstream.none]\nendpoints = [\"127.0.0.1:9\"]\n");
    let hubgate = Hubgate::start(&toml);
    let passed = hubgate.plain().get(HOST, "/x").head;
    assert_eq!(
        (
            passed.one("x-site"),
            passed.one("x-route"),
            passed.one("x-fine")
        ),
        ("1".into(), "200".into(), "1".into())
    );
    let own = hubgate.tls().get(HOST, "/own").head;
    let by_h2 = hubgate.h2().get("/own").fields;
    assert_eq!(by_h2["x-site"], "1");
    assert_eq!(
        (own.one("x-site"), own.has("x-route"), own.has("x-fine")),
        ("1".into(), false, false)
    );
    let failed = hubgate.plain().get(HOST, "/gone").head;
    assert_eq!(failed.one("x-site"), "1");
    assert!(failed.has("x-hubgate-cause"));
}

#[test]
fn fields_of_own_answers_are_about_the_status_and_the_page_that_leave() {
    let behind = Upstream::saying("");
    let added = "response_headers = [{ add = \"X-Content-Type-Options\", value = \"nosniff\", always = true }, \
         { add = \"X-Told\", value = \"$status $sent_http_content_type\", always = true }, { add = \"X-Fine\", value = \"1\" }]";
    let toml = one_site(behind.addr, "").replace(
        "http = \"forward\"",
        &format!("http = \"forward\"\n{added}"),
    ) + &format!(
        "[[site.\"{HOST}\".route]]\nexact = \"/gone\"\nerrors = [{{ on = [404], to = \"/own\" }}]\nrespond = {{ status = 404 }}\n"
    ) + &format!(
        "[[site.\"{HOST}\".route]]\nexact = \"/own\"\nrespond = {{ status = 200, body = \"own\" }}\n"
    ) + &format!(
        "[[site.\"{HOST}\".route]]\nexact = \"/bare\"\nrespond = {{ status = 403 }}\n"
    ) + "[error_pages]\nbare = true\n";
    let hubgate = Hubgate::start(&toml);
    let own = hubgate.plain().get(HOST, "/gone");
    assert_eq!((own.status, own.body.bytes.as_slice()), (404, &b"own"[..]));
    assert_eq!(own.head.one("x-told"), "404 text/plain");
    assert!(!own.head.has("x-fine"), "a 404 is no answer that gets it");
    let bare = hubgate.plain().get(HOST, "/bare").head;
    assert_eq!(bare.one("x-told"), "403 text/html");
    assert_eq!(bare.one("x-content-type-options"), "nosniff");
}

#[test]
fn the_redirect_to_a_missing_slash_gets_what_the_route_behind_it_adds() {
    let behind = Upstream::saying("");
    let added = format!(
        "[[site.\"{HOST}\".route]]\npath = \"/deep/\"\nupstream = \"up\"\n\
         response_headers = [{{ add = \"X-Deep\", value = \"1\", always = true }}]\n"
    );
    let toml = one_site(behind.addr, "").replace("[upstream", &format!("{added}[upstream"));
    let hubgate = Hubgate::start(&toml);
    let slash = hubgate.plain().get(HOST, "/deep");
    assert_eq!((slash.status, slash.head.one("x-deep")), (301, "1".into()));
    assert!(!hubgate.plain().get(HOST, "/other").head.has("x-deep"));
}

#[test]
fn a_server_that_only_answers_adds_to_that_what_nginx_adds() {
    let block = format!(
        "server {{ listen @LISTEN@; server_name {HOST}; \
         add_header Strict-Transport-Security max-age=5 always; add_header X-Fine 1; expires 1h; \
         if ($arg_if) {{ return 302 /if; }} return 301 https://x.test$request_uri; }}"
    );
    assert_alike(
        (&block, |_| {}),
        &["GET /a?b", "POST /a", "GET /a?if=1"],
        |client, line| {
            let request = format!("{line} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n");
            let answer = client.exchange(&request);
            let told = [
                "location",
                "strict-transport-security",
                "x-fine",
                "cache-control",
            ];
            // What a condition answers has no route, and so nothing that is added.
            let told = if line.ends_with("if=1") {
                &told[..0]
            } else {
                &told[..]
            };
            let path = |value: String| {
                value
                    .rsplit_once(".test")
                    .map_or(value.clone(), |(_, path)| path.to_owned())
            };
            let told = told.iter().map(|name| path(answer.head.all(name).concat()));
            format!("{} {:?}", answer.status, told.collect::<Vec<_>>())
        },
    );
}
