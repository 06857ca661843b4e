//! Who a request's client is: what its site, its route or `server.trusted_proxies` make of its forwarded fields.
//!
//! Asked by rules, limits, logs and variables. What an upstream is told is `filter::forwarded`'s.

use std::net::IpAddr;

use http::HeaderMap;

use super::app::Facts;
use super::filter::forwarded;
use crate::snapshot::Snapshot;
use crate::types::address::THIS_HOST;

/// The client of a request on the connection of `facts` to these places of the snapshot. A site's own word counts before its
/// route's, as nginx asks the server's before the location's; one that has any asks nobody else.
pub(super) fn of(
    snapshot: &Snapshot,
    (site, route): (Option<usize>, Option<usize>),
    facts: &Facts,
    fields: &HeaderMap,
) -> IpAddr {
    let peer = facts.peer.ip();
    let site = site.and_then(|site| snapshot.config.sites.get(site));
    let site = site.and_then(|site| site.client_address.as_deref());
    let route = route.and_then(|route| snapshot.routes.get(route));
    let route = route.and_then(|route| route.config.client_address.as_deref());
    if site.is_none() && route.is_none() {
        let trusted_proxies = &snapshot.config.server.trusted_proxies;
        return forwarded::client_address(peer, trusted_proxies, fields);
    }
    let proxied = facts.proxied.as_ref().map(|proxied| proxied.source.ip());
    let named = [site, route].into_iter().flatten();
    { named }
        .find_map(|own| own.named((peer, facts.peer == THIS_HOST), fields, proxied))
        .unwrap_or(peer)
}
