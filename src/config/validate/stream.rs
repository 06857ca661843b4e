//! Streams: where their connections come in, and that each connection belongs to one of them or to a site.
//!
//! Refuses two that claim the same connections; a name that a site serves as well is warned of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::site::host_of;
use super::stream_more;
use super::upstream::Names;
use crate::config::access_log::AccessLog;
use crate::config::diagnostic::Diagnostic;
use crate::config::listener::SocketOptions;
use crate::config::model::{CertificateSource, Listen, Site};
use crate::config::schema::reader::{At, Context};
use crate::config::schema::stream::Stream as Typed;
use crate::config::source::Span;
use crate::config::stream::{ProxyFields, ProxyVersion, Stream, Udp};
use crate::config::tls::Tls;
use crate::types::address::Address;
use crate::types::host::HostPattern;

/// Of UDP, at once.
const SESSIONS: usize = 1024;

/// A checked stream with the places of its address and of its names.
type Placed = (Stream, Span, Vec<At<HostPattern>>);

/// Checks every stream.
pub(super) fn check_all(
    streams: Option<Vec<Typed>>,
    (access_log, tls): (Option<&Arc<AccessLog>>, Option<&Arc<Tls>>),
    (listen, sites): (Option<&Listen>, Option<&[Site]>),
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> Option<Vec<Stream>> {
    let checked: Vec<_> = streams?
        .into_iter()
        .map(|typed| check(typed, (access_log, tls), names, context, relations))
        .collect();
    let placed: Vec<Placed> = checked.into_iter().collect::<Option<_>>()?;
    if let Some(listen) = listen {
        check_listeners(&placed, listen, relations);
    }
    check_names(&placed, sites.unwrap_or_default(), relations);
    Some(placed.into_iter().map(|(stream, _, _)| stream).collect())
}

fn check(
    typed: Typed,
    (access_log, tls): (Option<&Arc<AccessLog>>, Option<&Arc<Tls>>),
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> Option<Placed> {
    let udp = udp(&typed, names, context);
    let fields = fields(&typed, context);
    let action = stream_more::action(&typed, names, context, relations);
    let more = tls.and_then(|tls| stream_more::check(&typed, tls, names, context, relations));
    let sni: Option<Vec<_>> = typed.sni.and_then(|hosts| {
        let hosts: Vec<_> = hosts.iter().map(|host| host_of(host, context)).collect();
        hosts.into_iter().collect()
    });
    let (listen, sni) = (typed.listen?, sni?);
    let udp = udp?;
    let stream = Stream {
        listen: listen.value,
        sni: sni.iter().map(|host| host.value.clone()).collect(),
        action: action?,
        connect: typed.connect?.value,
        idle: typed.idle?.map_or(default_idle(udp), |at| at.value),
        udp,
        send_proxy_protocol: typed.send_proxy_protocol?,
        proxy_fields: fields?,
        access_log: typed.access_log?.over(access_log?),
        more: more?,
    };
    Some((stream, listen.span, sni))
}

fn default_idle(udp: Option<Udp>) -> Duration {
    match udp {
        None => Duration::from_secs(3600),
        Some(_) => Duration::from_secs(30),
    }
}

/// What a PROXY header says beside the addresses; warns of what it will never say.
fn fields(typed: &Typed, context: Context<'_>) -> Option<ProxyFields> {
    let mut fields = ProxyFields::default();
    let mut sound = true;
    let version = typed.send_proxy_protocol?;
    for field in typed.proxy_fields.as_ref()? {
        let doubt = |message: &str| {
            let doubt = Diagnostic::warning("no-effect", field.span.clone(), message);
            context.sink.push(doubt);
        };
        if version != Some(ProxyVersion::V2) {
            doubt("only `send_proxy_protocol = \"v2\"` has fields");
        }
        match field.value.as_str() {
            "alpn" => fields.alpn = true,
            "authority" => fields.authority = true,
            "ssl" => fields.tls = true,
            "unique-id" => fields.unique_id = true,
            "crc32c" => fields.checksum = true,
            other => {
                let message = format!("a PROXY header has no field `{other}` here");
                let fault = Diagnostic::error("proxy-field", field.span.clone(), message);
                let hint =
                    "there are \"alpn\", \"authority\", \"ssl\", \"unique-id\" and \"crc32c\"";
                context.sink.push(fault.hint(hint));
                sound = false;
            }
        }
    }
    sound.then_some(fields)
}

/// What is told of UDP; refuses what only one of the protocols has.
fn udp(typed: &Typed, names: &Names, context: Context<'_>) -> Option<Option<Udp>> {
    let is_udp = typed.udp.as_ref()?.value;
    let (sessions, responses) = (typed.udp_sessions.as_ref()?, typed.udp_responses.as_ref()?);
    let requests = typed.udp_requests.as_ref()?;
    let listen = typed.listen.as_ref()?;
    let sni = typed.sni.as_ref().and_then(|names| names.first());
    let upstream = typed.upstream.as_ref()?.as_ref();
    let local = upstream.filter(|name| names.is_local(&name.value));
    let unix = matches!(listen.value.address, Address::Unix(_));
    let version = typed.send_proxy_protocol.as_ref()?;
    let let_in = listen.value.proxy_from.as_ref();
    let idle = [
        ("udp_sessions", sessions.as_ref().map(|at| &at.span)),
        ("udp_responses", responses.as_ref().map(|at| &at.span)),
        ("udp_requests", requests.as_ref().map(|at| &at.span)),
    ];
    for (key, span) in idle {
        if let Some(span) = span.filter(|_| !is_udp) {
            let message = format!("`{key}` means nothing without `protocol = \"udp\"`");
            let doubt = Diagnostic::warning("no-effect", span.clone(), message);
            context.sink.push(doubt);
        }
    }
    let foreign = [
        sni.map(|at| (&at.span, "`sni` is not looked for with")),
        local.map(|at| {
            (
                &at.span,
                "endpoints that are unix sockets take nothing with",
            )
        }),
        unix.then_some((&listen.span, "a unix socket cannot be listened on with")),
        version.map(|_| (&listen.span, "no PROXY header is sent with")),
        let_in.map(|_| (&listen.span, "no PROXY header is taken with")),
    ];
    let mut sound = true;
    for (span, what) in foreign.into_iter().flatten().filter(|_| is_udp) {
        let message = format!("{what} `protocol = \"udp\"`");
        let fault = Diagnostic::error("stream-protocol", span.clone(), message);
        context.sink.push(fault);
        sound = false;
    }
    let udp = is_udp.then(|| Udp {
        sessions: sessions.as_ref().map_or(SESSIONS, |at| at.value),
        responses: responses.as_ref().map(|at| at.value),
        requests: requests.as_ref().map(|at| at.value),
    });
    sound.then_some(udp)
}

/// No stream without names takes a whole address from the sites, none sits where plain HTTP is, and sockets are made in
/// one way.
fn check_listeners(placed: &[Placed], listen: &Listen, context: Context<'_>) {
    let mut whole: HashMap<(&Address, bool), &Span> = HashMap::new();
    for (stream, span, _) in placed {
        let at = &stream.listen.address;
        let is_udp = stream.udp.is_some();
        if !is_udp && listen.http.iter().any(|http| http.address == *at) {
            let message = format!("`{at}` is an address of `listen.http`");
            let hint = "a stream listens on an address of its own or of `listen.https`";
            let fault = Diagnostic::error("stream-address", span.clone(), message);
            context.sink.push(fault.hint(hint));
        }
        check_known(stream, span, listen, context);
        if !stream.sni.is_empty() {
            continue;
        }
        if !is_udp && listen.https_at(at).is_some() {
            let message = format!("the stream takes every connection to `{at}` from the sites");
            let hint =
                "name the hosts it is for in `sni`, or take the address out of `listen.https`";
            let fault = Diagnostic::error("stream-address", span.clone(), message);
            context.sink.push(fault.hint(hint));
        }
        if let Some(first) = whole.insert((at, is_udp), span).filter(|_| at.is_fixed()) {
            let message = format!("a second stream without `sni` listens on `{at}`");
            let fault = Diagnostic::error("duplicate-stream", span.clone(), message);
            context
                .sink
                .push(fault.related(first.clone(), "the first is"));
        }
    }
    check_options(placed, listen, context);
}

/// Warns of fields of a PROXY header that nobody will ever know.
fn check_known(stream: &Stream, span: &Span, listen: &Listen, context: Context<'_>) {
    let settings = &listen.proxy_protocol;
    let mut expected = settings.optional.iter().chain(&settings.required);
    if expected.any(|one| *one == stream.listen.address) {
        return;
    }
    if stream.more.as_ref().is_some_and(|more| more.tls.is_some()) {
        return;
    }
    let fields = stream.proxy_fields;
    for (wanted, message) in [
        (
            fields.authority && stream.sni.is_empty(),
            "nobody looks for a name to tell: there is no `sni` and no `certificate`, and no PROXY header is expected",
        ),
        (
            fields.alpn || fields.tls,
            "\"alpn\" and \"ssl\" are known where TLS ends, by a `certificate` here or before the PROXY header, and there is neither",
        ),
    ] {
        if wanted {
            context
                .sink
                .push(Diagnostic::warning("no-effect", span.clone(), message));
        }
    }
}

/// How the sockets of an address are made is told once.
fn check_options(placed: &[Placed], listen: &Listen, context: Context<'_>) {
    type Told<'a> = (&'a SocketOptions, Option<&'a [IpNet]>);
    let mut told: HashMap<(&Address, bool), (Told<'_>, &Span)> = HashMap::new();
    let special = placed.iter().filter(|(stream, _, _)| {
        let listen = &stream.listen;
        let plain = *listen.options == SocketOptions::default() && listen.proxy_from.is_none();
        !plain && listen.address.is_fixed()
    });
    for (stream, span, _) in special {
        let (own, _) = stream.listener(listen);
        let options = (&*stream.listen.options, stream.listen.proxy_from.as_deref());
        let refuse = |message: String| Diagnostic::error("listener-option", span.clone(), message);
        if !std::ptr::eq(own, &stream.listen) {
            let message = format!("`{}` is opened by `listen.https`", own.address);
            let fault = refuse(message).hint("write the options of its sockets there");
            context.sink.push(fault);
        } else if let Some((_, first)) = told
            .insert((&own.address, stream.udp.is_some()), (options, span))
            .filter(|(other, _)| *other != options)
        {
            let message = format!("`{}` has other options in another stream", own.address);
            let fault = refuse(message).related(first.clone(), "the other is");
            context.sink.push(fault);
        }
    }
}

/// A name belongs to one stream of an address, and to no site that would need a certificate for it.
fn check_names(placed: &[Placed], sites: &[Site], context: Context<'_>) {
    if placed.is_empty() {
        return; // as most files with thousands of sites
    }
    let mut taken: HashMap<(&Address, &HostPattern), &Span> = HashMap::new();
    let served: HashMap<&HostPattern, &Site> = sites
        .iter()
        .filter(|site| site.certificate != CertificateSource::None)
        .flat_map(|site| site.hosts.iter().map(move |host| (host, site)))
        .collect();
    for (stream, _, sni) in placed {
        for name in sni {
            if let Some(first) = taken.insert((&stream.listen.address, &name.value), &name.span) {
                let message = format!("`{}` belongs to two streams", name.value);
                let fault = Diagnostic::error("duplicate-stream", name.span.clone(), message);
                context
                    .sink
                    .push(fault.related(first.clone(), "the first is"));
            }
            if let Some(site) = served.get(&name.value) {
                let message = format!(
                    "`{}` is passed on unopened, and site `{}` serves it with a certificate",
                    name.value,
                    site.name()
                );
                context.sink.push(
                    Diagnostic::warning("stream-and-site", name.span.clone(), message).hint(
                        "a site for port 80 alone, as for challenges, has `certificate = \"none\"`",
                    ),
                );
            }
        }
    }
}
