//! The TLS handshake with a client, and what becomes of connections that have none.
//!
//! The server name decides before anything else is spent: a client that asks for a host without a certificate gets
//! `unrecognized_name`, what is no TLS a 400 in plain text, a broken hello an alert. All within the handshake's deadline;
//! what a hello may have is bounded by rustls (64 KiB). Each end is counted by its reason.

use std::sync::Arc;

use rustls::server::{Accepted, Acceptor};
use rustls::sign::CertifiedKey;
use rustls::{Error, InvalidMessage};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use super::connection::{Context, LAST_CALL};
use crate::acme::challenge;
use crate::config::CertificateSource;
use crate::observe::metrics::TlsRefused;
use crate::proxy::app::Facts;
use crate::proxy::refuse;
use crate::tls::client::Client;
use crate::tls::names::Offered;
use crate::tls::pem::Pair;
use crate::tls::{self, UNRECOGNIZED_NAME, names};
use crate::transport::BelowTls;
use crate::types::host::Host;

/// A whole TLS record with the fatal alert `unexpected_message`: for messages of which rustls says nothing.
const UNEXPECTED_MESSAGE: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a];

/// Makes the handshake, and notes in `facts` what it tells of the client. `None` ends the connection, counted.
pub(super) async fn handshake(
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
        Ok(Ok(tls)) => {
            metrics.tls_handshakes_done.inc();
            facts.tls_version = match tls.get_ref().1.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_2) => Some("TLSv1.2"),
                Some(rustls::ProtocolVersion::TLSv1_3) => Some("TLSv1.3"),
                _ => None,
            };
            let (_, session) = tls.get_ref();
            let suite = session.negotiated_cipher_suite();
            facts.cipher = suite.and_then(|suite| names::cipher(suite.suite()));
            let group = session.negotiated_key_exchange_group();
            facts.curve = group.and_then(|group| names::group(group.name()));
            facts.resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
            facts.alpn = match session.alpn_protocol() {
                Some(b"h2") => Some("h2"),
                Some(b"http/1.1") => Some("http/1.1"),
                _ => None,
            };
            Some(tls)
        }
        Ok(Err(ended)) => {
            if !matches!(ended, Ended::Challenge) {
                metrics.tls_handshakes_failed.inc();
            }
            count(&metrics.tls_refused, &ended);
            None
        }
        Err(_) => {
            metrics.tls_handshakes_timed_out.inc();
            tracing::debug!(peer = %facts.peer, "the TLS handshake took too long");
            None
        }
    }
}

/// How a handshake ended that made no connection.
enum Ended {
    /// A challenge was shown, which is all that was wanted.
    Challenge,
    /// This server has nothing for the name.
    NoCertificate {
        /// Whether there was a name.
        named: bool,
    },
    /// It broke off.
    Failed(std::io::Error),
}

