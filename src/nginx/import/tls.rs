//! TLS of servers: certificates with their keys, versions, suites and curves, and whose certificates clients show.
//!
//! A server of `http` without a certificate speaks as its address's default server does and decides for itself only whom it
//! lets in, as in nginx. What hubgate's TLS has not is told as lost.

use super::Import;
use super::draft::{self, Draft};
use crate::config::{CipherSuite, Group};
use crate::nginx::model::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// Where nobody can show what is asked for.
const NOBODY: &str = "client_certificate = { mode = \"nobody\" }";

/// A site's `certificate`: files, or ACME where certbot or nginx-acme has looked after them.
pub(super) fn certificate<'t>(
    import: &mut Import<'t>,
    own: &Scope<'t>,
    ground: &Scope<'t>,
    table: &mut Draft,
) {
    if own.flag("ssl_reject_handshake", false) {
        // A handshake for which there is no certificate is refused.
        let from = own.one("ssl_reject_handshake");
        table.set("certificate", "\"none\"", from);
        return;
    }
    let chains = ground.all("ssl_certificate");
    let keys = ground.all("ssl_certificate_key");
    let (Some(chain), Some(key)) = (chains.first(), keys.first()) else {
        table.set("certificate", "\"acme\"", None);
        return;
    };
    let path = chain.argument(0);
    if path.contains("/letsencrypt/live/") || path.starts_with("$acme") {
        table.set("certificate", "\"acme\"", Some(chain));
        let to = "`certificate = \"acme\"`: hubgate orders and renews by itself";
        for own in [chain, key] {
            import.ledger.carried(own, to);
        }
        for own in own
            .own()
            .iter()
            .filter(|own| own.name().starts_with("acme_"))
        {
            import.ledger.carried(own, "`certificate = \"acme\"`");
        }
        return;
    }
    match pairs(import, ground, "certificates are files, or ordered") {
        Some((value, from)) => table.set("certificate", value, Some(from)),
        None => table.set("certificate", "\"acme\"", Some(chain)),
    }
}

/// The files of all certificates; `None`, told by `what`, where those are no files.
pub(super) fn pairs<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    what: &str,
) -> Option<(String, &'t Directive)> {
    let chains = scope.all("ssl_certificate");
    let keys = scope.all("ssl_certificate_key");
    let passwords = scope.one("ssl_password_file");
    let mut pairs: Vec<String> = Vec::new();
    for (chain, key) in chains.iter().zip(&keys) {
        for own in [chain, key] {
            let path = own.argument(0);
            let foreign = ["data:", "engine:", "store:"];
            if path.contains('$') || foreign.iter().any(|scheme| path.starts_with(scheme)) {
                import.ledger.lost(own, what);
                return None;
            }
        }
        let mut words = Vec::new();
        for (key, own) in [
            ("chain", Some(*chain)),
            ("key", Some(*key)),
            ("passwords", passwords),
        ] {
            if let Some(own) = own {
                let path = draft::text(&import.absolute(&own.argument(0)));
                words.push(format!("{key} = {path}"));
                import.ledger.carried(own, format!("`certificate.{key}`"));
            }
        }
        let pair = format!("{{ {} }}", words.join(", "));
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    let value = match pairs.as_slice() {
        [only] => only.clone(),
        all => format!("[{}]", all.join(", ")),
    };
    chains.first().map(|first| (value, *first))
}

/// A site's `tls`.
pub(super) fn of_site<'t>(
    import: &mut Import<'t>,
    own: &Scope<'t>,
    ground: &Scope<'t>,
    table: &mut Draft,
) {
    let mut words = handshake(import, ground);
    words.extend(match std::ptr::eq(own, ground) {
        true => client_certificate(import, own),
        false => as_default(import, own, ground),
    });
    if !words.is_empty() {
        table.set("tls", format!("{{ {} }}", words.join(", ")), None);
    }
}

