//! An upstream that does what a script says, and remembers what reached it.
//!
//! One thread per connection runs the script. Requests are recorded with their exact bytes when their head is there;
//! the body follows as it comes. A panic in a script fails the test that owns the upstream.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::authority::{self, Handshakes};
use super::eventually;
use super::message::{Body, Head, Kind};
use super::wire::{Fault, Wire};

/// A request as the upstream got it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which connection it came on, from 0.
    pub connection: usize,
    pub head: Head,
    pub body: Body,
    /// `None` until the body has been read; `Err` when it did not come to its end.
    pub complete: Option<Result<(), Fault>>,
}

type Script = dyn Fn(&mut Conn) + Send + Sync;

/// Makes a wire of an accepted connection.
type Wrap = dyn Fn(TcpStream) -> Option<Wire> + Send + Sync;

struct Shared {
    script: Box<Script>,
    wrap: Box<Wrap>,
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    stop: AtomicBool,
    panicked: AtomicBool,
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A listening upstream; stops listening when dropped.
pub struct Upstream {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    /// Runs `script` for every connection, on a port the kernel chooses.
    pub fn start(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// As [`Upstream::start`] on a listener already bound.
    pub fn on(listener: TcpListener, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        Self::wrapped(listener, |stream| Some(Wire::new(stream)), script)
    }

    /// As [`Upstream::start`], over TLS. Connections whose handshake fails never reach the script.
    pub fn secured(
        config: rustls::ServerConfig,
        script: impl Fn(&mut Conn) + Send + Sync + 'static,
    ) -> (Self, Handshakes) {
        let (config, seen) = (Arc::new(config), Handshakes::default());
        let all = seen.clone();
        let wrap = move |stream| authority::accept(&config, stream, &all).map(Wire::new);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (Self::wrapped(listener, wrap, script), seen)
    }

    fn wrapped(
        listener: TcpListener,
        wrap: impl Fn(TcpStream) -> Option<Wire> + Send + Sync + 'static,
        script: impl Fn(&mut Conn) + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            script: Box::new(script),
            wrap: Box::new(wrap),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
        });
        let addr = listener.local_addr().unwrap();
        let accepting = shared.clone();
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { addr, shared }
    }

    /// Answers every request with `response`, on connections kept alive.
    pub fn answering(response: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::start(move |conn| {
            while conn.request().is_some() {
                if conn.try_send(response.as_ref()).is_err() {
                    break;
                }
            }
        })
    }

    /// Answers every request with 200 and `body`.
    pub fn saying(body: &str) -> Self {
        Self::answering(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// What reached it so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests().clone()
    }

    /// The only request that reached it, its body read.
    #[track_caller]
    pub fn only_request(&self) -> Request {
        eventually("the upstream gets a request", || {
            self.shared
                .requests()
                .first()
                .is_some_and(|r| r.complete.is_some())
        });
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "requests at the upstream");
        requests[0].clone()
    }

    /// The last request that reached it.
    #[track_caller]
    pub fn last_request(&self) -> Request {
        self.requests()
            .last()
            .expect("a request at the upstream")
            .clone()
    }

    #[track_caller]
    pub fn wait_requests(&self, count: usize) {
        eventually("the upstream gets its requests", || {
            self.shared.requests().len() >= count
        });
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections whose script has not ended.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.addr));
        if !std::thread::panicking() {
            assert!(
                !self.shared.panicked.load(Ordering::SeqCst),
                "the upstream's script failed"
            );
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.open.fetch_add(1, Ordering::SeqCst);
        let shared = shared.clone();
        std::thread::spawn(move || {
            if let Some(wire) = (shared.wrap)(stream) {
                let mut conn = Conn {
                    wire: Some(wire),
                    number,
                    shared: shared.clone(),
                };
                if catch_unwind(AssertUnwindSafe(|| (shared.script)(&mut conn))).is_err() {
                    shared.panicked.store(true, Ordering::SeqCst);
                }
            }
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// One connection at the upstream.
pub struct Conn {
    wire: Option<Wire>,
    /// Its number, from 0.
    pub number: usize,
    shared: Arc<Shared>,
}

impl Conn {
    /// Records the next request's head; `None` when the peer left.
    pub fn request_head(&mut self) -> Option<Head> {
        let head = self.head().ok()?;
        let (connection, body) = (self.number, Body::default());
        self.shared.requests().push(Request {
            connection,
            head: head.clone(),
            body,
            complete: None,
        });
        Some(head)
    }

    /// Reads and records the body that belongs to `head`.
    pub fn request_body(&mut self, head: &Head) -> Result<Vec<u8>, Fault> {
        let mut body = Body::default();
        let complete = head
            .framing(Kind::Request)
            .and_then(|framing| self.body(framing, &mut body));
        let bytes = body.bytes.clone();
        let mut requests = self.shared.requests();
        if let Some(mine) = requests
            .iter_mut()
            .rev()
            .find(|r| r.connection == self.number)
        {
            (mine.body, mine.complete) = (body, Some(complete));
        }
        complete.map(|()| bytes)
    }

    /// Reads and records a whole request; `None` when the peer left before its end.
    pub fn request(&mut self) -> Option<Head> {
        let head = self.request_head()?;
        self.request_body(&head).ok()?;
        Some(head)
    }

    /// Reads a request, answers with `response`, and goes on.
    pub fn answer(&mut self, response: impl AsRef<[u8]>) -> Option<Head> {
        let head = self.request()?;
        let _ = self.try_send(response);
        Some(head)
    }

    /// Ends the connection with RST.
    pub fn reset(&mut self) {
        self.take().reset();
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        drop(self.take());
    }

    /// The wire, for another protocol.
    pub fn take(&mut self) -> Wire {
        self.wire.take().expect("the connection is still ours")
    }
}

impl Deref for Conn {
    type Target = Wire;
    fn deref(&self) -> &Wire {
        self.wire.as_ref().expect("the connection is still ours")
    }
}

impl DerefMut for Conn {
    fn deref_mut(&mut self) -> &mut Wire {
        self.wire.as_mut().expect("the connection is still ours")
    }
}
