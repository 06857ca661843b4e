//! A TLS proxy before Pebble that loses, refuses, cuts and holds back answers as a test says, and has what Debian's
//! Pebble lacks: renewal information, `replaces`, profiles.
//!
//! One request per connection; `Host` is kept, so Pebble mints URLs that lead back here, and signed bodies pass
//! untouched, so signatures stay right.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

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
    /// The connection is closed without an answer; Pebble never sees the request.
    Reset,
    /// Nothing happens until the client leaves; Pebble never sees the request.
    Hang,
    /// Passed on; the answer comes so much later.
    Late(Duration),
    /// Passed on; half of the answer's body arrives, with its length made right.
    Cut,
    /// Passed on; the order in the answer has this status and no certificate.
    Status(&'static str),
    /// As [`Fault::Status`], with so many seconds in `Retry-After`.
    StatusFor(&'static str, u32),
    /// Passed on; the answer has this body instead.
    Body(String),
}

impl Fault {
    /// A problem document, with a `Retry-After` if `retry_after` is not empty.
    pub fn problem(status: u16, kind: &str, retry_after: &str) -> Self {
        Self::saying(status, kind, retry_after, "the test says so")
    }

    /// As [`Fault::problem`], with these words in its `detail`.
    pub fn saying(status: u16, kind: &str, retry_after: &str, detail: &str) -> Self {
        let retry = if retry_after.is_empty() {
            String::new()
        } else {
            format!("Retry-After: {retry_after}\r\n")
        };
        Self::Answer {
            head: format!("{status} Refused\r\nContent-Type: application/problem+json\r\n{retry}"),
            body: format!(
                r#"{{"type":"urn:ietf:params:acme:error:{kind}","status":{status},"detail":"{detail}"}}"#
            ),
        }
    }
}

/// A request and what became of it, in the order of their ends.
#[derive(Clone, Debug)]
pub struct Hit {
    pub path: String,
    /// What was signed, if it was.
    pub payload: Value,
    pub begun: Instant,
    pub ended: Instant,
}

struct Rule {
    path: &'static str,
    times: usize,
    fault: Fault,
}

#[derive(Default)]
struct State {
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Hit>>,
    /// Connections still to be met with something that is not TLS.
    not_tls: AtomicUsize,
    extras: Mutex<Extras>,
    ended: AtomicBool,
}

/// What Pebble lacks.
#[derive(Default)]
struct Extras {
    /// The head (from the status on) and body of every answer about renewal; `None`: not in the directory.
    renewal: Option<(String, String)>,
    profiles: Vec<&'static str>,
    /// The payloads of orders that were passed on or refused here.
    orders: Vec<Value>,
    replaced: Vec<String>,
    /// The answer to the next order that replaces.
    refusal: Option<Fault>,
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

    /// Answers every question about renewal with this window and Retry-After from now on.
    pub fn renewal_window(&self, start: &str, end: &str, retry_after: &str) {
        let window = json!({"suggestedWindow": {"start": start, "end": end}, "explanationURL": "https://ca.test/why"});
        let head =
            format!("200 OK\r\nContent-Type: application/json\r\nRetry-After: {retry_after}\r\n");
        self.renewal_answer(&head, &window.to_string());
    }

    /// Answers every question about renewal with this head (from the status on) and body from now on.
    pub fn renewal_answer(&self, head: &str, body: &str) {
        self.state.extras.lock().unwrap().renewal = Some((head.to_owned(), body.to_owned()));
    }

    /// Answers the next order that replaces a certificate like this.
    pub fn refuse_replacement(&self, refusal: Fault) {
        self.state.extras.lock().unwrap().refusal = Some(refusal);
    }

    /// Offers these profiles, and refuses orders for others.
    pub fn profiles(&self, names: &[&'static str]) {
        self.state.extras.lock().unwrap().profiles = names.to_vec();
    }

    /// The payloads of all orders so far.
    pub fn orders(&self) -> Vec<Value> {
        self.state.extras.lock().unwrap().orders.clone()
    }

    /// How many requests to paths that begin with `path` have met their end: answered, lost or held back.
    pub fn seen(&self, path: &str) -> usize {
        self.state
            .seen
            .lock()
            .unwrap()
            .iter()
            .filter(|seen| seen.path.starts_with(path))
            .count()
    }

    /// Every request that has met its end.
    pub fn hits(&self) -> Vec<Hit> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The next `times` connections are answered by something that is not TLS, and closed.
    pub fn break_tls(&self, times: usize) {
        self.state.not_tls.store(times, Ordering::Release);
    }

    /// How many connections are still to be met so.
    pub fn tls_to_break(&self) -> usize {
        self.state.not_tls.load(Ordering::Acquire)
    }

    /// No rule counts any more.
    pub fn mend(&self) {
        self.state.rules.lock().unwrap().clear();
        self.break_tls(0);
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
        .set_read_timeout(Some(Duration::from_secs(120)))?;
    if state
        .not_tls
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
            left.checked_sub(1)
        })
        .is_ok()
    {
        return client.sock.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    }
    let (path, request) = read_request(&mut client)?;
    let begun = Instant::now();
    let ended = |path: String| {
        state.seen.lock().unwrap().push(Hit {
            path,
            payload: payload_of(&request),
            begun,
            ended: Instant::now(),
        });
    };
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
    let own = match &fault {
        Some(Fault::Reset) => {
            ended(path);
            return Ok(());
        }
        Some(Fault::Hang) => {
            ended(path);
            return client.read(&mut [0]).map(|_| ());
        }
        Some(Fault::Answer { head, body }) => Some((head.clone(), body.clone())),
        _ => extra_answer(&path, &request, &mut state.extras.lock().unwrap()),
    };
    if let Some((head, body)) = own {
        ended(path);
        let answer = whole(&dated(head), &body);
        client.write_all(answer.as_bytes())?;
        return client.flush();
    }
    let mut server = tls::handshake(upstream, "localhost", tls::config(&["http/1.1"]))?;
    server.write_all(&request)?;
    let mut answer = Vec::new();
    let _ = server.read_to_end(&mut answer);
    let answer = changed(&path, answer, fault.as_ref(), state);
    if let Some(Fault::Late(wait)) = fault {
        std::thread::sleep(wait);
    }
    ended(path);
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

/// What is answered here because Pebble cannot.
fn extra_answer(path: &str, request: &[u8], extras: &mut Extras) -> Option<(String, String)> {
    if path.starts_with("/renewal/") {
        return extras.renewal.clone();
    }
    if path != "/order-plz" {
        return None;
    }
    let payload = payload_of(request);
    extras.orders.push(payload.clone());
    let refuse = |status: u16, kind: &str| match Fault::problem(status, kind, "") {
        Fault::Answer { head, body } => Some((head, body)),
        _ => None,
    };
    if let Some(profile) = payload["profile"].as_str()
        && !extras.profiles.contains(&profile)
    {
        return refuse(400, "invalidProfile");
    }
    if let Some(replaces) = payload["replaces"].as_str() {
        if extras.replaced.iter().any(|one| one == replaces) {
            return refuse(409, "alreadyReplaced");
        }
        if let Some(Fault::Answer { head, body }) = extras.refusal.take() {
            return Some((head, body));
        }
        extras.replaced.push(replaces.to_owned());
    }
    None
}

fn payload_of(request: &[u8]) -> Value {
    let text = String::from_utf8_lossy(request);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let payload = BASE64_URL_SAFE_NO_PAD
        .decode(body["payload"].as_str().unwrap_or_default())
        .unwrap_or_default();
    serde_json::from_slice(&payload).unwrap_or_default()
}

/// Pebble's answer as the test wants it.
fn changed(path: &str, answer: Vec<u8>, fault: Option<&Fault>, state: &State) -> Vec<u8> {
    let text = String::from_utf8_lossy(&answer).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return answer;
    };
    let body = match fault {
        Some(Fault::Cut) => body[..body.len() / 2].to_owned(),
        Some(Fault::Body(body)) => body.clone(),
        Some(Fault::Status(status) | Fault::StatusFor(status, _)) => {
            let mut order: Value = serde_json::from_str(body).unwrap();
            order["status"] = (*status).into();
            order.as_object_mut().unwrap().remove("certificate");
            order.to_string()
        }
        _ if path == "/dir" => directory(body, head, &state.extras.lock().unwrap()),
        _ => return answer,
    };
    let keep = |line: &&str| {
        let line = line.to_ascii_lowercase();
        ["content-length:", "connection:", "transfer-encoding:"]
            .iter()
            .all(|name| !line.starts_with(name))
    };
    let mut lines: Vec<_> = head.split("\r\n").skip(1).filter(keep).collect();
    let retry = match fault {
        Some(Fault::StatusFor(_, seconds)) => format!("Retry-After: {seconds}"),
        _ => String::new(),
    };
    lines.extend((!retry.is_empty()).then_some(retry.as_str()));
    let status = head.split_once(' ').map_or("", |(_, rest)| rest);
    let status = status.split("\r\n").next().unwrap_or_default();
    whole(&format!("{status}\r\n{}\r\n", lines.join("\r\n")), &body).into_bytes()
}

fn directory(body: &str, _head: &str, extras: &Extras) -> String {
    let mut directory: Value = serde_json::from_str(body).unwrap();
    let order = directory["newOrder"].as_str().unwrap().to_owned();
    if extras.renewal.is_some() {
        directory["renewalInfo"] = order.replace("/order-plz", "/renewal").into();
    }
    for name in &extras.profiles {
        directory["meta"]["profiles"][name] = "as it says".into();
    }
    directory.to_string()
}

/// A head with the authority's clock in it, as every authority's has.
fn dated(head: String) -> String {
    if head.to_ascii_lowercase().contains("\r\ndate:") {
        return head;
    }
    format!("{head}Date: {}\r\n", http_date(OffsetDateTime::now_utc()))
}

/// As in `Date` and `Retry-After`.
pub fn http_date(at: OffsetDateTime) -> String {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    at.format(form).unwrap()
}

/// An answer from its head (from the status on) and its body.
fn whole(head: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
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
