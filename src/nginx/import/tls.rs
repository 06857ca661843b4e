//! TLS of servers: certificates with their keys, versions, suites and curves, and whose certificates clients show.
//!
//! A server of `http` without a certificate speaks as its address's default server does and decides for itself only whom it
//! lets in, as in nginx. What hubgate's TLS has not is told as lost.

use super::Import;
use super::advice;
use super::definitions;
use super::draft::{self, Draft};
use crate::config::{CipherSuite, Group};
use crate::nginx::model::Scope;
use crate::nginx::text::{Part, Text as Word};
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// Where nobody can show what is asked for.
const NOBODY: &str = "client_certificate = { mode = \"nobody\" }";

/// A site's `certificate`: files, or ACME where nginx-acme looks after them, and where certbot does and the result is to be
/// kept. Whoever runs from nginx's files has certbot still, and what nginx would serve.
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
    let certbots = path.contains("/letsencrypt/live/");
    if (certbots && import.asked.kept) || path.starts_with("$acme") {
        table.set("certificate", "\"acme\"", Some(chain));
        let to = "`certificate = \"acme\"`: hubgate orders and renews by itself";
        for own in [chain, key] {
            import.ledger.carried(own, to);
        }
        if certbots {
            advice::of_certbot(import, chain);
        }
        return;
    }
    let what = "certificates are files: the site takes no TLS connection until its `certificate` is written";
    match pairs(import, ground, what) {
        Some((value, from)) => table.set("certificate", value, Some(from)),
        None => table.set("certificate", "\"none\"", Some(chain)),
    }
}

/// A file's path, in which variables count that are always the same; `None` for what is no file.
fn file(import: &Import<'_>, own: &Directive) -> Option<String> {
    let word = own.arguments().first()?;
    let parsed = Word::parse(&word.bytes).ok()?;
    let mut path = String::new();
    for part in &parsed.parts {
        match part {
            Part::Literal(bytes) => path.push_str(std::str::from_utf8(bytes).ok()?),
            Part::Variable(name) => match definitions::values(import, name)?.as_slice() {
                [only] => path.push_str(only),
                _ => return None,
            },
            Part::Group(_) => return None,
        }
    }
    let foreign = ["data:", "engine:", "store:"];
    (!foreign.iter().any(|scheme| path.starts_with(scheme))).then_some(path)
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
        let mut words = Vec::new();
        for (key, own) in [
            ("chain", Some(*chain)),
            ("key", Some(*key)),
            ("passwords", passwords),
        ] {
            let Some(own) = own else { continue };
            let Some(path) = file(import, own) else {
                import.ledger.lost(own, what);
                return None;
            };
            let path = draft::text(&import.absolute(&path));
            words.push(format!("{key} = {path}"));
            import.ledger.carried(own, format!("`certificate.{key}`"));
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
    let mut words = match versions(import, scope, "") {
        (false, true) => vec!["minimum_version = \"1.3\"".to_owned()],
        (true, false) => vec!["maximum_version = \"1.2\"".to_owned()],
        _ => Vec::new(),
    };
    words.extend(suites(import, scope, ""));
    words.extend(groups(import, scope));
    // Sessions are kept in tickets alone, where nginx may keep them itself.
    let cache = scope.one("ssl_session_cache").map(|own| own.argument(0));
    let kept = cache.is_some_and(|kind| kind.starts_with("shared:") || kind.starts_with("builtin"));
    if !kept && !scope.flag("ssl_session_tickets", true) {
        words.push("session_tickets = false".to_owned());
    }
    let keys = scope.all("ssl_session_ticket_key");
    if !keys.is_empty() {
        let files = keys.iter().map(|own| import.absolute(&own.argument(0)));
        let files: Vec<_> = files.collect();
        words.push(format!("ticket_keys = {}", draft::texts(files)));
    }
    words
}

/// The commands of OpenSSL's that `ssl_conf_command` of a family (`proxy_`) gives, by name and value.
fn commands<'t>(scope: &Scope<'t>, family: &str) -> Vec<(String, String, &'t Directive)> {
    let all = scope.all(&format!("{family}ssl_conf_command")).into_iter();
    all.map(|own| {
        let name = own.argument(0).to_ascii_lowercase();
        (name, own.argument(1).into_owned(), own)
    })
    .collect()
}

