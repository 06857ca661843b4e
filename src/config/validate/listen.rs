//! Addresses: no two sockets on one address, and at least one to listen on.
//!
//! Decides which port redirects to https name.

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::each_once;
use crate::config::diagnostic::Diagnostic;
use crate::config::listener::Listener;
use crate::config::model::{Listen, SiteListen};
use crate::config::schema::listen::Listen as Typed;
use crate::config::schema::reader::{At, Context};
use crate::config::stream::ProxyProtocol;
use crate::types::address::Address;

/// The port of https, which urls leave out.
const HTTPS: u16 = 443;

/// What sites say of addresses of their own.
#[derive(Default)]
pub(super) struct OfSites<'a> {
    pub(super) addresses: Vec<&'a At<SiteListen>>,
    /// Whether there are sites, and all of them do.
    pub(super) all: bool,
}

/// Checks the addresses of `[listen]`, of sites and of the admin listener. `streams` are those of streams.
pub(super) fn check(
    mut typed: Typed,
    admin: Option<&At<SocketAddr>>,
    (streams, only_streams): (&[&At<Listener>], bool),
    sites: &OfSites<'_>,
    context: Context<'_>,
) -> Option<Listen> {
    if sites.all && !typed.written {
        typed.http.clear();
        typed.https.clear();
    }
    add(&mut typed, sites, context);
    let place = |at: &At<Listener>| At {
        value: at.value.address.clone(),
        span: at.span.clone(),
    };
    let admin = admin.map(|at| At {
        value: Address::Ip(at.value),
        span: at.span.clone(),
    });
    let listened = typed.http.iter().chain(&typed.https);
    let all: Vec<_> = listened.map(place).chain(admin).collect();
    // Port 0 lets the system choose a free one each time.
    let fixed = all.iter().filter(|at| at.value.is_fixed());
    each_once(fixed, context.sink, |again, first| {
        let both = typed.http.iter().any(|http| http.span == first.span)
            && typed.https.iter().any(|https| https.span == again.span);
        let message = match both {
            true => format!("`{}` is in both `http` and `https`", again.value),
            false => format!("`{}` is listened on twice", again.value),
        };
        Diagnostic::error("duplicate-address", again.span.clone(), message)
    });
    check_families(&typed, context);
    if typed.http.is_empty() && typed.https.is_empty() && !only_streams {
        return context.sink.refuse(
            Diagnostic::error("no-listener", typed.span, "`[listen]` has no address")
                .hint("leave `http` and `https` out for ports 80 and 443 on every address"),
        );
    }
    let proxy_protocol = proxy_protocol(&typed, streams, context);
    let h2c = h2c(&typed, context);
    let https: Vec<_> = typed.https.into_iter().map(|at| at.value).collect();
    Some(Listen {
        redirect_port: redirect_port(typed.redirect_port, &https),
        http: typed.http.into_iter().map(|at| at.value).collect(),
        proxy_protocol: proxy_protocol?,
        h2c: h2c?,
        https,
    })
}

/// Adds what sites listen on to the rest, unless another listener takes it in.
fn add(typed: &mut Typed, sites: &OfSites<'_>, context: Context<'_>) {
    let mut own = sites.addresses.clone();
    // Those that may take in others come first.
    own.sort_by_key(|at| !at.value.address.is_any());
    for at in own {
        let address = &at.value.address;
        let (same, other) = match at.value.tls {
            true => (&mut typed.https, &typed.http),
            false => (&mut typed.http, &typed.https),
        };
        let takes = |one: &At<Listener>| {
            let ip = address.ip();
            one.value.address == *address || ip.is_some_and(|ip| one.value.takes_in(ip))
        };
        if let Some(other) = other.iter().find(|one| address.is_fixed() && takes(one)) {
            let message = format!("`{address}` is both for TLS and for plain http");
            let fault = Diagnostic::error("duplicate-address", at.span.clone(), message);
            let fault = fault.related(other.span.clone(), "the other is");
            context.sink.push(fault);
        } else if !same.iter().any(takes) {
            same.push(At {
                value: address.clone().into(),
                span: at.span.clone(),
            });
        }
    }
}

/// An IPv6 address that takes IPv4 as well leaves the port to nobody else.
fn check_families(typed: &Typed, context: Context<'_>) {
    let all = || typed.http.iter().chain(&typed.https);
    for both in all().filter(|at| !at.value.options.ipv6_only) {
        let taken = all().find(|at| {
            let ip = at.value.address.ip();
            ip.is_some_and(|ip| ip.is_ipv4() && both.value.takes_in(ip))
        });
        if let Some(taken) = taken {
            let message = format!(
                "`{}` with `ipv6_only = false` takes `{}` in",
                both.value.address, taken.value.address
            );
            let fault = Diagnostic::error("duplicate-address", both.span.clone(), message);
            let fault = fault.related(taken.span.clone(), "the other is");
            context.sink.push(fault);
        }
    }
}

