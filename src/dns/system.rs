//! What this host knows of names by itself: `/etc/resolv.conf` and `/etc/hosts`.
//!
//! Parsing is pure; lines that are not understood are passed over, as the C library does. Files are read anew for each
//! round of questions, so that what an operator or a DHCP client changes counts without a reload. Larger ones than
//! [`MOST_BYTES`] are read to there.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Read of a file.
const MOST_BYTES: u64 = 1 << 20;
/// Name servers and search domains that count; the C library takes 3 and, since 2.26, any number.
const MOST_SERVERS: usize = 3;
const MOST_DOMAINS: usize = 8;
/// The C library caps it so.
const MOST_DOTS: usize = 15;

/// Whom to ask, and for which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    pub(super) servers: Vec<SocketAddr>,
    pub(super) search: Vec<String>,
    /// A name with so many dots is asked for as it is first.
    pub(super) dots: usize,
}

impl ResolvConf {
    /// What the system says; without a file, as the C library does without.
    pub(super) fn of_system() -> Self {
        Self::parse(&text("/etc/resolv.conf"))
    }

    fn parse(text: &str) -> Self {
        let mut own = Self {
            servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
        };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // A link-local address has its interface behind `%`, which only IPv6 sockets know.
                    let address = words.next().and_then(server);
                    own.servers.extend(address);
                }
                // The last of them counts.
                Some("search" | "domain") => {
                    let whole = words.map(|domain| domain.trim_matches('.').to_ascii_lowercase());
                    own.search = whole.filter(|domain| !domain.is_empty()).collect();
                }
                Some("options") => {
                    for option in words {
                        if let Some(dots) = option.strip_prefix("ndots:") {
                            own.dots = dots.parse().unwrap_or(1).min(MOST_DOTS);
                        }
                    }
                }
                _ => {}
            }
        }
        own.servers.truncate(MOST_SERVERS);
        own.search.truncate(MOST_DOMAINS);
        if own.servers.is_empty() {
            own.servers.push((Ipv4Addr::LOCALHOST, 53).into());
        }
        own
    }
}

fn server(text: &str) -> Option<SocketAddr> {
    let address: IpAddr = text.parse().ok()?;
    Some(SocketAddr::new(address, 53))
}

/// What `/etc/hosts` says.
pub(super) fn hosts() -> String {
    text("/etc/hosts")
}

/// The addresses that this host itself knows for a name: those of `hosts`; itself for `localhost` (RFC 6761
/// section 6.3).
pub(super) fn known_here(hosts: &str, name: &str) -> Vec<IpAddr> {
    let found = in_hosts(hosts, name);
    let is_local = name == "localhost" || name.ends_with(".localhost");
    match found.is_empty() && is_local {
        true => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        false => found,
    }
}

fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else {
            continue;
        };
        let mut names = words.map(|word| word.trim_end_matches('.'));
        if names.any(|word| word.eq_ignore_ascii_case(name)) && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// What is in the file; nothing when it cannot be read.
fn text(path: &str) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
    if let Err(error) = read {
        tracing::debug!(path, %error, "not read");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn servers_domains_and_dots_are_read_and_the_rest_is_passed_over() {
        let text = "# made by hand\nnameserver 10.0.0.10\nnameserver\t2001:db8::53\nnameserver nonsense\n\
                    domain first.example\nsearch Corp.Example. example\noptions ndots:5 timeout:1 rotate\n; end\n";
        let servers = ["10.0.0.10:53", "[2001:db8::53]:53"].map(|one| one.parse().unwrap());
        let expected = ResolvConf {
            servers: servers.to_vec(),
            search: vec!["corp.example".to_owned(), "example".to_owned()],
            dots: 5,
        };
        assert_eq!(ResolvConf::parse(text), expected);
    }

    #[test]
    fn without_a_word_this_host_is_asked() {
        let own = ResolvConf::parse("");
        assert_eq!(
            (own.servers[0].to_string().as_str(), own.dots),
            ("127.0.0.1:53", 1)
        );
        assert!(own.search.is_empty());
    }

    #[test]
    fn hosts_has_names_in_any_case_on_several_lines() {
        let text = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n192.0.2.7\tHub.Internal. hub # the hub\n\
                    192.0.2.8 hub\n192.0.2.7 hub\nbroken hub\n";
        let of = |name: &str| -> Vec<String> {
            in_hosts(text, name)
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(of("hub"), ["192.0.2.7", "192.0.2.8"]);
        assert_eq!(of("hub.internal"), ["192.0.2.7"]);
        assert_eq!(of("localhost"), ["127.0.0.1", "::1"]);
        assert!(of("the").is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "\\PC{0,200}", name in "[a-z.]{0,9}") {
            drop(ResolvConf::parse(&text));
            drop(in_hosts(&text, &name));
        }
    }
}
