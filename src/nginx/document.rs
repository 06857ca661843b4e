//! `docs/nginx.md`: every directive of nginx 1.22 with its fate, made from the table.
//!
//! Text only; the test `nginx_document` writes it to its file.
#![deny(clippy::disallowed_methods)]

use super::table::variables::VARIABLES;
use super::table::{Context, FAMILIES, Fate, Rule};

const HEAD: &str = "\
# What becomes of nginx's directives

Made from the program's table; `HUBGATE_BLESS=1 cargo test --test nginx_document` writes it anew. `hubgate import nginx`
tells the same of each line of a configuration. Every directive of nginx 1.22 is one of three:

- **carried**: hubgate does it, by what is named;
- **not needed**: hubgate does without, for the reason given;
- **not carried**: it is lost, and the import says so and ends with code 1.

Directives that nginx 1.22 does not know are not carried. A carried directive can still have a value that is not: the
import says which.

";

/// The whole document.
pub fn document() -> String {
    let mut out = HEAD.to_owned();
    let rules = || FAMILIES.iter().flat_map(|family| family.rules);
    let count = |is: fn(&Fate) -> bool| rules().filter(|rule| is(&rule.fate)).count();
    out.push_str(&format!(
        "{} rows: {} carried, {} not needed, {} not carried.\n",
        rules().count(),
        count(|fate| matches!(fate, Fate::Carried(_))),
        count(|fate| matches!(fate, Fate::NotNeeded(_))),
        count(|fate| matches!(fate, Fate::Lost(_))),
    ));
    for family in FAMILIES {
        out.push_str(&format!(
            "\n## {}\n\n| directive | where | words | fate | |\n|---|---|---|---|---|\n",
            family.title
        ));
        for rule in family.rules {
            out.push_str(&row(rule));
        }
    }
    let of = |fate: &Fate| matches!(fate, Fate::Carried(_));
    let carried = VARIABLES.iter().filter(|(_, fate)| of(fate)).count();
    out.push_str(&format!(
        "\n## Variables of HTTP\n\n{} rows: {carried} carried, {} not carried. A text that names one that is not carried is not carried itself; of a\n`log_format` the rest is, with `-` in its place.\n\n| variable | fate | |\n|---|---|---|\n",
        VARIABLES.len(),
        VARIABLES.len() - carried,
    ));
    for (name, fate) in VARIABLES {
        let (fate, text) = told(fate);
        out.push_str(&format!("| `${name}` | {fate} | {text} |\n"));
    }
    out
}

fn told(fate: &Fate) -> (&'static str, &'static str) {
    match fate {
        Fate::Carried(text) => ("carried", text),
        Fate::NotNeeded(text) => ("not needed", text),
        Fate::Lost(text) => ("**not carried**", text),
    }
}

fn row(rule: &Rule) -> String {
    let (fate, text) = told(&rule.fate);
    let contexts: Vec<_> = rule.contexts.iter().map(Context::as_str).collect();
    let contexts = match contexts.len() == Context::ALL.len() {
        true => "anywhere".to_owned(),
        false => contexts.join(", "),
    };
    let braces = if rule.block { " { }" } else { "" };
    format!(
        "| `{}`{braces} | {contexts} | {} | {fate} | {text} |\n",
        rule.name,
        rule.arity.show()
    )
}
