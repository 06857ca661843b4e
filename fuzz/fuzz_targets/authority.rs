//! The `Host` field: what is accepted names the same host when it is printed and read again.
//!
//! A host that reads differently the second time could be routed one way and logged, or redirected, another.
#![no_main]

use hubgate::types::host::{Authority, Host};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    if let Ok(authority) = Authority::parse(input) {
        let again = Host::parse(authority.host.as_str());
        assert_eq!(again.as_ref(), Ok(&authority.host));
        assert!(
            authority
                .host
                .as_str()
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'/')
        );
        assert_ne!(authority.port, Some(0));
    }
});
