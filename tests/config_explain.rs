//! What `check --explain` prints is the configuration itself: it loads, and to an equal one.
//!
//! Proven on a file that sets every key of the reference, and on random parts of it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use hubgate::config::{Config, Source, explain, parse};
use proptest::prelude::*;

fn load(text: &str) -> Config {
    match parse(&Source::new("a.toml", "/etc/hubgate", text)) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("{report}\n{text}"),
    }
}

/// Every key of every table, none at its default.
const EVERYTHING: &str = r#"
[server]
workers = 3
state_dir = "state"
trusted_proxies = ["10.0.0.0/8", "2001:db8::1"]
drain_timeout = "1m 30s"
upgrade_timeout = "20s"
user = "nobody"
group = "nogroup"
worker_user = "daemon"
worker_group = "nogroup"
pid_file = "hubgate.pid"
reload_on_change = true
[listen]
http = ["127.0.0.1:8080", "127.0.0.1:0", "127.0.0.1:0"]
https = ["[::1]:8443", { address = "[::]:9443", backlog = 9, interface = "lo", tcp_keep_alive = { idle = "61s", interval = "11s", probes = 4 }, fast_open = 7, reuse_port = false, ipv6_only = false }, { address = "unix:/run/h.sock", mode = "0666", owner = "a:b" }, { address = "[::1]:7443", proxy_protocol_from = ["192.0.2.0/24"] }]
redirect_port = 444
proxy_protocol_from = ["10.0.0.0/8", "192.0.2.9"]
proxy_protocol_optional = ["127.0.0.1:8080"]
proxy_protocol_from_anybody = true
proxy_protocol_required = ["[::1]:8443", "[::1]:7443"]
h2c = ["127.0.0.1:8080"]
[limits]
connections = 9
connections_per_client = 8
head_size = "5000B"
head_fields = 7
h2_streams = 6
bare_lf = true
lenient_hosts = true
[timeouts]
handshake = "1s"
head = "2s"
keep_alive = "3s"
body = "4500ms"
write = "5s"
[tls]
profile = "modern"
minimum_version = "1.3"
maximum_version = "1.3"
cipher_suites = ["TLS_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"]
groups = ["X25519", "SecP256r1MLKEM768"]
session_tickets = false
ticket_keys = ["/etc/hubgate/tickets.key"]
ticket_rotation = "5h"
client_certificate = { mode = "optional", ca_file = "clients.pem", crl_files = ["a.crl", "/b.crl"], pass_certificate = true }
hsts = { max_age = "400d", include_subdomains = true, preload = true }
[log]
level = "hubgate::acme=debug,warn"
format = "json"
file = "hubgate.log"
logs = [{ target = "all.log", level = "info" }, { target = "syslog:server=192.0.2.1:514,facility=user,severity=alert,tag=edge,nohostname" }]
[access_log]
target = "stdout"
format = "$remote_addr \"$request\" ${status}x$$ $http_user_agent \\"
redact = ["token", "Code"]
escape = "json"
when = "$http_x_log"
also = [{ target = "more.log", format = "json", redact = [], escape = "none", when = "$status" }, { target = "gzip:more.gz", format = "json" }, { target = "syslog:server=unix:/dev/log", format = "json" }, { target = "of-$host.log", format = "json" }]
events = [{ target = "stderr", level = "crit" }]
[admin]
socket = "admin.sock"
listen = "127.0.0.1:9180"
[error_pages]
language = "de"
contact = "the \"help\" desk"
bare = true
launch = "launch.html"
default = "error.html"
502 = "502.html"
upstream_connect = "connect.html"
[resolver]
servers = ["10.0.0.10:53", "[2001:db8::53]:5353"]
timeout = "3s"
min_ttl = "4s"
max_ttl = "6m"
empty_after = "7m"
ipv6 = false
[why]
memory = "1MiB"
sample = 5
[acme]
directory = "https://ca.example.org:14000/dir"
contact = ["ops@example.org", "mailto:two@example.org"]
ca_file = "ca.pem"
name = "ours"
challenge = "tls-alpn-01"
profile = "shortlived"
profile_required = true
eab_key_id = "kid-1"
eab_hmac_file = "eab.key"
staging = "https://ca.example.org:14000/staging"
[site."bücher.example"]
aliases = ["*.example.org", "192.0.2.1", "2001:db8::2"]
default = true
certificate = { chain = "a \"b\".pem", key = "/k.pem" }
http = "forward"
redirect_status = 307
challenge_fallback = "hub.1"
request_headers = { X-Site = "$host", Cookie = "" }
response_headers = [{ add = "X-Site", value = "1" }]
unrouted_headers = [{ add = "X-Unrouted", value = "$status", always = true }]
server_name = "called.so"
hide_headers = ["X-Powered-By"]
location_base = "https://$host:$server_port"
compress = false
decompress = true
charset = false
replace = false
referers = ["none", ".a.test/x", "~b"]
client_address = { from = ["10.0.0.0/8"], header = "x-real-ip", recursive = true }
access = { rules = ["allow unix:"] }
limits = { concurrency = [{ of = "a b", most = 7, status = 509 }] }
rules = [{ when = "$host !~* ^a b$", set = { x = "$1 = $$" } }, { when = "!-f /srv/$x", rules = [{ rewrite = "^/(.*)", to = "/y/$1?", then = "find" }, { stop = true }] }, { when = "$x", enter = "@app" }, { when = "$x != ", respond = { status = 410 } }, { rewrite = "a", to = "b", then = 301 }, { when = "$x = 1 2", redirect = { to = "https://h/" } }]
errors_again = true
errors = [{ on = [500, 502], to = "/50x.html?$args" }, { on = [404], to = "@app", status = "=" }, { on = [403], to = "https://example.org/", status = 301 }]
access_log = { target = "site.log", redact = [], events = [] }
[site."bücher.example".error_pages]
language = "fr"
[site."bücher.example".tls]
profile = "intermediate"
groups = ["secp256r1"]
[[site."bücher.example".route]]
path = "/a%20b/"
upstream = "hub.1"
preset = "binderhub"
rewrite_prefix = "/"
body_limit = "1MB"
connect_timeout = "1s"
tls_timeout = "7s"
response_timeout = "2s"
idle_timeout = "3s"
tunnel_handshake_timeout = "4s"
tunnel_idle_timeout = "5s"
total_timeout = "6s"
send_timeout = "8s"
client = { keep_alive = "0s", told = "9s", requests = 7, age = "2h", not_kept = ["msie6", "safari"], body = "61s", write = "62s", linger = "always", linger_time = "30s", linger_idle = "6s", reset = true, head = "11s", h2_streams = 9, head_buffers = { first = "2KiB", more = 5, size = "9KiB" } }
limits = { rates = [{ rate = "one", burst = 5, delay = 3, status = 503 }], concurrency = [{ of = "a b", most = 10 }], status = 444, log = "notice", dry_run = true, bandwidth = "2MiB", after = "3KiB" }
access = { rules = ["allow 10.0.0.0/8", "deny all"], basic = { realm = "staff of \"$host\"", file = "users" }, ask = { path = "/a", take = { user = "$upstream_http_x_user" } }, need = "any", delay = "2s", others = { than = ["GET", "PURGE"], rules = ["deny all"], basic = { realm = "r", file = "f" }, need = "any" } }
[site."bücher.example".route.access_log]
target = "off"
format = "json"
[[site."bücher.example".route]]
name = "app"
upstream = "b"
[[site."bücher.example".route]]
exact = "/favicon.ico"
upstream = "b"
[[site."bücher.example".route]]
path = "/heads/"
upstream = "$arg_up"
strangers = "names"
target = "/x$request_uri"
request_headers = { Host = "$host", X-Site = "2", "x-b" = "\"$$\"" }
forwarded = false
method = "POST"
bind = "$server_addr"
client_headers = false
body = "a=$arg_a"
accel = true
response_headers = [{ set = "X-A", value = "$status", always = true }, { add = "x-a", value = "b" }]
hide_headers = ["Server"]
compress = { types = ["text/html", "a/b"], min_length = "9B", level = 9, vary = false, proxied = ["no-cache", "auth"], http_1_0 = true, except = ["MSIE [4-6]\\."] }
decompress = false
mirror = { paths = ["/m", "/n"], body = false }
charset = { name = "utf-8", types = ["a/b"], replace = true }
referers = ["blocked"]
client_address = { from = ["10.1.0.0/16"], header = "x-forwarded-for", recursive = false }
replace = { pairs = [["a$host", ""], ["<b>", "$$"]], once = false, types = ["*"], last_modified = true }
expires = "modified 1h"
location_base = ""
location_headers = [["http://$host/", "/"], ["~*^http://(?<name>.)(.)", "/$name$2"]]
cookies = { domain = [["a.test", "$host"]], path = [["~^/(.)", "/x/$1"]], flags = [["~.", "secure nosamesite"]] }
[[site."bücher.example".route]]
exact = "/edge"
respond = { status = 299, body = "edge of \"$host\" $$", type = "text/html", by_extension = true, types = { css = "text/css" } }
[[site."bücher.example".route]]
exact = "/counts"
answer = "counts"
[[site."bücher.example".route]]
path = "/old/"
redirect = { to = "https://$host/new$request_uri", status = 308 }
[site."nginx.test"]
certificate = "none"
hosts = ["a.test", "**.example.net", "www.*", '~^u-(?<user>\w+)\.x$', ""]
listen = ["127.0.0.1:8082", { address = "unix:/run/s.sock", default = true }, { address = "[::1]:8444", tls = true }]
fields = "plain"
paths = "normal"
merge_slashes = false
[[site."nginx.test".route]]
begins = "/a b"
final = true
upstream = "b"
[site."nginx.test".route.access_log]
target = "inner.log"
[[site."nginx.test".route.route]]
regex = '(?i)\.(png|"css)$'
upstream = "b"
[[site."nginx.test".route.route.route]]
exact = "/a b/c.png"
rewrite_prefix = "/c"
upstream = "b"
[[site."nginx.test".route]]
name = "app"
internal = true
upstream = "b"
[rate.one]
key = "$host$http_x"
rate = "7r/m"
keys = 9
[concurrency."a b"]
key = "$host"
keys = 8
[map.a]
of = "$uri"
default = "$b"
cases = { "" = "$1", "~*^(?<rest>.)" = "$rest", "\\~x" = "1", "*.h.test" = "h" }
hosts = true
[geo.b]
of = "$arg_a"
default = "n"
cases = { "10.0.0.0/8" = "a b", "fd00::1" = "" }
proxies = ["10.0.0.0/8"]
recursive = true
[signed.d]
of = "$arg_md5"
md5 = "$arg_e$uri x"
expires = "$arg_e"
[signed.e]
of = "$request_uri"
md5 = "x"
in_path = true
[split.c]
of = "$a"
shares = [["0.5%", "a"], ["50%", ""], ["*", "$$"]]
[[site."bücher.example".route]]
path = "/www/"
files = { root = "/srv/$host/w", index = ["a.html", "/b?c"], try = ["$uri", "$uri/", "/", "/x?$args"], listing = "html", listing_sizes = "rounded", types = { html = "text/html", "x-y" = "a/b" }, default_type = "text/plain", symlinks = "follow", etag = false, if_modified_since = "before", max_ranges = 1, precompressed = "always", precompressed_vary = false, missing_told = false }
[[site."bücher.example".route]]
path = "/static/"
files = { alias = "static/", try = ["$uri", "=404"], listing = "jsonp" }
rules = [{ rewrite = "a", to = "/b", then = "stay" }]
errors = [{ on = [302, 404], to = "/x", status = 200 }]
errors_again = true
own_errors = "intercept"
[[stream]]
listen = "0.0.0.0:53"
protocol = "udp"
upstream = "c"
idle_timeout = "5s"
udp_sessions = 7
udp_responses = 1
udp_requests = 2
[[stream]]
listen = "[::1]:8443"
sni = ["a.test", "*.a.test"]
upstream = "c"
connect_timeout = "7s"
idle_timeout = "8s"
send_proxy_protocol = "v2"
proxy_protocol_fields = ["alpn", "authority", "ssl", "unique-id", "crc32c"]
[stream.access_log]
target = "stream.log"
[[stream]]
listen = "127.0.0.1:5432"
upstream = "c"
[[stream]]
listen = "127.0.0.1:5433"
upstream = "$ssl_preread_server_name"
set = { own = "$server_port", z = "$own-$protocol" }
access = ["allow 10.0.0.0/8", "deny all"]
limits = { concurrency = [{ of = "a b", most = 3, status = 503 }], log = "info", dry_run = true }
upload_rate = "$server_port"
strangers = "names"
preread = false
download_rate = "3B"
certificate = [{ chain = "a.pem", key = "b.pem" }, { chain = "c.pem", key = "d.pem", passwords = "e" }]
alpn = ["xmpp", "a b"]
tls = { minimum_version = "1.3", client_certificate = { mode = "required", ca_file = "ca.pem" } }
tls_to_upstream = true
bind = "192.0.2.7"
tries = 2
tries_timeout = "3s"
half_close = false
[[stream]]
listen = "127.0.0.1:5434"
respond = "$ssl_preread_server_name $$ $bytes_received\n"
[upstream."hub.1"]
endpoints = ["192.0.2.1:80", { address = "[2001:db8::1]:81", weight = 7, backup = true, max_connections = 9, times = 2 }, "hub.example.org.:82", { address = "hub:83", weight = 6 }]
balance = "hash"
hash_on = "header:X-Session"
hash_bound = false
sticky = { cookie = "edge", ttl = "2h" }
slow_start = "31s"
outlier = { rest = "1s", failures = 6, window = "11s", statuses = ["500", "502-504"], latency = "7s", ejection = "8s", longest_ejection = "9m", max_ejected = "31%" }
health = { path = "/hub/health", host = "h.example", expect = ["204"], body = "well", port = 8081, interval = "15s", jitter = "20%", timeout = "4s", rise = 5, fall = 6, initial = "down" }
endpoints_srv = "_http._tcp.hub.example.org."
endpoints_file = "nodes"
keep_alive = 0
keep_alive_idle = "1h"
keep_alive_requests = 1000
keep_alive_age = "1h"
retry_on = ["503", "connect"]
retry_budget = "7%"
retry_deadline = "3s"
retry_tries = 4
max_connections = 11
max_in_flight = 12
queue = 13
queue_timeout = "14ms"
circuit = { failure_rate = "51%", window = "11s", min_requests = 21, open_for = "12s", trials = 4 }
tls = { server_name = "hub.internal", ca_file = "ca.pem", client_certificate = "edge.pem", client_key = "edge.key", verify = true, sni = false, depth = 3, crl_files = ["crl.pem"], version = "1.2" }
[upstream.c]
endpoints = ["192.0.2.3:80"]
[upstream.b]
endpoints = ["192.0.2.2:80"]
protocol = "h2c"
balance = "hash"
hash_on = "$host$uri"
"#;

