//! Upstreams: their names, their endpoints, and that somebody uses them.
//!
//! Keeps the book of names, so that whoever points at one that does not exist is told which do.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{NamedUpstream, each_once, health, upstream_tls};
use crate::config::connection::{Protocol, UpstreamTls};
use crate::config::diagnostic::Diagnostic;
use crate::config::model::{Site, Upstream};
use crate::config::schema::health::HealthKind;
use crate::config::schema::reader::{At, Context};
use crate::config::schema::upstream::Upstream as Typed;
use crate::config::suggest::nearest;
use crate::types::name::UpstreamName;

/// The names that are defined, and those that somebody pointed at.
pub(super) struct Names {
    defined: BTreeSet<String>,
    used: RefCell<BTreeSet<String>>,
    /// Those behind a route with the `jupyterhub` preset.
    jupyterhubs: RefCell<BTreeSet<String>>,
    /// Those with an endpoint that is a unix socket.
    local: BTreeSet<String>,
    /// Those whose endpoints are spoken to without TLS.
    plain: BTreeSet<String>,
    /// False when the upstreams themselves could not be read: then no name is called unknown.
    known: bool,
}

fn has_unix(typed: &Typed) -> bool {
    let endpoints = typed.balancing.iter().flat_map(|found| &found.endpoints);
    endpoints
        .into_iter()
        .any(|at| at.value.address.ip().is_none())
}

impl Names {
    /// Takes the upstreams as typed.
    pub(super) fn new(upstreams: &Option<Vec<NamedUpstream>>) -> Self {
        Self {
            defined: upstreams
                .iter()
                .flatten()
                .map(|(name, _)| name.value.clone())
                .collect(),
            used: RefCell::default(),
            jupyterhubs: RefCell::default(),
            local: upstreams
                .iter()
                .flatten()
                .filter(|(_, typed)| has_unix(typed))
                .map(|(name, _)| name.value.clone())
                .collect(),
            plain: upstreams
                .iter()
                .flatten()
                .filter(|(_, typed)| matches!(typed.tls, Some(None)))
                .map(|(name, _)| name.value.clone())
                .collect(),
            known: upstreams.is_some(),
        }
    }

    /// Whether an endpoint of that upstream is a unix socket.
    pub(super) fn is_local(&self, name: &str) -> bool {
        self.local.contains(name)
    }

    /// Whether that upstream says nothing of TLS.
    pub(super) fn is_plain(&self, name: &str) -> bool {
        self.plain.contains(name)
    }

    /// Notes that a route with the `jupyterhub` preset points at this name.
    pub(super) fn is_jupyterhub(&self, name: &At<String>) {
        self.jupyterhubs.borrow_mut().insert(name.value.clone());
    }

    /// Notes that a text may name any of them.
    pub(super) fn use_all(&self) {
        self.used.borrow_mut().extend(self.defined.iter().cloned());
    }

    /// The upstream that `who` points at; a fault when there is none of that name.
    pub(super) fn find(
        &self,
        name: &At<String>,
        who: &str,
        context: Context<'_>,
    ) -> Option<UpstreamName> {
        self.used.borrow_mut().insert(name.value.clone());
        if !self.known || self.defined.contains(&name.value) {
            // A defined name that is no name has its fault at the definition.
            return UpstreamName::parse(&name.value).ok();
        }
        let wanted = &name.value;
        let message = format!("{who} points at upstream `{wanted}`, which is not defined");
        let diagnostic = Diagnostic::error("unknown-upstream", name.span.clone(), message);
        if self.defined.is_empty() {
            let hint = format!(
                "add `[upstream.{}]` with `endpoints = [\"192.0.2.10:80\"]`",
                super::key_text(wanted)
            );
            return context
                .sink
                .refuse(diagnostic.label("no upstream is defined").hint(hint));
        }
        let defined: Vec<_> = self
            .defined
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let nearest = nearest(wanted, self.defined.iter().map(String::as_str));
        context.sink.refuse(
            diagnostic
                .label(format!("defined upstreams: {}", defined.join(", ")))
                .did_you_mean(nearest),
        )
    }
}

/// What configurable-http-proxy promises in its `Keep-Alive` field; it closes a second later.
const HUB_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Checks every upstream; to be called when all that may point at them has been checked. `sites` are there when nothing
/// that points at them had a fault.
pub(super) fn check_all(
    upstreams: Option<Vec<NamedUpstream>>,
    names: &Names,
    sites: Option<&[Site]>,
    context: Context<'_>,
) -> Option<BTreeMap<UpstreamName, Upstream>> {
    let checked: Vec<_> = upstreams?
        .into_iter()
        .map(|(name, upstream)| {
            if sites.is_some() && !names.used.borrow().contains(&name.value) {
                let message = format!("upstream `{}` is never used", name.value);
                context.sink.push(Diagnostic::warning(
                    "unused-upstream",
                    name.span.clone(),
                    message,
                ));
            }
            if names.jupyterhubs.borrow().contains(&name.value) {
                check_keep_alive(&upstream, context);
            }
            check(name, upstream, sites.unwrap_or_default(), context)
        })
        .collect();
    checked
        .into_iter()
        .map(|upstream| upstream.map(|upstream| (upstream.name.clone(), upstream)))
        .collect()
}

