//! What nginx refuses when it has merged a block with those around it: sizes against each other, caches that nobody declared,
//! methods that do not mix.
//!
//! Asked of `http` when it has been read to its end, which is where nginx tells it. Sentences are nginx's. Pure.
#![deny(clippy::disallowed_methods)]

use super::model::Scope;
use super::shared::Zones;
use super::table::{self, Context};
use super::tree::{Directive, Word};
use super::value;

/// Who gathers answers in buffers.
const GATHERING: &[&str] = &["proxy", "fastcgi", "uwsgi", "scgi"];

/// A fault at the block's end, or in no place.
pub(super) enum Found {
    AtEnd(String),
    Nowhere(String),
}

/// The first fault of an `http`.
pub(super) fn fault(http: &Directive, zones: &Zones) -> Option<Found> {
    let outermost = Scope::outermost(Context::Http, http.children());
    each(&outermost, http, &mut |scope| {
        of_server(scope)
            .or_else(|| GATHERING.iter().find_map(|family| buffers(scope, family)))
            .or_else(|| {
                GATHERING
                    .iter()
                    .find_map(|family| cache(scope, family, zones))
            })
            .map(Found::AtEnd)
            .or_else(|| secured(scope).map(Found::AtEnd))
            .or_else(|| referers(scope).map(Found::Nowhere))
            .or_else(|| trusted(scope).map(Found::Nowhere))
            .or_else(|| shown(scope).map(Found::Nowhere))
    })
}

/// What nginx warns of at the end of an `http`.
pub(super) fn warnings(http: &Directive) -> Vec<String> {
    let outermost = Scope::outermost(Context::Http, http.children());
    let mut told = Vec::new();
    each(&outermost, http, &mut |scope| {
        for family in GATHERING.iter().filter(|family| **family != "proxy") {
            let cache = format!("{family}_cache");
            let on = scope
                .one(&cache)
                .is_some_and(|own| own.argument(0) != "off");
            let key = format!("{cache}_key");
            if on && scope.one(&key).is_none() {
                told.push(format!("no \"{key}\" for \"{cache}\""));
            }
        }
        None
    });
    told
}