#[test]
fn the_explained_configuration_loads_to_an_equal_one() {
    let config = load(EVERYTHING);
    assert_eq!(load(&explain(&config)), config);
}

#[test]
fn several_authorities_explained_load_to_equal_ones() {
    let several = r#"
[acme]
contact = ["ops@example.org"]
[[acme.ca]]
name = "first"
[[acme.ca]]
directory = "https://ca.example.org/dir"
contact = []
challenge = "tls-alpn-01"
[site."a.example.org"]
certificate = "acme"
[[site."a.example.org".route]]
path = "/"
upstream = "a"
[upstream.a]
endpoints = ["192.0.2.1:80"]
"#;
    let config = load(several);
    let names: Vec<_> = config
        .acme
        .authorities
        .iter()
        .map(|one| &*one.name)
        .collect();
    assert_eq!(names, ["first", "ca.example.org"]);
    assert_eq!(
        config.acme.authorities[0].contact,
        ["mailto:ops@example.org"]
    );
    assert!(config.acme.authorities[0].staging.is_some());
    assert_eq!(load(&explain(&config)), config);
}

#[test]
fn a_check_by_grpc_explained_loads_to_an_equal_one() {
    let check = "health = { kind = \"grpc\", service = \"a.B\", host = \"h.example\" }\n";
    let text = EVERYTHING.replace(
        "protocol = \"h2c\"\n",
        &format!("protocol = \"h2c\"\n{check}"),
    );
    let config = load(&text);
    assert_ne!(config, load(EVERYTHING));
    assert_eq!(load(&explain(&config)), config);
}

