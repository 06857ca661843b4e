//! The authorities: whether they answer, what time they have, which CAA names are theirs, what they say of our account, and
//! how much of their limits is used.
//!
//! Asks each directory once and each account by one signed POST-as-GET, over TLS that is verified; a private authority is
//! trusted by its `ca_file`. Changes nothing there.

use std::io;

use time::OffsetDateTime;
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::{Finding, Level, Look};
use crate::acme::inspect::{self, AccountLook};
use crate::acme::storage::Storage;
use crate::cli::web;
use crate::config::{AcmeAuthority, ChallengeKind};
use crate::observe::reasons::with_reasons;
use crate::types::moment::rfc3339;

/// Authorities refuse what is signed by a clock further off, and certificates look expired or not yet valid.
const SKEW: time::Duration = time::Duration::seconds(60);
const AUTHORITY: &str = "authority";

/// An authority as CAA records speak of it (RFC 8659, RFC 8657).
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// The names it goes by, in lower case.
    pub(super) names: Vec<String>,
    /// Our account there.
    pub(super) account: Option<String>,
    /// How it validates for us: `http-01`.
    pub(super) method: &'static str,
}

/// Looks at each authority; gives those that answered.
pub(super) fn look(look: &Look, findings: &mut Vec<Finding>) -> Vec<Identity> {
    let mut identities = Vec::new();
    let storage = Storage::new(&look.config.server.state_dir);
    for authority in &look.config.acme.authorities {
        let directory = &authority.directory;
        let Ok(url) = directory.parse::<http::Uri>() else {
            continue; // the configuration was checked
        };
        findings.extend(limits(authority, &storage));
        let page = match web::get_https(&url, authority.ca_file.as_deref()) {
            Ok(page) => page,
            Err(error) => {
                findings.push(Finding::of(
                    Level::Broken,
                    AUTHORITY,
                    format!("`{directory}` is not to be reached: {}", with_reasons(&error)),
                    "let this machine connect to it: a firewall, a proxy or DNS is in the way; for a private authority set `ca_file`",
                ));
                continue;
            }
        };
        let document: Option<serde_json::Value> = serde_json::from_str(&dechunked(&page)).ok();
        let Some(document) = document.filter(|own| own["newOrder"].is_string()) else {
            let found = format!(
                "`{directory}` answers {} and no ACME directory",
                page.status
            );
            let fix = "correct the URL, or wait: an authority under maintenance answers like this";
            findings.push(Finding::of(Level::Broken, AUTHORITY, found, fix));
            continue;
        };
        findings.push(Finding::fine(AUTHORITY, format!("`{directory}` answers")));
        findings.extend(clock(page.field("date")));
        let names = document["meta"]["caaIdentities"].as_array();
        let names = names.into_iter().flatten().filter_map(|name| name.as_str());
        let known = inspect::account(authority, &storage);
        identities.push(Identity {
            names: names.map(str::to_ascii_lowercase).collect(),
            account: known
                .as_ref()
                .ok()
                .and_then(|known| Some(known.as_ref()?.url.clone())),
            method: match authority.challenge {
                ChallengeKind::Http01 => "http-01",
                ChallengeKind::TlsAlpn01 => "tls-alpn-01",
            },
        });
        findings.push(account(directory, known));
    }
    identities
}

fn account(directory: &str, known: io::Result<Option<AccountLook>>) -> Finding {
    let known = match known {
        Ok(Some(known)) => known,
        Ok(None) => {
            let found = format!("no account at `{directory}` yet; the first order registers one");
            return Finding::fine(AUTHORITY, found);
        }
        Err(error) => {
            let found = format!(
                "the account kept for `{directory}` cannot be read: {}",
                with_reasons(&error)
            );
            let fix = "run this as root or as the account that hubgate runs as";
            return Finding::of(Level::Unknown, AUTHORITY, found, fix);
        }
    };
    let url = &known.url;
    match &known.status {
        Ok(status) if status == "valid" => {
            Finding::fine(AUTHORITY, format!("the account `{url}` is valid"))
        }
        Ok(status) => Finding::of(
            Level::Broken,
            AUTHORITY,
            format!("the account `{url}` is {status}"),
            "move its folder out of `STATE_DIR/acme/accounts` and reload: hubgate registers another one",
        ),
        Err(reason) if known.is_unknown => Finding::of(
            Level::Attention,
            AUTHORITY,
            format!("`{directory}` does not know the account `{url}`: {reason}"),
            "nothing: the next order registers its key again",
        ),
        Err(reason) => Finding::of(
            Level::Attention,
            AUTHORITY,
            format!("the account `{url}` is refused: {reason}"),
            "do what the authority says; a closed account is replaced by moving its folder out of `STATE_DIR/acme/accounts`",
        ),
    }
}

/// Limits that keep us from ordering now.
fn limits(authority: &AcmeAuthority, storage: &Storage) -> Option<Finding> {
    let known = inspect::limits(authority, storage).ok()?;
    let name = &authority.name;
    let (found, fix) = match (known.closed, known.orders_from) {
        (Some((until, detail)), _) => (
            format!(
                "{name} is not asked for anything before {}: {detail}",
                rfc3339(until)
            ),
            "wait, or mend what it names; a second authority (`[[acme.ca]]`) would be asked meanwhile in an emergency",
        ),
        (None, Some(from)) => (
            format!(
                "three hours' worth of orders has been placed at {name}; the next is placed at {}",
                rfc3339(from)
            ),
            "wait: it goes on by itself",
        ),
        (None, None) if !known.is_up => (
            format!("{name} did not answer when it was last asked"),
            "wait, and look whether it is reachable below",
        ),
        (None, None) => return None,
    };
    Some(Finding::of(Level::Attention, AUTHORITY, found, fix))
}

/// A body in chunks still has their lengths; a directory is small, so the object's ends tell where it is.
fn dechunked(page: &web::Page) -> String {
    if page.field("transfer-encoding").is_none() {
        return page.body.clone();
    }
    let lines = page.body.lines().filter(|line| {
        let line = line.trim();
        line.is_empty() || !line.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    lines.collect()
}

fn clock(date: Option<&str>) -> Option<Finding> {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let theirs = PrimitiveDateTime::parse(date?, form).ok()?.assume_utc();
    let skew = OffsetDateTime::now_utc() - theirs;
    Some(match skew.abs() > SKEW {
        true => Finding::of(
            Level::Broken,
            "clock",
            format!(
                "this machine's clock is {} s off the authority's",
                skew.whole_seconds()
            ),
            "set it: `timedatectl set-ntp true`",
        ),
        false => Finding::fine("clock", "agrees with the authority's to a minute"),
    })
}
