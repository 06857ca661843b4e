//! Zones of shared memory: one name for two uses, two sizes, two keys, or none at all.
//!
//! In the order of the file, as nginx declares them, over `http` and `stream` together. Sentences are nginx's. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use super::table::Context;
use super::tree::{Directive, Word};
use super::value;

struct Zone {
    /// What it is for; each family's caches for themselves.
    of: String,
    /// None where it is only named so far.
    size: Option<i64>,
    key: Option<String>,
}

/// One directive's claim.
struct Claim {
    name: String,
    of: String,
    size: Option<i64>,
    /// What it goes by, for those that may be declared once.
    key: Option<String>,
}

/// The zones of a configuration.
#[derive(Default)]
pub(super) struct Zones(BTreeMap<String, Zone>);

/// Declares all zones, or gives the first that cannot be.
///
/// # Errors
/// The directive, and nginx's sentence.
pub(super) fn zones(directives: &[Directive]) -> Result<Zones, (&Directive, String)> {
    let mut zones = Zones::default();
    for block in directives {
        if block.is("http") || block.is("stream") {
            declare(block, &block.name(), &mut zones)?;
        }
    }
    Ok(zones)
}

impl Zones {
    /// The first one that nobody gave a size.
    pub(super) fn without_size(&self) -> Option<&str> {
        let mut own = self.0.iter();
        own.find_map(|(name, zone)| zone.size.is_none().then_some(&**name))
    }

    /// Whether it is a cache that somebody has declared.
    pub(super) fn has_cache(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|zone| zone.key.is_some())
    }

    fn claim(&mut self, directive: &Directive, claim: Claim) -> Option<String> {
        let name = &claim.name;
        let Some(known) = self.0.get_mut(name) else {
            let Claim { of, size, key, .. } = claim;
            self.0.insert(claim.name, Zone { of, size, key });
            return None;
        };
        if known.of != claim.of {
            return Some(format!(
                "the shared memory zone \"{name}\" is already declared for a different use"
            ));
        }
        match (known.size, claim.size) {
            (Some(old), Some(new)) if old != new => {
                return Some(format!(
                    "the size {new} of shared memory zone \"{name}\" conflicts with already declared size {old}"
                ));
            }
            (None, size) => known.size = size,
            _ => {}
        }
        let key = claim.key?;
        let said = directive.name();
        match known.key.replace(key) {
            None => None,
            Some(_) if said.ends_with("_cache_path") => Some(format!("duplicate zone \"{name}\"")),
            Some(old) => Some(format!(
                "{said} \"{name}\" is already bound to key \"{old}\""
            )),
        }
    }
}

fn declare<'t>(
    block: &'t Directive,
    part: &str,
    zones: &mut Zones,
) -> Result<(), (&'t Directive, String)> {
    for own in block.children() {
        let claim = claim(own, block, part);
        if let Some(text) = claim.and_then(|claim| zones.claim(own, claim)) {
            return Err((own, text));
        }
        declare(own, part, zones)?;
    }
    Ok(())
}

/// What a directive says of a zone, if it says anything.
fn claim(own: &Directive, block: &Directive, part: &str) -> Option<Claim> {
    let name = own.name();
    let of = |what: &str| format!("{part} {what}");
    let claim = |name: &str, what: &str, size: Option<i64>, key: Option<String>| Claim {
        name: name.to_owned(),
        of: of(what),
        size,
        key,
    };
    let sized = |text: &str| {
        let (name, size) = text.split_once(':')?;
        Some((name.to_owned(), value::size(size.as_bytes())))
    };
    let after = |mark: &str| {
        let mut words = own.arguments().iter().map(Word::text);
        words.find_map(|word| word.strip_prefix(mark).map(str::to_owned))
    };
    match &*name {
        "limit_req_zone" | "limit_conn_zone" => after("zone=").and_then(|zone| {
            let (zone, size) = sized(&zone)?;
            let what = name.trim_end_matches("_zone");
            Some(claim(&zone, what, size, Some(own.argument(0).into_owned())))
        }),
        "limit_req" => after("zone=").map(|zone| claim(&zone, "limit_req", None, None)),
        "limit_conn" => Some(claim(&own.argument(0), "limit_conn", None, None)),
        "zone" if block.is("upstream") => {
            let size = own.arguments().get(1);
            let size = size.and_then(|size| value::size(&size.bytes));
            Some(claim(&own.argument(0), "upstream", size, None))
        }
        "ssl_session_cache" | "ssl_ocsp_cache" => after("shared:").and_then(|shared| {
            let (zone, size) = sized(&shared)?;
            let what = if name == "ssl_ocsp_cache" {
                "ocsp"
            } else {
                "ssl"
            };
            Some(claim(&zone, what, size, None))
        }),
        _ if name.ends_with("_cache_path") => after("keys_zone=").and_then(|zone| {
            let (zone, size) = sized(&zone)?;
            let family = name.trim_end_matches("_path");
            Some(claim(&zone, family, size, Some(String::new())))
        }),
        _ => name.strip_suffix("_cache").and_then(|_| {
            let zone = own.argument(0);
            let asks = super::table::rule(&format!("{name}_path"), Context::Http).is_some();
            let fixed = zone != "off" && !zone.is_empty() && !zone.contains('$');
            (asks && fixed).then(|| claim(&zone, &name, None, None))
        }),
    }
}
