//! One host as an authority sees it: its addresses, who may issue, and who answers on port 80.
//!
//! Looks through every public address in turn; what is found there is judged by what a token of ours brings back.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use http::Method;

use super::web::{self, Page};
use super::{Finding, Level, Look, ask, at};
use crate::admin::ChallengeProbe;
use crate::types::host::Host;

const PATH: &str = "/.well-known/acme-challenge/";

/// Looks at the host from everywhere.
pub(super) fn look(look: &Look, host: &Host, identities: &[String]) -> Vec<Finding> {
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
    for address in addresses {
        findings.push(reaches(look, name, address, probe.as_ref()));
    }
    findings.extend(fallback(look, host));
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

fn caa(look: &Look, name: &str, identities: &[String]) -> Option<Finding> {
    let records = match look.resolver?.caa(name) {
        Ok(records) => records,
        Err(error) => {
            let found = format!("its CAA records cannot be looked up: {error}");
            let fix = "authorities refuse when they cannot look them up either: see to the zone's name servers";
            return Some(Finding::of(Level::Unknown, name, found, fix));
        }
    };
    let issue: Vec<&str> = records
        .iter()
        .filter(|record| record.tag == "issue")
        .map(|record| record.value.split(';').next().unwrap_or_default().trim())
        .collect();
    if issue.is_empty() || identities.is_empty() {
        return None;
    }
    match issue
        .iter()
        .any(|value| identities.iter().any(|own| own == value))
    {
        true => Some(Finding::fine(name, "CAA allows the authority")),
        false => Some(Finding::of(
            Level::Broken,
            name,
            format!("CAA records allow only {}", issue.join(", ")),
            format!("add a CAA record `0 issue \"{}\"`", identities[0]),
        )),
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
    let judge = |address: &SocketAddr| {
        let place = format!("challenge_fallback `{}` at {address}", upstream.name);
        match web::get(*address, name, &format!("{PATH}{token}")) {
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
    let addresses = upstream.endpoints.iter().map(|endpoint| &endpoint.address);
    addresses.map(judge).collect()
}
