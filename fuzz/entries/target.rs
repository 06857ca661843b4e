//! Request targets: cutting and rewriting lose no byte, whatever the bytes are.
//!
//! The first byte of the input says how long the prefix is, the rest is the target.

use hubgate::router::target::{path_of, rewrite, with_slash};

/// Holds what the header says of this input.
pub(crate) fn run(input: &[u8]) {
    let Some((&length, target)) = input.split_first() else {
        return;
    };
    let (path, query) = path_of(target);
    let joined = match query {
        Some(query) => [path, b"?", query].concat(),
        None => path.to_vec(),
    };
    assert_eq!(joined, target);
    assert!(!path.contains(&b'?'));

    let prefix = &target[..usize::from(length).min(target.len())];
    let there = rewrite(target, prefix, b"/elsewhere/");
    assert_eq!(rewrite(&there, b"/elsewhere/", prefix), target);
    assert_eq!(with_slash(target).len(), target.len() + 1);
}
