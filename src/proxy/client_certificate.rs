//! Whether a request's client may be here, on sites that ask clients for certificates.
//!
//! The connection knows what its client has shown; whether that counts for the site is asked with each request, so that
//! a changed authority or revocation list holds for connections that are open, too. Invariant: a site that requires a
//! certificate is reached by no connection on which none was asked for.

use super::app::Facts;
use super::checks::Checked;
use super::decide::Decision;
use super::trace::Trace;
use crate::acme::challenge::is_challenge_path;
use crate::observe::cause::Cause;
use crate::router::target;
use crate::snapshot::Snapshot;
use crate::tls::client::{Client, Refusal};
use crate::types::host::Host;

/// The decision as it stands once the client has been looked at. `site` is the one that answers for the request's host.
pub(super) fn admit(
    facts: &Facts,
    snapshot: &Snapshot,
    site: usize,
    checked: &Checked,
    (decision, trace): (Decision, &mut Trace),
) -> Decision {
    let asked = !matches!(facts.client, Client::Unasked);
    if !facts.is_tls || !(asked || asks(snapshot, site)) {
        return decision;
    }
    // Authorities have no certificate when they look for a token.
    let (path, _) = target::path_of(&checked.target);
    if is_challenge_path(path)
        && matches!(
            decision,
            Decision::Answer(_) | Decision::ChallengeFallback(_)
        )
    {
        return decision;
    }
    match check(facts, snapshot, site, &checked.authority.host) {
        Ok(()) => decision,
        Err((cause, why)) => {
            tracing::debug!(peer = %facts.peer, %cause, why, subject = subject(facts), "the client's certificate does not count here");
            // What the route adds to answers is added to this one.
            if let Decision::Forward { route } = decision {
                trace.route = Some(route);
            }
            Decision::Refuse(cause)
        }
    }
}

/// Whether the site asks for certificates. Not in what all requests read: few snapshots have such sites.
fn asks(snapshot: &Snapshot, site: usize) -> bool {
    snapshot.config.sites[site].tls.policy.clients.is_some()
}

fn check(
    facts: &Facts,
    snapshot: &Snapshot,
    site: usize,
    host: &Host,
) -> Result<(), (Cause, String)> {
    let mismatch = |why: &str| Err((Cause::ServerNameMismatch, why.to_owned()));
    // With another name the handshake was made by another site's policy, or may have been.
    let other = { facts.server_name.as_ref() }.is_some_and(|name| name != host);
    let trust = snapshot.config.sites[site].tls.policy.clients.as_ref();
    if other && trust.is_some_and(|trust| !trust.lenient) {
        return mismatch("the handshake named another host, and this one asks for certificates");
    }
    // Without a name it was made by the default site's.
    if facts.server_name.is_none() && snapshot.router.default_at(facts.arrival()) != Some(site) {
        return mismatch("the handshake named no host, and one of the sites asks for certificates");
    }
    let current = snapshot.tls.current(Some(site));
    let Some(judge) = &current.judge else {
        return Ok(());
    };
    let required = trust.is_some_and(|trust| trust.required);
    match &facts.client {
        _ if judge.lenient => Ok(()),
        Client::Shown(shown) => shown.verdict(judge).map_err(|refusal| {
            let cause = match refusal {
                Refusal::Expired => Cause::ClientCertificateExpired,
                Refusal::Revoked => Cause::ClientCertificateRevoked,
                Refusal::Other(_) => Cause::ClientCertificateRefused,
            };
            (cause, refusal.to_string())
        }),
        _ if !required => Ok(()),
        Client::Absent => Err((Cause::ClientCertificateMissing, "there is none".to_owned())),
        Client::Unasked => mismatch("the connection is older than the site's policy"),
    }
}

fn subject(facts: &Facts) -> Option<&str> {
    match &facts.client {
        Client::Shown(shown) => Some(&shown.subject),
        _ => None,
    }
}

/// What upstreams are told of the client's certificate, as field lines; `None` where no site asks for them.
pub(super) fn lines<'a>(
    facts: &'a Facts,
    snapshot: &Snapshot,
    site: Option<usize>,
) -> Option<[&'a [u8]; 2]> {
    if !snapshot.tls.ask() {
        return None;
    }
    let policy = site.map(|site| &snapshot.config.sites[site].tls.policy);
    let Some(trust) = policy.and_then(|policy| policy.clients.as_ref()) else {
        return Some([b"", b""]);
    };
    Some(match &facts.client {
        Client::Shown(shown) if trust.pass_certificate => [&shown.lines, &shown.certificate_line],
        Client::Shown(shown) => [&shown.lines, b""],
        _ => [b"ssl-client-verify: NONE\r\n", b""],
    })
}
