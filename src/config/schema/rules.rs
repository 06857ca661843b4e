//! `rules` of a site or a route: what is done with a request before it is answered.
//!
//! As typed and in itself sound. A rule has one thing to do, and perhaps a condition in nginx's words.

use toml::de::DeValue;

use super::action::{redirect, respond, text};
use super::reader::{Context, Reader, value};
use super::value::Field;
use super::{Key, Kind, Table};
use crate::config::diagnostic::Diagnostic;
use crate::config::rules::{Act, Condition, FileTest, Rewriting, Rule, Then};
use crate::config::text::{Text, TextPart};
use crate::types::pattern::Pattern;

/// How deep rules may hold rules.
const DEEP: usize = 8;

pub(super) const RULES: Key = Key::rule(
    "rules",
    Kind::Inline,
    "none",
    "[{ rewrite = \"^/old/(.*)$\", to = \"/new/$1\", then = \"find\" }, { when = \"$http_user_agent ~* bot\", respond = { status = 403 } }]",
    "What is done before a request is answered, in order; those of a site come before its routes are asked. Each is a table with one of: `set = { NAME = \"VALUE\" }` (`args` is the query itself; `$1` to `$9` are escaped in it where the path was); `rewrite` (a regex that the decoded path has to match) and `to`, with `then` \"next\" (the next rule), \"find\" (the new path's route is looked for), \"stay\" (this route answers), 301 or 302; `respond`; `redirect`; `rules`; `stop = true`; `enter = \"@NAME\"`. `when` is a condition: `$v`, `$v = text`, `$v != text`, `$v ~ regex`, `~*` without case, `!~`, `!~*`, `-f path`, `-d`, `-e`, `-x`, and these with a `!` before. After 10 rounds of finding it is over: 500.",
);

static TABLE: Table = Table {
    header: "rules",
    about: "",
    keys: &[
        Key::rule("when", Kind::Text, "always", "\"$a = b\"", "When."),
        Key::table("set", "variables"),
        Key::rule("rewrite", Kind::Text, "none", "\"^/a\"", "What matches."),
        Key::rule("to", Kind::Text, "none", "\"/b\"", "The new path."),
        Key::rule("then", Kind::Text, "\"next\"", "\"find\"", "What then."),
        super::action::RESPOND,
        super::action::REDIRECT,
        Key::table("rules", "rules"),
        Key::rule("stop", Kind::Flag, "false", "true", "No more rules."),
        Key::rule("enter", Kind::Text, "none", "\"@a\"", "A route."),
    ],
};

static SET: Table = Table {
    header: "set",
    about: "",
    keys: &[],
};

/// What a variable takes.
static VALUE: Key = Key::rule("value", Kind::Text, "none", "\"a\"", "");

/// Reads `rules`.
pub(super) fn rules(reader: &Reader<'_>, context: Context<'_>) -> Option<Vec<Rule>> {
    read(reader, context, 0)
}

fn read(reader: &Reader<'_>, context: Context<'_>, depth: usize) -> Option<Vec<Rule>> {
    let tables = reader.tables("rules")?;
    if depth == DEEP && !tables.is_empty() {
        let message = format!("rules within rules end at {DEEP}");
        return reader.refuse(Diagnostic::error("deep-rules", reader.span(), message));
    }
    let rules: Vec<_> = tables
        .into_iter()
        .map(|table| {
            let name = format!("a rule of {}", reader.name());
            let reader = Reader::new(&TABLE, name, Some(table), context);
            rule(&reader, context, depth + 1)
        })
        .collect();
    // All are looked at before a fault ends it.
    rules.into_iter().collect()
}

fn rule(reader: &Reader<'_>, context: Context<'_>, depth: usize) -> Option<Rule> {
    let when = reader.optional("when", |reader, key| {
        reader.field(key, |field| condition(field, context))
    });
    let set = values(reader, "set", context);
    let rewrite = rewrite(reader, context);
    let respond = respond(reader, context);
    let redirect = redirect(reader, context);
    let inner = read(reader, context, depth);
    let stop = reader.optional("stop", Reader::flag);
    let enter = reader.optional("enter", Reader::text);
    let mut acts = Vec::new();
    acts.extend(set?.map(Act::Set));
    acts.extend(rewrite?.map(|own| Act::Rewrite(Box::new(own))));
    acts.extend(respond?.map(|at| Act::Respond(Box::new(at.value))));
    acts.extend(redirect?.map(|at| Act::Redirect(Box::new(at.value))));
    acts.extend(
        Some(inner?)
            .filter(|_| reader.typed("rules").is_some())
            .map(Act::Rules),
    );
    acts.extend(stop?.filter(|at| at.value).map(|_| Act::Stop));
    acts.extend(enter?.map(|at| Act::Enter(at.value.into())));
    let when = when?.map(|at| at.value);
    match (acts.pop(), acts.is_empty()) {
        (Some(act), true) => Some(Rule { when, act }),
        (first, _) => {
            let what = if first.is_some() {
                "several things"
            } else {
                "nothing"
            };
            let fault = Diagnostic::error(
                "rule-does",
                reader.span(),
                format!("{} does {what}", reader.name()),
            );
            reader.refuse(fault.hint(
                "one of `set`, `rewrite`, `respond`, `redirect`, `rules`, `stop` and `enter`; write a rule for each",
            ))
        }
    }
}

