//! One request to one address, and the whole answer.
//!
//! HTTP/1.1 with `Connection: close`, over TLS without asking whose certificate it is: both are to be compared, not
//! believed. Every wait and every answer has a bound.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::Pair;
use crate::tls::peek::reachable;
use crate::tls::unverified::Unverified;
use crate::transport::chunks::{ChunkProgress, ChunkScanner};

/// For connecting, and for each wait for bytes.
const WAIT: Duration = Duration::from_secs(10);
/// For a whole answer.
const WHOLE: Duration = Duration::from_secs(60);
/// An answer's bytes that are looked at.
const MOST: usize = 16 << 20;
const FIELDS: usize = 256;

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) pair: Pair,
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: &'static str,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let (method, host, target) = (&self.method, &self.host, &self.target);
        write!(f, "{method} {scheme}://{host}{target}")?;
        for (name, value) in &self.fields {
            write!(f, " -H '{name}: {value}'")?;
        }
        Ok(())
    }
}

impl Request {
    fn bytes(&self) -> Vec<u8> {
        let (method, target, host) = (&self.method, &self.target, &self.host);
        let mut out =
            format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in &self.fields {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() {
            out.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        out.push_str("\r\n");
        out.push_str(self.body);
        out.into_bytes()
    }
}

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// 0 when the connection was closed without one.
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Whether it came whole.
    pub(super) whole: bool,
}

/// Asks.
pub(super) struct Client(Arc<ClientConfig>);

impl Client {
    pub(super) fn new() -> Result<Self, String> {
        let provider = crate::tls::provider();
        let verifier = Arc::new(Unverified::new(&provider));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// Asks whoever is at `address`.
    ///
    /// # Errors
    /// When nobody is there; whatever happens after that is an answer.
    pub(super) fn ask(&self, request: &Request, address: SocketAddr) -> io::Result<Answer> {
        let stream = TcpStream::connect_timeout(&reachable(address), WAIT)?;
        stream.set_read_timeout(Some(WAIT))?;
        stream.set_write_timeout(Some(WAIT))?;
        let bytes = request.bytes();
        let no_body = request.method == "HEAD";
        if !request.tls {
            return Ok(exchange(stream, &bytes, no_body));
        }
        let host = request.host.split(':').next().unwrap_or_default();
        let name = ServerName::try_from(host.to_owned())
            .unwrap_or(ServerName::IpAddress(address.ip().into()));
        let session = ClientConnection::new(self.0.clone(), name).map_err(io::Error::other)?;
        Ok(exchange(StreamOwned::new(session, stream), &bytes, no_body))
    }
}

fn exchange(mut stream: impl Read + Write, request: &[u8], no_body: bool) -> Answer {
    // Who answers before all is written may have closed: what it said is there all the same.
    drop(stream.write_all(request).and_then(|()| stream.flush()));
    let deadline = Instant::now() + WHOLE;
    let mut bytes = Vec::new();
    let mut space = [0; 16 << 10];
    let mut closed = false;
    while Instant::now() < deadline && bytes.len() < MOST {
        match stream.read(&mut space) {
            Ok(0) => {
                closed = true;
                break;
            }
            Ok(read) => bytes.extend_from_slice(space.get(..read).unwrap_or_default()),
            // TLS that ends without a word is an end, too.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                closed = true;
                break;
            }
            Err(_) => break,
        }
    }
    parse(&bytes, closed, no_body)
}

fn parse(bytes: &[u8], closed: bool, no_body: bool) -> Answer {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(end)) = head.parse(bytes) else {
        return Answer::default();
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let answer = Answer {
        status: head.code.unwrap_or(0),
        fields: head
            .headers
            .iter()
            .map(|field| (field.name.to_ascii_lowercase(), text(field.value)))
            .collect(),
        ..Answer::default()
    };
    let rest = bytes.get(end..).unwrap_or_default();
    // 1xx: what counts comes after it.
    if (100..200).contains(&answer.status) && answer.status != 101 {
        return parse(rest, closed, no_body);
    }
    let field = |name: &str| {
        let own = answer.fields.iter().find(|(own, _)| own == name);
        own.map(|(_, value)| value.clone())
    };
    let (mut body, mut whole) = (rest.to_vec(), closed);
    if no_body || matches!(answer.status, 101 | 204 | 304) {
        whole = true;
    } else if field("transfer-encoding").is_some() {
        body.clear();
        let end = ChunkScanner::default().decode(rest, |data| body.extend_from_slice(data));
        whole = matches!(end, Ok(ChunkProgress::Complete(_)));
    } else if let Some(length) = field("content-length") {
        whole = length.parse() == Ok(rest.len());
    }
    Answer {
        body,
        whole,
        ..answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_however_it_is_framed() {
        let chunked = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let answer = parse(chunked, true, false);
        assert_eq!(
            (answer.status, &*answer.body, answer.whole),
            (200, &b"abc"[..], true)
        );
        assert_eq!(answer.fields[1], ("a".to_owned(), "b".to_owned()));
        let short = parse(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            true,
            false,
        );
        assert!(!short.whole);
        assert_eq!(parse(b"", true, false), Answer::default());
    }
}
