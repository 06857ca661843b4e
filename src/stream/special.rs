//! What most streams do not ask for: who is let in, how many at once, TLS that is ended here or begun again, rates, an
//! upstream that is named by a text, an answer made here.
//!
//! In nginx's order: limits, access, TLS, then what becomes of the connection. A client that is refused gets a plain end; one
//! whose bytes were passed on a reset, as every stream's. Each handshake has the time for one.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::copy::Ended;
use super::leaving::left;
use super::relay::{self, Rates, Side};
use super::{Arrived, Course, copy, ending, place, until};
use crate::access::rules::verdict;
use crate::config::{Amount, LimitLog, Lookup, Strangers, StreamAction, Text};
use crate::limits::concurrency::Place;
use crate::observe::access_log::ClientCertificate;
use crate::observe::cause::Cause;
use crate::observe::open::Entry;
use crate::proxy::app::Shared;
use crate::proxy::strangers::Stranger;
use crate::snapshot::stream::{RunningStream, SpecialStream};
use crate::tls::client::{Client, Shown};
use crate::tls::names;
use crate::tls::streams::StreamServer;
use crate::transport::proxy_values::EndedTls;
use crate::transport::{BelowTls, Socket, reset_on_close};
use crate::types::name::UpstreamName;
use crate::upstream::admission::Place as AtUpstream;
use crate::upstream::group::{Chosen, Group};

/// TLS that was ended here.
#[derive(Debug)]
pub(super) struct Secured {
    /// `TLSv1.3`
    pub(super) version: &'static str,
    /// The suite, by OpenSSL's name.
    pub(super) cipher: &'static str,
    /// The group of the key exchange, by OpenSSL's name.
    pub(super) group: &'static str,
    /// The protocol that was agreed on.
    pub(super) alpn: String,
    /// The name that was asked for.
    pub(super) server_name: Option<String>,
    /// Whether the session was resumed.
    pub(super) resumed: bool,
    client: Client,
    believed: bool,
}

impl Secured {
    /// What a PROXY header says of it.
    pub(super) fn told(&self) -> Vec<u8> {
        let shown = self.shown();
        EndedTls {
            version: self.version,
            cipher: self.cipher,
            certificate: shown.is_some(),
            common_name: shown.and_then(|shown| shown.common_name.as_deref()),
            believed: self.believed,
            resumed: self.resumed,
        }
        .value()
    }

    /// All that is known of the client's certificate, when it has shown one.
    pub(super) fn shown(&self) -> Option<&Shown> {
        match &self.client {
            Client::Shown(shown) => Some(shown),
            Client::Unasked | Client::Absent => None,
        }
    }

    /// The client's certificate, when it has shown one.
    pub(super) fn certificate(&self) -> Option<ClientCertificate<'_>> {
        let shown = self.shown()?;
        Some(ClientCertificate {
            verified: self.believed,
            verify: &shown.verify,
            subject: &shown.subject,
            issuer: &shown.issuer,
            serial: &shown.serial,
            fingerprint: &shown.fingerprint,
            sha1: &shown.sha1,
        })
    }
}

/// A connection of such a stream.
pub(super) struct Special<'a> {
    pub(super) facts: &'a Arrived,
    pub(super) stream: &'a RunningStream,
    pub(super) special: &'a SpecialStream,
    pub(super) shared: &'a Shared,
    pub(super) entry: &'a Entry,
    pub(super) started: Instant,
}

