//! Takes connections from a listening socket, within the caps, and never spins.
//!
//! A connection above a cap is closed unserved and counted. What becomes of the others is `connection`'s.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use super::connection::{self, Context};
use crate::limits::connections::Refused;
use crate::observe::metrics::ListenerKind;

/// The wait after the system had no resources for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// At most one complaint of a listener in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// Accepts until the future is dropped; connections go on without it.
pub async fn accept(listener: TcpListener, kind: ListenerKind, context: Arc<Context>) {
    let local = listener.local_addr().ok();
    let mut complained: Option<Instant> = None;
    loop {
        let (tcp, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                if complained.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
                    complained = Some(Instant::now());
                    tracing::error!(
                        %error,
                        listener = ?local,
                        "cannot accept connections; trying again, and {}",
                        advice(&error)
                    );
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let metrics = &context.shared.metrics;
        let permit = match context.caps.try_acquire(peer.ip()) {
            Ok(permit) => permit,
            Err(refused) => {
                match refused {
                    Refused::Total { .. } => metrics.connections_refused_total_cap.inc(),
                    Refused::PerClient { .. } => metrics.connections_refused_client_cap.inc(),
                }
                tracing::debug!(%peer, %refused, "connection refused");
                continue;
            }
        };
        let open = metrics.connection_opened(kind);
        let context = context.clone();
        tokio::spawn(async move {
            connection::serve(tcp, peer, kind, &context).await;
            drop((permit, open));
        });
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
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
    )
}