/// The entries of a stream's `tls`.
pub(super) fn policy<'t>(import: &mut Import<'t>, scope: &Scope<'t>) -> Vec<String> {
    let mut words = handshake(import, scope);
    words.extend(client_certificate(import, scope));
    words
}

/// What handshakes are made by.
fn handshake<'t>(import: &mut Import<'t>, scope: &Scope<'t>) -> Vec<String> {
    let mut words = Vec::new();
    words.extend(versions(import, scope));
    words.extend(suites(import, scope));
    words.extend(groups(import, scope));
    // Sessions are kept in tickets alone, where nginx may keep them itself.
    let cache = scope.one("ssl_session_cache").map(|own| own.argument(0));
    let kept = cache.is_some_and(|kind| kind.starts_with("shared:") || kind.starts_with("builtin"));
    if !kept && !scope.flag("ssl_session_tickets", true) {
        words.push("session_tickets = false".to_owned());
    }
    words
}

fn versions<'t>(import: &mut Import<'t>, scope: &Scope<'t>) -> Option<String> {
    let own = scope.one("ssl_protocols")?;
    let has = |version: &str| {
        let mut words = own.arguments().iter();
        words.any(|word| word.text().eq_ignore_ascii_case(version))
    };
    let key = match (has("TLSv1.2"), has("TLSv1.3")) {
        (false, true) => Some(("minimum_version", "1.3")),
        (true, false) => Some(("maximum_version", "1.2")),
        _ => None,
    };
    let old = ["SSLv2", "SSLv3", "TLSv1", "TLSv1.1"];
    match (old.iter().any(|version| has(version)), key) {
        (true, _) => {
            let what = "TLS 1.2 and 1.3 only: older versions are not spoken";
            import.ledger.lost(own, what);
        }
        (false, Some((key, _))) => import.ledger.carried(own, format!("`tls.{key}`")),
        (false, None) => import.ledger.carried(own, "TLS 1.2 and 1.3, as by default"),
    }
    key.map(|(key, version)| format!("{key} = \"{version}\""))
}

/// Suites that are named one by one, as far as they are spoken; those of TLS 1.3 nginx names elsewhere.
fn suites<'t>(import: &mut Import<'t>, scope: &Scope<'t>) -> Option<String> {
    let own = scope.one("ssl_ciphers")?;
    let text = own.argument(0);
    let named: Vec<_> = text
        .split([':', ',', ' '])
        .filter(|name| !name.is_empty())
        .collect();
    let single = |name: &&str| name.contains('-') && !name.starts_with(['!', '-', '+', '@']);
    if !named.iter().all(single) {
        return None;
    }
    let is = |suite: &&CipherSuite| {
        let known = suite.other_names();
        known.is_empty() || named.iter().any(|name| known.contains(name))
    };
    let kept: Vec<_> = CipherSuite::ALL.iter().filter(is).collect();
    if kept.iter().all(|suite| suite.other_names().is_empty()) {
        let what = "none of these suites is spoken: current ones of TLS 1.2 stay";
        import.ledger.lost(own, what);
        return None;
    }
    if kept.len() == CipherSuite::ALL.len() {
        return None;
    }
    import
        .ledger
        .carried(own, "`tls.cipher_suites`, as far as they are spoken");
    let names = kept.iter().map(|suite| suite.name());
    Some(format!("cipher_suites = {}", draft::texts(names)))
}

fn groups<'t>(import: &mut Import<'t>, scope: &Scope<'t>) -> Option<String> {
    let own = scope.one("ssl_ecdh_curve")?;
    let text = own.argument(0);
    if text == "auto" {
        return None;
    }
    let is = |group: &Group, name: &str| {
        let mut known = [group.name()]
            .into_iter()
            .chain(group.other_names().iter().copied());
        known.any(|known| known.eq_ignore_ascii_case(name))
    };
    let named = text.split(':');
    let kept = named.filter_map(|name| Group::ALL.iter().find(|group| is(group, name)));
    let kept: Vec<_> = kept.map(|group| group.name()).collect();
    let only_new = kept.iter().all(|name| name.contains("MLKEM"));
    let whole = kept.len() == text.split(':').count();
    if only_new || !whole {
        let what =
            "curves are X25519MLKEM768, x25519, secp256r1 and secp384r1: others are left out";
        import.ledger.lost(own, what);
    } else {
        import.ledger.carried(own, "`tls.groups`");
    }
    (!only_new).then(|| format!("groups = {}", draft::texts(kept)))
}

