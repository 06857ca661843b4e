//! `[acme]` and `[[acme.ca]]`: the certificate authorities (RFC 8555).
//!
//! Directories are https, contacts `mailto:` and names told apart when this has read them; files are read by whoever
//! uses them. `[acme]` is the only authority, or what the `[[acme.ca]]` have in common.

use toml::de::DeValue;

use super::reader::{At, Context, Reader, value};
use super::{Key, Kind, Table, kind_of};
use crate::config::diagnostic::Diagnostic;
use crate::config::model::{Acme, AcmeAuthority, ChallengeKind, ExternalAccount};
use crate::types::host::Host;

/// Let's Encrypt's, whose staging directory is known.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

pub(in crate::config) static TABLE: Table = Table {
    header: "[acme]",
    about: "The certificate authority that sites with `certificate = \"acme\"` order from (RFC 8555). For several, give each a table `[[acme.ca]]` with these keys, in the order they are to be asked: the next one is asked when those before it are down for six hours, or when a certificate is missing or about to end. `contact` and `challenge` are then inherited from `[acme]`.",
    keys: &[
        Key::rule(
            "name",
            Kind::Text,
            "the directory's host",
            "\"letsencrypt\"",
            "What the authority is called in logs, metrics and listings.",
        ),
        Key::new(
            "directory",
            Kind::Text,
            "\"https://acme-v02.api.letsencrypt.org/directory\"",
            "The directory's URL, https.",
        ),
        Key::new(
            "contact",
            Kind::Texts,
            "[]",
            "E-mail addresses given to the authority; none is fine.",
        ),
        Key::new(
            "challenge",
            Kind::Word(&["http-01", "tls-alpn-01"]),
            "\"http-01\"",
            "How hosts are shown to be ours: on port 80, or on port 443 for machines where only that is open.",
        ),
        Key::rule(
            "ca_file",
            Kind::Path,
            "none",
            "\"/etc/hubgate/private-ca.pem\"",
            "Roots (PEM) trusted for the directory's own TLS, besides the public ones.",
        ),
        Key::rule(
            "profile",
            Kind::Text,
            "the authority's own default",
            "\"shortlived\"",
            "Which of its profiles is ordered. One it does not have is left out of the order, unless it is required.",
        ),
        Key::new(
            "profile_required",
            Kind::Flag,
            "false",
            "Rather no certificate than one of another profile.",
        ),
        Key::rule(
            "eab_key_id",
            Kind::Text,
            "none",
            "\"kid-1\"",
            "The key's name, for authorities that bind accounts to one they gave you (external account binding).",
        ),
        Key::rule(
            "eab_hmac_file",
            Kind::Path,
            "none",
            "\"/etc/hubgate/eab.key\"",
            "A file with that key, in base64url as the authority shows it. Goes with `eab_key_id`.",
        ),
        Key::rule(
            "staging",
            Kind::Text,
            "Let's Encrypt's own for its directory, none for others",
            "\"https://acme-staging-v02.api.letsencrypt.org/directory\"",
            "The directory to practise on: for a host that has failed twice and never had a certificate, and for trial orders.",
        ),
        Key::table("ca", "several authorities, each with the keys above"),
    ],
};

/// Reads the table.
pub(in crate::config) fn read(reader: &Reader<'_>, context: Context<'_>) -> Option<Acme> {
    let common = authority(reader);
    let Some(typed) = reader.typed("ca") else {
        return Some(Acme {
            authorities: vec![common?],
        });
    };
    let mut good = common.is_some();
    for key in TABLE.keys {
        let own = matches!(key.name, "ca" | "contact" | "challenge");
        if let Some(written) = reader.typed(key.name).filter(|_| !own) {
            let message = format!("`{}` is each authority's own", key.name);
            let hint = "write it in the `[[acme.ca]]` it belongs to";
            reader.note(Diagnostic::error("acme-and-ca", written.span(), message).hint(hint));
            good = false;
        }
    }
    let tables = match typed.get_ref() {
        DeValue::Array(tables) if !tables.is_empty() => tables,
        other => {
            let message = format!("`ca` is a list of tables, not {}", kind_of(other));
            return reader.refuse(
                Diagnostic::error("wrong-type", typed.span(), message)
                    .hint("write each authority as `[[acme.ca]]`, with double brackets"),
            );
        }
    };
    let mut authorities: Vec<AcmeAuthority> = Vec::new();
    for element in tables {
        let DeValue::Table(table) = element.get_ref() else {
            let message = format!(
                "an authority is a table, not {}",
                kind_of(element.get_ref())
            );
            reader.note(Diagnostic::error("wrong-type", element.span(), message));
            good = false;
            continue;
        };
        let name = "an `[[acme.ca]]`".to_owned();
        let inner = Reader::new(&TABLE, name, Some((table, element.span())), context);
        let Some(mut one) = authority(&inner) else {
            good = false;
            continue;
        };
        if let Some(common) = &common {
            if inner.typed("contact").is_none() {
                one.contact.clone_from(&common.contact);
            }
            if inner.typed("challenge").is_none() {
                one.challenge = common.challenge;
            }
        }
        let twin =
            |other: &&AcmeAuthority| other.name == one.name || other.directory == one.directory;
        if let Some(twin) = authorities.iter().find(twin) {
            let message = format!("`{}` is there twice", twin.name);
            inner.note(
                Diagnostic::error("duplicate-ca", element.span(), message)
                    .hint("each authority has a `name` and a `directory` of its own"),
            );
            good = false;
        }
        authorities.push(one);
    }
    good.then_some(Acme { authorities })
}

