//! New connections to endpoints: within time limits, with `TCP_NODELAY`, secured where the upstream asks for it.
//!
//! What becomes of the endpoint after a failed connect is `group`'s matter.

use std::hash::{Hash, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::endpoint::Outcome;
use super::http1::Connection;
use super::tls::fault::TlsFault;
use super::tls::{Alpn, ClientTls};
use crate::observe::cause::Cause;
use crate::observe::metrics::Metrics;
use crate::transport::{BelowTls, Socket, as_tcp};
use crate::types::endpoint_address::EndpointAddress;

/// How long the steps of connecting may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectLimits {
    /// Until the endpoint has accepted.
    pub tcp: Duration,
    /// For the TLS handshake after that.
    pub tls: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint refused, or there is no way to it.
    #[error("cannot connect to `{address}`")]
    Refused {
        /// The endpoint.
        address: EndpointAddress,
        /// What the system says.
        source: io::Error,
    },
    /// The endpoint did not answer.
    #[error("`{address}` did not accept a connection within {limit:?}")]
    TimedOut {
        /// The endpoint.
        address: EndpointAddress,
        /// The limit.
        limit: Duration,
    },
    /// The endpoint accepted, but the connection cannot be trusted.
    #[error("`{address}` offers no TLS to trust")]
    Tls {
        /// The endpoint.
        address: EndpointAddress,
        /// Why.
        source: TlsFault,
    },
    /// The endpoint accepted, but does not speak HTTP/2.
    #[error("`{address}` does not speak HTTP/2")]
    Http2 {
        /// The endpoint.
        address: EndpointAddress,
        /// Why.
        source: h2::Error,
    },
    /// The endpoint accepted, but did not finish the handshake.
    #[error("`{address}` did not finish the TLS handshake within {limit:?}")]
    TlsTimedOut {
        /// The endpoint.
        address: EndpointAddress,
        /// The limit.
        limit: Duration,
    },
}

impl ConnectError {
    /// Whoever was connecting is no more.
    pub(super) fn gone(address: EndpointAddress) -> Self {
        let source = io::ErrorKind::ConnectionAborted.into();
        Self::Refused { address, source }
    }
    /// The system's number of why it was refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Counts it; gives what a client is told, and what the endpoint is held to.
    pub fn count(&self, metrics: &Metrics) -> (Cause, Outcome) {
        match self {
            Self::Refused { .. } => {
                metrics.upstream_connections_failed.inc();
                (Cause::UpstreamConnect, Outcome::ConnectFailed)
            }
            Self::TimedOut { .. } => {
                metrics.upstream_connections_timed_out.inc();
                (Cause::UpstreamConnectTimeout, Outcome::ConnectTimedOut)
            }
            Self::Tls { .. } => {
                metrics.upstream_connections_untrusted.inc();
                (Cause::UpstreamTls, Outcome::ConnectFailed)
            }
            Self::Http2 { .. } => {
                metrics.upstream_connections_failed.inc();
                (Cause::UpstreamMalformed, Outcome::ConnectFailed)
            }
            Self::TlsTimedOut { .. } => {
                metrics.upstream_connections_timed_out.inc();
                (Cause::UpstreamTlsTimeout, Outcome::ConnectTimedOut)
            }
        }
    }
}

/// What connections to an endpoint have in common: only such may stand in for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The endpoint.
    pub address: EndpointAddress,
    /// 0 for plain TCP, else that of the TLS settings and files.
    pub security: u32,
    /// The address that they come from, where that is not the system's choice.
    pub from: Option<IpAddr>,
}

/// Few lines differ by where they come from alone.
impl Hash for Line {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.address, self.security).hash(state);
    }
}

impl Line {
    /// What URLs call it.
    pub fn scheme(&self) -> &'static str {
        match self.security {
            0 => "http",
            _ => "https",
        }
    }
}

/// How an upstream's endpoints are connected to.
#[derive(Clone, Debug, Default)]
pub struct Connector {
    /// `None` for plain TCP.
    pub tls: Option<Arc<ClientTls>>,
    /// Whether requests go by HTTP/2. Upgrades go by HTTP/1.1 always.
    pub http2: bool,
}

/// The same connections come of both.
impl PartialEq for Connector {
    fn eq(&self, other: &Self) -> bool {
        let same_tls = match (&self.tls, &other.tls) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        same_tls && self.http2 == other.http2
    }
}

impl Connector {
    /// The line to `address` as connections are made now.
    pub fn line(&self, address: EndpointAddress) -> Line {
        let security = self.tls.as_ref().map_or(0, |tls| tls.id());
        Line {
            address,
            security,
            from: None,
        }
    }