async fn shake(
    tcp: TcpStream,
    facts: &mut Facts,
    context: &Context,
) -> Result<TlsStream<BelowTls>, Ended> {
    let start = match hello(&tcp).await {
        Ok(accepted) => StartHandshake::from_parts(accepted, BelowTls(tcp)),
        Err((error, alert)) => {
            tracing::debug!(peer = %facts.peer, %error, "no TLS handshake");
            if is_no_tls(&error) {
                answer_plain_http(tcp, facts, context).await;
            } else {
                say_last(tcp, &alert).await;
            }
            return Err(Ended::Failed(error));
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
        return Err(Ended::Challenge);
    }
    facts.server_name = name.as_deref().and_then(|name| Host::parse(name).ok());
    let known = facts.server_name.as_ref().map(Host::as_str);
    let own = own_certificate(facts, context);
    let has = match &own {
        Some(own) => own.is_some(),
        None => context.certificates.has(known),
    };
    if !has {
        tracing::debug!(peer = %facts.peer, server_name = ?name, "no certificate for this server name");
        say_last(start.io.0, &UNRECOGNIZED_NAME).await;
        let named = name.is_some();
        return Err(Ended::NoCertificate { named });
    }
    let current = {
        let snapshot = context.shared.snapshot.load();
        if snapshot.names_offered {
            facts.offered = Some(Arc::new(Offered::of(&start.client_hello())));
        }
        snapshot.server_tls(facts.arrival(), facts.server_name.as_ref())
    };
    let shown = own.flatten();
    let other = |pair: &Pair| {
        let usual = context.certificates.find(known);
        usual.is_none_or(|usual| !Arc::ptr_eq(&usual, &pair.key))
    };
    let config = match shown.filter(other) {
        Some(pair) => tls::server_config::showing(&current.config, pair),
        None => Arc::clone(&current.config),
    };
    match start.into_stream(config).await {
        Ok(tls) => {
            if let Some(judge) = &current.judge {
                facts.client = Client::of(tls.get_ref().1.peer_certificates(), judge);
            }
            Ok(tls)
        }
        Err(error) => {
            tracing::debug!(peer = %facts.peer, server_name = ?name, %error, "the TLS handshake failed");
            Err(Ended::Failed(error))
        }
    }
}

/// What the site with addresses of its own shows that is meant; within, nothing for one that has no certificate. `None`
/// where hosts alone decide.
fn own_certificate(facts: &Facts, context: &Context) -> Option<Option<Pair>> {
    let snapshot = context.shared.snapshot.load();
    let site = snapshot.own_site(facts.arrival(), facts.server_name.as_ref())?;
    match snapshot.config.sites[site].certificate {
        CertificateSource::None => Some(None),
        _ => {
            let own = context.certificates.of_site(&snapshot.site_names[site]);
            own.map(Some)
        }
    }
}

/// Reads a whole ClientHello. Gives the alert that its sender is to get, if it is none; the acceptor of `tokio_rustls` would
/// send it by itself, before what plain HTTP gets.
async fn hello(tcp: &TcpStream) -> Result<Accepted, (std::io::Error, Vec<u8>)> {
    let mut acceptor = Acceptor::default();
    let quietly = |error| (error, Vec::new());
    loop {
        tcp.readable().await.map_err(quietly)?;
        match acceptor.read_tls(&mut Waiting(tcp)) {
            Ok(0) => return Err(quietly(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(quietly(error)),
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                // A vector takes all.
                drop(alert.write_all(&mut bytes));
                if bytes.is_empty() {
                    bytes = UNEXPECTED_MESSAGE.to_vec();
                }
                let error = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
                return Err((error, bytes));
            }
        }
    }
}

/// What waits in the kernel, to be read at once.
struct Waiting<'a>(&'a TcpStream);

impl std::io::Read for Waiting<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.0.try_read(bytes)
    }
}

fn count(refused: &TlsRefused, ended: &Ended) {
    let counter = match ended {
        Ended::Challenge => return,
        Ended::NoCertificate { named: true } => &refused.unknown_name,
        Ended::NoCertificate { named: false } => &refused.no_name,
        Ended::Failed(error) => match of_rustls(error) {
            None => &refused.left,
            Some(_) if is_no_tls(error) => &refused.not_tls,
            Some(Error::AlertReceived(_)) => &refused.by_client,
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => {
                &refused.no_agreement
            }
            Some(_) => &refused.malformed,
        },
    };
    counter.inc();
}

fn of_rustls(error: &std::io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether the first byte already says that this is no TLS.
fn is_no_tls(error: &std::io::Error) -> bool {
    let no_record = Error::InvalidMessage(InvalidMessage::InvalidContentType);
    of_rustls(error) == Some(&no_record)
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

/// Tells a client that speaks plain HTTP on a TLS port so, as nginx does. Whatever else is no TLS gets it too.
pub(super) async fn answer_plain_http(tcp: TcpStream, facts: &Facts, context: &Context) {
    let answer = refuse::plain_on_tls(&context.shared, facts);
    say_last(tcp, &answer).await;
}

/// Writes these bytes and ends the connection. The client may be gone already, which is as well.
pub(super) async fn say_last(mut tcp: TcpStream, bytes: &[u8]) {
    let said = async {
        tcp.write_all(bytes).await?;
        tcp.shutdown().await
    };
    drop(said.await);
}
