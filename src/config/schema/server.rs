//! `[server]`: the process.
//!
//! Complete as read: nothing here depends on another table.

use super::reader::{Reader, value};
use super::{Key, Kind, Table};
use crate::config::model::Server;

pub(in crate::config) static TABLE: Table = Table {
    header: "[server]",
    about: "The process.",
    keys: &[
        Key::new(
            "workers",
            Kind::Count(0, 1024),
            "0",
            "Worker threads; 0 means one per core. Takes effect at start.",
        ),
        Key::new(
            "state_dir",
            Kind::Path,
            "\"/var/lib/hubgate\"",
            "Where accounts and certificates are kept. Takes effect at start.",
        ),
        Key::new(
            "trusted_proxies",
            Kind::Texts,
            "[]",
            "Peers whose X-Forwarded-* fields are believed: addresses or networks (CIDR).",
        ),
        Key::new(
            "drain_timeout",
            Kind::Duration(0),
            "\"30s\"",
            "How long a stop waits for requests and tunnels.",
        ),
        Key::new(
            "reload_on_change",
            Kind::Flag,
            "false",
            "Whether this file is reloaded as soon as it changes, without being asked. A file that is refused changes nothing.",
        ),
    ],
};

/// Reads the table.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<Server> {
    let workers = reader.count("workers");
    let state_dir = reader.path("state_dir");
    let trusted_proxies = reader.networks("trusted_proxies");
    let drain_timeout = reader.duration("drain_timeout");
    let reload_on_change = reader.flag("reload_on_change");
    Some(Server {
        workers: value(workers)?,
        state_dir: value(state_dir)?,
        trusted_proxies: trusted_proxies?,
        drain_timeout: value(drain_timeout)?,
        reload_on_change: value(reload_on_change)?,
    })
}