/// HTTP/2 without TLS comes on addresses of plain HTTP.
fn h2c(typed: &Typed, context: Context<'_>) -> Option<Vec<Address>> {
    let plain = |at: &&At<Address>| {
        let taken = |one: &At<Listener>| {
            let takes_in = at.value.ip().is_some_and(|ip| one.value.takes_in(ip));
            one.value.address == at.value || takes_in
        };
        !typed.http.iter().any(taken)
    };
    if let Some(at) = typed.h2c.iter().find(plain) {
        let message = format!("`{}` is not listened on for plain HTTP", at.value);
        let fault = Diagnostic::error("h2c-address", at.span.clone(), message);
        let hint = "write it as it stands in `http` or in a site's `listen`";
        return context.sink.refuse(fault.hint(hint));
    }
    Some(typed.h2c.iter().map(|at| at.value.clone()).collect())
}

/// PROXY headers come on addresses that are listened on, from somebody.
fn proxy_protocol(
    typed: &Typed,
    streams: &[&At<Listener>],
    context: Context<'_>,
) -> Option<ProxyProtocol> {
    let (optional, required) = (&typed.proxy_optional, &typed.proxy_required);
    let all = || optional.iter().chain(required);
    let mut sound = true;
    for at in all() {
        let sites = typed.http.iter().chain(&typed.https);
        let mut listened = sites.chain(streams.iter().copied());
        if !listened.any(|one| one.value.address == at.value) {
            let message = format!("`{}` is not listened on", at.value);
            context.sink.push(
                Diagnostic::error("proxy-protocol-address", at.span.clone(), message)
                    .hint("write it as it stands in `http`, in `https` or in a stream's `listen`"),
            );
            sound = false;
        }
    }
    for at in required {
        if optional.iter().any(|one| one.value == at.value) {
            let message = format!(
                "`{}` is in both `proxy_protocol_optional` and `proxy_protocol_required`",
                at.value
            );
            let fault = Diagnostic::error("proxy-protocol-address", at.span.clone(), message);
            context.sink.push(fault);
            sound = false;
        }
    }
    let own = own_lists(typed, streams, context);
    let values = |list: &[At<Address>]| list.iter().map(|at| at.value.clone()).collect();
    let settings = ProxyProtocol {
        from: typed.proxy_from.clone(),
        own,
        optional: values(optional),
        required: values(required),
        anybody: typed.proxy_anybody,
    };
    let nobody = |at: &&At<Address>| settings.from_at(&at.value).is_empty();
    if let Some(first) = all().find(nobody).filter(|_| !settings.anybody) {
        return context.sink.refuse(
            Diagnostic::error(
                "proxy-protocol-from",
                first.span.clone(),
                format!("nobody may send a PROXY header to `{}`", first.value),
            )
            .hint("name the load balancers, as in `proxy_protocol_from = [\"10.0.0.0/8\"]`"),
        );
    }
    sound.then_some(settings)
}

/// Who is believed at listeners that say so; warns of those where no header may come.
fn own_lists(
    typed: &Typed,
    streams: &[&At<Listener>],
    context: Context<'_>,
) -> Vec<(Address, Arc<[IpNet]>)> {
    let sites = typed.http.iter().chain(&typed.https);
    let mut own: Vec<(Address, Arc<[IpNet]>)> = Vec::new();
    for at in sites.chain(streams.iter().copied()) {
        let Some(from) = &at.value.proxy_from else {
            continue;
        };
        let address = &at.value.address;
        let mut expected = typed.proxy_optional.iter().chain(&typed.proxy_required);
        if !expected.any(|one| one.value == *address) {
            let message = format!("no PROXY header is expected at `{address}`");
            let hint =
                "add it to `proxy_protocol_optional` or `proxy_protocol_required` in `[listen]`";
            let doubt = Diagnostic::warning("no-effect", at.span.clone(), message);
            context.sink.push(doubt.hint(hint));
        }
        // Streams of one address may leave it to one of them; that they do not differ is checked with them.
        if !own.iter().any(|(known, _)| known == address) {
            own.push((address.clone(), Arc::clone(from)));
        }
    }
    own
}

/// `None` leaves the port out of redirects.
fn redirect_port(typed: Option<u16>, https: &[Listener]) -> Option<u16> {
    let mut ports = https
        .iter()
        .filter_map(|one| Some(one.address.ip()?.port()));
    let default = match ports.clone().any(|port| port == HTTPS) {
        true => None,
        false => ports.next(),
    };
    typed
        .or(default)
        .filter(|port| *port != HTTPS && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_name_the_port_only_when_it_is_not_443() {
        let addresses = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse::<Address>().unwrap().into())
                .collect::<Vec<Listener>>()
        };
        assert_eq!(
            redirect_port(None, &addresses(&["0.0.0.0:8443", "0.0.0.0:443"])),
            None
        );
        assert_eq!(
            redirect_port(None, &addresses(&["0.0.0.0:8443", "0.0.0.0:9443"])),
            Some(8443)
        );
        assert_eq!(
            redirect_port(Some(443), &addresses(&["0.0.0.0:8443"])),
            None
        );
        assert_eq!(
            redirect_port(Some(444), &addresses(&["0.0.0.0:443"])),
            Some(444)
        );
        assert_eq!(redirect_port(None, &addresses(&["127.0.0.1:0"])), None);
        assert_eq!(redirect_port(None, &[]), None);
    }
}
