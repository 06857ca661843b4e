//! `[site."HOST"]`: a set of hosts served alike.
//!
//! As typed, with its routes and its certificate's source; what hosts and sites mean together is for `validate`.

use std::sync::Arc;

use toml::de::DeValue;

use super::access;
use super::access_log::Overlay;
use super::bodies;
use super::error_pages;
use super::heads::{self, SiteHeads};
use super::limit::{self, Limits};
use super::reader::{At, Context, Reader};
use super::route::{self, Read, Route, read_access_log};
use super::tls;
use super::value::Field;
use super::{Key, Kind, Table, client_terms, detours, errors, rules};
use crate::config::access::Access;
use crate::config::bodies::Bodies;
use crate::config::client_address::ClientAddress;
use crate::config::detours::Detours;
use crate::config::diagnostic::Diagnostic;
use crate::config::field_names::FieldNames;
use crate::config::model::{CertificateSource, HttpMode, Paths, SiteListen};
use crate::config::referers::Referers;
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::config::tls::PairFiles;

pub(in crate::config) static TABLE: Table = Table {
    header: "[site.\"HOST\"]",
    about: "A set of hosts served alike. HOST is a name, `*.name` for every host one label below it, or an IP address; Unicode is fine. Needs quotes when it has a dot. Where `hosts` is written, HOST is but the site's name.",
    keys: &[
        Key::new("aliases", Kind::Texts, "[]", "More hosts of the same site."),
        Key::rule(
            "hosts",
            Kind::Texts,
            "HOST and `aliases`",
            "[\"hub.example.org\", \"**.hub.example.org\", \"www.hub.*\", '~^u-(?<user>\\w+)\\.example\\.org$', \"\"]",
            "Hosts of every kind: names, `*.name`, `**.name` for one label or more before it, `name.*` for one or more after it, `~regex`, whose groups are variables, and \"\" for requests of HTTP/1.0 that name none. An exact one wins, then the longest before, the longest after, the first regex.",
        ),
        Key::rule(
            "server_name",
            Kind::Text,
            "the site's name",
            "\"hub.example.org\"",
            "What `$server_name` says of the site.",
        ),
        Key::rule(
            "listen",
            Kind::Listeners,
            "the addresses of [listen]",
            "[\"127.0.0.1:8080\", { address = \"[::]:8443\", tls = true, default = true }]",
            "Addresses of this site's own. Where an address has sites of its own, only those are asked there, and the first, or the one with `default = true`, answers for all other hosts. Options of its sockets are those that `[listen]` says of the same address.",
        ),
        Key::new(
            "default",
            Kind::Flag,
            "false",
            "Also answers for hosts no site names. At most one site.",
        ),
        Key::new(
            "certificate",
            Kind::Certificate,
            "\"acme\"",
            "\"acme\", \"self-signed\" (for trials), \"none\" (plain HTTP only), or { chain = \"FILE\", key = \"FILE\" } (PEM; relative to this file's folder, read again on change). A list of such tables has keys of several kinds (ECDSA and RSA): clients get the one that they can check; of one kind the last counts.",
        ),
        Key::rule(
            "http",
            Kind::Word(&["redirect", "forward", "forward-all"]),
            "\"redirect\"; \"forward\" for a site with routes and certificate = \"none\"",
            "\"redirect\"",
            "What plain HTTP does, after challenges: redirects to https, or forwards as https would. \"forward\" answers 404 to a challenge token that nobody here knows, \"forward-all\" leaves it to the routes.",
        ),
        Key::rule(
            "redirect_status",
            Kind::Status(&[301, 302, 307, 308]),
            "301 for GET and HEAD, 308 otherwise",
            "301",
            "The status of redirects to https, and of those that add the slash at a path's end: 301, 302, 307 or 308.",
        ),
        Key::rule(
            "challenge_fallback",
            Kind::Text,
            "none",
            "\"hub\"",
            "Upstream that gets ACME challenge tokens that are not ours, as for a cert-manager behind this host.",
        ),
        rules::RULES,
        errors::ERRORS,
        detours::ERRORS_AGAIN,
        Key::new(
            "fields",
            Kind::Word(FieldNames::WORDS),
            "\"all\"",
            "Which fields of requests count, by their names: all that HTTP allows, those of letters, digits, `-` and `_` (\"underscores\"), or without `_` (\"plain\", as nginx does unless told otherwise). Others are left out of all that looks at a request, and are not sent on.",
        ),
        Key::new(
            "paths",
            Kind::Word(&["raw", "normal"]),
            "\"raw\"",
            "What routes are matched with: the path as it was sent, or a copy that is decoded, with `.`, `..` and double slashes resolved, as nginx does. With `normal` a `rewrite_prefix` sends that copy on; without one the upstream gets what was sent.",
        ),
        Key::new(
            "merge_slashes",
            Kind::Flag,
            "true",
            "Whether `paths = \"normal\"` takes several slashes in a row for one.",
        ),
        heads::REQUEST_HEADERS,
        heads::RESPONSE_HEADERS,
        heads::UNROUTED_HEADERS,
        heads::HIDE_HEADERS,
        heads::LOCATION_BASE,
        bodies::COMPRESS,
        bodies::DECOMPRESS,
        bodies::CHARSET,
        bodies::REPLACE,
        bodies::REFERERS,
        bodies::CLIENT_ADDRESS,
        client_terms::CLIENT,
        limit::LIMITS,
        access::ACCESS,
        Key::table("route", "see [[site.\"HOST\".route]]"),
        Key::table("access_log", "as [access_log], for this site"),
        Key::table("error_pages", "as [error_pages], for this site"),
        Key::table("tls", "as [tls], for this site"),
    ],
};

