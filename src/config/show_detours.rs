//! `rules`, `errors` and `own_errors` as keys and TOML values.
//!
//! A part of `show`: what is printed loads to what it was printed from.

use super::action::RouteAction;
use super::detours::Detours;
use super::errors::{ErrorRule, ErrorStatus, ErrorTarget};
use super::rules::{Act, Condition, FileTest, Rule, Then};
use super::show::{Entry, action, inline, quoted};

/// Those that say something.
pub(super) fn detours(own: &Detours) -> Vec<Entry> {
    let mut entries = Vec::new();
    if !own.rules.is_empty() {
        entries.push(("rules", rules(&own.rules)));
    }
    if !own.errors.is_empty() {
        let errors: Vec<_> = own.errors.iter().map(error).collect();
        entries.push(("errors", format!("[{}]", errors.join(", "))));
    }
    if own.again {
        entries.push(("errors_again", "true".to_owned()));
    }
    if own.intercepts {
        entries.push(("own_errors", quoted("intercept")));
    }
    entries
}

fn error(rule: &ErrorRule) -> String {
    let on: Vec<_> = rule.on.iter().map(ToString::to_string).collect();
    let to = match &rule.to {
        ErrorTarget::Path(text) | ErrorTarget::Elsewhere(text) => quoted(text),
        ErrorTarget::Route(name) => quoted(name),
    };
    let mut entries = vec![("on", format!("[{}]", on.join(", "))), ("to", to)];
    match rule.status {
        ErrorStatus::Same => {}
        ErrorStatus::OfAnswer => entries.push(("status", quoted("="))),
        ErrorStatus::Fixed(status) => entries.push(("status", status.to_string())),
    }
    inline(&entries)
}

fn rules(rules: &[Rule]) -> String {
    let rules: Vec<_> = rules.iter().map(rule).collect();
    format!("[{}]", rules.join(", "))
}

fn rule(rule: &Rule) -> String {
    let when = rule.when.as_ref();
    let mut entries: Vec<Entry> = Vec::new();
    entries.extend(when.map(|when| ("when", quoted(condition(when)))));
    match &rule.act {
        Act::Set(values) => {
            let values: Vec<_> = values
                .iter()
                .map(|(name, text)| format!("{} = {}", quoted(name), quoted(text)))
                .collect();
            entries.push(("set", format!("{{ {} }}", values.join(", "))));
        }
        Act::Rewrite(own) => {
            entries.push(("rewrite", quoted(own.pattern.as_str())));
            entries.push(("to", quoted(&own.to)));
            let then = match own.then {
                Then::Next => quoted("next"),
                Then::Find => quoted("find"),
                Then::Stay => quoted("stay"),
                Then::Redirect(status) => status.to_string(),
            };
            entries.push(("then", then));
        }
        Act::Respond(own) => entries.push(action(&RouteAction::Respond((**own).clone()))),
        Act::Redirect(own) => entries.push(action(&RouteAction::Redirect((**own).clone()))),
        Act::Rules(inner) => entries.push(("rules", rules(inner))),
        Act::Stop => entries.push(("stop", "true".to_owned())),
        Act::Enter(name) => entries.push(("enter", quoted(name))),
    }
    inline(&entries)
}

fn condition(condition: &Condition) -> String {
    let not = |wanted: &bool| if *wanted { "" } else { "!" };
    match condition {
        Condition::Holds(text) => text.to_string(),
        Condition::Same(one, other, wanted) => {
            let equal = if *wanted { "=" } else { "!=" };
            format!("{one} {equal} {other}")
        }
        Condition::Matches(text, pattern, wanted) => {
            let star = if pattern.ignores_case() { "*" } else { "" };
            format!("{text} {}~{star} {}", not(wanted), pattern.as_str())
        }
        Condition::There(test, path, wanted) => {
            let test = match test {
                FileTest::File => "-f",
                FileTest::Folder => "-d",
                FileTest::Any => "-e",
                FileTest::Executable => "-x",
            };
            format!("{}{test} {path}", not(wanted))
        }
    }
}
