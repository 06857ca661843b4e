//! One host as hubgate itself has it: its own listeners, the week's certificates, a trial order.
//!
//! Through the running process where that is needed; without one nothing is said.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;

use super::host::PATH;
use super::{Finding, Level, Look};
use crate::acme::storage::Storage;
use crate::acme::{Listeners, inspect};
use crate::admin::ChallengeProbe;
use crate::cli::client;
use crate::cli::web;
use crate::tls::peek;
use crate::types::host::Host;
use crate::types::moment::rfc3339;

/// A trial order takes as long as an order.
const REHEARSAL: Duration = Duration::from_secs(110);

/// Whether our own listeners answer a challenge, as is found out before each order.
pub(super) fn ourselves(look: &Look, name: &str, probe: Option<&ChallengeProbe>) -> Vec<Finding> {
    let Some(probe) = probe else {
        return Vec::new();
    };
    let listeners = Listeners::new(&look.config.listen);
    let ask = |address: &SocketAddr| {
        let page = web::get(
            peek::reachable(*address),
            name,
            &format!("{PATH}{}", probe.token),
        );
        match page {
            Ok(page) if page.status == 200 && page.body == probe.answer => Finding::fine(
                name,
                format!("our listener at {address} answers challenges"),
            ),
            Ok(page) => Finding::of(
                Level::Broken,
                name,
                format!(
                    "our listener at {address} answers a challenge with {}",
                    page.status
                ),
                "nothing is ordered like this: `hubgate reload`; if that does not help, another process has the port as well",
            ),
            Err(error) => Finding::of(
                Level::Unknown,
                name,
                format!("our listener at {address} cannot be asked from here: {error}"),
                "",
            ),
        }
    };
    listeners.http.iter().map(ask).collect()
}

/// The week's certificates of the first authority, when they are used up.
pub(super) fn used_up(look: &Look, host: &Host) -> Option<Finding> {
    let authority = look.config.acme.authorities.first()?;
    let storage = Storage::new(&look.config.server.state_dir);
    let until = inspect::used_up_until(authority, &storage, host).ok()??;
    let found = format!(
        "{} issues no more for it before {}: a week's worth has been issued",
        authority.name,
        rfc3339(until)
    );
    let fix = "look for what loses or revokes certificates; `hubgate certs renew --force` orders all the same";
    Some(Finding::of(Level::Attention, host.as_str(), found, fix))
}

/// Orders at the staging directory, through the running process.
pub(super) fn rehearse(look: &Look, name: &str) -> Finding {
    let target = format!("/certificates/renew?host={name}&staging=1");
    match client::ask_within(REHEARSAL, &look.door, Method::POST, &target) {
        Ok(answer) if answer.status == http::StatusCode::OK => {
            Finding::fine(name, format!("a trial order: {}", answer.body.trim_end()))
        }
        Ok(answer) => Finding::of(
            Level::Broken,
            name,
            format!("a trial order failed: {}", answer.body.trim_end()),
            "mend what it names; nothing was counted at the authority itself",
        ),
        Err(failure) => Finding::of(
            Level::Unknown,
            name,
            format!(
                "no trial order: {}",
                failure.text.trim_end().replace('\n', " ")
            ),
            "start hubgate, or run this as root or as its user",
        ),
    }
}
