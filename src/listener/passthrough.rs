//! Which connections are passed on as bytes: by the address they came to and the name their TLS asks for.
//!
//! Nothing is read: the hello is looked at where it waits in the kernel, so that whoever serves the connection, a stream or a
//! site, has it whole. Bounded by the time for a handshake and by [`client_hello::LONGEST`].

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::accept::{Client, ListenerKey};
use super::client_hello::{self, Fault, LONGEST, Verdict};
use super::connection::Context;
use super::handshake;
use super::peek::more;
use crate::observe::metrics::ListenerKind;
use crate::observe::open::Entry;
use crate::proxy::app::Facts;
use crate::snapshot::stream::RunningStream;
use crate::stream::{self, Arrived, Hello, Passage};
use crate::tls::UNRECOGNIZED_NAME;
use crate::types::address::{Address, THIS_HOST};
use crate::types::host::Host;

/// A whole TLS record with the fatal alert `decode_error`.
const DECODE_ERROR: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x32];
/// Nearly every hello fits.
const USUAL: usize = 2048;

/// What the first bytes of a connection are.
enum Seen {
    /// A hello.
    Hello(Hello),
    /// Something else, or nothing in time.
    Other(Option<Fault>),
}

/// Passes the connection on if it is a stream's; gives it back if a site is to serve it. `key` is its listener.
pub(super) async fn pass(
    tcp: TcpStream,
    (peer, proxied): Client,
    key: &ListenerKey,
    context: &Context,
    entry: &Entry,
) -> Option<TcpStream> {
    let terminates = key.1 == ListenerKind::Https;
    let back = |tcp| terminates.then_some(tcp);
    let local = match &key.0 {
        // The socket's own, which need not be asked for.
        Address::Ip(own) if key.0.is_fixed() && !own.ip().is_unspecified() => *own,
        Address::Ip(_) => tcp.local_addr().ok()?,
        Address::Unix(_) => THIS_HOST,
    };
    let local = SocketAddr::new(local.ip().to_canonical(), local.port());
    let snapshot = {
        let snapshot = context.shared.snapshot.load();
        if !snapshot.streams.is_at(&key.0) {
            return back(tcp);
        }
        Arc::clone(&snapshot)
    };
    let here = snapshot.streams.at(&key.0, local.ip());
    let mut seen = Seen::Other(None);
    if here.need_hello() {
        let limit = snapshot.config.timeouts.handshake;
        match timeout(limit, look(&tcp)).await {
            Ok(Ok(what)) => seen = what,
            // It has left, which whoever serves it would find as well.
            Ok(Err(())) => return back(tcp),
            Err(_) if terminates => {
                context.shared.metrics.tls_handshakes_timed_out.inc();
                tracing::debug!(%peer, "no ClientHello in time");
                return None;
            }
            Err(_) => {}
        }
    }
    let name = match &seen {
        Seen::Hello(hello) => hello.server_name.as_deref(),
        Seen::Other(_) => None,
    };
    let host = name.and_then(|name| Host::parse(name).ok());
    let found = here.find(host.as_ref());
    let found = found.and_then(|index| snapshot.running_streams.get(index).cloned());
    // A stream may outlive many generations.
    drop(snapshot);
    if let Some(stream) = found {
        let hello = match seen {
            Seen::Hello(hello) => Some(hello),
            Seen::Other(_) => None,
        };
        let on_unix_socket = matches!(key.0, Address::Unix(_));
        let facts = Arrived {
            peer,
            local,
            hello,
            on_unix_socket,
            proxied,
        };
        let passage = Passage { tcp, facts };
        run(passage, &stream, context, entry).await;
        return None;
    }
    if terminates {
        return back(tcp);
    }
    context.shared.metrics.streams_refused.inc();
    match &seen {
        Seen::Hello(_) => {
            tracing::debug!(%peer, server_name = name, listener = %key.0, "no stream takes this server name");
            skip(&tcp);
            handshake::say_last(tcp, &UNRECOGNIZED_NAME).await;
        }
        Seen::Other(fault) => {
            match fault {
                // Where a name decides, TLS is spoken.
                Some(Fault::NotTls) => {
                    skip(&tcp);
                    let facts = Facts::new(peer, Some(local), true);
                    handshake::answer_plain_http(tcp, &facts, context).await;
                }
                Some(Fault::Malformed | Fault::TooLong) => {
                    skip(&tcp);
                    handshake::say_last(tcp, &DECODE_ERROR).await;
                }
                _ => {}
            }
            let reason = fault.map_or("nothing came in time".to_owned(), |fault| fault.to_string());
            tracing::debug!(%peer, reason, listener = %key.0, "no stream takes this connection");
        }
    }
    None
}

/// Takes what has come, so that the close is no reset that overtakes the answer.
fn skip(tcp: &TcpStream) {
    let mut bytes = vec![0; LONGEST];
    // Nothing to be had is as well.
    drop(tcp.try_read(&mut bytes));
}

async fn run(passage: Passage, stream: &RunningStream, context: &Context, entry: &Entry) {
    if !passage.facts.on_unix_socket
        && let Err(error) = passage.tcp.set_nodelay(true)
    {
        tracing::debug!(%error, peer = %passage.facts.peer, "the client left before its connection began");
        return;
    }
    stream::serve(passage, stream, &context.shared, entry).await;
}

/// Waits for a whole hello, or for what is none. Fails when the connection has ended.
async fn look(tcp: &TcpStream) -> Result<Seen, ()> {
    let mut bytes = vec![0; USUAL];
    let mut seen = 0;
    loop {
        seen = more(tcp, seen, &mut bytes).await.map_err(drop)?;
        match client_hello::parse(&bytes[..seen]) {
            Ok(Verdict::Partial) if seen == bytes.len() => bytes.resize(LONGEST, 0),
            Ok(Verdict::Partial) => {}
            Ok(Verdict::Hello(hello)) => return Ok(Seen::Hello(hello)),
            Err(fault) => return Ok(Seen::Other(Some(fault))),
        }
    }
}
