//! Regular expressions of the configuration: PCRE's language as far as nginx's users go.
//!
//! Run by `regex` on bytes: linear time, no stack. What that has not (look-around, back references, atomic groups) is run
//! by `fancy-regex` with a bound on its steps; a bound that is reached is no match.
#![deny(clippy::disallowed_methods)]

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use regex::bytes::RegexBuilder;

/// Steps a backtracking match may take.
const STEPS: usize = 100_000;

/// One compiled expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    ignore_case: bool,
    engine: Engine,
}

#[derive(Clone, Debug)]
enum Engine {
    Linear(regex::bytes::Regex),
    /// Bytes are given to it as the characters of the same numbers.
    Backtracking(Box<fancy_regex::Regex>),
}

/// What a match has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures {
    /// `$0` to `$9`; empty where a group took no part.
    pub groups: Vec<Vec<u8>>,
    /// Named groups.
    pub named: Vec<(String, Vec<u8>)>,
}

impl Pattern {
    /// Compiles an expression; `ignore_case` is `~*`.
    ///
    /// # Errors
    /// Why it is not one, or is one that only PCRE runs.
    pub fn new(text: &str, ignore_case: bool) -> Result<Self, String> {
        let translated = translate(text);
        let linear = RegexBuilder::new(&translated)
            .case_insensitive(ignore_case)
            .unicode(false)
            .build();
        let engine = match linear {
            Ok(regex) => Engine::Linear(regex),
            Err(_) => {
                let flags = if ignore_case { "(?i)" } else { "" };
                let latin: String = translated.bytes().map(char::from).collect();
                let regex = fancy_regex::RegexBuilder::new(&format!("{flags}{latin}"))
                    .backtrack_limit(STEPS)
                    .build()
                    .map_err(|error| error.to_string())?;
                Engine::Backtracking(Box::new(regex))
            }
        };
        Ok(Self {
            text: text.to_owned(),
            ignore_case,
            engine,
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether case counts for nothing in it.
    pub fn ignores_case(&self) -> bool {
        self.ignore_case
    }

    /// Whether it is found in `subject`; cheaper than [`Self::find`].
    pub fn matches(&self, subject: &[u8]) -> bool {
        match &self.engine {
            Engine::Linear(regex) => regex.is_match(subject),
            Engine::Backtracking(_) => self.find(subject).is_some(),
        }
    }

    /// What it takes of `subject`.
    pub fn find(&self, subject: &[u8]) -> Option<Captures> {
        match &self.engine {
            Engine::Linear(regex) => {
                let found = regex.captures(subject)?;
                let of = |group: Option<regex::bytes::Match<'_>>| {
                    group
                        .map(|group| group.as_bytes().to_vec())
                        .unwrap_or_default()
                };
                let named = regex.capture_names().flatten();
                Some(Captures {
                    groups: found.iter().map(of).collect(),
                    named: named
                        .map(|name| (name.to_owned(), of(found.name(name))))
                        .collect(),
                })
            }
            Engine::Backtracking(regex) => {
                let latin: String = subject.iter().copied().map(char::from).collect();
                let found = regex.captures(&latin).ok().flatten()?;
                let of = |group: Option<fancy_regex::Match<'_>>| -> Vec<u8> {
                    let text = group.map_or("", |group| group.as_str());
                    text.chars()
                        .filter_map(|c| u8::try_from(u32::from(c)).ok())
                        .collect()
                };
                let named = regex.capture_names().flatten();
                Some(Captures {
                    groups: found.iter().map(of).collect(),
                    named: named
                        .map(|name| (name.to_owned(), of(found.name(name))))
                        .collect(),
                })
            }
        }
    }
}

impl Captures {
    /// Gives a name a value, in place of the one it had.
    pub fn set(&mut self, name: &str, value: Vec<u8>) {
        match self.named.iter_mut().find(|(own, _)| own == name) {
            Some((_, old)) => *old = value,
            None => self.named.push((name.to_owned(), value)),
        }
    }

    /// What the group with this number took; nothing where there is none.
    pub fn group(&self, number: usize) -> &[u8] {
        self.groups.get(number).map_or(&[], Vec::as_slice)
    }

    /// What the group with this name took; `None` where there is none.
    pub fn named(&self, name: &str) -> Option<&[u8]> {
        let mut named = self.named.iter();
        let (_, taken) = named.find(|(own, _)| own == name)?;
        Some(taken)
    }
}

impl Pattern {
    /// What was written.
    fn key(&self) -> (&str, bool) {
        (&self.text, self.ignore_case)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// PCRE's `$` stands before a last newline too, its `{` may be itself, and `\_` is `_`.
fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text.chars();
    let mut in_class = false;
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                let escaped = rest.next();
                if let Some(class) = escaped.and_then(|own| escape(own, in_class)) {
                    out.push_str(class);
                    continue;
                }
                if escaped == Some('Q') {
                    quoted(&mut rest, &mut out);
                    continue;
                }
                if !matches!(escaped, Some('_')) {
                    out.push('\\');
                }
                out.extend(escaped);
            }
            '[' => {
                if in_class && !rest.as_str().starts_with(':') {
                    out.push('\\');
                }
                out.push('[');
                if !in_class {
                    in_class = true;
                    class_start(&mut rest, &mut out);
                }
            }
            ']' if in_class && !out.ends_with(':') => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' | '-' if in_class && rest.as_str().starts_with(c) => {
                out.push('\\');
                out.push(c);
            }
            '$' if !in_class => out.push_str("\\n?\\z"),
            '{' if !in_class && !is_count(rest.as_str()) => out.push_str("\\{"),
            '}' if !in_class && !ends_count(&out) => out.push_str("\\}"),
            _ => out.push(c),
        }
    }
    out
}

