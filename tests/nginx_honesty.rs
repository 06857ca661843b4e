//! What the import calls carried changes what it writes: each directive of `http` whose fate in `docs/nginx.md` is
//! `carried`, in each block where nginx takes it.
//!
//! A directive that is told as carried and changes nothing is a lie, unless the report tells something else of that line.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it did not do"
)]

use std::collections::BTreeMap;
use std::path::Path;

use hubgate::nginx::import::{Fate, Imported, import};
use hubgate::nginx::{Memory, Options, read};

/// One use of each, other than its default.
#[rustfmt::skip]
const SAMPLES: &[&str] = &[
    "absolute_redirect off;",
    "client_body_timeout 7s;",
    "client_header_buffer_size 3k;",
    "client_header_timeout 7s;",
    "client_max_body_size 7m;",
    "default_type text/css;",
    "error_page 404 /nope.html;",
    "etag off;",
    "if_modified_since before;",
    "ignore_invalid_headers off;",
    "internal;",
    "keepalive_disable none;",
    "keepalive_requests 7;",
    "keepalive_time 7m;",
    "keepalive_timeout 7s;",
    "large_client_header_buffers 3 3k;",
    "lingering_close always;",
    "lingering_time 7s;",
    "lingering_timeout 7s;",
    "max_ranges 3;",
    "merge_slashes off;",
    "port_in_redirect off;",
    "reset_timedout_connection on;",
    "resolver 192.0.2.53;",
    "resolver_timeout 7s;",
    "send_timeout 7s;",
    "server_name_in_redirect on;",
    "types { text/x-odd odd; }",
    "underscores_in_headers on;",
    "proxy_bind 192.0.2.7;",
    "proxy_connect_timeout 7s;",
    "proxy_cookie_domain a.internal b.example;",
    "proxy_cookie_flags a secure;",
    "proxy_cookie_path /a/ /b/;",
    "proxy_hide_header X-Odd;",
    "proxy_ignore_headers X-Accel-Redirect;",
    "proxy_intercept_errors on;",
    "proxy_limit_rate 7k;",
    "proxy_method PUT;",
    "proxy_next_upstream error http_404;",
    "proxy_next_upstream_timeout 7s;",
    "proxy_next_upstream_tries 3;",
    "proxy_pass_request_body off;",
    "proxy_pass_request_headers off;",
    "proxy_read_timeout 7s;",
    "proxy_redirect /a/ /b/;",
    "proxy_send_timeout 7s;",
    "proxy_set_body x;",
    "proxy_set_header X-Odd 1;",
    "proxy_ssl_certificate /x/c.pem; proxy_ssl_certificate_key /x/k.pem;",
    "proxy_ssl_conf_command MinProtocol TLSv1.3;",
    "proxy_ssl_crl /x/crl.pem;",
    "proxy_ssl_password_file /x/p;",
    "proxy_ssl_name odd.example;",
    "proxy_ssl_protocols TLSv1.2;",
    "proxy_ssl_server_name on;",
    "proxy_ssl_trusted_certificate /x/other.pem;",
    "proxy_ssl_verify on;",
    "proxy_ssl_verify_depth 7;",
    "grpc_bind 192.0.2.7;",
    "grpc_connect_timeout 7s;",
    "grpc_hide_header X-Odd;",
    "grpc_ignore_headers X-Accel-Redirect;",
    "grpc_intercept_errors on;",
    "grpc_next_upstream error http_404;",
    "grpc_next_upstream_timeout 7s;",
    "grpc_next_upstream_tries 3;",
    "grpc_read_timeout 7s;",
    "grpc_send_timeout 7s;",
    "grpc_set_header X-Odd 1;",
    "grpc_ssl_certificate /x/c.pem; grpc_ssl_certificate_key /x/k.pem;",
    "grpc_ssl_crl /x/crl.pem;",
    "grpc_ssl_name odd.example;",
    "grpc_ssl_protocols TLSv1.2;",
    "grpc_ssl_server_name on;",
    "grpc_ssl_trusted_certificate /x/other.pem;",
    "grpc_ssl_verify on;",
    "grpc_ssl_verify_depth 7;",
    "hash $request_uri;",
    "ip_hash;",
    "keepalive 7;",
    "least_conn;",
    "random;",
    "http2_max_concurrent_streams 7;",
    "ssl_client_certificate /x/other.pem;",
    "ssl_ecdh_curve secp384r1;",
    "ssl_password_file /x/pw;",
    "ssl_protocols TLSv1.3;",
    "ssl_verify_client off;",
    "allow 192.0.2.7;",
    "auth_basic odd;",
    "auth_basic_user_file /x/users;",
    "auth_delay 7s;",
    "auth_request /odd;",
    "auth_request_set $odd $upstream_status;",
    "deny 192.0.2.7;",
    "limit_conn odd 7;",
    "limit_conn_dry_run on;",
    "limit_conn_log_level info;",
    "limit_conn_status 429;",
    "limit_rate 7k;",
    "limit_rate_after 7k;",
    "limit_req zone=oddr burst=7;",
    "limit_req_dry_run on;",
    "limit_req_log_level info;",
    "limit_req_status 429;",
    "real_ip_header X-Odd;",
    "real_ip_recursive on;",
    "satisfy any;",
    "set_real_ip_from 192.0.2.7;",
    "return 204;",
    "rewrite ^/odd /even;",
    "set $odd 7;",
    "valid_referers odd.example;",
    "autoindex on;",
    "autoindex_exact_size off;",
    "autoindex_format json;",
    "autoindex_localtime on;",
    "disable_symlinks on;",
    "empty_gif;",
    "index odd.html;",
    "root /odd;",
    "stub_status;",
    "try_files /odd =404;",
    "add_header X-Odd 1;",
    "charset koi8-r;",
    "charset_types text/odd;",
    "expires 7d;",
    "gunzip on;",
    "gzip on;",
    "gzip_comp_level 7;",
    "gzip_disable odd;",
    "gzip_http_version 1.0;",
    "gzip_min_length 777;",
    "gzip_proxied any;",
    "gzip_static on;",
    "gzip_types text/odd;",
    "gzip_vary on;",
    "mirror /odd;",
    "mirror_request_body off;",
    "override_charset on;",
    "sub_filter odd even;",
    "sub_filter_last_modified on;",
    "sub_filter_once off;",
    "sub_filter_types text/odd;",
    "access_log /x/odd.log;",
    "error_log /x/odd.err warn;",
];

