//! The `Host` field: what is accepted names the same host when it is printed and read again.
//!
//! A host that reads differently the second time could be routed one way and logged, or redirected, another.

use hubgate::types::host::{Authority, Host};

/// Holds what the header says of this input.
pub(crate) fn run(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else {
        return;
    };
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
}
