//! The keys of an upstream that say who gets a request, as text: the part of `show` for `balancing` and `health`.
//!
//! In TOML, so that what is shown loads to the same.

use std::fmt::Display;

use super::balancing::{Balance, HashOn, Outlier};
use super::discovery::Resolver;
use super::health::{CheckKind, Health};
use super::model::Upstream;
use super::show::{Entry, duration, inline, list, percent, quoted};

/// The keys and their values.
pub(super) fn balancing(upstream: &Upstream) -> Vec<Entry> {
    let addresses = upstream.endpoints.iter();
    let addresses = addresses.map(|one| {
        endpoint(
            &one.address,
            (one.weight, one.backup),
            (one.most, one.times),
        )
    });
    let names = upstream.named.iter().map(|one| {
        let address = format!("{}:{}", one.name, one.port);
        endpoint(&address, (one.weight, one.backup), (one.most, one.times))
    });
    let endpoints: Vec<_> = addresses.chain(names).collect();
    let mut entries = Vec::new();
    if !endpoints.is_empty() {
        entries.push(("endpoints", format!("[{}]", endpoints.join(", "))));
    }
    let service = upstream.service.as_ref();
    entries.extend(service.map(|name| ("endpoints_srv", quoted(name))));
    let file = upstream.endpoints_file.as_ref();
    entries.extend(file.map(|file| ("endpoints_file", quoted(file.display()))));
    match &upstream.balance {
        Balance::RoundRobin => entries.push(("balance", quoted("round-robin"))),
        Balance::LeastRequests => entries.push(("balance", quoted("least-requests"))),
        Balance::Random => entries.push(("balance", quoted("random"))),
        Balance::Hash(hashing) => {
            let on = match &hashing.on {
                HashOn::Client => quoted("client"),
                HashOn::Header(name) => quoted(format_args!("header:{name}")),
                HashOn::Cookie(name) => quoted(format_args!("cookie:{name}")),
                HashOn::Text(text) => quoted(text),
            };
            let bounded = hashing.bounded.to_string();
            entries.extend([("balance", quoted("hash")), ("hash_on", on)]);
            entries.push(("hash_bound", bounded));
        }
    }
    if let Some(sticky) = &upstream.sticky {
        let keys = [
            ("cookie", quoted(&sticky.cookie)),
            ("ttl", duration(sticky.ttl)),
        ];
        entries.push(("sticky", inline(&keys)));
    }
    entries.push(("slow_start", duration(upstream.slow_start)));
    entries.push(("outlier", inline(&outlier(&upstream.outlier))));
    entries.push(("health", inline(&health(upstream.health.as_ref()))));
    entries
}

/// An address, or a table where there is more to say.
fn endpoint(
    address: &dyn Display,
    (weight, backup): (u8, bool),
    (most, times): (Option<u32>, u8),
) -> String {
    let mut keys = vec![("address", quoted(address))];
    if weight != 1 {
        keys.push(("weight", weight.to_string()));
    }
    if backup {
        keys.push(("backup", "true".to_owned()));
    }
    keys.extend(most.map(|most| ("max_connections", most.to_string())));
    if times != 1 {
        keys.push(("times", times.to_string()));
    }
    match &*keys {
        [(_, address)] => address.clone(),
        keys => inline(keys),
    }
}

/// `[resolver]`.
pub(super) fn resolver(resolver: &Resolver) -> Vec<Entry> {
    let mut keys = Vec::new();
    if !resolver.servers.is_empty() {
        keys.push(("servers", list(&resolver.servers)));
    }
    keys.extend([
        ("timeout", duration(resolver.timeout)),
        ("min_ttl", duration(resolver.min_ttl)),
        ("max_ttl", duration(resolver.max_ttl)),
        ("empty_after", duration(resolver.empty_after)),
        ("ipv6", resolver.ipv6.to_string()),
    ]);
    keys
}

fn outlier(outlier: &Outlier) -> Vec<Entry> {
    let mut keys = vec![
        ("rest", duration(outlier.rest)),
        ("failures", outlier.failures.to_string()),
        ("statuses", statuses(&outlier.statuses)),
    ];
    keys.extend(outlier.window.map(|window| ("window", duration(window))));
    keys.extend(outlier.latency.map(|limit| ("latency", duration(limit))));
    keys.extend([
        ("ejection", duration(outlier.ejection)),
        ("longest_ejection", duration(outlier.longest_ejection)),
        ("max_ejected", percent(outlier.max_ejected)),
    ]);
    keys
}

fn health(health: Option<&Health>) -> Vec<Entry> {
    let Some(health) = health else {
        return vec![("kind", quoted("off"))];
    };
    let mut keys = Vec::new();
    match &health.kind {
        CheckKind::Tcp => keys.push(("kind", quoted("tcp"))),
        CheckKind::Http(check) => {
            keys.extend([("kind", quoted("http")), ("path", quoted(&check.path))]);
            keys.extend(check.host.as_ref().map(|host| ("host", quoted(host))));
            keys.push(("expect", statuses(&check.expect)));
            keys.extend(check.body.as_ref().map(|body| ("body", quoted(body))));
        }
        CheckKind::Grpc(check) => {
            keys.extend([
                ("kind", quoted("grpc")),
                ("service", quoted(&check.service)),
            ]);
            keys.extend(check.host.as_ref().map(|host| ("host", quoted(host))));
        }
    }
    keys.extend(health.port.map(|port| ("port", port.to_string())));
    let initial = if health.initially_up { "up" } else { "down" };
    keys.extend([
        ("interval", duration(health.interval)),
        ("jitter", percent(health.jitter)),
        ("timeout", duration(health.timeout)),
        ("rise", health.rise.to_string()),
        ("fall", health.fall.to_string()),
        ("initial", quoted(initial)),
    ]);
    keys
}

fn statuses(ranges: &[(u16, u16)]) -> String {
    let range = |(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    list(&ranges.iter().map(range).collect::<Vec<_>>())
}
