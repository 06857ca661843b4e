//! `access` of a site or a route as checked: who is let in, by address and by password.
//!
//! Values only. What they mean for one request is `access`'s (the module), asking it `proxy`'s.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use ipnet::IpNet;

use super::text::Text;

/// Who is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The first that matches decides; where none does, addresses say nothing.
    pub rules: Vec<AddressRule>,
    /// A name and a password.
    pub basic: Option<Basic>,
    /// Another route's leave.
    pub ask: Option<Ask>,
    /// How many of those that are set must agree.
    pub need: Need,
    /// How long whoever gets 401 has to wait for it.
    pub delay: Option<Duration>,
    /// What counts in place of all this for some methods.
    pub others: Option<Box<Others>>,
}

/// What counts for requests with other methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Others {
    /// Than these; GET includes HEAD.
    pub than: Vec<Method>,
    /// Who is let in then.
    pub access: Arc<Access>,
}

impl Others {
    /// Whether a request with this method is one of them.
    pub fn has(&self, method: &Method) -> bool {
        let head = *method == Method::HEAD && self.than.contains(&Method::GET);
        !(head || self.than.contains(method))
    }
}

/// `allow 10.0.0.0/8`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRule {
    /// `allow`, not `deny`.
    pub allow: bool,
    /// Whom.
    pub who: Who,
}

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody.
    All,
    /// Clients on unix sockets.
    Unix,
    /// An address or a network.
    Network(IpNet),
}

/// A name and a password (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basic {
    /// What the browser shows.
    pub realm: Text,
    /// Names and hashes, as `htpasswd` writes them.
    pub file: PathBuf,
}

/// A route of the site that says who is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The path that is asked for.
    pub path: Box<str>,
    /// Variables that get values once it has answered.
    pub take: BTreeMap<Box<str>, Text>,
}

/// How many must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Need {
    /// Each.
    #[default]
    All,
    /// One is enough.
    Any,
}

impl Need {
    /// As in configurations.
    pub const WORDS: &'static [&'static str] = &["all", "any"];

    /// As in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Any => "any",
        }
    }
}

impl Access {
    /// Whether everybody is let in.
    pub fn is_empty(&self) -> bool {
        let own = self.rules.is_empty() && self.basic.is_none() && self.ask.is_none();
        own && self.others.is_none()
    }

    /// Its texts with variables.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        let others = self.others.iter().map(|others| &*others.access);
        [self].into_iter().chain(others).flat_map(|own| {
            let realm = own.basic.iter().map(|basic| &basic.realm);
            let taken = own.ask.iter().flat_map(|ask| ask.take.values());
            realm.chain(taken)
        })
    }
}

impl AddressRule {
    /// Takes `allow WHO` or `deny WHO`, where WHO is an address, a network, `all` or `unix:`.
    pub fn parse(text: &str) -> Option<Self> {
        let (verb, who) = text.trim().split_once(' ')?;
        let allow = match verb {
            "allow" => true,
            "deny" => false,
            _ => return None,
        };
        let who = match who.trim() {
            "all" => Who::All,
            "unix:" => Who::Unix,
            who => Who::Network(match who.parse::<IpNet>() {
                Ok(network) => network.trunc(),
                Err(_) => who.parse::<IpAddr>().ok()?.into(),
            }),
        };
        Some(Self { allow, who })
    }
}

impl fmt::Display for AddressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.allow { "allow " } else { "deny " })?;
        match &self.who {
            Who::All => f.write_str("all"),
            Who::Unix => f.write_str("unix:"),
            Who::Network(network) => network.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_printed_as_it_is_read() {
        for text in [
            "allow 10.0.0.0/8",
            "deny all",
            "allow unix:",
            "deny 2001:db8::/32",
        ] {
            assert_eq!(AddressRule::parse(text).unwrap().to_string(), text);
        }
        let single = AddressRule::parse("allow 192.0.2.1").unwrap();
        assert_eq!(single.to_string(), "allow 192.0.2.1/32");
        for text in ["10.0.0.0/8", "allow", "permit all", "deny hub.test"] {
            assert_eq!(AddressRule::parse(text), None, "{text}");
        }
    }
}
