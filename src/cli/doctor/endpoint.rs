//! One endpoint: is there a way to it, can its TLS be trusted, does it speak HTTP, and what does it say.
//!
//! Each step that succeeds has its time; the first that does not is what is found, with what to do. Steps have limits: those
//! of the route that leads there, and five seconds for the answer. Whoever passes is checked as `check` says.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::{ClientConnection, StreamOwned};
use serde::Serialize;

use super::{Question, check};
use crate::cli::finding::{Finding, Level};
use crate::cli::web::{self, Page};
use crate::config::{CheckKind, Protocol};
use crate::tls::leaf::Leaf;
use crate::types::endpoint_address::EndpointAddress;
use crate::upstream::tls::fault::TlsFault;
use crate::upstream::tls::{Alpn, ClientTls};

/// An answer that takes longer is worth a look.
const SLOW: Duration = Duration::from_secs(1);
/// A certificate with less left is worth a look, in seconds.
const SOON: i64 = 14 * 86_400;

/// What was seen of an endpoint. Times in milliseconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Seen {
    pub(super) upstream: String,
    pub(super) endpoint: String,
    pub(super) connect_ms: Option<f64>,
    pub(super) tls_ms: Option<f64>,
    /// The TLS version.
    tls: Option<String>,
    /// When its certificate ends, in seconds since 1970.
    not_after: Option<i64>,
    /// What was asked for.
    pub(super) path: String,
    pub(super) answer_ms: Option<f64>,
    pub(super) status: Option<u16>,
}

/// Looks at one endpoint.
pub(super) fn look(question: &Question<'_>) -> (Seen, Finding) {
    let mut seen = Seen {
        upstream: question.upstream.name.to_string(),
        endpoint: question.address.to_string(),
        path: question.path.clone(),
        ..Seen::default()
    };
    let finding = match steps(question, &mut seen) {
        // A certificate that ends soon is not made well by a check that passes.
        Ok(found) => check::made(question, &mut seen)
            .filter(|made| made.level >= found.level)
            .unwrap_or(found),
        Err(found) => found,
    };
    (seen, finding)
}

fn millis(since: Instant) -> Option<f64> {
    Some(since.elapsed().as_secs_f64() * 1e3)
}

/// A connection to a unix socket comes in the type of a TCP one.
fn connect(address: EndpointAddress, limit: Duration) -> io::Result<TcpStream> {
    match address {
        EndpointAddress::Ip(ip) => TcpStream::connect_timeout(&ip, limit),
        EndpointAddress::Unix(path) => Ok(OwnedFd::from(UnixStream::connect(path)?).into()),
    }
}

/// A finding either way: the first step that fails ends it.
fn steps(question: &Question<'_>, seen: &mut Seen) -> Result<Finding, Finding> {
    let about = format!("{} of {}", question.address, question.upstream.name);
    let begun = Instant::now();
    let tcp = connect(question.address, question.patience.0)
        .map_err(|error| unreached(&about, question, &error))?;
    seen.connect_ms = millis(begun);
    let unusable = |error: io::Error| Finding::of(Level::Broken, &about, error.to_string(), "");
    tcp.set_read_timeout(Some(question.patience.1))
        .map_err(unusable)?;
    tcp.set_write_timeout(Some(web::DEADLINE))
        .map_err(unusable)?;
    let address = question.address.host();
    let host = question.host.as_deref().unwrap_or(&address);
    let answer = match &question.tls {
        None => {
            tcp.set_read_timeout(Some(web::DEADLINE))
                .map_err(unusable)?;
            let begun = Instant::now();
            if question.upstream.protocol == Protocol::Http2 {
                return greeted(&about, question, seen, tcp);
            }
            web::exchange(tcp, host, &question.path).map(|page| (page, begun))
        }
        Some(tls) => {
            let begun = Instant::now();
            let stream = secure(tls, question, tcp).map_err(|fault| untrusted(&about, &fault))?;
            seen.tls_ms = millis(begun);
            seen.tls = stream
                .conn
                .protocol_version()
                .map(|version| format!("{version:?}"));
            seen.not_after = not_after(&stream);
            stream
                .sock
                .set_read_timeout(Some(web::DEADLINE))
                .map_err(unusable)?;
            if question.upstream.protocol == Protocol::Http2 {
                let not_after = seen.not_after;
                let found = greeted(&about, question, seen, stream)?;
                return Ok(ending(&about, not_after).unwrap_or(found));
            }
            let begun = Instant::now();
            web::exchange(stream, host, &question.path).map(|page| (page, begun))
        }
    };
    let (page, begun) = answer.map_err(|error| speechless(&about, question, &error))?;
    seen.answer_ms = millis(begun);
    seen.status = Some(page.status);
    let found = judged(&about, question, &page, begun.elapsed());
    match found.level {
        Level::Fine => Ok(ending(&about, seen.not_after).unwrap_or(found)),
        _ => Err(found),
    }
}

