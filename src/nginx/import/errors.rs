//! `error_page` and `proxy_intercept_errors` as `errors` and `own_errors`.
//!
//! A route's list is whole: what nginx inherits is found here, and nothing of it is left to the site.

use super::Import;
use super::draft::{self, Draft};
use super::rules;
use crate::nginx::model::Scope;
use crate::nginx::tree::{Directive, Word};

/// Sets both for what counts in `scope`, of a route or of a site.
pub(super) fn set<'t>(import: &mut Import<'t>, scope: &Scope<'t>, table: &mut Draft) {
    let all = scope.all("error_page");
    let mut tables = Vec::new();
    for own in &all {
        match rule(import, scope, own) {
            Ok(rule) => {
                import.ledger.carried(own, becomes(own));
                tables.push(rule);
            }
            Err(what) => import.ledger.lost(own, what),
        }
    }
    if let (Some(first), false) = (all.first(), tables.is_empty()) {
        table.set("errors", format!("[{}]", tables.join(", ")), Some(first));
        if let Some(own) = scope.one("recursive_error_pages")
            && scope.flag("recursive_error_pages", false)
        {
            table.set("errors_again", "true", Some(own));
        }
    }
}

fn becomes(own: &Directive) -> &'static str {
    let mut words = own.arguments().iter();
    let of_heads = |word: &Word| matches!(&*word.text(), "400" | "414");
    match words.any(of_heads) {
        true => "`errors`; heads that are no request, or too long, keep hubgate's own answer",
        false => "`errors`",
    }
}

/// Whether the upstream's errors count as well.
pub(super) fn intercept<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    pass: &Directive,
    route: &mut Draft,
) {
    let name = match pass.is("grpc_pass") {
        true => "grpc_intercept_errors",
        false => "proxy_intercept_errors",
    };
    if let Some(own) = scope.one(name)
        && scope.flag(name, false)
    {
        import.ledger.carried(own, "`own_errors`");
        route.set("own_errors", "\"intercept\"", Some(own));
    }
}

fn rule(import: &Import<'_>, scope: &Scope<'_>, own: &Directive) -> Result<String, String> {
    let words: Vec<_> = own.arguments().iter().map(|word| word.text()).collect();
    let Some((to, before)) = words.split_last() else {
        return Err("it names no page".to_owned());
    };
    if to.starts_with('=') {
        return Err(format!("`{to}` is no page: nginx answers 404 in its place"));
    }
    if to.is_empty() {
        return Err("a page without a name is none: nginx answers with its own".to_owned());
    }
    if to.starts_with('@') && !import.has_location(to) {
        return Err(format!("no location is called `{to}`: nginx answers 500"));
    }
    let to = rules::known(import, scope, to)?;
    let (status, statuses) = match before.split_last() {
        Some((last, rest)) if last.starts_with('=') => (Some(last.trim_start_matches('=')), rest),
        _ => (None, before),
    };
    let outside = |status: &&std::borrow::Cow<'_, str>| {
        let number = status.parse::<u16>();
        !number
            .is_ok_and(|status| (300..=599).contains(&status) && !matches!(status, 494 | 498 | 499))
    };
    if let Some(status) = statuses.iter().find(outside) {
        return Err(format!("hubgate has no errors with status {status}"));
    }
    let status = match status {
        None => String::new(),
        Some("") => ", status = \"=\"".to_owned(),
        Some(status) => match status.parse::<u16>() {
            Ok(200..=599) => format!(", status = {status}"),
            _ => return Err(format!("hubgate answers with no status {status}")),
        },
    };
    let statuses = statuses.join(", ");
    Ok(format!(
        "{{ on = [{statuses}], to = {}{status} }}",
        draft::text(&to)
    ))
}
