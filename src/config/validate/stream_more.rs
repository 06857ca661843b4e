//! What a stream does beside passing bytes on: what goes with what, and that what it names can be.
//!
//! Single values are known to be sound by now. A key without effect is warned of, one that would not do what it says refused.

use std::sync::Arc;

use super::tls;
use super::upstream::Names;
use crate::config::action::Strangers;
use crate::config::diagnostic::Diagnostic;
use crate::config::limit::RouteLimits;
use crate::config::schema::reader::{At, Context};
use crate::config::schema::stream::Stream as Typed;
use crate::config::source::Span;
use crate::config::stream::{StreamAction, StreamMore, StreamTls};
use crate::config::text::Text;
use crate::config::tls::Tls;

/// What becomes of the connections: one of the two keys.
pub(super) fn action(
    typed: &Typed,
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> Option<StreamAction> {
    let (upstream, respond) = (typed.upstream.as_ref()?, typed.respond.as_ref()?);
    match (upstream, respond) {
        (Some(name), None) if name.value.contains('$') => {
            names.use_all();
            match Text::parse_line(&name.value, context.own) {
                Ok(text) => Some(StreamAction::Choose(text, strangers(typed)?)),
                Err(error) => {
                    let fault = Diagnostic::error("bad-text", name.span.clone(), error.to_string());
                    let fault = fault.did_you_mean(error.nearest().as_deref());
                    context.sink.refuse(fault)
                }
            }
        }
        (Some(name), None) => {
            let found = names.find(name, "the stream", relations);
            found.map(StreamAction::Forward)
        }
        (None, Some(text)) => Some(StreamAction::Respond(text.value.clone())),
        (Some(name), Some(text)) => {
            let message = "the stream is answered in two ways";
            let fault = Diagnostic::error("several-answers", text.span.clone(), message);
            let fault = fault.related(name.span.clone(), "the other one is");
            context
                .sink
                .refuse(fault.hint("keep one of `upstream` and `respond`"))
        }
        (None, None) => {
            let message = "a `[[stream]]` has no `upstream`";
            let fault = Diagnostic::error("missing-key", typed.span.clone(), message);
            let fault = fault.label("needs `upstream` or `respond`");
            context.sink.refuse(fault.hint("add `upstream = \"hub\"`"))
        }
    }
}

/// Who else is meant by a text.
fn strangers(typed: &Typed) -> Option<Strangers> {
    Some(match &*typed.strangers.as_ref()?.value {
        "addresses" => Strangers::Addresses,
        "names" => Strangers::Names,
        _ => Strangers::None,
    })
}

/// All the rest; `Some(None)` where nothing of it is asked for.
pub(super) fn check(
    typed: &Typed,
    inherited: &Arc<Tls>,
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> Option<Option<Box<StreamMore>>> {
    let sound = agrees(typed, context) & is_secured(typed, names, relations);
    let tls = ended(typed, inherited, context, relations);
    let limits = limits(typed, context);
    let more = StreamMore {
        access: typed.access.as_ref()?.iter().map(value).collect(),
        limits: limits?,
        upload: typed.upload.as_ref()?.as_ref().map(value),
        download: typed.download.as_ref()?.as_ref().map(value),
        tls: tls?,
        tls_to_upstream: typed.tls_to_upstream.as_ref()?.value,
        bind: typed.bind.as_ref()?.as_ref().map(value),
        blind: !typed.preread.as_ref()?.value,
        set: typed.set.as_ref()?.clone().unwrap_or_default(),
        tries: Some(typed.tries.as_ref()?.value).filter(|most| *most > 0),
        tries_time: Some(typed.tries_time.as_ref()?.value).filter(|time| !time.is_zero()),
        ends_with_endpoint: !typed.half_close.as_ref()?.value,
    };
    let asks = more != StreamMore::default();
    sound.then(|| asks.then(|| Box::new(more)))
}

fn value<T: Clone>(at: &At<T>) -> T {
    at.value.clone()
}

fn span<T>(read: Option<&Option<At<T>>>) -> Option<&Span> {
    read?.as_ref().map(|at| &at.span)
}

/// Refuses what UDP and SNI cannot go with.
fn agrees(typed: &Typed, context: Context<'_>) -> bool {
    let is_udp = typed.udp.as_ref().is_some_and(|udp| udp.value);
    let by_name = typed.sni.as_ref().is_some_and(|sni| !sni.is_empty());
    let secured = typed.tls_to_upstream.as_ref().filter(|at| at.value);
    let certificate = span(typed.certificate.as_ref());
    let strangers = typed.strangers.as_ref().filter(|at| at.value != "none");
    let foreign = [
        (
            is_udp,
            strangers.map(|at| &at.span),
            "`strangers`",
            "`protocol = \"udp\"`",
        ),
        (is_udp, certificate, "`certificate`", "`protocol = \"udp\"`"),
        (
            is_udp,
            secured.map(|at| &at.span),
            "`tls_to_upstream`",
            "`protocol = \"udp\"`",
        ),
        (
            is_udp,
            span(typed.upload.as_ref()),
            "`upload_rate`",
            "`protocol = \"udp\"`",
        ),
        (
            is_udp,
            span(typed.download.as_ref()),
            "`download_rate`",
            "`protocol = \"udp\"`",
        ),
        (by_name, certificate, "`certificate`", "`sni`"),
    ];
    let mut sound = true;
    for (_, span, what, with) in foreign.into_iter().filter(|(is, ..)| *is) {
        if let Some(span) = span {
            let message = format!("{what} does not go with {with}");
            let fault = Diagnostic::error("stream-protocol", span.clone(), message);
            context.sink.push(fault);
            sound = false;
        }
    }
    sound
}

/// Refuses TLS to an upstream that says nothing of whom to trust.
fn is_secured(typed: &Typed, names: &Names, relations: Context<'_>) -> bool {
    let asked = typed.tls_to_upstream.as_ref().filter(|at| at.value);
    let upstream = typed.upstream.as_ref().and_then(Option::as_ref);
    let plain = upstream.filter(|name| !name.value.contains('$') && names.is_plain(&name.value));
    let (Some(asked), Some(name)) = (asked, plain) else {
        return true;
    };
    let message = format!("upstream `{}` has no `tls`", name.value);
    let fault = Diagnostic::error("stream-tls", asked.span.clone(), message);
    let hint = "write `tls = true` there, or a table that says whom to trust";
    relations.sink.push(fault.hint(hint));
    false
}

/// The TLS that is ended here, if it is.
fn ended(
    typed: &Typed,
    inherited: &Arc<Tls>,
    context: Context<'_>,
    relations: Context<'_>,
) -> Option<Option<StreamTls>> {
    let overlay = typed.tls.as_ref()?;
    let policy = tls::check(overlay, inherited, relations)?;
    let alpn = typed.alpn.as_ref()?;
    let Some(certificate) = typed.certificate.as_ref()? else {
        let first = alpn.first().map(|at| &at.span);
        for (key, span) in [("alpn", first), ("tls", overlay.span.as_ref())] {
            if let Some(span) = span {
                let message = format!("`{key}` means nothing without `certificate`");
                let doubt = Diagnostic::warning("no-effect", span.clone(), message);
                context.sink.push(doubt);
            }
        }
        return Some(None);
    };
    for name in alpn {
        if name.value.is_empty() || name.value.len() > 255 {
            let message = "a protocol's name has 1 to 255 bytes";
            let fault = Diagnostic::error("bad-name", name.span.clone(), message);
            return context.sink.refuse(fault);
        }
    }
    Some(Some(StreamTls {
        pairs: certificate.value.clone(),
        policy: policy.policy.clone(),
        alpn: alpn.iter().map(|at| at.value.as_str().into()).collect(),
    }))
}

fn limits(typed: &Typed, context: Context<'_>) -> Option<Option<Arc<RouteLimits>>> {
    let Some(limits) = typed.limits.as_ref()? else {
        return Some(None);
    };
    if limits.value.rates.is_empty() && limits.value.bandwidth.is_none() {
        let asks = !limits.value.is_empty();
        return Some(asks.then(|| limits.value.clone()));
    }
    let at = limits.rates.first().map(|at| &at.span);
    let message = "`limits` of a stream counts connections at once only";
    let fault = Diagnostic::error("stream-limits", at.unwrap_or(&typed.span).clone(), message);
    let hint = "bytes in a second are bounded by `upload_rate` and `download_rate`";
    context.sink.refuse(fault.hint(hint))
}
