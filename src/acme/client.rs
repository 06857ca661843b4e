//! HTTP to one authority: trusted roots, deadlines, bounds. The first place where an answer is a value.
//!
//! Knows nothing of accounts and orders. Every request ends within [`TOTAL`], every body within [`MAX_BODY`]. Tests put
//! another [`Transport`] in the place of this one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::answer::{Answer, Lost};
use crate::observe::reasons::with_reasons;

const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(30);
const MAX_BODY: usize = 1 << 20;
const USER_AGENT: &str = concat!("hubgate/", env!("CARGO_PKG_VERSION"));

/// A way to an authority and back.
#[async_trait]
pub(super) trait Transport: Send + Sync {
    /// Sends a request; a body makes it a POST of a signed message. Fails only when there is no whole answer.
    async fn send(&self, method: Method, url: &str, body: Option<Vec<u8>>) -> Result<Answer, Lost>;
}

/// Why there can be no client for these settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The extra roots cannot be read.
    #[error("cannot read the roots in `{path}` ({reason})")]
    CaFile {
        /// `ca_file`.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file holds no certificate.
    #[error("`{path}` holds no certificate")]
    NoRoots {
        /// `ca_file`.
        path: PathBuf,
    },
    /// The provider lacks a TLS version.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

/// The way over HTTPS.
pub(super) struct Https {
    inner: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Https {
    /// Trusts the public roots (Mozilla's) and those in `ca_file`.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, SettingsError> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        if let Some(path) = ca_file {
            add_roots(&mut roots, path)?;
        }
        let tls = rustls::ClientConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // Without it each request of an order waits 40 ms for the peer's delayed acknowledgement.
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .enable_http2()
            .wrap_connector(tcp);
        let inner = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_timer(TokioTimer::new())
            .build(https);
        Ok(Self { inner })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Lost> {
        let response = self
            .inner
            .request(request)
            .await
            .map_err(|error| lost(&error))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY)
            .collect()
            .await
            .map_err(|error| lost(&*error))?
            .to_bytes();
        let field = |name: &str| {
            let value = parts.headers.get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        Ok(Answer {
            status: parts.status.as_u16(),
            location: field("location"),
            nonce: field("replay-nonce"),
            retry_after: field("retry-after"),
            date: field("date"),
            body,
        })
    }
}

#[async_trait]
impl Transport for Https {
    async fn send(&self, method: Method, url: &str, body: Option<Vec<u8>>) -> Result<Answer, Lost> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::USER_AGENT, USER_AGENT);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/jose+json");
        }
        let request = request
            .body(Full::from(body.unwrap_or_default()))
            .map_err(|error| Lost::new(format!("the authority names the URL `{url}`: {error}")))?;
        tokio::time::timeout(TOTAL, self.exchange(request))
            .await
            .unwrap_or_else(|_| Err(Lost::new(format!("no answer within {} s", TOTAL.as_secs()))))
    }
}

/// Says why, and whether it is the dates of the authority's own certificate.
fn lost(error: &(dyn std::error::Error + 'static)) -> Lost {
    Lost {
        detail: with_reasons(error),
        clock: is_about_dates(error),
    }
}

/// Whether the error, or one below it, is that a certificate has ended or not begun.
fn is_about_dates(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    if let Some(rustls::Error::InvalidCertificate(
        Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
    )) = error.downcast_ref()
    {
        return true;
    }
    // What an io::Error holds, which may be another one, its `source` passes over.
    let held = error.downcast_ref::<std::io::Error>();
    held.and_then(|error| error.get_ref())
        .is_some_and(|held| is_about_dates(held))
        || error.source().is_some_and(is_about_dates)
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), SettingsError> {
    let failed = |reason: String| SettingsError::CaFile {
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| failed(error.to_string()))?;
        found = true;
    }
    if found {
        Ok(())
    } else {
        Err(SettingsError::NoRoots {
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};

    use super::*;

    #[test]
    fn a_certificate_out_of_date_is_the_clocks_fault_however_deep_it_is_told() {
        let of = |reason| {
            let tls = rustls::Error::InvalidCertificate(reason);
            // As the connector gives it.
            lost(&io::Error::other(io::Error::new(
                ErrorKind::InvalidData,
                tls,
            )))
        };
        assert!(of(rustls::CertificateError::NotValidYet).clock);
        assert!(of(rustls::CertificateError::Expired).clock);
        assert!(!of(rustls::CertificateError::UnknownIssuer).clock);
    }

    #[test]
    fn roots_come_from_the_whole_file_and_a_file_without_any_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("roots.pem");
        std::fs::write(&path, "no certificates").unwrap();
        assert!(matches!(
            Https::new(Some(&path)),
            Err(SettingsError::NoRoots { .. })
        ));
        assert!(matches!(
            Https::new(Some(&root.path().join("none"))),
            Err(SettingsError::CaFile { .. })
        ));
        let host = |name| crate::types::host::HostPattern::parse(name).unwrap();
        let one = crate::tls::self_signed::generate_pem(&[host("a.test")])
            .unwrap()
            .chain;
        let two = crate::tls::self_signed::generate_pem(&[host("b.test")])
            .unwrap()
            .chain;
        std::fs::write(&path, format!("{one}{two}")).unwrap();
        let mut roots = RootCertStore::empty();
        add_roots(&mut roots, &path).unwrap();
        assert_eq!(roots.len(), 2);
        assert!(Https::new(Some(&path)).is_ok());
    }
}
