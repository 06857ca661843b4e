//! One connection from its accept to its end: passed on unopened, or the TLS handshake, the guarded link and the engine.
//!
//! Who is to stop is told so in time to answer one more request.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use pingora::server::ShutdownWatch;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::accept::{Client, ListenerKey};
use super::handshake::handshake;
use super::{passthrough, peek};
use crate::limits::connections::ConnectionCaps;
use crate::observe::metrics::ListenerKind;
use crate::observe::open::{Book, Entry, Kind, Wait};
use crate::proxy::app::{App, Drain, Facts, Shared};
use crate::proxy::h2::connection::{self as h2_connection, H2Limits};
use crate::tls::Certificates;
use crate::transport::head::HeadLimits;
use crate::transport::{EngineStream, Gate, GateLimits, Link, Socket};
use crate::types::address::Address;
use crate::upstream::pool::Pool;

/// A connection that waits for a request in a drain is given this long to send one more.
pub(super) const LAST_CALL: Duration = Duration::from_millis(500);

/// What a connection of HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the connections of one worker share.
pub struct Context {
    /// With all workers.
    pub shared: Arc<Shared>,
    /// The worker's idle connections to endpoints.
    pub pool: Arc<Pool>,
    /// What is open at the worker.
    pub book: Arc<Book>,
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
/// `key` is its listener's address in the configuration, and its kind; `entry` is what an operator sees of it.
pub async fn serve(
    mut tcp: TcpStream,
    (peer, proxied): Client,
    key: ListenerKey,
    context: &Context,
    entry: Entry,
) {
    let kind = key.1;
    if kind != ListenerKind::Http && context.shared.snapshot.load().streams.is_at(&key.0) {
        match Box::pin(passthrough::pass(
            tcp,
            (peer, proxied.clone()),
            &key,
            context,
            &entry,
        ))
        .await
        {
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
    let is_tls = kind == ListenerKind::Https;
    let mut facts = Facts::new(peer, local(&tcp, context), is_tls);
    facts.listener = Some(key.0);
    facts.proxied = proxied;
    let (socket, h2) = match kind {
        ListenerKind::Http => {
            let h2 = facts.listener.as_ref().is_some_and(|at| {
                let snapshot = context.shared.snapshot.load();
                snapshot.config.listen.h2c.contains(at)
            });
            // Boxed, as most listeners never ask.
            let h2 = h2 && Box::pin(begins_h2(&tcp, context)).await;
            (Socket::Plain(tcp), h2)
        }
        // A reload took its stream away while it was accepted.
        ListenerKind::Stream | ListenerKind::Udp => return,
        ListenerKind::Https if is_plain(&tcp, context).await => {
            facts.is_tls = false;
            facts.plain_on_tls = true;
            (Socket::Plain(tcp), false)
        }
        // Boxed: its state is larger than that of all that follows, and a connection need not keep it.
        ListenerKind::Https => match Box::pin(handshake(tcp, &mut facts, context)).await {
            Some(tls) => {
                let h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                (Socket::Tls(Box::new(tls)), h2)
            }
            None => return,
        },
    };
    requests(socket, h2, facts, context, entry).await;
}

/// Whether a client begins with a request where TLS is spoken, and a site says what it gets.
async fn is_plain(tcp: &TcpStream, context: &Context) -> bool {
    let limit = {
        let snapshot = context.shared.snapshot.load();
        let limit = snapshot.config.timeouts.handshake;
        snapshot.leads_plain.then_some(limit)
    };
    let Some(limit) = limit else {
        return false;
    };
    let mut first = [0; 1];
    let peeked = Box::pin(timeout(limit, peek::more(tcp, 0, &mut first))).await;
    matches!(peeked, Ok(Ok(1))) && first[0].is_ascii_uppercase()
}

/// Whether a client without TLS begins with HTTP/2's preface. One that says nothing, or not enough of it in time, is left
/// to HTTP/1, which knows how long to wait for what.
async fn begins_h2(tcp: &TcpStream, context: &Context) -> bool {
    let time = context.shared.snapshot.load().config.timeouts.head;
    let looked = async {
        let mut bytes = [0; PREFACE.len()];
        let mut seen = 0;
        while seen < PREFACE.len() {
            match peek::more(tcp, seen, &mut bytes).await {
                Ok(count) if PREFACE.starts_with(&bytes[..count]) => seen = count,
                Ok(_) | Err(_) => return false,
            }
        }
        true
    };
    let mut shutdown = context.shutdown.clone();
    tokio::select! {
        biased;
        looked = timeout(time, looked) => looked.unwrap_or(false),
        _ = shutdown.wait_for(|draining| *draining) => false,
    }
}

async fn requests(socket: Socket, h2: bool, facts: Facts, context: &Context, entry: Entry) {
    entry.note(|row| {
        row.kind = if h2 { Kind::Http2 } else { Kind::Http1 };
        row.wait = Wait::Request;
    });
    let snapshot = context.shared.snapshot.load();
    let terms = snapshot.terms_at(facts.arrival(), facts.server_name.as_ref());
    let limits = &snapshot.config.limits;
    let timeouts = terms.map_or(&snapshot.config.timeouts, |terms| &terms.times);
    let head_size = u32::try_from(limits.head_size.0).unwrap_or(u32::MAX);
    let gate = GateLimits {
        head: HeadLimits {
            size: head_size as usize,
            fields: limits.head_fields,
            bare_lf: limits.bare_lf,
            as_nginx: limits.lenient_hosts,
            buffers: terms.and_then(|terms| terms.head_buffers),
        },
        head_time: timeouts.head,
        // Before its first request it is waited for as for a head, where a site says how long that is.
        keep_alive: terms.map_or(timeouts.keep_alive, |terms| terms.times.head),
        write: timeouts.write,
    };
    let link = Arc::new(Link::new(socket, Some(Gate::new(gate, h2))));
    let h2_limits = H2Limits {
        streams: terms
            .and_then(|terms| terms.h2_streams)
            .unwrap_or(limits.h2_streams),
        head_size,
        head_buffers: terms.and_then(|terms| terms.head_buffers),
        // As on HTTP/1.
        first: gate.keep_alive,
        idle: timeouts.keep_alive,
    };
    let mut facts = facts;
    facts.link = Some(link.clone());
    facts.metrics = Some(context.shared.metrics.clone());
    let app = Arc::new(App {
        shared: context.shared.clone(),
        pool: context.pool.clone(),
        facts,
        link: link.clone(),
        entry,
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
