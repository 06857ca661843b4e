//! `[tls]` of the whole or of a site: how connections of clients are secured.
//!
//! Knows inheritance: a site's keys override one by one, but its `profile` stands for all that it sets and the site does
//! not. What the values mean together is for `validate`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::reader::{At, Context, Reader};
use super::route::Read;
use super::value::Field;
use super::{Key, Kind, Table, client_trust};
use crate::config::diagnostic::Diagnostic;
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::config::tls::{
    CipherSuite, ClientTrust, Group, Hsts, Tls, TlsPolicy, TlsProfile, TlsVersion,
};

/// Tickets live for two rotations, and at most for seven days (RFC 8446 section 4.6.1).
const LONGEST_ROTATION: Duration = Duration::from_secs(84 * 3600);
const SHORTEST_ROTATION: Duration = Duration::from_secs(1);

pub(in crate::config) static TABLE: Table = Table {
    header: "[tls]",
    about: "How connections of clients are secured. Also `[site.\"HOST\".tls]`: there each key overrides what is inherited, and `profile` all that it stands for. Of suites and groups that both sides have, the client's first is taken. What changes holds for new connections.",
    keys: &[
        Key::new(
            "profile",
            Kind::Word(&["modern", "intermediate"]),
            "\"intermediate\"",
            "Mozilla's name for a minimum version, suites and groups (guideline 5.8): \"modern\" is TLS 1.3 only, \"intermediate\" TLS 1.2 too.",
        ),
        Key::rule(
            "minimum_version",
            Kind::Word(&["1.2", "1.3"]),
            "the profile's",
            "\"1.3\"",
            "Older versions of TLS are refused.",
        ),
        Key::rule(
            "maximum_version",
            Kind::Word(&["1.2", "1.3"]),
            "\"1.3\"",
            "\"1.2\"",
            "Newer versions of TLS are not spoken. Only for clients that are the worse for TLS 1.3.",
        ),
        Key::rule(
            "cipher_suites",
            Kind::Words(CipherSuite::NAMES),
            "the profile's",
            "[\"TLS_AES_256_GCM_SHA384\", \"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\", \"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\"]",
            "By IANA's names; some for each version.",
        ),
        Key::rule(
            "groups",
            Kind::Words(Group::NAMES),
            "the profile's: X25519MLKEM768 (post-quantum), x25519, secp256r1, secp384r1",
            "[\"X25519MLKEM768\", \"x25519\"]",
            "Key exchanges (curves) by IANA's names; those with MLKEM are for TLS 1.3 only.",
        ),
        Key::new(
            "session_tickets",
            Kind::Flag,
            "true",
            "Whether clients get tickets to resume with.",
        ),
        Key::rule(
            "ticket_keys",
            Kind::Texts,
            "keys of this process",
            "[\"/etc/hubgate/tickets-new.key\", \"/etc/hubgate/tickets-old.key\"]",
            "Files of 48 or 80 random bytes (`openssl rand 80`), so that several machines resume each other's sessions: tickets are sealed with the first, and opened with any. They are read at a start and a reload, and nothing rotates them: whoever has one reads the sessions of TLS 1.2 that it sealed. `ticket_rotation` says how long their tickets live. In a site `[]` is this process's own again.",
        ),
        Key::rule(
            "client_certificate",
            Kind::Inline,
            "none is asked for",
            "{ mode = \"required\", ca_file = \"clients.pem\", crl_files = [], pass_certificate = false }",
            "Asks clients for a certificate by one of the authorities in `ca_file` (PEM). `mode`: \"required\", \"optional\" (a client may have none) or \"off\" (in a site, to inherit none). `crl_files` (PEM) say what is revoked; then each authority of a chain needs a list. Upstreams get ssl-client-verify, -subject-dn, -issuer-dn, -serial and -fingerprint, with `pass_certificate` also ssl-client-cert, which clients cannot send. The files are read again when they change.",
        ),
        Key::rule(
            "hsts",
            Kind::Inline,
            "none is sent",
            "{ max_age = \"365d\", include_subdomains = false, preload = false }",
            "Tells browsers, with every answer by https, to come by https only for as long as `max_age` (RFC 6797), in place of what an upstream says. `include_subdomains`: to all hosts below, too. `preload`: may be built into browsers. In a site `hsts = false` inherits none; \"0s\" has browsers forget.",
        ),
        Key::new(
            "ticket_rotation",
            Kind::Duration(1),
            "\"6h\"",
            "In [tls] only: after this time, up to 84h, tickets are sealed with a new key. Older ones are taken for two rotations more.",
        ),
    ],
};

