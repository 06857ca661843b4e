//! Makes `ServerConfig`s: versions, suites, key exchange, ALPN, resumption.
//!
//! Certificates come from the shared table at each handshake and tickets are sealed with shared keys, so a configuration
//! outlives every reload that keeps its policy, and sessions outlive it. Invariant: a resumed session never crosses from
//! one server name to another (rustls checks it).

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

use super::pem::Pair;
use super::policies::Ground;
use super::tickets::{Mark, Ticketer};
use crate::config::{CipherSuite, Group, TlsPolicy, TlsVersion};

/// TLS 1.2 sessions of clients without ticket support that are remembered; about 300 bytes each.
const TLS12_SESSIONS: usize = 2048;
/// Tickets sent after a TLS 1.3 handshake: one for the next connection, one for a parallel one.
const TICKETS: usize = 2;

/// Builds the configuration for `policy`: `h2` then `http/1.1`, no early data. `clients` asks for their certificates, and
/// sessions stay within the mark.
///
/// Fails only when the provider lacks a version.
pub fn build(
    policy: &TlsPolicy,
    (clients, mark): (Arc<dyn ClientCertVerifier>, Mark),
    ground: &Ground,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider_for(policy)))
        .with_protocol_versions(versions(policy))?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::clone(&ground.certificates) as _);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if policy.session_tickets {
        let tickets = Arc::clone(&ground.tickets);
        config.ticketer = Arc::new(Ticketer::new(tickets, mark));
        config.session_storage = ServerSessionMemoryCache::new(TLS12_SESSIONS);
        config.send_tls13_tickets = TICKETS;
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    // Early data can be replayed; a hub's POST must not be.
    config.max_early_data_size = 0;
    if let Some(log) = &ground.key_log {
        config.key_log = Arc::clone(log) as _;
    }
    Ok(Arc::new(config))
}

fn provider_for(policy: &TlsPolicy) -> CryptoProvider {
    CryptoProvider {
        cipher_suites: suites(&policy.cipher_suites),
        kx_groups: policy.groups.iter().copied().map(group).collect(),
        ..(*super::provider()).clone()
    }
}

fn versions(policy: &TlsPolicy) -> &'static [&'static SupportedProtocolVersion] {
    static ALL: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    match (policy.minimum_version, policy.maximum_version) {
        (TlsVersion::V12, TlsVersion::V13) => ALL,
        (TlsVersion::V13, _) => &ALL[..1],
        (_, TlsVersion::V12) => &ALL[1..],
    }
}

/// rustls' for these.
pub fn suites(suites: &[CipherSuite]) -> Vec<SupportedCipherSuite> {
    suites.iter().copied().map(suite).collect()
}

fn suite(suite: CipherSuite) -> SupportedCipherSuite {
    match suite {
        CipherSuite::Aes128 => cipher_suite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::Aes256 => cipher_suite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::ChaCha20 => cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdsaAes128 => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::RsaAes128 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdsaAes256 => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::RsaAes256 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdsaChaCha20 => cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::RsaChaCha20 => cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

fn group(group: Group) -> &'static dyn SupportedKxGroup {
    match group {
        Group::X25519MlKem768 => kx_group::X25519MLKEM768,
        Group::P256MlKem768 => kx_group::SECP256R1MLKEM768,
        Group::X25519 => kx_group::X25519,
        Group::P256 => kx_group::SECP256R1,
        Group::P384 => kx_group::SECP384R1,
    }
}

/// `config` for one handshake that shows this certificate, whatever name it is asked for.
pub fn showing(config: &ServerConfig, pair: Pair) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.cert_resolver = Arc::new(Always(pair));
    Arc::new(config)
}

/// The same for everybody, whatever name is asked for.
#[derive(Debug)]
struct Always(Pair);

impl ResolvesServerCert for Always {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.0.for_client(hello.signature_schemes())))
    }
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
    use crate::config::TlsProfile;
    use crate::tls::tickets::TicketKeys;
    use crate::tls::{Certificates, Origin, self_signed};
    use crate::types::host::HostPattern;
    use rustls::pki_types::ServerName;
    use rustls::{
        ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore, ServerConnection,
        SupportedProtocolVersion,
    };

    fn server() -> (Arc<Certificates>, Arc<ServerConfig>) {
        server_with(&TlsProfile::Intermediate.policy())
    }

    fn server_with(policy: &TlsPolicy) -> (Arc<Certificates>, Arc<ServerConfig>) {
        let certificates = Certificates::new();
        let host = HostPattern::parse("a.test").unwrap();
        let pair = self_signed::generate(std::slice::from_ref(&host)).unwrap();
        certificates.insert(host, pair, Origin::SelfSigned);
        let tickets = TicketKeys::new(std::time::Duration::from_secs(60)).unwrap();
        let ground = Ground {
            certificates: Arc::clone(&certificates),
            tickets,
            key_log: None,
        };
        let nobody = rustls::server::WebPkiClientVerifier::no_client_auth();
        let config = build(policy, (nobody, [0; 32]), &ground).unwrap();
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
    fn every_suite_and_group_is_spoken_by_its_name() {
        for one in CipherSuite::ALL {
            let name = one.name().replace("TLS_AES", "TLS13_AES");
            let name = name.replace("TLS_CHACHA", "TLS13_CHACHA");
            assert_eq!(suite(*one).suite().as_str(), Some(&*name));
        }
        for one in Group::ALL {
            let name = group(*one).name();
            let name = name.as_str().unwrap_or_default();
            assert!(name.eq_ignore_ascii_case(one.name()), "{name}");
        }
    }

    #[test]
    fn without_tickets_nothing_is_resumed() {
        for version in [&TLS12, &TLS13] {
            let policy = TlsPolicy {
                session_tickets: false,
                ..TlsProfile::Intermediate.policy()
            };
            let (certificates, config) = server_with(&policy);
            let client = client(&certificates, version);
            for _ in 0..2 {
                let (server, _) = handshake(&config, &client, "a.test").unwrap();
                assert_ne!(server.handshake_kind(), Some(HandshakeKind::Resumed));
            }
        }
    }

    #[test]
    fn an_unknown_server_name_is_refused() {
        let (certificates, config) = server();
        assert!(handshake(&config, &client(&certificates, &TLS13), "b.test").is_err());
    }
}
