//! One route: its pattern, its upstream, and what its preset stands for.
//!
//! Takes the route as typed and gives the checked one; that no two routes of a site are the same is `site`'s job.

use std::sync::Arc;

use super::upstream::Names;
use crate::config::access::Access;
use crate::config::access_log::AccessLog;
use crate::config::action::{RouteAction, Strangers};
use crate::config::bodies::Bodies;
use crate::config::client_terms::ClientTerms;
use crate::config::diagnostic::Diagnostic;
use crate::config::limit::RouteLimits;
use crate::config::model::{Paths, Preset, Route, RouteTimeouts};
use crate::config::preset;
use crate::config::referers::Referers;
use crate::config::schema::heads::{RouteHeads, SiteHeads};
use crate::config::schema::reader::{At, Context};
pub(super) use crate::config::schema::route::Route as Typed;
use crate::config::text::Text;
use crate::types::path::PathPattern;
use crate::types::pattern::Pattern;

/// What a route has of what is around it where it says nothing.
#[derive(Clone, Copy)]
pub(super) struct Inherited<'a> {
    pub(super) access_log: &'a Arc<AccessLog>,
    pub(super) access: Option<&'a Arc<Access>>,
    pub(super) client: Option<&'a Arc<ClientTerms>>,
    /// What clients get where nothing is said of it.
    pub(super) usual: &'a ClientTerms,
    pub(super) limits: Option<&'a Arc<RouteLimits>>,
    pub(super) paths: Paths,
    pub(super) heads: &'a SiteHeads,
    pub(super) bodies: &'a Bodies,
    pub(super) referers: Option<&'a Arc<Referers>>,
}

