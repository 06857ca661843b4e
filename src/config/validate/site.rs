//! Sites: their hosts, what they ask of listeners and certificates, and that their routes can be told apart.
//!
//! Refuses what cannot work, warns of what is written but has no effect.

use std::sync::Arc;

use super::upstream::Names;
use super::{each_once, route, tls};
use crate::config::diagnostic::Diagnostic;
use crate::config::error_pages::ErrorPages;
use crate::config::model::{
    AccessLog, AccessLogFormat, AccessLogTarget, Acme, CertificateSource, ChallengeKind, HttpMode,
    Listen, Route, Site,
};
use crate::config::schema::heads::SiteHeads;
use crate::config::schema::reader::{At, Context};
use crate::config::schema::site::Site as Typed;
use crate::config::source::Span;
use crate::config::tls::Tls;
use crate::types::host::{Host, HostError, HostPattern};
use crate::types::path::PathPattern;

/// Checks every site, and that no host belongs to two. None is needed where there are `streams`.
pub(super) fn check_all(
    (sites, streams): (Option<Vec<Typed>>, bool),
    (access_log, error_pages, tls): (
        Option<&AccessLog>,
        Option<&Arc<ErrorPages>>,
        Option<&Arc<Tls>>,
    ),
    (listen, acme): (Option<&Listen>, Option<&Acme>),
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> Option<Vec<Site>> {
    let sites = sites?;
    if sites.is_empty() && !streams {
        let fault = Diagnostic::whole("no-site", "the configuration has no site").hint(
            "add `[site.\"hub.example.org\"]` and under it `[[site.\"hub.example.org\".route]]`",
        );
        return relations.sink.refuse(fault);
    }
    let fallback = AccessLog {
        target: AccessLogTarget::Off,
        format: AccessLogFormat::Combined,
        redact: Vec::new(),
    };
    let access_log = access_log.unwrap_or(&fallback);
    let built_in = Arc::default();
    let tls = tls.cloned().unwrap_or_default();
    let inherited = (access_log, error_pages.unwrap_or(&built_in), &tls);
    let defaults: Vec<_> = sites
        .iter()
        .filter_map(|site| site.default.as_ref())
        .filter(|default| default.value)
        .collect();
    each_once(defaults, relations.sink, |again, _| {
        Diagnostic::error(
            "several-defaults",
            again.span.clone(),
            "a second site is the default",
        )
    });
    let checked: Vec<_> = sites
        .into_iter()
        .map(|site| check(site, inherited, (listen, acme), names, context, relations))
        .collect();
    let hosts = checked.iter().flat_map(|(hosts, _)| hosts.iter().flatten());
    each_once(hosts, relations.sink, |again, _| {
        let message = format!("host `{}` is served twice", again.value);
        Diagnostic::error("duplicate-host", again.span.clone(), message)
    });
    checked.into_iter().map(|(_, site)| site).collect()
}

fn check(
    typed: Typed,
    (access_log, error_pages, tls): (&AccessLog, &Arc<ErrorPages>, &Arc<Tls>),
    (listen, acme): (Option<&Listen>, Option<&Acme>),
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> (Option<Vec<At<HostPattern>>>, Option<Site>) {
    let hosts: Option<Vec<_>> = typed.hosts.as_ref().and_then(|hosts| {
        let hosts: Vec<_> = hosts.iter().map(|host| host_of(host, context)).collect();
        hosts.into_iter().collect()
    });
    if let (Some(hosts), Some(certificate)) = (&hosts, &typed.certificate) {
        check_certificate(hosts, certificate, (listen, acme), relations);
    }
    check_http(&typed, listen, relations);
    check_tls(&typed, relations);
    let access_log = typed.access_log.clone().map(|own| own.over(access_log));
    let error_pages = typed.error_pages.clone().map(|own| own.over(error_pages));
    let tls = typed
        .tls
        .as_ref()
        .and_then(|own| tls::check(own, tls, relations));
    let fallback = typed
        .challenge_fallback
        .as_ref()
        .and_then(|name| match name {
            None => Some(None),
            Some(name) => names
                .find(
                    name,
                    &format!("{}'s challenge_fallback", typed.name),
                    relations,
                )
                .map(Some),
        });
    let has_routes = typed
        .routes
        .as_ref()
        .is_none_or(|routes| !routes.is_empty());
    let no_heads = SiteHeads::default();
    let heads = typed.heads.as_ref().unwrap_or(&no_heads);
    let paths = typed.paths;
    let access = typed.access.as_ref().and_then(Option::as_ref);
    let limits = typed.limits.as_ref().and_then(Option::as_ref);
    let inherited = access_log.as_ref().map(|access_log| route::Inherited {
        access_log,
        access,
        limits: limits.map(|limits| &limits.value),
        paths: paths.unwrap_or_default(),
        heads,
    });
    let routes = routes(typed.routes, inherited, names, context, relations);
    let head = typed.span.clone();
    let mode_at = typed.http.clone().flatten().map(|at| at.span);
    let site = (|| {
        let certificate = typed.certificate?.value;
        let plain = has_routes && certificate == CertificateSource::None;
        Some(Site {
            hosts: hosts.as_ref()?.iter().map(|at| at.value.clone()).collect(),
            default: typed.default?.value,
            http: typed.http?.map_or(
                if plain {
                    HttpMode::Forward
                } else {
                    HttpMode::Redirect
                },
                |at| at.value,
            ),
            certificate,
            redirect_status: typed.redirect_status?.map(|at| at.value),
            challenge_fallback: fallback?,
            paths: paths?,
            routes: routes?,
            request: typed.heads.as_ref()?.request.clone(),
            response: typed.heads.as_ref()?.response.clone(),
            limits: typed.limits?.map(|limits| limits.value),
            access: typed.access?,
            access_log: access_log?,
            error_pages: error_pages?,
            tls: tls?,
        })
    })();
    if let Some(site) = &site {
        check_plain(site, mode_at.unwrap_or(head), listen, relations);
    }
    (hosts, site)
}

/// A host as written; a fault when it is none.
pub(super) fn host_of(host: &At<String>, context: Context<'_>) -> Option<At<HostPattern>> {
    let text = host.value.as_str();
    let error = match HostPattern::parse(text) {
        Ok(HostPattern::Wildcard(name)) if name.ip().is_some() => {
            format!("`{text}` is not a host: an address has no hosts below it")
        }
        Ok(value) => {
            return Some(At {
                value,
                span: host.span.clone(),
            });
        }
        Err(error @ HostError::Malformed { .. }) => error.to_string(),
        Err(error) => format!("`{text}` is not a host: {error}"),
    };
    let fault = Diagnostic::error("bad-host", host.span.clone(), error);
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let bare = bare.split('/').next().unwrap_or(bare);
    let bare = bare.rsplit_once(':').map_or(bare, |(host, _)| host);
    context.sink.refuse(if text.contains('*') {
        fault.hint("a star stands for the first label alone, as in `*.example.org`")
    } else if bare != text && Host::parse(bare).is_ok() {
        fault.hint(format!("write the host alone: `{bare}`"))
    } else {
        fault
    })
}

fn check_certificate(
    hosts: &[At<HostPattern>],
    certificate: &At<CertificateSource>,
    (listen, acme): (Option<&Listen>, Option<&Acme>),
    context: Context<'_>,
) {
    let warn = |fault: Diagnostic| context.sink.push(fault);
    let needs_https = certificate.value != CertificateSource::None;
    if needs_https && listen.is_some_and(|listen| listen.https.is_empty()) {
        warn(
            Diagnostic::error(
                "certificate-without-https",
                certificate.span.clone(),
                "the site has a certificate, but nothing listens for https",
            )
            .hint("give `[listen]` an `https` address, or write `certificate = \"none\"`"),
        );
    }
    if certificate.value != CertificateSource::Acme {
        return;
    }
    for host in hosts {
        match &host.value {
            HostPattern::Wildcard(name) => warn(
                Diagnostic::error("wildcard-acme", host.span.clone(), format!("`*.{name}` cannot have a certificate by ACME HTTP-01"))
                    .hint("authorities issue wildcards by DNS-01 only, which is not supported; write `certificate = { chain = \"FILE\", key = \"FILE\" }`"),
            ),
            HostPattern::Exact(name) if name.ip().is_none() && !is_public(name) => warn(
                Diagnostic::warning("acme-local-host", host.span.clone(), format!("a public authority gives no certificate for `{name}`"))
                    .hint("for trials write `certificate = \"self-signed\"`"),
            ),
            HostPattern::Exact(_) => {}
        }
    }
    let by_http = |acme: &Acme| {
        let mut all = acme.authorities.iter();
        all.any(|authority| authority.challenge == ChallengeKind::Http01)
    };
    if acme.is_none_or(by_http) && listen.is_some_and(|listen| listen.http.is_empty()) {
        warn(
            Diagnostic::warning(
                "acme-without-http",
                certificate.span.clone(),
                "nothing listens for plain http, where the authority asks for the challenge",
            )
            .hint("give `[listen]` an `http` address on port 80, or `[acme]` the challenge `tls-alpn-01`"),
        );
    }
}

/// Names with one label, and those below names set aside for local use (RFC 6761, RFC 8375).
fn is_public(host: &Host) -> bool {
    let name = host.as_str();
    let last = name.rsplit('.').next().unwrap_or(name);
    host.parent().is_some()
        && !matches!(
            last,
            "localhost" | "local" | "internal" | "test" | "invalid"
        )
        && !name.ends_with(".home.arpa")
}

/// That nobody gets around showing a certificate by plain HTTP.
fn check_plain(site: &Site, at: Span, listen: Option<&Listen>, context: Context<'_>) {
    let required = |site: &Site| matches!(&site.tls.policy.clients, Some(trust) if trust.required);
    let plain = listen.is_some_and(|listen| !listen.http.is_empty());
    if plain && site.http == HttpMode::Forward && required(site) {
        let message =
            "plain http is forwarded, where no client can show the certificate that is required";
        context.sink.push(
            Diagnostic::error("certificate-by-plain-http", at, message)
                .hint("write `http = \"redirect\"`, or `client_certificate = { mode = \"off\" }` in the site's `tls`"),
        );
    }
}

/// What a site without TLS says about it.
fn check_tls(typed: &Typed, context: Context<'_>) {
    let written = typed.tls.as_ref().and_then(|tls| tls.span.as_ref());
    if let (Some(certificate), Some(span)) = (&typed.certificate, written)
        && certificate.value == CertificateSource::None
    {
        let message = "`tls` has no effect: the site has no certificate";
        context.sink.push(
            Diagnostic::warning("no-effect", span.clone(), message)
                .related(certificate.span.clone(), "`certificate` is set"),
        );
    }
}

/// What is written but can have no effect.
fn check_http(typed: &Typed, listen: Option<&Listen>, context: Context<'_>) {
    let (Some(certificate), Some(routes)) = (&typed.certificate, &typed.routes) else {
        return;
    };
    let mode = typed.http.as_ref().and_then(Option::as_ref);
    let no_certificate = certificate.value == CertificateSource::None;
    if let Some(mode) =
        mode.filter(|mode| mode.value == HttpMode::Redirect && no_certificate && !routes.is_empty())
    {
        let message = "the site's routes are never reached: it has no certificate, and plain http is redirected";
        context.sink.push(
            Diagnostic::warning("unreachable-routes", mode.span.clone(), message)
                .hint("write `http = \"forward\"`, or leave it out"),
        );
    }
    if no_certificate && !routes.is_empty() && listen.is_some_and(|listen| listen.http.is_empty()) {
        let message = "the site's routes are never reached: it has no certificate, and nothing listens for plain http";
        context.sink.push(Diagnostic::warning(
            "unreachable-routes",
            certificate.span.clone(),
            message,
        ));
    }
    if let (Some(mode), Some(Some(status))) = (
        mode.filter(|mode| mode.value == HttpMode::Forward),
        &typed.redirect_status,
    ) {
        let message = "`redirect_status` has no effect: plain http is forwarded, not redirected";
        context.sink.push(
            Diagnostic::warning("no-effect", status.span.clone(), message)
                .related(mode.span.clone(), "`http` is set"),
        );
    }
    let only_challenges = certificate.value == CertificateSource::Acme
        || no_certificate
        || !matches!(typed.challenge_fallback, Some(None));
    if routes.is_empty() && !only_challenges {
        let message = format!("{} has no route: it answers 404 to everything", typed.name);
        context
            .sink
            .push(Diagnostic::warning("no-route", typed.span.clone(), message));
    }
}

fn routes(
    typed: Option<Vec<route::Typed>>,
    inherited: Option<route::Inherited<'_>>,
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> Option<Vec<Arc<Route>>> {
    let mut all = Vec::new();
    let around = Around {
        inherited: inherited?,
        outer: None,
    };
    within(typed?, around, &mut all, names, context, relations);
    each_once(
        all.iter().filter_map(|one| one.key.as_ref()),
        relations.sink,
        |again, _| {
            let message = format!("route `{}` is there twice", again.value.1);
            Diagnostic::error("duplicate-route", again.span.clone(), message)
                .hint("several endpoints of one route go into one upstream")
        },
    );
    all.into_iter().map(|one| one.route.map(Arc::new)).collect()
}

/// A route that was looked at.
struct Seen {
    /// Its pattern, with the route around it: together they are there once.
    key: Option<At<(Option<usize>, PathPattern)>>,
    route: Option<Route>,
}

/// Regexes may be there twice; a name belongs to the whole site.
fn key(at: At<PathPattern>, outer: Option<usize>) -> Option<At<(Option<usize>, PathPattern)>> {
    let within = match &at.value {
        PathPattern::Regex(_) => return None,
        PathPattern::Named(_) => None,
        _ => outer,
    };
    let (value, span) = ((within, at.value), at.span);
    Some(At { value, span })
}

/// What is around routes.
#[derive(Clone, Copy)]
struct Around<'a> {
    inherited: route::Inherited<'a>,
    /// Its index and its path.
    outer: Option<(usize, Option<&'a str>)>,
}

/// Checks routes and those within them, in the order of the file.
fn within(
    typed: Vec<route::Typed>,
    around: Around<'_>,
    all: &mut Vec<Seen>,
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) {
    for mut typed in typed {
        let inner = typed.routes.take();
        let outer = around.outer.map(|(index, _)| index);
        let (pattern, mut route) = route::check(typed, around.inherited, names, context, relations);
        if let Some(route) = &mut route {
            route.outer = outer;
        }
        if let (Some(pattern), Some((_, Some(path)))) = (&pattern, around.outer) {
            route::check_outer(pattern, path, relations);
        }
        let path = pattern.as_ref().and_then(|at| at.value.path());
        let path = path.map(str::to_owned);
        let index = all.len();
        let own = route.as_ref().map(|route| {
            let (access, limits) = (route.access.clone(), route.limits.clone());
            (route.access_log.clone(), access, limits)
        });
        all.push(Seen {
            key: pattern.and_then(|at| key(at, outer)),
            route,
        });
        let around = Around {
            inherited: match &own {
                None => around.inherited,
                Some((access_log, access, limits)) => route::Inherited {
                    access_log,
                    access: access.as_ref(),
                    limits: limits.as_ref(),
                    ..around.inherited
                },
            },
            outer: Some((index, path.as_deref())),
        };
        within(
            inner.unwrap_or_default(),
            around,
            all,
            names,
            context,
            relations,
        );
    }
}
