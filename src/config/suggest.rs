//! Finds the word a person probably meant.
//!
//! Distance is the number of letters added, dropped, changed or swapped with their neighbour; `-` and `_` count as
//! the same letter, and case does not count.

/// The nearest of `known` to `typed`, when it is near enough to be a slip.
pub(super) fn nearest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A longer text is no slip of a key, and the distance takes quadratic time.
    if typed.chars().count() > 80 {
        return None;
    }
    let wanted = folded(typed);
    known
        .into_iter()
        .map(|word| (score(&wanted, &folded(word)), word))
        .filter(|(score, word)| *score <= limit(typed, word))
        .min_by_key(|(score, _)| *score)
        .map(|(_, word)| word)
}

/// A third of the letters may differ, and one always may.
fn limit(typed: &str, word: &str) -> usize {
    (typed.chars().count().max(word.chars().count()) / 3).max(1)
}

fn score(typed: &[char], word: &[char]) -> usize {
    if typed.is_empty() || word.is_empty() {
        return usize::MAX;
    }
    // `api` for `api-v2`: one begins with the other, which is closer than the letters say.
    let shared = typed.len().min(word.len());
    if shared >= 3 && typed[..shared] == word[..shared] {
        return distance(typed, word).min(1);
    }
    distance(typed, word)
}

fn folded(text: &str) -> Vec<char> {
    text.chars()
        .map(|c| {
            if c == '-' {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// Optimal string alignment distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slips_find_the_word_that_was_meant() {
        let keys = [
            "upstream",
            "path",
            "idle_timeout",
            "tunnel_idle_timeout",
            "api-v2",
            "app",
        ];
        for (typed, meant) in [
            ("upsteam", Some("upstream")),
            ("idle-timeout", Some("idle_timeout")),
            ("Path", Some("path")),
            ("ptah", Some("path")),
            ("api", Some("api-v2")),
            ("quite-different", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, keys), meant, "{typed}");
        }
    }

    proptest! {
        #[test]
        fn the_distance_is_the_same_both_ways(a in "[a-d]{0,8}", b in "[a-d]{0,8}") {
            let (a, b) = (folded(&a), folded(&b));
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert_eq!(distance(&a, &a), 0);
        }
    }
}
