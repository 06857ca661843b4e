//! One connection from its accept to its end: the TLS handshake, the guarded link, the engine.
//!
//! The server name decides before anything else is spent: a client that asks for a host without a certificate gets
//! `unrecognized_name`, plain HTTP on a TLS port gets a 400 that says so. Both within the handshake's deadline.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use pingora::server::ShutdownWatch;
use rustls::server::Acceptor;
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::accept::ListenerKey;
use super::passthrough;
use crate::acme::challenge;
use crate::limits::connections::ConnectionCaps;
use crate::observe::metrics::ListenerKind;
use crate::proxy::app::{App, Drain, Facts, Shared};
use crate::proxy::h2::connection::{self as h2_connection, H2Limits};
use crate::proxy::refuse;
use crate::tls::client::Client;
use crate::tls::{self, Certificates, UNRECOGNIZED_NAME};
use crate::transport::head::HeadLimits;
use crate::transport::{BelowTls, EngineStream, Gate, GateLimits, Link, Socket};
use crate::types::address::Address;
use crate::types::host::Host;
use crate::upstream::pool::Pool;

/// A connection that waits for a request in a drain is given this long to send one more.
const LAST_CALL: Duration = Duration::from_millis(500);

/// What the connections of one worker share.
pub struct Context {
    /// With all workers.
    pub shared: Arc<Shared>,
    /// The worker's idle connections to endpoints.
    pub pool: Arc<Pool>,
    /// Open connections, with all workers.
    pub caps: Arc<ConnectionCaps>,
    /// The certificates being served.
    pub certificates: Arc<Certificates>,
    /// Becomes true when the drain begins.
    pub shutdown: ShutdownWatch,
}

/// The address that `tcp` came to, when a text of the configuration names it: to ask costs a call.
fn local(tcp: &TcpStream, context: &Context) -> Option<SocketAddr> {
    let named = context.shared.snapshot.load().names_local;
    let local = named.then(|| tcp.local_addr())?;
    let local = local.ok()?;
    Some(SocketAddr::new(local.ip().to_canonical(), local.port()))
}

/// Serves a connection to its end.
/// `key` is its listener's address in the configuration, and its kind.
pub async fn serve(mut tcp: TcpStream, peer: SocketAddr, key: ListenerKey, context: &Context) {
    let kind = key.1;
    if kind != ListenerKind::Http && context.shared.snapshot.load().streams.is_at(&key.0) {
        match Box::pin(passthrough::pass(tcp, peer, &key, context)).await {
            Some(back) => tcp = back,
            None => return,
        }
    }
    // A unix socket never waits.
    if matches!(key.0, Address::Ip(_))
        && let Err(error) = tcp.set_nodelay(true)
    {
        tracing::debug!(%error, %peer, "the client left before its connection began");
        return;
    }
    let mut facts = Facts {
        peer,
        peer_text: peer.ip().to_string().into(),
        local: local(&tcp, context),
        is_tls: kind == ListenerKind::Https,
        server_name: None,
        tls_version: None,
        client: Client::Unasked,
    };
    let (socket, h2) = match kind {
        ListenerKind::Http => (Socket::Plain(tcp), false),
        // A reload took its stream away while it was accepted.
        ListenerKind::Stream | ListenerKind::Udp => return,
        // Boxed: its state is larger than that of all that follows, and a connection need not keep it.
        ListenerKind::Https => match Box::pin(handshake(tcp, &mut facts, context)).await {
            Some(tls) => {
                let h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                (Socket::Tls(Box::new(tls)), h2)
            }
            None => return,
        },
    };
    requests(socket, h2, facts, context).await;
}

async fn requests(socket: Socket, h2: bool, facts: Facts, context: &Context) {
    let snapshot = context.shared.snapshot.load();
    let (limits, timeouts) = (&snapshot.config.limits, &snapshot.config.timeouts);
    let head_size = u32::try_from(limits.head_size.0).unwrap_or(u32::MAX);
    let gate = GateLimits {
        head: HeadLimits {
            size: head_size as usize,
            fields: limits.head_fields,
        },
        head_time: timeouts.head,
        keep_alive: timeouts.keep_alive,
        write: timeouts.write,
    };
    let link = Arc::new(Link::new(socket, Some(Gate::new(gate, h2))));
    let h2_limits = H2Limits {
        streams: limits.h2_streams,
        head_size,
        idle: timeouts.keep_alive,
    };
    let app = Arc::new(App {
        shared: context.shared.clone(),
        pool: context.pool.clone(),
        facts,
        link: link.clone(),
    });
    drop(snapshot);
    let stream = EngineStream::new(link.clone(), None, h2);
    if h2 {
        return h2_connection::serve(app, h2_limits, stream, context.shutdown.clone()).await;
    }
    let mut served = pin!(app.serve_requests(stream, &context.shutdown));
    if until_drain(served.as_mut(), context.shutdown.clone()).await {
        return;
    }
    link.last_call(LAST_CALL);
    let mut drain = context.shared.drain.clone();
    tokio::select! {
        () = &mut served => return,
        // An error means that the process is gone.
        _ = drain.wait_for(|drain| *drain == Drain::Ending) => link.end_waits(),
    }
    served.await;
}