fn check(name: At<String>, typed: Typed, sites: &[Site], context: Context<'_>) -> Option<Upstream> {
    let parsed = match UpstreamName::parse(&name.value) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            let message = format!("`{}` is not the name of an upstream: {error}", name.value);
            context
                .sink
                .refuse(Diagnostic::error("bad-name", name.span, message))
        }
    };
    let tls = typed.tls.map(|tls| match tls {
        Some(tls) => upstream_tls::check(tls, &name.value, context).map(Some),
        None => Some(None),
    });
    let protocol = typed
        .protocol
        .and_then(|word| protocol(&word, tls.as_ref(), &name.value, context));
    if let Some(Some(health)) = &typed.health {
        health::doubt(health, &typed.span, context);
        if health.kind == HealthKind::Grpc && protocol == Some(Protocol::Http1) {
            let message = format!(
                "upstream `{}` is checked by gRPC, but speaks HTTP/1.1",
                name.value
            );
            let fault = Diagnostic::error("grpc-and-protocol", typed.span.clone(), message);
            context
                .sink
                .push(fault.hint("add `protocol = \"h2c\"`, or \"h2\" with `tls`"));
        }
    }
    let balancing = typed.balancing?;
    let more = balancing.endpoints_file.is_some() || balancing.service.is_some();
    if balancing.endpoints.is_empty() && balancing.named.is_empty() && !more {
        let message = format!("upstream `{}` has no endpoint", name.value);
        return context.sink.refuse(
            Diagnostic::error("no-endpoint", typed.span, message)
                .hint("as in `endpoints = [\"192.0.2.10:80\"]`"),
        );
    }
    let addresses = balancing.endpoints.iter().map(|at| At {
        value: at.value.address,
        span: at.span.clone(),
    });
    each_once(&addresses.collect::<Vec<_>>(), context.sink, |again, _| {
        let message = format!(
            "endpoint `{}` is in upstream `{}` twice",
            again.value, name.value
        );
        Diagnostic::error("duplicate-endpoint", again.span.clone(), message)
    });
    let names = balancing.named.iter().map(|at| At {
        value: (at.value.name.clone(), at.value.port),
        span: at.span.clone(),
    });
    each_once(&names.collect::<Vec<_>>(), context.sink, |again, _| {
        let (host, port) = &again.value;
        let message = format!(
            "endpoint `{host}:{port}` is in upstream `{}` twice",
            name.value
        );
        Diagnostic::error("duplicate-endpoint", again.span.clone(), message)
    });
    let parsed = parsed?;
    let endpoints = balancing.endpoints.iter().map(|at| at.value);
    Some(Upstream {
        endpoints: endpoints.collect(),
        named: balancing.named.into_iter().map(|at| at.value).collect(),
        service: balancing.service,
        endpoints_file: balancing.endpoints_file,
        balance: balancing.balance,
        slow_start: balancing.slow_start,
        outlier: balancing.outlier,
        sticky: balancing.sticky,
        health: health::complete(typed.health?, &parsed, sites, context)?,
        name: parsed,
        keep_alive: typed.keep_alive?.value,
        keep_alive_idle: typed.keep_alive_idle?.value,
        keep_alive_requests: typed.keep_alive_requests?.map(|most| most.value as u64),
        keep_alive_age: typed.keep_alive_age?.map(|most| most.value),
        protection: typed.protection?,
        tls: tls??,
        protocol: protocol?,
    })
}

/// `tls` as far as it could be read.
fn protocol(
    word: &At<String>,
    tls: Option<&Option<Option<UpstreamTls>>>,
    name: &str,
    context: Context<'_>,
) -> Option<Protocol> {
    let fault = |message: String, hint: &str| {
        context
            .sink
            .refuse(Diagnostic::error("protocol-and-tls", word.span.clone(), message).hint(hint))
    };
    match (word.value.as_str(), tls) {
        ("h2", Some(Some(None))) => fault(
            format!("upstream `{name}` speaks `h2`, but has no `tls`"),
            "add `tls = { server_name = \"hub.internal\" }`, or write \"h2c\" for HTTP/2 without TLS",
        ),
        ("h2c", Some(Some(Some(_)))) => fault(
            format!("upstream `{name}` speaks `h2c`, which is HTTP/2 without TLS, but has `tls`"),
            "write \"h2\" for HTTP/2 by TLS",
        ),
        ("http1", _) => Some(Protocol::Http1),
        _ => Some(Protocol::Http2),
    }
}

fn check_keep_alive(typed: &Typed, context: Context<'_>) {
    let pools = typed.keep_alive.as_ref().is_none_or(|most| most.value > 0);
    if let Some(idle) = typed
        .keep_alive_idle
        .as_ref()
        .filter(|idle| pools && idle.value >= HUB_KEEP_ALIVE)
    {
        context.sink.push(
            Diagnostic::warning(
                "long-keep-alive",
                idle.span.clone(),
                "idle connections are kept longer than configurable-http-proxy keeps them",
            )
            .label("it promises 5s")
            .hint(
                "a request on a connection that is just being closed is lost; leave it at \"4s\"",
            ),
        );
    }
}
