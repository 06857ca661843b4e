//! Sites: their hosts, what they ask of listeners and certificates, and that their routes can be told apart.
//!
//! Refuses what cannot work, warns of what is written but has no effect.

use std::sync::Arc;

use super::listen::OfSites;
use super::upstream::Names;
use super::{detours, each_once, route, routes, tls};
use crate::config::access_log::AccessLog;
use crate::config::bodies::Bodies;
use crate::config::client_terms::ClientTerms;
use crate::config::diagnostic::Diagnostic;
use crate::config::error_pages::ErrorPages;
use crate::config::model::{
    Acme, CertificateSource, ChallengeKind, HttpMode, Listen, Site, SiteListen,
};
use crate::config::schema::heads::SiteHeads;
use crate::config::schema::reader::{At, Context};
use crate::config::schema::site::{Site as Typed, Sites};
use crate::config::source::Span;
use crate::config::tls::Tls;
use crate::types::address::Address;
use crate::types::host::{Host, HostError, HostPattern};
use crate::types::pause::pause;

/// The tables of the whole file that sites inherit from, as far as they could be read.
type Whole<'a> = (
    Option<&'a Arc<AccessLog>>,
    Option<&'a Arc<ErrorPages>>,
    Option<&'a Arc<Tls>>,
);

/// Checks every site, and that no host belongs to two. None is needed where there are `streams`, or no addresses.
pub(super) fn check_all(
    (sites, streams): (Option<Sites>, bool),
    (access_log, error_pages, tls): Whole<'_>,
    usual: &ClientTerms,
    (listen, acme): (Option<&Listen>, Option<&Acme>),
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> Option<Vec<Site>> {
    let sites = sites?;
    // Who wants no address has said so.
    let nowhere = listen.is_some_and(|own| own.http.is_empty() && own.https.is_empty());
    if sites.is_empty() && !streams && !nowhere {
        let fault = Diagnostic::whole("no-site", "the configuration has no site").hint(
            "add `[site.\"hub.example.org\"]` and under it `[[site.\"hub.example.org\".route]]`",
        );
        return relations.sink.refuse(fault);
    }
    let fallback = Arc::new(AccessLog::off());
    let access_log = access_log.unwrap_or(&fallback);
    let built_in = Arc::default();
    let tls = tls.cloned().unwrap_or_default();
    let error_pages = error_pages.unwrap_or(&built_in);
    let inherited = (access_log, error_pages, &tls, usual);
    check_defaults(&sites, relations);
    let mut hosts = Vec::with_capacity(sites.len());
    let mut good = Some(Vec::with_capacity(sites.len()));
    for site in sites {
        let (places, site) = check(*site, inherited, (listen, acme), names, context, relations);
        hosts.extend(places);
        good = good.zip(site).map(|(mut good, site)| {
            good.push(site);
            good
        });
    }
    each_once(&hosts, relations.sink, |again, _| {
        let message = format!("host `{}` is served twice", again.value.1);
        Diagnostic::error("duplicate-host", again.span.clone(), message)
    });
    good
}

fn check(
    typed: Typed,
    (access_log, error_pages, tls, usual): (
        &Arc<AccessLog>,
        &Arc<ErrorPages>,
        &Arc<Tls>,
        &ClientTerms,
    ),
    (listen, acme): (Option<&Listen>, Option<&Acme>),
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> (Vec<At<Place>>, Option<Site>) {
    pause();
    let of_any_kind = typed.label.is_some();
    let hosts: Option<Vec<_>> = typed.hosts.as_ref().and_then(|hosts| {
        let hosts = hosts.iter().map(|host| match of_any_kind {
            true => host_of_any_kind(host, context),
            false => host_of(host, context),
        });
        hosts.collect::<Vec<_>>().into_iter().collect()
    });
    let listen_own = typed.listen.clone().unwrap_or_default();
    let places = places(hosts.iter().flatten(), &listen_own);
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
    let no_bodies = Bodies::default();
    let paths = typed.paths;
    let access = typed.access.as_ref().and_then(Option::as_ref);
    let limits = typed.limits.as_ref().and_then(Option::as_ref);
    let client = typed.client.clone();
    let client = client.map(|own| own.map(|own| own.over(usual)));
    let inherited = access_log.as_ref().map(|access_log| route::Inherited {
        access_log,
        access,
        client: client.as_ref().and_then(Option::as_ref),
        usual,
        limits: limits.map(|limits| &limits.value),
        paths: paths.unwrap_or_default(),
        heads,
        bodies: typed.bodies.as_ref().unwrap_or(&no_bodies),
        referers: typed.referers.as_ref().and_then(Option::as_ref),
    });
    let routes = routes::check_all(typed.routes, inherited, names, context, relations);
    let head = typed.span.clone();
    let mode_at = typed.http.clone().flatten().map(|at| at.span);
    let site = (|| {
        let certificate = typed.certificate?.value;
        let plain = has_routes && certificate == CertificateSource::None;
        Some(Site {
            label: typed.label.map(Into::into),
            hosts: hosts.as_ref()?.iter().map(|at| at.value.clone()).collect(),
            server_name: typed.server_name?.map(|at| at.value.into()),
            listen: typed.listen?.into_iter().map(|at| at.value).collect(),
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
            detours: typed.detours?,
            fields: typed.fields?,
            paths: paths?,
            routes: routes?,
            request: typed.heads.as_ref()?.request.clone(),
            response: typed.heads.as_ref()?.response.clone(),
            unrouted: typed.heads.as_ref()?.unrouted(),
            bodies: typed.bodies.clone()?,
            referers: typed.referers.clone()?,
            client_address: typed.client_address?,
            client: client?,
            limits: typed.limits?.map(|limits| limits.value),
            access: typed.access?,
            access_log: access_log?,
            error_pages: error_pages?,
            tls: tls?,
        })
    })();
    if let Some(site) = &site {
        detours::check_names(site, head.clone(), relations);
        check_plain(site, mode_at.unwrap_or(head), listen, relations);
    }
    (places, site)
}

/// A host at an address; at those of `[listen]` without one.
type Place = (Option<Address>, HostPattern);

/// Where a site answers for which host.
fn places<'a>(
    hosts: impl Iterator<Item = &'a At<HostPattern>>,
    listen: &[At<SiteListen>],
) -> Vec<At<Place>> {
    let mut addresses: Vec<_> = listen
        .iter()
        .map(|at| Some(at.value.address.clone()))
        .collect();
    if addresses.is_empty() {
        addresses.push(None);
    }
    let at = |host: &At<HostPattern>| {
        let places = addresses.iter().map(|address| At {
            value: (address.clone(), host.value.clone()),
            span: host.span.clone(),
        });
        places.collect::<Vec<_>>()
    };
    hosts.flat_map(at).collect()
}

/// What sites listen on by themselves.
pub(super) fn listeners(sites: Option<&[Box<Typed>]>) -> OfSites<'_> {
    let sites = sites.unwrap_or_default();
    let own = |site: &Typed| site.listen.as_ref().is_some_and(|own| !own.is_empty());
    OfSites {
        addresses: sites
            .iter()
            .flat_map(|site| &site.listen)
            .flatten()
            .collect(),
        all: !sites.is_empty() && sites.iter().all(|site| own(site)),
    }
}

