//! Carries out `rules`: variables, conditions, other paths, answers.
//!
//! What a path was taken for and what regexes took is in [`Seen`], which rules change; what follows from it is `anew`'s.
//! Files that conditions ask about are looked at on a thread of their own. Invariant: rules end, for they hold no loops.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use pingora::http::RequestHeader;

use super::answer::Answer;
use super::app::Facts;
use super::known::Known;
use super::values::{Place, Values};
use crate::config::{
    ARGS, Act, Condition, FileTest, Lookup as _, Rewriting, Rule, Text, TextPart, Then, Variable,
};
use crate::nginx::uri;
use crate::router::Seen;
use crate::snapshot::Snapshot;

/// What rules are asked about.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The connection.
    pub facts: &'a Facts,
    /// What runs.
    pub snapshot: &'a Snapshot,
    /// The request's head.
    pub head: &'a RequestHeader,
    /// Its target, raw.
    pub target: &'a [u8],
    /// Its host.
    pub host: &'a str,
    /// The site and the route it has come to.
    pub at: (Option<usize>, Option<usize>),
    /// `X-Request-ID`.
    pub id: &'a str,
    /// What upstreams have said before.
    pub known: Option<Known<'a>>,
}

/// What rules came to.
#[derive(Debug)]
pub enum Ruled {
    /// Nothing changes.
    Through,
    /// The path has changed, and its route is looked for.
    Find,
    /// The path has changed, and this route answers all the same.
    Stay,
    /// The query has changed, and nothing else.
    Query,
    /// This is answered.
    Answer(Box<Answer>),
    /// The route with this name is taken, for the path as it is now.
    Enter(Box<str>, bool),
}

impl<'a> Ground<'a> {
    fn values<'b>(&self, seen: &'b Seen) -> Values<'b>
    where
        'a: 'b,
    {
        let place = Place {
            site: self.at.0,
            route: self.at.1,
            seen: Some(seen),
        };
        let request = (self.head, self.target);
        let mut values = Values::new(
            (self.facts, self.snapshot),
            request,
            self.host,
            place,
            self.id,
        );
        values.known = self.known;
        values
    }

    fn value(&self, text: &Text, seen: &Seen) -> Vec<u8> {
        text.value(&self.values(seen)).into_owned()
    }

    /// As that, for a variable: what regexes took is escaped where something of the path was.
    fn set(&self, text: &Text, seen: &Seen) -> Vec<u8> {
        let takes = |part: &TextPart| matches!(part, TextPart::Variable(Variable::Capture(_)));
        let escapes = seen.uri.as_ref().is_some_and(uri::Uri::is_escaped);
        if !escapes || !text.parts().iter().any(takes) {
            return self.value(text, seen);
        }
        let values = self.values(seen);
        let mut whole = Vec::new();
        for part in text.parts() {
            match part {
                TextPart::Literal(text) => whole.extend_from_slice(text.as_bytes()),
                TextPart::Variable(variable) => {
                    let mut value = Vec::new();
                    values.append(variable, &mut value);
                    match takes(part) {
                        true => whole.extend_from_slice(&uri::escape_argument(&value)),
                        false => whole.extend_from_slice(&value),
                    }
                }
            }
        }
        whole
    }
}

/// Carries out `rules`, whose words see and change what was `seen`.
pub async fn run(rules: &[Rule], ground: Ground<'_>, seen: &mut Seen) -> Ruled {
    let (mut changed, mut queried) = (false, false);
    let mut entered: Option<&str> = None;
    let mut under_way = vec![rules.iter()];
    while let Some(rules) = under_way.last_mut() {
        let Some(rule) = rules.next() else {
            under_way.pop();
            continue;
        };
        if let Some(when) = &rule.when
            && !holds(when, ground, seen).await
        {
            continue;
        }
        match &rule.act {
            Act::Set(values) => {
                for (name, text) in values {
                    let value = ground.set(text, seen);
                    match seen.uri.as_mut().filter(|_| **name == *ARGS) {
                        Some(uri) => (uri.args, queried) = (value, true),
                        None => seen.captures.set(name, value),
                    }
                }
            }
            Act::Rewrite(rewriting) => match rewrite(rewriting, ground, seen) {
                None => {}
                Some(Rewritten::Answer(answer)) => return Ruled::Answer(answer),
                Some(Rewritten::Path) => {
                    changed = true;
                    match rewriting.then {
                        Then::Find => return Ruled::Find,
                        Then::Stay => return stay(entered, true, queried),
                        Then::Next | Then::Redirect(_) => {}
                    }
                }
            },
            Act::Respond(respond) => {
                let mut values = ground.values(seen);
                values.known = Some(Known::saying(values.known, respond.status));
                let answer = Answer::of_respond(respond, &values);
                return Ruled::Answer(Box::new(answer));
            }
            Act::Redirect(redirect) => {
                let to = ground.value(&redirect.to, seen);
                return Ruled::Answer(Box::new(Answer::redirect(redirect.status, &to, None)));
            }
            Act::Rules(rules) => under_way.push(rules.iter()),
            Act::Stop => return stay(entered, changed, queried),
            // As with nginx's conditions, what comes after it is still carried out, and the last one counts.
            Act::Enter(name) => entered = Some(name),
        }
    }
    match changed {
        true => Ruled::Find,
        false => stay(entered, false, queried),
    }
}

