//! `proxy_cookie_domain`, `proxy_cookie_path` and `proxy_cookie_flags` as `cookies` of a route.
//!
//! The pairs of the first two are those of `heads`. Attributes that nobody knows change nothing, and are told.

use super::Import;
use super::draft::{self, Draft};
use super::heads::{carried, pair};
use super::variables::Known;
use crate::config::CookieFlag;
use crate::nginx::model::Scope;
use crate::nginx::tree::Directive;

/// `proxy_cookie_domain`, `_path` and `_flags`.
pub(super) fn of_route(import: &mut Import<'_>, scope: &Scope<'_>, route: &mut Draft) {
    let mut parts = Vec::new();
    let mut from = None;
    for key in ["domain", "path", "flags"] {
        let all = scope.all(&format!("proxy_cookie_{key}"));
        let mut pairs = Vec::new();
        for own in all.iter().filter(|own| own.argument(0) != "off") {
            let pair = match key {
                "flags" => flags(own),
                _ => pair(import, own, &Known::default()),
            };
            match pair {
                Ok(pair) => {
                    pairs.push(pair);
                    from = Some(*own);
                    carried(import, own, "`cookies` of its routes");
                }
                Err(unknown) => import.ledger.lost(own, unknown),
            }
        }
        if !pairs.is_empty() {
            parts.push(format!("{key} = [{}]", pairs.join(", ")));
        }
    }
    if !parts.is_empty() {
        route.set("cookies", format!("{{ {} }}", parts.join(", ")), from);
    }
}

fn flags(own: &Directive) -> Result<String, String> {
    let words: Vec<_> = own
        .arguments()
        .iter()
        .skip(1)
        .map(|word| word.text().to_ascii_lowercase())
        .collect();
    if words.iter().any(|word| word.contains('$')) {
        return Err("the attributes depend on the request, which hubgate's do not".to_owned());
    }
    // nginx looks at them when an answer comes, and then changes nothing.
    if let Some(word) = words.iter().find(|word| CookieFlag::parse(word).is_none()) {
        return Err(format!("`{word}` is no attribute of cookies"));
    }
    let name = own.argument(0);
    if name.contains('$') && !name.starts_with('~') {
        return Err("the cookie's name depends on the request".to_owned());
    }
    Ok(format!(
        "[{}, {}]",
        draft::text(&name),
        draft::text(&words.join(" "))
    ))
}
