//! A name server that says what a test wants, by UDP and TCP, and remembers what it was asked.
//!
//! It speaks the wire by itself (RFC 1035), so that what it says wrong is wrong in just that. What does not fit into 512
//! bytes is cut and said whole by TCP. `tests/behaviour/names.rs` has one test with dnsmasq beside it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is said of a name.
#[derive(Clone, Debug)]
pub enum Says {
    /// These addresses, each family to its question, for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// Priority, weight, port and target, for so many seconds.
    Services(Vec<(u16, u16, u16, &'static str)>, u32),
    /// That another name stands for it, and nothing of that.
    Alias(&'static str),
    /// This code and no records: 0 is "no data", 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
    Code(u8),
    /// Nothing.
    Silence,
    /// Something that is no answer, then nothing.
    Garbage,
    /// That it does not fit, and nothing by TCP.
    CutForGood,
}

type Book = HashMap<String, Says>;

struct Shared {
    book: Mutex<Book>,
    /// Names and kinds of questions, in order.
    asked: Mutex<Vec<(String, u16)>>,
    stop: AtomicBool,
}

/// Answers until it is dropped.
pub struct NameServer {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

impl NameServer {
    pub fn start() -> Self {
        let (udp, tcp) = (0..100)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
                let tcp = TcpListener::bind(udp.local_addr().unwrap()).ok()?;
                Some((udp, tcp))
            })
            .expect("a port for both");
        let addr = udp.local_addr().unwrap();
        udp.set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let shared = Arc::new(Shared {
            book: Mutex::default(),
            asked: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let own = shared.clone();
        std::thread::spawn(move || serve_udp(&udp, &own));
        let own = shared.clone();
        std::thread::spawn(move || serve_tcp(&tcp, &own));
        Self { addr, shared }
    }

    /// Says this of `name` from now on; of names it was told nothing about, NXDOMAIN.
    pub fn say(&self, name: &str, says: Says) {
        self.shared
            .book
            .lock()
            .unwrap()
            .insert(name.to_owned(), says);
    }

    /// How often it was asked for `name`.
    pub fn asked(&self, name: &str) -> usize {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|(one, _)| one == name).count()
    }

    /// `[resolver]` with it as the only server; `more` are further lines.
    pub fn table(&self, more: &str) -> String {
        format!("[resolver]\nservers = [\"{}\"]\n{more}\n", self.addr)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the one that waits for connections.
        drop(std::net::TcpStream::connect(self.addr));
    }
}

fn serve_udp(udp: &UdpSocket, shared: &Shared) {
    let mut space = [0; 4096];
    while !shared.stop.load(Ordering::SeqCst) {
        let Ok((length, peer)) = udp.recv_from(&mut space) else {
            continue;
        };
        let Some((answer, cut)) = answer(&space[..length], shared, true) else {
            continue;
        };
        let answer = match cut || answer.len() > 512 {
            true => truncated(&space[..length]),
            false => answer,
        };
        let _ = udp.send_to(&answer, peer);
    }
}

fn serve_tcp(tcp: &TcpListener, shared: &Shared) {
    for stream in tcp.incoming() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(mut stream) = stream else { continue };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            continue;
        }
        let mut question = vec![0; u16::from_be_bytes(length).into()];
        if stream.read_exact(&mut question).is_err() {
            continue;
        }
        let Some((answer, false)) = answer(&question, shared, false) else {
            continue;
        };
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        let _ = stream.write_all(&[&length[..], &answer].concat());
    }
}

/// The question again, and that its answer does not fit.
fn truncated(question: &[u8]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2] = 0x83;
    message[3] = 0x80;
    message
}

/// What is said to a question, and whether only that it does not fit.
fn answer(question: &[u8], shared: &Shared, counts: bool) -> Option<(Vec<u8>, bool)> {
    let (name, end) = asked_name(question)?;
    let kind = u16::from_be_bytes([*question.get(end)?, *question.get(end + 1)?]);
    if counts {
        shared.asked.lock().unwrap().push((name.clone(), kind));
    }
    let says = shared.book.lock().unwrap().get(&name).cloned();
    let mut message = question[..end + 4].to_vec();
    message[2..4].copy_from_slice(&[0x81, 0x80]);
    let mut records = Vec::new();
    match says.unwrap_or(Says::Code(3)) {
        Says::Silence => return None,
        Says::Garbage => return Some((b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), false)),
        Says::CutForGood => return Some((Vec::new(), true)),
        Says::Code(code) => message[3] |= code,
        Says::Alias(other) => records.push((5, 60, wire_name(other))),
        Says::Addresses(all, ttl) => {
            for address in all {
                match (address, kind) {
                    (IpAddr::V4(v4), 1) => records.push((1, ttl, v4.octets().to_vec())),
                    (IpAddr::V6(v6), 28) => records.push((28, ttl, v6.octets().to_vec())),
                    _ => {}
                }
            }
        }
        Says::Services(all, ttl) => {
            for (priority, weight, port, target) in all.into_iter().filter(|_| kind == 33) {
                let mut data = [priority, weight, port].map(u16::to_be_bytes).concat();
                data.extend(wire_name(target));
                records.push((33, ttl, data));
            }
        }
    }
    message[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    for (kind, ttl, data) in records {
        let kind: u16 = kind;
        message.extend([0xc0, 12]);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message.extend(ttl.to_be_bytes());
        message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend(data);
    }
    Some((message, false))
}

fn asked_name(question: &[u8]) -> Option<(String, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*question.get(at)?);
        let label = question.get(at + 1..at + 1 + length)?;
        at += length + 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
    }
}

fn wire_name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend(label.bytes());
    }
    out.push(0);
    out
}