/// What one table says; what is not written is inherited.
#[derive(Debug)]
pub(in crate::config) struct Overlay {
    pub(in crate::config) profile: Read<TlsProfile>,
    pub(in crate::config) minimum_version: Read<TlsVersion>,
    pub(in crate::config) maximum_version: Read<TlsVersion>,
    pub(in crate::config) cipher_suites: Option<Option<Vec<At<CipherSuite>>>>,
    pub(in crate::config) groups: Option<Option<Vec<At<Group>>>>,
    pub(in crate::config) session_tickets: Read<bool>,
    pub(in crate::config) ticket_keys: Option<Option<Vec<At<PathBuf>>>>,
    pub(in crate::config) clients: Read<Option<ClientTrust>>,
    pub(in crate::config) ticket_rotation: Read<Duration>,
    pub(in crate::config) hsts: Read<Option<Hsts>>,
    /// Of the table's head; `None` when there is no table.
    pub(in crate::config) span: Option<Span>,
}

impl Overlay {
    /// What is in force where this table stands.
    pub(in crate::config) fn over(&self, inherited: &Arc<Tls>) -> Option<Arc<Tls>> {
        if self.span.is_none() {
            return Some(inherited.clone());
        }
        let profile = self.profile.as_ref()?.as_ref().map(|at| at.value);
        let base = match profile {
            Some(profile) => TlsPolicy {
                session_tickets: inherited.policy.session_tickets,
                ticket_keys: inherited.policy.ticket_keys.clone(),
                clients: inherited.policy.clients.clone(),
                ..profile.policy()
            },
            None => (*inherited.policy).clone(),
        };
        let values = |list: &[At<CipherSuite>]| list.iter().map(|at| at.value).collect();
        let suites = self.cipher_suites.as_ref()?.as_deref().map(values);
        let values = |list: &[At<Group>]| list.iter().map(|at| at.value).collect();
        let groups = self.groups.as_ref()?.as_deref().map(values);
        let policy = TlsPolicy {
            minimum_version: written(&self.minimum_version)?.unwrap_or(base.minimum_version),
            maximum_version: written(&self.maximum_version)?.unwrap_or(base.maximum_version),
            cipher_suites: suites.unwrap_or(base.cipher_suites),
            groups: groups.unwrap_or(base.groups),
            session_tickets: written(&self.session_tickets)?.unwrap_or(base.session_tickets),
            ticket_keys: match self.ticket_keys.as_ref()? {
                Some(files) => files.iter().map(|at| at.value.clone()).collect(),
                None => base.ticket_keys,
            },
            clients: match self.clients.as_ref()? {
                Some(own) => own.value.clone(),
                None => base.clients,
            },
        };
        let policy = match policy == *inherited.policy {
            true => inherited.policy.clone(),
            false => Arc::new(policy),
        };
        Some(Arc::new(Tls {
            profile: profile.unwrap_or(inherited.profile),
            policy,
            ticket_rotation: written(&self.ticket_rotation)?.unwrap_or(inherited.ticket_rotation),
            hsts: written(&self.hsts)?.unwrap_or(inherited.hsts),
        }))
    }
}

fn written<T: Copy>(read: &Read<T>) -> Option<Option<T>> {
    Some(read.as_ref()?.as_ref().map(|at| at.value))
}

/// The `tls` table inside `of`, the file itself or a site; without one everything is inherited.
pub(in crate::config) fn read(of: &Reader<'_>, context: Context<'_>) -> Option<Overlay> {
    let table = of.table("tls")?;
    let whole = of.name().is_empty();
    let name = match of.name() {
        "" => "`[tls]`".to_owned(),
        site => format!("the tls of {site}"),
    };
    let span = table.as_ref().map(|(_, span)| span.clone());
    let reader = Reader::new(&TABLE, name, table, context);
    Some(Overlay {
        profile: reader.optional("profile", |r, key| r.word(key).map(profile)),
        minimum_version: reader.optional("minimum_version", |r, key| r.word(key).map(version)),
        maximum_version: reader.optional("maximum_version", |r, key| r.word(key).map(version)),
        cipher_suites: reader.optional("cipher_suites", suites),
        groups: reader.optional("groups", |r, key| {
            some_of(r, key, Group::ALL, |group| {
                (group.name(), group.other_names())
            })
        }),
        session_tickets: reader.optional("session_tickets", Reader::flag),
        ticket_keys: reader.optional("ticket_keys", |r, key| {
            r.list(key, |field| field.path(context.source))
        }),
        clients: client_trust::read(&reader, context),
        ticket_rotation: reader.optional("ticket_rotation", |r, key| rotation(r, key, whole)),
        hsts: hsts(&reader, context),
        span,
    })
}

