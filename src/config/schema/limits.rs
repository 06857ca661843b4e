//! `[limits]`: bounds on what clients may take.
//!
//! None can be zero, and none larger than what the HTTP engine can keep.

use super::reader::{Reader, value};
use super::{Key, Kind, Table};
use crate::config::model::Limits;

/// The HTTP engine parses heads of at most 256 fields and a little less than 1 MiB; more could not be kept.
const MOST_FIELDS: u64 = 256;
const LARGEST_HEAD: u64 = 512 << 10;

pub(in crate::config) static TABLE: Table = Table {
    header: "[limits]",
    about: "Bounds on what clients may take.",
    keys: &[
        Key::new(
            "connections",
            Kind::Count(1, 10_000_000),
            "8192",
            "Open client connections in total.",
        ),
        Key::new(
            "connections_per_client",
            Kind::Count(1, 10_000_000),
            "1024",
            "Open connections per client address (IPv6: per /64 network).",
        ),
        Key::new(
            "head_size",
            Kind::Size(1 << 10, LARGEST_HEAD),
            "\"64KiB\"",
            "Bytes of a request head. OAuth state cookies pile up to 12 kB and more.",
        ),
        Key::new(
            "head_fields",
            Kind::Count(1, MOST_FIELDS),
            "100",
            "Fields of a request head.",
        ),
        Key::new(
            "h2_streams",
            Kind::Count(1, 65_535),
            "128",
            "Requests at once on one HTTP/2 connection.",
        ),
        Key::new(
            "bare_lf",
            Kind::Flag,
            "false",
            "Whether lines of a request head may end with LF alone, as nginx lets them (RFC 9112 section 2.2).",
        ),
        Key::new(
            "lenient_hosts",
            Kind::Flag,
            "false",
            "Whether a request's host is taken as nginx takes it: with any characters, that of an absolute target whatever `Host` says, and over TLS whatever the handshake named, unless a site asks clients for certificates.",
        ),
    ],
};

/// Reads the table.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<Limits> {
    let connections = reader.count("connections");
    let connections_per_client = reader.count("connections_per_client");
    let head_size = reader.size("head_size");
    let head_fields = reader.count("head_fields");
    let h2_streams = reader.count("h2_streams");
    let bare_lf = reader.flag("bare_lf");
    let lenient_hosts = reader.flag("lenient_hosts");
    Some(Limits {
        connections: value(connections)?,
        connections_per_client: value(connections_per_client)?,
        head_size: value(head_size)?,
        head_fields: value(head_fields)?,
        h2_streams: value(h2_streams)?,
        bare_lf: value(bare_lf)?,
        lenient_hosts: value(lenient_hosts)?,
    })
}
