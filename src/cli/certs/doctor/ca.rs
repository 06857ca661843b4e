//! The authorities: whether they answer, what time they have, and which CAA names are theirs.
//!
//! Asks each directory once, over TLS that is verified; a private authority is trusted by its `ca_file`.

use std::path::PathBuf;

use time::OffsetDateTime;
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::{Finding, Level, Look, web};
use crate::observe::reasons::with_reasons;

/// Authorities refuse what is signed by a clock further off, and certificates look expired or not yet valid.
const SKEW: time::Duration = time::Duration::seconds(60);
const AUTHORITY: &str = "authority";

/// Looks at each authority; gives the names that CAA records know them by.
pub(super) fn look(look: &Look, findings: &mut Vec<Finding>) -> Vec<String> {
    let mut identities = Vec::new();
    for (directory, roots) in authorities(look) {
        let Ok(url) = directory.parse::<http::Uri>() else {
            continue; // the configuration was checked
        };
        match web::get_https(&url, roots.as_deref()) {
            Err(error) => findings.push(Finding::of(
                Level::Broken,
                AUTHORITY,
                format!("`{directory}` is not to be reached: {}", with_reasons(&error)),
                "let this machine connect to it: a firewall, a proxy or DNS is in the way; for a private authority set `ca_file`",
            )),
            Ok(page) => {
                let document: Option<serde_json::Value> = serde_json::from_str(&dechunked(&page)).ok();
                let Some(document) = document.filter(|own| own["newOrder"].is_string()) else {
                    let found = format!("`{directory}` answers {} and no ACME directory", page.status);
                    let fix = "correct the URL, or wait: an authority under maintenance answers like this";
                    findings.push(Finding::of(Level::Broken, AUTHORITY, found, fix));
                    continue;
                };
                findings.push(Finding::fine(AUTHORITY, format!("`{directory}` answers")));
                findings.extend(clock(page.field("date")));
                let names = document["meta"]["caaIdentities"].as_array();
                let names = names.into_iter().flatten().filter_map(|name| name.as_str());
                identities.extend(names.map(str::to_ascii_lowercase));
            }
        }
    }
    identities
}

fn authorities(look: &Look) -> Vec<(String, Option<PathBuf>)> {
    let all = look.config.acme.authorities.iter();
    all.map(|one| (one.directory.clone(), one.ca_file.clone()))
        .collect()
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
