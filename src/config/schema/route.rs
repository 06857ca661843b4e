//! `[[site."HOST".route]]`: what happens to a part of a site's paths.
//!
//! As typed: presets, patterns and the upstream's existence are for `validate`.

use std::sync::Arc;
use std::time::Duration;

use super::access;
use super::access_log::{self, Overlay};
use super::limit::{self, Limits};
use super::reader::{At, Context, Reader};
use super::{
    Key, Kind, Table, action, bodies, client_terms, detours, errors, files, heads, mirror, rules,
};
use crate::config::access::Access;
use crate::config::action::{OwnAnswer, Redirect, Respond};
use crate::config::bodies::Bodies;
use crate::config::client_address::ClientAddress;
use crate::config::detours::Detours;
use crate::config::files::Files;
use crate::config::mirror::MirrorTo;
use crate::config::preset;
use crate::config::referers::Referers;
use crate::config::source::Span;
use crate::types::amount::ByteSize;

pub(in crate::config) static TABLE: Table = Table {
    header: "[[site.\"HOST\".route]]",
    about: "What happens to a part of a site's paths. An exact path wins over all others, then the first regex in the order of the file, then the longest of `path` and `begins`, unless that one is `final`. Of routes within a route (`[[site.\"HOST\".route.route]]`) one is asked when the outer one is the best; they take nothing over from it but `access_log`.",
    keys: &[
        Key::either(
            "path",
            Kind::Text,
            "exact",
            "\"/jupyterhub/\"",
            "Every path that begins so; it ends at a `/`, so `/hub` does not stand for `/hubble`.",
        ),
        Key::rule(
            "exact",
            Kind::Text,
            "none; this or `path`",
            "\"/favicon.ico\"",
            "Exactly this path.",
        ),
        Key::rule(
            "begins",
            Kind::Text,
            "none; this or `path`",
            "\"/user\"",
            "Every path that begins with these bytes, wherever a segment ends: `/users` as well. With a slash at its end and an upstream, the path without it is redirected.",
        ),
        Key::rule(
            "regex",
            Kind::Text,
            "none; this or `path`",
            "'(?i)\\.(png|css)$'",
            "Every path in which this is found. What its groups take is `$1` to `$9`, and `$NAME` of `(?<NAME>...)`. Takes linear time; look-around and back references have a limit of steps.",
        ),
        Key::rule(
            "name",
            Kind::Text,
            "none; this or `path`",
            "\"app\"",
            "No path: other keys lead here by `@NAME`.",
        ),
        Key::new(
            "final",
            Kind::Flag,
            "false",
            "No regex is asked where this `path` or `begins` is the longest.",
        ),
        Key::new(
            "internal",
            Kind::Flag,
            "false",
            "Only requests that another route leads here may come; all others get 404.",
        ),
        Key::either(
            "upstream",
            Kind::Text,
            "respond",
            "\"hub\"",
            "Who answers: the name of an [upstream.NAME], or a text with $variables that says it for each request. Or `redirect`, `files` or `answer`.",
        ),
        Key::new(
            "strangers",
            Kind::Word(&["none", "addresses", "names"]),
            "\"none\"",
            "Who else is asked where `upstream` is a text with $variables and no [upstream.NAME] has the name that it gives: with \"addresses\" whoever listens at it (`192.0.2.1:8080`), with \"names\" also a host that [resolver] finds (`app.internal:8080`; port 80 unless it says another), by plain HTTP. What follows a slash in the text is what is asked for. A client that can choose the text can have anything asked that this machine reaches.",
        ),
        action::RESPOND,
        action::REDIRECT,
        files::FILES,
        action::ANSWER,
        rules::RULES,
        errors::ERRORS,
        detours::ERRORS_AGAIN,
        detours::OWN_ERRORS,
        Key::rule(
            "preset",
            Kind::Word(preset::NAMES),
            "none",
            "\"jupyterhub\"",
            "Values for JupyterHub or BinderHub; a key written here overrides them.",
        ),
        Key::rule(
            "rewrite_prefix",
            Kind::Text,
            "the raw target is forwarded",
            "\"/\"",
            "Replaces exactly the bytes of `path`; the rest stays byte for byte.",
        ),
        heads::TARGET,
        heads::REQUEST_HEADERS,
        heads::FORWARDED,
        heads::METHOD,
        heads::CLIENT_HEADERS,
        heads::BODY,
        heads::BIND,
        heads::ACCEL,
        heads::RESPONSE_HEADERS,
        heads::HIDE_HEADERS,
        heads::LOCATION_BASE,
        heads::EXPIRES,
        heads::LOCATION_HEADERS,
        heads::COOKIES,
        bodies::COMPRESS,
        bodies::DECOMPRESS,
        bodies::CHARSET,
        bodies::REPLACE,
        bodies::REFERERS,
        bodies::CLIENT_ADDRESS,
        mirror::MIRROR,
        Key::rule(
            "body_limit",
            Kind::SizeOrNone,
            "\"64MiB\"; with a preset \"none\"",
            "\"64MiB\"",
            "Largest request body.",
        ),
        Key::rule(
            "connect_timeout",
            Kind::Duration(1),
            "\"5s\"",
            "\"5s\"",
            "To connect to one endpoint; each try has it anew.",
        ),
        Key::rule(
            "tls_timeout",
            Kind::Duration(1),
            "\"5s\"",
            "\"5s\"",
            "For the TLS handshake with it, when its upstream has `tls`.",
        ),
        Key::rule(
            "response_timeout",
            Kind::Duration(1),
            "\"60s\"; with a preset \"10m\"",
            "\"60s\"",
            "From the end of the request, its body included, to the head of the response; each try has it anew.",
        ),
        Key::rule(
            "idle_timeout",
            Kind::Duration(1),
            "\"60s\"; with a preset \"1h\"",
            "\"60s\"",
            "Between two bytes, in either direction, once the response has begun. For event streams the longer of this and `tunnel_idle_timeout`. A client that sends or takes nothing is `timeouts.body` and `timeouts.write`.",
        ),
        Key::rule(
            "send_timeout",
            Kind::Duration(1),
            "`idle_timeout`",
            "\"60s\"",
            "While the upstream takes nothing of an upload.",
        ),
        Key::rule(
            "tunnel_handshake_timeout",
            Kind::Duration(1),
            "\"30s\"",
            "\"30s\"",
            "From an upgrade request (WebSocket) to its 101, in place of `response_timeout`.",
        ),
        Key::rule(
            "tunnel_idle_timeout",
            Kind::Duration(1),
            "\"1h\"",
            "\"1h\"",
            "Without a byte in either direction on a tunnel.",
        ),
        Key::rule(
            "total_timeout",
            Kind::Duration(1),
            "no limit",
            "\"10m\"",
            "From the request's head to the last byte of its response, waiting for a place and all tries included. It ends uploads, downloads and event streams that move; for tunnels it counts until they are open.",
        ),
        client_terms::CLIENT,
        limit::LIMITS,
        access::ACCESS,
        Key::table("access_log", "as [access_log], for this route"),
        Key::table("route", "routes within this one"),
    ],
};

