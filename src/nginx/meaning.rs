//! Refusals that take a directive's meaning: where a location may stand within another, where a `proxy_pass` may have a path.
//!
//! In nginx's words. Knows only what stands around; names that do not resolve and files that are missing are others'.
#![deny(clippy::disallowed_methods)]

use super::model::{Mark, Pass, head};
use super::table::Context;
use super::tree::Directive;
use super::value;

/// The location that a block stands in.
#[derive(Clone, Debug)]
pub(super) struct Outer {
    mark: Mark,
    path: Vec<u8>,
}

impl Outer {
    /// The location that a directive opens, if it is one.
    pub(super) fn of(directive: &Directive) -> Option<Self> {
        let (mark, path) = head(directive).ok().filter(|_| directive.is("location"))?;
        Some(Self {
            mark,
            path: path.to_vec(),
        })
    }

    fn is_pattern(&self) -> bool {
        matches!(self.mark, Mark::Pattern | Mark::PatternInAnyCase)
    }
}

/// Why a directive is refused, for all that its words have the right form.
pub(super) fn refusal(
    directive: &Directive,
    context: Context,
    outer: Option<&Outer>,
) -> Option<String> {
    match &*directive.name() {
        "location" => match head(directive) {
            Ok((mark, path)) => outer.and_then(|outer| misplaced(mark, path, outer)),
            Err(refusal) => Some(refusal),
        },
        "proxy_pass" if context != Context::StreamServer => pass(directive, context, outer),
        "worker_connections" => connections(directive),
        "return" if context != Context::StreamServer => status(directive),
        _ => None,
    }
}

/// A location in another one.
fn misplaced(mark: Mark, path: &[u8], outer: &Outer) -> Option<String> {
    let (inner, around) = (
        String::from_utf8_lossy(path),
        String::from_utf8_lossy(&outer.path),
    );
    let pattern = matches!(mark, Mark::Pattern | Mark::PatternInAnyCase);
    if outer.mark == Mark::Exact {
        let text = "cannot be inside the exact location";
        Some(format!("location \"{inner}\" {text} \"{around}\""))
    } else if outer.mark == Mark::Named {
        let text = "cannot be inside the named location";
        Some(format!("location \"{inner}\" {text} \"{around}\""))
    } else if mark == Mark::Named {
        Some(format!(
            "named location \"{inner}\" can be on the server level only"
        ))
    } else if !pattern && !path.starts_with(&outer.path) {
        Some(format!(
            "location \"{inner}\" is outside location \"{around}\""
        ))
    } else {
        None
    }
}

fn pass(directive: &Directive, context: Context, outer: Option<&Outer>) -> Option<String> {
    let word = directive.arguments().first()?;
    let address = match Pass::parse(&word.bytes) {
        Ok(Pass::Fixed(address)) => address,
        Ok(Pass::Variable(_)) => return None,
        Err(refusal) => return Some(refusal),
    };
    let without_path = outer.is_some_and(|outer| outer.is_pattern() || outer.mark == Mark::Named)
        || matches!(context, Context::LocationIf | Context::LimitExcept);
    (without_path && !address.uri.is_empty()).then(|| {
        "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named location, or inside \"if\" statement, or inside \"limit_except\" block".to_owned()
    })
}

fn connections(directive: &Directive) -> Option<String> {
    let word = directive.arguments().first()?;
    let refused = value::number(&word.bytes).is_none();
    refused.then(|| format!("invalid number \"{}\"", word.text()))
}

/// The first word of a `return`.
fn status(directive: &Directive) -> Option<String> {
    let word = directive.arguments().first()?;
    let starts = |text: &str| word.bytes.starts_with(text.as_bytes());
    let url = directive.arguments().len() == 1
        && (starts("http://") || starts("https://") || starts("$scheme"));
    let fine = value::number(&word.bytes).is_some_and(|status| status <= 999);
    (!fine && !url).then(|| format!("invalid return code \"{}\"", word.text()))
}
