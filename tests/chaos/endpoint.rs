//! An endpoint that misbehaves as it is told, and remembers every POST that reached it.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use crate::support::authority::{self, Handshakes};
use crate::support::wire::Stream;

/// What an endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Good,
    /// As when its process is killed: connections end, none is accepted.
    Refuse,
    /// As behind a firewall that drops: no connect is answered, and no request.
    Blackhole,
    /// The head of an answer takes longer than anybody waits.
    SlowHead,
    /// Answers trickle, and are whole in the end.
    SlowBody,
    ResetInBody,
    /// The connection is closed in the middle of an answer.
    EarlyEnd,
    Garbage,
    /// Dead and alive, 100 ms each.
    Flapping,
    /// 1 MB/s, then nothing.
    Stall,
    /// A certificate that is over.
    Expired,
}

/// How many POSTs there were with each number.
pub(crate) type Posts = HashMap<u64, u32>;

struct Shared {
    mode: Mutex<(Mode, Instant)>,
    open: AtomicUsize,
    requests: AtomicU64,
    posts: Mutex<Posts>,
    connections: Mutex<Vec<TcpStream>>,
    tls: Option<(Arc<ServerConfig>, Arc<ServerConfig>)>,
    rng: Mutex<fastrand::Rng>,
    ended: AtomicBool,
}

/// A running endpoint.
pub(crate) struct Endpoint {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Endpoint {
    /// Starts a good one; `tls` is what it shows: a certificate, and one that is over.
    pub(crate) fn start(seed: u64, tls: Option<(ServerConfig, ServerConfig)>) -> Self {
        let addr = crate::support::ports::free_addr();
        let listener = listen(addr);
        let shared = Arc::new(Shared {
            mode: Mutex::new((Mode::Good, Instant::now())),
            open: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            posts: Mutex::default(),
            connections: Mutex::default(),
            tls: tls.map(|(good, expired)| (Arc::new(good), Arc::new(expired))),
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            ended: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || accept(addr, listener, &accepting));
        Self { addr, shared }
    }

    pub(crate) fn set(&self, mode: Mode) {
        let mut current = self.shared.mode.lock().unwrap();
        if current.0 == mode {
            return;
        }
        *current = (mode, Instant::now());
        drop(current);
        if matches!(mode, Mode::Refuse | Mode::Expired) {
            self.shared.kill();
        }
    }

    pub(crate) fn posts(&self) -> Posts {
        self.shared.posts.lock().unwrap().clone()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.kill();
    }
}

impl Shared {
    fn mode(&self) -> Mode {
        self.mode.lock().unwrap().0
    }

    /// Whether nobody lives here now.
    fn is_dead(&self) -> bool {
        let (mode, since) = *self.mode.lock().unwrap();
        match mode {
            Mode::Refuse => true,
            Mode::Flapping => since.elapsed().as_millis() / 100 % 2 == 0,
            _ => self.ended.load(Ordering::SeqCst),
        }
    }