/// Whether it answers HTTP/2's greeting (RFC 9113 section 3.4) with settings of its own. Nothing is asked for.
fn greeted(
    about: &str,
    question: &Question<'_>,
    seen: &mut Seen,
    mut stream: impl Read + Write,
) -> Result<Finding, Finding> {
    seen.path = String::new();
    let begun = Instant::now();
    let mut head = [0; 9];
    let greeted = stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .and_then(|()| stream.flush())
        .and_then(|()| stream.read_exact(&mut head));
    match greeted {
        Ok(()) if head[3] == 4 && head[5..] == [0; 4] => {
            seen.answer_ms = millis(begun);
            Ok(Finding::fine(about, "speaks HTTP/2"))
        }
        Ok(()) => Err(Finding::of(
            Level::Broken,
            about,
            "what it says is not HTTP/2",
            "leave `protocol` out if it speaks HTTP/1.1, or name its port for HTTP/2",
        )),
        Err(error) => Err(speechless(about, question, &error)),
    }
}

fn secure(
    tls: &ClientTls,
    question: &Question<'_>,
    mut tcp: TcpStream,
) -> Result<StreamOwned<ClientConnection, TcpStream>, TlsFault> {
    let name = tls.server_name(question.address).to_owned();
    let wanted = name.to_str().into_owned();
    let alpn = match question.upstream.protocol {
        Protocol::Http1 => Alpn::Http1,
        Protocol::Http2 => Alpn::Http2,
    };
    let config = tls.current().config(alpn);
    let mut client =
        ClientConnection::new(config, name).map_err(|error| TlsFault::Other(error.to_string()))?;
    while client.is_handshaking() {
        let moved = client.complete_io(&mut tcp);
        moved.map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => TlsFault::Other(format!(
                "it did not finish the handshake within {:?}",
                question.patience.1
            )),
            _ => TlsFault::of(&error, &wanted, tls.has_own_roots()),
        })?;
    }
    Ok(StreamOwned::new(client, tcp))
}

fn not_after(stream: &StreamOwned<ClientConnection, TcpStream>) -> Option<i64> {
    let leaf = stream.conn.peer_certificates()?.first()?;
    Some(Leaf::parse(leaf).ok()?.not_after.unix_timestamp())
}

fn unreached(about: &str, question: &Question<'_>, error: &io::Error) -> Finding {
    let (found, fix) = match error.kind() {
        ErrorKind::ConnectionRefused => (
            "nothing listens there: the connection is refused".to_owned(),
            "start the service, or correct the address or the port; a Kubernetes node port (30000 to 32767) is on every node, whatever its pods",
        ),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => (
            format!("no answer to a connection within {:?}", question.patience.0),
            "the node is down, or a firewall drops what this host sends there: let it in, security groups and network policies included",
        ),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => (
            format!("there is no way to it: {error}"),
            "see to this host's routes and networks (`ip route get ADDRESS`), a VPN included",
        ),
        ErrorKind::PermissionDenied => (
            format!("this host does not let it through: {error}"),
            "see to this host's own firewall",
        ),
        _ => (
            format!("no connection: {error}"),
            "correct the address, or open the way to it",
        ),
    };
    Finding::of(Level::Broken, about, found, fix)
}