static LISTEN: Table = Table {
    header: "an address of a site",
    about: "",
    keys: &[
        Key::required("address", Kind::Text, "\"0.0.0.0:443\"", "Where."),
        Key::new("tls", Kind::Flag, "false", "Whether it is for TLS."),
        Key::new("default", Kind::Flag, "false", "For all other hosts."),
    ],
};

pub(super) static CERTIFICATE: Table = Table {
    header: "certificate = { chain, key }",
    about: "",
    keys: &[
        Key::required(
            "chain",
            Kind::Path,
            "\"tls/fullchain.pem\"",
            "PEM, leaf first.",
        ),
        Key::required(
            "key",
            Kind::Path,
            "\"tls/privkey.pem\"",
            "PEM: PKCS#8, SEC1 or PKCS#1.",
        ),
        Key::rule(
            "passwords",
            Kind::Path,
            "none",
            "\"tls/passwords\"",
            "Passwords, one a line, of which one opens the key where it is encrypted.",
        ),
    ],
};

/// All of a file. Boxed: there may be thousands, and each is freed when it has been checked.
pub(in crate::config) type Sites = Vec<Box<Site>>;

/// The table as typed.
#[derive(Debug)]
pub(in crate::config) struct Site {
    /// The table's key where `hosts` is written.
    pub(in crate::config) label: Option<String>,
    /// The table's key or `hosts`, then its aliases.
    pub(in crate::config) hosts: Option<Vec<At<String>>>,
    pub(in crate::config) server_name: Read<String>,
    pub(in crate::config) listen: Option<Vec<At<SiteListen>>>,
    pub(in crate::config) default: Option<At<bool>>,
    pub(in crate::config) certificate: Option<At<CertificateSource>>,
    pub(in crate::config) http: Read<HttpMode>,
    pub(in crate::config) redirect_status: Read<u16>,
    pub(in crate::config) challenge_fallback: Read<String>,
    pub(in crate::config) detours: Option<Detours>,
    pub(in crate::config) fields: Option<FieldNames>,
    pub(in crate::config) paths: Option<Paths>,
    pub(in crate::config) heads: Option<SiteHeads>,
    pub(in crate::config) bodies: Option<Bodies>,
    /// `Some(None)` is not written.
    pub(in crate::config) referers: Option<Option<Arc<Referers>>>,
    pub(in crate::config) client_address: Option<Option<Arc<ClientAddress>>>,
    pub(in crate::config) routes: Option<Vec<Route>>,
    /// `Some(None)` is not written.
    pub(in crate::config) client: Option<Option<client_terms::Overlay>>,
    /// `Some(None)` is not written.
    pub(in crate::config) limits: Option<Option<Limits>>,
    /// `Some(None)` is not written.
    pub(in crate::config) access: Option<Option<Arc<Access>>>,
    pub(in crate::config) access_log: Option<Overlay>,
    pub(in crate::config) error_pages: Option<error_pages::Overlay>,
    pub(in crate::config) tls: Option<tls::Overlay>,
    /// Of the table's head.
    pub(in crate::config) span: Span,
    /// As messages call it.
    pub(in crate::config) name: String,
}

