//! PROXY headers: the verdict does not depend on how many bytes have come, and a header ends within them and the bound.
#![no_main]

use hubgate::transport::proxy_protocol::{LONGEST, Verdict, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let whole = parse(input);
    if let Ok(Verdict::Complete(size, _)) = whole {
        assert!(size <= input.len() && size <= LONGEST);
    }
    for cut in 0..input.len().min(64) {
        match parse(&input[..cut]) {
            Ok(Verdict::Partial) => {}
            early => assert_eq!(early, whole),
        }
    }
});