fn authority(reader: &Reader<'_>) -> Option<AcmeAuthority> {
    let directory = reader
        .text("directory")
        .and_then(|url| https_url(reader, url));
    let contact = reader.texts("contact").and_then(|all| {
        // Every address is looked at before the first fault ends it.
        let all: Vec<_> = all.into_iter().map(|one| mailto(reader, one)).collect();
        all.into_iter().collect()
    });
    let challenge = reader.word("challenge").map(|word| match &*word.value {
        "tls-alpn-01" => ChallengeKind::TlsAlpn01,
        _ => ChallengeKind::Http01,
    });
    let name = reader.optional("name", Reader::text);
    let ca_file = reader.optional("ca_file", Reader::path);
    let profile = reader.optional("profile", Reader::text);
    let profile_required = reader.flag("profile_required");
    let external_account = external_account(reader);
    let staging = reader.optional("staging", |reader, key| {
        let url = reader.text(key)?;
        https_url(reader, url)
    });
    let directory = directory?;
    let staging =
        staging?.or_else(|| (directory == LETS_ENCRYPT).then(|| LETS_ENCRYPT_STAGING.to_owned()));
    Some(AcmeAuthority {
        name: value(name?).unwrap_or_else(|| host_of(&directory)),
        contact: contact?,
        ca_file: value(ca_file?),
        challenge: challenge?,
        profile: value(profile?),
        profile_required: profile_required?.value,
        external_account: external_account?,
        staging,
        directory,
    })
}

fn external_account(reader: &Reader<'_>) -> Option<Option<ExternalAccount>> {
    let key_id = reader.optional("eab_key_id", Reader::text)?;
    let hmac_file = reader.optional("eab_hmac_file", Reader::path)?;
    match (key_id, hmac_file) {
        (Some(key_id), Some(file)) => Some(Some(ExternalAccount {
            key_id: key_id.value,
            hmac_file: file.value,
        })),
        (None, None) => Some(None),
        (Some(At { span, .. }), None) => reader.refuse(
            Diagnostic::error(
                "half-a-binding",
                span,
                "`eab_key_id` goes with `eab_hmac_file`",
            )
            .hint("put the key that the authority gave you into a file and name it"),
        ),
        (None, Some(At { span, .. })) => reader.refuse(
            Diagnostic::error(
                "half-a-binding",
                span,
                "`eab_hmac_file` goes with `eab_key_id`",
            )
            .hint("the authority gave you both"),
        ),
    }
}

fn host_of(url: &str) -> String {
    let uri: Option<http::Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host);
    host.unwrap_or(url).to_owned()
}

fn https_url(reader: &Reader<'_>, url: At<String>) -> Option<String> {
    let uri: Option<http::Uri> = url.value.parse().ok();
    let host = uri
        .as_ref()
        .and_then(http::Uri::host)
        .filter(|host| Host::parse(host).is_ok());
    match uri.as_ref().and_then(http::Uri::scheme_str) {
        Some("https") if host.is_some() && !url.value.contains(['#', '@']) => value(Some(url)),
        Some("http") => reader.refuse(
            Diagnostic::error(
                "bad-url",
                url.span,
                "the ACME directory is not an https URL",
            )
            .hint("RFC 8555 asks for https; give a private authority's root as `ca_file`"),
        ),
        _ => reader.refuse(
            Diagnostic::error(
                "bad-url",
                url.span,
                format!("`{}` is not an https URL", url.value),
            )
            .hint("as in `https://acme-v02.api.letsencrypt.org/directory`"),
        ),
    }
}

/// Adds `mailto:`; the authorities take nothing else (RFC 8555 section 7.3).
fn mailto(reader: &Reader<'_>, contact: At<String>) -> Option<String> {
    let address = contact
        .value
        .strip_prefix("mailto:")
        .unwrap_or(&contact.value);
    let good = address.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty()
            && user
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b",<>()?\"".contains(&b))
            && host.contains('.')
            && Host::parse(host).is_ok_and(|parsed| parsed.as_str().eq_ignore_ascii_case(host))
    });
    if good {
        return Some(format!("mailto:{address}"));
    }
    reader.refuse(
        Diagnostic::error(
            "bad-contact",
            contact.span,
            format!("`{}` is not an e-mail address", contact.value),
        )
        .hint("one address per entry, as in `ops@example.org`"),
    )
}