/// Reads one site, whose table's key is `host`.
pub(in crate::config) fn read(host: At<String>, reader: &Reader<'_>, context: Context<'_>) -> Site {
    let mode = |r: &Reader<'_>, key| {
        let word = r.word(key)?;
        let value = match &*word.value {
            "forward" => HttpMode::Forward,
            "forward-all" => HttpMode::ForwardAll,
            _ => HttpMode::Redirect,
        };
        Some(At {
            value,
            span: word.span,
        })
    };
    let aliases = reader.texts("aliases");
    let written = reader.optional("hosts", Reader::texts);
    let label = reader.typed("hosts").is_some().then(|| host.value.clone());
    let hosts = written.map(|written| written.unwrap_or_else(|| vec![host]));
    Site {
        label,
        hosts: hosts.zip(aliases).map(|(mut hosts, aliases)| {
            hosts.extend(aliases);
            hosts
        }),
        server_name: reader.optional("server_name", Reader::text),
        listen: listen(reader, context),
        default: reader.flag("default"),
        certificate: reader.field("certificate", |field| certificate(field, reader, context)),
        http: reader.optional("http", mode),
        redirect_status: reader.optional("redirect_status", Reader::status),
        challenge_fallback: reader.optional("challenge_fallback", Reader::text),
        detours: detours::of_site(reader, context),
        fields: (reader.word("fields")).and_then(|word| FieldNames::parse(&word.value)),
        paths: paths(reader),
        heads: heads::of_site(reader, context),
        bodies: bodies::bodies(reader, context),
        referers: bodies::referers(reader),
        client_address: bodies::client_address(reader, context),
        routes: route::read_all(reader, context),
        client: client_terms::read(reader, context),
        limits: limit::read(reader, context),
        access: access::read(reader, context),
        access_log: read_access_log(reader, context),
        error_pages: error_pages::read(reader, context),
        tls: tls::read(reader, context),
        span: reader.span(),
        name: reader.name().to_owned(),
    }
}

fn listen(reader: &Reader<'_>, context: Context<'_>) -> Option<Vec<At<SiteListen>>> {
    let own = |field: &Field<'_>| {
        let DeValue::Table(table) = field.raw() else {
            return Some(SiteListen {
                address: field.listen_address(context.source)?,
                tls: false,
                default: false,
            });
        };
        let name = format!("an address of {}", reader.name());
        let inner = Reader::new(&LISTEN, name, Some((table, field.span())), context);
        let address = inner.field("address", |field| field.listen_address(context.source));
        let (tls, default) = (inner.flag("tls"), inner.flag("default"));
        Some(SiteListen {
            address: address?.value,
            tls: tls?.value,
            default: default?.value,
        })
    };
    let written = reader.optional("listen", |reader, key| reader.list(key, own))?;
    Some(written.unwrap_or_default())
}

fn paths(reader: &Reader<'_>) -> Option<Paths> {
    let (word, merge) = (reader.word("paths"), reader.flag("merge_slashes"));
    let merge_slashes = merge?.value;
    Some(match &*word?.value {
        "normal" => Paths::Normal { merge_slashes },
        _ => Paths::Raw,
    })
}

fn certificate(
    field: &Field<'_>,
    reader: &Reader<'_>,
    context: Context<'_>,
) -> Option<CertificateSource> {
    match field.raw() {
        DeValue::String(word) => match word.as_ref() {
            "acme" => Some(CertificateSource::Acme),
            "self-signed" => Some(CertificateSource::SelfSigned),
            "none" => Some(CertificateSource::None),
            other => reader.refuse(
                Diagnostic::error(
                    "bad-certificate",
                    field.span(),
                    format!("`certificate` cannot be `{other}`"),
                )
                .label(
                    "\"acme\", \"self-signed\", \"none\" or { chain = \"FILE\", key = \"FILE\" }",
                )
                .did_you_mean(
                    match other.to_ascii_lowercase().contains("encrypt") {
                        true => Some("acme"),
                        false => nearest(other, ["acme", "self-signed", "none"]),
                    },
                ),
            ),
        },
        DeValue::Table(_) | DeValue::Array(_) => {
            pairs(field, reader, context).map(CertificateSource::Files)
        }
        _ => field.wrong_type(
            "a word, a table or a list of tables",
            Some("as in `certificate = \"acme\"`".to_owned()),
        ),
    }
}

/// One table of files, or a list of such.
pub(super) fn pairs(
    field: &Field<'_>,
    reader: &Reader<'_>,
    context: Context<'_>,
) -> Option<Vec<PairFiles>> {
    let one = |field: &Field<'_>| {
        let DeValue::Table(table) = field.raw() else {
            let example = "as in { chain = \"FILE\", key = \"FILE\" }";
            return field.wrong_type("a table", Some(example.to_owned()));
        };
        let name = format!("the certificate of {}", reader.name());
        let inner = Reader::new(&CERTIFICATE, name, Some((table, field.span())), context);
        let passwords = inner.optional("passwords", Reader::path);
        let (chain, key) = (inner.path("chain"), inner.path("key"));
        Some(PairFiles {
            chain: chain?.value,
            key: key?.value,
            passwords: passwords?.map(|at| at.value),
        })
    };
    if matches!(field.raw(), DeValue::Table(_)) {
        return one(field).map(|pair| vec![pair]);
    }
    let list = field.list()?;
    if list.is_empty() {
        let message = "there is no certificate in it".to_owned();
        return field.refuse("bad-certificate", message, None);
    }
    // All are read: one run finds every fault.
    let pairs: Vec<_> = list.iter().map(one).collect();
    pairs.into_iter().collect()
}