/// Whether TLS 1.2 and 1.3 are spoken; versions before are told as lost.
pub(super) fn versions<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    family: &str,
) -> (bool, bool) {
    let mut spoken = (true, true);
    let of_version = match family {
        "" => ("`tls.maximum_version`", "`tls.minimum_version`"),
        _ => (
            "`tls.version` of the upstream",
            "`tls.version` of the upstream",
        ),
    };
    if let Some(own) = scope.one(&format!("{family}ssl_protocols")) {
        let has = |version: &str| {
            let mut words = own.arguments().iter();
            words.any(|word| word.text().eq_ignore_ascii_case(version))
        };
        let said = (has("TLSv1.2"), has("TLSv1.3"));
        if said != (false, false) {
            spoken = said;
        }
        let old = ["SSLv2", "SSLv3", "TLSv1", "TLSv1.1"];
        match (old.iter().any(|version| has(version)), spoken) {
            (true, _) => {
                let what = "TLS 1.2 and 1.3 only: older versions are not spoken";
                import.ledger.lost(own, what);
            }
            (_, (true, true)) => import.ledger.carried(own, "TLS 1.2 and 1.3, as by default"),
            (_, (true, false)) => import.ledger.carried(own, of_version.0),
            _ => import.ledger.carried(own, of_version.1),
        }
    }
    for (name, value, own) in commands(scope, family) {
        match (&*name, &*value) {
            ("minprotocol", "TLSv1.3") => spoken.0 = false,
            ("maxprotocol", "TLSv1.2") => spoken.1 = false,
            ("minprotocol", _) | ("maxprotocol", "TLSv1.3" | "None") => {}
            _ => continue,
        }
        let to = match family {
            "" => "`tls.minimum_version` and `tls.maximum_version`",
            _ => of_version.0,
        };
        import.ledger.carried(own, to);
    }
    spoken
}

/// Suites that are named one by one, as far as they are spoken; those of TLS 1.3 a command names.
pub(super) fn suites<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    family: &str,
) -> Option<String> {
    let is_new = |suite: &CipherSuite| suite.other_names().is_empty();
    let (new, old): (Vec<&CipherSuite>, Vec<&CipherSuite>) =
        CipherSuite::ALL.iter().partition(|suite| is_new(suite));
    let mut kept = (new, old);
    let split = |text: &str| -> Vec<String> {
        let names = text.split([':', ',', ' ']).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    };
    for (name, value, own) in commands(scope, family) {
        let options = [
            "options",
            "signaturealgorithms",
            "clientsignaturealgorithms",
        ];
        if options.contains(&&*name) {
            let what = "the client's first suite is taken; signatures are those that it offers";
            import.ledger.not_needed(own, what);
        }
        if name == "ciphersuites" {
            let named = split(&value);
            kept.0
                .retain(|suite| named.iter().any(|name| name == suite.name()));
            import
                .ledger
                .carried(own, "`tls.cipher_suites`, as far as they are spoken");
        }
    }
    let single = |name: &String| name.contains('-') && !name.starts_with(['!', '-', '+', '@']);
    if let Some(own) = scope.one(&format!("{family}ssl_ciphers")) {
        let named = split(&own.argument(0));
        if named.iter().all(single) {
            let is = |suite: &CipherSuite| {
                let mut known = suite.other_names().iter();
                known.any(|known| named.iter().any(|name| name == known))
            };
            let some: Vec<_> = kept.1.iter().copied().filter(|suite| is(suite)).collect();
            match some.is_empty() {
                true => {
                    let what = "none of these suites is spoken: current ones of TLS 1.2 stay";
                    import.ledger.lost(own, what);
                }
                false => {
                    let to = "`tls.cipher_suites`, as far as they are spoken";
                    import.ledger.carried(own, to);
                    kept.1 = some;
                }
            }
        }
    }
    if kept.0.is_empty() {
        kept.0 = CipherSuite::ALL
            .iter()
            .filter(|suite| is_new(suite))
            .collect();
    }
    let names: Vec<_> = kept
        .0
        .iter()
        .chain(&kept.1)
        .map(|suite| suite.name())
        .collect();
    (names.len() < CipherSuite::ALL.len())
        .then(|| format!("cipher_suites = {}", draft::texts(names)))
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
    if mode(scope).is_none() {
        for name in ["ssl_client_certificate", "ssl_crl", "ssl_verify_depth"] {
            if let Some(own) = scope.one(name).filter(|own| !import.ledger.has(own)) {
                let why = "no client is asked for a certificate";
                import.ledger.not_needed(own, why);
            }
        }
    }
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
