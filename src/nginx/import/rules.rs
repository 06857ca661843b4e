//! `set`, `if`, `rewrite`, `break` and `return` as `rules`, in their order.
//!
//! What an `if` holds besides these is a route of its own, which a rule enters. Names that `set` and groups of expressions give are hubgate's
//! too; `$document_root`, `$request_filename` and a location's `$secure_link` are written out, for they are known here.

use super::Import;
use super::answer;
use super::draft::{self, Draft};
use super::files;
use super::route;
use crate::config::Text;
use crate::nginx::Pattern;
use crate::nginx::model::Scope;
use crate::nginx::table::Context;
use crate::nginx::tree::{Block, Directive};

/// Directives that rules are made of.
const RULES: [&str; 5] = ["set", "if", "rewrite", "break", "return"];

/// `rules` for the directives of a block; `None` when there are none. An unconditional `return` that comes first is not
/// among them: it is what the block answers.
pub(super) fn of<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    answers: bool,
) -> Option<(String, &'t Directive)> {
    let own: Vec<_> = scope
        .own()
        .iter()
        .filter(|own| RULES.iter().any(|name| own.is(name)))
        .collect();
    let end = own.iter().position(|own| own.is("return"));
    let answers = answers && returns_unmoved(scope.own());
    let end = end.map_or(own.len(), |end| if answers { end } else { end + 1 });
    let own = own.get(..end).unwrap_or_default();
    let rules = list(import, scope, own);
    let first = own.first()?;
    (!rules.is_empty()).then(|| (format!("[{}]", rules.join(", ")), *first))
}

/// Whether a `return` among these answers whatever came before it: after a `break` there are files, or a pass.
pub(super) fn returns(own: &[Directive]) -> bool {
    let end = own.iter().position(|own| own.is("return"));
    end.is_some_and(|end| !own.iter().take(end).any(breaks))
}

/// As [`returns`], with nothing rewritten before: after a `rewrite` that goes on, only a rule still comes before another
/// look for a location.
pub(super) fn returns_unmoved(own: &[Directive]) -> bool {
    let before = own.iter().take_while(|own| !own.is("return"));
    returns(own) && !{ before }.any(|own| own.is("rewrite"))
}

fn breaks(own: &Directive) -> bool {
    let ends = own.is("break") || own.is("rewrite") && own.argument(2) == "break";
    ends || own.is("if") && own.children().iter().any(breaks)
}

fn list<'t>(import: &mut Import<'t>, scope: &Scope<'t>, own: &[&'t Directive]) -> Vec<String> {
    let mut rules = Vec::new();
    for directive in own {
        if directive.is("set")
            && !matches!(&*directive.argument(0), "$args" | "$limit_rate")
            && !is_used(&import.tree.directives, &directive.argument(0))
        {
            let why = "nothing asks for the variable";
            import.ledger.not_needed(directive, why);
            continue;
        }
        match rule(import, scope, directive) {
            Ok(rule) => {
                import.ledger.carried(directive, "`rules`");
                rules.push(format!("{{ {rule} }}"));
            }
            Err(what) => {
                import.ledger.block_lost(directive, &what);
            }
        }
    }
    rules
}

fn rule<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    own: &'t Directive,
) -> Result<String, String> {
    match &*own.name() {
        "set" => {
            let name = own.argument(0);
            let name = name.trim_start_matches('$');
            let value = known(import, scope, &own.argument(1))?;
            Ok(format!("set = {{ {name} = {} }}", draft::text(&value)))
        }
        "rewrite" => {
            let to = known(import, scope, &own.argument(1))?;
            let then = match &*own.argument(2) {
                "last" => ", then = \"find\"",
                "break" => ", then = \"stay\"",
                "redirect" => ", then = 302",
                "permanent" => ", then = 301",
                _ => "",
            };
            runs(&own.argument(0))?;
            let regex = draft::text(&own.argument(0));
            Ok(format!(
                "rewrite = {regex}, to = {}{then}",
                draft::text(&to)
            ))
        }
        "break" => Ok("stop = true".to_owned()),
        "return" => {
            let (key, table) = answer::returned(import, scope, own)?;
            Ok(format!("{key} = {table}"))
        }
        _ => conditional(import, scope, own),
    }
}

