//! TLS to endpoints as `proxy_ssl_*` and `grpc_ssl_*` have it, as an upstream's `tls`.
//!
//! The same for `http` and `stream`. nginx's rules of belief go along: chains and names as OpenSSL has them, no name said
//! unless it is told to. What depends on the request is told as lost.

use super::Import;
use super::draft;
use super::tls;
use crate::nginx::model::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// The value of `tls` for a target that is called `host`.
pub(super) fn tls<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    family: &str,
    host: &str,
) -> String {
    let one = |name: &str| scope.one(&format!("{family}_ssl_{name}"));
    let verify = scope.flag(&format!("{family}_ssl_verify"), false);
    let says_name = scope.flag(&format!("{family}_ssl_server_name"), false);
    let mut words = vec![format!(
        "server_name = {}",
        draft::text(&name(import, one("name"), host))
    )];
    match verify {
        true => {
            let depth = one("verify_depth");
            let count = depth.and_then(|own| value::number(&own.arguments().first()?.bytes));
            words.push(format!("depth = {}", count.unwrap_or(1).clamp(0, 100)));
        }
        false => words.push("verify = false".to_owned()),
    }
    if !says_name {
        words.push("sni = false".to_owned());
    }
    for (from, key) in [("trusted_certificate", "ca_file"), ("crl", "crl_files")] {
        let Some(own) = one(from).filter(|own| !own.argument(0).is_empty()) else {
            continue;
        };
        if !verify {
            import.ledger.not_needed(own, "nothing is verified");
            continue;
        }
        let file = import.absolute(&own.argument(0));
        words.push(match key {
            "ca_file" => format!("{key} = {}", draft::text(&file)),
            _ => format!("{key} = {}", draft::texts([file])),
        });
    }
    let pair = (one("certificate"), one("certificate_key"));
    words.extend(shown(import, pair, one("password_file")));
    let family = format!("{family}_");
    words.extend(match tls::versions(import, scope, &family) {
        (true, false) => Some("version = \"1.2\"".to_owned()),
        (false, true) => Some("version = \"1.3\"".to_owned()),
        _ => None,
    });
    words.extend(tls::suites(import, scope, &family));
    format!("{{ {} }}", words.join(", "))
}

/// Whom certificates have to name.
fn name(import: &mut Import<'_>, own: Option<&Directive>, host: &str) -> String {
    let word = own.map(|own| own.argument(0));
    let fixed = word.filter(|word| word != "$proxy_host");
    let fixed = fixed.filter(|word| {
        let known = !word.contains('$');
        if let Some(own) = own.filter(|_| !known) {
            let what = "the name depends on the request: that of the target is asked for";
            import.ledger.lost(own, what);
        }
        known
    });
    let name = fixed.as_deref().unwrap_or(host);
    let bare = match name.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => name,
    };
    let bare = bare.trim_start_matches('[').trim_end_matches(']');
    let fits = rustls::pki_types::ServerName::try_from(bare).is_ok();
    match fits && (fixed.is_some() || bare.parse::<std::net::IpAddr>().is_err()) {
        true => bare.to_owned(),
        false => "endpoint".to_owned(),
    }
}

/// What endpoints are shown that ask who connects.
fn shown(
    import: &mut Import<'_>,
    (chain, key): (Option<&Directive>, Option<&Directive>),
    passwords: Option<&Directive>,
) -> Option<String> {
    let (chain, key) = (chain?, key?);
    if chain.argument(0).is_empty() {
        return None;
    }
    for own in [chain, key] {
        if own.argument(0).contains('$') {
            let what = "the file depends on the request: none is shown";
            import.ledger.lost(own, what);
            return None;
        }
    }
    let file = |own: &Directive| draft::text(&import.absolute(&own.argument(0)));
    let mut words = format!(
        "client_certificate = {}, client_key = {}",
        file(chain),
        file(key)
    );
    if let Some(own) = passwords {
        words += &format!(", client_passwords = {}", file(own));
        import
            .ledger
            .carried(own, "`tls.client_passwords` of the upstream");
    }
    Some(words)
}
