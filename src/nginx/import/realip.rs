//! `set_real_ip_from`, `real_ip_header` and `real_ip_recursive` as `client_address` of sites and routes.
//!
//! Those who are believed everywhere for PROXY headers are the listener's affair; see `settings`.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Import;
use super::draft::{self, Draft};
use crate::nginx::model::Scope;

pub(super) const WORDS: &[&str] = &["set_real_ip_from", "real_ip_header", "real_ip_recursive"];

/// Sets `client_address`.
pub(super) fn set<'t>(import: &mut Import<'t>, scope: &Scope<'t>, table: &mut Draft) {
    let header = scope.one("real_ip_header").map(|own| own.argument(0));
    let header = header.as_deref().unwrap_or("X-Real-IP");
    let mut from = Vec::new();
    let all = scope.all("set_real_ip_from");
    for own in &all {
        let word = own.argument(0);
        if word == "unix:" {
            from.push(word.into_owned());
            continue;
        }
        let address = |_| word.parse::<IpAddr>().map(IpNet::from);
        match word.parse::<IpNet>().or_else(address) {
            Ok(network) => from.push(network.trunc().to_string()),
            Err(_) => import.ledger.lost(
                own,
                "neither an address nor a network: nobody is believed for it",
            ),
        }
    }
    if from.is_empty() {
        return;
    }
    let recursive = scope.flag("real_ip_recursive", false);
    let value = format!(
        "{{ from = {}, header = {}, recursive = {recursive} }}",
        draft::texts(&from),
        draft::text(header)
    );
    table.set("client_address", value, all.first().copied());
}