    /// Connects on `line` for HTTP/1.1.
    pub async fn connect(
        &self,
        line: Line,
        limits: ConnectLimits,
    ) -> Result<Box<Connection>, ConnectError> {
        let socket = self.socket(line, limits, Alpn::Http1).await?;
        Ok(Box::new(Connection::new(socket)))
    }

    /// Connects to `address` as requests would, and leaves.
    pub async fn try_out(
        &self,
        address: EndpointAddress,
        limits: ConnectLimits,
    ) -> Result<(), ConnectError> {
        let alpn = if self.http2 { Alpn::Http2 } else { Alpn::Http1 };
        let line = self.line(address);
        self.socket(line, limits, alpn).await.map(drop)
    }

    /// Connects on `line` for HTTP/2; by TLS the endpoint has agreed to it.
    pub async fn http2_socket(
        &self,
        line: Line,
        limits: ConnectLimits,
    ) -> Result<Socket, ConnectError> {
        self.socket(line, limits, Alpn::Http2).await
    }

    /// Secures a connection to `address` whose bytes are a stream's, as far as the upstream asks for it.
    pub async fn stream_socket(
        &self,
        tcp: TcpStream,
        address: EndpointAddress,
        limit: Duration,
    ) -> Result<Socket, ConnectError> {
        match &self.tls {
            None => Ok(Socket::Plain(tcp)),
            Some(tls) => Box::pin(secure(tls, tcp, address, limit, Alpn::Unsaid)).await,
        }
    }

    async fn socket(
        &self,
        line: Line,
        limits: ConnectLimits,
        alpn: Alpn,
    ) -> Result<Socket, ConnectError> {
        let address = line.address;
        let tcp = match line.from {
            None => tcp(address, limits.tcp).await?,
            Some(from) => Box::pin(tcp_from(from, address, limits.tcp)).await?,
        };
        match &self.tls {
            None => Ok(Socket::Plain(tcp)),
            // Boxed: rare, and much larger than all the rest.
            Some(tls) => Box::pin(secure(tls, tcp, address, limits.tls, alpn)).await,
        }
    }
}

/// Connects to `address` within `limit`, without TLS. `TCP_NODELAY` is set: heads and small chunks must not wait for an
/// ACK. A connection to a unix socket comes in the type of a TCP one: reading, writing and splicing are the same calls, and no
/// request pays for telling them apart.
pub async fn tcp(address: EndpointAddress, limit: Duration) -> Result<TcpStream, ConnectError> {
    let refused = |source| ConnectError::Refused { address, source };
    let connecting = async {
        match address {
            EndpointAddress::Ip(ip) => {
                let tcp = TcpStream::connect(ip).await?;
                tcp.set_nodelay(true)?;
                Ok(tcp)
            }
            EndpointAddress::Unix(path) => as_tcp(UnixStream::connect(path).await?),
        }
    };
    tokio::time::timeout(limit, connecting)
        .await
        .map_err(|_| ConnectError::TimedOut { address, limit })?
        .map_err(refused)
}

/// As [`tcp`], from this address of this machine. A unix socket has none.
pub async fn tcp_from(
    from: IpAddr,
    address: EndpointAddress,
    limit: Duration,
) -> Result<TcpStream, ConnectError> {
    let EndpointAddress::Ip(ip) = address else {
        return tcp(address, limit).await;
    };
    let connecting = async {
        let socket = match from {
            IpAddr::V4(_) => TcpSocket::new_v4()?,
            IpAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.bind(SocketAddr::new(from, 0))?;
        let tcp = socket.connect(ip).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    };
    tokio::time::timeout(limit, connecting)
        .await
        .map_err(|_| ConnectError::TimedOut { address, limit })?
        .map_err(|source| ConnectError::Refused { address, source })
}

async fn secure(
    tls: &ClientTls,
    tcp: TcpStream,
    address: EndpointAddress,
    limit: Duration,
    alpn: Alpn,
) -> Result<Socket, ConnectError> {
    let name = tls.server_name(address);
    let connector = TlsConnector::from(tls.current().config(alpn));
    let handshake = connector.connect(name.to_owned(), BelowTls(tcp));
    let stream = tokio::time::timeout(limit, handshake)
        .await
        .map_err(|_| ConnectError::TlsTimedOut { address, limit })?
        .map_err(|error| ConnectError::Tls {
            address,
            source: TlsFault::of(&error, &name.to_str(), tls.has_own_roots()),
        })?;
    let agreed = stream.get_ref().1.alpn_protocol();
    if alpn == Alpn::Http2 && agreed != Some(b"h2") {
        let source = TlsFault::NoAgreement;
        return Err(ConnectError::Tls { address, source });
    }
    Ok(Socket::to_tls_server(stream))
}
