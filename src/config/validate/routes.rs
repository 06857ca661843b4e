//! The routes of a site with those within them, in one list: each right after the one it is within.
//!
//! What a single route means is `route`'s business.

use std::sync::Arc;

use super::upstream::Names;
use super::{each_once, route};
use crate::config::diagnostic::Diagnostic;
use crate::config::model::Route;
use crate::config::schema::reader::{At, Context};
use crate::types::path::PathPattern;

/// Checks the routes of a site, and that each is there once.
pub(super) fn check_all(
    typed: Option<Vec<route::Typed>>,
    inherited: Option<route::Inherited<'_>>,
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) -> Option<Vec<Arc<Route>>> {
    let mut all = Vec::new();
    let around = Around {
        inherited: inherited?,
        outer: None,
    };
    within(typed?, around, &mut all, names, context, relations);
    each_once(
        all.iter().filter_map(|one| one.key.as_ref()),
        relations.sink,
        |again, _| {
            let message = format!("route `{}` is there twice", again.value.1);
            Diagnostic::error("duplicate-route", again.span.clone(), message)
                .hint("several endpoints of one route go into one upstream")
        },
    );
    all.into_iter().map(|one| one.route.map(Arc::new)).collect()
}

/// A route that was looked at.
struct Seen {
    /// Its pattern, with the route around it: together they are there once.
    key: Option<At<(Option<usize>, PathPattern)>>,
    route: Option<Route>,
}

/// Regexes may be there twice; a name belongs to the whole site.
fn key(at: At<PathPattern>, outer: Option<usize>) -> Option<At<(Option<usize>, PathPattern)>> {
    let within = match &at.value {
        PathPattern::Regex(_) => return None,
        PathPattern::Named(_) => None,
        _ => outer,
    };
    let (value, span) = ((within, at.value), at.span);
    Some(At { value, span })
}

/// What is around routes.
#[derive(Clone, Copy)]
struct Around<'a> {
    inherited: route::Inherited<'a>,
    /// Its index and its path.
    outer: Option<(usize, Option<&'a str>)>,
}

/// Checks routes and those within them, in the order of the file.
fn within(
    typed: Vec<route::Typed>,
    around: Around<'_>,
    all: &mut Vec<Seen>,
    names: &Names,
    context: Context<'_>,
    relations: Context<'_>,
) {
    for mut typed in typed {
        let inner = typed.routes.take();
        let outer = around.outer.map(|(index, _)| index);
        let (pattern, mut route) = route::check(typed, around.inherited, names, context, relations);
        if let Some(route) = &mut route {
            route.outer = outer;
        }
        if let (Some(pattern), Some((_, Some(path)))) = (&pattern, around.outer) {
            route::check_outer(pattern, path, relations);
        }
        let replaces = route
            .as_ref()
            .is_some_and(|route| route.rewrite_prefix.is_some());
        if let Some(pattern) = pattern.as_ref().filter(|_| replaces)
            && matches!(pattern.value, PathPattern::Named(_))
            && !matches!(around.outer, Some((_, Some(_))))
        {
            let message = "`rewrite_prefix` of a route with a `name` replaces the path of the route around it, and there is none";
            let span = pattern.span.clone();
            relations
                .sink
                .push(Diagnostic::error("rewrite-without-prefix", span, message));
        }
        let path = pattern.as_ref().and_then(|at| at.value.path());
        let path = path.map(str::to_owned);
        let index = all.len();
        let own = route.as_ref().map(|route| {
            let (access, limits) = (route.access.clone(), route.limits.clone());
            {
                let more = (route.bodies.clone(), route.referers.clone());
                let client = route.client.clone();
                (route.access_log.clone(), access, (limits, client), more)
            }
        });
        all.push(Seen {
            key: pattern.and_then(|at| key(at, outer)),
            route,
        });
        let around = Around {
            inherited: match &own {
                None => around.inherited,
                Some((access_log, access, (limits, client), (bodies, referers))) => {
                    route::Inherited {
                        access_log,
                        access: access.as_ref(),
                        limits: limits.as_ref(),
                        client: client.as_ref(),
                        bodies,
                        referers: referers.as_ref(),
                        ..around.inherited
                    }
                }
            },
            outer: Some((index, path.as_deref())),
        };
        within(
            inner.unwrap_or_default(),
            around,
            all,
            names,
            context,
            relations,
        );
    }
}