fn conditional<'t>(
    import: &mut Import<'t>,
    scope: &Scope<'t>,
    own: &'t Directive,
) -> Result<String, String> {
    let words: Vec<_> = own.arguments().iter().map(|word| word.text()).collect();
    let written = words.join(" ");
    let written = written.strip_prefix('(').unwrap_or(&written);
    let written = written.strip_suffix(')').unwrap_or(written).trim();
    // A regex is no text: what looks like a variable in it is not.
    let is_match = |word: &str| matches!(word, "~" | "~*" | "!~" | "!~*");
    let when = match words.iter().any(|word| is_match(word)) {
        true => {
            // Behind quotes the condition's own parenthesis is a word of its own; those within are the expression's.
            let expression = match &*words {
                [.., expression, end] if &**end == ")" => expression,
                [.., last] => last.strip_suffix(')').unwrap_or(last),
                [] => "",
            };
            runs(expression)?;
            written.to_owned()
        }
        false => known(import, scope, written)?,
    };
    let is_rule = |own: &Directive| RULES.iter().any(|name| own.is(name));
    let mut inner: Vec<_> = own.children().iter().filter(|own| is_rule(own)).collect();
    let mut rules = Vec::new();
    // Nothing at all is something, too: it takes the place of what another condition holds.
    let is_empty = inner.is_empty() && scope.context() == Context::Location;
    if is_empty || own.children().iter().any(|own| !is_rule(own)) {
        let name = route::entered(import, scope, own)?;
        rules.push(format!("{{ enter = {} }}", draft::text(&name)));
        if let Some(end) = inner.iter().position(|own| own.is("return")) {
            // What was entered answers so.
            inner.truncate(end);
            rules.extend(list(import, scope, &inner));
            rules.push("{ stop = true }".to_owned());
            inner.clear();
        }
    }
    rules.extend(list(import, scope, &inner));
    match rules.is_empty() {
        true => Err("nothing that it holds can be done here".to_owned()),
        false => Ok(format!(
            "when = {}, rules = [{}]",
            draft::text(&when),
            rules.join(", ")
        )),
    }
}

/// Whether hubgate runs an expression.
fn runs(expression: &str) -> Result<(), String> {
    match Pattern::new(expression, false) {
        Ok(_) => Ok(()),
        Err(_) => Err("only PCRE runs its expression".to_owned()),
    }
}

/// A text with the values of variables that its server sets once and for all.
pub(super) fn with_constants(scope: &Scope<'_>, text: &str) -> String {
    let mut text = text.to_owned();
    let server = scope.nearest(Context::Server);
    for own in server.iter().filter(|own| own.is("set")) {
        let (name, value) = (own.argument(0), own.argument(1));
        if value.contains('$') || value.is_empty() || sets(server, &name) > 1 {
            continue;
        }
        let braced = format!("${{{}}}", name.trim_start_matches('$'));
        text = text.replace(&braced, &value);
        // A longer name is another one.
        let ends = |rest: &str| {
            let next = rest.chars().next();
            next.is_none_or(|next| !(next.is_ascii_alphanumeric() || next == '_'))
        };
        while let Some(at) = (text.match_indices(&*name).map(|(at, _)| at))
            .find(|at| text.get(at + name.len()..).is_some_and(ends))
        {
            text.replace_range(at..at + name.len(), &value);
        }
    }
    text
}

/// How often a variable is set in a block, by an answer too.
fn sets(directives: &[Directive], variable: &str) -> usize {
    let all = directives.iter().map(|own| {
        let set = own.is("set") || own.is("auth_request_set");
        let set = set && own.argument(0) == variable;
        usize::from(set) + sets(own.children(), variable)
    });
    all.sum()
}

