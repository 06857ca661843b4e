//! `[[stream]]`: connections that are passed on as bytes.
//!
//! As typed; which listeners and names meet, and what goes with what, is for `validate`.

use std::net::IpAddr;
use std::time::Duration;

use super::access::address_rules;
use super::access_log::Overlay;
use super::action::text;
use super::limit::{self, Limits};
use super::reader::{At, Context, Reader};
use super::route::{Read, read_access_log};
use super::rules::{Values, values};
use super::{Key, Kind, Table, site, tls};
use crate::config::access::AddressRule;
use crate::config::limit::Amount;
use crate::config::listener::Listener;
use crate::config::source::Span;
use crate::config::stream::ProxyVersion;
use crate::config::text::Text;
use crate::config::tls::PairFiles;
use crate::types::amount::ByteSize;

pub(in crate::config) static TABLE: Table = Table {
    header: "[[stream]]",
    about: "Connections that are passed on as bytes: TLS by the name it asks for, or anything that comes to an address, by TCP or UDP.",
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
        Key::either(
            "upstream",
            Kind::Text,
            "respond",
            "\"hub\"",
            "The upstream that gets them, as they are. With $variables, as in \"$backend\" of a [map.backend]: the one of that name; where there is none, the connection ends.",
        ),
        Key::new(
            "strangers",
            Kind::Word(&["none", "addresses", "names"]),
            "\"none\"",
            "Who else gets them where `upstream` is a text and no [upstream.NAME] has the name that it gives, as for routes; the port has to be said (`$ssl_preread_server_name:443`). Not with UDP.",
        ),
        Key::new(
            "preread",
            Kind::Flag,
            "true",
            "Whether a ClientHello is waited for where a text names what it says; without it `$ssl_preread_...` are empty.",
        ),
        Key::rule(
            "respond",
            Kind::Text,
            "none",
            "\"$remote_addr\"",
            "In place of an `upstream`: they are told this text, in which $variables count, and ended.",
        ),
        Key::rule(
            "set",
            Kind::Inline,
            "none",
            "{ where = \"$server_addr\" }",
            "Variables of its own, worked out in the order they are written when a connection comes.",
        ),
        Key::new(
            "access",
            Kind::Texts,
            "[]",
            "Who is let in: \"allow\" or \"deny\" with an address, a network, \"all\" or \"unix:\"; the first that matches counts, and without one everybody is.",
        ),
        Key::rule(
            "limits",
            Kind::Inline,
            "none",
            "{ concurrency = [{ of = \"addr\", most = 10 }], log = \"warn\", dry_run = false }",
            "Connections at once: each of `concurrency` names a [concurrency.NAME] and the `most` for each value of its key; further ones are ended. `log`, `dry_run` and `status` (in the access log) as in a route.",
        ),
        Key::rule(
            "upload_rate",
            Kind::Text,
            "none",
            "\"1MB\"",
            "Bytes in a second from each client: a size, or a text with $variables that says one.",
        ),
        Key::rule(
            "download_rate",
            Kind::Text,
            "none",
            "\"1MB\"",
            "Bytes in a second to each client, likewise.",
        ),
        Key::rule(
            "certificate",
            Kind::Inline,
            "none: TLS is passed on unopened",
            "{ chain = \"stream.pem\", key = \"stream.key\" }",
            "Ends the TLS of its clients with this certificate (PEM), whatever name they ask for, or with one of a list of certificates, by what the client can check; the files are read again at a reload. Not with `sni`.",
        ),
        Key::new(
            "alpn",
            Kind::Texts,
            "[]",
            "With `certificate`: protocols that are agreed to (ALPN), the first that a client offers too; clients that offer others only are refused. Empty asks nobody.",
        ),
        Key::table("tls", "as [tls], for this stream with `certificate`"),
        Key::new(
            "tls_to_upstream",
            Kind::Flag,
            "false",
            "Whether endpoints are spoken to by TLS, as the upstream's `tls` says; else that one is for requests only.",
        ),
        Key::rule(
            "bind",
            Kind::Text,
            "as the system chooses",
            "\"192.0.2.10\"",
            "The address of this machine that connections to endpoints come from.",
        ),
        Key::new(
            "tries",
            Kind::Count(0, 1000),
            "0",
            "How many endpoints are tried at most until one accepts; 0 for all.",
        ),
        Key::new(
            "tries_timeout",
            Kind::Duration(0),
            "\"0s\"",
            "After this time no other is tried; 0 for no such limit.",
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
        Key::new(
            "half_close",
            Kind::Flag,
            "true",
            "Whether a client may go on after the endpoint has ended its side; else it is over then. The other way round a client's end is always passed on, and the endpoint's answer waited for.",
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
        Key::rule(
            "udp_requests",
            Kind::Count(1, 1_000_000),
            "any number",
            "1",
            "Datagrams of a client after which its next one begins another session, perhaps with another endpoint.",
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
            "What version 2 of that header says beside the addresses, as far as it is known, by HAProxy's names: \"authority\" is the name that the TLS asks for (with `sni` or `certificate`), or that the connection's own PROXY header names; \"alpn\" and \"ssl\" are of the TLS that is ended here (`certificate`), or what that header says of TLS that ended before hubgate; \"unique-id\" is an id of the connection that the access log has as $request_id, \"crc32c\" a checksum.",
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
    pub(in crate::config) upstream: Read<String>,
    pub(in crate::config) respond: Read<Text>,
    pub(in crate::config) set: Option<Option<Values>>,
    pub(in crate::config) access: Option<Vec<At<AddressRule>>>,
    pub(in crate::config) limits: Option<Option<Limits>>,
    pub(in crate::config) strangers: Option<At<String>>,
    pub(in crate::config) preread: Option<At<bool>>,
    pub(in crate::config) upload: Read<Amount>,
    pub(in crate::config) download: Read<Amount>,
    pub(in crate::config) certificate: Read<Vec<PairFiles>>,
    pub(in crate::config) alpn: Option<Vec<At<String>>>,
    pub(in crate::config) tls: Option<tls::Overlay>,
    pub(in crate::config) tls_to_upstream: Option<At<bool>>,
    pub(in crate::config) bind: Read<IpAddr>,
    pub(in crate::config) tries: Option<At<u32>>,
    pub(in crate::config) tries_time: Option<At<Duration>>,
    pub(in crate::config) connect: Option<At<Duration>>,
    pub(in crate::config) udp: Option<At<bool>>,
    pub(in crate::config) udp_sessions: Option<Option<At<usize>>>,
    pub(in crate::config) half_close: Option<At<bool>>,
    pub(in crate::config) udp_responses: Option<Option<At<u32>>>,
    pub(in crate::config) udp_requests: Option<Option<At<u32>>>,
    pub(in crate::config) idle: Option<Option<At<Duration>>>,
    pub(in crate::config) send_proxy_protocol: Option<Option<ProxyVersion>>,
    pub(in crate::config) proxy_fields: Option<Vec<At<String>>>,
    pub(in crate::config) access_log: Option<Overlay>,
    /// Of its head.
    pub(in crate::config) span: Span,
}

/// Reads one stream.
pub(in crate::config) fn read(reader: &Reader<'_>, context: Context<'_>) -> Stream {
    let version = reader.word("send_proxy_protocol");
    Stream {
        listen: reader.listener("listen"),
        sni: reader.texts("sni"),
        upstream: reader.optional("upstream", Reader::text),
        respond: reader.optional("respond", |reader, key| {
            reader.field(key, |field| {
                text(field, Text::parse_with(field.text()?, reader.own()))
            })
        }),
        set: values(reader, "set", context),
        access: address_rules(reader, "access"),
        limits: limit::read(reader, context),
        strangers: reader.word("strangers"),
        preread: reader.flag("preread"),
        upload: reader.optional("upload_rate", rate),
        download: reader.optional("download_rate", rate),
        certificate: reader.optional("certificate", |reader, key| {
            reader.field(key, |field| site::pairs(field, reader, context))
        }),
        alpn: reader.texts("alpn"),
        tls: tls::read(reader, context),
        tls_to_upstream: reader.flag("tls_to_upstream"),
        bind: reader.optional("bind", bind),
        tries: reader.count("tries"),
        tries_time: reader.duration("tries_timeout"),
        connect: reader.duration("connect_timeout"),
        udp: reader.word("protocol").map(|at| At {
            value: at.value == "udp",
            span: at.span,
        }),
        udp_sessions: reader.optional("udp_sessions", Reader::count),
        half_close: reader.flag("half_close"),
        udp_responses: reader.optional("udp_responses", Reader::count),
        udp_requests: reader.optional("udp_requests", Reader::count),
        idle: reader.optional("idle_timeout", Reader::duration),
        send_proxy_protocol: version.map(|word| match word.value.as_str() {
            "v1" => Some(ProxyVersion::V1),
            "v2" => Some(ProxyVersion::V2),
            _ => None,
        }),
        proxy_fields: reader.texts("proxy_protocol_fields"),
        access_log: read_access_log(reader, context),
        span: reader.span(),
    }
}

fn rate(reader: &Reader<'_>, key: &'static str) -> Option<At<Amount>> {
    reader.field(key, |field| {
        let typed = field.text()?;
        if typed.contains('$') {
            return text(field, Text::parse_with(typed, reader.own())).map(Amount::Said);
        }
        match ByteSize::parse(typed) {
            Ok(size) if size.0 > 0 => Some(Amount::Fixed(size)),
            _ => {
                let message = format!("`{typed}` is no size above 0");
                field.refuse("bad-size", message, Some("as in \"1MB\"".to_owned()))
            }
        }
    })
}

fn bind(reader: &Reader<'_>, key: &'static str) -> Option<At<IpAddr>> {
    reader.field(key, |field| {
        let typed = field.text()?;
        let refuse = |_| field.refuse("bad-address", format!("`{typed}` is no IP address"), None);
        typed.parse().map_or_else(refuse, Some)
    })
}