impl Special<'_> {
    /// Serves it, to its end.
    pub(super) async fn run(&self, course: &mut Course, tcp: TcpStream) -> Result<(), Cause> {
        let places = admit(
            self.stream,
            self.special,
            |text| {
                let values = course.values(self.facts, self.stream, None);
                text.value(&values).into_owned()
            },
            (self.facts.peer.ip(), self.facts.on_unix_socket),
        );
        let _places = places.map_err(|refused| {
            course.status = refused.status;
            refused.cause
        })?;
        let client = match &self.special.tls {
            None => Socket::Plain(tcp),
            Some(server) => self.secure(course, tcp, server).await?,
        };
        self.set(course);
        let text = |course: &Course, text: &Text| {
            let values = course.values(self.facts, self.stream, None);
            text.value(&values).into_owned()
        };
        let group = match &self.stream.config.action {
            StreamAction::Respond(answer) => {
                let answer = text(course, answer);
                return self.respond(course, client, &answer).await;
            }
            StreamAction::Forward(_) => self.stream.group.clone(),
            StreamAction::Choose(by, strangers) => {
                let name = text(course, by);
                let group = self.meant(&name, *strangers, &client).await?;
                course.group = Some(group.clone());
                group
            }
        };
        let passed = self.pass(course, &client, &group).await;
        let (chosen, upstream, _place) = passed.inspect_err(|_| {
            if self.resets() {
                client.reset_on_close();
            }
        })?;
        course.began(self.entry);
        let ending = ending(self.shared);
        let until = until(self.stream);
        let rates = self.rates(&course.values(self.facts, self.stream, None));
        let (moved, ending) = (course.moved.clone(), ending);
        let run = match (&client, &upstream) {
            (Socket::Plain(client), Socket::Plain(upstream)) if !rates.is_bounded() => {
                let run = copy::both_ways(client, upstream, until, &moved, ending).await;
                match run.ended {
                    Ended::BySides => {}
                    Ended::ClientFailed => reset_on_close(upstream),
                    _ => reset_on_close(client),
                }
                run
            }
            _ => relay::both_ways(client, upstream, (until, rates), &moved, ending).await,
        };
        course.over(run, &chosen)
    }

    /// Whether clients are to know an end that is none of the endpoint's from one that is; nginx's never do.
    fn resets(&self) -> bool {
        let more = self.stream.config.more.as_deref();
        !more.is_some_and(|more| more.ends_with_endpoint)
    }

    /// How fast; a text that says no number, or 0, bounds nothing.
    fn rates(&self, values: &dyn Lookup) -> Rates {
        let rate = |rate: &Amount| Some(rate.value(values)).filter(|rate| *rate > 0);
        let more = self.stream.config.more.as_deref();
        Rates {
            up: more.and_then(|more| more.upload.as_ref().and_then(rate)),
            down: more.and_then(|more| more.download.as_ref().and_then(rate)),
        }
    }

    /// Who is meant by `name`: an upstream, or a stranger where those are let be.
    async fn meant(
        &self,
        name: &[u8],
        strangers: Strangers,
        client: &Socket,
    ) -> Result<Arc<Group>, Cause> {
        let known = chosen(self.stream, self.special, name);
        if known.is_ok() || strangers == Strangers::None {
            return known;
        }
        let more = self.stream.config.more.as_deref();
        let stranger = Stranger {
            address: String::from_utf8_lossy(name).into_owned(),
            tls: more.is_some_and(|more| more.tls_to_upstream),
            names: strangers == Strangers::Names,
            port: 0,
        };
        let snapshot = self.shared.snapshot.load_full();
        let in_tls = self.facts.hello.is_some();
        // Boxed: few streams ask for names.
        let found = Box::pin(stranger.group(&snapshot));
        tokio::select! {
            found = found => found.ok_or(Cause::UpstreamUnresolved),
            () = left(client.tcp(), in_tls) => Err(Cause::ClientGone),
        }
    }

    /// Works out the stream's own variables.
    fn set(&self, course: &mut Course) {
        let more = self.stream.config.more.iter();
        for (name, text) in more.flat_map(|more| &more.set) {
            let values = course.values(self.facts, self.stream, None);
            let value = text.value(&values).into_owned();
            course.set.push((name.clone(), value));
        }
    }

    /// Ends the client's TLS.
    async fn secure(
        &self,
        course: &mut Course,
        tcp: TcpStream,
        server: &StreamServer,
    ) -> Result<Socket, Cause> {
        let metrics = &self.shared.metrics;
        let limit = self.shared.snapshot.load().config.timeouts.handshake;
        let accepting = TlsAcceptor::from(server.config.clone()).accept(BelowTls(tcp));
        let tls = match timeout(limit, accepting).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => {
                metrics.tls_handshakes_failed.inc();
                tracing::debug!(peer = %self.facts.peer, stream = &*self.stream.name, %error, "the TLS handshake failed");
                course.status = Some(500);
                return Err(Cause::ClientGone);
            }
            Err(_) => {
                metrics.tls_handshakes_timed_out.inc();
                tracing::debug!(peer = %self.facts.peer, stream = &*self.stream.name, "the TLS handshake took too long");
                return Err(Cause::HeadTimeout);
            }
        };
        metrics.tls_handshakes_done.inc();
        let secured = Secured::of(tls.get_ref().1, server);
        let refused = secured.refused(server);
        course.secured = Some(Box::new(secured));
        let client = Socket::Tls(Box::new(tls));
        match refused {
            None => Ok(client),
            Some(why) => {
                let client = self.facts.peer.ip();
                tracing::info!(%client, server = &*self.stream.name, "{why}");
                Err(Cause::ClientCertificateRefused)
            }
        }
    }

    /// Says `answer`, and no more.
    async fn respond(
        &self,
        course: &mut Course,
        client: Socket,
        answer: &[u8],
    ) -> Result<(), Cause> {
        let mut client = Side(client);
        let said = async {
            client.write_all(answer).await?;
            client.shutdown().await
        };
        // A client that does not take it has it in no time but its own.
        let idle = self.stream.config.idle;
        match timeout(idle, said).await {
            Ok(Ok(())) => {
                let length = answer.len() as u64;
                course.moved.down.store(length, Ordering::Relaxed);
                Ok(())
            }
            Ok(Err(_)) => Err(Cause::ClientGone),
            Err(_) => Err(Cause::TunnelIdle),
        }
    }

    /// A place at the upstream, and a connection to one of its endpoints.
    async fn pass(
        &self,
        course: &mut Course,
        client: &Socket,
        group: &Arc<Group>,
    ) -> Result<(Chosen, Socket, Option<AtUpstream>), Cause> {
        let (to, metrics) = ((self.stream, group), &self.shared.metrics);
        let in_tls = self.facts.hello.is_some();
        let place = place((client.tcp(), in_tls), to, metrics).await?;
        let reached = course.connect(self.facts, to, metrics, self.started);
        let (chosen, upstream) = reached.await?;
        Ok((chosen, upstream, place))
    }
}