/// True once `served` is over, false when the drain begins before. Asking for the drain takes a lock, so it is asked for
/// once, and again only when something has changed.
async fn until_drain(
    mut served: Pin<&mut impl Future<Output = ()>>,
    shutdown: ShutdownWatch,
) -> bool {
    let change = shutdown.clone();
    let mut shutdown = shutdown;
    // An error means that the process is gone, and this task with it.
    let mut drain = pin!(shutdown.wait_for(|draining| *draining));
    let mut asked = false;
    poll_fn(|cx| {
        if served.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        if asked && !change.has_changed().unwrap_or(true) {
            return Poll::Pending;
        }
        asked = true;
        drain.as_mut().poll(cx).map(|_| false)
    })
    .await
}

async fn handshake(
    tcp: TcpStream,
    facts: &mut Facts,
    context: &Context,
) -> Option<TlsStream<BelowTls>> {
    let metrics = &context.shared.metrics;
    let limit = context.shared.snapshot.load().config.timeouts.handshake;
    let shaken = timeout(limit, shake(tcp, facts, context));
    let mut shutdown = context.shutdown.clone();
    let stopped = async {
        // An error means that the process is gone.
        drop(shutdown.wait_for(|draining| *draining).await);
        tokio::time::sleep(LAST_CALL).await;
    };
    let shaken = tokio::select! {
        biased;
        shaken = shaken => shaken,
        // No request of its client has been taken.
        () = stopped => return None,
    };
    match shaken {
        Ok(Some(tls)) => {
            metrics.tls_handshakes_done.inc();
            facts.tls_version = match tls.get_ref().1.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_2) => Some("TLSv1.2"),
                Some(rustls::ProtocolVersion::TLSv1_3) => Some("TLSv1.3"),
                _ => None,
            };
            Some(tls)
        }
        Ok(None) => {
            metrics.tls_handshakes_failed.inc();
            None
        }
        Err(_) => {
            metrics.tls_handshakes_timed_out.inc();
            tracing::debug!(peer = %facts.peer, "the TLS handshake took too long");
            None
        }
    }
}

async fn shake(
    tcp: TcpStream,
    facts: &mut Facts,
    context: &Context,
) -> Option<TlsStream<BelowTls>> {
    let mut acceptor = std::pin::pin!(LazyConfigAcceptor::new(Acceptor::default(), BelowTls(tcp)));
    let start = match acceptor.as_mut().await {
        Ok(start) => start,
        Err(error) => {
            tracing::debug!(peer = %facts.peer, %error, "no TLS handshake");
            if let Some(tcp) = acceptor.take_io() {
                answer_plain_http(tcp, &error, facts, context).await;
            }
            return None;
        }
    };
    let name = start.client_hello().server_name().map(str::to_owned);
    let asks_challenge = start
        .client_hello()
        .alpn()
        .is_some_and(|mut offered| offered.any(|one| one == challenge::ALPN));
    if let Some(name) = name.as_deref().filter(|_| asks_challenge)
        && let Some(pair) = context.shared.tokens.pair_for(name)
    {
        show_challenge(start, name, &pair).await;
        return None;
    }
    facts.server_name = name.as_deref().and_then(|name| Host::parse(name).ok());
    let known = facts.server_name.as_ref().map(Host::as_str);
    if !context.certificates.has(known) {
        tracing::debug!(peer = %facts.peer, server_name = ?name, "no certificate for this server name");
        let mut tcp = start.io;
        // The client may be gone already, which is as well.
        drop(tcp.write_all(&UNRECOGNIZED_NAME).await);
        return None;
    }
    let current = {
        let snapshot = context.shared.snapshot.load();
        snapshot.server_tls(facts.server_name.as_ref())
    };
    match start.into_stream(Arc::clone(&current.config)).await {
        Ok(tls) => {
            if let Some(judge) = &current.judge {
                facts.client = Client::of(tls.get_ref().1.peer_certificates(), judge);
            }
            Some(tls)
        }
        Err(error) => {
            tracing::debug!(peer = %facts.peer, server_name = ?name, %error, "the TLS handshake failed");
            None
        }
    }
}

/// Shows an authority the certificate that proves the host ours; nothing is said after the handshake (RFC 8737).
async fn show_challenge(start: StartHandshake<BelowTls>, name: &str, pair: &CertifiedKey) {
    let shown = async {
        let config = tls::server_config::for_challenge(pair, challenge::ALPN)
            .map_err(std::io::Error::other)?;
        start.into_stream(config).await?.shutdown().await
    };
    match shown.await {
        Ok(()) => tracing::info!(
            event = "acme.challenge.served",
            host = name,
            via = "tls-alpn-01",
            "challenge of ours asked for"
        ),
        Err(error) => {
            tracing::debug!(host = name, %error, "a challenge's handshake came to no end");
        }
    }
}

/// Tells a client that speaks plain HTTP on a TLS port so, as nginx does.
async fn answer_plain_http(
    mut tcp: BelowTls,
    error: &std::io::Error,
    facts: &Facts,
    context: &Context,
) {
    let corrupt = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some_and(|inner| matches!(inner, rustls::Error::InvalidMessage(_)));
    if !corrupt {
        return;
    }
    let answer = refuse::plain_on_tls(&context.shared, facts);
    let said = async {
        tcp.write_all(&answer).await?;
        tcp.shutdown().await
    };
    // Best effort: garbage that is not HTTP either gets it too.
    drop(said.await);
}
