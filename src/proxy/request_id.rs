//! Makes identities for requests: 32 hexadecimal digits, unique per process and unlikely to repeat across them.
//!
//! A random prefix per worker thread and a count: cheaper than randomness for each request, and ids of one worker sort
//! by time.

use std::cell::Cell;

thread_local! {
    static NEXT: Cell<(u64, u64)> = Cell::new((fastrand::u64(..), fastrand::u64(..) >> 16));
}

/// Longest id taken over from a trusted peer.
const LONGEST: usize = 128;

/// A new id.
pub fn next() -> String {
    NEXT.with(|cell| {
        let (prefix, count) = cell.get();
        cell.set((prefix, count.wrapping_add(1)));
        format!("{prefix:016x}{count:016x}")
    })
}

/// Whether an id of a trusted peer is kept: short, and nothing a log or a field could stumble over.
pub fn is_acceptable(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= LONGEST
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_repeat_and_are_acceptable_themselves() {
        let (first, second) = (next(), next());
        assert_ne!(first, second);
        assert!(is_acceptable(&first) && first.len() == 32);
    }

    #[test]
    fn an_id_with_a_space_or_a_quote_is_not_kept() {
        assert!(!is_acceptable("a b") && !is_acceptable("a\"") && !is_acceptable(""));
    }
}