/// Checks one route; gives its pattern with its place, for the search for doubles.
pub(super) fn check(
    typed: Typed,
    inherited: Inherited<'_>,
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> (Option<At<PathPattern>>, Option<Route>) {
    let (paths, heads) = (inherited.paths, inherited.heads);
    let pattern = pattern(&typed, paths, context);
    let who = match &pattern {
        Some(pattern) => format!("route `{}`", pattern.value.as_str()),
        None => typed.name.clone(),
    };
    check_final(&typed, pattern.as_ref(), context);
    let action = action(&typed, &who, names, context, relations);
    let rewrite = rewrite(&typed, pattern.as_ref(), paths, context);
    let preset = typed
        .preset
        .as_ref()
        .map(|word| word.as_ref().and_then(|word| Preset::parse(&word.value)));
    if let (Some(Some(Preset::JupyterHub)), Some(upstream)) =
        (preset, typed.upstream.as_ref().and_then(Option::as_ref))
    {
        names.is_jupyterhub(upstream);
    }
    if let (Some(Some(_)), Some(Some(rewrite))) = (preset, &rewrite) {
        context.sink.push(
            Diagnostic::warning("rewrite-with-preset", rewrite.span.clone(), "the path is rewritten in front of a hub")
                .hint("cookies and links of JupyterHub and BinderHub carry their `base_url`: it must equal the public prefix, so nothing may be rewritten"),
        );
    }
    if let (Some(heads), Some(action)) = (&typed.heads, &action) {
        check_target(heads, rewrite.as_ref(), action, context);
    }
    let route = (|| {
        let heads = typed.heads?.under(heads);
        let values = preset::values(preset?);
        let timeouts = values.timeouts;
        Some(Route {
            path: pattern.as_ref()?.value.clone(),
            outer: None,
            is_final: typed.is_final?.value,
            internal: typed.internal?.value,
            action: action?,
            detours: typed.detours?,
            preset: preset?,
            rewrite_prefix: rewrite?.map(|rewrite| rewrite.value.into()),
            request: heads.request,
            response: heads.response,
            bodies: typed.bodies?.over(inherited.bodies),
            referers: typed.referers?.or_else(|| inherited.referers.cloned()),
            client_address: typed.client_address?,
            mirror: typed.mirror?,
            body_limit: typed
                .body_limit?
                .map_or(values.body_limit, |limit| limit.value),
            timeouts: RouteTimeouts {
                connect: typed.connect?.map_or(timeouts.connect, |at| at.value),
                tls: typed.tls?.map_or(timeouts.tls, |at| at.value),
                response: typed.response?.map_or(timeouts.response, |at| at.value),
                idle: typed.idle?.map_or(timeouts.idle, |at| at.value),
                send: typed.send?.map(|at| at.value),
                tunnel_handshake: typed
                    .tunnel_handshake?
                    .map_or(timeouts.tunnel_handshake, |at| at.value),
                tunnel_idle: typed
                    .tunnel_idle?
                    .map_or(timeouts.tunnel_idle, |at| at.value),
                total: typed.total?.map(|at| at.value),
            },
            client: match typed.client? {
                Some(own) => Some(own.over(inherited.client.map_or(inherited.usual, |own| own))),
                None => inherited.client.cloned(),
            },
            limits: match typed.limits? {
                Some(own) => Some(own.value),
                None => inherited.limits.cloned(),
            },
            access: typed.access?.or_else(|| inherited.access.cloned()),
            access_log: typed.access_log?.over(inherited.access_log),
        })
    })();
    (pattern, route)
}

/// What answers: one of the five keys.
fn action(
    typed: &Typed,
    who: &str,
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> Option<RouteAction> {
    let upstream = typed.upstream.as_ref()?.as_ref();
    let respond = typed.respond.as_ref()?.as_ref();
    let redirect = typed.redirect.as_ref()?.as_ref();
    let files = typed.files.as_ref()?.as_ref();
    let answer = typed.answer.as_ref()?.as_ref();
    let strangers = match &*typed.strangers.as_ref()?.value {
        "addresses" => Strangers::Addresses,
        "names" => Strangers::Names,
        _ => Strangers::None,
    };
    // A route whose upstream has a fault of its own must not be told that two things answer.
    let found = upstream.map(|name| match name.value.contains('$') {
        true => chosen(name, strangers, names, context),
        false => names.find(name, who, relations).map(RouteAction::Forward),
    });
    let own = [
        respond.map(|at| (RouteAction::Respond(at.value.clone()), &at.span)),
        redirect.map(|at| (RouteAction::Redirect(at.value.clone()), &at.span)),
        files.map(|at| (RouteAction::Files(Box::new(at.value.clone())), &at.span)),
        answer.map(|at| (RouteAction::Own(at.value), &at.span)),
    ];
    let mut own = own.into_iter().flatten();
    match (found, own.next(), own.next()) {
        (Some(found), None, _) => found,
        (None, Some((action, _)), None) => Some(action),
        (None, None, _) => context.sink.refuse(
            Diagnostic::error(
                "missing-key",
                typed.span.clone(),
                format!("{} has no `upstream`", typed.name),
            )
            .label("needs `upstream`, `respond`, `redirect`, `files` or `answer`")
            .hint("add `upstream = \"hub\"`"),
        ),
        (_, Some((_, first)), second) => {
            let at = second.map_or(first, |(_, span)| span);
            let other = upstream.map_or(first, |name| &name.span);
            context.sink.refuse(
                Diagnostic::error(
                    "several-answers",
                    at.clone(),
                    format!("{who} is answered in two ways"),
                )
                .related(other.clone(), "the other one is")
                .hint("keep one of `upstream`, `respond`, `redirect`, `files` and `answer`"),
            )
        }
    }
}

/// An upstream that is named for each request: any of them may be.
fn chosen(
    name: &At<String>,
    strangers: Strangers,
    names: &Names,
    context: Context<'_>,
) -> Option<RouteAction> {
    names.use_all();
    match Text::parse_line(&name.value, context.own) {
        Ok(text) => Some(RouteAction::Choose(text, strangers)),
        Err(error) => {
            let fault = Diagnostic::error("bad-text", name.span.clone(), error.to_string());
            context
                .sink
                .refuse(fault.did_you_mean(error.nearest().as_deref()))
        }
    }
}

/// That a `target` is of use.
fn check_target(
    heads: &RouteHeads,
    rewrite: Option<&Option<At<String>>>,
    action: &RouteAction,
    context: Context<'_>,
) {
    let Some(target) = heads.target_at.clone() else {
        return;
    };
    if let Some(Some(rewrite)) = rewrite {
        let message =
            "`target` says all of what is asked for: nothing is left for `rewrite_prefix`";
        let fault = Diagnostic::error("target-and-rewrite", target, message);
        let fault = fault.related(rewrite.span.clone(), "`rewrite_prefix` is");
        context.sink.push(fault.hint("keep one of them"));
    } else if !action.forwards() {
        let message = "`target` needs an `upstream` that is asked";
        let fault = Diagnostic::error("target-without-upstream", target, message);
        context.sink.push(fault);
    }
}

/// Which paths: one of the five keys.
fn pattern(typed: &Typed, paths: Paths, context: Context<'_>) -> Option<At<PathPattern>> {
    let (exact, path, begins) = (&typed.exact, &typed.path, &typed.begins);
    let (regex, named) = (&typed.regex, &typed.named);
    let mut written = Vec::new();
    for (key, text) in [
        ("path", path),
        ("exact", exact),
        ("begins", begins),
        ("regex", regex),
        ("name", named),
    ] {
        written.extend(text.as_ref()?.as_ref().map(|text| (key, text)));
    }
    let (key, text) = match &*written {
        [only] => *only,
        [] => {
            return context.sink.refuse(
                Diagnostic::error(
                    "missing-key",
                    typed.span.clone(),
                    format!("{} has neither `path` nor `exact`", typed.name),
                )
                .label("needs one of them, or `begins`, `regex` or `name`")
                .hint("for everything write `path = \"/\"`"),
            );
        }
        [(first, at), (second, again), ..] => {
            return context.sink.refuse(
                Diagnostic::error(
                    "path-and-exact",
                    again.span.clone(),
                    format!("{} has both `{first}` and `{second}`", typed.name),
                )
                .related(at.span.clone(), format!("`{first}` is"))
                .hint("make two routes of it"),
            );
        }
    };
    let own = || text.value.as_str().into();
    let value = match key {
        "regex" => PathPattern::Regex(Box::new(regex_of(text, context)?)),
        "name" => {
            check_name(text, context)?;
            PathPattern::Named(own())
        }
        _ => {
            match paths {
                Paths::Raw => check_path(text, context)?,
                Paths::Normal { .. } => check_normal(text, context)?,
            }
            match key {
                "path" => PathPattern::Prefix(own()),
                "exact" => PathPattern::Exact(own()),
                _ => PathPattern::Begins(own()),
            }
        }
    };
    let span = text.span.clone();
    Some(At { value, span })
}

fn regex_of(text: &At<String>, context: Context<'_>) -> Option<Pattern> {
    Pattern::new(&text.value, false).map_or_else(
        |reason| {
            // What the engines say has several lines, the first of which shows the regex again.
            let reason = reason.lines().last().unwrap_or_default().trim().to_owned();
            let message = format!("`{}` is no regex", text.value);
            let fault = Diagnostic::error("bad-regex", text.span.clone(), message);
            context.sink.refuse(fault.label(reason))
        },
        Some,
    )
}

fn check_name(text: &At<String>, context: Context<'_>) -> Option<()> {
    let odd = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !text.value.is_empty() && !text.value.contains(odd) {
        return Some(());
    }
    let message = format!("`{}` is no name for a route", text.value);
    let fault = Diagnostic::error("bad-name", text.span.clone(), message);
    context
        .sink
        .refuse(fault.hint("letters, digits, `-`, `_` and `.`, without the `@`"))
}

/// `final` is of the longest prefix.
fn check_final(typed: &Typed, pattern: Option<&At<PathPattern>>, context: Context<'_>) {
    let prefix =
        |at: &At<PathPattern>| matches!(at.value, PathPattern::Prefix(_) | PathPattern::Begins(_));
    if let (Some(is_final), Some(pattern)) = (&typed.is_final, pattern)
        && is_final.value
        && !prefix(pattern)
    {
        let message = "`final` has no effect: it is of `path` and `begins`";
        let doubt = Diagnostic::warning("no-effect", is_final.span.clone(), message);
        context.sink.push(doubt);
    }
}

/// A route within another is reached only by paths that begin as that one's does.
pub(super) fn check_outer(pattern: &At<PathPattern>, outer: &str, context: Context<'_>) {
    if let Some(path) = pattern.value.path()
        && !path.starts_with(outer)
    {
        let message = format!("route `{path}` is never reached: it is within `{outer}`");
        let fault = Diagnostic::error("route-outside", pattern.span.clone(), message);
        context.sink.push(fault);
    }
}

fn rewrite(
    typed: &Typed,
    pattern: Option<&At<PathPattern>>,
    paths: Paths,
    context: Context<'_>,
) -> Option<Option<At<String>>> {
    let Some(rewrite) = typed.rewrite_prefix.as_ref()? else {
        return Some(None);
    };
    match paths {
        Paths::Raw => check_path(rewrite, context)?,
        Paths::Normal { .. } => check_normal(rewrite, context)?,
    }
    let without = |key: &str| {
        let message = format!("`rewrite_prefix` needs `path`, but the route has `{key}`");
        let fault = Diagnostic::error("rewrite-without-prefix", rewrite.span.clone(), message);
        context
            .sink
            .refuse(fault.hint("a prefix is what gets replaced"))
    };
    match pattern.map(|pattern| &pattern.value) {
        // As nginx replaces an exact one.
        Some(PathPattern::Exact(_)) if paths != Paths::Raw => Some(Some(rewrite.clone())),
        Some(PathPattern::Exact(_)) => without("exact"),
        Some(PathPattern::Regex(_)) => without("regex"),
        // That of the route around it, which there has to be.
        Some(PathPattern::Named(_)) if paths != Paths::Raw => Some(Some(rewrite.clone())),
        Some(PathPattern::Named(_)) => without("name"),
        Some(PathPattern::Prefix(prefix))
            if prefix.ends_with('/') != rewrite.value.ends_with('/') =>
        {
            let (prefix, new) = (prefix.as_ref(), rewrite.value.as_str());
            let after = prefix.trim_end_matches('/');
            context.sink.push(
                Diagnostic::warning(
                    "rewrite-slash",
                    rewrite.span.clone(),
                    format!("`{prefix}` and `{new}` do not end alike"),
                )
                .hint(format!(
                    "`{after}/x` becomes `{}`",
                    format_args!("{new}{}", &format!("{after}/x")[prefix.len()..])
                )),
            );
            Some(Some(rewrite.clone()))
        }
        _ => Some(Some(rewrite.clone())),
    }
}

/// A path as it is matched once it is decoded.
fn check_normal(path: &At<String>, context: Context<'_>) -> Option<()> {
    let text = &path.value;
    if text.starts_with('/') && !text.contains('\0') {
        return Some(());
    }
    let message = format!("path `{text}` does not begin with `/`");
    context
        .sink
        .refuse(Diagnostic::error("bad-path", path.span.clone(), message))
}

/// A path that a request target can begin with: a slash, then what RFC 3986 section 3.3 allows, no dot segments.
fn check_path(path: &At<String>, context: Context<'_>) -> Option<()> {
    let text = &path.value;
    let fault = |message: String| Diagnostic::error("bad-path", path.span.clone(), message);
    if !text.starts_with('/') {
        let fault = fault(format!("path `{text}` does not begin with `/`"));
        return context.sink.refuse(match text.contains("://") {
            true => fault.hint("a route's path has no scheme and no host"),
            false => fault.hint(format!("did you mean `/{text}`?")),
        });
    }
    if let Some(found) = text.chars().find(|c| matches!(c, '?' | '#')) {
        return context.sink.refuse(fault(format!(
            "path `{text}` has a `{found}`; only the part before it is matched"
        )));
    }
    if let Some(found) = text
        .chars()
        .find(|c| !c.is_ascii_graphic() || "\"<>\\^`{|}*".contains(*c))
    {
        let fault = fault(format!(
            "path `{text}` has `{found}`, which no request target has"
        ));
        return context.sink.refuse(match found {
            '*' | '^' => {
                fault.hint("paths are not patterns: write the beginning, as in `path = \"/hub/\"`")
            }
            found => {
                let mut bytes = [0; 4];
                let encoded: String = found
                    .encode_utf8(&mut bytes)
                    .bytes()
                    .map(|b| format!("%{b:02X}"))
                    .collect();
                fault.hint(format!(
                    "browsers send it as `{encoded}`; targets are matched as they are sent"
                ))
            }
        });
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return context.sink.refuse(fault(format!(
            "path `{text}` has a `.` or `..` segment, which browsers resolve before they ask"
        )));
    }
    Some(())
}
