//! `client_certificate` in `[tls]`: who may be a client, and that the files say so.
//!
//! The files are read only where a check reads files; whoever verifies by them reads them again.

use std::path::Path;

use super::reader::{At, Context, Reader};
use super::route::Read;
use super::value::Field;
use super::{Key, Kind, Table};
use crate::config::diagnostic::Diagnostic;
use crate::config::source::Span;
use crate::config::tls::ClientTrust;
use crate::config::trust::{self, InFile, MOST_BYTES, Trust, TrustFault};

static TABLE: Table = Table {
    header: "client_certificate = { mode, ca_file, trusted_file, crl_files, depth, pass_certificate }",
    about: "",
    keys: &[
        Key::new(
            "mode",
            Kind::Word(&["required", "optional", "unverified", "nobody", "off"]),
            "\"required\"",
            "Whether a client has to have one; \"unverified\": any will do, and $ssl_client_verify says whether it is believed; \"nobody\": none will do.",
        ),
        Key::rule(
            "ca_file",
            Kind::Path,
            "none, for \"unverified\" and \"nobody\" only",
            "\"clients.pem\"",
            "PEM: the authorities.",
        ),
        Key::rule(
            "trusted_file",
            Kind::Path,
            "none",
            "\"more.pem\"",
            "PEM: further authorities, of which clients are not told.",
        ),
        Key::rule(
            "depth",
            Kind::Count(0, 100),
            "RFC 5280",
            "1",
            "Chains are built as OpenSSL builds them (version 1 counts), with at most so many certificates between.",
        ),
        Key::new("crl_files", Kind::Texts, "[]", "PEM: what is revoked."),
        Key::new(
            "pass_certificate",
            Kind::Flag,
            "false",
            "Whether upstreams get the certificate itself.",
        ),
    ],
};

/// Reads the key: `Some(None)` when it is not written, a value of `None` when it is off.
pub(super) fn read(reader: &Reader<'_>, context: Context<'_>) -> Read<Option<ClientTrust>> {
    const KEY: &str = "client_certificate";
    let Some(table) = reader.table(KEY)? else {
        return Some(None);
    };
    let span = table.1.clone();
    let name = format!("`{KEY}` of {}", reader.name());
    let inner = Reader::new(&TABLE, name, Some(table), context);
    let mode = inner.word("mode");
    let lists = inner.list("crl_files", |field: &Field<'_>| field.path(context.source));
    let pass = inner.flag("pass_certificate");
    let mode = mode?;
    if mode.value == "off" {
        return Some(Some(At { value: None, span }));
    }
    let ca_file = inner.optional("ca_file", Reader::path);
    let trusted = inner.optional("trusted_file", Reader::path);
    let depth = inner.optional("depth", Reader::count::<u8>);
    let (ca_file, lists) = (ca_file?, lists?);
    let lenient = mode.value == "unverified";
    let nobody = mode.value == "nobody";
    if nobody {
        return Some(Some(At {
            value: Some(ClientTrust {
                required: true,
                lenient: false,
                trusted_file: None,
                // Rules that work without an authority.
                depth: Some(0),
                ca_file: None,
                crl_files: Vec::new(),
                pass_certificate: false,
            }),
            span,
        }));
    }
    if ca_file.is_none() && !lenient {
        let fault = Diagnostic::error(
            "missing-key",
            span,
            format!("{} has no `ca_file`", inner.name()),
        );
        return inner.refuse(
            fault
                .label("needs `ca_file`")
                .hint("add `ca_file = \"clients.pem\"`"),
        );
    }
    let spans: Vec<_> = lists.iter().map(|at| at.span.clone()).collect();
    let value = ClientTrust {
        required: mode.value == "required",
        lenient,
        trusted_file: trusted?.map(|file| file.value),
        depth: depth?.map(|depth| depth.value),
        ca_file: ca_file.as_ref().map(|file| file.value.clone()),
        crl_files: lists.into_iter().map(|at| at.value).collect(),
        pass_certificate: pass?.value,
    };
    if let Some(ca_file) = &ca_file {
        look(&value, (&ca_file.value, &ca_file.span), &spans, context)?;
    }
    let value = Some(value);
    Some(Some(At { value, span }))
}

/// Says what is wrong with the files, where files are read.
fn look(
    value: &ClientTrust,
    (ca_path, ca_file): (&Path, &Span),
    crl_files: &[Span],
    context: Context<'_>,
) -> Option<()> {
    let Some(now) = context.files.time() else {
        return Some(());
    };
    let authorities = file(ca_path, ca_file, context, trust::authorities);
    let lists = value.crl_files.iter().zip(crl_files);
    let lists: Vec<_> = lists
        .map(|(path, span)| file(path, span, context, trust::revocations))
        .collect();
    let found = Trust {
        authorities: authorities?,
        trusted: Vec::new(),
        revocations: lists.into_iter().collect::<Option<_>>()?,
    };
    for (which, doubt) in found.doubts(now) {
        let span = match which {
            InFile::Authorities => Some(ca_file),
            InFile::Revocations(file) => crl_files.get(file),
        };
        if let Some(span) = span {
            let doubt = Diagnostic::warning("doubtful-trust", span.clone(), doubt);
            context.sink.push(doubt);
        }
    }
    Some(())
}

fn file<T>(
    path: &Path,
    span: &Span,
    context: Context<'_>,
    parse: impl FnOnce(&[u8]) -> Result<T, TrustFault>,
) -> Option<T> {
    let shown = path.display();
    let fault = |why: String, hint: &str| {
        let message = format!("`{shown}` cannot be used: {why}");
        let fault = Diagnostic::error("bad-trust-file", span.clone(), message);
        context.sink.refuse(match hint {
            "" => fault,
            hint => fault.hint(hint),
        })
    };
    match context.files.read(path, MOST_BYTES)? {
        Ok(text) => match parse(text.as_bytes()) {
            Ok(found) => Some(found),
            Err(why) => fault(why.to_string(), ""),
        },
        Err(why) => fault(
            why,
            "the file has to be PEM: `openssl x509 -inform der` and `openssl crl -inform der` make it so",
        ),
    }
}