/// Blocks themselves, and what the others cannot be without.
const WITHOUT_SAMPLE: &[&str] = &[
    "alias",
    "break",
    "geo",
    "grpc_pass",
    "grpc_ssl_certificate_key",
    "http2",
    "if",
    "limit_conn_zone",
    "limit_except",
    "limit_req_zone",
    "listen",
    "location",
    "log_format",
    "map",
    "max_headers",
    "proxy_pass",
    "proxy_ssl_certificate_key",
    "server",
    "server_name",
    "split_clients",
    "ssl",
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_crl",
    "ssl_reject_handshake",
    "ssl_verify_client",
    "upstream",
];

/// Where a directive is put, by its block.
const BASE: &str = "events {}
http {
    limit_conn_zone $binary_remote_addr zone=odd:1m; limit_req_zone $binary_remote_addr zone=oddr:1m rate=1r/s;
    limit_conn_zone $uri zone=b:1m; limit_req_zone $uri zone=br:1m rate=1r/s;
    @http@
    upstream up { @upstream@ server 192.0.2.1:80; server 192.0.2.2:80; }
    server { listen 80; listen 443 ssl; ssl_certificate /x/s.pem; ssl_certificate_key /x/s.key; server_name a.example;
        @server@
        location /pass/ { @needs@ @location@ proxy_pass https://up; if ($arg_i) { @if in location@ set $q 1; }
            limit_except GET { @limit_except@ deny 192.0.2.99; } }
        location /grpc/ { @grpc@ @location@ grpc_pass grpcs://up; }
        location /files/ { @needs@ @location@ root /srv; }
        location /plain/ { @plain@ }
        location = /odd { return 200 x; }
    }
}
";

/// Without what a directive means nothing.
fn needs(name: &str) -> &'static str {
    match name {
        name if name.starts_with("limit_conn_") => "limit_conn b 3;",
        name if name.starts_with("limit_req_") => "limit_req zone=br;",
        name if name.starts_with("real_ip") => "set_real_ip_from 192.0.2.8;",
        "set_real_ip_from" => "real_ip_header X-Real-IP;",
        "gzip_static" => "",
        name if name.starts_with("gzip_") => "gzip on;",
        name if name.starts_with("autoindex_") => "autoindex on;",
        name if name.starts_with("sub_filter_") => "sub_filter a b;",
        "charset_types" | "override_charset" => "charset utf-8;",
        "mirror_request_body" => "mirror /odd;",
        "auth_basic_user_file" => "auth_basic x;",
        "auth_basic" => "auth_basic_user_file /x/u;",
        "auth_delay" => "auth_basic x; auth_basic_user_file /x/u;",
        "satisfy" => "allow 192.0.2.8; auth_basic x; auth_basic_user_file /x/u;",
        "auth_request_set" => "auth_request /odd; add_header X-O $odd;",
        "set" => "add_header X-O $odd;",
        "limit_rate_after" => "limit_rate 9k;",
        "proxy_ssl_password_file" => {
            "proxy_ssl_certificate /x/c.pem; proxy_ssl_certificate_key /x/k.pem;"
        }
        "proxy_ssl_verify" => "proxy_ssl_trusted_certificate /x/t.pem;",
        "proxy_ssl_trusted_certificate" => "proxy_ssl_verify on;",
        "proxy_ssl_crl" | "proxy_ssl_verify_depth" => {
            "proxy_ssl_verify on; proxy_ssl_trusted_certificate /x/t.pem;"
        }
        "grpc_ssl_verify" => "grpc_ssl_trusted_certificate /x/t.pem;",
        "grpc_ssl_trusted_certificate" => "grpc_ssl_verify on;",
        "grpc_ssl_crl" | "grpc_ssl_verify_depth" => {
            "grpc_ssl_verify on; grpc_ssl_trusted_certificate /x/t.pem;"
        }
        _ => "",
    }
}