/// A key that may be left out: `None` has a fault, `Some(None)` is not written.
pub(in crate::config) type Read<T> = Option<Option<At<T>>>;

/// The table as typed.
#[derive(Debug)]
pub(in crate::config) struct Route {
    pub(in crate::config) path: Read<String>,
    pub(in crate::config) exact: Read<String>,
    pub(in crate::config) begins: Read<String>,
    pub(in crate::config) regex: Read<String>,
    pub(in crate::config) named: Read<String>,
    pub(in crate::config) is_final: Option<At<bool>>,
    pub(in crate::config) internal: Option<At<bool>>,
    pub(in crate::config) upstream: Read<String>,
    pub(in crate::config) strangers: Option<At<String>>,
    pub(in crate::config) respond: Read<Respond>,
    pub(in crate::config) redirect: Read<Redirect>,
    pub(in crate::config) files: Read<Files>,
    pub(in crate::config) answer: Read<OwnAnswer>,
    pub(in crate::config) detours: Option<Detours>,
    pub(in crate::config) preset: Read<String>,
    pub(in crate::config) rewrite_prefix: Read<String>,
    pub(in crate::config) heads: Option<heads::RouteHeads>,
    pub(in crate::config) bodies: Option<Bodies>,
    /// `Some(None)` is not written.
    pub(in crate::config) referers: Option<Option<Arc<Referers>>>,
    pub(in crate::config) client_address: Option<Option<Arc<ClientAddress>>>,
    /// `Some(None)` is not written.
    pub(in crate::config) mirror: Option<Option<Arc<MirrorTo>>>,
    pub(in crate::config) body_limit: Read<Option<ByteSize>>,
    pub(in crate::config) connect: Read<Duration>,
    pub(in crate::config) tls: Read<Duration>,
    pub(in crate::config) response: Read<Duration>,
    pub(in crate::config) idle: Read<Duration>,
    pub(in crate::config) tunnel_handshake: Read<Duration>,
    pub(in crate::config) tunnel_idle: Read<Duration>,
    pub(in crate::config) send: Read<Duration>,
    pub(in crate::config) total: Read<Duration>,
    /// `Some(None)` is not written.
    pub(in crate::config) client: Option<Option<client_terms::Overlay>>,
    /// `Some(None)` is not written.
    pub(in crate::config) limits: Option<Option<Limits>>,
    /// `Some(None)` is not written.
    pub(in crate::config) access: Option<Option<Arc<Access>>>,
    pub(in crate::config) access_log: Option<Overlay>,
    /// Those within it.
    pub(in crate::config) routes: Option<Vec<Route>>,
    /// Of the table's head.
    pub(in crate::config) span: Span,
    /// As messages call it.
    pub(in crate::config) name: String,
}

