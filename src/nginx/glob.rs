//! Shell patterns of `include`, one path component at a time: `*`, `?`, `[a-z]`, `[!a]` and backslashes.
//!
//! As glob(3) without flags: a leading dot is matched by a dot only.
#![deny(clippy::disallowed_methods)]

/// Whether a path or a part of it holds what makes a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a file's name matches a pattern.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut pattern_at, mut name_at) = (0, 0);
    // Where to go back to: after the last star, and the name's byte that it would take next.
    let mut retry: Option<(usize, usize)> = None;
    while name_at < name.len() {
        let rest = pattern.get(pattern_at..).unwrap_or_default();
        if rest.first() == Some(&b'*') {
            pattern_at += 1;
            retry = Some((pattern_at, name_at));
            continue;
        }
        if let Some(used) = name.get(name_at).and_then(|byte| one(rest, *byte)) {
            pattern_at += used;
            name_at += 1;
            continue;
        }
        let Some((after_star, taken)) = retry else {
            return false;
        };
        retry = Some((after_star, taken + 1));
        (pattern_at, name_at) = (after_star, taken + 1);
    }
    let rest = pattern.get(pattern_at..).unwrap_or_default();
    rest.iter().all(|byte| *byte == b'*')
}

/// How much of the pattern stands for `byte`, when it does.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match (pattern.first()?, pattern.get(1)) {
        (b'?', _) => Some(1),
        (b'[', _) => match class(pattern, byte) {
            Some((true, used)) => Some(used),
            Some((false, _)) => None,
            None => (byte == b'[').then_some(1),
        },
        (b'\\', Some(escaped)) => (*escaped == byte).then_some(2),
        (own, _) => (*own == byte).then_some(1),
    }
}

/// Whether a class at the pattern's start has `byte`, and its length; `None` when it has no end.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    let mut at = first;
    let mut found = false;
    loop {
        let low = *pattern.get(at)?;
        if low == b']' && at > first {
            return Some((found != negated, at + 1));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some(b'-'), Some(high)) if *high != b']' => {
                found |= (low..=*high).contains(&byte);
                at += 3;
            }
            _ => {
                found |= low == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(pattern: &str, name: &str) -> bool {
        matches(pattern.as_bytes(), name.as_bytes())
    }

    #[test]
    fn stars_marks_and_classes_match_as_in_a_shell() {
        assert!(is("*.conf", "a.conf") && is("*", "x") && is("a*b*c", "a-b-b-c"));
        assert!(!is("*.conf", "a.conf~") && !is("*", ".hidden") && is(".*", ".hidden"));
        assert!(is("[0-9]?-*.conf", "10-a.conf") && !is("[!0-9]*", "1"));
        assert!(is("[]]x", "]x") && is("a\\*", "a*") && !is("a\\*", "ab"));
        assert!(is("[x", "[x"));
    }

    #[test]
    fn many_stars_cost_no_more_than_the_product() {
        let name = "a".repeat(2000);
        assert!(!is(&format!("{}b", "a*".repeat(200)), &name));
    }
}