/// A text whose variables hubgate has, or that this configuration names; why not, else.
pub(super) fn known(import: &Import<'_>, scope: &Scope<'_>, text: &str) -> Result<String, String> {
    let mut text = placed(import, scope, text);
    for name in ["secure_link_expires", "secure_link"] {
        if let Some(value) = import.link.as_ref().and_then(|link| link.value(name)) {
            for written in [format!("${{{name}}}"), format!("${name}")] {
                text = text.replace(&written, value);
            }
        }
    }
    if Text::parse(&text).is_err()
        && let Some(name) = names(&text).find(|name| !is_known(import, name))
    {
        return Err(format!("`${name}` is not a variable"));
    }
    Ok(text)
}

/// The value of a field, with the folder of files written out where `table` is a route to an upstream, which does not know it.
pub(super) fn proxied(
    import: &Import<'_>,
    scope: &Scope<'_>,
    table: &Draft,
    own: &Directive,
) -> String {
    match table.get("upstream") {
        Some(_) => placed(import, scope, &own.argument(1)),
        None => own.argument(1).into_owned(),
    }
}

fn placed(import: &Import<'_>, scope: &Scope<'_>, text: &str) -> String {
    let mut text = text.to_owned();
    for (name, rest) in [("document_root", ""), ("request_filename", "$uri")] {
        for written in [format!("${{{name}}}"), format!("${name}")] {
            if text.contains(&written) {
                let root = scope.one("root");
                let root = root.map_or("html".into(), |own| own.argument(0));
                let root = files::folder(import, &with_constants(scope, &root));
                text = text.replace(&written, &format!("{root}{rest}"));
            }
        }
    }
    text
}

/// The names of a text's variables, as far as they are words.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split('$').skip(1);
    parts.map(|part| {
        let part = part.trim_start_matches('{');
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        part.get(..end.unwrap_or(part.len())).unwrap_or_default()
    })
}

fn is_known(import: &Import<'_>, name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_digit());
    let defined = || import.own.iter().any(|own| own == name);
    first
        || Text::parse(&format!("${name}")).is_ok()
        || defined()
        || declares(&import.tree.directives, name)
}

/// Whether any word but those that set it names a variable.
pub(super) fn is_used(directives: &[Directive], variable: &str) -> bool {
    let braced = format!("${{{}}}", variable.trim_start_matches('$'));
    directives.iter().any(|own| {
        let skipped = usize::from(own.is("set"));
        let words = own.arguments().iter().skip(skipped);
        let named = words.map(|word| word.text()).any(|text| {
            let ends = |(at, _): (usize, &str)| {
                let next = text
                    .get(at + variable.len()..)
                    .and_then(|rest| rest.chars().next());
                next.is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_'))
            };
            text.contains(&braced) || text.match_indices(variable).any(ends)
        });
        let foreign = matches!(&own.block, Some(Block::Foreign(text))
            if String::from_utf8_lossy(text).contains(variable.trim_start_matches('$')));
        named || foreign || is_used(own.children(), variable)
    })
}

/// Whether a `set` or a group of an expression gives this name.
fn declares(directives: &[Directive], name: &str) -> bool {
    directives.iter().any(|own| {
        let sets = own.is("set") && own.argument(0).strip_prefix('$') == Some(name);
        let group = || {
            let regexes = ["location", "server_name", "rewrite", "if"];
            let groups = [
                format!("?<{name}>"),
                format!("?P<{name}>"),
                format!("?'{name}'"),
            ];
            regexes.iter().any(|regex| own.is(regex))
                && own.arguments().iter().any(|word| {
                    let word = word.text();
                    groups.iter().any(|group| word.contains(group))
                })
        };
        sets || group() || declares(own.children(), name)
    })
}
