//! What a client and an upstream see of a running hubgate: one module for each area, one binary for all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "tests: a broken assumption should stop the test"
)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod backpressure;
mod cancel;
mod causes;
mod client_address;
mod client_certificates;
mod client_hello;
mod client_terms;
mod compress;
mod datagrams;
mod deadlines;
mod detours;
mod doctor;
mod drain;
mod early;
mod endpoints;
mod events;
mod files;
mod forwarded;
mod forwarding;
mod framing;
mod h2_hostile;
mod h2_terms;
mod heads;
mod health;
mod ingress;
mod intermediary;
mod kept;
mod kit;
mod limits;
mod listeners;
mod logged;
mod logs;
mod modules;
mod names;
mod nginx_beside;
mod nginx_called;
mod nginx_compare;
mod nginx_errors;
mod nginx_intercepts;
mod nginx_odds;
mod nginx_proxying;
mod nginx_published;
mod nginx_refused;
mod nginx_servers;
mod nginx_streams;
mod nginx_tested;
mod nginx_tls;
mod nginx_upstreams;
mod nginx_values;
mod open;
mod own_addresses;
mod pages;
#[cfg(debug_assertions)]
mod panics;
mod places;
mod port80;
mod proxy_protocol;
mod rates;
mod reload;
mod retries;
mod routing;
mod sticky;
mod stop;
mod strangers;
mod stream_keys;
mod streaming;
mod streams;
mod strictness;
mod targets;
mod tls_front;
mod tls_policy;
mod truncation;
mod tunnel_life;
mod tunnels;
mod unix_endpoints;
mod upgrade;
mod upstream_h2;
mod upstream_limits;
mod upstream_tls;
mod upstreams;
mod variables;
mod why;