/// Why a client is not let in.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) cause: Cause,
    /// In place of the cause's.
    pub(super) status: Option<u16>,
}

/// Lets a client in, by limits and then by its address, as nginx; `value` gives texts their values.
pub(super) fn admit(
    stream: &RunningStream,
    special: &SpecialStream,
    value: impl Fn(&Text) -> Vec<u8>,
    (client, on_unix_socket): (IpAddr, bool),
) -> Result<Vec<Place>, Refused> {
    let mut places = Vec::new();
    let server = &*stream.name;
    let shown = match on_unix_socket {
        true => "unix:".to_owned(),
        false => client.to_string(),
    };
    if let Some(limited) = &special.limits {
        let config = &limited.config;
        for (zone, used) in limited.concurrency.iter().zip(&config.concurrency) {
            let key = value(&zone.config.key);
            if key.is_empty() {
                continue;
            }
            if let Some(place) = zone.table.enter(&key, used.most) {
                places.push(place);
                continue;
            }
            let (log, dry_run) = config.telling(used);
            let dry = if dry_run { ", dry run," } else { "" };
            let line = format!(
                "limiting connections{dry} by zone \"{}\" while initializing session",
                used.of
            );
            match log {
                LimitLog::Error => {
                    tracing::error!(event = "limit", client = shown, server, "{line}")
                }
                LimitLog::Warn => tracing::warn!(event = "limit", client = shown, server, "{line}"),
                LimitLog::Notice => {
                    tracing::info!(event = "limit", client = shown, server, "{line}")
                }
                LimitLog::Info => {
                    tracing::info!(
                        event = "limit",
                        severity = "info",
                        client = shown,
                        server,
                        "{line}"
                    );
                }
            }
            if !dry_run {
                return Err(Refused {
                    cause: Cause::ConcurrencyLimited,
                    status: used.status.or(Some(config.status)),
                });
            }
        }
    }
    let rules = stream
        .config
        .more
        .as_ref()
        .map_or(&[][..], |more| &more.access);
    if verdict(rules, client, on_unix_socket) == Some(false) {
        tracing::error!(
            client = shown,
            server,
            "access forbidden by rule while initializing session"
        );
        return Err(Refused {
            cause: Cause::AccessDenied,
            status: None,
        });
    }
    Ok(places)
}

/// The upstream of that name.
pub(super) fn chosen(
    stream: &RunningStream,
    special: &SpecialStream,
    name: &[u8],
) -> Result<Arc<Group>, Cause> {
    let name = String::from_utf8_lossy(name);
    let known = UpstreamName::parse(&name).ok();
    let group = known.and_then(|known| special.groups.get(&known));
    group.cloned().ok_or_else(|| {
        tracing::warn!(stream = &*stream.name, upstream = %name.escape_debug(), "no upstream of that name");
        Cause::UpstreamEmpty
    })
}

impl Secured {
    fn of(tls: &ServerConnection, server: &StreamServer) -> Self {
        let chain = tls.peer_certificates();
        let client = match &server.judge {
            Some(judge) => Client::of(chain, judge),
            None => Client::Unasked,
        };
        let believed = match (&client, &server.judge) {
            (Client::Shown(shown), Some(judge)) => shown.verdict(judge).is_ok(),
            _ => false,
        };
        let suite = tls.negotiated_cipher_suite();
        let suite = suite.and_then(|suite| names::cipher(suite.suite()));
        let group = tls.negotiated_key_exchange_group();
        let group = group.and_then(|group| names::group(group.name()));
        let alpn = tls.alpn_protocol().unwrap_or_default();
        Self {
            version: match tls.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            cipher: suite.unwrap_or_default(),
            group: group.unwrap_or_default(),
            alpn: String::from_utf8_lossy(alpn).into_owned(),
            server_name: tls.server_name().map(str::to_owned),
            resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
            client,
            believed,
        }
    }

    /// Why its client is not let in, in nginx's words.
    fn refused(&self, server: &StreamServer) -> Option<String> {
        match &self.client {
            Client::Unasked => None,
            Client::Absent => server
                .required
                .then(|| "client sent no required SSL certificate".to_owned()),
            Client::Shown(shown) => {
                let judge = server.judge.as_ref()?;
                let refusal = shown.verdict(judge).err().filter(|_| !judge.lenient)?;
                Some(format!("client SSL certificate verify error: ({refusal})"))
            }
        }
    }
}
