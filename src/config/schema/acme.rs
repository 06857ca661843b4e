//! `[acme]`: the certificate authority (RFC 8555).
//!
//! The directory is https and contacts are `mailto:` when this has read them; files are read by whoever uses them.

use super::reader::{At, Reader, value};
use super::{Key, Kind, Table};
use crate::config::diagnostic::Diagnostic;
use crate::config::model::Acme;
use crate::types::host::Host;

pub(in crate::config) static TABLE: Table = Table {
    header: "[acme]",
    about: "The certificate authority that sites with `certificate = \"acme\"` order from (RFC 8555, HTTP-01).",
    keys: &[
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
            "E-mail addresses given to the authority.",
        ),
        Key::rule(
            "ca_file",
            Kind::Path,
            "none",
            "\"/etc/hubgate/private-ca.pem\"",
            "Roots (PEM) trusted for the directory's own TLS, besides the public ones.",
        ),
    ],
};

/// Reads the table.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<Acme> {
    let directory = reader
        .text("directory")
        .and_then(|url| https_url(reader, url));
    let contact = reader.texts("contact").and_then(|all| {
        // Every address is looked at before the first fault ends it.
        let all: Vec<_> = all.into_iter().map(|one| mailto(reader, one)).collect();
        all.into_iter().collect()
    });
    let ca_file = reader.optional("ca_file", Reader::path);
    Some(Acme {
        directory: directory?,
        contact: contact?,
        ca_file: ca_file?.map(|file| file.value),
    })
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
