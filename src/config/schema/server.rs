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
            "upgrade_timeout",
            Kind::Duration(1),
            "\"60s\"",
            "How long the successor at a binary upgrade may take until it could serve; the old process serves on meanwhile.",
        ),
        Key::rule(
            "user",
            Kind::Text,
            "none",
            "\"hubgate\"",
            "The account to run as when started by root. All that is left of root is the right to ports below 1024, at reloads too; files have to be readable for the account. Takes effect at start.",
        ),
        Key::rule(
            "group",
            Kind::Text,
            "none",
            "\"hubgate\"",
            "Its group, instead of the account's own. Takes effect at start.",
        ),
        Key::rule(
            "worker_user",
            Kind::Text,
            "none",
            "\"www-data\"",
            "The account that clients are served as when the process is root's and stays so: its rights are those by which files are served and unix sockets are reached. Ports, keys and logs are root's affair, at reloads too. Takes effect at start.",
        ),
        Key::rule(
            "worker_group",
            Kind::Text,
            "none",
            "\"www-data\"",
            "Its group, instead of the account's own. Takes effect at start.",
        ),
        Key::rule(
            "pid_file",
            Kind::Path,
            "none",
            "\"/run/hubgate/hubgate.pid\"",
            "A file for the number of the process that serves, mode 0600. Takes effect at start.",
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
    let upgrade_timeout = reader.duration("upgrade_timeout");
    let user = reader.optional("user", Reader::text);
    let group = reader.optional("group", Reader::text);
    let worker_user = reader.optional("worker_user", Reader::text);
    let worker_group = reader.optional("worker_group", Reader::text);
    let pid_file = reader.optional("pid_file", Reader::path);
    let reload_on_change = reader.flag("reload_on_change");
    Some(Server {
        workers: value(workers)?,
        state_dir: value(state_dir)?,
        trusted_proxies: trusted_proxies?,
        drain_timeout: value(drain_timeout)?,
        upgrade_timeout: value(upgrade_timeout)?,
        user: user?.map(|at| at.value),
        group: group?.map(|at| at.value),
        worker_user: worker_user?.map(|at| at.value),
        worker_group: worker_group?.map(|at| at.value),
        pid_file: pid_file?.map(|at| at.value),
        reload_on_change: value(reload_on_change)?,
    })
}