fn untrusted(about: &str, fault: &TlsFault) -> Finding {
    let fix = match fault {
        TlsFault::Expired(_) => "renew the endpoint's certificate",
        TlsFault::NotYet(_) => "set the clocks of both hosts",
        TlsFault::Name { .. } => {
            "correct `tls.server_name`, or give the endpoint a certificate with that name"
        }
        TlsFault::Issuer(_) => {
            "name the authority's root in `tls.ca_file`, and have the endpoint send its intermediates"
        }
        TlsFault::ClientCertificate => "give `tls.client_certificate` and its key",
        TlsFault::NotTls => "name the endpoint's port for TLS, or leave `tls` out",
        _ => "look at the endpoint's own log, and at what listens at that port",
    };
    Finding::of(
        Level::Broken,
        about,
        format!("its TLS cannot be trusted: {fault}"),
        fix,
    )
}

/// Connected, but no answer in HTTP.
fn speechless(about: &str, question: &Question<'_>, error: &io::Error) -> Finding {
    let plain = question.tls.is_none();
    let (found, fix) = match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => (
            format!(
                "it accepts connections, but does not answer {} within {:?}",
                question.path,
                web::DEADLINE
            ),
            "look at the service: it hangs, or something else listens at that port",
        ),
        ErrorKind::InvalidData if plain => (
            error.to_string(),
            "see what listens at that port; if it is TLS, give the upstream `tls`",
        ),
        _ if plain => (
            format!("it accepts connections and ends them without an answer: {error}"),
            "a port for TLS (then give the upstream `tls`), a listener that wants the PROXY protocol, or a service that is starting",
        ),
        _ => (
            format!("it ends the connection without an answer in HTTP: {error}"),
            "see what listens at that port, and the service's own log",
        ),
    };
    Finding::of(Level::Broken, about, found, fix)
}

fn judged(about: &str, question: &Question<'_>, page: &Page, took: Duration) -> Finding {
    let (path, status) = (&question.path, page.status);
    let look = |found: String, fix: &str| Finding::of(Level::Attention, about, found, fix);
    if page.field("x-hubgate-cause").is_some() {
        let found = format!("a hubgate answers there ({status} to {path})");
        let fix =
            "an endpoint has to be the cluster's own address; one that leads back here is a loop";
        return Finding::of(Level::Broken, about, found, fix);
    }
    if status == 400 && page.body.contains("HTTPS port") {
        let found = "it is a port for TLS, asked in plain HTTP".to_owned();
        return Finding::of(Level::Broken, about, found, "give the upstream `tls`");
    }
    let to = page.field("location").unwrap_or_default();
    if (300..400).contains(&status) && question.tls.is_none() && to.starts_with("https://") {
        return look(
            format!("it redirects plain HTTP to {to}"),
            "an ingress that redirects to https sends browsers round in circles: name its TLS port and give the upstream `tls`, or switch its redirect off",
        );
    }
    let passes = match question.upstream.health.as_ref().map(|health| &health.kind) {
        Some(CheckKind::Http(check)) if question.is_check => check.expects(status),
        _ => status < 500,
    };
    match (passes, status) {
        (true, _) if took > SLOW => look(
            format!(
                "answers {status} to {path}, but takes {:.1} s",
                took.as_secs_f64()
            ),
            "look at the service's load",
        ),
        (true, _) => Finding::fine(about, format!("answers {status} to {path}")),
        (false, 404) => look(
            format!("answers 404 to {path}"),
            "the hub's `base_url` has to be the route's path, and the health check's path below it",
        ),
        (false, 500..) => look(
            format!("answers {status} to {path}"),
            "look at the service's own log; a 503 of an ingress or of configurable-http-proxy means that what is behind it is down",
        ),
        (false, _) => look(
            format!("answers {status} to {path}, which its health check does not accept"),
            "correct the check in `[upstream.NAME.health]`, or the service",
        ),
    }
}

/// A certificate that ends soon.
fn ending(about: &str, not_after: Option<i64>) -> Option<Finding> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let left = not_after? - i64::try_from(since.as_secs()).ok()?;
    (left < SOON).then(|| {
        let found = format!("its certificate ends in {} days", left.div_euclid(86_400));
        Finding::of(
            Level::Attention,
            about,
            found,
            "renew the endpoint's certificate",
        )
    })
}