/// Asks every block within one, outer ones first.
fn each(
    scope: &Scope<'_>,
    block: &Directive,
    ask: &mut dyn FnMut(&Scope<'_>) -> Option<Found>,
) -> Option<Found> {
    block.children().iter().find_map(|own| {
        let context = table::inner(scope.context(), &own.name())?;
        let merged = !matches!(context, Context::Upstream | Context::ServerIf);
        own.block.as_ref().filter(|_| merged)?;
        let inner = scope.inner(context, own.children());
        ask(&inner).or_else(|| each(&inner, own, ask))
    })
}

fn number(word: Option<&Word>, read: impl Fn(&[u8]) -> Option<i64>) -> Option<i64> {
    read(&word?.bytes)
}

fn size(scope: &Scope<'_>, name: &str) -> Option<i64> {
    number(scope.one(name)?.arguments().first(), value::size)
}

/// A number of buffers, and the size of each.
fn several(scope: &Scope<'_>, name: &str) -> Option<(i64, i64)> {
    let words = scope.one(name)?.arguments();
    let count = number(words.first(), value::number)?;
    Some((count, number(words.get(1), value::size)?))
}

fn of_server(scope: &Scope<'_>) -> Option<String> {
    if scope.context() != Context::Server {
        return None;
    }
    let (_, each) = several(scope, "large_client_header_buffers").unwrap_or((4, 8192));
    let pool = size(scope, "connection_pool_size").unwrap_or(512);
    let text = "the \"large_client_header_buffers\" size must be equal to or greater than \"connection_pool_size\"";
    (each < pool).then(|| text.to_owned())
}

fn buffers(scope: &Scope<'_>, family: &str) -> Option<String> {
    let name = |what: &str| format!("{family}_{what}");
    let (count, each) = several(scope, &name("buffers")).unwrap_or((8, value::PAGE));
    let first = size(scope, &name("buffer_size")).unwrap_or(value::PAGE);
    if count < 2 {
        return Some(format!("there must be at least 2 \"{family}_buffers\""));
    }
    let largest = first.max(each);
    let of_all = format!(
        "must be equal to or greater than the maximum of the value of \"{family}_buffer_size\" and one of the \"{family}_buffers\""
    );
    let busy = size(scope, &name("busy_buffers_size")).unwrap_or(2 * largest);
    if busy < largest {
        return Some(format!("\"{family}_busy_buffers_size\" {of_all}"));
    }
    if busy > (count - 1).saturating_mul(each) {
        return Some(format!(
            "\"{family}_busy_buffers_size\" must be less than the size of all \"{family}_buffers\" minus one buffer"
        ));
    }
    let written = size(scope, &name("temp_file_write_size")).unwrap_or(2 * largest);
    if written < largest {
        return Some(format!("\"{family}_temp_file_write_size\" {of_all}"));
    }
    let file = size(scope, &name("max_temp_file_size")).unwrap_or(1 << 30);
    (file != 0 && file < largest).then(|| {
        format!(
            "\"{family}_max_temp_file_size\" must be equal to zero to disable temporary files usage or {of_all}"
        )
    })
}

fn cache(scope: &Scope<'_>, family: &str, zones: &Zones) -> Option<String> {
    let name = format!("{family}_cache");
    let zone = scope.one(&name)?.argument(0);
    let fixed = zone != "off" && !zone.is_empty() && !zone.contains('$');
    (fixed && !zones.has_cache(&zone)).then(|| format!("\"{name}\" zone \"{zone}\" is unknown"))
}

fn secured(scope: &Scope<'_>) -> Option<String> {
    let has = |name| scope.one(name).is_some();
    let text =
        "\"secure_link_secret\" cannot be mixed with \"secure_link\" and \"secure_link_md5\"";
    let mixed = has("secure_link_secret") && (has("secure_link") || has("secure_link_md5"));
    mixed.then(|| text.to_owned())
}

fn referers(scope: &Scope<'_>) -> Option<String> {
    let own: Vec<_> = { scope.own().iter() }
        .filter(|own| own.is("valid_referers"))
        .flat_map(Directive::arguments)
        .collect();
    let special = |word: &&&Word| matches!(&*word.bytes, b"none" | b"blocked");
    let text = "the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" directive without any valid referer";
    let alone = !own.is_empty() && own.iter().filter(special).count() == own.len();
    alone.then(|| text.to_owned())
}

/// The first fault of a `stream`: what its servers that end TLS lack, told in no place.
pub(super) fn fault_of_stream(stream: &Directive) -> Option<String> {
    let outermost = Scope::outermost(Context::Stream, stream.children());
    let mut servers = stream.children().iter().filter(|own| own.is("server"));
    servers.find_map(|server| {
        let ssl = |own: &Directive| {
            let mut words = own.arguments().iter();
            own.is("listen") && words.any(|word| &*word.bytes == b"ssl")
        };
        server.children().iter().find(|own| ssl(own))?;
        trusted(&outermost.inner(Context::StreamServer, server.children()))
    })
}

/// A server's certificates without their keys, and clients' that nobody could check.
fn trusted(scope: &Scope<'_>) -> Option<String> {
    if !matches!(scope.context(), Context::Server | Context::StreamServer) {
        return None;
    }
    let certificates = scope.all("ssl_certificate");
    let last = certificates.last()?;
    let keys = scope.all("ssl_certificate_key");
    if keys.len() < certificates.len() {
        let last = last.argument(0);
        let of_directive = match scope.flag("ssl", false) {
            true if keys.is_empty() => return None,
            true => " and the \"ssl\" directive",
            false => "",
        };
        return Some(format!(
            "no \"ssl_certificate_key\" is defined for certificate \"{last}\"{of_directive}"
        ));
    }
    let asks = scope.one("ssl_verify_client")?.argument(0);
    // Later nginx does with what it trusts otherwise.
    let checked = ["ssl_client_certificate", "ssl_trusted_certificate"];
    let unknown = !checked.iter().any(|name| scope.one(name).is_some());
    let text = "no ssl_client_certificate for ssl_verify_client";
    (matches!(&*asks, "on" | "optional") && unknown).then(|| text.to_owned())
}

/// What upstreams are shown, and what theirs are checked by.
fn shown(scope: &Scope<'_>) -> Option<String> {
    [
        ("proxy", "https://"),
        ("grpc", "grpcs://"),
        ("uwsgi", "suwsgi://"),
    ]
    .into_iter()
    .find_map(|(family, scheme)| {
        let pass = format!("{family}_pass");
        let pass = scope.own().iter().find(|own| own.is(&pass))?.argument(0);
        let head = pass.get(..scheme.len());
        let tls = head.is_some_and(|head| head.eq_ignore_ascii_case(scheme));
        if !tls && !pass.contains('$') {
            return None;
        }
        let name = |what: &str| format!("{family}_ssl_{what}");
        let certificate = scope.one(&name("certificate")).map(|own| own.argument(0));
        if let Some(own) = certificate.filter(|own| !own.is_empty())
            && scope.one(&name("certificate_key")).is_none()
        {
            return Some(format!(
                "no \"{family}_ssl_certificate_key\" is defined for certificate \"{own}\""
            ));
        }
        let checks = scope.flag(&name("verify"), false);
        let blind = checks && scope.one(&name("trusted_certificate")).is_none();
        blind.then(|| format!("no {family}_ssl_trusted_certificate for {family}_ssl_verify"))
    })
}
