//! One route: its pattern, its upstream, and what its preset stands for.
//!
//! Takes the route as typed and gives the checked one; that no two routes of a site are the same is `site`'s job.

use super::upstream::Names;
use crate::config::action::RouteAction;
use crate::config::diagnostic::Diagnostic;
use crate::config::model::{AccessLog, Preset, Route, RouteTimeouts};
use crate::config::preset;
use crate::config::schema::reader::{At, Context};
use crate::config::schema::route::Route as Typed;
use crate::types::path::PathPattern;

/// Checks one route; gives its pattern with its place, for the search for doubles.
pub(super) fn check(
    typed: Typed,
    inherited: &AccessLog,
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> (Option<At<PathPattern>>, Option<Route>) {
    let pattern = pattern(&typed, context);
    let who = match &pattern {
        Some(pattern) => format!("route `{}`", pattern.value.as_str()),
        None => typed.name.clone(),
    };
    let action = action(&typed, &who, names, context, relations);
    let rewrite = rewrite(&typed, pattern.as_ref(), context);
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
    let route = (|| {
        let values = preset::values(preset?);
        let timeouts = values.timeouts;
        Some(Route {
            path: pattern.as_ref()?.value.clone(),
            action: action?,
            preset: preset?,
            rewrite_prefix: rewrite?.map(|rewrite| rewrite.value.into()),
            body_limit: typed
                .body_limit?
                .map_or(values.body_limit, |limit| limit.value),
            timeouts: RouteTimeouts {
                connect: typed.connect?.map_or(timeouts.connect, |at| at.value),
                tls: typed.tls?.map_or(timeouts.tls, |at| at.value),
                response: typed.response?.map_or(timeouts.response, |at| at.value),
                idle: typed.idle?.map_or(timeouts.idle, |at| at.value),
                tunnel_handshake: typed
                    .tunnel_handshake?
                    .map_or(timeouts.tunnel_handshake, |at| at.value),
                tunnel_idle: typed
                    .tunnel_idle?
                    .map_or(timeouts.tunnel_idle, |at| at.value),
                total: typed.total?.map(|at| at.value),
            },
            access_log: typed.access_log?.over(inherited),
        })
    })();
    (pattern, route)
}

/// What answers: one of the three keys.
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
    // A route whose upstream has a fault of its own must not be told that two things answer.
    let found = upstream.map(|name| names.find(name, who, relations).map(RouteAction::Forward));
    let own = [
        respond.map(|at| (RouteAction::Respond(at.value.clone()), &at.span)),
        redirect.map(|at| (RouteAction::Redirect(at.value.clone()), &at.span)),
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
            .label("needs `upstream`, `respond` or `redirect`")
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
                .hint("keep one of `upstream`, `respond` and `redirect`"),
            )
        }
    }
}

fn pattern(typed: &Typed, context: Context<'_>) -> Option<At<PathPattern>> {
    let (text, make): (_, fn(Box<str>) -> PathPattern) =
        match (typed.path.as_ref()?, typed.exact.as_ref()?) {
            (Some(path), None) => (path, PathPattern::Prefix),
            (None, Some(exact)) => (exact, PathPattern::Exact),
            (Some(path), Some(exact)) => {
                return context.sink.refuse(
                    Diagnostic::error(
                        "path-and-exact",
                        exact.span.clone(),
                        format!("{} has both `path` and `exact`", typed.name),
                    )
                    .related(path.span.clone(), "`path` is")
                    .hint("make two routes of it"),
                );
            }
            (None, None) => {
                return context.sink.refuse(
                    Diagnostic::error(
                        "missing-key",
                        typed.span.clone(),
                        format!("{} has neither `path` nor `exact`", typed.name),
                    )
                    .label("needs one of them")
                    .hint("for everything write `path = \"/\"`"),
                );
            }
        };
    check_path(text, context)?;
    Some(At {
        value: make(text.value.as_str().into()),
        span: text.span.clone(),
    })
}

fn rewrite(
    typed: &Typed,
    pattern: Option<&At<PathPattern>>,
    context: Context<'_>,
) -> Option<Option<At<String>>> {
    let Some(rewrite) = typed.rewrite_prefix.as_ref()? else {
        return Some(None);
    };
    check_path(rewrite, context)?;
    match pattern.map(|pattern| &pattern.value) {
        Some(PathPattern::Exact(_)) => context.sink.refuse(
            Diagnostic::error(
                "rewrite-without-prefix",
                rewrite.span.clone(),
                "`rewrite_prefix` needs `path`, but the route has `exact`",
            )
            .hint("a prefix is what gets replaced"),
        ),
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