/// Reads one route.
pub(in crate::config) fn read(reader: &Reader<'_>, context: Context<'_>) -> Route {
    Route {
        path: reader.optional("path", Reader::text),
        exact: reader.optional("exact", Reader::text),
        begins: reader.optional("begins", Reader::text),
        regex: reader.optional("regex", Reader::text),
        named: reader.optional("name", Reader::text),
        is_final: reader.flag("final"),
        internal: reader.flag("internal"),
        upstream: reader.optional("upstream", Reader::text),
        strangers: reader.word("strangers"),
        respond: action::respond(reader, context),
        redirect: action::redirect(reader, context),
        files: files::files(reader, context),
        answer: action::own(reader),
        detours: detours::of_route(reader, context),
        preset: reader.optional("preset", Reader::word),
        rewrite_prefix: reader.optional("rewrite_prefix", Reader::text),
        heads: heads::of_route(reader, context),
        bodies: bodies::bodies(reader, context),
        referers: bodies::referers(reader),
        client_address: bodies::client_address(reader, context),
        mirror: mirror::mirror(reader, context),
        body_limit: reader.optional("body_limit", Reader::size_or_none),
        connect: reader.optional("connect_timeout", Reader::duration),
        tls: reader.optional("tls_timeout", Reader::duration),
        response: reader.optional("response_timeout", Reader::duration),
        idle: reader.optional("idle_timeout", Reader::duration),
        send: reader.optional("send_timeout", Reader::duration),
        tunnel_handshake: reader.optional("tunnel_handshake_timeout", Reader::duration),
        tunnel_idle: reader.optional("tunnel_idle_timeout", Reader::duration),
        total: reader.optional("total_timeout", Reader::duration),
        client: client_terms::read(reader, context),
        limits: limit::read(reader, context),
        access: access::read(reader, context),
        access_log: read_access_log(reader, context),
        routes: read_all(reader, context),
        span: reader.span(),
        name: reader.name().to_owned(),
    }
}

/// Reads the routes of a site, or those within a route.
pub(super) fn read_all(reader: &Reader<'_>, context: Context<'_>) -> Option<Vec<Route>> {
    let tables = reader.tables("route")?.into_iter();
    let read = tables.map(|table| {
        let name = format!("a route of {}", reader.name());
        self::read(&Reader::new(&TABLE, name, Some(table), context), context)
    });
    Some(read.collect())
}

/// The `access_log` table inside a site or a route; without one everything is inherited.
pub(super) fn read_access_log(reader: &Reader<'_>, context: Context<'_>) -> Option<Overlay> {
    let Some(table) = reader.table("access_log")? else {
        return Some(Overlay::default());
    };
    let name = format!("the access_log of {}", reader.name());
    access_log::read_overlay(&Reader::new(&access_log::TABLE, name, Some(table), context))
}
