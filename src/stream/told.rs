//! What an endpoint is told of a connection: the PROXY header before its bytes.
//!
//! As far as it is known: of TLS that was ended here by that itself, of a name by the ClientHello that was looked at, of
//! anything else by whoever sent the connection here. Invariant: what a sender said of its TLS is never said of TLS inside it.

use super::Arrived;
use super::special::Secured;
use crate::config::{ProxyFields, ProxyVersion, Stream};
use crate::proxy::request_id::RequestId;
use crate::transport::proxy_protocol;
use crate::transport::proxy_values::{ALPN, AUTHORITY, TLS, Wanted};

/// Whether the endpoint is told an id.
pub(super) fn has_id(config: &Stream) -> bool {
    config.send_proxy_protocol == Some(ProxyVersion::V2) && config.proxy_fields.unique_id
}

/// The header; empty where the endpoint gets none.
pub(super) fn header(
    facts: &Arrived,
    config: &Stream,
    id: Option<&RequestId>,
    secured: Option<&Secured>,
) -> Vec<u8> {
    match config.send_proxy_protocol {
        None => Vec::new(),
        Some(ProxyVersion::V1) => proxy_protocol::write_v1(facts.peer, facts.local),
        Some(ProxyVersion::V2) => {
            let ended = secured.filter(|_| config.proxy_fields.tls);
            let ended = ended.map(Secured::told);
            let mut wanted = wanted(facts, config.proxy_fields, secured);
            wanted.tls = ended.as_deref().or(wanted.tls);
            wanted.unique_id = id.map(|id| id.as_str().as_bytes());
            proxy_protocol::write_v2(facts.peer, facts.local, wanted)
        }
    }
}

/// All but what would have to be made first: an id, and what TLS that was ended here comes to.
fn wanted<'a>(facts: &'a Arrived, fields: ProxyFields, own: Option<&'a Secured>) -> Wanted<'a> {
    let said = |kind| facts.proxied.as_ref()?.values.get(kind);
    let alpn = || match own {
        Some(own) => Some(own.alpn.as_bytes()).filter(|alpn| !alpn.is_empty()),
        None => said(ALPN),
    };
    let authority = || {
        let asked = facts.server_name();
        let asked = asked.or_else(|| own?.server_name.as_deref());
        asked.map(str::as_bytes).or_else(|| said(AUTHORITY))
    };
    Wanted {
        alpn: fields.alpn.then(alpn).flatten(),
        authority: fields.authority.then(authority).flatten(),
        tls: fields.tls.then(|| said(TLS)).flatten(),
        unique_id: None,
        checksum: fields.checksum,
    }
}