    fn kill(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn listen(addr: SocketAddr) -> TcpListener {
    let start = Instant::now();
    loop {
        match TcpListener::bind(addr) {
            Ok(listener) => {
                listener.set_nonblocking(true).unwrap();
                return listener;
            }
            Err(error) => assert!(start.elapsed() < Duration::from_secs(10), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Listens, as long as the mode does, to the end.
fn accept(addr: SocketAddr, listener: TcpListener, shared: &Arc<Shared>) {
    let mut listener = Some(listener);
    while !shared.ended.load(Ordering::SeqCst) {
        if shared.is_dead() {
            if listener.take().is_some() {
                shared.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
            continue;
        }
        if shared.mode() == Mode::Blackhole {
            drop(listener.take());
            hole(addr, shared);
            continue;
        }
        match listener.get_or_insert_with(|| listen(addr)).accept() {
            Ok((stream, _)) => {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// A queue of one that is full: the kernel answers no further attempt.
fn hole(addr: SocketAddr, shared: &Shared) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    if socket
        .bind(&addr.into())
        .and_then(|()| socket.listen(0))
        .is_err()
    {
        return;
    }
    let _queued: Vec<_> = (0..3)
        .map(|_| TcpStream::connect_timeout(&addr, Duration::from_millis(50)))
        .collect();
    while shared.mode() == Mode::Blackhole && !shared.ended.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn serve(stream: TcpStream, shared: &Arc<Shared>) {
    stream.set_nonblocking(false).unwrap();
    stream.set_nodelay(true).unwrap();
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
    shared.open.fetch_add(1, Ordering::SeqCst);
    if let Ok(clone) = stream.try_clone() {
        let mut connections = shared.connections.lock().unwrap();
        if connections.len() > 1000 {
            connections.retain(|one| one.peer_addr().is_ok() && one.take_error().is_ok());
        }
        connections.push(clone);
    }
    let local = stream.local_addr().ok().zip(stream.peer_addr().ok());
    match &shared.tls {
        None => requests(Box::new(stream), shared),
        Some((good, expired)) => {
            let config = if shared.mode() == Mode::Expired {
                expired
            } else {
                good
            };
            if let Some(tls) = authority::accept(config, stream, &Handshakes::default()) {
                requests(Box::new(tls), shared);
            }
        }
    }
    shared
        .connections
        .lock()
        .unwrap()
        .retain(|one| one.local_addr().ok().zip(one.peer_addr().ok()) != local);
    shared.open.fetch_sub(1, Ordering::SeqCst);
}

fn requests(mut stream: Box<dyn Stream>, shared: &Shared) {
    let mut read = Vec::new();
    while let Some((method, target)) = request(&mut *stream, &mut read) {
        shared.requests.fetch_add(1, Ordering::SeqCst);
        let last = target
            .rsplit('/')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        if method == "POST" {
            *shared.posts.lock().unwrap().entry(last).or_default() += 1;
        }
        let length = target
            .rsplit('/')
            .nth(1)
            .and_then(|n| n.parse().ok())
            .unwrap_or(10);
        let answer = answer(length, last);
        if misbehave(&mut *stream, &answer, shared).is_none() {
            return;
        }
    }
}

/// Reads a request; for those of the load `Content-Length` is all there is.
fn request(stream: &mut dyn Stream, read: &mut Vec<u8>) -> Option<(String, String)> {
    let end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, read)?;
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length:")
                .map(|n| n.trim().to_owned())
        })
        .map_or(0, |n| n.parse().unwrap());
    while read.len() < end + length {
        more(stream, read)?;
    }
    read.drain(..end + length);
    let mut words = head.split(' ');
    Some((words.next()?.to_owned(), words.next()?.to_owned()))
}

fn more(stream: &mut dyn Stream, read: &mut Vec<u8>) -> Option<()> {
    let mut space = [0; 8192];
    loop {
        match stream.read(&mut space) {
            Ok(0) => return None,
            Ok(count) => {
                read.extend_from_slice(&space[..count]);
                return Some(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// The body for a request: `length` bytes that nothing else begins with.
pub(crate) fn body(length: usize, number: u64) -> Vec<u8> {
    let line = format!("{number}:");
    line.bytes().cycle().take(length).collect()
}

/// Chunked for odd numbers. The head comes first, then the rest.
fn answer(length: usize, number: u64) -> (Vec<u8>, Vec<u8>) {
    let body = body(length, number);
    if number.is_multiple_of(2) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        return (head.into_bytes(), body);
    }
    let mut rest = Vec::new();
    for chunk in body.chunks(1000) {
        rest.extend(format!("{:x}\r\n", chunk.len()).bytes());
        rest.extend_from_slice(chunk);
        rest.extend_from_slice(b"\r\n");
    }
    rest.extend_from_slice(b"0\r\n\r\n");
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        rest,
    )
}

/// Answers as the mode wants it; `None` when the connection is over.
fn misbehave(stream: &mut dyn Stream, answer: &(Vec<u8>, Vec<u8>), shared: &Shared) -> Option<()> {
    let (head, rest) = answer;
    let half = rest.len() / 2;
    let mode = shared.mode();
    match mode {
        Mode::Good | Mode::Refuse | Mode::Flapping | Mode::Expired => {
            stream.write_all(&[&head[..], rest].concat()).ok()?;
        }
        Mode::Blackhole => {
            // Until the other side gives up.
            let mut read = Vec::new();
            while more(stream, &mut read).is_some() {}
            return None;
        }
        Mode::SlowHead => {
            std::thread::sleep(Duration::from_secs(3));
            stream.write_all(&[&head[..], rest].concat()).ok()?;
        }
        Mode::SlowBody => {
            stream.write_all(head).ok()?;
            for piece in rest.chunks(rest.len() / 5 + 1) {
                stream.flush().ok()?;
                std::thread::sleep(Duration::from_millis(50));
                stream.write_all(piece).ok()?;
            }
        }
        Mode::ResetInBody | Mode::EarlyEnd => {
            stream
                .write_all(&[&head[..], &rest[..half]].concat())
                .ok()?;
            stream.flush().ok()?;
            if mode == Mode::ResetInBody {
                std::thread::sleep(Duration::from_millis(5));
                let linger = Some(Duration::ZERO);
                socket2::SockRef::from(stream.tcp())
                    .set_linger(linger)
                    .ok()?;
            }
            // The clone that could be killed must not keep it open.
            let _ = stream.tcp().shutdown(Shutdown::Both);
            return None;
        }
        Mode::Garbage => {
            let count = shared.rng.lock().unwrap().usize(1..200);
            let bytes: Vec<u8> = {
                let mut rng = shared.rng.lock().unwrap();
                (0..count).map(|_| rng.u8(..)).collect()
            };
            stream.write_all(&bytes).ok()?;
            stream.flush().ok()?;
            let _ = stream.tcp().shutdown(Shutdown::Both);
            return None;
        }
        Mode::Stall => {
            let whole = [&head[..], &rest[..half]].concat();
            for piece in whole.chunks(50_000) {
                stream.write_all(piece).ok()?;
                stream.flush().ok()?;
                std::thread::sleep(Duration::from_millis(50));
            }
            let mut read = Vec::new();
            while more(stream, &mut read).is_some() {}
            return None;
        }
    }
    stream.flush().ok()
}
