//! Listeners as TOML values, part of [`show`](super::show): what is the default is left out, so that an address
//! without options is shown as it is written.

use super::listener::{Listener, SocketOptions};
use super::model::SiteListen;
use super::show::{Entry, duration, inline, list, quoted};

pub(super) fn listeners(all: &[Listener]) -> String {
    let all: Vec<_> = all.iter().map(listener).collect();
    format!("[{}]", all.join(", "))
}

/// A listener with the options that are not the default.
pub(super) fn listener(listener: &Listener) -> String {
    let options = options(listener);
    if options.is_empty() {
        return quoted(&listener.address);
    }
    let mut entries = vec![("address", quoted(&listener.address))];
    entries.extend(options);
    inline(&entries)
}

/// The options that are not the default.
pub(super) fn options(listener: &Listener) -> Vec<Entry> {
    let options = &*listener.options;
    let keep_alive = options.tcp_keep_alive.map(|probes| {
        inline(&[
            ("idle", duration(probes.idle)),
            ("interval", duration(probes.interval)),
            ("probes", probes.probes.to_string()),
        ])
    });
    let owner = &options.owner;
    let owner = match (owner.user.as_deref(), owner.group.as_deref()) {
        (None, None) => None,
        (user, None) => user.map(quoted),
        (user, Some(group)) => Some(quoted(format!("{}:{group}", user.unwrap_or_default()))),
    };
    let default = SocketOptions::default();
    let other = |differs: bool, shown: String| differs.then_some(shown);
    let all = [
        (
            "backlog",
            other(
                options.backlog != default.backlog,
                options.backlog.to_string(),
            ),
        ),
        ("interface", options.interface.as_ref().map(quoted)),
        ("tcp_keep_alive", keep_alive),
        (
            "fast_open",
            options.fast_open.map(|queue| queue.to_string()),
        ),
        (
            "reuse_port",
            other(!options.reuse_port, options.reuse_port.to_string()),
        ),
        (
            "ipv6_only",
            other(!options.ipv6_only, options.ipv6_only.to_string()),
        ),
        (
            "mode",
            other(
                options.mode != default.mode,
                quoted(format!("{:04o}", options.mode)),
            ),
        ),
        ("owner", owner),
        (
            "proxy_protocol_from",
            listener.proxy_from.as_deref().map(list),
        ),
    ];
    let all = all.into_iter();
    all.filter_map(|(key, shown)| shown.map(|shown| (key, shown)))
        .collect()
}

pub(super) fn site_listen(own: &SiteListen) -> String {
    inline(&[
        ("address", quoted(&own.address)),
        ("tls", own.tls.to_string()),
        ("default", own.default.to_string()),
    ])
}