/// Whether clients have to show a certificate; `None` where they are not asked.
fn mode(scope: &Scope<'_>) -> Option<(&'static str, bool)> {
    Some(match &*scope.one("ssl_verify_client")?.argument(0) {
        "on" => ("required", true),
        "optional" => ("optional", false),
        "optional_no_ca" => ("unverified", false),
        _ => return None,
    })
}

/// Whom a server asks for a certificate, and which it believes.
fn client_certificate<'t>(import: &mut Import<'t>, scope: &Scope<'t>) -> Option<String> {
    let own = scope.one("ssl_verify_client")?;
    let (mode, _) = mode(scope)?;
    if scope.one("ssl_client_certificate").is_none() && mode != "unverified" {
        let what = "nginx does not start without a `ssl_client_certificate`: nobody is let in";
        import.ledger.lost(own, what);
        return Some(NOBODY.to_owned());
    }
    import.ledger.carried(own, "`tls.client_certificate.mode`");
    Some(asked(import, scope, mode))
}

/// As [`client_certificate`] of a server whose clients `ground` asks, or nobody.
fn as_default<'t>(import: &mut Import<'t>, own: &Scope<'t>, ground: &Scope<'t>) -> Option<String> {
    let said = own.one("ssl_verify_client");
    let to = "`tls.client_certificate.mode`; the address's default server asks, and says who is believed";
    match (mode(own), mode(ground)) {
        (None, None) => None,
        (None, Some(_)) => Some(asked(import, ground, "unverified")),
        (Some((mode, _)), Some(_)) => {
            import.ledger.carried(said?, to);
            Some(asked(import, ground, mode))
        }
        (Some((_, true)), None) => {
            let what = "`tls.client_certificate.mode`; nobody is let in, for the address's default server asks nobody";
            import.ledger.carried(said?, what);
            Some(NOBODY.to_owned())
        }
        (Some((_, false)), None) => {
            let what = "the address's default server asks nobody";
            import.ledger.not_needed(said?, what);
            None
        }
    }
}

/// `client_certificate` with the files that `scope` names.
fn asked<'t>(import: &mut Import<'t>, scope: &Scope<'t>, mode: &str) -> String {
    let mut words = vec![format!("mode = \"{mode}\"")];
    for (name, key) in [
        ("ssl_client_certificate", "ca_file"),
        ("ssl_trusted_certificate", "trusted_file"),
    ] {
        if let Some(from) = scope.one(name) {
            let file = draft::text(&import.absolute(&from.argument(0)));
            words.push(format!("{key} = {file}"));
            let to = format!("`tls.client_certificate.{key}`");
            import.ledger.carried(from, &to);
        }
    }
    let depth = scope.one("ssl_verify_depth");
    let count = depth.and_then(|own| value::number(&own.arguments().first()?.bytes));
    words.push(format!("depth = {}", count.unwrap_or(1).clamp(0, 100)));
    if let Some(own) = depth {
        import.ledger.carried(own, "`tls.client_certificate.depth`");
    }
    if let Some(crl) = scope.one("ssl_crl") {
        let file = draft::texts([import.absolute(&crl.argument(0))]);
        words.push(format!("crl_files = {file}"));
        import
            .ledger
            .carried(crl, "`tls.client_certificate.crl_files`");
    }
    format!("client_certificate = {{ {} }}", words.join(", "))
}
