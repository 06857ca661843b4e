//! The one `ServerConfig` of the process (challenges aside): versions, key exchange, ALPN, resumption.
//!
//! Certificates come from [`Certificates`] at each handshake, so this is built once and outlives every reload: session
//! tickets stay valid as long as their keys, which live here and rotate by themselves. Invariant: a resumed session
//! never crosses from one server name to another (rustls checks it).

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ServerSessionMemoryCache;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};

use super::Certificates;

/// TLS 1.2 sessions of clients without ticket support that are remembered; about 300 bytes each.
const TLS12_SESSIONS: usize = 2048;
/// Tickets sent after a TLS 1.3 handshake: one for the next connection, one for a parallel one.
const TICKETS: usize = 2;

/// Builds the configuration: TLS 1.2 and 1.3, X25519MLKEM768 preferred, `h2` then `http/1.1`, tickets, no early data.
///
/// Fails only when the provider has no randomness or lacks a version.
pub fn build(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = Ticketer::new()?;
    config.session_storage = ServerSessionMemoryCache::new(TLS12_SESSIONS);
    config.send_tls13_tickets = TICKETS;
    // Early data can be replayed; a hub's POST must not be.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Builds the configuration for one handshake that shows `pair` and speaks only `protocol`: a challenge's (RFC 8737).
///
/// Fails only when the provider lacks a version.
pub fn for_challenge(
    pair: &CertifiedKey,
    protocol: &[u8],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair.clone())));
    config.alpn_protocols = vec![protocol.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Origin, self_signed};
    use crate::types::host::HostPattern;
    use rustls::pki_types::ServerName;
    use rustls::{
        ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore, ServerConnection,
        SupportedProtocolVersion,
    };

    fn server() -> (Arc<Certificates>, Arc<ServerConfig>) {
        let certificates = Certificates::new();
        let host = HostPattern::parse("a.test").unwrap();
        let pair = self_signed::generate(std::slice::from_ref(&host)).unwrap();
        certificates.insert(host, pair, Origin::SelfSigned);
        let config = build(Arc::clone(&certificates)).unwrap();
        (certificates, config)
    }

    fn client(
        certificates: &Certificates,
        version: &'static SupportedProtocolVersion,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(certificates.find(Some("a.test")).unwrap().cert[0].clone())
            .unwrap();
        let mut config = ClientConfig::builder_with_provider(crate::tls::provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        Arc::new(config)
    }

    fn handshake(
        server: &Arc<ServerConfig>,
        client: &Arc<ClientConfig>,
        name: &'static str,
    ) -> Result<(ServerConnection, ClientConnection), rustls::Error> {
        let mut server = ServerConnection::new(Arc::clone(server))?;
        let mut client =
            ClientConnection::new(Arc::clone(client), ServerName::try_from(name).unwrap())?;
        for _ in 0..8 {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
                server.process_new_packets()?;
            }
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                client.process_new_packets()?;
            }
        }
        Ok((server, client))
    }

    #[test]
    fn tls13_uses_the_post_quantum_key_exchange_and_prefers_h2() {
        let (certificates, config) = server();
        let (server, _) = handshake(&config, &client(&certificates, &TLS13), "a.test").unwrap();
        assert_eq!(
            server.negotiated_key_exchange_group().unwrap().name(),
            NamedGroup::X25519MLKEM768
        );
        assert_eq!(server.alpn_protocol(), Some(&b"h2"[..]));
    }

    #[test]
    fn a_second_connection_resumes_in_both_versions() {
        for version in [&TLS12, &TLS13] {
            let (certificates, config) = server();
            let client = client(&certificates, version);
            let (first, _) = handshake(&config, &client, "a.test").unwrap();
            assert_ne!(first.handshake_kind(), Some(HandshakeKind::Resumed));
            let (second, _) = handshake(&config, &client, "a.test").unwrap();
            assert_eq!(second.handshake_kind(), Some(HandshakeKind::Resumed));
        }
    }

    #[test]
    fn an_unknown_server_name_is_refused() {
        let (certificates, config) = server();
        assert!(handshake(&config, &client(&certificates, &TLS13), "b.test").is_err());
    }
}