/// At each place one site at most is the default.
fn check_defaults(sites: &[Box<Typed>], context: Context<'_>) {
    let mut defaults = Vec::new();
    for site in sites {
        let own = site.listen.iter().flatten();
        let own = own.filter(|at| at.value.default).map(|at| At {
            value: Some(&at.value.address),
            span: at.span.clone(),
        });
        defaults.extend(own);
        let shared = site.listen.as_ref().is_some_and(Vec::is_empty);
        if let Some(default) = site.default.as_ref().filter(|at| at.value && shared) {
            defaults.push(At {
                value: None,
                span: default.span.clone(),
            });
        }
    }
    each_once(&defaults, context.sink, |again, _| {
        let message = match again.value {
            None => "a second site is the default".to_owned(),
            Some(address) => format!("a second site is the default of `{address}`"),
        };
        Diagnostic::error("several-defaults", again.span.clone(), message)
    });
}

/// A host as `hosts` has them.
fn host_of_any_kind(host: &At<String>, context: Context<'_>) -> Option<At<HostPattern>> {
    match HostPattern::parse_any(&host.value) {
        Ok(value) => Some(At {
            value,
            span: host.span.clone(),
        }),
        Err(error @ (HostError::Malformed { .. } | HostError::Regex { .. })) => {
            let fault = Diagnostic::error("bad-host", host.span.clone(), error.to_string());
            context.sink.refuse(fault)
        }
        Err(_) => host_of(host, context),
    }
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
            HostPattern::Below(_)
            | HostPattern::Starts(_)
            | HostPattern::Regex(_)
            | HostPattern::Nameless => warn(
                Diagnostic::warning(
                    "no-certificate",
                    host.span.clone(),
                    format!("hosts of `{}` get no certificate by ACME", host.value),
                )
                .hint("name them one by one, or write `certificate = { chain = \"FILE\", key = \"FILE\" }`"),
            ),
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
    if plain && site.http != HttpMode::Redirect && required(site) {
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
