//! ClientHellos: the verdict does not depend on how many bytes have come, and no more than the bound are asked for.

use hubgate::listener::client_hello::{LONGEST, Verdict, parse};

/// Holds what the header says of this input.
pub(crate) fn run(input: &[u8]) {
    let whole = parse(input);
    assert!(input.len() < LONGEST || whole != Ok(Verdict::Partial));
    for cut in 0..input.len().min(128) {
        match parse(&input[..cut]) {
            Ok(Verdict::Partial) => {}
            early => assert_eq!(early, whole),
        }
    }
}
