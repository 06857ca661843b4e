//! `[timeouts]`: what a client gets before its connection is ended.
//!
//! None can be zero: every read and write has a deadline.

use super::reader::{Reader, value};
use super::{Key, Kind, Table};
use crate::config::model::ClientTimeouts;

pub(in crate::config) static TABLE: Table = Table {
    header: "[timeouts]",
    about: "What a client gets before its connection is ended. Nothing here counts a whole upload or download.",
    keys: &[
        Key::new(
            "handshake",
            Kind::Duration(1),
            "\"10s\"",
            "From the accept to the end of the TLS handshake.",
        ),
        Key::new(
            "head",
            Kind::Duration(1),
            "\"10s\"",
            "From a request's first byte to the end of its head.",
        ),
        Key::new(
            "keep_alive",
            Kind::Duration(1),
            "\"60s\"",
            "Between requests on a connection; for HTTP/2 without open streams.",
        ),
        Key::new(
            "body",
            Kind::Duration(1),
            "\"60s\"",
            "Between two bytes of a request body.",
        ),
        Key::new(
            "write",
            Kind::Duration(1),
            "\"60s\"",
            "While the client takes nothing of what is there for it.",
        ),
    ],
};

/// Reads the table.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<ClientTimeouts> {
    let handshake = reader.duration("handshake");
    let head = reader.duration("head");
    let keep_alive = reader.duration("keep_alive");
    let body = reader.duration("body");
    let write = reader.duration("write");
    Some(ClientTimeouts {
        handshake: value(handshake)?,
        head: value(head)?,
        keep_alive: value(keep_alive)?,
        body: value(body)?,
        write: value(write)?,
    })
}
