//! `[tls]` of the whole and of sites: that every version which is allowed can be spoken, and a word about what is weak.
//!
//! Names are known to exist by now; which files hold what they should is looked at when the configuration is loaded.

use std::sync::Arc;
use std::time::Duration;

use crate::config::diagnostic::Diagnostic;
use crate::config::schema::reader::{At, Context};
use crate::config::schema::tls::Overlay;
use crate::config::source::Span;
use crate::config::tls::{Tls, TlsVersion};

/// Whoever steals a ticket's key reads what was said in sessions resumed with it.
const LONG_ROTATION: Duration = Duration::from_secs(24 * 3600);
/// What the lists of browsers ask for (hstspreload.org).
const PRELOADED: Duration = Duration::from_secs(31_536_000);

/// What is in force where the table stands, when it can be.
pub(super) fn check(
    typed: &Overlay,
    inherited: &Arc<Tls>,
    context: Context<'_>,
) -> Option<Arc<Tls>> {
    let tls = typed.over(inherited)?;
    let Some(head) = &typed.span else {
        return Some(tls);
    };
    let suites = typed.cipher_suites.as_ref()?.as_deref();
    let groups = typed.groups.as_ref()?.as_deref();
    let minimum = typed.minimum_version.as_ref()?.as_ref();
    let policy = &tls.policy;
    let mut good = true;
    if policy.minimum_version > policy.maximum_version {
        let maximum = typed.maximum_version.as_ref()?.as_ref();
        let at = maximum.or(minimum).map_or(head, |at| &at.span);
        let message = "`minimum_version` is newer than `maximum_version`: nothing is spoken";
        let fault = Diagnostic::error("nothing-in-common", at.clone(), message);
        context.sink.push(fault);
        good = false;
    }
    for version in [TlsVersion::V12, TlsVersion::V13] {
        if version < policy.minimum_version || version > policy.maximum_version {
            continue;
        }
        let spoken = policy
            .cipher_suites
            .iter()
            .any(|suite| suite.version() == version);
        // A group is for its version and later ones.
        let agreed = policy.groups.iter().any(|group| group.version() <= version);
        for (is, key, at) in [
            (spoken, "cipher_suites", first(suites)),
            (agreed, "groups", first(groups)),
        ] {
            if !is {
                good = false;
                nothing_left(key, version, at, (minimum, head), context);
            }
        }
    }
    doubts(typed, &tls, context);
    good.then_some(tls)
}

fn first<T>(list: Option<&[At<T>]>) -> Option<Span> {
    let list = list?;
    let (first, last) = (list.first()?, list.last()?);
    Some(first.span.start..last.span.end)
}

fn nothing_left(
    key: &str,
    version: TlsVersion,
    at: Option<Span>,
    (minimum, head): (Option<&At<TlsVersion>>, &Span),
    context: Context<'_>,
) {
    let version = version.as_str();
    let message = format!("`{key}` leave nothing for TLS {version}, which is allowed");
    let at = at.or(minimum.map(|minimum| minimum.span.clone()));
    let fault = Diagnostic::error("nothing-in-common", at.unwrap_or(head.clone()), message);
    context.sink.push(match version {
        "1.2" => fault.hint(format!(
            "add one for it to `{key}`, or write `minimum_version = \"1.3\"`"
        )),
        _ => fault.hint(format!(
            "TLS 1.3 is always spoken; add one for it to `{key}`"
        )),
    });
}

fn doubts(typed: &Overlay, tls: &Tls, context: Context<'_>) {
    let warn = |span: &Span, code, message: &str, hint: &str| {
        let doubt = Diagnostic::warning(code, span.clone(), message);
        context.sink.push(doubt.hint(hint));
    };
    let policy = &tls.policy;
    if let Some(Some(suites)) = &typed.cipher_suites {
        let unused = suites
            .iter()
            .find(|suite| suite.value.version() < policy.minimum_version);
        if let Some(unused) = unused {
            let message = format!("`{}` is for TLS 1.2, which is refused", unused.value.name());
            let hint = "leave it out, or write `minimum_version = \"1.2\"`";
            warn(&unused.span, "no-effect", &message, hint);
        }
    }
    if let Some(Some(groups)) = &typed.groups
        && let Some(span) = first(Some(groups))
        && !policy
            .groups
            .iter()
            .any(|group| group.version() == TlsVersion::V13)
    {
        let message = "none of the `groups` withstands a quantum computer: what is recorded today may be read one day";
        let hint = "add \"X25519MLKEM768\", which current browsers prefer";
        warn(&span, "weak-tls", message, hint);
    }
    if let Some(Some(At {
        value: Some(hsts),
        span,
    })) = &typed.hsts
        && hsts.preload
        && !(hsts.include_subdomains && hsts.max_age >= PRELOADED)
    {
        let message = "no list of hosts that are built into browsers takes this `preload`";
        let hint = "they ask for `max_age` of at least 365d and for `include_subdomains`, of the site `example.org` itself";
        warn(span, "weak-hsts", message, hint);
    }
    if let Some(Some(rotation)) = &typed.ticket_rotation
        && rotation.value > LONG_ROTATION
    {
        let message =
            "whoever gets hold of a ticket's key reads the sessions of more than three days";
        let hint = "rotate at least daily";
        warn(&rotation.span, "weak-tls", message, hint);
    }
}
