//! `secure_link` and its kin as `[signed.NAME]`, of which each location's `$secure_link` is one.
//!
//! Locations with the same words share a table.

use super::Import;
use super::draft::{self, Draft};
use super::variables::{self, Known};
use crate::nginx::model::Scope;

/// What the variables of a location stand for, as texts.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// `$secure_link`
    link: String,
    /// `$secure_link_expires`
    expires: Option<String>,
}

impl Link {
    /// What one of them stands for.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        match name {
            "secure_link" => Some(&self.link),
            _ => self.expires.as_deref(),
        }
    }
}

/// Makes the variables of this block those that are meant from here on.
pub(super) fn enter<'t>(import: &mut Import<'t>, scope: &Scope<'t>) {
    import.link = None;
    let says = |name: &str| scope.own().iter().any(|own| own.is(name));
    let newer = ["secure_link", "secure_link_md5"];
    // Another form of its own takes the place of a secret from around.
    let outdone = !says("secure_link_secret") && newer.iter().any(|name| says(name));
    if let Some(own) = scope.one("secure_link_secret").filter(|_| !outdone) {
        let secret = draft::text(&own.argument(0).replace('$', "$$"));
        let path = ("of", draft::text("$request_uri"));
        let keys = [path, ("md5", secret), ("in_path", "true".to_owned())];
        import.link = Some(made(import, scope, "secure_link_secret", &keys, None));
        return;
    }
    let (Some(link), Some(md5)) = (scope.one("secure_link"), scope.one("secure_link_md5")) else {
        return;
    };
    let words = link.argument(0);
    let (signature, expires) = match words.split_once(',') {
        Some((signature, expires)) => (signature, Some(expires)),
        None => (&*words, None),
    };
    let mut keys = Vec::new();
    let mut said = None;
    for (key, own, word) in [("of", link, Some(signature)), ("expires", link, expires)] {
        let Some(word) = word else { continue };
        match variables::text(import, word.as_bytes(), &Known::default()) {
            Ok(text) => {
                keys.push((key, draft::text(&text)));
                said = Some(text).filter(|_| key == "expires");
            }
            Err(unknown) => return import.ledger.lost(own, unknown),
        }
    }
    // What it is made of names when it expires.
    import.link = Some(Link {
        link: String::new(),
        expires: said.clone(),
    });
    let of = variables::text(import, md5.argument(0).as_bytes(), &Known::default());
    import.link = None;
    match of {
        Ok(of) => keys.push(("md5", draft::text(&of))),
        Err(unknown) => return import.ledger.lost(md5, unknown),
    }
    import.link = Some(made(import, scope, "secure_link_md5", &keys, said));
    import.ledger.carried(link, "`[signed.NAME]`");
}

/// The link with these keys, whose table is made if there is none.
fn made<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    from: &str,
    keys: &[(&'static str, String)],
    expires: Option<String>,
) -> Link {
    let from = scope.one(from);
    if let Some(own) = from {
        import.ledger.carried(own, "`[signed.NAME]`");
    }
    let words = format!("{keys:?}");
    if let Some(known) = import.links.get(&words) {
        return known.clone();
    }
    let name = format!("secure_link_{}", import.links.len() + 1);
    let mut table = Draft::new(format!("[signed.{name}]"), from);
    for (key, value) in keys {
        table.set(key, value.clone(), None);
    }
    import.tables.push(table);
    import.own.push(name.clone());
    let link = Link {
        link: format!("${{{name}}}"),
        expires,
    };
    import.links.insert(words, link.clone());
    link
}
