//! A TLS proxy before Pebble that loses, refuses and holds back answers as a test says.
//!
//! One request per connection; `Host` is kept, so Pebble mints URLs that lead back here and signatures stay right.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::pebble::Pebble;
use super::tls;

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answered here with this head (from the status on) and body; Pebble never sees it.
    Answer { head: String, body: String },
    /// Passed on; Pebble's answer is thrown away and the connection closed.
    LoseAnswer,
    /// Passed on; Pebble's answer is held back until the client leaves.
    HoldAnswer,
}

impl Fault {
    /// A problem document, with a `Retry-After` if `retry_after` is not empty.
    pub fn problem(status: u16, kind: &str, retry_after: &str) -> Self {
        let retry = if retry_after.is_empty() {
            String::new()
        } else {
            format!("Retry-After: {retry_after}\r\n")
        };
        Self::Answer {
            head: format!("{status} Refused\r\nContent-Type: application/problem+json\r\n{retry}"),
            body: format!(
                r#"{{"type":"urn:ietf:params:acme:error:{kind}","status":{status},"detail":"the test says so"}}"#
            ),
        }
    }
}

struct Rule {
    path: &'static str,
    times: usize,
    fault: Fault,
}

#[derive(Default)]
struct State {
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<String>>,
    ended: AtomicBool,
}

/// A running proxy.
pub struct FaultProxy {
    /// In the place of Pebble's.
    pub directory_url: String,
    addr: SocketAddr,
    state: Arc<State>,
}

impl FaultProxy {
    /// Starts before `pebble`.
    pub fn before(pebble: &Pebble) -> Self {
        let chain = CertificateDer::pem_file_iter(&pebble.pair.0)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let key = PrivateKeyDer::from_pem_file(&pebble.pair.1).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
        let (config, upstream) = (Arc::new(config), pebble.addr);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if shared.ended.load(Ordering::Acquire) {
                    return;
                }
                let (config, shared) = (Arc::clone(&config), Arc::clone(&shared));
                std::thread::spawn(move || {
                    let client = StreamOwned::new(ServerConnection::new(config).unwrap(), client);
                    // Clients that leave are what some tests are about.
                    let _ = serve(client, upstream, &shared);
                });
            }
        });
        Self {
            directory_url: format!("https://localhost:{}/dir", addr.port()),
            addr,
            state,
        }
    }

    /// The next `times` requests whose path begins with `path` meet this fault.
    pub fn rule(&self, path: &'static str, times: usize, fault: Fault) {
        self.state
            .rules
            .lock()
            .unwrap()
            .push(Rule { path, times, fault });
    }

    /// How many requests to paths that begin with `path` have met their end: answered, lost or held back.
    pub fn seen(&self, path: &str) -> usize {
        self.state
            .seen
            .lock()
            .unwrap()
            .iter()
            .filter(|seen| seen.starts_with(path))
            .count()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.addr);
    }
}

fn serve(
    mut client: StreamOwned<ServerConnection, TcpStream>,
    upstream: SocketAddr,
    state: &State,
) -> std::io::Result<()> {
    client
        .sock
        .set_read_timeout(Some(Duration::from_secs(30)))?;
    let (path, request) = read_request(&mut client)?;
    let fault = {
        let mut rules = state.rules.lock().unwrap();
        let rule = rules
            .iter_mut()
            .find(|rule| rule.times > 0 && path.starts_with(rule.path));
        rule.map(|rule| {
            rule.times -= 1;
            rule.fault.clone()
        })
    };
    if let Some(Fault::Answer { head, body }) = &fault {
        state.seen.lock().unwrap().push(path);
        let answer = format!(
            "HTTP/1.1 {head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        client.write_all(answer.as_bytes())?;
        return client.flush();
    }
    let mut server = tls::handshake(upstream, "localhost", tls::config(&["http/1.1"]))?;
    server.write_all(&request)?;
    let mut answer = Vec::new();
    let _ = server.read_to_end(&mut answer);
    state.seen.lock().unwrap().push(path);
    match fault {
        Some(Fault::LoseAnswer) => Ok(()),
        Some(Fault::HoldAnswer) => client.read(&mut [0]).map(|_| ()),
        _ => {
            client.write_all(&answer)?;
            client.conn.send_close_notify();
            client.flush()
        }
    }
}

/// The path, and the request as it is to be sent on: to be closed after its answer.
fn read_request(client: &mut impl Read) -> std::io::Result<(String, Vec<u8>)> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut request = format!("{head}Connection: close\r\n\r\n").into_bytes();
    request.extend(body);
    Ok((path, request))
}
