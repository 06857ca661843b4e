//! That limits of sites and routes name what is there to count by.
//!
//! Takes them as typed; a table that could not be read is told of by itself.

use std::collections::BTreeMap;

use crate::config::diagnostic::Diagnostic;
use crate::config::schema::limit::Limits;
use crate::config::schema::reader::{At, Context};
use crate::config::schema::route::Route;
use crate::config::schema::site::Sites;
use crate::config::schema::stream::Stream;
use crate::config::suggest::nearest;
use crate::types::pause::pause;

/// Tables under `[rate.NAME]` or `[concurrency.NAME]`, by their names.
pub(super) type Zones<T> = BTreeMap<Box<str>, T>;

/// Notes names that nothing has.
pub(super) fn check_names<R, C>(
    (sites, streams): (&Option<Sites>, &Option<Vec<Stream>>),
    rates: &Option<Zones<R>>,
    concurrency: &Option<Zones<C>>,
    context: Context<'_>,
) {
    let of_streams = streams.iter().flatten().map(|stream| &stream.limits);
    let mut limits: Vec<_> = of_streams.collect();
    for site in sites.iter().flatten() {
        pause();
        limits.push(&site.limits);
        of_routes(&site.routes, &mut limits);
    }
    for Limits {
        rates: used,
        concurrency: at_once,
        ..
    } in limits.into_iter().flatten().flatten()
    {
        pause();
        find("rate", used, rates, context);
        find("concurrency", at_once, concurrency, context);
    }
}

/// Those of routes, and of routes within them.
fn of_routes<'a>(routes: &'a Option<Vec<Route>>, limits: &mut Vec<&'a Option<Option<Limits>>>) {
    for route in routes.iter().flatten() {
        limits.push(&route.limits);
        of_routes(&route.routes, limits);
    }
}

/// Zones that could not be read are told of by themselves.
fn find<T>(table: &str, used: &[At<String>], zones: &Option<Zones<T>>, context: Context<'_>) {
    let Some(zones) = zones else {
        return;
    };
    for name in used.iter().filter(|name| !zones.contains_key(&*name.value)) {
        let wanted = &name.value;
        let message = format!("`limits` names `[{table}.{wanted}]`, which is not defined");
        let near = nearest(wanted, zones.keys().map(|name| &**name));
        let code = if table == "rate" {
            "unknown-rate"
        } else {
            "unknown-concurrency"
        };
        let fault = Diagnostic::error(code, name.span.clone(), message);
        context.sink.push(match near {
            Some(near) => fault.did_you_mean(Some(near)),
            None => fault.hint(format!("add `[{table}.{}]`", super::key_text(wanted))),
        });
    }
}
