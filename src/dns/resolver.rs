//! Looks names up: hosts with both families of addresses, and services.
//!
//! What this host knows itself goes first, then search domains and servers in their order, each server twice. "There is
//! none" and "it cannot be said" are told apart: only the first may lead on to the next search domain, so that a name
//! never comes to mean something else because a server is down.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::ask::{AskError, Data, Kind, Reply, ask};
use super::system::{self, ResolvConf, known_here};
use crate::config;
use crate::observe::reasons::with_reasons;
use crate::types::dns_name::DnsName;

/// A server that failed is asked once more, after the others.
const ROUNDS: usize = 2;
/// Names that stand for one another, one after the other.
const MOST_ALIASES: usize = 8;
/// Files do not say how long they hold.
const OF_FILES: Duration = Duration::from_secs(10);

/// Where and how to ask.
#[derive(Clone, Debug)]
pub struct Resolver {
    conf: ResolvConf,
    hosts: String,
    patience: Duration,
    ipv6: bool,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// In order, none twice.
    pub all: Vec<T>,
    /// For how long it holds.
    pub ttl: Duration,
    /// Of hosts: the family that could not be found out about, and why. What was known of it still counts.
    pub unknown: Option<(Family, String)>,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Whether the address is of it.
    pub fn has(self, address: &IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// One record of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// The lowest goes first.
    pub priority: u16,
    /// Who offers it.
    pub target: DnsName,
    /// At which port.
    pub port: u16,
    /// Its share among those of the same priority.
    pub weight: u16,
}

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Whoever knows says that there is nothing.
    #[error("{0}")]
    Empty(&'static str),
    /// Nobody could say.
    #[error("{0}")]
    Failed(String),
}

/// What one question gave: `None` is nothing of the kind.
type Answered = Result<Option<(Vec<Data>, Duration)>, AskError>;

impl Resolver {
    /// As `settings` ask for, with what the system's files say now. Blocks on them.
    pub fn new(settings: &config::Resolver) -> Self {
        let conf = match settings.servers.is_empty() {
            true => ResolvConf::of_system(),
            // The system's search domains go with the system's servers.
            false => ResolvConf {
                servers: settings.servers.clone(),
                search: Vec::new(),
                dots: 0,
            },
        };
        Self {
            conf,
            hosts: system::hosts(),
            patience: settings.timeout,
            ipv6: settings.ipv6,
        }
    }

    /// All addresses of a host that can be connected to.
    pub async fn addresses(&self, name: &DnsName) -> Result<Found<IpAddr>, LookupError> {
        let here = known_here(&self.hosts, name.as_str());
        if !here.is_empty() {
            return self.found(here, OF_FILES, None);
        }
        for candidate in self.candidates(name) {
            let v6 = async {
                match self.ipv6 {
                    true => self.ask(&candidate, Kind::Aaaa).await,
                    false => Ok(None),
                }
            };
            let (v4, v6) = tokio::join!(self.ask(&candidate, Kind::A), v6);
            let (mut all, mut ttl, mut unknown) = (Vec::new(), Duration::MAX, None);
            for (family, answered) in [(Family::V4, v4), (Family::V6, v6)] {
                match answered {
                    Ok(None) => {}
                    Ok(Some((records, holds))) => {
                        ttl = ttl.min(holds);
                        all.extend(records.into_iter().filter_map(|data| match data {
                            Data::Address(address) => Some(address),
                            _ => None,
                        }));
                    }
                    Err(error) => unknown = Some((family, with_reasons(&error))),
                }
            }
            match (all.is_empty(), unknown) {
                (false, unknown) => {
                    // Some servers have nothing to say of a family that a name has none of.
                    let unknown =
                        unknown.map(|(family, error)| (family, format!("{family}: {error}")));
                    return self.found(all, ttl, unknown);
                }
                (true, Some((_, error))) => return Err(LookupError::Failed(error)),
                (true, None) => {}
            }
        }
        Err(LookupError::Empty(
            "there is no such name, or it has no address",
        ))
    }

    fn found(
        &self,
        mut all: Vec<IpAddr>,
        ttl: Duration,
        unknown: Option<(Family, String)>,
    ) -> Result<Found<IpAddr>, LookupError> {
        all.retain(|address| (self.ipv6 || address.is_ipv4()) && can_be_connected_to(address));
        all.sort_unstable();
        all.dedup();
        match all.is_empty() {
            true => Err(LookupError::Empty(
                "none of its addresses can be connected to",
            )),
            false => Ok(Found { all, ttl, unknown }),
        }
    }

    /// Who offers a service.
    pub async fn services(&self, name: &DnsName) -> Result<Found<Service>, LookupError> {
        for candidate in self.candidates(name) {
            let answered = self.ask(&candidate, Kind::Srv).await;
            let answered = answered.map_err(|error| LookupError::Failed(with_reasons(&error)))?;
            let Some((records, ttl)) = answered else {
                continue;
            };
            let service = |data| match data {
                Data::Service(priority, weight, port @ 1.., Some(target)) => Some(Service {
                    priority,
                    target,
                    port,
                    weight,
                }),
                _ => None,
            };
            let mut all: Vec<_> = records.into_iter().filter_map(service).collect();
            if all.is_empty() {
                return Err(LookupError::Empty(
                    "its records say that it is not to be had",
                ));
            }
            all.sort_unstable();
            all.dedup();
            let unknown = None;
            return Ok(Found { all, ttl, unknown });
        }
        Err(LookupError::Empty("there is no such service"))
    }

    /// The whole names to ask for, in order.
    fn candidates(&self, name: &DnsName) -> Vec<String> {
        let as_it_is = name.as_str().to_owned();
        if name.is_absolute() {
            return vec![as_it_is];
        }
        let dots = as_it_is.matches('.').count();
        let search = self.conf.search.iter();
        let mut all: Vec<_> = search
            .map(|domain| format!("{as_it_is}.{domain}"))
            .collect();
        match dots >= self.conf.dots {
            true => all.insert(0, as_it_is),
            false => all.push(as_it_is),
        }
        all
    }

    /// What the servers say, the first that does.
    async fn ask(&self, name: &str, kind: Kind) -> Answered {
        let mut name = name.to_owned();
        let mut least = Duration::MAX;
        for _ in 0..MOST_ALIASES {
            match self.ask_once(&name, kind).await? {
                Reply::Records(records, _) if records.is_empty() => return Ok(None),
                Reply::Records(records, ttl) => {
                    return Ok(Some((records, ttl.unwrap_or_default().min(least))));
                }
                Reply::Alias(other, ttl) => {
                    least = least.min(ttl);
                    name = other.as_str().to_owned();
                }
                Reply::Truncated | Reply::Refused(_) => break,
            }
        }
        Ok(None)
    }

    async fn ask_once(&self, name: &str, kind: Kind) -> Result<Reply, AskError> {
        let mut failed = AskError::Name;
        for _ in 0..ROUNDS {
            for server in &self.conf.servers {
                match ask(*server, name, kind, self.patience).await {
                    Ok(reply) => return Ok(reply),
                    Err(error) => failed = error,
                }
            }
        }
        Err(failed)
    }
}

/// Not everything that DNS says is an address of one host.
fn can_be_connected_to(address: &IpAddr) -> bool {
    let is_local_to_a_link = match address {
        IpAddr::V4(v4) => v4.is_broadcast(),
        // It would need an interface.
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(address.is_unspecified() || address.is_multicast() || is_local_to_a_link)
}
