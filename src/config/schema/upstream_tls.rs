//! `tls` in `[upstream.NAME]`: `true`, or a table that says who may answer and who asks.
//!
//! As typed; which name is verified and which files go together is for `validate`.

use std::path::PathBuf;

use toml::de::DeValue;

use super::reader::{At, Context, Reader};
use super::route::Read;
use super::tls::{suites, version};
use super::value::Field;
use super::{Key, Kind, Table};
use crate::config::source::Span;
use crate::config::tls::{CipherSuite, TlsVersion};

static TABLE: Table = Table {
    header: "tls = { server_name, sni, ca_file, crl_files, depth, version, cipher_suites, client_certificate, client_key, client_passwords, verify }",
    about: "",
    keys: &[
        Key::rule(
            "server_name",
            Kind::Text,
            "none",
            "\"hub.internal\"",
            "Whom certificates must name: a host, or \"endpoint\" for each endpoint's own address.",
        ),
        Key::rule(
            "ca_file",
            Kind::Path,
            "the public roots",
            "\"tls/ca.pem\"",
            "PEM: the roots of a private authority, in place of the public ones.",
        ),
        Key::rule(
            "client_certificate",
            Kind::Path,
            "none",
            "\"tls/edge.pem\"",
            "PEM, leaf first: shown to endpoints that ask who connects.",
        ),
        Key::rule(
            "client_key",
            Kind::Path,
            "none",
            "\"tls/edge.key\"",
            "PEM: its key.",
        ),
        Key::rule(
            "client_passwords",
            Kind::Path,
            "none",
            "\"tls/passwords\"",
            "Passwords, one a line, of which one opens an encrypted key.",
        ),
        Key::new(
            "verify",
            Kind::Flag,
            "true",
            "false takes every certificate.",
        ),
        Key::new(
            "sni",
            Kind::Flag,
            "true",
            "Whether endpoints are told the name that is asked for.",
        ),
        Key::rule(
            "depth",
            Kind::Count(0, 100),
            "RFC 5280",
            "1",
            "Chains and names are judged as OpenSSL does (version 1 and a common name alone count), with at most so many certificates between.",
        ),
        Key::new(
            "crl_files",
            Kind::Texts,
            "[]",
            "PEM: what the authorities have revoked; goes with `depth`.",
        ),
        Key::rule(
            "version",
            Kind::Word(&["1.2", "1.3"]),
            "both",
            "\"1.2\"",
            "The only version of TLS that is spoken.",
        ),
        Key::rule(
            "cipher_suites",
            Kind::Words(CipherSuite::NAMES),
            "all",
            "[\"TLS_AES_256_GCM_SHA384\", \"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\"]",
            "The suites that are offered, by IANA's names.",
        ),
    ],
};

/// The table as typed.
#[derive(Debug)]
pub(in crate::config) struct Tls {
    pub(in crate::config) server_name: Read<String>,
    pub(in crate::config) ca_file: Read<PathBuf>,
    pub(in crate::config) client_certificate: Read<PathBuf>,
    pub(in crate::config) client_key: Read<PathBuf>,
    pub(in crate::config) client_passwords: Read<PathBuf>,
    pub(in crate::config) verify: Option<At<bool>>,
    pub(in crate::config) says_name: Option<At<bool>>,
    pub(in crate::config) depth: Read<u8>,
    pub(in crate::config) crl_files: Option<Vec<At<PathBuf>>>,
    pub(in crate::config) version: Read<TlsVersion>,
    pub(in crate::config) cipher_suites: Option<Option<Vec<At<CipherSuite>>>>,
    /// Of the key.
    pub(in crate::config) span: Span,
}

/// Reads the key of an upstream: `Some(None)` is plain TCP, `None` has a fault.
pub(super) fn read(reader: &Reader<'_>, context: Context<'_>) -> Option<Option<Tls>> {
    let Some(typed) = reader.typed("tls") else {
        return Some(None);
    };
    let name = format!("the tls of {}", reader.name());
    let (table, span) = match typed.get_ref() {
        DeValue::Boolean(false) => return Some(None),
        DeValue::Boolean(true) => (None, typed.span()),
        DeValue::Table(table) => (Some((table, typed.span())), typed.span()),
        _ => {
            let takes = |field: &Field<'_>| {
                let hint = "as in `tls = { server_name = \"hub.internal\" }`".to_owned();
                field.wrong_type("true, false or a table", Some(hint))
            };
            reader.field::<()>("tls", takes)?;
            return None;
        }
    };
    let inner = Reader::new(&TABLE, name, table, context);
    Some(Some(Tls {
        server_name: inner.optional("server_name", Reader::text),
        ca_file: inner.optional("ca_file", Reader::path),
        client_certificate: inner.optional("client_certificate", Reader::path),
        client_key: inner.optional("client_key", Reader::path),
        client_passwords: inner.optional("client_passwords", Reader::path),
        verify: inner.flag("verify"),
        says_name: inner.flag("sni"),
        depth: inner.optional("depth", Reader::count::<u8>),
        crl_files: inner.list("crl_files", |field| field.path(context.source)),
        version: inner.optional("version", |r, key| r.word(key).map(version)),
        cipher_suites: inner.optional("cipher_suites", suites),
        span,
    }))
}