/// Names with their values.
pub(in crate::config) type Values = Vec<(Box<str>, Text)>;

/// The variables that a table gives values, in the order they are written.
pub(super) fn values(
    reader: &Reader<'_>,
    key: &'static str,
    context: Context<'_>,
) -> Option<Option<Values>> {
    let Some(table) = reader.table(key)? else {
        return Some(None);
    };
    let name = format!("`{key}` of {}", reader.name());
    let reader = Reader::open(&SET, name, Some(table), context, |_| true);
    let mut values = Vec::new();
    let mut whole = true;
    for name in reader.written() {
        let read = |field: &Field<'_>| text(field, Text::parse_with(field.text()?, context.own));
        match reader.field_as(&name, &VALUE, read) {
            Some(at) => values.push((name.into(), at.value)),
            None => whole = false,
        }
    }
    whole.then_some(Some(values))
}

fn rewrite(reader: &Reader<'_>, context: Context<'_>) -> Option<Option<Rewriting>> {
    let pattern = reader.optional("rewrite", |reader, key| {
        reader.field(key, |field| pattern(field, field.text()?, false))
    });
    let to = reader.optional("to", |reader, key| {
        reader.field(key, |field| {
            text(field, Text::parse_line(field.text()?, context.own))
        })
    });
    let then = match reader.typed("then") {
        None => Some(Then::Next),
        Some(_) => value(reader.field("then", then)),
    };
    let (pattern, to, then) = (pattern?, to?, then?);
    match (pattern, to) {
        (Some(pattern), Some(to)) => Some(Some(Rewriting {
            pattern: pattern.value,
            to: to.value,
            then,
        })),
        (None, None) if reader.typed("then").is_none() => Some(None),
        (pattern, _) => {
            let missing = if pattern.is_some() { "to" } else { "rewrite" };
            let message = format!("{} has no `{missing}`", reader.name());
            let fault = Diagnostic::error("missing-key", reader.span(), message);
            reader.refuse(fault.hint("write `rewrite = \"^/old/(.*)$\", to = \"/new/$1\"`"))
        }
    }
}

fn then(field: &Field<'_>) -> Option<Then> {
    match field.raw() {
        DeValue::String(word) if word == "next" => Some(Then::Next),
        DeValue::String(word) if word == "find" => Some(Then::Find),
        DeValue::String(word) if word == "stay" => Some(Then::Stay),
        DeValue::Integer(number) if number.as_str() == "301" => Some(Then::Redirect(301)),
        DeValue::Integer(number) if number.as_str() == "302" => Some(Then::Redirect(302)),
        _ => field.refuse(
            "bad-then",
            "`then` is \"next\", \"find\", \"stay\", 301 or 302".to_owned(),
            None,
        ),
    }
}

fn pattern(field: &Field<'_>, regex: &str, ignore_case: bool) -> Option<Pattern> {
    match Pattern::new(regex, ignore_case) {
        Ok(pattern) => Some(pattern),
        Err(why) => field.refuse("bad-regex", format!("`{regex}` is no regex: {why}"), None),
    }
}

/// nginx's condition, without its parentheses.
fn condition(field: &Field<'_>, context: Context<'_>) -> Option<Condition> {
    let typed = field.text()?.trim();
    let parse = |written: &str| text(field, Text::parse_with(written, context.own));
    let (wanted, plain) = match typed.strip_prefix('!') {
        Some(rest) => (false, rest),
        None => (true, typed),
    };
    for (mark, test) in TESTS {
        if let Some(path) = plain.strip_prefix(mark) {
            return Some(Condition::There(*test, parse(path.trim())?, wanted));
        }
    }
    let Some((left, rest)) = typed.split_once(char::is_whitespace) else {
        let text = parse(typed)?;
        return match text.parts() {
            [TextPart::Variable(_)] => Some(Condition::Holds(text)),
            _ => bad(field, typed),
        };
    };
    let rest = rest.trim_start();
    let (operator, right) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let (left, right) = (parse(left)?, right.trim_start());
    match operator {
        "=" => Some(Condition::Same(left, parse(right)?, true)),
        "!=" => Some(Condition::Same(left, parse(right)?, false)),
        "~" => Some(Condition::Matches(
            left,
            pattern(field, right, false)?,
            true,
        )),
        "~*" => Some(Condition::Matches(left, pattern(field, right, true)?, true)),
        "!~" => Some(Condition::Matches(
            left,
            pattern(field, right, false)?,
            false,
        )),
        "!~*" => Some(Condition::Matches(
            left,
            pattern(field, right, true)?,
            false,
        )),
        _ => bad(field, typed),
    }
}

const TESTS: &[(&str, FileTest)] = &[
    ("-f ", FileTest::File),
    ("-d ", FileTest::Folder),
    ("-e ", FileTest::Any),
    ("-x ", FileTest::Executable),
];

fn bad<T>(field: &Field<'_>, typed: &str) -> Option<T> {
    field.refuse(
        "bad-condition",
        format!("`{typed}` is no condition"),
        Some("write `$v`, `$v = text`, `$v ~ regex` or `-f path`".to_owned()),
    )
}
