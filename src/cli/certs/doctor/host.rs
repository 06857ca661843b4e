//! One host as an authority sees it: its addresses, who may issue, and who answers on port 80.
//!
//! Looks through every public address in turn; what is found there is judged by what a token of ours brings back.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use http::Method;

use super::ca::Identity;
use super::{Finding, Level, Look, ask, at, caa, own};
use crate::acme::storage::Storage;
use crate::admin::ChallengeProbe;
use crate::cli::web::{self, Page};
use crate::config::ChallengeKind;
use crate::tls::peek;
use crate::types::host::Host;

/// Where TLS-ALPN-01 is asked for.
const HTTPS: u16 = 443;
/// Where tokens are asked for.
pub(super) const PATH: &str = "/.well-known/acme-challenge/";

/// Looks at the host from everywhere.
pub(super) fn look(look: &Look, host: &Host, identities: &[Identity]) -> Vec<Finding> {
    let name = host.as_str();
    let mut findings = Vec::new();
    let addresses = match host.ip() {
        Some(address) => vec![address],
        None => addresses(look, name, &mut findings),
    };
    if host.ip().is_none() {
        findings.extend(caa(look, name, identities));
    }
    let probe = ask(look, Method::POST, &format!("/challenge-probe?host={name}"))
        .and_then(|text| serde_json::from_str::<ChallengeProbe>(&text).ok());
    findings.extend(own::ourselves(look, name, probe.as_ref()));
    let mut authorities = look.config.acme.authorities.iter();
    let by_http = authorities.any(|one| one.challenge == ChallengeKind::Http01);
    for address in addresses {
        findings.push(match by_http {
            true => reaches(look, name, address, probe.as_ref()),
            false => shows(look, host, address),
        });
    }
    findings.extend(fallback(look, host));
    findings.extend(own::used_up(look, host));
    if look.dry_run {
        findings.push(own::rehearse(look, name));
    }
    findings
}

fn addresses(look: &Look, name: &str, findings: &mut Vec<Finding>) -> Vec<IpAddr> {
    let Some(resolver) = look.resolver else {
        let found = "no name server is known here";
        findings.push(Finding::of(
            Level::Unknown,
            name,
            found,
            "name one with --resolver",
        ));
        return Vec::new();
    };
    match resolver.addresses(name) {
        Err(error) => {
            let found = format!("its addresses cannot be looked up: {error}");
            findings.push(Finding::of(
                Level::Unknown,
                name,
                found,
                "name another server with --resolver",
            ));
            Vec::new()
        }
        Ok(found) if found.is_empty() => {
            let fix = "add an A record (and AAAA, if port 80 is reachable by IPv6) that leads to this machine";
            findings.push(Finding::of(
                Level::Broken,
                name,
                "it has no address in DNS",
                fix,
            ));
            found
        }
        Ok(found) => {
            let list: Vec<_> = found.iter().map(ToString::to_string).collect();
            findings.push(Finding::fine(
                name,
                format!("resolves to {}", list.join(", ")),
            ));
            found
        }
    }
}

fn caa(look: &Look, name: &str, identities: &[Identity]) -> Option<Finding> {
    match look.resolver?.caa(name) {
        Ok(records) => caa::judge(name, &records, identities),
        Err(error) => {
            let found = format!("its CAA records cannot be looked up: {error}");
            let fix = "authorities refuse when they cannot look them up either: see to the zone's name servers";
            Some(Finding::of(Level::Unknown, name, found, fix))
        }
    }
}

/// Whether clients that connect to port 443 there are shown what is kept here, as TLS-ALPN-01 needs (RFC 8737).
fn shows(look: &Look, host: &Host, address: IpAddr) -> Finding {
    let name = host.as_str();
    let place = SocketAddr::new(address, HTTPS);
    let kept = Storage::new(&look.config.server.state_dir).current_leaf(host);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let shown = runtime.and_then(|runtime| runtime.block_on(peek::leaf_of(place, name)));
    match (shown, kept) {
        (Ok(shown), Some(kept)) if shown.serial == kept.serial => Finding::fine(
            name,
            format!("the certificate that is kept is shown at {place}"),
        ),
        (Ok(_), None) => Finding::of(
            Level::Unknown,
            name,
            format!(
                "something shows a certificate at {place}; none is kept here to compare it with"
            ),
            "",
        ),
        (Ok(shown), Some(_)) => Finding::of(
            Level::Attention,
            name,
            format!(
                "another certificate is shown at {place}, by {}",
                shown.issuer
            ),
            "let connections to port 443 through to hubgate as they are, TLS and all: what ends TLS in front fails TLS-ALPN-01",
        ),
        (Err(error), _) => Finding::of(
            Level::Broken,
            name,
            format!("no TLS at {place}: {error}"),
            "let port 443 in from the internet, by firewall and router, and have hubgate listen on it",
        ),
    }
}

