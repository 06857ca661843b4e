//! Upstreams that no configuration names: a text says an address, or a host that DNS is asked for.
//!
//! Only for routes and streams that say `strangers`. What was found is kept for its time to live, of [`MOST`] at most; questions to DNS
//! are bounded in number and in time. Nothing is kept open to a stranger, as with nginx.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::admit::while_there;
use super::client::Client;
use super::heads::Prepared;
use super::trace::Trace;
use crate::config::{self, ServerName, Upstream, UpstreamTls};
use crate::dns::Resolver;
use crate::observe::cause::Cause;
use crate::snapshot::{Snapshot, connector};
use crate::transport::now;
use crate::types::dns_name::DnsName;
use crate::types::host::Host;
use crate::types::name::UpstreamName;
use crate::upstream::group::Group;

/// Strangers that are remembered.
const MOST: usize = 1024;
/// Questions at once.
const QUESTIONS: usize = 32;
/// For one question, whatever the number of servers, and the wait for its turn.
const LONGEST: Duration = Duration::from_secs(30);
/// For which an address is remembered.
const ADDRESS: Duration = Duration::from_secs(300);

/// Somebody who is to be asked.
#[derive(Debug)]
pub struct Stranger {
    /// Address or host, perhaps with a port.
    pub address: String,
    /// Whether it is asked by HTTPS, whoever it says it is: its name comes from the request as well.
    pub tls: bool,
    /// Whether DNS may be asked who it is.
    pub names: bool,
    /// The port, where the address says none; 0 where it has to.
    pub port: u16,
}

struct Known {
    group: Arc<Group>,
    until: Instant,
}

/// By TLS, the port that is usual, and the address.
type Asked = (bool, u16, String);

static KNOWN: LazyLock<Mutex<HashMap<Asked, Known>>> = LazyLock::new(Mutex::default);
static TURNS: Semaphore = Semaphore::const_new(QUESTIONS);

/// Has a request go to its stranger, if it has one. Fails with why it cannot.
pub(super) async fn introduce(
    prepared: &mut Prepared<'_>,
    snapshot: &Snapshot,
    client: &mut Client,
    trace: &mut Trace,
) -> Result<(), Cause> {
    let (Some(stranger), Some(chosen)) = (&prepared.stranger, &mut prepared.route) else {
        return Ok(());
    };
    match while_there(client, stranger.group(snapshot)).await {
        Some(Some(group)) => {
            trace.upstream = Some(group.name().clone());
            chosen.group = group;
            Ok(())
        }
        Some(None) => Err(Cause::UpstreamUnresolved),
        None => Err(Cause::ClientGone),
    }
}

impl Prepared<'_> {
    /// As [`introduce`], for a request that no client waits for. False when its stranger cannot be found.
    pub(super) async fn meet(&mut self, snapshot: &Snapshot) -> bool {
        let (Some(stranger), Some(chosen)) = (&self.stranger, &mut self.route) else {
            return true;
        };
        let found = stranger.group(snapshot).await;
        let is_found = found.is_some();
        if let Some(group) = found {
            chosen.group = group;
        }
        is_found
    }
}

impl Stranger {
    /// What is to be asked; `None` when it cannot be found.
    pub async fn group(&self, snapshot: &Snapshot) -> Option<Arc<Group>> {
        let (host, port) = parts(&self.address, self.port)?;
        let key = (self.tls, self.port, self.address.clone());
        if let Some(known) = KNOWN.lock().get(&key)
            && known.until > now()
        {
            return Some(known.group.clone());
        }
        let (addresses, holds) = match host.parse::<IpAddr>() {
            Ok(address) => (vec![address], ADDRESS),
            Err(_) if self.names => self.asked(host, &snapshot.config.resolver).await?,
            Err(_) => return None,
        };
        let endpoints = addresses
            .iter()
            .map(|address| SocketAddr::new(*address, port));
        let tls = self.tls.then(|| UpstreamTls {
            server_name: match Host::parse(host) {
                Ok(host) if host.ip().is_none() => ServerName::Fixed(host),
                _ => ServerName::Endpoint,
            },
            ca_file: None,
            client: None,
            verify: false,
            says_name: true,
            depth: None,
            cipher_suites: Vec::new(),
            crl_files: Vec::new(),
            version: None,
        });
        let upstream = Upstream {
            keep_alive: 0,
            tls,
            ..Upstream::plain(self.name(), endpoints)
        };
        let at = now();
        let connector = connector(&upstream, None).ok()?;
        let group = Arc::new(Group::new(upstream, None, at).connected_by(connector));
        let known = Known {
            group: group.clone(),
            until: at + holds,
        };
        let mut all = KNOWN.lock();
        if all.len() >= MOST {
            all.retain(|_, known| known.until > at);
            if all.len() >= MOST {
                all.clear();
            }
        }
        all.insert(key, known);
        Some(group)
    }

    async fn asked(
        &self,
        host: &str,
        settings: &config::Resolver,
    ) -> Option<(Vec<IpAddr>, Duration)> {
        let name = DnsName::parse(host).ok()?;
        let asking = async {
            let _turn = TURNS.acquire().await.ok()?;
            let own = settings.clone();
            let resolver = tokio::task::spawn_blocking(move || Resolver::new(&own));
            Some(resolver.await.ok()?.addresses(&name).await)
        };
        match timeout(LONGEST, asking).await.ok()?? {
            Ok(found) => {
                let holds = found.ttl.clamp(settings.min_ttl, settings.max_ttl);
                Some((found.all, holds))
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    event = "upstream.stranger",
                    error,
                    "{host} could not be resolved (3: Host not found)"
                );
                None
            }
        }
    }

    /// As it stands in logs.
    fn name(&self) -> UpstreamName {
        let fine = |c: char| {
            if c.is_ascii_alphanumeric() || ".-_".contains(c) {
                c
            } else {
                '-'
            }
        };
        let text: String = self.address.chars().map(fine).take(64).collect();
        UpstreamName::parse(&text).unwrap_or_else(|_| UpstreamName::nobody())
    }
}

/// Whether TLS is spoken, who is meant, and what is asked for: `http://host/path`, or the same without its scheme.
pub(super) fn split(said: &[u8]) -> (bool, &[u8], &[u8]) {
    let after = |scheme: &str| {
        let (begin, rest) = said.split_at_checked(scheme.len())?;
        begin
            .eq_ignore_ascii_case(scheme.as_bytes())
            .then_some(rest)
    };
    let (tls, said) = match (after("http://"), after("https://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => (false, said),
    };
    let end = said.iter().position(|byte| matches!(byte, b'/' | b'?'));
    let (who, what) = said.split_at(end.unwrap_or(said.len()));
    (tls, who, what)
}

/// Host and port, which is the `usual` one where none is said.
fn parts(address: &str, usual: u16) -> Option<(&str, u16)> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, port.parse().ok()?)),
            None => (rest.is_empty() && usual > 0).then_some((host, usual)),
        };
    }
    match address.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok().filter(|port| *port > 0)?)),
        None => (!address.is_empty() && usual > 0).then_some((address, usual)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_addresses_have_port_80_unless_they_say_another() {
        for (text, expected) in [
            ("192.0.2.1:8080", Some(("192.0.2.1", 8080))),
            ("app.internal", Some(("app.internal", 80))),
            ("[2001:db8::1]:81", Some(("2001:db8::1", 81))),
            ("[2001:db8::1]", Some(("2001:db8::1", 80))),
            ("h:0", None),
            ("h:x", None),
            ("", None),
        ] {
            assert_eq!(parts(text, 80), expected, "{text}");
        }
    }
}
