//! One GET, in the clear or by TLS, with an answer of at most [`MOST_BYTES`] within [`DEADLINE`] a step.
//!
//! Follows nothing and keeps nothing: what comes back is what `doctor` and `certs doctor` judge. Something that is not HTTP
//! is an error of kind `InvalidData`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

pub(super) const DEADLINE: Duration = Duration::from_secs(5);
const MOST_BYTES: usize = 64 * 1024;

/// An answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: String,
}

impl Page {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it is a page for people.
    pub(super) fn is_html(&self) -> bool {
        self.field("content-type")
            .is_some_and(|kind| kind.contains("html"))
            || self
                .body
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("<!doctype html")
    }
}

/// GETs `path` of `host` from exactly this address.
pub(super) fn get(address: SocketAddr, host: &str, path: &str) -> io::Result<Page> {
    exchange(connect(address)?, host, path)
}

/// GETs an https URL, trusting the public roots and those in `roots`.
pub(super) fn get_https(url: &http::Uri, roots: Option<&Path>) -> io::Result<Page> {
    let host = url.host().ok_or(io::ErrorKind::InvalidInput)?;
    let port = url.port_u16().unwrap_or(443);
    let bare = host.trim_matches(['[', ']']);
    let addresses = (bare, port).to_socket_addrs()?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match connect(address) {
            Ok(stream) => {
                let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
                let client = ClientConnection::new(Arc::new(trusting(roots)?), name);
                let stream = StreamOwned::new(client.map_err(io::Error::other)?, stream);
                let path = url.path_and_query().map_or("/", |path| path.as_str());
                let authority = url.authority().map_or(host, |own| own.as_str());
                return exchange(stream, authority, path);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn trusting(roots: Option<&Path>) -> io::Result<ClientConfig> {
    let mut store = RootCertStore::empty();
    store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(file) = roots {
        for root in CertificateDer::pem_file_iter(file).map_err(io::Error::other)? {
            store
                .add(root.map_err(io::Error::other)?)
                .map_err(io::Error::other)?;
        }
    }
    let builder = ClientConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// GETs `path` of `host` over an open connection, which is of no more use then.
pub(super) fn exchange(mut stream: impl Read + Write, host: &str, path: &str) -> io::Result<Page> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hubgate doctor\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut piece = vec![0; 8 * 1024];
    let read = loop {
        match stream.read(&mut piece) {
            Ok(0) => break Ok(()),
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
        // Not everybody closes when asked to.
        if answer.len() >= MOST_BYTES || is_whole(&answer) {
            break Ok(());
        }
    };
    match parse(&answer) {
        Some(page) => Ok(page), // however the connection ended
        None if !answer.is_empty() => {
            let start: String = String::from_utf8_lossy(&answer).chars().take(24).collect();
            let what = format!("it says `{}`, which is not HTTP", start.escape_debug());
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
        None => {
            read?;
            Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "closed without an answer in HTTP",
            ))
        }
    }
}

/// Whether the answer has all that it announced.
fn is_whole(answer: &[u8]) -> bool {
    let Some(page) = parse(answer) else {
        return false;
    };
    let Some(head) = memchr::memmem::find(answer, b"\r\n\r\n") else {
        return false;
    };
    let length = page.field("content-length").map(str::parse::<usize>);
    match length {
        Some(Ok(length)) => answer.len() >= head + 4 + length,
        _ if page.field("transfer-encoding").is_some() => answer.ends_with(b"\r\n0\r\n\r\n"),
        _ => matches!(page.status, 204 | 304),
    }
}

fn parse(answer: &[u8]) -> Option<Page> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(answer) {
        Ok(httparse::Status::Complete(length)) => length,
        _ => return None,
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = head.headers.iter();
    Some(Page {
        status: head.code?,
        fields: fields
            .map(|field| (field.name.to_ascii_lowercase(), text(field.value)))
            .collect(),
        body: text(&answer[length..]),
    })
}
