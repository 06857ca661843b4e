//! Connections to the proxy under test, and HTTP/1.1 on them.
//!
//! TLS is what `bench/compare` tells every generator to speak: 1.3, X25519, AES-128-GCM, no resumption. Certificates
//! are not checked: the generator measures, and its own work is not the subject. Connections come from several
//! loopback addresses, since one has only some 28,000 ports towards one destination.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use crate::args::Args;

/// Nobody waits longer for an answer; a proxy that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const SOURCES: u8 = 16;

/// A connection, plain or TLS.
pub trait Link: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Link for T {}

/// Whom to load, and how.
pub struct Target {
    address: SocketAddr,
    tls: Option<TlsConnector>,
    source: Cell<u8>,
}

impl Target {
    /// As the command line says; `tls` makes it TLS whatever it says.
    pub fn new(args: &Args, tls: bool) -> io::Result<Self> {
        let tls = if tls || args.has("tls") {
            Some(TlsConnector::from(Arc::new(config()?)))
        } else {
            None
        };
        Ok(Self {
            address: args.address("connect")?,
            tls,
            source: Cell::new(0),
        })
    }

    /// A new connection, its handshake done.
    pub async fn connect(&self) -> io::Result<Box<dyn Link>> {
        patiently(async {
            let socket = TcpSocket::new_v4()?;
            let source = self.source.get() % SOURCES;
            self.source.set(source + 1);
            socket.bind((IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2 + source)), 0).into())?;
            let tcp = socket.connect(self.address).await?;
            tcp.set_nodelay(true)?;
            let Some(tls) = &self.tls else {
                return Ok(Box::new(tcp) as Box<dyn Link>);
            };
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            Ok(Box::new(tls.connect(name, tcp).await?) as Box<dyn Link>)
        })
        .await
    }

    /// A connection that a WebSocket handshake has turned into frames.
    pub async fn websocket(&self) -> io::Result<Box<dyn Link>> {
        let mut link = self.connect().await?;
        let request = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        patiently(async {
            link.write_all(request.as_bytes()).await?;
            link.flush().await?;
            let mut reader = Reader::default();
            expect(reader.head(&mut link).await?.status, 101)?;
            Ok(())
        })
        .await?;
        Ok(link)
    }
}

/// What a response's head says.
pub struct Head {
    pub status: u16,
    length: usize,
    close: bool,
}

/// Reads answers from a connection; keeps what came beyond one for the next.
pub struct Reader {
    buffer: Vec<u8>,
    filled: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            buffer: vec![0; 4096],
            filled: 0,
        }
    }
}

impl Reader {
    /// A head; what follows it stays.
    pub async fn head(&mut self, link: &mut Box<dyn Link>) -> io::Result<Head> {
        loop {
            let so_far = &self.buffer[..self.filled];
            if let Some(end) = so_far.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = parse(&so_far[..end])?;
                self.buffer.copy_within(end + 4..self.filled, 0);
                self.filled -= end + 4;
                return Ok(head);
            }
            if self.filled == self.buffer.len() {
                return Err(io::Error::other("a head that does not end"));
            }
            let count = link.read(&mut self.buffer[self.filled..]).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.filled += count;
        }
    }

    /// A whole answer: its status, and whether the connection stays open.
    pub async fn answer(&mut self, link: &mut Box<dyn Link>) -> io::Result<(u16, bool)> {
        let head = self.head(link).await?;
        let mut missing = head.length.saturating_sub(self.filled);
        self.buffer
            .copy_within(head.length.min(self.filled)..self.filled, 0);
        self.filled -= head.length.min(self.filled);
        while missing > 0 {
            let room = missing.min(self.buffer.len());
            let count = link.read(&mut self.buffer[..room]).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            missing -= count;
        }
        Ok((head.status, !head.close))
    }

    /// What came after a head.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

/// One GET and its answer of 200; what fails is told, so is a connection that does not stay open.
pub async fn get(link: &mut Box<dyn Link>, reader: &mut Reader, request: &[u8]) -> io::Result<()> {
    patiently(async {
        link.write_all(request).await?;
        link.flush().await?;
        let (status, stays) = reader.answer(link).await?;
        expect(status, 200)?;
        match stays {
            true => Ok(()),
            false => Err(io::Error::other("the proxy wants to close")),
        }
    })
    .await
}

/// The bytes of a GET.
pub fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\n\r\n").into_bytes()
}

/// Fails unless the status is the wanted one.
pub fn expect(status: u16, wanted: u16) -> io::Result<()> {
    match status == wanted {
        true => Ok(()),
        false => Err(io::Error::other(format!("status {status}, not {wanted}"))),
    }
}

/// The result, or a failure after a long wait.
pub async fn patiently<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn parse(head: &[u8]) -> io::Result<Head> {
    let text = std::str::from_utf8(head).map_err(io::Error::other)?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12));
    let mut parsed = Head {
        status: status
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| io::Error::other("no status"))?,
        length: 0,
        close: false,
    };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            parsed.length = value.trim().parse().map_err(io::Error::other)?;
        } else if name.eq_ignore_ascii_case("connection") {
            parsed.close = value.trim().eq_ignore_ascii_case("close");
        }
    }
    Ok(parsed)
}

fn config() -> io::Result<ClientConfig> {
    let provider = CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
