//! Takes connections from a listening socket, within the caps, and never spins.
//!
//! A connection above a cap is closed unserved and counted. What becomes of the others is `connection`'s.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::beat::Beat;
use super::connection::{self, Context};
use super::door::Door;
use super::proxy_header::{self, Policy, Refusal};
use crate::limits::connections::{Permit, Refused};
use crate::observe::metrics::ListenerKind;
use crate::transport::now;
use crate::transport::proxy_protocol::{Fault, Proxied, Said};
use crate::types::address::Address;

/// The wait after the system had no resources for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// At most one complaint of a listener in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// A listener's address in the configuration, and its kind.
pub type ListenerKey = (Address, ListenerKind);

/// Who a connection is from, and what a load balancer has said of it.
pub type Client = (SocketAddr, Option<Arc<Proxied>>);

/// Accepts until the future is dropped; connections go on without it. `beat` answers while the loop runs.
pub async fn accept(door: Arc<Door>, key: ListenerKey, context: Arc<Context>, beat: &Beat) {
    let mut failing = Failing::default();
    loop {
        match door.next(beat).await {
            Ok((tcp, peer)) => take(tcp, peer, &key, &context),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => failing.pause(&error, &key.0, &context).await,
        }
    }
}

/// A listener that the system has no resources for at times.
#[derive(Debug, Default)]
pub(super) struct Failing {
    complained: Option<Instant>,
}

