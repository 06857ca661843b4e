//! The few DNS questions that `certs doctor` has: A, AAAA and CAA (RFC 8659).
//!
//! Asks one server, the system's first unless told otherwise, and leaves walking the tree to it; `dns` knows how to ask.
//! Every question ends within [`DEADLINE`] for each of two tries.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::dns::ask::{Data, Kind, Reply, ask};
use crate::dns::system_servers;
use crate::observe::reasons::with_reasons;

const DEADLINE: Duration = Duration::from_secs(3);

/// A server to ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver(pub(super) SocketAddr);

/// A record that says who may issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CaaRecord {
    /// Whoever does not know the tag must not issue.
    pub(super) critical: bool,
    /// In lower case.
    pub(super) tag: String,
    /// As it is.
    pub(super) value: String,
}

impl Resolver {
    /// The first server that the system asks.
    pub(super) fn of_system() -> Option<Self> {
        system_servers().first().copied().map(Self)
    }

    /// The host's addresses, IPv4 first.
    pub(super) fn addresses(self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut found = self.ask(host, Kind::A)?;
        found.extend(self.ask(host, Kind::Aaaa)?);
        let address = |data| match data {
            Data::Address(address) => Some(address),
            _ => None,
        };
        Ok(found.into_iter().filter_map(address).collect())
    }

    /// The records that count for the host: its own, or those of the nearest name above that has any.
    pub(super) fn caa(self, host: &str) -> io::Result<Vec<CaaRecord>> {
        let mut name = host;
        loop {
            let found: Vec<_> = self
                .ask(name, Kind::Caa)?
                .into_iter()
                .filter_map(|data| match data {
                    Data::Issue(flags, tag, value) => Some(CaaRecord {
                        critical: flags & 0x80 != 0,
                        tag,
                        value: value.trim().to_owned(),
                    }),
                    _ => None,
                })
                .collect();
            match name.split_once('.') {
                Some((_, above)) if found.is_empty() => name = above,
                _ => return Ok(found),
            }
        }
    }

    /// All records of this kind; none when the name does not exist. Asks twice.
    fn ask(self, name: &str, kind: Kind) -> io::Result<Vec<Data>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let name = name.trim_end_matches('.');
        let ask = || runtime.block_on(async { ask(self.0, name, kind, DEADLINE).await });
        match ask().or_else(|_| ask()) {
            Ok(Reply::Records(records, _)) => Ok(records),
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(io::Error::other(with_reasons(&error))),
        }
    }
}