fn imported(line: &str, block: &str, name: &str) -> Result<Imported, String> {
    let grpc = name.starts_with("grpc_");
    let mut text = BASE.replace(&format!("@{block}@"), line);
    let plain = if block == "location" { line } else { "" };
    let (of_proxy, of_grpc) = match grpc {
        true => ("", needs(name)),
        false => (needs(name), ""),
    };
    for (slot, given) in [("needs", of_proxy), ("grpc", of_grpc), ("plain", plain)] {
        text = text.replace(&format!("@{slot}@"), given);
    }
    if name == "root" {
        text = text.replace("root /srv;", "");
    }
    // A variable has to be defined somewhere.
    if name == "set" || name == "auth_request_set" {
        let elsewhere = "http { server { server_name elsewhere; set $odd 0; }";
        text = text.replace("http {", elsewhere);
    }
    if name == "resolver_timeout" {
        text = text.replace("http {", "http { resolver 192.0.2.4;");
    }
    for slot in [
        "http",
        "upstream",
        "server",
        "location",
        "if in location",
        "limit_except",
    ] {
        text = text.replace(&format!("@{slot}@"), "");
    }
    let path = Path::new("/etc/nginx/nginx.conf");
    let files = Memory(BTreeMap::from([(path.to_owned(), text.into_bytes())]));
    let options = Options {
        globals: String::new(),
        keep_unknown: true,
    };
    let tree = read(&files, path, &options).map_err(|refused| refused.0.to_string())?;
    Ok(import(&tree))
}

/// What is written, without comments.
fn written(imported: &Imported) -> toml::Table {
    imported.toml.parse().unwrap()
}

/// The carried directives of `http`, and where each may stand.
fn carried() -> BTreeMap<String, Vec<String>> {
    const BLOCKS: &[&str] = &[
        "http",
        "server",
        "location",
        "if in location",
        "limit_except",
        "upstream",
    ];
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let document = hubgate::nginx::document();
    for row in document.lines().filter(|row| row.starts_with("| `")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, name, blocks, _, "carried", ..] = cells[..] else {
            continue;
        };
        let name = name
            .trim_start_matches('`')
            .split('`')
            .next()
            .unwrap_or_default();
        let blocks = blocks
            .split(',')
            .map(str::trim)
            .filter(|block| BLOCKS.contains(block));
        let blocks: Vec<_> = blocks.map(str::to_owned).collect();
        if !name.starts_with('$') && !blocks.is_empty() {
            found.entry(name.to_owned()).or_default().extend(blocks);
        }
    }
    found
}

#[test]
fn what_is_told_as_carried_changes_what_is_written() {
    let carried = carried();
    let name_of = |line: &str| line.split([' ', ';']).next().unwrap_or_default().to_owned();
    let mut lies = Vec::new();
    for line in SAMPLES {
        let name = name_of(line);
        for block in carried.get(&name).into_iter().flatten() {
            let both = (imported("", block, &name), imported(line, block, &name));
            let (Ok(without), Ok(with)) = &both else {
                lies.push(format!("{line} in {block} is refused: {:?}", both.1.err()));
                continue;
            };
            let words = line.split(';').next().unwrap_or_default();
            let mut told = with.report.lines.iter();
            let told = told.any(|own| own.directive == words && own.fate != Fate::Carried);
            if !told && written(without) == written(with) {
                lies.push(format!("{line} in {block}"));
            }
        }
    }
    // Without one to check by nginx refuses.
    lies.retain(|lie| !lie.contains("_ssl_trusted_certificate /x/other.pem;"));
    // Nobody is asked by it, which is so without it.
    lies.retain(|lie| !lie.starts_with("ssl_verify_client off;"));
    assert!(
        lies.is_empty(),
        "carried without effect:\n{}",
        lies.join("\n")
    );
    let left = carried.keys().filter(|name| {
        let sampled = SAMPLES.iter().any(|line| name_of(line) == **name);
        !sampled && !WITHOUT_SAMPLE.contains(&&***name)
    });
    let left: Vec<_> = left.collect();
    if !left.is_empty() {
        eprintln!("without a sample here, so not looked at: {left:?}");
    }
}
