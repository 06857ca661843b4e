//! TLS for test clients: any server name, any protocols, no verification, and the certificate the server showed.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use hubgate::tls::unverified::Unverified;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::DEADLINE;

/// A client configuration that offers `alpn` and these TLS versions.
pub fn config_with(
    alpn: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified::new(&provider)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    config
}

/// A client configuration that offers `alpn`, with TLS 1.2 and 1.3.
pub fn config(alpn: &[&str]) -> ClientConfig {
    config_with(alpn, rustls::ALL_VERSIONS)
}

/// A finished handshake; fails with what the server's alert said.
pub fn handshake(
    addr: SocketAddr,
    name: &str,
    config: ClientConfig,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    handshake_over(TcpStream::connect_timeout(&addr, DEADLINE)?, name, config)
}

/// As [`handshake`], on a connection that is there.
pub fn handshake_over(
    mut sock: TcpStream,
    name: &str,
    mut config: ClientConfig,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    sock.set_read_timeout(Some(DEADLINE))?;
    sock.set_write_timeout(Some(DEADLINE))?;
    config.enable_sni = !name.is_empty();
    let name = ServerName::try_from(
        if name.is_empty() {
            "none.invalid"
        } else {
            name
        }
        .to_owned(),
    )
    .unwrap();
    let mut conn = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
    while conn.is_handshaking() {
        conn.complete_io(&mut sock)?;
    }
    Ok(StreamOwned::new(conn, sock))
}

/// The DER of the certificate that `addr` shows for `name`.
pub fn certificate_of(addr: SocketAddr, name: &str) -> Vec<u8> {
    let stream = handshake(addr, name, config(&["http/1.1"])).expect("handshake");
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}
