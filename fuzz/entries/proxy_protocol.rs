//! PROXY headers: the verdict does not depend on how many bytes have come, a header ends within them and the bound, and every
//! value in it can be asked for.

use hubgate::transport::proxy_protocol::{LONGEST, Verdict, parse};

/// Holds what the header says of this input.
pub(crate) fn run(input: &[u8]) {
    let whole = parse(input);
    if let Ok(Verdict::Complete(size, _, values)) = &whole {
        assert!(*size <= input.len() && *size <= LONGEST);
        for kind in 0..=u8::MAX {
            assert!(values.get(kind).is_none_or(|value| value.len() < *size));
            assert!(values.of_tls(kind).is_none() || values.tls_verify().is_some());
        }
    }
    for cut in 0..input.len().min(64) {
        match parse(&input[..cut]) {
            Ok(Verdict::Partial) => {}
            early => assert_eq!(early, whole),
        }
    }
}
