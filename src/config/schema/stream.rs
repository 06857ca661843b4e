//! `[[stream]]`: connections that are passed on unopened.
//!
//! As typed; which listeners and names meet is for `validate`.

use std::time::Duration;

use super::access_log::Overlay;
use super::reader::{At, Context, Reader};
use super::route::read_access_log;
use super::{Key, Kind, Table};
use crate::config::listener::Listener;
use crate::config::stream::ProxyVersion;

pub(in crate::config) static TABLE: Table = Table {
    header: "[[stream]]",
    about: "Connections that are passed on unopened: TLS by the name it asks for, or anything that comes to an address, by TCP or UDP.",
    keys: &[
        Key::required(
            "listen",
            Kind::Listener,
            "\"0.0.0.0:5432\"",
            "Where connections come in, as IP:port, `unix:PATH` or a table as in `[listen]`. It may be an address of `listen.https`, or one that such an address takes in (192.0.2.1:443 beside 0.0.0.0:443): names that no stream takes are then served by the sites.",
        ),
        Key::new(
            "protocol",
            Kind::Word(&["tcp", "udp"]),
            "\"tcp\"",
            "What comes in. Datagrams of one client address and port are a session: they go to one endpoint, and its answers back.",
        ),
        Key::new(
            "sni",
            Kind::Texts,
            "[]",
            "Hosts whose TLS connections it takes, `*.name` for all one label below; the certificate is then the upstream's affair. Empty for all connections that no other stream of the address takes.",
        ),
        Key::required(
            "upstream",
            Kind::Text,
            "\"hub\"",
            "The upstream that gets them, as they are: its `tls` is for requests only.",
        ),
        Key::new(
            "connect_timeout",
            Kind::Duration(1),
            "\"5s\"",
            "To connect to one endpoint; each try has it anew.",
        ),
        Key::rule(
            "idle_timeout",
            Kind::Duration(1),
            "1h, and 30s with `protocol = \"udp\"`",
            "\"1h\"",
            "Without a byte in either direction.",
        ),
        Key::rule(
            "udp_sessions",
            Kind::Count(1, 1_000_000),
            "1024",
            "1024",
            "Sessions of UDP at once; datagrams of further clients are dropped. Each counts as a connection in `[limits]`.",
        ),
        Key::rule(
            "udp_responses",
            Kind::Count(0, 1_000_000),
            "not known",
            "1",
            "Answers to each datagram of a client, as 1 for DNS: a session that has them is over at once, without its idle time. An endpoint that owes some at the end has failed.",
        ),
        Key::new(
            "send_proxy_protocol",
            Kind::Word(&["off", "v1", "v2"]),
            "\"off\"",
            "Whether the endpoint is told of the client by a PROXY header, and in which version.",
        ),
        Key::new(
            "proxy_protocol_fields",
            Kind::Texts,
            "[]",
            "What version 2 of that header says beside the addresses, as far as it is known, by HAProxy's names: \"authority\" is the name that the TLS asks for (with `sni`), or that the connection's own PROXY header names; \"alpn\" and \"ssl\" are what that header says of TLS that ended before hubgate; \"unique-id\" is an id of the connection that the access log has as $request_id, \"crc32c\" a checksum.",
        ),
        Key::table(
            "access_log",
            "as [access_log], for this stream: one line a connection",
        ),
    ],
};

/// The table as typed.
#[derive(Debug)]
pub(in crate::config) struct Stream {
    pub(in crate::config) listen: Option<At<Listener>>,
    pub(in crate::config) sni: Option<Vec<At<String>>>,
    pub(in crate::config) upstream: Option<At<String>>,
    pub(in crate::config) connect: Option<At<Duration>>,
    pub(in crate::config) udp: Option<At<bool>>,
    pub(in crate::config) udp_sessions: Option<Option<At<usize>>>,
    pub(in crate::config) udp_responses: Option<Option<At<u32>>>,
    pub(in crate::config) idle: Option<Option<At<Duration>>>,
    pub(in crate::config) send_proxy_protocol: Option<Option<ProxyVersion>>,
    pub(in crate::config) proxy_fields: Option<Vec<At<String>>>,
    pub(in crate::config) access_log: Option<Overlay>,
}

/// Reads one stream.
pub(in crate::config) fn read(reader: &Reader<'_>, context: Context<'_>) -> Stream {
    let version = reader.word("send_proxy_protocol");
    Stream {
        listen: reader.listener("listen"),
        sni: reader.texts("sni"),
        upstream: reader.text("upstream"),
        connect: reader.duration("connect_timeout"),
        udp: reader.word("protocol").map(|at| At {
            value: at.value == "udp",
            span: at.span,
        }),
        udp_sessions: reader.optional("udp_sessions", Reader::count),
        udp_responses: reader.optional("udp_responses", Reader::count),
        idle: reader.optional("idle_timeout", Reader::duration),
        send_proxy_protocol: version.map(|word| match word.value.as_str() {
            "v1" => Some(ProxyVersion::V1),
            "v2" => Some(ProxyVersion::V2),
            _ => None,
        }),
        proxy_fields: reader.texts("proxy_protocol_fields"),
        access_log: read_access_log(reader, context),
    }
}
