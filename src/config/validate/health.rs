//! The check of an upstream: what was typed, and what the routes that lead to it say of the rest.
//!
//! An upstream behind a route with a preset is checked even when nothing is typed.

use crate::config::diagnostic::Diagnostic;
use crate::config::health::{CheckKind, GrpcCheck, Health, HttpCheck};
use crate::config::model::{Preset, Route, Site};
use crate::config::schema::health::{Health as Typed, HealthKind, defaults};
use crate::config::schema::reader::Context;
use crate::types::host::HostPattern;
use crate::types::name::UpstreamName;

/// Completes what was typed for the upstream `name` by the routes of `sites`.
pub(super) fn complete(
    typed: Option<Typed>,
    name: &UpstreamName,
    sites: &[Site],
    context: Context<'_>,
) -> Option<Option<Health>> {
    let mut leading = sites
        .iter()
        .flat_map(|site| site.routes.iter().map(move |route| (site, route)))
        .filter(|(_, route)| route.action.upstream() == Some(name));
    let first = leading.clone().next();
    let preset = leading.find_map(|(_, route)| Some((route.preset?, &**route)));
    let typed = match (typed, preset) {
        (Some(typed), _) => typed,
        (None, Some(_)) => defaults(context)?,
        (None, None) => return Some(None),
    };
    let kind = match typed.kind {
        HealthKind::Off => return Some(None),
        HealthKind::Tcp => CheckKind::Tcp,
        HealthKind::Grpc => CheckKind::Grpc(GrpcCheck {
            service: typed.service.into(),
            host: typed
                .host
                .or_else(|| first.and_then(|(site, _)| host_of(site)))
                .map(Into::into),
        }),
        HealthKind::Http => CheckKind::Http(HttpCheck {
            path: typed
                .path
                .or_else(|| preset.map(|(preset, route)| asked(preset, route)))
                .map_or_else(|| "/".into(), Into::into),
            host: typed
                .host
                .or_else(|| first.and_then(|(site, _)| host_of(site)))
                .map(Into::into),
            expect: typed.expect,
            body: typed.body.map(Into::into),
            speaks: preset.map(|(preset, _)| preset),
        }),
    };
    Some(Some(Health {
        kind,
        port: typed.port,
        interval: typed.interval,
        jitter: typed.jitter,
        timeout: typed.timeout,
        rise: typed.rise,
        fall: typed.fall,
        initially_up: typed.initially_up,
    }))
}

/// What a hub is asked for: `base_url` is the route's path, as cookies and links demand.
fn asked(preset: Preset, route: &Route) -> String {
    let path = route
        .rewrite_prefix
        .as_deref()
        .or(route.path.path())
        .unwrap_or_default();
    let base = path.trim_end_matches('/');
    match preset {
        Preset::JupyterHub => format!("{base}/hub/health"),
        Preset::BinderHub => format!("{base}/health"),
    }
}

/// A host that the site answers for, unless it has only patterns.
fn host_of(site: &Site) -> Option<String> {
    site.hosts.iter().find_map(|host| match host {
        HostPattern::Exact(host) => Some(host.to_string()),
        _ => None,
    })
}

/// Warns of a check that nothing can come back from.
pub(super) fn doubt(typed: &Typed, span: &crate::config::source::Span, context: Context<'_>) {
    if typed.kind != HealthKind::Off && typed.timeout > typed.interval {
        context.sink.push(
            Diagnostic::warning(
                "slow-check",
                span.clone(),
                "a health check may take longer than its interval",
            )
            .hint("make `timeout` the shorter one; checks of one endpoint never overlap"),
        );
    }
}
