//! Decides what happens to a request that passed the checks. One order, the same for both ports:
//!
//! - an unknown host: 421
//! - a challenge token of ours: its key authorization
//! - another token on a site with a `challenge_fallback`, GET or HEAD: that upstream, path and host untouched
//! - on plain HTTP any other path below the challenges', unless it is routed: 404; then the redirect to https
//! - the route, or the slash it misses, or 404; a body that says it is too large for the route: 413
//! - an OPTIONS request that may not be forwarded (`Max-Forwards: 0`) is answered here
//!
//! Pure: the snapshot and the tokens are looked up, nothing is changed.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use http::{HeaderMap, Method, header};

use super::answer::Answer;
use super::app::Facts;
use super::checks::Checked;
use super::filter::hop_by_hop::max_forwards;
use super::present::Sought;
use crate::acme::challenge::{Tokens, is_challenge_path, token_of};
use crate::config::HttpMode;
use crate::nginx::uri::Uri;
use crate::observe::cause::Cause;
use crate::router::{RouteMatch, Seen, target};
use crate::snapshot::{RunningSite, Snapshot};
use crate::types::host::Host;
use crate::upstream::group::Group;

/// What happens.
#[derive(Debug)]
pub enum Decision {
    /// Answered here.
    Answer(Answer),
    /// Answered here, for this cause.
    Refuse(Cause),
    /// Goes to the upstream that knows other challenge tokens.
    ChallengeFallback(Arc<Group>),
    /// Is sent on to where this route begins, which adds to the answer what it adds to all.
    Slash {
        /// Index in the snapshot's routes.
        route: usize,
        /// The redirect.
        answer: Answer,
    },
    /// Goes to this route of the site.
    Forward {
        /// Index in the snapshot's routes.
        route: usize,
    },
    /// Has a body that is too large for this route, whose errors and logs it is.
    TooLarge {
        /// Index in the snapshot's routes.
        route: usize,
    },
    /// Is for the site's rules first.
    Rules,
}

/// Decides. Gives the site's index too, when there is one, and in `seen` what the way there told.
pub fn decide(
    snapshot: &Snapshot,
    tokens: &Tokens,
    facts: &Facts,
    method: &Method,
    headers: &HeaderMap,
    checked: &Checked,
    seen: &mut Option<Box<Seen>>,
) -> (Option<usize>, Decision) {
    let (host, is_tls) = (&checked.authority.host, facts.is_tls);
    let Some(site_index) = snapshot.router.site_at(facts.arrival(), host, seen) else {
        let cause = match host.is_nameless() {
            true => Cause::HostMissing,
            false => Cause::HostUnknown,
        };
        return (None, Decision::Refuse(cause));
    };
    let site = &snapshot.sites[site_index];
    let (path, _) = target::path_of(&checked.target);
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let decision = challenge(site, tokens, is_tls, reads, host, path)
        .or_else(|| redirect(snapshot, site_index, is_tls, reads, checked))
        .unwrap_or_else(|| match site.ruled {
            true => Decision::Rules,
            false => {
                let path = if path == b"*" { &b"/"[..] } else { path };
                let found = site.paths.seek(path, &checked.target, seen);
                let uri = seen.as_ref().and_then(|seen| seen.uri.as_ref());
                let asked = (method, headers, checked);
                follow(snapshot, site_index, found, asked, uri)
            }
        });
    let invalid = matches!(decision, Decision::Refuse(Cause::TargetInvalid));
    if invalid && snapshot.config.limits.lenient_hosts {
        // nginx reads the target before it knows the host.
        let site = snapshot.own_site(facts.arrival(), facts.server_name.as_ref());
        return (site, decision);
    }
    (Some(site_index), decision)
}

fn challenge(
    site: &RunningSite,
    tokens: &Tokens,
    is_tls: bool,
    reads: bool,
    host: &Host,
    path: &[u8],
) -> Option<Decision> {
    if !is_challenge_path(path) {
        return None;
    }
    if let Some(token) = token_of(path).filter(|_| reads) {
        if let Some(key_authorization) = tokens.lookup(host, token) {
            tracing::info!(event = "acme.challenge.served", %host, "challenge token of ours asked for");
            let body = key_authorization.as_bytes().to_vec();
            return Some(Decision::Answer(Answer::text(200, body, None)));
        }
        if let Some(group) = &site.challenge_fallback {
            return Some(Decision::ChallengeFallback(group.clone()));
        }
        tracing::debug!(event = "acme.challenge.miss", %host, "challenge token that nobody here knows asked for");
    }
    let routed = is_tls || site.http == HttpMode::ForwardAll;
    (!routed).then_some(Decision::Refuse(Cause::ChallengeUnknown))
}

fn redirect(
    snapshot: &Snapshot,
    site: usize,
    is_tls: bool,
    reads: bool,
    checked: &Checked,
) -> Option<Decision> {
    if is_tls || snapshot.sites[site].http != HttpMode::Redirect {
        return None;
    }
    if checked.authority.host.is_nameless() {
        return Some(Decision::Refuse(Cause::HostMissing));
    }
    let status = snapshot.config.sites[site]
        .redirect_status
        .unwrap_or(if reads { 301 } else { 308 });
    let mut location = b"https://".to_vec();
    let host = checked.authority.host.as_str();
    match host.contains(':') {
        true => location.extend_from_slice(format!("[{host}]").as_bytes()),
        false => location.extend_from_slice(host.as_bytes()),
    }
    if let Some(port) = snapshot.config.listen.redirect_port {
        location.extend_from_slice(format!(":{port}").as_bytes());
    }
    match checked.target.first() {
        Some(b'/') => location.extend_from_slice(&checked.target),
        _ => location.push(b'/'),
    }
    Some(Decision::Answer(Answer::redirect(
        status,
        &location,
        Some(Cause::RedirectToHttps),
    )))
}

/// What becomes of a request whose path led to what was `found`; `uri` is what its target was understood as, where paths
/// are decoded.
pub fn follow(
    snapshot: &Snapshot,
    site: usize,
    found: RouteMatch,
    (method, headers, checked): (&Method, &HeaderMap, &Checked),
    uri: Option<&Uri>,
) -> Decision {
    let first = snapshot.first_route(site);
    let route = match found {
        RouteMatch::Found(route) => first + route,
        RouteMatch::AddSlash(route) => {
            let reads = matches!(*method, Method::GET | Method::HEAD);
            let configured = snapshot.config.sites[site].redirect_status;
            let status = configured.unwrap_or(if reads { 301 } else { 308 });
            // Where paths are decoded, the one that was found, and not another that is written like it.
            let location = match uri {
                Some(uri) => target::with_slash(&uri.asked()),
                None => target::with_slash(&checked.target),
            };
            return Decision::Slash {
                route: first + route,
                answer: Answer::redirect(status, &location, Some(Cause::RedirectSlash)),
            };
        }
        RouteMatch::None => return Decision::Refuse(Cause::RouteMissing),
        RouteMatch::Invalid => return Decision::Refuse(Cause::TargetInvalid),
    };
    let limit = snapshot.routes[route].body_limit;
    let length = (checked.present.has(Sought::ContentLength))
        .then(|| headers.get(header::CONTENT_LENGTH))
        .flatten()
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > limit => Decision::TooLarge { route },
        _ if max_forwards(method, headers) == Some(0) => Decision::Answer(Answer::options()),
        _ => Decision::Forward { route },
    }
}