/// What it is when no other route is looked for.
fn stay(entered: Option<&str>, changed: bool, queried: bool) -> Ruled {
    match entered {
        Some(name) => Ruled::Enter(name.into(), changed || queried),
        None if changed => Ruled::Stay,
        None if queried => Ruled::Query,
        None => Ruled::Through,
    }
}

enum Rewritten {
    Path,
    Answer(Box<Answer>),
}

/// Puts another path, or an answer, in place of a path that matches.
fn rewrite(rewriting: &Rewriting, ground: Ground<'_>, seen: &mut Seen) -> Option<Rewritten> {
    let uri = seen.uri.as_ref()?;
    let (quoted, old) = (uri.is_escaped(), uri.args.clone());
    let captures = rewriting.pattern.find(&uri.path)?;
    seen.take(captures);
    let redirects = matches!(rewriting.then, Then::Redirect(_)) || leads_away(&rewriting.to);
    let (path, args) = filled(&rewriting.to, ground, seen, (quoted, redirects));
    let args = match args {
        None => old,
        // A mark at the very end: the old query is not wanted.
        Some((args, false)) => args,
        Some((mut args, true)) => {
            if !old.is_empty() {
                if !args.is_empty() {
                    args.push(b'&');
                }
                args.extend_from_slice(&old);
            }
            args
        }
    };
    let status = match rewriting.then {
        Then::Redirect(status) => Some(status),
        _ if redirects => Some(302),
        _ => None,
    };
    let Some(status) = status else {
        if path.is_empty() {
            // There is no such path, and nginx says so in the same way.
            let answer = Answer::new(500, Vec::new(), Vec::new(), None);
            return Some(Rewritten::Answer(Box::new(answer)));
        }
        let uri = seen.uri.as_mut()?;
        (uri.path, uri.args) = (path, args);
        return Some(Rewritten::Path);
    };
    let mut location = uri::decode_redirect(&path);
    if !args.is_empty() {
        location.push(b'?');
        location.extend_from_slice(&args);
    }
    let answer = Answer::redirect(status, &location, None);
    Some(Rewritten::Answer(Box::new(answer)))
}

/// Whether a rewrite's text is an address, and no path.
fn leads_away(to: &Text) -> bool {
    match to.parts().first() {
        Some(TextPart::Literal(text)) => {
            text.starts_with("http://") || text.starts_with("https://")
        }
        Some(TextPart::Variable(variable)) => *variable == Variable::Scheme,
        None => false,
    }
}

/// The new path, and the new query with whether the old one is added to it; none when the old one stays.
fn filled(
    to: &Text,
    ground: Ground<'_>,
    seen: &Seen,
    (quoted, redirects): (bool, bool),
) -> (Vec<u8>, Option<(Vec<u8>, bool)>) {
    let values = ground.values(seen);
    let (mut path, mut args) = (Vec::new(), None::<Vec<u8>>);
    for part in to.parts() {
        match part {
            TextPart::Literal(text) => match (&mut args, text.split_once('?')) {
                (Some(args), _) => args.extend_from_slice(text.as_bytes()),
                (None, None) => path.extend_from_slice(text.as_bytes()),
                (None, Some((before, after))) => {
                    path.extend_from_slice(before.as_bytes());
                    args = Some(after.as_bytes().to_vec());
                }
            },
            TextPart::Variable(variable) => {
                let mut value = Vec::new();
                values.append(variable, &mut value);
                // What was decoded is escaped again where it is not a path that is matched.
                let taken = matches!(variable, Variable::Capture(_));
                if taken && quoted && (args.is_some() || redirects) {
                    value = uri::escape_argument(&value);
                }
                args.as_mut().unwrap_or(&mut path).extend_from_slice(&value);
            }
        }
    }
    let keeps = !matches!(to.parts().last(), Some(TextPart::Literal(text)) if text.ends_with('?'));
    let args = args.map(|mut args| {
        if !keeps && args.last() == Some(&b'?') {
            args.pop();
        }
        (args, keeps)
    });
    (path, args)
}

async fn holds(condition: &Condition, ground: Ground<'_>, seen: &mut Seen) -> bool {
    match condition {
        Condition::Holds(text) => !matches!(&*ground.value(text, seen), b"" | b"0"),
        Condition::Same(one, other, wanted) => {
            (ground.value(one, seen) == ground.value(other, seen)) == *wanted
        }
        Condition::Matches(text, pattern, wanted) => {
            let captures = pattern.find(&ground.value(text, seen));
            let found = captures.is_some();
            if let Some(captures) = captures {
                seen.take(captures);
            }
            found == *wanted
        }
        Condition::There(test, path, wanted) => {
            is_there(*test, ground.value(path, seen)).await == *wanted
        }
    }
}

async fn is_there(test: FileTest, path: Vec<u8>) -> bool {
    let path = Path::new(std::ffi::OsStr::from_bytes(&path)).to_path_buf();
    let found = tokio::fs::metadata(path).await;
    found.is_ok_and(|found| match test {
        FileTest::File => found.is_file(),
        FileTest::Folder => found.is_dir(),
        FileTest::Any => true,
        FileTest::Executable => found.permissions().mode() & 0o111 != 0,
    })
}
