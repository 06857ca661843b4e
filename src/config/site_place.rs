//! Where a site answers, and what its routes are matched with.
//!
//! Values only; `schema` and `validate` make them, `router` finds sites and routes by them.

use std::net::IpAddr;

use super::listener::Listener;
use super::model::Listen;
use crate::types::address::Address;

/// An address of one site, or of several that name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteListen {
    /// Where.
    pub address: Address,
    /// Whether it is for TLS.
    pub tls: bool,
    /// Whether the site answers for hosts that no site of this address names; without one it is the first.
    pub default: bool,
}

impl Listen {
    /// The listener that connections to `own` come in by, and the local address they must have come to where that one
    /// takes those of others too.
    pub fn of_site(&self, own: &SiteListen) -> Option<(&Listener, Option<IpAddr>)> {
        let listeners = if own.tls { &self.https } else { &self.http };
        let same = listeners.iter().find(|one| one.address == own.address);
        if let Some(same) = same {
            return Some((same, None));
        }
        let ip = own.address.ip()?;
        let whole = listeners.iter().find(|one| one.takes_in(ip))?;
        Some((whole, Some(ip.ip())))
    }
}

/// What the routes of a site are matched with. What an upstream gets is another matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paths {
    /// The path as it was sent.
    #[default]
    Raw,
    /// A copy that is decoded, with `.` and `..` resolved, as nginx does; what cannot be gets 400.
    Normal {
        /// Whether several slashes in a row count as one.
        merge_slashes: bool,
    },
}
