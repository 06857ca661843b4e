//! Looks at the certificate that a listener shows for a name: a handshake, and nothing after it.
//!
//! Accepts every certificate, because which one it is is the question. Bounded by [`DEADLINE`].

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::pem::Leaf;
use super::unverified::Unverified;

/// For connecting and shaking hands.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// What the listener at `address` shows to a client that asks for `name`.
pub async fn leaf_of(address: SocketAddr, name: &str) -> io::Result<Leaf> {
    let shake = async {
        let stream = TcpStream::connect(reachable(address)).await?;
        handshake(stream, name, config(Unverified::new(&super::provider()))?).await
    };
    let leaf = tokio::time::timeout(DEADLINE, shake)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Leaf::parse(&leaf).map_err(io::Error::other)
}

/// What a client is shown that asks for `name` and speaks nothing but `protocol`. Has no deadline.
pub async fn shown(
    stream: TcpStream,
    name: &str,
    protocol: &[u8],
) -> io::Result<CertificateDer<'static>> {
    let mut config = config(Unverified::looking(&super::provider()))?;
    config.alpn_protocols = vec![protocol.to_vec()];
    handshake(stream, name, config).await
}

async fn handshake(
    stream: TcpStream,
    name: &str,
    config: ClientConfig,
) -> io::Result<CertificateDer<'static>> {
    let server_name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(server_name, stream).await?;
    let chain = stream.get_ref().1.peer_certificates();
    let leaf = chain
        .and_then(<[_]>::first)
        .ok_or(io::ErrorKind::NotFound)?;
    Ok(leaf.clone().into_owned())
}

/// A listener on all addresses is reached on this machine's own.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}

fn config(verifier: Unverified) -> io::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(super::provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}
