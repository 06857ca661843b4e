//! TLS of clients as TOML: what `explain` prints and `diff` compares of `tls` tables and certificates' files.
//!
//! What is printed loads to an equal value.

use super::show::{Entry, duration, inline, list, path, quoted};
use super::tls::{CipherSuite, ClientTrust, Group, PairFiles, Tls, TlsPolicy};

/// A `tls` table.
pub(super) fn tls(tls: &Tls) -> Vec<Entry> {
    let mut entries = vec![
        ("profile", quoted(tls.profile.as_str())),
        ("ticket_rotation", duration(tls.ticket_rotation)),
    ];
    entries.extend(tls_policy(&tls.policy));
    let hsts = tls.hsts.map_or("false".to_owned(), |hsts| {
        inline(&[
            ("max_age", duration(hsts.max_age)),
            ("include_subdomains", hsts.include_subdomains.to_string()),
            ("preload", hsts.preload.to_string()),
        ])
    });
    entries.push(("hsts", hsts));
    entries
}

/// What handshakes are made by.
pub(super) fn tls_policy(policy: &TlsPolicy) -> Vec<Entry> {
    let suites: Vec<_> = policy
        .cipher_suites
        .iter()
        .map(|one| CipherSuite::name(*one))
        .collect();
    let groups: Vec<_> = policy.groups.iter().map(|one| Group::name(*one)).collect();
    let keys = policy.ticket_keys.iter().map(|file| file.display());
    let keys: Vec<_> = keys.collect();
    let clients = match &policy.clients {
        None => vec![("mode", quoted("off"))],
        Some(trust) => client_trust(trust),
    };
    vec![
        ("minimum_version", quoted(policy.minimum_version.as_str())),
        ("maximum_version", quoted(policy.maximum_version.as_str())),
        ("cipher_suites", list(&suites)),
        ("groups", list(&groups)),
        ("session_tickets", policy.session_tickets.to_string()),
        ("ticket_keys", list(&keys)),
        ("client_certificate", inline(&clients)),
    ]
}

fn client_trust(trust: &ClientTrust) -> Vec<Entry> {
    if trust.required && trust.ca_file.is_none() {
        return vec![("mode", quoted("nobody"))];
    }
    let mode = match (trust.required, trust.lenient) {
        (true, _) => "required",
        (false, false) => "optional",
        (false, true) => "unverified",
    };
    let lists: Vec<_> = trust.crl_files.iter().map(|file| file.display()).collect();
    let mut entries = vec![("mode", quoted(mode))];
    entries.extend(trust.ca_file.as_ref().map(|file| ("ca_file", path(file))));
    let trusted = trust.trusted_file.as_ref();
    entries.extend(trusted.map(|file| ("trusted_file", path(file))));
    entries.push(("crl_files", list(&lists)));
    entries.extend(trust.depth.map(|depth| ("depth", depth.to_string())));
    let pass = trust.pass_certificate.to_string();
    entries.push(("pass_certificate", pass));
    entries
}

/// Certificates with their keys.
pub(super) fn pairs(pairs: &[PairFiles]) -> String {
    let one = |pair: &PairFiles| {
        let mut entries = vec![("chain", path(&pair.chain)), ("key", path(&pair.key))];
        entries.extend(
            pair.passwords
                .as_deref()
                .map(|own| ("passwords", path(own))),
        );
        inline(&entries)
    };
    match pairs {
        [only] => one(only),
        all => {
            let all: Vec<_> = all.iter().map(one).collect();
            format!("[{}]", all.join(", "))
        }
    }
}
