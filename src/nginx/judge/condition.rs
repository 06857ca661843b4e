//! The condition of an `if`, and the expressions that directives hold.
//!
//! Words are cut as nginx cuts them, and refused in its sentences. Pure.
#![deny(clippy::disallowed_methods)]

use super::expression;
use crate::nginx::addresses::is_hostname;
use crate::nginx::table::Context;
use crate::nginx::tree::{Directive, Word};

/// Why an `if` is refused, or an expression.
pub(super) fn refusal(directive: &Directive, context: Context) -> Option<String> {
    if matches!(context, Context::Mail | Context::MailServer) {
        return None;
    }
    let name = directive.name();
    let words = directive.arguments();
    match &*name {
        "if" => condition(words),
        "rewrite" => expression::refusal(&words.first()?.text()),
        "fastcgi_split_path_info" => {
            let text = words.first()?.text();
            let two = || expression::groups(&text) == 2;
            expression::refusal(&text)
                .or_else(|| (!two()).then(|| format!("pattern \"{text}\" must have 2 captures")))
        }
        "gzip_disable" => { words.iter() }
            .filter(|word| &*word.bytes != b"msie6")
            .find_map(|word| expression::refusal(&word.text())),
        "server_name" => { words.iter() }
            .find_map(|word| {
                let text = word.text();
                match text.strip_prefix('~')? {
                    "" => Some("empty regex in server name \"~\"".to_owned()),
                    own => expression::refusal(own),
                }
            })
            .or_else(|| { words.iter() }.find_map(|word| server_name(&word.text()))),
        "location" => {
            let (mark, text) = match words {
                [mark, path] => (mark.text(), path.text()),
                [one] => {
                    let text = one.text();
                    let own = text.strip_prefix('~')?;
                    return expression::refusal(own.strip_prefix('*').unwrap_or(own));
                }
                _ => return None,
            };
            let is_expression = matches!(&*mark, "~" | "~*");
            is_expression.then(|| expression::refusal(&text))?
        }
        "proxy_redirect" | "proxy_cookie_domain" | "proxy_cookie_path" | "proxy_cookie_flags"
            if words.len() > 1 =>
        {
            marked(words.first()?)
        }
        "valid_referers" => words.iter().find_map(referer),
        _ => None,
    }
}

/// A word of `valid_referers`: an expression, or a host and what follows it.
fn referer(word: &Word) -> Option<String> {
    let text = word.text();
    match text.strip_prefix('~') {
        Some("") => return Some(format!("empty regex in \"{text}\"")),
        Some(own) => return expression::refusal(own),
        None => {}
    }
    let host = text.split('/').next().unwrap_or_default();
    let special = matches!(&*text, "none" | "blocked" | "server_names" | "");
    (!special && !is_hostname(host)).then(|| format!("invalid hostname or wildcard \"{host}\""))
}

/// A name that stands for none.
fn server_name(text: &str) -> Option<String> {
    let rest = text.strip_prefix('*');
    let wrong = match rest {
        Some(rest) => !rest.starts_with('.') || rest.len() < 2,
        None => text == "." || (text.starts_with('.') && text.len() < 2),
    };
    (wrong && !text.starts_with('~')).then(|| format!("server name \"{text}\" is invalid"))
}

/// An expression behind `~` or `~*`.
pub(super) fn marked(word: &Word) -> Option<String> {
    let text = word.text();
    let own = text.strip_prefix('~')?;
    expression::refusal(own.strip_prefix('*').unwrap_or(own))
}

fn condition(words: &[Word]) -> Option<String> {
    let mut texts: Vec<String> = words.iter().map(|word| word.text().into_owned()).collect();
    let invalid = |text: &str| Some(format!("invalid condition \"{text}\""));
    let first = texts.first_mut()?;
    match first.strip_prefix('(').map(str::to_owned) {
        None => return invalid(first),
        Some(rest) => *first = rest,
    }
    let last = texts.last_mut()?;
    match last.strip_suffix(')').map(str::to_owned) {
        None => return invalid(last),
        Some(rest) => *last = rest,
    }
    // A parenthesis that stood alone is no word.
    if texts.len() > 1 && texts.first().is_some_and(String::is_empty) {
        texts.remove(0);
    }
    if texts.len() > 1 && texts.last().is_some_and(String::is_empty) {
        texts.pop();
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    match *texts {
        [one] if one.len() > 1 && one.starts_with('$') => None,
        [one, operator, value] if one.len() > 1 && one.starts_with('$') => match operator {
            "=" | "!=" => None,
            "~" | "~*" | "!~" | "!~*" => expression::refusal(value),
            _ => Some(format!("unexpected \"{operator}\" in condition")),
        },
        ["-f" | "-d" | "-e" | "-x" | "!-f" | "!-d" | "!-e" | "!-x", _] => None,
        [one, ..] => invalid(one),
        [] => invalid(""),
    }
}
