//! The HTTP client under the ACME protocol: trusted roots, deadlines, bounds, and the headers that errors lose.
//!
//! Leaves JOSE and nonces to instant-acme. Every request ends within [`TOTAL`], every body within [`MAX_BODY`]. Answers
//! that are errors but no problem documents (a proxy's HTML page) are turned into such, so that they read as what they
//! are.

use std::cell::RefCell;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::failure::LastAnswer;

const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(30);
const MAX_BODY: usize = 1 << 20;
const USER_AGENT: &str = concat!("hubgate/", env!("CARGO_PKG_VERSION"), " instant-acme");

tokio::task_local! {
    /// Of the order this task carries out; orders share a client, not their answers.
    static LAST: RefCell<LastAnswer>;
}

/// Runs `work` so that [`last_answer`] tells of its own requests.
pub(super) async fn observed<F: Future>(work: F) -> F::Output {
    LAST.scope(RefCell::default(), work).await
}

/// The headers of the last answer to a request of the same [`observed`] work.
pub(super) fn last_answer() -> LastAnswer {
    LAST.try_with(|last| last.borrow().clone())
        .unwrap_or_default()
}

fn remember(answer: LastAnswer) {
    // Outside of `observed` nobody asks.
    if LAST.try_with(|last| last.replace(answer)).is_err() {
        tracing::trace!("an answer that nobody observes");
    }
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

/// A client for one authority.
#[derive(Clone)]
pub(super) struct AcmeHttp {
    inner: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
}

impl AcmeHttp {
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
}

impl HttpClient for AcmeHttp {
    fn request(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        request
            .headers_mut()
            .insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        let sent = self.inner.request(request);
        Box::pin(async move {
            remember(LastAnswer::default());
            let exchange = async {
                let response = sent.await.map_err(|error| Error::Other(Box::new(error)))?;
                read(response).await
            };
            tokio::time::timeout(TOTAL, exchange)
                .await
                .unwrap_or_else(|_| {
                    Err(Error::Other(
                        format!("no answer within {} s", TOTAL.as_secs()).into(),
                    ))
                })
        })
    }
}

/// Reads the body, and keeps what an error would lose.
async fn read(response: Response<Incoming>) -> Result<BytesResponse, Error> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map_err(Error::Other)?
        .to_bytes();
    let field = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    remember(LastAnswer {
        retry_after: field(header::RETRY_AFTER),
        date: field(header::DATE),
    });
    let failed = parts.status.is_client_error() || parts.status.is_server_error();
    let body = if failed && !is_problem(&body) {
        let text = format!("the authority answered {} without saying why", parts.status);
        let problem = serde_json::json!({"type": "about:blank", "status": parts.status.as_u16(), "detail": text});
        // The directory is read without a look at the status; an error says more than "missing field `newNonce`".
        if parts.status.is_server_error() {
            return Err(Error::Api(serde_json::from_value(problem)?));
        }
        Bytes::from(serde_json::to_vec(&problem)?)
    } else {
        body
    };
    Ok(BytesResponse {
        parts,
        body: Box::new(body),
    })
}

fn is_problem(body: &[u8]) -> bool {
    serde_json::from_slice::<instant_acme::Problem>(body).is_ok()
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
    use super::*;

    #[test]
    fn roots_come_from_the_whole_file_and_a_file_without_any_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("roots.pem");
        std::fs::write(&path, "no certificates").unwrap();
        assert!(matches!(
            AcmeHttp::new(Some(&path)),
            Err(SettingsError::NoRoots { .. })
        ));
        assert!(matches!(
            AcmeHttp::new(Some(&root.path().join("none"))),
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
        assert!(AcmeHttp::new(Some(&path)).is_ok());
    }
}