/// Asks for a token at one address, as an authority would.
fn reaches(look: &Look, name: &str, address: IpAddr, probe: Option<&ChallengeProbe>) -> Finding {
    let socket = SocketAddr::new(address, look.port);
    let random: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(43)
        .collect();
    let token = probe.map_or(random.as_str(), |probe| &probe.token);
    let page = match web::get(socket, name, &format!("{PATH}{token}")) {
        Ok(page) => page,
        Err(error) => return unreached(name, socket, &error),
    };
    let place = at(socket);
    match probe {
        Some(probe) if page.status == 200 && page.body == probe.answer => Finding::fine(
            name,
            format!("a challenge asked for at {place} reaches this hubgate"),
        ),
        Some(_) => stranger(name, &place, &page),
        None if page.status == 404 && page.field("x-hubgate-cause").is_some() => {
            Finding::fine(name, format!("a hubgate answers at {place}"))
        }
        None => stranger(name, &place, &page),
    }
}

fn unreached(name: &str, socket: SocketAddr, error: &std::io::Error) -> Finding {
    let found = format!("nothing usable answers at {}: {error}", at(socket));
    let by_family = match socket.is_ipv6() {
        true => {
            "authorities try IPv6 first: let port 80 in by IPv6 and listen on `[::]:80`, or remove the AAAA record"
        }
        false => {
            "let port 80 in from the internet, by firewall and router, and have hubgate listen on it"
        }
    };
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Finding::of(
            Level::Attention,
            name,
            found,
            format!(
                "{by_family}; where only this network cannot reach its own public address (no NAT loopback), the internet may still, but cert-manager's self-check fails too: let the router loop back, or answer the name inside with an inner address"
            ),
        ),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => Finding::of(
            Level::Broken,
            name,
            found,
            "something there closes what it does not expect: a listener that wants the PROXY protocol, or one for TLS on port 80",
        ),
        _ => Finding::of(Level::Broken, name, found, by_family),
    }
}

/// Something answers, and it is not this process.
fn stranger(name: &str, place: &str, page: &Page) -> Finding {
    let (found, fix) = if (300..400).contains(&page.status) {
        let to = page.field("location").unwrap_or("nowhere");
        (
            format!("{place} redirects challenges to {to}"),
            "whatever stands in front of hubgate must pass `/.well-known/acme-challenge/` on as it is",
        )
    } else if page.status == 200 || page.is_html() {
        (
            format!(
                "{place} answers challenges with a page of its own ({})",
                page.status
            ),
            "a catch-all or a single-page app stands in front; let that path through to hubgate",
        )
    } else {
        (
            format!(
                "{place} is another machine or another server (it answers {})",
                page.status
            ),
            "point the record at this machine; where several share the name, every one must answer, as any may be asked",
        )
    };
    Finding::of(Level::Broken, name, found, fix)
}

/// What the cluster makes of a token that nobody has ordered: 404, or its own renewals are in danger.
fn fallback(look: &Look, host: &Host) -> Vec<Finding> {
    let site = look
        .config
        .sites
        .iter()
        .find(|site| site.hosts.iter().any(|own| own.matches(host)));
    let upstream = site.and_then(|site| site.challenge_fallback.as_ref());
    let Some(upstream) = upstream.and_then(|name| look.config.upstreams.get(name)) else {
        return Vec::new();
    };
    let token: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(43)
        .collect();
    let name = host.as_str();
    let judge = |address: SocketAddr| {
        let place = format!("challenge_fallback `{}` at {address}", upstream.name);
        match web::get(address, name, &format!("{PATH}{token}")) {
            Ok(page) if page.status == 404 => Finding::fine(
                name,
                format!("{place} answers 404 to an unknown token, as it should"),
            ),
            Ok(page) if (300..400).contains(&page.status) => Finding::of(
                Level::Attention,
                name,
                format!(
                    "{place} redirects challenges to {}",
                    page.field("location").unwrap_or("nowhere")
                ),
                "an ingress that redirects to https before the certificate exists cannot renew: exempt the path there",
            ),
            Ok(page) => Finding::of(
                Level::Attention,
                name,
                format!(
                    "{place} answers {} to a token that nobody ordered{}",
                    page.status,
                    if page.is_html() { ", with HTML" } else { "" }
                ),
                "a catch-all in the cluster answers in cert-manager's place; its self-check says \"did not get expected response\"",
            ),
            Err(error) => Finding::of(
                Level::Attention,
                name,
                format!("{place} does not answer: {error}"),
                "correct the endpoint, or open the way to it",
            ),
        }
    };
    // A unix socket is asked by requests alone.
    let endpoints = upstream.endpoints.iter();
    let addresses = endpoints.filter_map(|endpoint| endpoint.address.ip());
    addresses.map(judge).collect()
}
