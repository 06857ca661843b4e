//! `[admin]`: where the running process is asked and told.
//!
//! Warns of an address that others can reach; that it is nobody else's is checked with the listeners.

use super::reader::{At, Reader, value};
use super::{Key, Kind, Table};
use crate::config::diagnostic::Diagnostic;
use crate::config::model::Admin;
use std::net::SocketAddr;

pub(in crate::config) static TABLE: Table = Table {
    header: "[admin]",
    about: "Where the running process is asked and told: `hubgate status`, `hubgate reload`.",
    keys: &[
        Key::new(
            "socket",
            Kind::Path,
            "\"/run/hubgate/admin.sock\"",
            "The unix socket, mode 0600. Takes effect at start.",
        ),
        Key::rule(
            "listen",
            Kind::Address,
            "none",
            "\"127.0.0.1:9180\"",
            "Status page and metrics over HTTP, read only. IP:port; keep it on loopback.",
        ),
    ],
};

/// Reads the table; gives the address apart, with its place, because it must not be a listener's.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<(Admin, Option<At<SocketAddr>>)> {
    let socket = reader.path("socket");
    let listen = reader.optional("listen", Reader::address);
    let (socket, listen) = (value(socket)?, listen?);
    if let Some(listen) = listen
        .as_ref()
        .filter(|listen| !listen.value.ip().is_loopback())
    {
        reader.note(
            Diagnostic::warning(
                "admin-exposed",
                listen.span.clone(),
                format!("the admin listener `{}` is not on loopback", listen.value),
            )
            .hint("anyone who reaches it reads the status page and the metrics; use `127.0.0.1:9180` unless a firewall keeps others out"),
        );
    }
    let admin = Admin {
        socket,
        listen: listen.as_ref().map(|listen| listen.value),
    };
    Some((admin, listen))
}