static HSTS: Table = Table {
    header: "hsts = { max_age, include_subdomains, preload }",
    about: "",
    keys: &[
        Key::new(
            "max_age",
            Kind::Duration(0),
            "\"365d\"",
            "How long browsers remember.",
        ),
        Key::new(
            "include_subdomains",
            Kind::Flag,
            "false",
            "Hosts below, too.",
        ),
        Key::new("preload", Kind::Flag, "false", "May be built in."),
    ],
};

/// `Some(None)` when it is not written, a value of `None` when it is `false`.
fn hsts(reader: &Reader<'_>, context: Context<'_>) -> Read<Option<Hsts>> {
    if let Some(typed) = reader.typed("hsts")
        && matches!(typed.get_ref(), DeValue::Boolean(false))
    {
        let span = typed.span();
        return Some(Some(At { value: None, span }));
    }
    reader.inline("hsts", &HSTS, context, |inner| {
        let max_age = inner.duration("max_age");
        let below = inner.flag("include_subdomains");
        let preload = inner.flag("preload");
        let value = Hsts {
            max_age: max_age?.value,
            include_subdomains: below?.value,
            preload: preload?.value,
        };
        Some(At {
            value: Some(value),
            span: inner.span(),
        })
    })
}

fn profile(word: At<String>) -> At<TlsProfile> {
    let value = match word.value.as_str() {
        "modern" => TlsProfile::Modern,
        _ => TlsProfile::Intermediate,
    };
    At {
        value,
        span: word.span,
    }
}

/// Cipher suites by their names.
pub(super) fn suites(reader: &Reader<'_>, key: &'static str) -> Option<Vec<At<CipherSuite>>> {
    some_of(reader, key, CipherSuite::ALL, |suite| {
        (suite.name(), suite.other_names())
    })
}

pub(super) fn version(word: At<String>) -> At<TlsVersion> {
    let value = match word.value.as_str() {
        "1.3" => TlsVersion::V13,
        _ => TlsVersion::V12,
    };
    At {
        value,
        span: word.span,
    }
}

/// A list of things by their names, none of them unknown and not empty.
fn some_of<T: Copy>(
    reader: &Reader<'_>,
    key: &'static str,
    all: &'static [T],
    names: fn(T) -> (&'static str, &'static [&'static str]),
) -> Option<Vec<At<T>>> {
    let one = |field: &Field<'_>| {
        let text = field.text()?;
        let same = |name: &&str| name.eq_ignore_ascii_case(text);
        if let Some(found) = all.iter().find(|one| same(&names(**one).0)) {
            return Some(*found);
        }
        let known = all.iter().map(|one| names(*one).0);
        let elsewhere = all.iter().find(|one| names(**one).1.iter().any(same));
        let meant = elsewhere.map(|one| names(*one).0);
        let list: Vec<_> = known.clone().map(|name| format!("`{name}`")).collect();
        let message = format!("`{text}` is not one of the {}", key.replace('_', " "));
        reader.refuse(
            Diagnostic::error("unknown-name", field.span(), message)
                .did_you_mean(meant.or_else(|| nearest(text, known)))
                .hint(format!("there are {}", list.join(", "))),
        )
    };
    let list = reader.list(key, one)?;
    if list.is_empty() {
        let span = reader.typed(key).map(toml::Spanned::span)?;
        let message = format!("`{key}` is empty, which leaves nothing to agree on");
        return reader.refuse(
            Diagnostic::error("empty-list", span, message).hint("leave it out for what is usual"),
        );
    }
    Some(list)
}

fn rotation(reader: &Reader<'_>, key: &'static str, whole: bool) -> Option<At<Duration>> {
    let at = reader.duration(key)?;
    let fault = |message: &str| Diagnostic::error("out-of-range", at.span.clone(), message);
    if !whole {
        let fault = fault("`ticket_rotation` is the same for all sites");
        return reader.refuse(fault.hint("write it in `[tls]`"));
    }
    match (SHORTEST_ROTATION..=LONGEST_ROTATION).contains(&at.value) {
        true => Some(at),
        false => {
            reader.refuse(fault("`ticket_rotation` takes 1s to 84h").hint(
                "tickets live for two rotations, and seven days are the most that TLS allows",
            ))
        }
    }
}
