//! An operator's word on an endpoint: no further requests, or requests again.
//!
//! It is kept with what is known of the endpoint, over reloads and upgrades of the binary; a plain start forgets it. Says
//! what it means for the requests that are there.

use crate::snapshot::Snapshot;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::endpoint::Override;

/// Takes the word on `endpoint` in the upstream of that name, or in all that have it. Says what holds now, or why nothing
/// has changed.
pub(super) fn set(
    snapshot: &Snapshot,
    upstream: Option<&str>,
    endpoint: &str,
    to: Override,
) -> Result<String, String> {
    let address: EndpointAddress = endpoint.parse().map_err(|_| {
        format!("`{endpoint}` is neither an IP address with a port nor `unix:` and a path\n")
    })?;
    let named = |name: &str| upstream.is_none_or(|upstream| upstream == name);
    let mut said = String::new();
    let mut known = Vec::new();
    for group in snapshot.groups.values() {
        for endpoint in group.endpoints() {
            if !named(group.name().as_str()) || endpoint.address != address {
                known.push(format!("{} of `{}`", endpoint.label, group.name()));
                continue;
            }
            let before = endpoint.overridden();
            endpoint.set_override(to);
            let upstream = group.name();
            if before != to {
                tracing::warn!(event = "upstream.override", %upstream, endpoint = %address, to = to.as_str(), "an operator has spoken");
            }
            let in_flight = endpoint.in_flight();
            said.push_str(&match to {
                Override::Enabled => format!("{address} of `{upstream}` is enabled\n"),
                _ => format!(
                    "{address} of `{upstream}` is {}; requests and tunnels still there: {in_flight}\n",
                    to.as_str()
                ),
            });
        }
    }
    match said.is_empty() {
        false => Ok(said),
        true => Err(format!(
            "no such endpoint: `{endpoint}`; there are: {}\n",
            known.join(", ")
        )),
    }
}