/// What PCRE has under a letter of its own; the engines have none, or another.
fn escape(letter: char, in_class: bool) -> Option<&'static str> {
    Some(match (letter, in_class) {
        ('h', false) => "[\\t ]",
        ('h', true) => "\\t ",
        ('H', false) => "[^\\t ]",
        ('v', false) => "[\\n-\\r]",
        ('v', true) => "\\n-\\r",
        ('V', false) => "[^\\n-\\r]",
        ('N', false) => "[^\\n]",
        ('R', false) => "(?:\\r\\n|[\\n-\\r])",
        ('e', _) => "\\x1B",
        ('0', _) => "\\x00",
        ('E', _) => "",
        _ => return None,
    })
}

/// What stands between `\Q` and `\E`, as it is.
fn quoted(rest: &mut std::str::Chars<'_>, out: &mut String) {
    let all = rest.as_str();
    let (text, after) = all.split_once("\\E").unwrap_or((all, ""));
    out.push_str(&regex::escape(text));
    *rest = after.chars();
}

/// The `^` and a `]` that is the class's own first member.
fn class_start(rest: &mut std::str::Chars<'_>, out: &mut String) {
    if rest.as_str().starts_with('^') {
        out.extend(rest.next());
    }
    if rest.as_str().starts_with(']') {
        rest.next();
        out.push_str("\\]");
    }
}

/// Whether `2}`, `2,}` or `2,3}` follows a brace.
fn is_count(rest: &str) -> bool {
    let Some((count, _)) = rest.split_once('}') else {
        return false;
    };
    let (least, most) = count.split_once(',').unwrap_or((count, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

/// Whether a brace that follows `out` ends a count, or a class such as `\x{..}` or `\p{..}`.
fn ends_count(out: &str) -> bool {
    let Some(open) = out.rfind('{') else {
        return false;
    };
    let (before, inner) = out.split_at(open);
    !before.ends_with('\\') && !inner.contains('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, subject: &[u8]) -> Option<Vec<Vec<u8>>> {
        let found = Pattern::new(pattern, false).unwrap().find(subject)?;
        Some(found.groups)
    }

    #[test]
    fn expressions_of_pcre_that_nginxs_users_write_are_taken() {
        assert!(takes(r"\.(png|css)$", b"/a.png").is_some());
        assert!(takes(r"\.php$", b"/a.php\n").is_some());
        assert!(takes(r"^/a{b}", b"/a{b}").is_some());
        assert!(takes(r"^/\d{2,3}$", b"/123").is_some());
        assert!(takes(r"^/[\w\-\.]+\/x\_y$", b"/a-.b/x_y").is_some());
        assert!(takes(r"^/[[:alpha:]]+[]x[]$", b"/ab[").is_some());
        assert!(takes(r"^/(?!private)(.*)$", b"/private/x").is_none());
        assert!(takes(r"^/(\w)\1$", b"/aa").is_some());
        assert!(takes(r"^/\Qa(b.\E$", b"/a(b.").is_some());
        assert!(takes(r"^/\h[\h]\N\R$", b"/\t ab\r\n").is_none());
        assert!(takes(r"^/\h[\h]\N\R$", b"/\t a\r\n").is_some());
    }

    #[test]
    fn groups_are_bytes_whatever_they_are() {
        assert_eq!(takes(r"^/(.*)$", b"/\xff\xfe").unwrap()[1], b"\xff\xfe");
        assert_eq!(
            takes(r"^/(?=.)(.*)$", b"/\xff\xfe").unwrap()[1],
            b"\xff\xfe"
        );
    }

    #[test]
    fn case_is_ignored_when_asked() {
        let pattern = Pattern::new(r"\.PNG$", true).unwrap();
        assert!(pattern.find(b"/a.png").is_some());
    }

    #[test]
    fn groups_have_names_and_patterns_written_alike_are_equal() {
        let pattern = |text: &str| Pattern::new(text, false).unwrap();
        let one = pattern(r"^/(?<user>\w+)/(x)?");
        let taken = one.find(b"/ann/").unwrap();
        assert_eq!(taken.named("user"), Some(&b"ann"[..]));
        assert_eq!((taken.group(1), taken.group(2)), (&b"ann"[..], &b""[..]));
        assert_eq!(taken.named("x"), None);
        assert_eq!(one, pattern(one.as_str()));
        assert_ne!(one, Pattern::new(one.as_str(), true).unwrap());
    }

    #[test]
    fn a_match_that_takes_for_ever_is_none() {
        let pattern = Pattern::new(r"^(?=(a+)+b)\1$", false).unwrap();
        assert!(pattern.find("a".repeat(60).as_bytes()).is_none());
    }
}