#[test]
fn explaining_what_was_explained_changes_nothing() {
    let once = explain(&load(EVERYTHING));
    assert_eq!(explain(&load(&once)), once);
}

#[test]
fn explain_shows_every_key_there_is() {
    let shown = explain(&load(EVERYTHING));
    for line in EVERYTHING.lines() {
        let Some((key, _)) = line
            .split_once(" = ")
            .filter(|(key, _)| *key != "access_log")
        else {
            continue;
        };
        assert!(
            shown
                .lines()
                .any(|line| line.starts_with(&format!("{key} = "))),
            "{key} is not shown"
        );
    }
}

#[test]
fn everything_above_is_every_key_of_the_reference() {
    for line in hubgate::config::reference().lines() {
        let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ") else {
            continue;
        };
        let is_key = key
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
        assert!(
            !is_key || EVERYTHING.contains(&format!("\n{key} = ")),
            "{key} is not tried here"
        );
    }
}

#[test]
fn explain_says_what_a_preset_turned_into_and_what_the_route_overrides() {
    let shown = explain(&load(
        "[site.\"a.example\"]\n[[site.\"a.example\".route]]\npath = \"/\"\npreset = \"jupyterhub\"\nidle_timeout = \"2h\"\nupstream = \"hub\"\n[upstream.hub]\nendpoints = [\"192.0.2.1:80\"]\n",
    ));
    for line in [
        "body_limit = \"none\"  # from the preset; \"64MiB\" without one",
        "response_timeout = \"10m\"  # from the preset; \"1m\" without one",
        "idle_timeout = \"2h\"  # instead of the preset's \"1h\"",
        "tunnel_idle_timeout = \"1h\"\n",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

/// Some keys of [`EVERYTHING`], chosen at random; what routes need stays.
fn some_of_everything() -> impl Strategy<Value = String> {
    let lines: Vec<&str> = EVERYTHING.lines().collect();
    proptest::collection::vec(any::<bool>(), lines.len()).prop_map(move |keep| {
        let needed = |line: &str| {
            line.starts_with('[')
                || [
                    "path",
                    "exact",
                    "begins",
                    "regex",
                    "name",
                    "upstream",
                    "of = ",
                    "md5 = ",
                    "endpoints",
                    "certificate",
                    "eab_",
                    "http = [",
                    "listen = \"[",
                    "listen = \"127.0.0.1:5",
                    "listen = \"0.0.0.0:53",
                    "protocol = \"udp",
                    "sni",
                    "https = [",
                    "proxy_protocol_",
                    "respond",
                    "redirect = ",
                    "rate = ",
                    "files = ",
                    "answer = ",
                ]
                .iter()
                .any(|key| line.starts_with(key))
        };
        let kept = lines
            .iter()
            .zip(keep)
            .filter(|(line, keep)| *keep || needed(line));
        kept.map(|(line, _)| format!("{line}\n")).collect()
    })
}

proptest! {
    #[test]
    fn any_configuration_explained_loads_to_an_equal_one(text in some_of_everything()) {
        let config = load(&text);
        prop_assert_eq!(load(&explain(&config)), config);
    }
}
