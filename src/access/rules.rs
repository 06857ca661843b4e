//! What rules of an `access` say of a client's address, as nginx's `allow` and `deny` would.
//!
//! Pure. Who the client is, after `trusted_proxies`, is known by whoever asks.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use crate::config::{AddressRule, Who};

/// What the first rule that matches says: whether the client is let in. `None` where none does.
pub fn verdict(rules: &[AddressRule], client: IpAddr, on_unix_socket: bool) -> Option<bool> {
    let client = client.to_canonical();
    let matches = |rule: &&AddressRule| match &rule.who {
        Who::All => true,
        Who::Unix => on_unix_socket,
        Who::Network(network) => !on_unix_socket && network.contains(&client),
    };
    rules.iter().find(matches).map(|rule| rule.allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(rules: &[&str], client: &str) -> Option<bool> {
        let rules: Vec<_> = rules
            .iter()
            .map(|rule| AddressRule::parse(rule).unwrap())
            .collect();
        match client {
            "unix:" => verdict(&rules, [127, 0, 0, 1].into(), true),
            client => verdict(&rules, client.parse().unwrap(), false),
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_without_one_nothing_is_said() {
        let rules = ["deny 10.1.0.0/16", "allow 10.0.0.0/8", "deny all"];
        assert_eq!(says(&rules, "10.1.2.3"), Some(false));
        assert_eq!(says(&rules, "10.2.2.3"), Some(true));
        assert_eq!(says(&rules, "::ffff:10.2.2.3"), Some(true));
        assert_eq!(says(&rules, "2001:db8::1"), Some(false));
        assert_eq!(says(&rules[..2], "192.0.2.1"), None);
    }

    #[test]
    fn a_client_on_a_unix_socket_has_no_address() {
        assert_eq!(says(&["allow unix:", "deny all"], "unix:"), Some(true));
        assert_eq!(says(&["allow 127.0.0.1", "deny all"], "unix:"), Some(false));
    }
}