impl Failing {
    /// Counts the failure, says so once in a while, and waits.
    pub(super) async fn pause(&mut self, error: &io::Error, listener: &Address, context: &Context) {
        context.shared.metrics.accepts_failed.inc();
        let is_new = |at: Instant| at.elapsed() >= COMPLAIN_EVERY;
        if self.complained.is_none_or(is_new) {
            self.complained = Some(Instant::now());
            tracing::error!(
                %error,
                %listener,
                "cannot accept connections; trying again, and {}",
                advice(error)
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Takes the connections that wait already at a listener that is about to close, which would reset them.
pub fn accept_waiting(door: &Door, key: &ListenerKey, context: &Arc<Context>) {
    while let Some((tcp, peer)) = door.waiting() {
        take(tcp, peer, key, context);
    }
}

/// Begins a connection, if the caps allow it.
fn take(tcp: TcpStream, peer: SocketAddr, key: &ListenerKey, context: &Arc<Context>) {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let expected = {
        let snapshot = context.shared.snapshot.load();
        let settings = &snapshot.config.listen.proxy_protocol;
        proxy_header::policy(settings, &key.0).map(|policy| {
            let trusted = proxy_header::is_trusted(settings.from_at(&key.0), peer.ip());
            (policy, (trusted, trusted || settings.anybody))
        })
    };
    let permit = match (&expected, &key.0) {
        // Whom a load balancer speaks for is not known yet, and it may have more connections than a client; so may
        // who stands behind a unix socket.
        (Some((_, (true, _))), _) | (_, Address::Unix(_)) => context.caps.try_acquire_unknown(),
        _ => context.caps.try_acquire(peer.ip()),
    };
    let permit = match permit {
        Ok(permit) => permit,
        Err(refused) => return count(&refused, peer, context),
    };
    let open = context.shared.metrics.connection_opened(key.1);
    let entry = context.book.open(peer, now());
    let (key, context) = (key.clone(), context.clone());
    match expected {
        None => tokio::spawn(async move {
            connection::serve(tcp, (peer, None), key, &context, entry).await;
            drop((permit, open));
        }),
        Some((policy, (trusted, heard))) => tokio::spawn(async move {
            let arrival = Arrival {
                tcp,
                peer,
                permit,
                trusted,
                heard,
            };
            if let Some((tcp, client, permit)) = arrival.reveal(policy, &context).await {
                entry.note(|row| row.client = client.0);
                connection::serve(tcp, client, key, &context, entry).await;
                drop(permit);
            }
            drop(open);
        }),
    };
}

pub(super) fn count(refused: &Refused, peer: SocketAddr, context: &Context) {
    let metrics = &context.shared.metrics;
    match refused {
        Refused::Total { .. } => metrics.connections_refused_total_cap.inc(),
        Refused::PerClient { .. } => metrics.connections_refused_client_cap.inc(),
    }
    tracing::debug!(%peer, %refused, "connection refused");
}

/// A connection that may begin with a PROXY header.
struct Arrival {
    tcp: TcpStream,
    peer: SocketAddr,
    permit: Permit,
    /// Whether the peer may speak for others; its permit then names no client yet.
    trusted: bool,
    /// Whether it may send a header.
    heard: bool,
}

impl Arrival {
    /// Learns for whom the connection is, within the time for a handshake. `None` ends it, counted.
    async fn reveal(
        mut self,
        policy: Policy,
        context: &Context,
    ) -> Option<(TcpStream, Client, Permit)> {
        let counts = &context.shared.metrics.proxy_headers;
        let limit = context.shared.snapshot.load().config.timeouts.handshake;
        let taken = timeout(limit, proxy_header::take(&mut self.tcp, self.heard, policy));
        let client = match taken.await {
            Ok(Ok(Some((said, values)))) => {
                counts.taken.inc();
                match said {
                    Said::Proxied {
                        source,
                        destination,
                    } => {
                        let proxied = Proxied {
                            sender: self.peer,
                            source,
                            destination,
                            values,
                        };
                        let client = if self.trusted { source } else { self.peer };
                        (client, Some(Arc::new(proxied)))
                    }
                    Said::Own => (self.peer, None),
                }
            }
            Ok(Ok(None)) => {
                counts.absent.inc();
                (self.peer, None)
            }
            Ok(Err(refusal)) => {
                match &refusal {
                    Refusal::Untrusted => counts.untrusted.inc(),
                    Refusal::Missing => counts.missing.inc(),
                    Refusal::Invalid(Fault::Malformed(_)) => counts.malformed.inc(),
                    Refusal::Invalid(Fault::TooLong) => counts.too_long.inc(),
                    // As any other that leaves before it has said anything.
                    Refusal::Gone(_) => {}
                }
                tracing::debug!(peer = %self.peer, error = &refusal as &dyn std::error::Error, "connection ended at its PROXY header");
                return None;
            }
            Err(_) => {
                counts.timed_out.inc();
                tracing::debug!(peer = %self.peer, "the PROXY header took too long");
                return None;
            }
        };
        let permit = match self.trusted {
            true => self.permit.of_client(client.0.ip()),
            false => Ok(self.permit),
        };
        match permit {
            Ok(permit) => Some((self.tcp, client, permit)),
            Err(refused) => {
                count(&refused, client.0, context);
                None
            }
        }
    }
}

/// What the operator can do about it.
fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => {
            "`LimitNOFILE=` or `ulimit -n` has to be above twice `limits.connections`"
        }
        Some(libc::ENFILE) => "the system is out of file descriptors: see `sysctl fs.file-max`",
        _ => "the system is out of memory for sockets",
    }
}

/// Whether an accept failed because of the connection, not because of us (accept(2)).
pub(super) fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
    ) || matches!(
        error.raw_os_error(),
        Some(libc::EPROTO | libc::ENOPROTOOPT | libc::EHOSTDOWN | libc::ENONET)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_resources_is_waited_for_and_one_lost_connection_is_not() {
        let is_of_one = |code| is_of_one_connection(&io::Error::from_raw_os_error(code));
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert!(!is_of_one(code), "{code}");
        }
        // accept(2): what is wrong with the next connection is told there.
        for code in [
            libc::ECONNABORTED,
            libc::EINTR,
            libc::EAGAIN,
            libc::ENETDOWN,
            libc::EPROTO,
            libc::ENOPROTOOPT,
            libc::EHOSTDOWN,
            libc::ENONET,
            libc::EHOSTUNREACH,
            libc::ENETUNREACH,
        ] {
            assert!(is_of_one(code), "{code}");
        }
        let advice = |code| advice(&io::Error::from_raw_os_error(code));
        assert!(advice(libc::EMFILE).contains("LimitNOFILE="));
        assert!(advice(libc::ENFILE).contains("fs.file-max"));
        assert!(advice(libc::ENOBUFS).contains("memory for sockets"));
    }
}
